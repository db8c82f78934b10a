"""What clients notice of a worker that is killed under load, and how long a restart takes."""
from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from dataclasses import dataclass

from bench.load import CLIENTS, client
from bench.servers import Server, redis_benchmark, start, stop

KEYS = 64  # enough that every shard has some
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
        """Waits until every shard has answered again, and some time passed."""
        target, deadline = self.rounds + 2, time.monotonic() + PAUSE_SECONDS
        until = time.monotonic() + SETTLE_SECONDS
        while (self.rounds < target or time.monotonic() < until) and time.monotonic() < deadline:
            time.sleep(0.01)


def worker_pids(server: Server) -> list[int]:
    """Process ids of the workers, by shard."""
    with client(server) as connection:
        shards = connection.info("shards")
    return [int(shards[f"shard{number}"]["pid"]) for number in range(len(shards))]


def kill_workers(server: Server, kills: int) -> Deaths:
    """Kills workers in turn with SIGKILL under the load of redis-benchmark, and watches."""
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
            os.kill(pids[number % len(pids)], signal.SIGKILL)
            watcher.settle()
            pauses.append(watcher.take_longest())
        wrong = watcher.wrong + (load.poll() is not None)
    finally:
        watcher.stopped.set()
        watcher.join(PAUSE_SECONDS)
        load.kill()
        load.wait()
    return Deaths(pauses, undisturbed, wrong)


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
