"""Generates docs/openapi.json and the marked parts of docs/architecture.md; see scripts/docs."""

import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
# The app needs a region to create its client. It makes no call.
os.environ.setdefault("AWS_DEFAULT_REGION", "us-east-1")

from app.config import Config  # noqa: E402
from app.factory import create_app  # noqa: E402
from app.table import keys  # noqa: E402


def generated() -> dict[Path, str]:
    """The text of each file as it should be."""
    app = create_app(Config(sessions_table="none", jwt_secret="x" * 32, docs_enabled=True))  # noqa: S106
    architecture = ROOT / "docs" / "architecture.md"
    return {
        ROOT / "docs" / "openapi.json": app.extensions["openapi_document"](),
        architecture: with_key_design(architecture.read_text()),
    }


def with_key_design(text: str) -> str:
    """`text` with the two tables of the key design between its markers."""
    items, patterns = re.findall(r"(?:^\|.*\n)+", keys.__doc__ or "", re.M)
    for name, table in {"items": items, "access patterns": patterns}.items():
        begin, end = f"<!-- {name}, from app/table/keys.py -->\n", f"<!-- end of {name} -->"
        before, rest = text.split(begin)
        text = f"{before}{begin}{table}{end}{rest.split(end)[1]}"
    return text


def main() -> int:
    stale = [path for path, text in generated().items() if path.read_text() != text]
    for path in stale:
        if "--check" in sys.argv:
            print(f"{path.relative_to(ROOT)} is out of date: run ./scripts/docs")
        else:
            path.write_text(generated()[path])
            print(f"wrote {path.relative_to(ROOT)}")
    return int(bool(stale) and "--check" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
