"""Generates `session_store._sync` from `session_store._async`; see scripts/docs.

python clients/python/generate.py [--check]
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import unasync

PACKAGE = Path(__file__).resolve().parent / "src" / "session_store"
SOURCE, TARGET = PACKAGE / "_async", PACKAGE / "_sync"

NAMES = {
    "_async": "_sync",
    "AsyncByteStream": "SyncByteStream",
    "AsyncIterable": "Iterable",
    "AsyncIterator": "Iterator",
    "aclose": "close",
    "anyio": "time",
    **{
        f"Async{name}": name
        for name in (
            "BaseTransport",
            "Client",
            "Connection",
            "Http",
            "Messages",
            "Sessions",
            "Sources",
            "TenantSources",
            "Transport",
            "Upload",
            "Values",
        )
    },
}
"""What a name becomes. unasync itself replaces `async`, `await`, `__aenter__` and the like."""

HEADER = '"""Generated from `_async` by clients/python/generate.py."""\n'


def generated() -> dict[Path, str]:
    """The text of each file as it should be."""
    files = sorted(SOURCE.glob("*.py"))
    with tempfile.TemporaryDirectory() as folder:
        rule = unasync.Rule(f"{SOURCE}/", f"{folder}/", additional_replacements=NAMES)
        unasync.unasync_files([str(path) for path in files], [rule])
        ruff = [sys.executable, "-m", "ruff"]
        options = ["--quiet", "--config", str(PACKAGE.parents[3] / "pyproject.toml"), folder]
        subprocess.run([*ruff, "check", "--fix", "--select", "I,PYI016", *options], check=True)
        subprocess.run([*ruff, "format", *options], check=True)
        texts = {TARGET / path.name: (Path(folder) / path.name).read_text() for path in files}
    texts[TARGET / "__init__.py"] = HEADER
    return texts


def main() -> int:
    stale = [
        path for path, text in generated().items() if not path.exists() or path.read_text() != text
    ]
    for path in stale:
        if "--check" in sys.argv:
            print(f"{path} is out of date: run ./scripts/docs")
        else:
            path.write_text(generated()[path])
            print(f"wrote {path}")
    return int(bool(stale) and "--check" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
