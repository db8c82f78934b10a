"""What is pending in consumer groups: against a plain Python model, when much of it goes, and when the worker dies."""
from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workers.commands.executors import executor
from workers._testing_commands import Executor
from workers.memory import _testing as a
from workers.memory import _testing_keyspace as c
from workers.memory.arena import Arena, crash_after

CAPACITY = 256 << 20
ALL = b"1000000"
CONSUMERS = [b"v", b"w", b"x"]
NOW = 5_000_000


def pending(shard: Executor, *consumer: bytes) -> dict[int, tuple[bytes, int]]:
    """Consumer and deliveries of what is pending, by id; the ids of these tests have no sequence number."""
    lines = shard.run("xpending", b"s", b"g", b"-", b"+", ALL, *consumer).split(b"\r\n")[1:-1]
    return {
        int(lines[at + 2].removesuffix(b"-0")): (lines[at + 4], int(lines[at + 6][1:]))
        for at in range(0, len(lines), 7)
    }


def number(reply: bytes) -> int:
    return int(reply[1:-2])


class Model:
    """A stream with one group."""

    def __init__(self) -> None:
        self.entries: set[int] = set()
        self.added = self.read = 0
        self.pending: dict[int, tuple[bytes, int]] = {}
        self.consumers: set[bytes] = set()

    def add(self, count: int) -> None:
        self.entries |= set(range(self.added + 1, self.added + count + 1))
        self.added += count

    def deliver(self, consumer: bytes, count: int) -> None:
        self.consumers.add(consumer)
        for entry in sorted(entry for entry in self.entries if entry > self.read)[:count]:
            self.read, self.pending[entry] = entry, (consumer, 1)

    def claim(self, consumer: bytes, ids: list[int], force: bool) -> None:
        self.consumers.add(consumer)
        for entry in ids:
            if entry not in self.entries:
                self.pending.pop(entry, None)
            elif force or entry in self.pending:
                self.pending[entry] = consumer, self.pending.get(entry, (b"", 1))[1] + 1

    def of(self, consumer: bytes) -> dict[int, tuple[bytes, int]]:
        return {entry: one for entry, one in self.pending.items() if one[0] == consumer}


def take_step(shard: Executor, model: Model, step: str, consumer: bytes, first: int, count: int) -> None:
    """Does the same to both."""
    ids = list(range(first, first + count))
    words = [b"%d" % entry for entry in ids]
    if step == "add":
        for entry in range(model.added + 1, model.added + count + 1):
            shard.run("xadd", b"s", b"%d" % entry, b"field", b"value")
        model.add(count)
    elif step == "read":
        shard.run("xreadgroup", b"GROUP", b"g", consumer, b"COUNT", b"%d" % count, b"STREAMS", b"s", b">")
        model.deliver(consumer, count)
    elif step == "ack":
        acknowledged = number(shard.run("xack", b"s", b"g", *words))
        assert acknowledged == len([model.pending.pop(entry) for entry in ids if entry in model.pending])
    elif step == "claim" or step == "force":
        shard.run("xclaim", b"s", b"g", consumer, b"0", *words, *[b"FORCE"] * (step == "force"))
        model.claim(consumer, ids, step == "force")
    elif step == "autoclaim":
        shard.run("xautoclaim", b"s", b"g", consumer, b"0", words[0], b"COUNT", b"%d" % count)
        model.claim(consumer, sorted(entry for entry in model.pending if entry >= first)[:count], False)
    elif step == "setid":
        shard.run("xgroup|setid", b"s", b"g", words[0])
        model.read = first
    elif step == "xdel":
        shard.run("xdel", b"s", *words)
        model.entries -= set(ids)
    else:
        gone = model.of(consumer)
        assert number(shard.run("xgroup|delconsumer", b"s", b"g", consumer)) == len(gone)
        model.pending = {entry: one for entry, one in model.pending.items() if entry not in gone}
        model.consumers.discard(consumer)


WHAT = ["add", "add", "read", "read", "read", "ack", "claim", "force", "autoclaim", "setid", "xdel", "delconsumer"]
STEPS = st.lists(
    st.tuples(st.sampled_from(WHAT), st.sampled_from(CONSUMERS), st.integers(1, 300), st.integers(1, 200)), max_size=25
)


@settings(max_examples=60)
@given(steps=STEPS)
def test_as_python_has_it(steps: list[tuple[str, bytes, int, int]]) -> None:
    model = Model()
    with executor(capacity=CAPACITY) as shard:
        shard.run("xgroup|create", b"s", b"g", b"0", b"MKSTREAM")
        for step in steps:
            take_step(shard, model, *step)
            assert pending(shard) == model.pending
        for consumer in CONSUMERS:
            assert pending(shard, consumer) == model.of(consumer)
        shard.run("copy", b"s", b"t")
        shard.run("rename", b"t", b"s")
        assert pending(shard) == model.pending
        for consumer in model.consumers:
            assert number(shard.run("xgroup|createconsumer", b"s", b"g", consumer)) == 0
            assert pending(shard, consumer) == model.of(consumer)


