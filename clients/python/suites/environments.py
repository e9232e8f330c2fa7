"""The virtual environment of each framework, and its tests."""

import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from suites.frameworks import Sdist, Suite

ROOT = Path(__file__).resolve().parents[3]
HOME = ROOT / ".local" / "suites"


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
        uv = [sys.executable, "-m", "uv", "--quiet", "--no-progress", "--system-certs"]
        subprocess.run([*uv, "venv", "--clear", "--python", sys.executable, home], check=True)
        # The hashes say what is installed, so it does not matter which index has it.
        install = [*uv, "pip", "install", "--index-strategy", "unsafe-best-match"]
        install += ["--python", python, "--require-hashes", "-r", requirements]
        subprocess.run(install, check=True)
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
        home.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=home.parent) as folder:
            wanted = Path(folder) / "wanted.txt"
            wanted.write_text(f"{sdist.name}=={sdist.version} --hash=sha256:{sdist.sha256}\n")
            download = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
            download += ["--disable-pip-version-check", "--no-binary", ":all:"]
            download += ["--require-hashes", "--requirement", wanted, "--dest", folder]
            subprocess.run(download, stdout=sys.stderr, check=True)
            [path] = Path(folder).glob("*.tar.gz")
            with tarfile.open(path) as archive:
                archive.extractall(Path(folder) / "unpacked", filter="data")
            (Path(folder) / "unpacked").rename(home)
    return home / sdist.folder
