"""Several workers with their arenas and rings, and acceptors that a test plays: leased requests, deaths."""
from __future__ import annotations

import faulthandler
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from shardkv._testing_ring import FakeAcceptor
from shardkv.claims import Claims
from shardkv.commands.table import command_id
from shardkv.hashing import current_secret
from shardkv.ring import RingPair
from shardkv.stats import ControlPage
from tests.harness import wait_until
from tests.workers.channels import FakeChannel
from workers.call import Call
from workers.memory import _testing_keyspace as keyspaces
from workers.memory.arena import crash_after
from workers.process import serve, take_shard
from workers.registry import command

RECORD_BYTES = 48
PATIENCE = 30.0


@command("@everywhere")
def everywhere(call: Call) -> None:
    """@everywhere key value: counts in `key`, and puts `value` beside it, in every shard that takes part."""
    for shard in [call.shard, *call.worker.leases.taken]:
        key, value = call.arg(1), call.arg(2)
        keyspaces.put_int(shard.keyspace, 0, key, int(keyspaces.get(shard.keyspace, 0, key) or 0) + 1)
        keyspaces.put(shard.keyspace, 0, key + b":last", value)
    if value == b"die":
        os.kill(os.getpid(), signal.SIGSEGV)
    call.reply.status("OK")


class Shards:
    """Worker processes, each with its successor when it dies; `acceptors[a][w]` writes into ring (a, w)."""

    def __init__(self, folder: Path, workers: int, acceptors: int = 1) -> None:
        self.folder, self.workers = folder, workers
        for a in range(acceptors):
            for w in range(workers):
                RingPair.create(str(folder / f"ring-{a}-{w}"))
            Claims.create(str(folder / f"claims-{a}"))
        self.page = ControlPage.create(str(folder / "control"), acceptors, workers)
        self.acceptors = [
            [FakeAcceptor(RingPair.open(str(folder / f"ring-{a}-{w}"))) for w in range(workers)]
            for a in range(acceptors)
        ]
        self.channel = FakeChannel()
        self.wake = [os.eventfd(0, os.EFD_NONBLOCK) for _ in range(workers)]
        self.assignments: list[dict[str, Any]] = [
            {
                "index": w, "epoch": 1, "acceptors": acceptors, "workers": workers, "folder": str(folder),
                "fresh": True, "died": 0, "settings": {"databases": "4", "logfile": str(folder / "log")},
                "secret": current_secret().hex(), "worker_wake": self.wake,
                "acceptor_wake": [os.eventfd(0, os.EFD_NONBLOCK) for _ in range(acceptors)],
            }
            for w in range(workers)
        ]
        self.pids = [0] * workers
        self.deaths = 0
        self.sends_again = True  # what was put off, as an acceptor does
        self.replies: list[list[list[bytes]]] = [[[] for _ in range(workers)] for _ in range(acceptors)]
        self.leased: dict[tuple[int, int, int], tuple[list[int], str, tuple[bytes, ...]]] = {}
        self.crashes: dict[int, list[int]] = {}  # worker: the stores at which it and its successors die

    def start(self, worker: int) -> None:
        """Starts a worker, which dies at the store that `crashes` says."""
        planned = self.crashes.get(worker, [])
        crash = planned.pop(0) if planned else 0
        self.pids[worker] = os.fork()
        if self.pids[worker] == 0:
            status = 1
            faulthandler.disable()  # who dies here does so on purpose
            try:
                crash_after(crash)
                status = serve(take_shard(self.assignments[worker], self.channel))  # type: ignore[arg-type]
            finally:
                os._exit(status)
        self.assignments[worker]["fresh"] = False

    def start_all(self) -> None:
        for worker in range(self.workers):
            self.start(worker)
        wait_until(self._have_started, "every worker")  # as acceptors do: nothing is sent before

    def _have_started(self) -> bool:
        self.revive()
        return all(self.page.worker_counters(worker)["started_ms"] for worker in range(self.workers))

    def revive(self) -> None:
        """Starts a successor of each worker that has died."""
        for worker, pid in enumerate(self.pids):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                self.deaths += 1
                self.assignments[worker]["died"] = os.waitstatus_to_exitcode(status)
                self.start(worker)

    def kill_all(self) -> None:
        for pid in self.pids:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)

    def send(self, worker: int, name: str, *words: bytes, acceptor: int = 0) -> None:
        """A request to one shard."""
        internal = name.startswith("@")
        self.acceptors[acceptor][worker].request(
            0 if internal else command_id(name), name.encode(), *words, internal=internal
        )

    def send_leased(self, shards: list[int], name: str, *words: bytes, acceptor: int = 0) -> None:
        """A request that the first of `shards` executes, the others taking part."""
        row = self.acceptors[acceptor]
        executor, *others = shards
        body = 4 * (1 + len(words)) + len(name) + sum(map(len, words))
        size = RECORD_BYTES + (body + 7) // 8 * 8 + 16 * len(others)
        end = row[executor].position + size
        markers = [(shard, row[shard].marker(executor, end)) for shard in others]
        for shard in others:
            row[shard].publish()
        self.leased[acceptor, executor, row[executor].sequence] = shards, name, words
        internal = name.startswith("@")
        row[executor].request(
            0 if internal else command_id(name), name.encode(), *words, internal=internal, participants=markers,
        )
        assert row[executor].position == end

    def settle(self, counts: list[int], acceptor: int = 0) -> None:
        """Waits until each shard has replied so often; successors of the dead are started meanwhile."""
        until = time.monotonic() + PATIENCE
        while [len(replies) for replies in self.replies[acceptor]] != counts:
            assert time.monotonic() < until, (counts, [len(replies) for replies in self.replies[acceptor]])
            for worker, side in enumerate(self.acceptors[acceptor]):
                for sequence, reply in side.replies():
                    if reply == b"again" and self.sends_again:
                        group, name, words = self.leased[acceptor, worker, sequence]
                        self.send_leased(group, name, *words, acceptor=acceptor)
                    else:
                        self.replies[acceptor][worker].append(reply)
            for wake in self.wake:
                os.eventfd_write(wake, 1)
            self.revive()
            os.sched_yield()


@contextmanager
def shards(
    folder: Path, workers: int, acceptors: int = 1, crashes: dict[int, list[int]] | None = None
) -> Iterator[Shards]:
    """Running workers; killed at the end."""
    made = Shards(folder, workers, acceptors)
    made.crashes = crashes or {}
    made.start_all()
    try:
        yield made
    finally:
        made.kill_all()
