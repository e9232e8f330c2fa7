"""The package for Lambda. Zappa calls `prepare` before it packs, and `deploy.hooks` calls `finish`.

This also happens when Zappa is run by hand (`zappa deploy`, `zappa update`, `zappa package`).

`prepare` gives Zappa a separate environment to pack instead of the developer's .venv: the pinned
requirements as Linux wheels, whatever system this machine runs. `finish` rewrites the archive. It
keeps only what runs on Lambda, replaces sources with bytecode that is valid there, and writes the
same bytes for the same sources.
"""

import compileall
import fnmatch
import hashlib
import json
import os
import py_compile
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ROOT / ".local" / "package"
MINOR = f"{sys.version_info.major}.{sys.version_info.minor}"
TASK_ROOT = "/var/task"  # where Lambda unpacks the code; tracebacks show this path

IN_THE_RUNTIME = {
    "boto3",
    "botocore",
    "jmespath",
    "python-dateutil",
    "s3transfer",
    "six",
    "urllib3",
}
"""Lambda's Python runtime has these, and AWS patches them."""

NOT_LOADED = {"pycparser"}  # cffi needs it only to compile, and the wheel is already compiled

HANDLER = {"zappa", "durationpy"}
"""The part of Zappa that runs on Lambda, and what it imports. The rest is only for deploying."""

OURS = {"app", "zappa_settings.py"}
"""The project's own code for Lambda. Everything else at its top level is left out by default."""

ISSUERS = "issuers*.json"
"""The files that ISSUERS_FILE may name (docs/issuers.md). There is no secret in them."""

NEEDLESS = (
    "*.dist-info/*",
    "*.pyi",
    "*/py.typed",
    "*.c",
    "*.h",
    "*.md",
    "*.png",
    "*/LICENSE",
    "bin/*",
    "cffi/*",  # cryptography needs only _cffi_backend
    "cryptography/hazmat/bindings/_rust/*",  # types only; the module is _rust.abi3.so
    "flask_smorest/spec/templates/*",
    "flask_swagger_ui/dist/*",  # three of its files are KEPT
    "flask_swagger_ui/templates/*",
    "zappa/*",  # its handler's modules are KEPT
)

KEPT = (
    "*.dist-info/METADATA",  # packages look up their own version on import
    "opentelemetry_*.dist-info/entry_points.txt",  # it finds its own parts by these
    "flask_swagger_ui/dist/swagger-ui.css",
    "flask_swagger_ui/dist/swagger-ui-bundle.js",
    "flask_swagger_ui/dist/swagger-ui-standalone-preset.js",
    "zappa/__init__.py",
    "zappa/asgi.py",
    "zappa/handler.py",
    "zappa/middleware.py",
    "zappa/utilities.py",
    "zappa/wsgi.py",
)


def prepare() -> None:
    """Makes the environment to pack, unless it exists already."""
    requirements = _requirements((ROOT / "requirements-dev.txt").read_text())
    architecture = json.loads((ROOT / "zappa_settings.json").read_text())["base"]["architecture"]
    platforms = _platforms({"arm64": "aarch64"}.get(architecture, architecture))
    made_from = "\n".join([MINOR, *platforms, requirements])
    home = PACKAGES / hashlib.sha256(made_from.encode()).hexdigest()[:16]
    if not home.exists():
        _install(home, requirements, platforms)
    # Zappa packs the environment that VIRTUAL_ENV names.
    os.environ["VIRTUAL_ENV"] = str(home)


def _requirements(pinned: str) -> str:
    """The lines of requirements-dev.txt, with hashes, of the packages needed on Lambda."""
    running = set(_names((ROOT / "requirements.txt").read_text()))
    if _is_traced():
        running |= set(_names((ROOT / "requirements-otel.txt").read_text()))
    return select(pinned, (running | HANDLER) - IN_THE_RUNTIME - NOT_LOADED)


