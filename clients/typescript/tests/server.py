"""Serves the app over DynamoDB Local in memory until its input ends. Prints its address first."""

import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts")]
os.chdir(ROOT)
os.environ |= {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_REGION": "us-east-1",
    "AWS_DEFAULT_REGION": "us-east-1",
}
os.environ.pop("AWS_PROFILE", None)

import dynamodb_local  # noqa: E402

from app.operations import provision  # noqa: E402
from app.table import db  # noqa: E402
from tests.faults.server import serve  # noqa: E402
from tests.people import SECRET  # noqa: E402

TABLE = "sessions"


def main() -> None:
    with dynamodb_local.start() as engine:
        os.environ["AWS_ENDPOINT_URL_DYNAMODB"] = engine.url
        list(provision.create(db.Table(TABLE, db.connect())))
        with serve(TABLE, engine.url, workers=1, threads=8) as server:
            told = {"url": f"http://127.0.0.1:{server.port}", "secret": SECRET}
            print(json.dumps(told), flush=True)
            sys.stdin.read()


if __name__ == "__main__":
    main()
