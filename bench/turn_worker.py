"""Runs the turns of a framework in a process of its environment: one turn for each line of stdin.

python -m bench.turn_worker openai

Imports nothing of the service, which is not installed there. What the framework prints goes to
stderr.
"""

import asyncio
import importlib
import json
import os
import sys
import time
from typing import Any


async def main() -> None:
    answers, sys.stdout = sys.stdout, sys.stderr
    module = importlib.import_module(f"bench.turns.{sys.argv[1]}")
    state = await module.setup(os.environ["SESSION_STORE_URL"], os.environ["SESSION_STORE_TOKEN"])
    while line := await asyncio.to_thread(sys.stdin.readline):
        client = module.client(state) if hasattr(module, "client") else None
        found = await _metered(module, state, client) if client and "meter" in line else {}
        if not found:
            started = time.process_time()
            await module.turn(state)
            found = {"cpu_ms": (time.process_time() - started) * 1000}
        print(json.dumps(found), file=answers, flush=True)


async def _metered(module: Any, state: Any, client: Any) -> Any:
    from bench.meter import metered  # needs boto3, which only some frameworks have

    with metered(client) as found:
        await module.turn(state)
    return found.per(1)


if __name__ == "__main__":
    asyncio.run(main())
