"""The worker's loop against its own death: every reply exactly once, every write exactly once, wherever it dies."""
from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from shardkv._testing_ring import FakeAcceptor
from shardkv.commands.table import command_id
from shardkv.hashing import current_secret
from shardkv.ring import RingPair
from shardkv.stats import ControlPage
from workers.__main__ import take_shard
from workers.memory.arena import crash_after

Request = tuple[bytes, ...]

# Every kind of change: new key, overwrite in place, growth, box, deletion, expiry, move to another name.
SEQUENCE: list[tuple[Request, bytes]] = [
    ((b"set", b"{k}n", b"10"), b"+OK\r\n"),
    ((b"incr", b"{k}n"), b":11\r\n"),
    ((b"append", b"{k}s", b"x" * 40), b":40\r\n"),
    ((b"append", b"{k}s", b"y" * 3000), b":3040\r\n"),
    ((b"setrange", b"{k}s", b"5000", b"zz"), b":5002\r\n"),
    ((b"mset", b"{k}a", b"1", b"{k}b", b"2"), b"+OK\r\n"),
    ((b"incr", b"{k}n"), b":12\r\n"),
    ((b"incrby", b"{k}s", b"1"), b"-ERR value is not an integer or out of range\r\n"),
    ((b"rename", b"{k}s", b"{k}t"), b"+OK\r\n"),
    ((b"expire", b"{k}a", b"1000"), b":1\r\n"),
    ((b"del", b"{k}t", b"{k}missing"), b":1\r\n"),
    ((b"incr", b"{k}n"), b":13\r\n"),
    ((b"getdel", b"{k}b"), b"$1\r\n2\r\n"),
    ((b"dbsize",), b":2\r\n"),
    ((b"get", b"{k}n"), b"$2\r\n13\r\n"),
]


class FakeChannel:
    """A control channel on which the supervisor never speaks."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()

    def fileno(self) -> int:
        return self.read_end

    def send(self, message: dict[str, Any]) -> None:
        """Nobody listens."""

    def feed(self) -> list[dict[str, Any]]:
        raise EOFError


class Instance:
    """One shard's files, an acceptor's side of its rings, and worker processes one after the other."""

    def __init__(self, folder: Path) -> None:
        RingPair.create(str(folder / "ring-0-0"))
        self.page = ControlPage.create(str(folder / "control"), 1, 1)
        self.acceptor = FakeAcceptor(RingPair.open(str(folder / "ring-0-0")))
        self.assignment = {
            "index": 0, "epoch": 1, "acceptors": 1, "workers": 1, "folder": str(folder), "fresh": True,
            "settings": {"databases": "16"}, "secret": current_secret().hex(),
            "worker_wake": [os.eventfd(0, os.EFD_NONBLOCK)], "acceptor_wake": [os.eventfd(0, os.EFD_NONBLOCK)],
        }
        self.replies: list[tuple[int, bytes]] = []
        self.deaths = 0
        self._start(0)

    def _start(self, crash: int) -> None:
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            try:
                worker = take_shard(self.assignment, FakeChannel())  # type: ignore[arg-type]
                crash_after(crash)
                worker.run()
                status = 0
            finally:
                os._exit(status)
        self.assignment["fresh"] = False

    def send(self, request: Request) -> None:
        """Puts a request into the ring; one whose name begins with @ goes to an internal handler."""
        internal = request[0].startswith(b"@")
        self.acceptor.request(0 if internal else command_id(request[0].decode()), *request, internal=internal)

    def start_over(self, crash: int = 0) -> None:
        """Kills the worker and starts its successor, which dies at its `crash`-th store (0: never)."""
        self.kill()
        self._start(crash)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)

    def settle(self, count: int, seconds: float = 20.0) -> None:
        """Waits until `count` replies are there; starts a new worker whenever one dies."""
        until = time.monotonic() + seconds
        while len(self.replies) < count:
            assert time.monotonic() < until, f"only {len(self.replies)} of {count} replies"
            self.replies += self.acceptor.replies()
            os.eventfd_write(self.assignment["worker_wake"][0], 1)
            if os.waitpid(self.pid, os.WNOHANG)[0]:
                self.deaths += 1
                self._start(0)
            os.sched_yield()


@contextmanager
def instance(folder: Path) -> Iterator[Instance]:
    made = Instance(folder)
    try:
        yield made
    finally:
        made.kill()


def test_dies_at_every_store_and_nobody_notices(tmp_path: Path) -> None:
    crash, deaths = 0, 1
    while deaths:
        crash += 1 if crash < 30 else 5
        folder = tmp_path / str(crash)
        folder.mkdir()
        with instance(folder) as made:
            made.settle(0)
            made.start_over(crash)
            for request, _ in SEQUENCE:
                made.send(request)
            made.settle(len(SEQUENCE))
            expected = [(number, reply) for number, (_, reply) in enumerate(SEQUENCE)]
            assert made.replies == expected, f"crash point {crash}"
            deaths = made.deaths
        (folder / "arena-0").unlink()
    assert crash > 50


@pytest.mark.parametrize("count", [4, 400], ids=["packed", "grown"])
def test_a_batch_whose_members_are_looked_for_ahead(tmp_path: Path, count: int) -> None:
    requests: list[tuple[Request, bytes]] = []
    for number in range(count):
        member = b"member:%d" % number
        requests += [
            ((b"hset", b"{k}hash", member, b"%d" % number), b":1\r\n"),
            ((b"sadd", b"{k}set", member), b":1\r\n"),
            ((b"zadd", b"{k}zset", b"%d" % number, member), b":1\r\n"),
            ((b"sismember", b"{k}set", member), b":1\r\n"),
            ((b"hget", b"{k}set", member), b"-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"),
            ((b"zscore", b"{k}zset", member), b"$%d\r\n%d\r\n" % (len(b"%d" % number), number)),
            ((b"hget", b"{k}hash", member), b"$%d\r\n%d\r\n" % (len(b"%d" % number), number)),
            ((b"hget", b"{k}missing", member), b"$-1\r\n"),
        ]
    with instance(tmp_path) as made:
        made.settle(0)
        os.kill(made.pid, signal.SIGSTOP)  # so that it finds them all at once
        for request, _ in requests:
            made.send(request)
        os.kill(made.pid, signal.SIGCONT)
        made.settle(len(requests))
        assert made.replies == [(number, reply) for number, (_, reply) in enumerate(requests)]


def test_killed_at_random_under_load(tmp_path: Path) -> None:
    with instance(tmp_path) as made:
        sent = 0
        for round_number in range(12):
            for _ in range(400):
                made.send((b"incr", b"{k}counter"))
                sent += 1
            made.settle(sent - 400 + (37 * round_number) % 400)
            made.start_over()
        made.settle(sent)
        assert made.replies == [(number, b":%d\r\n" % (number + 1)) for number in range(sent)]


def test_a_request_that_kills_its_worker_each_time_is_answered(tmp_path: Path) -> None:
    with instance(tmp_path) as made:
        made.send((b"incr", b"{k}n"))
        made.settle(1)
        made.kill()
        made.send((b"incr", b"{k}n"))
        for _ in range(3):
            made._start(1)
            os.eventfd_write(made.assignment["worker_wake"][0], 1)
            os.waitpid(made.pid, 0)
        made._start(0)
        made.settle(2)
        assert made.replies[1] == (1, b"-ERR the worker died each time it executed this command\r\n")
        made.send((b"incr", b"{k}n"))
        made.settle(3)
        assert made.replies[2] == (2, b":2\r\n")


def test_an_acceptor_that_takes_no_replies_stops_only_itself(tmp_path: Path) -> None:
    with instance(tmp_path) as made:
        made.send((b"set", b"{k}big", b"v" * 60_000))
        made.settle(1)
        for _ in range(100):  # 6 MB of replies through a ring of 1 MB; when little room is left one goes as a segment
            made.send((b"get", b"{k}big"))
        made.settle(101)
        assert [number for number, _ in made.replies] == list(range(101))
        assert all(reply == b"segment" or reply.endswith(b"v\r\n") for _, reply in made.replies[1:])


@pytest.mark.parametrize("length", [130_000, 132_000])
def test_a_long_reply_travels_in_a_segment(tmp_path: Path, length: int) -> None:
    with instance(tmp_path) as made:
        for _ in range(length // 1000):
            made.send((b"append", b"{k}long", b"x" * 1000))
        made.settle(length // 1000)
        made.send((b"get", b"{k}long"))
        made.settle(length // 1000 + 1)
        expected = b"segment" if length > 131_072 else b"$130000\r\n"
        assert made.replies[-1][1].startswith(expected)
