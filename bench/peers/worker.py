"""Runs a peer in its own process: reads one JSON call per line, prints one result per line.

python -m bench.peers.worker two_tables
"""

import importlib
import json
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from bench.meter import metered
from bench.peers.peer import Message, Peer


class Worker:
    def __init__(self, peer: Peer) -> None:
        self.peer = peer

    def create_tables(self) -> str:
        self.peer.create_tables()
        return self.peer.keeps

    def start(self, user: str, count: int) -> list[str]:
        return [self.peer.start(user) for _ in range(count)]

    def fill(self, user: str, session: str, message: Message, count: int) -> int:
        """Appends `count` messages, 50 at a time. Returns how many the session then has."""
        for start in range(0, count, 50):
            self.peer.append(user, session, [message] * min(50, count - start))
        return len(self.peer.get(user, session))

    def call(self, method: str, *arguments: Any) -> Any:
        return getattr(self.peer, method)(*arguments)

    def meter(self, method: str, *arguments: Any) -> dict[str, Any]:
        with metered(self.peer.client) as found:
            result = getattr(self.peer, method)(*arguments)
        return {**found.per(1), "supported": method != "list_latest" or result is not None}

    def time(self, method: str, *arguments: Any) -> dict[str, float]:
        wall, cpu = time.perf_counter(), time.process_time()
        getattr(self.peer, method)(*arguments)
        return {
            "cpu_ms": (time.process_time() - cpu) * 1000,
            "wall_ms": (time.perf_counter() - wall) * 1000,
        }

    def append_at_once(self, user: str, session: str, message: Message, count: int) -> Any:
        """Lets `count` writers append one message each, all at once. Returns what was stored."""
        failed: list[str] = []

        def append(number: int) -> None:
            try:
                content = f"{number:04} {message['content']}"
                self.peer.append(user, session, [{**message, "content": content}])
            except Exception as error:
                failed.append(f"{type(error).__name__}: {error}"[:200])

        with ThreadPoolExecutor(count) as pool:
            list(pool.map(append, range(count)))
        kept = Counter(content[:4] for content in self.peer.get(user, session))
        return {
            "appended": count,
            "refused": len(failed),
            "lost": count - len(failed) - len(kept),
            "doubled": sum(kept.values()) - len(kept),
            "count_says": self.peer.count(user, session),
            "errors": failed[:1],
        }

    def try_to_hold(self, user: str, message: Message, count: int) -> Any:
        """How many messages one conversation can hold, up to `count`."""
        session = self.peer.start(user)
        held = 0
        try:
            while held < count:
                self.peer.append(user, session, [message] * 50)
                held += 50
        except Exception as error:
            return {"held": held, "error": f"{type(error).__name__}: {error}"[:200]}
        return {"held": held, "error": None}


def main() -> None:
    worker = Worker(importlib.import_module(f"bench.peers.{sys.argv[1]}").Peer())
    for line in sys.stdin:
        method, *arguments = json.loads(line)
        print(json.dumps(getattr(worker, method)(*arguments)), flush=True)


if __name__ == "__main__":
    main()