def _is_traced() -> bool:
    """Whether a stage has OTEL_ENABLED. Zappa does not say here for which one it packs."""
    stages = json.loads((ROOT / "zappa_settings.json").read_text()).values()
    settings = [stage.get("aws_environment_variables", {}) for stage in stages]
    return any(str(each.get("OTEL_ENABLED")).lower() in ("1", "true") for each in settings)


def select(pinned: str, names: set[str]) -> str:
    """The lines of a requirements file, with hashes, of the named packages."""
    blocks = re.findall(r"^[\w.-]+(?:\[.*\])?==.*(?:\n[ \t]+.*)*", pinned, re.MULTILINE)
    found = {_names(block)[0]: block for block in blocks}
    return "\n".join(found[name] for name in sorted(names)) + "\n"


def _names(pinned: str) -> list[str]:
    return [name.lower() for name in re.findall(r"^([\w.-]+)(?:\[.*\])?==", pinned, re.MULTILINE)]


def _platforms(machine: str) -> list[str]:
    """The platform tags of wheels that run on Lambda.

    Up to Python 3.11, Lambda runs on Amazon Linux 2 (glibc 2.26), since then on 2023 (glibc 2.34).
    """
    newest = 26 if sys.version_info < (3, 12) else 34
    return [
        f"manylinux2014_{machine}",
        *(f"manylinux_2_{n}_{machine}" for n in range(17, newest + 1)),
    ]


def _install(home: Path, requirements: str, platforms: list[str]) -> None:
    PACKAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=PACKAGES) as name:
        listed = Path(name) / "requirements.txt"
        listed.write_text(requirements)
        site_packages = Path(name) / "env" / "lib" / f"python{MINOR}" / "site-packages"
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"),
                *("--require-hashes", "--no-deps", "--no-compile", "--only-binary", ":all:"),
                *("--implementation", "cp", "--python-version", MINOR),
                *(option for tag in platforms for option in ("--platform", tag)),
                *("--target", str(site_packages), "--requirement", str(listed)),
            ],
            check=True,
        )
        try:
            (Path(name) / "env").rename(home)
        except OSError:  # another process made it first
            if not home.exists():
                raise


def finish(cli: Any) -> None:
    """Rewrites Zappa's archive. `cli` is Zappa, which then uploads the archive."""
    archive = Path(cli.zip_path)
    packages = Path(os.environ["VIRTUAL_ENV"], "lib", f"python{MINOR}", "site-packages")
    allowed = OURS | {path.name for path in packages.iterdir()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with zipfile.ZipFile(archive) as packed:
            for member in packed.namelist():
                if _is_needed(member, allowed):
                    packed.extract(member, folder)
        _compile(folder)
        archive.unlink()
        _write(folder, archive)


def _is_needed(member: str, allowed: set[str]) -> bool:
    if fnmatch.fnmatchcase(member, ISSUERS) and "/" not in member:
        return True
    if member.split("/")[0] not in allowed or "__pycache__" in member:
        return False
    if any(fnmatch.fnmatchcase(member, pattern) for pattern in KEPT):
        return True
    return not any(fnmatch.fnmatchcase(member, pattern) for pattern in NEEDLESS)


def _compile(folder: Path) -> None:
    """Replaces the sources with bytecode.

    Python would check bytecode beside its source by the source's date. All files in the archive are
    dated 1980, so it would find the bytecode stale. Lambda cannot keep what it compiles, so it
    would compile again at each cold start.
    """
    compiled = compileall.compile_dir(
        folder,
        quiet=1,
        legacy=True,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
        stripdir=str(folder),
        prependdir=TASK_ROOT,
    )
    if not compiled:
        raise RuntimeError("the package's sources do not compile")
    for source in folder.rglob("*.py"):
        source.unlink()


def _write(folder: Path, archive: Path) -> None:
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            member = zipfile.ZipInfo(path.relative_to(folder).as_posix())
            member.external_attr = 0o755 << 16
            member.create_system = 3
            packed.writestr(member, path.read_bytes(), zipfile.ZIP_DEFLATED, compresslevel=9)