def fill(shard: Executor, shares: dict[bytes, int]) -> int:
    """Makes so many entries pending for each consumer, in turns; answers how many in all."""
    total = sum(shares.values())
    shard.run("xgroup|create", b"s", b"g", b"0", b"MKSTREAM")
    for first in range(1, total + 1):
        shard.run("xadd", b"s", b"%d" % first, b"f", b"v")
    left = dict(shares)
    while any(left.values()):
        for consumer in left:
            count = min(left[consumer], max(shares[consumer] // 10, 1))
            left[consumer] -= count
            if count:
                words = [b"GROUP", b"g", consumer, b"COUNT", b"%d" % count, b"STREAMS", b"s", b">"]
                shard.run("xreadgroup", *words)
    return total


def reap(shard: Executor, budget: int) -> int:
    """Frees all that is in the graveyard; answers in how many steps."""
    steps, more = 0, 1
    while more:
        a.begin(shard.arena, 1, shard.arena.commit_word(1) + 1)
        more = c.reap(shard.keyspace, budget)
        a.commit(shard.arena)
        steps += 1
    return steps


SHARES = [{b"v": 5, b"w": 3000}, {b"v": 1000, b"w": 3000}, {b"v": 3000, b"w": 40}, {b"v": 90}]


@pytest.mark.parametrize("shares", SHARES)
def test_a_consumer_goes_with_what_is_pending_for_it(shares: dict[bytes, int]) -> None:
    with executor(capacity=CAPACITY) as shard:
        fill(shard, shares)
        before = pending(shard)
        fingerprint = shard.arena.fingerprint()
        assert number(shard.run("xgroup|delconsumer", b"s", b"g", b"v", keep=False)) == shares[b"v"]
        assert shard.arena.fingerprint() == fingerprint
        assert number(shard.run("xgroup|delconsumer", b"s", b"g", b"v")) == shares[b"v"]
        left = {entry: one for entry, one in before.items() if one[0] != b"v"}
        assert pending(shard) == left
        if b"w" in shares:
            assert pending(shard, b"w") == left
        reap(shard, 1000)
        shard.run("xreadgroup", b"GROUP", b"g", b"v", b"STREAMS", b"s", b">")
        assert pending(shard) == left


@pytest.mark.parametrize(
    "name, words",
    [("xgroup|destroy", [b"s", b"g"]), ("del", [b"s"]), ("xgroup|delconsumer", [b"s", b"g", b"v"])],
)
def test_much_goes_in_steps(name: str, words: list[bytes]) -> None:
    with executor(capacity=CAPACITY) as shard:
        fill(shard, {b"v": 20_000})
        full = shard.arena.used_bytes
        shard.run(name, *words)
        assert shard.arena.used_bytes > 0.8 * full  # the graveyard has it
        assert reap(shard, 1000) > 10
        assert shard.arena.used_bytes < 0.6 * full


DEADLY = {
    "xgroup|create": [b"s", b"new", b"$"],
    "xgroup|setid": [b"s", b"g", b"3"],
    "xgroup|createconsumer": [b"s", b"g", b"new"],
    "xgroup|delconsumer": [b"s", b"g", b"v"],
    "xgroup|destroy": [b"s", b"g"],
    "xreadgroup": [b"GROUP", b"g", b"new", b"STREAMS", b"s", b">"],
    "xack": [b"s", b"g", b"1", b"2", b"100"],
    "xclaim": [b"s", b"g", b"new", b"0", b"1", b"2", b"150", b"FORCE"],
    "xautoclaim": [b"s", b"g", b"new", b"0", b"0", b"COUNT", b"60"],
    "xadd": [b"s", b"MAXLEN", b"30", b"300", b"f", b"v", b"other", b"x" * 5000],
    "xdel": [b"s", b"1", b"50", b"159"],
    "xtrim": [b"s", b"MINID", b"140"],
    "xsetid": [b"s", b"900", b"ENTRIESADDED", b"1000", b"MAXDELETEDID", b"800"],
}


def told(path: str) -> bytes:
    """All that the stream's groups hold, but times."""
    with executor(path, CAPACITY) as shard:
        # Nothing is committed, for the next executor counts its positions from the same number.
        reply: bytes = shard.run("xinfo|stream", b"s", b"FULL", b"COUNT", b"0", now_ms=NOW, keep=False)
        return reply


def die_or_finish(path: str, name: str, point: int) -> bool:
    """Runs a command in a forked process that dies at a crash point; answers whether it came to the end."""
    pid = os.fork()
    if pid == 0:
        try:
            shard = Executor(Arena.open(path, 0, 1, capacity=CAPACITY))
            crash_after(point)
            shard.run(name, *DEADLY[name], now_ms=NOW)
            os._exit(0)
        except BaseException:
            os._exit(1)
    status = os.waitpid(pid, 0)[1]
    assert status == 0 or os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    return status == 0


@pytest.mark.parametrize("name", DEADLY)
def test_a_death_at_any_store_leaves_all_or_nothing(tmp_path: Path, name: str) -> None:
    path, fresh = str(tmp_path / "arena"), str(tmp_path / "fresh")
    with executor(path, CAPACITY) as shard:
        fill(shard, {b"v": 100, b"w": 20})
        for entry in range(121, 160):
            shard.run("xadd", b"s", b"%d" % entry, b"f", b"v")
        shard.run("xdel", b"s", b"2", b"7")
    subprocess.run(["cp", "--sparse=always", path, fresh], check=True)
    before = told(path)
    assert die_or_finish(path, name, 0)
    after = told(path)
    assert after != before
    point, finished, committed = 0, False, True
    while not finished:
        if committed:
            subprocess.run(["cp", "--sparse=always", fresh, path], check=True)
        point += 1 + point // 12  # every point at first, then one in many
        finished = die_or_finish(path, name, point)
        content = told(path)
        assert content in (before, after)
        committed = finished or content == after
    assert content == after
    assert point > 5
