"""The virtual environment of each framework, and its tests."""

import hashlib
import io
import shutil
import subprocess
import sys
import tarfile
import urllib.request
from pathlib import Path

from suites.frameworks import Sdist, Suite

ROOT = Path(__file__).resolve().parents[3]
HOME = ROOT / ".local" / "suites"
TIMEOUT = 120  # seconds


class SuiteError(Exception):
    """A suite cannot be run. The message is for the user."""


def environment(framework: str) -> Path:
    """The Python of the framework's environment, which is made if its requirements have changed."""
    requirements = Path(__file__).with_name(f"{framework}.txt")
    home = HOME / framework
    made_from = f"{ROOT}\n{requirements.read_text()}"
    python, mark = home / "bin" / "python", home / "made-from"
    if not mark.exists() or mark.read_text() != made_from:
        print(f"Making {home.relative_to(ROOT)} …", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", home], check=True)
        install = [python, "-m", "pip", "install", "--quiet", "--quiet", "--require-hashes"]
        subprocess.run(
            [*install, "--disable-pip-version-check", "-r", requirements],
            stdout=sys.stderr,
            check=True,
        )
        mark.write_text(made_from)
    return python


def tests(suite: Suite, checkout: Path | None) -> Path:
    """The folder in which the suite is run."""
    if suite.own:
        return Path(__file__).with_name(suite.framework)
    if checkout:
        missing = [path for path in suite.tests if not (checkout / path).exists()]
        if missing:
            raise SuiteError(f"{checkout} has no {missing[0]}")
        return checkout
    if suite.sdist is None:
        raise SuiteError(
            f"The distribution of {suite.title} has no tests. "
            f"Give a checkout: ./scripts/suites {suite.framework} --tests DIR"
        )
    return _unpacked(suite.sdist)


def _unpacked(sdist: Sdist) -> Path:
    home = HOME / "sources" / sdist.sha256[:16]
    if not home.exists():
        print(f"Fetching {sdist.folder} …", file=sys.stderr, flush=True)
        with urllib.request.urlopen(sdist.url, timeout=TIMEOUT) as answer:  # noqa: S310 - https
            content = answer.read()
        if hashlib.sha256(content).hexdigest() != sdist.sha256:
            raise SuiteError(f"{sdist.url} has another SHA-256 than expected")
        partial = home.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            archive.extractall(partial, filter="data")
        partial.rename(home)
    return home / sdist.folder
