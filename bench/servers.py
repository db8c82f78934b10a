"""Starts and stops the servers that are measured or tested: shardkv of this tree, and its rivals.

Every server listens on loopback on a free port, keeps its files in a folder of its own and is ended by its process id.
"""
from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import rivals

ROOT = Path(__file__).resolve().parent.parent
FIRST_PORT, LAST_PORT = 20000, 29999  # below the kernel's ephemeral ports: no outgoing connection takes one meanwhile
GIVEN_MAX = 64  # lots of ports that were given out and are not given again so soon
TRIES = 5  # at a port that another program took between the look and the start
START_SECONDS = 60
STOP_SECONDS = 20
POLL_SECONDS = 0.001


class ServerError(Exception):
    """A server that did not start, or a program that is missing; the text is for the user."""


@dataclass
class Server:
    """A running server: `kind` is "shardkv" or a rival's; `process` the one to signal; `folder` where its files are.

    `ready_seconds` passed from its start until it served a PING.
    """

    kind: str
    port: int
    process: subprocess.Popen[bytes]
    folder: Path
    ready_seconds: float = 0.0

    @property
    def log(self) -> str:
        """What the server printed so far."""
        return (self.folder / "log").read_text(errors="replace")

    def pids(self) -> list[int]:
        """Process ids of the server and of everything below it."""
        return [self.process.pid, *descendants(self.process.pid)]

    def pids_by_role(self) -> dict[str, list[int]]:
        """The same by what they are (`role`); one that has ended is left out."""
        found: dict[str, list[int]] = {}
        for pid in self.pids():
            if name := role(pid):
                found.setdefault(name, []).append(pid)
        return found


def role(pid: int) -> str:
    """What a process is, from its title: `shardkv: worker 2` is a worker; empty when it has ended."""
    try:
        title = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except OSError:
        return ""
    match = re.match(r"shardkv: ([a-z]+)", title)
    return match[1] if match else "server" if title else ""


def rival(kind: str) -> str:
    """Path of a rival's program; raises ServerError when it is not installed."""
    path = rivals.program(kind)
    if path is None:
        package = "redis-server" if kind == rivals.DEBIAN else ""
        raise ServerError(_missing("redis-server", package) if package else f"the wheel of {kind} is not installed")
    return str(path)


def redis_benchmark() -> str:
    """Path of redis-benchmark; raises ServerError when it is not installed."""
    path = shutil.which("redis-benchmark", path=rivals.PATH) or shutil.which("redis-benchmark")
    if path is None:
        raise ServerError(_missing("redis-benchmark", "redis-tools"))
    return path


def _missing(name: str, package: str) -> str:
    return f"{name} is missing; it comes with Debian's package {package}: apt-get install {package}"


_giving = threading.Lock()
_given: deque[range] = deque(maxlen=GIVEN_MAX)


def free_port(count: int = 1) -> int:
    """The first of `count` loopback ports in a row that no one listens on; raises ServerError when there are none.

    Chosen by chance, so that programs which look at the same time hardly meet; threads of one program are not given
    the same.
    """
    for _ in range(100):
        first = random.randrange(FIRST_PORT, LAST_PORT - count)
        with _giving:
            if any(first < given.stop and given.start < first + count for given in _given):
                continue
            _given.append(range(first, first + count))
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for port in range(first, first + count):
                probe = stack.enter_context(socket.socket())
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("127.0.0.1", port))
            return first
    raise ServerError(f"no {count} free ports between {FIRST_PORT} and {LAST_PORT}")


def descendants(pid: int) -> list[int]:
    """Process ids below `pid`, breadth first; a process that ends meanwhile is left out."""
    found: list[int] = []
    queue = [pid]
    while queue:
        parent = queue.pop(0)
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{parent}/task").iterdir():
                below = [int(word) for word in (task / "children").read_text().split()]
                found += below
                queue += below
    return found


def command_line(kind: str, port: int, folder: Path, workers: int | None, flags: list[str]) -> list[str]:
    """How to start a server of `kind` on `port` with its files in `folder`."""
    if kind in rivals.KINDS:
        return [
            rival(kind), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder),
            "--save", "", "--appendonly", "no", "--daemonize", "no", *flags,
        ]
    chosen = [] if workers is None else ["--workers", str(workers)]
    return [
        sys.executable, "-m", "shardkv", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder),
        "--arena-dir", str(folder), *chosen, *flags,
    ]


@contextlib.contextmanager
def running(kind: str, workers: int | None = None, flags: list[str] | None = None) -> Iterator[Server]:
    """A fresh server that answers; stopped, and its files removed, at the end. Raises ServerError."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="shardkv-run-", dir=shared if shared.is_dir() else None) as name:
        for tries_left in reversed(range(TRIES)):
            try:
                server = start(kind, free_port(), Path(name), workers, flags or [])
                break
            except ServerError:
                if not tries_left or "in use" not in (Path(name) / "log").read_text(errors="replace"):
                    raise
        try:
            yield server
        finally:
            stop(server)


def start(kind: str, port: int, folder: Path, workers: int | None, flags: list[str]) -> Server:
    """Starts a server and waits until it is ready; raises ServerError with the end of its log when it is not."""
    begun = time.perf_counter()
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            command_line(kind, port, folder, workers, flags),
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
        )
    server = Server(kind, port, process, folder)
    deadline = time.monotonic() + START_SECONDS
    while answering(port) != process.pid:  # another number: the port is another server's, and ours is about to end
        if process.poll() is not None or time.monotonic() > deadline:
            stop(server)
            raise ServerError(f"{kind} did not start: {' | '.join(server.log.splitlines()[-5:]) or 'no output'}")
        time.sleep(POLL_SECONDS)
    server.ready_seconds = time.perf_counter() - begun
    return server


def answering(port: int) -> int | None:
    """Process id of the server that is ready on the port, as its INFO tells; None when none is within a second.

    Ready is who answers PING by PONG, which a server that is still loading does not.
    """
    said = b""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
        connection.sendall(b"INFO server\r\nPING\r\nQUIT\r\n")
        while part := connection.recv(1 << 16):
            said += part
    match = re.search(rb"process_id:(\d+)", said)
    return int(match[1]) if match and b"+PONG\r\n" in said else None


def stop(server: Server) -> None:
    """SIGTERM, then SIGKILL for what does not follow in time, the children too."""
    with contextlib.ExitStack() as stack:
        handles = []
        for pid in server.pids():  # a handle names one process for ever, a number does not
            with contextlib.suppress(ProcessLookupError):
                handles.append(os.pidfd_open(pid))
                stack.callback(os.close, handles[-1])
        server.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.process.wait(STOP_SECONDS)
        for handle in handles:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
    server.process.wait()
