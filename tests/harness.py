"""A shardkv server under test: starts it on a free port, knows its processes, ends it by pid, leaves nothing behind."""
from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import redis

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 20.0  # seconds; CI machines are slow and noisy


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """Waits until `condition` answers something true, and returns that. Raises TimeoutError that says `what`."""
    deadline = time.monotonic() + patience
    while not (answer := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {patience} seconds for {what}")
        time.sleep(0.005)
    return answer


def wait_gone(pid: int) -> None:
    """Waits until a process that need not be our child has ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        waiting = select.poll()     # select() knows no descriptor above 1023
        waiting.register(descriptor, select.POLLIN)
        if not waiting.poll(PATIENCE * 1000):
            raise TimeoutError(f"process {pid} does not end")
    finally:
        os.close(descriptor)


def children_of(pid: int) -> list[int]:
    """Process ids of the direct children of a process."""
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def title_of(pid: int) -> str:
    """The title of a process, as `ps` shows it; empty when it is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().rstrip(b"\0").replace(b"\0", b" ").decode()
    except OSError:
        return ""


def environment() -> dict[str, str]:
    """The environment in which a child interpreter finds this tree."""
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))}


def run_shardkv(*words: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs the command with these words to its end, and returns output and status."""
    command = [sys.executable, "-m", "shardkv", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=environment(), **options)


class Server:
    """One server process tree. `flags` are command line words; `command` is what is run instead of `-m shardkv`."""

    def __init__(
        self, *flags: str, port: int | None = None, config: str = "", command: Sequence[str] = ("-m", "shardkv")
    ) -> None:
        self.port = free_port() if port is None else port
        shm = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.folder = Path(tempfile.mkdtemp(prefix="shardkv-test-", dir=shm))
        self.log_path = self.folder / "output"
        own = ["--port", str(self.port), "--arena-dir", str(self.folder), "--dir", str(self.folder)]
        file = [config] if config else []
        workers = [] if "--workers" in flags or config else ["--workers", "2"]
        self.command = [sys.executable, *command, *file, *own, *workers, "--enable-debug-command", "yes", *flags]
        self.process: subprocess.Popen[bytes] | None = None
        self._clients: list[redis.Redis] = []

    # -- life

    def start(self) -> Server:
        """Starts and waits until PING is answered. Raises RuntimeError with the output when it ends instead."""
        self.spawn()
        wait_until(self._answers, "the server's PONG")
        return self

    def spawn(self) -> subprocess.Popen[bytes]:
        """Starts and does not wait."""
        with open(self.log_path, "ab") as output:
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=environment(),
            )
        return self.process

    def _answers(self) -> bool:
        assert self.process is not None
        if self.process.poll() is not None:
            raise RuntimeError(f"the server ended with status {self.process.returncode}:\n{self.output()}")
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE) as probe:
                probe.sendall(b"PING\r\n")
                reply = probe.recv(64)
                # Without the password it is an error, and as good a sign of life.
                return reply[:1] in (b"+", b"-") and not reply.startswith(b"-LOADING")
        except OSError:
            return False

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ends the server by a signal and returns its exit status; the data stays."""
        self._close_clients()
        assert self.process is not None
        if self.process.poll() is None:
            children = children_of(self.process.pid)
            self.process.send_signal(number)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise
            for child in children:
                wait_gone(child)
        return self.process.returncode

    def restart(self, number: int = signal.SIGTERM) -> Server:
        """Stops with a signal and starts again over the same data."""
        self.stop(number)
        return self.start()

    def close(self) -> None:
        """Ends the server, whatever state it is in, and removes all its files."""
        if self.process is not None:
            if self.process.poll() is None:
                self.stop(signal.SIGKILL)
            self._close_clients()
        shutil.rmtree(self.folder, ignore_errors=True)

    def output(self) -> str:
        """Everything the server has printed."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def __enter__(self) -> Server:
        return self.start()

    def __exit__(self, *error: object) -> None:
        self.close()

    # -- clients

    def client(self, **options: Any) -> redis.Redis:
        """A redis-py client (RESP2 unless `protocol=3`), closed with the server."""
        defaults: dict[str, Any] = {"protocol": 2, "socket_timeout": PATIENCE, "host": "127.0.0.1", "port": self.port}
        client = redis.Redis(**(defaults | options))
        self._clients.append(client)
        return client

    def connect(self) -> socket.socket:
        """A bare connection, for bytes that no client library would send."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)

    def _close_clients(self) -> None:
        while self._clients:
            self._clients.pop().close()

    # -- processes

    @property
    def pid(self) -> int:
        """The supervisor's process id."""
        assert self.process is not None
        return self.process.pid

    @property
    def data_folder(self) -> Path:
        """The instance's folder, with its arenas."""
        return self.folder / f"shardkv-{self.port}"

    def _titled(self, prefix: str) -> dict[int, int]:
        found = {}
        for pid in children_of(self.pid):
            title = title_of(pid)
            number = title.removeprefix(prefix).strip()
            if title.startswith(prefix) and number.isdigit():
                found[int(number)] = pid
        return found

    def worker_pids(self) -> list[int]:
        """Process ids of the workers, by shard. One that is being replaced is waited for."""
        return self._pids("shardkv: worker ", "ring-0-*")

    def acceptor_pids(self) -> list[int]:
        """Process ids of the acceptors, in order. One that is being replaced is waited for."""
        return self._pids("shardkv: acceptor ", "ring-*-0")

    def _pids(self, prefix: str, rings: str) -> list[int]:
        def complete() -> list[int]:
            found = self._titled(prefix)
            expected = range(len(list(self.data_folder.glob(rings))))
            return [found[index] for index in expected] if sorted(found) == list(expected) else []

        pids: list[int] = wait_until(complete, f"processes titled '{prefix}'")
        return pids

    def kill_worker(self, index: int, number: int = signal.SIGKILL) -> int:
        """Kills the worker of a shard as it is now and returns its process id, without waiting for its replacement."""
        pid: int = wait_until(lambda: self._titled("shardkv: worker ").get(index), f"worker {index}")
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass
        return pid

    def kill_acceptor(self, index: int, number: int = signal.SIGKILL) -> int:
        """Kills an acceptor as it is now and returns its process id."""
        pid: int = wait_until(lambda: self._titled("shardkv: acceptor ").get(index), f"acceptor {index}")
        os.kill(pid, number)
        return pid
