"""Builds the wheels; see scripts/packages.

The service is the package `app` here, a name that must not be taken in other people's environments.
So its wheel, `session-store-server`, has it as `session_store_server`, with its imports renamed.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from app import __version__  # noqa: E402

CLIENT = ROOT / "clients" / "python"
PACKAGE = "session_store_server"

IMPORT = re.compile(r"^(\s*(?:from|import) )app(?=[. ])", re.MULTILINE)

PROJECT = """\
[project]
name = "session-store-server"
version = "{version}"
description = "The session store as a library, for session_store.Client.in_process"
license = "MIT"
requires-python = ">=3.11"
dependencies = {dependencies}

[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[tool.hatch.build.targets.wheel]
packages = ["{package}"]
"""


def build_client(into: Path) -> Path:
    return _wheel(CLIENT, into)


def build_server(into: Path) -> Path:
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        ignored = shutil.ignore_patterns("__pycache__", "wsgi.py", "lambda_handler.py")
        shutil.copytree(ROOT / "app", project / PACKAGE, ignore=ignored)
        for path in (project / PACKAGE).rglob("*.py"):
            path.write_text(IMPORT.sub(rf"\g<1>{PACKAGE}", path.read_text()))
        lines = (ROOT / "requirements.in").read_text().splitlines()
        needed = [line for line in lines if line and not line.startswith("#")]
        text = PROJECT.format(version=__version__, dependencies=needed, package=PACKAGE)
        (project / "pyproject.toml").write_text(text)
        return _wheel(project, into)


def _wheel(project: Path, into: Path) -> Path:
    """Returns the wheel's path. Builds it with the hatchling of this environment."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", folder]
        subprocess.run([sys.executable, "-m", "pip", "wheel", *options, str(project)], check=True)
        [wheel] = Path(folder).glob("*.whl")
        into.mkdir(parents=True, exist_ok=True)
        return Path(shutil.copy(wheel, into))


def main() -> None:
    for build in (build_client, build_server):
        print(build(ROOT / ".local" / "packages"))


if __name__ == "__main__":
    main()
