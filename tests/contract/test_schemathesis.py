"""Requests made up from the document, good and bad: nothing fails, and every answer is described.

All of schemathesis's default checks, against the running app. More examples:
SCHEMATHESIS_EXAMPLES=200 ./scripts/test tests/contract/test_schemathesis.py
"""

import os
import subprocess
import sys
from pathlib import Path

from tests.people import make_token

HERE = Path(__file__).parent

EXAMPLES = os.environ.get("SCHEMATHESIS_EXAMPLES", "10")


def test_every_answer_is_described_and_none_fails(address, tmp_path):
    command = [
        str(Path(sys.executable).parent / "schemathesis"),
        f"--config-file={HERE / 'schemathesis.toml'}",
        "run",
        f"{address}/openapi.json",
        f"--header=Authorization: Bearer {make_token('acme', 'alice')}",
        f"--max-examples={EXAMPLES}",
        "--generation-deterministic",
        "--continue-on-failure",
        "--no-color",
    ]
    env = {**os.environ, "SCHEMATHESIS_HOOKS": "schemathesis_hooks", "PYTHONPATH": str(HERE)}
    run = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    print(run.stdout[-20_000:], run.stderr[-2000:])
    assert run.returncode == 0
