"""A proxy in front of DynamoDB Local that injects the faults of networks and of DynamoDB.

A plan decides which fault each call gets, if any. A fault is a function of the exchange. It can
wait, forward the request, cut the connection, or answer by itself, in any order. For example, a
lost answer is `forward` followed by `cut`.
"""

import json
import random
import socket
import socketserver
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, BinaryIO
from uuid import uuid4

Fault = Callable[["Exchange"], None]
Plan = Callable[["Call"], Fault | None]


@dataclass
class Call:
    """`number` counts from 1 over all connections, in the order in which calls arrive."""

    number: int
    operation: str
    body: bytes

    @property
    def request(self) -> Any:
        return json.loads(self.body)


class Cut(Exception):
    """Ends the connection to the client."""


@dataclass
class Exchange:
    """One call in progress."""

    call: Call
    head: bytes
    upstream: "Upstream"
    client: BinaryIO
    answer_to_send: bytes | None = None

    def forward(self, body: bytes | None = None) -> tuple[int, bytes]:
        """Sends the request to the database, with another body if one is given.

        Returns the status and body of the answer. The answer then goes to the client, unless the
        fault cuts the connection or answers by itself.
        """
        body = self.call.body if body is None else body
        status, head, content = self.upstream.ask(with_length(self.head, body) + body)
        self.answer_to_send = head + content
        return status, content

    def answer(self, status: int, body: dict[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.answer_to_send = (
            f"HTTP/1.1 {status} -\r\nContent-Type: application/x-amz-json-1.0\r\n"
            f"x-amzn-RequestId: {uuid4()}\r\nContent-Length: {len(content)}\r\n\r\n"
        ).encode() + content

    def redate(self, date: str) -> None:
        """Gives the answer another `Date`."""
        assert self.answer_to_send is not None
        head, body = self.answer_to_send.split(b"\r\n\r\n", 1)
        lines = [line for line in head.split(b"\r\n") if not line.lower().startswith(b"date:")]
        head = b"\r\n".join([*lines, f"Date: {date}".encode()])
        self.answer_to_send = head + b"\r\n\r\n" + body

    def cut(self) -> None:
        raise Cut


class Upstream:
    """A connection to the database, one per connection of the client."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._socket: socket.socket | None = None

    def ask(self, request: bytes) -> tuple[int, bytes, bytes]:
        """
        Raises:
            Cut: the database cannot be reached, or closed the connection.
        """
        try:
            if self._socket is None:
                self._socket = socket.create_connection(self._address)
                self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._file = self._socket.makefile("rb")
            self._socket.sendall(request)
            head, body = _read_message(self._file)
        except OSError:
            raise Cut from None
        if not head:
            raise Cut
        return int(head.split(b" ", 2)[1]), head, body

    def close(self) -> None:
        if self._socket:
            self._file.close()
            self._socket.close()


@dataclass
class Proxy:
    """Listens on loopback within its `with` block. `plan` may be changed at any time."""

    upstream: str
    plan: Plan = field(default=lambda _: None)

    def __post_init__(self) -> None:
        host, port = self.upstream.removeprefix("http://").split(":")
        self._upstream = (host, int(port))
        self._lock = threading.Lock()
        self._connections: set[socket.socket] = set()
        self.forget()

    def forget(self) -> None:
        """Forgets all calls, and counts from 1 again."""
        self.calls: list[str] = []  # their operations
        self.faults: Counter[str] = Counter()

    def count(self, operation: str, body: bytes) -> Call:
        with self._lock:
            self.calls.append(operation)
            return Call(len(self.calls), operation, body)

    def __enter__(self) -> "Proxy":
        proxy = self

        class Handler(socketserver.StreamRequestHandler):
            disable_nagle_algorithm = True

            def handle(self) -> None:
                proxy.serve(self.connection, self.rfile)  # type: ignore[arg-type]

        class Server(socketserver.ThreadingTCPServer):
            daemon_threads = True
            block_on_close = False
            request_queue_size = 128
            allow_reuse_address = True

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        for connection in list(self._connections):
            _end(connection)

    def serve(self, connection: socket.socket, stream: BinaryIO) -> None:
        self._connections.add(connection)
        upstream = Upstream(self._upstream)
        try:
            while True:
                head, body = _read_message(stream)
                if not head:
                    return
                exchange = Exchange(self.count(_operation(head), body), head, upstream, stream)
                fault = self.plan(exchange.call)
                if fault:
                    with self._lock:
                        self.faults[fault.__name__] += 1
                    fault(exchange)
                if exchange.answer_to_send is None:
                    exchange.forward()
                assert exchange.answer_to_send is not None
                connection.sendall(exchange.answer_to_send)
        except (Cut, OSError):
            pass
        finally:
            upstream.close()
            _end(connection)
            self._connections.discard(connection)


def _end(connection: socket.socket) -> None:
    with suppress(OSError):  # it has ended already
        connection.shutdown(socket.SHUT_RDWR)


def _read_message(stream: BinaryIO) -> tuple[bytes, bytes]:
    """The head and body of an HTTP message. Chunks are joined.

    Both are empty if the other side has closed the connection.
    """
    lines: list[bytes] = []
    length: int | None = 0
    while (line := stream.readline()) != b"\r\n":
        if not line:
            return b"", b""
        name, _, value = line.partition(b":")
        if name.lower() == b"transfer-encoding":
            length = None
            continue
        if name.lower() == b"content-length":
            length = int(value)
        lines.append(line)
    body = _read_chunks(stream) if length is None else stream.read(length)
    if length is None:
        lines.append(f"Content-Length: {len(body)}\r\n".encode())
    return b"".join([*lines, b"\r\n"]), body


def _read_chunks(stream: BinaryIO) -> bytes:
    chunks = []
    while size := int(stream.readline(), 16):
        chunks.append(stream.read(size))
        stream.readline()
    stream.readline()
    return b"".join(chunks)


def _operation(head: bytes) -> str:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"x-amz-target":
            return value.strip().decode().removeprefix("DynamoDB_20120810.")
    return ""


def with_length(head: bytes, body: bytes) -> bytes:
    """The head of a request, with the Content-Length of another body."""
    lines = [
        f"Content-Length: {len(body)}".encode()
        if line.lower().startswith(b"content-length")
        else line
        for line in head.split(b"\r\n")
    ]
    return b"\r\n".join(lines)


# The faults.


def cut_before(exchange: Exchange) -> None:
    """The connection breaks before the database acts."""
    exchange.cut()


def cut_after(exchange: Exchange) -> None:
    """The database acts, but its answer is lost."""
    exchange.forward()
    exchange.cut()


def delayed(exchange: Exchange) -> None:
    time.sleep(0.05)
    exchange.forward()
    time.sleep(0.05)


def throttled(exchange: Exchange) -> None:
    _refuse(
        exchange, 400, "ThrottlingException", "Rate of requests exceeds the allowed throughput."
    )


def over_capacity(exchange: Exchange) -> None:
    code = "ProvisionedThroughputExceededException"
    _refuse(exchange, 400, code, "The level of configured provisioned throughput was exceeded.")


def refused(code: str) -> Fault:
    """DynamoDB's answer to bad credentials, a missing right and the like."""

    def refused(exchange: Exchange) -> None:
        _refuse(exchange, 400, code, "Not for the client's eyes.")

    return refused


def in_conflict(exchange: Exchange) -> None:
    """Another transaction uses the items. Transactions and other calls report this differently."""
    if exchange.call.operation != "TransactWriteItems":
        code = "TransactionConflictException"
        _refuse(exchange, 400, code, "Transaction is ongoing for the item")
        return
    others = len(exchange.call.request["TransactItems"]) - 1
    reasons = [
        {"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"},
        *({"Code": "None"} for _ in range(others)),
    ]
    codes = ", ".join(reason["Code"] for reason in reasons)
    message = f"Transaction cancelled, please refer cancellation reasons for [{codes}]"
    exchange.answer(
        400,
        {
            "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
            "Message": message,
            "CancellationReasons": reasons,
        },
    )


def broken_inside(exchange: Exchange) -> None:
    """DynamoDB fails before it acts. The client cannot know that."""
    _refuse(exchange, 500, "InternalServerError", "The request could not be processed.")


def broken_inside_after(exchange: Exchange) -> None:
    """DynamoDB acts, then fails."""
    exchange.forward()
    broken_inside(exchange)


def bad_gateway(exchange: Exchange) -> None:
    """A gateway forwards the request, loses the answer, and sends an error page of its own."""
    exchange.forward()
    page = b"<html>Bad gateway</html>"
    head = f"HTTP/1.1 502 -\r\nContent-Type: text/html\r\nContent-Length: {len(page)}\r\n\r\n"
    exchange.answer_to_send = head.encode() + page


def partly_done(exchange: Exchange) -> None:
    """Only the first half of a batch is done. DynamoDB reports this with status 200."""
    call = exchange.call
    if call.operation not in ("BatchWriteItem", "BatchGetItem"):
        return
    request = call.request
    [(table, asked)] = request["RequestItems"].items()
    keys = asked if call.operation == "BatchWriteItem" else asked["Keys"]
    first, rest = keys[: len(keys) // 2], keys[len(keys) // 2 :]
    remainder = rest if call.operation == "BatchWriteItem" else {**asked, "Keys": rest}
    part = first if call.operation == "BatchWriteItem" else {**asked, "Keys": first}
    answer: dict[str, Any] = {"Responses": {table: []}}
    if first:
        request["RequestItems"] = {table: part}
        _, content = exchange.forward(json.dumps(request).encode())
        answer = json.loads(content)
    name = "UnprocessedItems" if call.operation == "BatchWriteItem" else "UnprocessedKeys"
    exchange.answer(200, {**answer, name: {table: remainder}})


def _refuse(exchange: Exchange, status: int, code: str, message: str) -> None:
    kind = f"com.amazonaws.dynamodb.v20120810#{code}"
    exchange.answer(status, {"__type": kind, "message": message})


EVERY_FAULT: tuple[Fault, ...] = (
    delayed,
    cut_before,
    cut_after,
    throttled,
    over_capacity,
    in_conflict,
    broken_inside,
    broken_inside_after,
    partly_done,
)


# The plans: which calls get a fault.


def nothing(_: Call) -> None:
    return None


def always(fault: Fault, operation: str | None = None) -> Plan:
    return lambda call: fault if operation in (None, call.operation) else None


def once(fault: Fault, operation: str | None = None) -> Plan:
    """The first call, or the first call of that operation."""
    return first(1, fault, operation)


def first(count: int, fault: Fault, operation: str | None = None) -> Plan:
    met = iter(range(count))

    def plan(call: Call) -> Fault | None:
        return (
            fault if operation in (None, call.operation) and next(met, None) is not None else None
        )

    return plan


def at(number: int, fault: Fault) -> Plan:
    """The Nth call."""
    return lambda call: fault if call.number == number else None


def randomly(rate: float, seed: int, faults: Iterable[Fault] = EVERY_FAULT) -> Plan:
    chosen, dice, lock = list(faults), random.Random(seed), threading.Lock()

    def plan(_: Call) -> Fault | None:
        with lock:
            return dice.choice(chosen) if dice.random() < rate else None

    return plan
