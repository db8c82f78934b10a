"""Kills and stops processes of a server at random."""
from __future__ import annotations

import contextlib
import os
import random
import signal
import threading
import time
from collections import Counter

from tests.harness import Server


class Nemesis(threading.Thread):
    """Strikes every now and then until it is told to stop; then every process goes on."""

    LONGEST_STOP = 2.0   # seconds

    def __init__(self, server: Server, seed: int, pause: float) -> None:
        super().__init__(daemon=True)
        self.server, self.dice, self.pause = server, random.Random(seed), pause
        self.stop = threading.Event()
        self.strikes: Counter[str] = Counter()
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            while not self.stop.wait(self.dice.random() * 2 * self.pause):
                name, strike = self.dice.choice((
                    ("worker killed", self.kill_worker), ("worker killed", self.kill_worker),
                    ("worker killed, and its successor", self.kill_successor), ("all workers killed", self.kill_all),
                    ("acceptor killed", self.kill_acceptor), ("worker stopped", self.stop_worker),
                    ("acceptor stopped", self.stop_acceptor), ("worker stopped and killed", self.stop_and_kill),
                ))
                strike()
                self.strikes[name] += 1
        except BaseException as failure:
            self.failure = failure

    def _signal(self, pid: int, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)

    def kill_worker(self) -> None:
        """Any."""
        self._signal(self.dice.choice(self.server.worker_pids()), signal.SIGKILL)

    def kill_successor(self) -> None:
        """One, and who comes after it, perhaps in the middle of its recovery."""
        shard = self.dice.randrange(len(self.server.worker_pids()))
        pid = self.server.kill_worker(shard)
        for _ in range(2000):
            found = self.server._titled("shardkv: worker ").get(shard, pid)
            if found != pid:
                self._signal(found, signal.SIGKILL)
                return
            time.sleep(0.0005)

    def kill_all(self) -> None:
        """At once."""
        for pid in self.server.worker_pids():
            self._signal(pid, signal.SIGKILL)

    def kill_acceptor(self) -> None:
        """Any."""
        self._signal(self.dice.choice(self.server.acceptor_pids()), signal.SIGKILL)

    def _hold(self, pid: int) -> None:
        self._signal(pid, signal.SIGSTOP)
        self.stop.wait(self.dice.random() ** 2 * self.LONGEST_STOP)

    def stop_worker(self) -> None:
        """For a while."""
        pid = self.dice.choice(self.server.worker_pids())
        self._hold(pid)
        self._signal(pid, signal.SIGCONT)

    def stop_acceptor(self) -> None:
        """For a while."""
        pid = self.dice.choice(self.server.acceptor_pids())
        self._hold(pid)
        self._signal(pid, signal.SIGCONT)

    def stop_and_kill(self) -> None:
        """One that does not go on."""
        pid = self.dice.choice(self.server.worker_pids())
        self._hold(pid)
        self._signal(pid, signal.SIGKILL)
