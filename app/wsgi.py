"""The WSGI app for servers and Zappa, `app.wsgi.app`, configured from the environment."""

import os
import sys

from app.config import Config, ConfigError
from app.factory import create_app
from app.operations import cli

try:
    config = Config.from_env(os.environ)
    app = create_app(config)
except ConfigError as error:
    sys.exit(f"session store: {error}")

cli.init_app(app, config)
