"""Starts and stops the servers that are measured or tested: shardkv of this tree, and Debian's redis-server.

Every server listens on loopback on a free port, keeps its files in a folder of its own and is ended by its process id.
"""
from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FIRST_PORT, LAST_PORT = 21800, 22799  # below the kernel's ephemeral ports: no outgoing connection takes one meanwhile
START_SECONDS = 60
STOP_SECONDS = 20


class ServerError(Exception):
    """A server that did not start, or a program that is missing; the text is for the user."""


@dataclass
class Server:
    """A running server: `kind` is "shardkv" or "redis"; `process` the one to signal; `folder` where its files are."""

    kind: str
    port: int
    process: subprocess.Popen[bytes]
    folder: Path

    @property
    def log(self) -> str:
        """What the server printed so far."""
        return (self.folder / "log").read_text(errors="replace")

    def pids(self) -> list[int]:
        """Process ids of the server and of everything below it."""
        return [self.process.pid, *descendants(self.process.pid)]


def redis_server() -> str:
    """Path of redis-server; raises ServerError when it is not installed."""
    return _program("redis-server", "redis-server")


def redis_benchmark() -> str:
    """Path of redis-benchmark; raises ServerError when it is not installed."""
    return _program("redis-benchmark", "redis-tools")


def _program(name: str, package: str) -> str:
    path = shutil.which(name, path="/usr/bin:/usr/local/bin:/bin") or shutil.which(name)
    if path is None:
        raise ServerError(f"{name} is missing; it comes with Debian's package {package}: apt-get install {package}")
    return path


def free_port(count: int = 1) -> int:
    """The first of `count` loopback ports in a row that no one listens on; raises ServerError when there are none."""
    for first in range(FIRST_PORT, LAST_PORT - count, count):
        with contextlib.ExitStack() as stack:
            try:
                for port in range(first, first + count):
                    probe = stack.enter_context(socket.socket())
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    probe.bind(("127.0.0.1", port))
                return first
            except OSError:
                continue
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
    if kind == "redis":
        return [
            redis_server(), "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder),
            "--save", "", "--appendonly", "no", "--daemonize", "no", *flags,
        ]
    chosen = [] if workers is None else ["--workers", str(workers)]
    return [
        sys.executable, "-m", "shardkv", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder),
        "--arena-dir", str(folder), *chosen, *flags,
    ]


@contextlib.contextmanager
def running(kind: str, workers: int | None = None, flags: list[str] | None = None) -> Iterator[Server]:
    """A fresh server that answers PING; stopped, and its files removed, at the end. Raises ServerError."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="shardkv-run-", dir=shared if shared.is_dir() else None) as name:
        folder = Path(name)
        server = start(kind, free_port(), folder, workers, flags or [])
        try:
            yield server
        finally:
            stop(server)


def start(kind: str, port: int, folder: Path, workers: int | None, flags: list[str]) -> Server:
    """Starts a server and waits until it answers; raises ServerError with the end of its log when it does not."""
    with open(folder / "log", "ab") as log:
        process = subprocess.Popen(
            command_line(kind, port, folder, workers, flags),
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
        )
    server = Server(kind, port, process, folder)
    deadline = time.monotonic() + START_SECONDS
    while not answers(port):
        if process.poll() is not None or time.monotonic() > deadline:
            stop(server)
            raise ServerError(f"{kind} did not start: {' | '.join(server.log.splitlines()[-5:]) or 'no output'}")
        time.sleep(0.01)
    return server


def answers(port: int) -> bool:
    """Whether a server on the port answers PING within a second."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(64).startswith(b"+PONG")
    except OSError:
        return False


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
