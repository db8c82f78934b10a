"""SCAN, HSCAN, SSCAN, ZSCAN: what is there during a whole iteration is answered, whatever comes and goes meanwhile."""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workers.commands.test_rollback import executor
from workers._testing_commands import Executor


@dataclass(frozen=True)
class Kind:
    """How elements of a collection, or keys, are added, removed and met: commands and their words."""

    add: Callable[[list[bytes]], tuple[bytes, ...]]
    remove: Callable[[list[bytes]], tuple[bytes, ...]]
    scan: tuple[bytes, ...]
    step: int  # of the elements that a scan answers to the next one


def _of_key(command: bytes, remove: bytes, each: Callable[[bytes], list[bytes]], scan: bytes) -> Kind:
    return Kind(
        lambda names: (command, b"key", *sum(map(each, names), [])), lambda names: (remove, b"key", *names),
        (scan, b"key"), len(each(b"")) if scan != b"sscan" else 1,
    )


KINDS = {
    "scan": Kind(lambda names: (b"mset", *sum(([name, b"v"] for name in names), [])),
                 lambda names: (b"del", *names), (b"scan",), 1),
    "hscan": _of_key(b"hset", b"hdel", lambda name: [name, b"v"], b"hscan"),
    "sscan": _of_key(b"sadd", b"srem", lambda name: [name], b"sscan"),
    "sscan of integers": _of_key(b"sadd", b"srem", lambda name: [name[1:]], b"sscan"),
    "zscan": _of_key(b"zadd", b"zrem", lambda name: [b"1", name], b"zscan"),
}
STEPS = st.lists(
    st.tuples(st.sampled_from(["scan", "scan", "add", "remove"]), st.integers(1, 900)), min_size=1, max_size=12
)


def run(shard: Executor, words: tuple[bytes, ...]) -> bytes:
    reply = shard.run(words[0].decode(), *words[1:])
    assert not reply.startswith(b"-"), (words[:5], reply)
    return reply


def met(reply: bytes) -> tuple[bytes, list[bytes]]:
    """Cursor and elements of a scan's reply, none of which holds a line's end."""
    lines = reply.split(b"\r\n")
    assert lines[0] == b"*2"
    return lines[2], lines[5::2]


@pytest.mark.parametrize("name", KINDS)
def test_a_scan_misses_nothing_that_stays(name: str) -> None:
    kind = KINDS[name]

    @settings(max_examples=25)
    @given(size=st.sampled_from([1, 100, 500, 1500, 4000]), long=st.booleans(), steps=STEPS)
    def misses_nothing(size: int, long: bool, steps: list[tuple[str, int]]) -> None:
        def named(numbers: range) -> list[bytes]:
            return [b"m%d" % number for number in numbers]

        def scan(count: int) -> None:
            nonlocal cursor
            cursor, elements = met(run(shard, (*kind.scan[:1], *kind.scan[1:], cursor, b"count", b"%d" % count)))
            seen.update(elements[:: kind.step])

        with executor() as shard:
            run(shard, kind.add(named(range(size))))
            if long:  # its encoding is the table's from now on
                run(shard, kind.add([b"m" + b"0" * 100]))
            cursor, seen = b"0", set[bytes]()
            low, high = 0, size  # those below `low` have been removed, those from `size` on come later
            scan(10)
            for step, amount in steps:
                if cursor == b"0":
                    break
                if step == "scan":
                    scan(amount)
                elif step == "add":
                    run(shard, kind.add(named(range(high, high + amount))))
                    high += amount
                elif low < size - 1:
                    gone = range(low, min(low + amount, size - 1))
                    run(shard, kind.remove(named(gone)))
                    low = gone.stop
            while cursor != b"0":
                scan(100)
            stayed = {kind.add([element])[-1] if kind.step == 1 and name != "scan" else element
                      for element in named(range(low, size))}
            assert stayed <= seen

    misses_nothing()
