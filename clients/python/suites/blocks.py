"""The blocks of code in docs/frameworks.md, run as they stand, each in a process of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path

from suites import world

DOCS = Path(__file__).resolve().parents[3] / "docs" / "frameworks.md"


def run_block(name: str, before: str, after: str = "", folder: Path | None = None) -> str:
    """What the block prints. `before` and `after` are Python around it, `folder` where it runs."""
    world.use()
    found = re.search(rf"<!-- block: {name} -->\n```py\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert found
    ended = subprocess.run(
        [sys.executable, "-c", before + found[1] + after],
        cwd=folder,
        env={**os.environ, "SESSION_STORE_TOKEN": world.token()},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout
