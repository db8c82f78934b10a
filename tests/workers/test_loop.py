"""The worker's loop against its own death: every reply exactly once, every write exactly once, wherever it dies."""
from __future__ import annotations

import faulthandler
import os
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from shardkv._testing import work_resumes_ms
from shardkv._testing_ring import FakeAcceptor, RingSide
from shardkv.claims import Claims
from shardkv.commands.table import command_id
from shardkv.hashing import current_secret
from shardkv.ring import RingPair
from shardkv.stats import ControlPage
from tests.harness import wait_until
from tests.workers.channels import FakeChannel
from workers.call import Call
from workers.memory._testing import journal_used
from workers.memory.arena import Arena, crash_after
from workers.process import EXIT_BAD_RECORD, serve, take_shard
from workers.registry import command

Request = tuple[bytes, ...]

EXPIRY_SLOT = 62  # COMMIT_EXPIRY
DIED = b"-ERR the worker died each time it executed this command\r\n"


@command("@die")
def die(call: Call) -> None:
    """@die signal times file: dies so many times, and then answers."""
    with open(call.arg(3), "ab", buffering=0) as file:
        file.write(b".")
        if file.tell() <= call.number(2):
            os.kill(os.getpid(), call.number(1))
    call.reply.status("OK")


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


class Instance:
    """One shard's files, two acceptors' sides of its rings, and worker processes one after the other."""

    def __init__(self, folder: Path) -> None:
        for number in range(2):
            RingPair.create(str(folder / f"ring-{number}-0"))
            Claims.create(str(folder / f"claims-{number}"))
        self.page = ControlPage.create(str(folder / "control"), 2, 1)
        self.acceptor, self.other = (FakeAcceptor(RingPair.open(str(folder / f"ring-{n}-0"))) for n in range(2))
        self.log = folder / "log"
        self.assignment: dict[str, Any] = {
            "index": 0, "epoch": 1, "acceptors": 2, "workers": 1, "folder": str(folder), "fresh": True, "died": 0,
            "settings": {"databases": "16", "logfile": str(self.log)}, "secret": current_secret().hex(),
            "worker_wake": [os.eventfd(0, os.EFD_NONBLOCK)],
            "acceptor_wake": [os.eventfd(0, os.EFD_NONBLOCK) for _ in range(2)],
        }
        self.replies: list[tuple[int, bytes]] = []
        self.deaths = 0
        self.channel = FakeChannel()
        self.file_limit = 0  # bytes that the worker's files may have; 0: any
        self.poisoned_slot = -1  # whoever changes something in a transaction of this commit slot dies
        self._start(0)

    def _start(self, crash: int) -> None:
        self.pid = os.fork()
        if self.pid == 0:
            status = 1
            faulthandler.disable()  # who dies here does so on purpose
            try:
                worker = take_shard(self.assignment, self.channel)  # type: ignore[arg-type]
                if self.file_limit:
                    resource.setrlimit(resource.RLIMIT_FSIZE, (self.file_limit, self.file_limit))
                if self.poisoned_slot >= 0:
                    crash_after(1, lambda: self._die_in_slot(worker.arena))
                else:
                    crash_after(crash)
                status = serve(worker)
            finally:
                os._exit(status)
        self.assignment["fresh"] = False

    def _die_in_slot(self, arena: Arena) -> int:
        if arena.slot == self.poisoned_slot and journal_used(arena):
            os.kill(os.getpid(), signal.SIGSEGV)
        return 1

    def send(self, request: Request) -> None:
        """Puts a request into the ring; one whose name begins with @ goes to an internal handler."""
        internal = request[0].startswith(b"@")
        number = 0 if internal else command_id(request[0].decode())
        until = time.monotonic() + 20.0
        while True:
            try:
                self.acceptor.request(number, *request, internal=internal)
                return
            except BufferError:  # the worker has to make room first
                assert time.monotonic() < until, "the request ring stays full"
                os.eventfd_write(self.assignment["worker_wake"][0], 1)
                os.sched_yield()

    def start_over(self, crash: int = 0) -> None:
        """Kills the worker and starts its successor, which dies at its `crash`-th store (0: never)."""
        self.kill()
        self._start(crash)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)
        self._note_death(os.waitpid(self.pid, 0)[1])

    def _note_death(self, status: int) -> None:
        # As a supervisor tells it to the next worker.
        self.assignment["died"] = os.waitstatus_to_exitcode(status)

    def log_text(self) -> str:
        return self.log.read_text() if self.log.exists() else ""

    def settle(self, count: int, seconds: float = 20.0) -> None:
        """Waits until `count` replies are there; starts a new worker whenever one dies."""
        until = time.monotonic() + seconds
        while len(self.replies) < count:
            assert time.monotonic() < until, f"only {len(self.replies)} of {count} replies"
            self.replies += self.acceptor.replies()
            os.eventfd_write(self.assignment["worker_wake"][0], 1)
            self.revive()
            os.sched_yield()

    def take_piece(self) -> bool:
        """Takes one record of a reply in pieces; False: there was none."""
        before = len(self.acceptor.unfinished)
        self.replies += self.acceptor.replies(1)
        os.eventfd_write(self.assignment["worker_wake"][0], 1)
        return len(self.acceptor.unfinished) != before

    def revive(self) -> None:
        """Starts a new worker if the last one died."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid:
            self.deaths += 1
            self._note_death(status)
            self._start(0)


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


@pytest.mark.parametrize(
    ("number", "times", "deaths", "reply"),
    [
        (signal.SIGSEGV, 2, 2, b"+OK\r\n"),
        (signal.SIGSEGV, 1000, 3, DIED),
        (signal.SIGABRT, 1000, 3, DIED),
        (signal.SIGKILL, 12, 12, b"+OK\r\n"),    # from outside, it may be
        (signal.SIGKILL, 1000, 30, DIED),         # by the system's OOM killer, it may be
    ],
)
def test_a_request_that_kills_its_worker_each_time_is_answered(
    tmp_path: Path, number: int, times: int, deaths: int, reply: bytes
) -> None:
    with instance(tmp_path) as made:
        made.send((b"incr", b"{k}n"))
        made.send((b"@die", b"%d" % number, b"%d" % times, str(tmp_path / "times").encode()))
        made.send((b"incr", b"{k}n"))
        made.settle(3)
        assert made.replies == [(0, b":1\r\n"), (1, reply), (2, b":2\r\n")]
        assert made.deaths == deaths
        assert ("killed its worker again and again" in made.log_text()) == (reply == DIED)


def test_a_request_that_was_not_executing_is_not_blamed(tmp_path: Path) -> None:
    with instance(tmp_path) as made:
        made.kill()
        made.send((b"@die", b"%d" % signal.SIGSEGV, b"1000", str(tmp_path / "times").encode()))
        made.other.request(command_id("incr"), b"incr", b"{k}n")  # first in its ring all the time
        made._start(0)
        made.settle(1)
        assert made.replies == [(0, DIED)]
        replies: list[tuple[int, bytes]] = []
        wait_until(lambda: replies.extend(made.other.replies()) or replies, "the other ring's reply")
        assert replies == [(0, b":1\r\n")]


def test_work_of_its_own_that_kills_the_worker_pauses(tmp_path: Path) -> None:
    with instance(tmp_path) as made:
        made.send((b"set", b"{k}n", b"1", b"px", b"1"))
        made.send((b"del", b"{k}n"))
        made.settle(2)
        made.poisoned_slot = EXPIRY_SLOT
        made.start_over()
        made.send((b"set", b"{k}n", b"1", b"px", b"1"))
        made.settle(3)

        def paused() -> bool:
            made.revive()
            return made.page.worker_counters(0)["paused_work"] == 2

        wait_until(paused, "the pause")
        assert made.deaths == 3
        # Of the clock that nobody can set back.
        assert time.monotonic() - 60 < work_resumes_ms(made.page, 0)[1] / 1000 <= time.monotonic() + 1
        assert "expiring keys killed the worker of shard 0 again and again: it pauses for 1 s" in made.log_text()
        made.send((b"get", b"{k}n"))  # whoever looks at it still finds that it has expired
        made.settle(4)
        assert made.replies[3] == (3, b"$-1\r\n")


def test_a_record_that_claims_more_than_it_holds_gets_an_error_after_some_deaths(tmp_path: Path) -> None:
    with instance(tmp_path) as made:
        made.send((b"incr", b"{k}n"))
        made.acceptor.request(command_id("incr"), b"incr", b"{k}n", broken=True)
        made.send((b"incr", b"{k}n"))
        made.settle(3)
        assert made.replies == [(0, b":1\r\n"), (1, DIED), (2, b":2\r\n")]
        assert made.deaths == 3 and made.assignment["died"] == EXIT_BAD_RECORD
        assert made.log_text().count("the worker of shard 0 stops: argument count does not fit") == 3


def test_a_ring_that_cannot_be_read_stops_every_worker_and_harms_no_data(tmp_path: Path) -> None:
    with instance(tmp_path) as made:
        made.send((b"incr", b"{k}n"))
        made.settle(1)
        broken = RingSide(RingPair.open(str(tmp_path / "ring-0-0")), reply=False, produce=True)
        broken.damage(24)
        broken.publish()

        def dead_again() -> bool:
            os.eventfd_write(made.assignment["worker_wake"][0], 1)
            made.revive()
            return made.deaths == 4

        wait_until(dead_again, "workers that end")
        assert made.assignment["died"] == EXIT_BAD_RECORD
        assert "the request ring of acceptor 0 is broken" in made.log_text()
        made.kill()
        (tmp_path / "ring-0-0").unlink()  # as a new start of the server does
        RingPair.create(str(tmp_path / "ring-0-0"))
        made.acceptor = FakeAcceptor(RingPair.open(str(tmp_path / "ring-0-0")))
        made.assignment["fresh"] = True
        made._start(0)
        made.send((b"incr", b"{k}n"))
        made.settle(2)
        assert made.replies[1] == (0, b":2\r\n")


def encoding(made: Instance, key: bytes) -> bytes:
    made.send((b"del", key))
    made.send((b"hset", key, b"a", b"1", b"b", b"2"))
    made.acceptor.request(command_id("object|encoding"), b"object", b"encoding", key, key=2)
    made.settle(len(made.replies) + 3)
    return made.replies[-1][1]


@pytest.mark.parametrize("crash", range(8))
def test_settings_hold_whoever_dies(tmp_path: Path, crash: int) -> None:
    with instance(tmp_path) as made:
        assert encoding(made, b"{k}h") == b"$8\r\nlistpack\r\n"
        made.start_over(crash)
        made.page.publish_settings(b'{"hash-max-listpack-entries": "1"}')
        made.send((b"@settings",))
        made.settle(len(made.replies) + 1)
        assert encoding(made, b"{k}h") == b"$9\r\nhashtable\r\n"
        made.start_over()
        assert encoding(made, b"{k}h") == b"$9\r\nhashtable\r\n"
        # The acceptor that was to tell the workers died: they see it all the same.
        made.page.publish_settings(b'{"hash-max-listpack-entries": "128"}')
        wait_until(lambda: encoding(made, b"{k}h") == b"$8\r\nlistpack\r\n", "the new limit")


def test_average_time_to_live(tmp_path: Path) -> None:
    with instance(tmp_path) as made:
        made.send((b"mset", b"{k}stays", b"1"))
        for number in range(1, 21):
            made.send((b"set", b"{k}%d" % number, b"1", b"ex", b"%d" % (1000 * number)))
        made.settle(21)

        def estimated() -> bool:
            keys, expires, ttl = made.page.database_counts()[0]
            return (keys, expires) == (21, 20) and 10_400_000 < ttl <= 10_500_000

        wait_until(estimated, "the mean of 1000, 2000 … 20000 seconds")
        made.send((b"flushall",))
        made.settle(22)
        wait_until(lambda: made.page.database_counts()[0] == (0, 0, 0), "nothing")


def test_a_worker_starts_its_own_counts_over(tmp_path: Path) -> None:
    with instance(tmp_path) as made:
        made.send((b"get", b"{k}missing"))
        made.settle(1)
        assert made.page.worker_counters(0)["keyspace_misses"] == 1
        made.send((b"@reset-statistics",))
        made.settle(2)
        assert made.page.worker_counters(0)["keyspace_misses"] == 0


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


def test_a_reply_in_pieces_is_whole_whenever_the_worker_dies(tmp_path: Path) -> None:
    with instance(tmp_path) as made:
        for number in range(30):
            made.send((b"append", b"{k}long", b"%05d" % number * 20_000))
            made.settle(number + 1)
        made.file_limit = 65536  # no segment can be made
        text = b"".join(b"%05d" % number * 20_000 for number in range(30))
        sent = 30
        for taken in (0, 1, 2, 5):
            made.start_over()
            made.send((b"get", b"{k}long"))
            sent += 1
            for _ in range(taken):  # of the pieces; then the ring is full of others
                wait_until(lambda: made.take_piece(), "a piece")
            made.start_over()
            made.settle(sent)
            assert made.replies[-1] == (sent - 1, b"$%d\r\n%b\r\n" % (len(text), text))
        assert len(made.replies) == sent


def test_a_reply_in_pieces_survives_a_death_at_each_store(tmp_path: Path) -> None:
    with instance(tmp_path) as made:
        for _ in range(3):
            made.send((b"append", b"{k}long", b"x" * 100_000))
        made.settle(3)
        made.file_limit = 65536
        crash, sent, died = 0, 3, True
        while died:
            crash += 1
            made.deaths = 0
            made.start_over(crash)
            made.send((b"get", b"{k}long"))
            made.send((b"strlen", b"{k}long"))
            sent += 2
            made.settle(sent)
            whole = b"$300000\r\n" + b"x" * 300_000 + b"\r\n"
            assert made.replies[-2:] == [(sent - 2, whole), (sent - 1, b":300000\r\n")]
            died = made.deaths > 0
        assert crash > 3


def test_while_a_reply_is_in_pieces_other_acceptors_are_served(tmp_path: Path) -> None:
    with instance(tmp_path) as made:
        for number in range(30):
            made.send((b"append", b"{k}long", b"x" * 100_000))
            made.settle(number + 1)
        made.file_limit = 65536
        made.start_over()
        made.send((b"get", b"{k}long"))
        made.send((b"incr", b"{k}count"))
        wait_until(lambda: made.take_piece(), "a piece")
        made.other.request(command_id("incr"), b"incr", b"{k}count")
        os.eventfd_write(made.assignment["worker_wake"][0], 1)
        assert wait_until(lambda: made.other.replies(), "the other's reply") == [(0, b":1\r\n")]
        made.settle(32)
        assert made.replies[-1] == (31, b":2\r\n")
