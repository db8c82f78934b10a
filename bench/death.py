"""What clients notice of processes that are killed, and how long a restart takes."""
from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from bench import fill
from bench.compare import OURS, Options, Rows, wait_until
from bench.load import CLIENTS, client
from bench.servers import Server, redis_benchmark, start, stop

KEYS = 64  # enough that every shard has some
KILLS = 6
WORKERS = 3  # of the server whose workers are killed all at once
APART_SECONDS = 1.5  # between kills of a kind, so that no brake on restarts takes part
PAUSE_SECONDS = 10  # a worker that is not back by then is not coming back
SETTLE_SECONDS = 0.5


@dataclass(frozen=True)
class Deaths:
    """Longest pause (ms) around each kill, the longest one without a kill, and replies that were wrong or errors."""

    pauses: list[float]
    undisturbed: float
    wrong: int


class Watcher(threading.Thread):
    """Counts keys of all shards up, one by one, checks each reply, and notes the longest gap between replies."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self.server = server
        self.stopped = threading.Event()
        self.longest = 0.0
        self.wrong = 0
        self.rounds = 0

    def run(self) -> None:
        """Until `stopped` is set."""
        with client(self.server) as connection:
            keys = [f"watched:{number}" for number in range(KEYS)]
            connection.delete(*keys)
            wanted = 0
            last = time.perf_counter()
            while not self.stopped.is_set():
                wanted += 1
                for key in keys:
                    try:
                        self.wrong += connection.incr(key) != wanted
                    except Exception:  # an error reply or a lost connection is just what must not happen: count it
                        self.wrong += 1
                    now = time.perf_counter()
                    self.longest = max(self.longest, now - last)
                    last = now
                self.rounds += 1

    def take_longest(self) -> float:
        """The longest gap in milliseconds since the last call."""
        longest, self.longest = self.longest, 0.0
        return longest * 1000

    def settle(self) -> None:
        """Waits until every shard has served the watcher again, and some time passed."""
        target, deadline = self.rounds + 2, time.monotonic() + PAUSE_SECONDS
        until = time.monotonic() + SETTLE_SECONDS
        while (self.rounds < target or time.monotonic() < until) and time.monotonic() < deadline:
            time.sleep(0.01)


def worker_pids(server: Server) -> list[int]:
    """Process ids of the workers, by shard."""
    with client(server) as connection:
        shards = connection.info("shards")
    numbers = sorted(int(name[len("shard"):]) for name in shards if name.startswith("shard"))
    return [int(shards[f"shard{number}"]["pid"]) for number in numbers]


def measure(options: Options) -> Iterator[Rows]:
    """Milliseconds of every kill by what was killed, and of no kill; wrong replies; seconds of a restart.

    {"worker" or "workers": {"pauses_ms", "undisturbed_ms", "wrong_replies"}, "acceptor": {"pauses_ms"}, "restart": …}.
    """
    with options.server(OURS) as server:
        yield {"worker": row(kill_workers(server, KILLS, at_once=False))}
    with options.server(OURS, options.workers or WORKERS) as server:
        yield {"workers": row(kill_workers(server, KILLS, at_once=True))}
        yield {"acceptor": {"pauses_ms": [kill_acceptors(server) for _ in range(KILLS)]}}
    with options.server(OURS) as server:
        fill.strings(server, options.keys)
        yield {"restart": {"seconds": restart_seconds(server, options.keys, options.workers), "keys": options.keys}}


def row(deaths: Deaths) -> Rows:
    """As it goes into the results."""
    return {"pauses_ms": deaths.pauses, "undisturbed_ms": deaths.undisturbed, "wrong_replies": deaths.wrong}


def kill_workers(server: Server, kills: int, at_once: bool) -> Deaths:
    """Kills workers, in turn or all at once, with SIGKILL under the load of redis-benchmark, and watches."""
    load = subprocess.Popen(
        [
            redis_benchmark(), "-p", str(server.port), "-t", "set,get", "-P", "16", "-c", str(CLIENTS),
            "-r", "100000", "-q", "-l",
        ],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    watcher = Watcher(server)
    watcher.start()
    try:
        watcher.settle()
        watcher.take_longest()
        watcher.settle()
        undisturbed = watcher.take_longest()
        pauses = []
        for number in range(kills):
            pids = worker_pids(server)
            for pid in pids if at_once else [pids[number % len(pids)]]:
                os.kill(pid, signal.SIGKILL)
            watcher.settle()
            pauses.append(watcher.take_longest())
            time.sleep(APART_SECONDS - SETTLE_SECONDS)
        wrong = watcher.wrong + (load.poll() is not None)
    finally:
        watcher.stopped.set()
        watcher.join(PAUSE_SECONDS)
        load.kill()
        load.wait()
    return Deaths(pauses, undisturbed, wrong)


def kill_acceptors(server: Server) -> float:
    """Kills all acceptors with SIGKILL; milliseconds until a connection made after that is served."""
    time.sleep(APART_SECONDS)
    wait_until(lambda: "acceptor" in server.pids_by_role(), PAUSE_SECONDS, "an acceptor")
    pids = server.pids_by_role()["acceptor"]
    begun = time.perf_counter()
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    while not pongs(server.port):
        if time.perf_counter() - begun > PAUSE_SECONDS:
            raise RuntimeError(f"no new connection is served {PAUSE_SECONDS} seconds after an acceptor's death")
    return (time.perf_counter() - begun) * 1e3


def pongs(port: int) -> bool:
    """Whether a new connection is served; waits for it, and returns False when it is closed or refused."""
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=PAUSE_SECONDS) as new:
        new.sendall(b"PING\r\n")
        return new.recv(100) == b"+PONG\r\n"
    return False


def restart_seconds(server: Server, keys: int, workers: int | None) -> float:
    """Stops the server cleanly and starts it again on its data; seconds from the start until all keys are there.

    `server` is the new process afterwards. Raises RuntimeError when keys are missing.
    """
    stop(server)
    begun = time.perf_counter()
    server.process = start(server.kind, server.port, server.folder, workers, []).process
    with client(server) as connection:
        found = connection.dbsize()
    seconds = time.perf_counter() - begun
    if found < keys:
        raise RuntimeError(f"{keys - found} of {keys} keys are gone after a restart")
    return seconds
