"""The app as servers and Zappa find it (`app.wsgi.app`), set up from the environment."""

import os
import sys

from app import cli
from app.config import Config, ConfigError
from app.factory import create_app

try:
    config = Config.from_env(os.environ)
except ConfigError as error:
    sys.exit(f"session store: {error}")

app = create_app(config)
cli.init_app(app, config)
