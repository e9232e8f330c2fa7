"""Starts and stops DynamoDB Local and the service together. `./scripts/dev` calls this."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import dynamodb_local

PORT = os.environ["PORT"]
DYNAMODB_PORT = os.environ["DYNAMODB_PORT"]
DATA_DIR = Path(os.environ["LOCAL_DIR"]) / "dynamodb"
ADDRESS = f"http://127.0.0.1:{PORT}"
# Not .venv/bin/flask: on some systems, its first line must not contain a path with blanks.
FLASK = [sys.executable, "-m", "flask", "--app", "app.wsgi"]


def main() -> None:
    # Both signals end the blocks below. A shell may have started this with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        _check_ports()
        # Needs no table, so it is created while the engine starts.
        token = subprocess.Popen(
            [*FLASK, "token", "--tenant", "acme", "--user", "alice", "--expires-in", "86400"],
            stdout=subprocess.PIPE,
            text=True,
        )
        with dynamodb_local.start(int(DYNAMODB_PORT), DATA_DIR) as engine:
            _run(token)
            _run(subprocess.Popen([*FLASK, "table", "create"]))
            with _serve() as server:
                _wait_until_it_answers(server)
                if server.poll() is None:
                    _say_where(token.communicate()[0].strip())
                while server.poll() is None and engine.process.poll() is None:
                    time.sleep(0.2)
                if server.poll() is not None:
                    sys.exit(f"The service has ended unexpectedly (exit code {server.returncode}).")
                sys.exit(f"DynamoDB Local has ended unexpectedly:\n{engine.output()}")
    except dynamodb_local.EngineError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        print("\nStopped.")


def _check_ports() -> None:
    """Runs before anything is started: a port in use is the most likely problem."""
    for name, port in (("PORT", PORT), ("DYNAMODB_PORT", DYNAMODB_PORT)):
        if not port.isdigit() or not 0 < int(port) < 65536:
            sys.exit(f"{name}={port} is not a port.")
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", int(port)))
            except OSError as error:
                sys.exit(
                    f"Can't listen on port {port} ({error.strerror}). "
                    f"Try another: {name}={int(port) + 1} ./scripts/dev"
                )


def _run(command: subprocess.Popen[str] | subprocess.Popen[bytes]) -> None:
    if command.wait():
        sys.exit(command.returncode)  # it has printed the reason


@contextmanager
def _serve() -> Iterator[subprocess.Popen[bytes]]:
    # Its own process group: Ctrl-C comes here first, and FLASK_DEBUG's reloader has a child.
    server = subprocess.Popen(
        [*FLASK, "run", "--host", "127.0.0.1", "--port", PORT],
        start_new_session=True,
        preexec_fn=dynamodb_local.die_with_parent,
    )
    try:
        yield server
    finally:
        # A second Ctrl-C must not interrupt the cleanup.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
            try:
                server.wait(timeout=5)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)
                server.wait()


def _wait_until_it_answers(server: subprocess.Popen[bytes]) -> None:
    while server.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", int(PORT)), timeout=5).close()
        except OSError:
            time.sleep(0.05)
        else:
            return


def _say_where(token: str) -> None:
    lines = f"""
Swagger UI   {ADDRESS}/docs (a button there gets a token)
A token      {token}
             (for alice of acme, valid for a day; for others: ./scripts/token --tenant T --user U)
Try it       curl -s {ADDRESS}/api/v1/sessions -H "Authorization: Bearer {token}"
Sample data  ./scripts/seed --url {ADDRESS}
Press Ctrl-C to stop. The data stays in {DATA_DIR}
"""
    print(lines, flush=True)


if __name__ == "__main__":
    main()
