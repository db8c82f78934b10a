"""Intsets against sets, committed and rolled back; Redis's bytes; bytes that no one should trust."""
from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardkv.errors import OutOfMemory
from workers.memory import _testing as a
from workers.memory import _testing_packs as p
from workers.memory.arena import Arena

MIB = 1 << 20


@pytest.fixture
def arena(tmp_path: Path) -> Iterator[Arena]:
    opened = Arena.open(str(tmp_path / "arena-0"), 0, 1, capacity=16 * MIB)
    yield opened
    opened.close()


def test_bytes_are_those_of_redis_and_widen_but_never_narrow(arena: Arena) -> None:
    ints = p.Ints(arena)
    a.begin(arena, 0, 1)
    ints.make()
    assert ints.raw() == b"\2\0\0\0\0\0\0\0"
    for number in (5, -1, 300):
        assert ints.add(number) and not ints.add(number)
    assert ints.raw() == b"\2\0\0\0\3\0\0\0\xff\xff\5\0\x2c\1"
    assert ints.add(-40_000) and ints.raw() == (
        b"\4\0\0\0\4\0\0\0\xc0\x63\xff\xff\xff\xff\xff\xff\5\0\0\0\x2c\1\0\0"
    )
    assert ints.add(1 << 40) and ints.raw()[0] == 8 and ints.content() == [-40_000, -1, 5, 300, 1 << 40]
    assert ints.remove(1 << 40) and ints.remove(-40_000) and not ints.remove(7) and ints.raw()[0] == 8
    data = ints.raw()
    ints.make()
    ints.store(data)
    assert ints.content() == [-1, 5, 300] and ints.find(5) and not ints.find(6) and not ints.find(1 << 50)
    a.rollback(arena)


numbers = st.one_of(
    st.integers(-20, 20), st.integers(-33_000, 33_000), st.integers(-(1 << 32), 1 << 32),
    st.integers(-(1 << 63), (1 << 63) - 1),
)


@settings(max_examples=40, deadline=None)
@given(steps=st.lists(st.tuples(st.booleans(), st.booleans(), st.lists(numbers, max_size=40)), max_size=12))
def test_any_edits_committed_or_rolled_back(steps: list[tuple[bool, bool, list[int]]]) -> None:
    path = f"/dev/shm/shardkv-test-ints-{os.getpid()}"
    arena = Arena.open(path, 0, 1, capacity=16 * MIB)
    try:
        ints = p.Ints(arena)
        a.begin(arena, 0, 1)
        ints.make()
        a.commit(arena)
        model: set[int] = set()
        for position, (keep, adding, some) in enumerate(steps, 2):
            before = arena.fingerprint()
            a.begin(arena, 0, position)
            changed = set(model)
            for number in some if adding else [*some, *sorted(model)[::2]]:
                assert ints.find(number) == (number in changed)
                if adding:
                    assert ints.add(number) == (number not in changed)
                    changed.add(number)
                else:
                    assert ints.remove(number) == (number in changed)
                    changed.discard(number)
            assert ints.content() == sorted(changed) and p.valid_ints(ints.raw()) == len(changed)
            if keep:
                a.commit(arena)
                model = changed
            else:
                a.rollback(arena)
                assert arena.fingerprint() == before
        arena.check()
    finally:
        arena.close()
        os.unlink(path)


def test_taking_away_needs_no_memory_and_gives_it_back(tmp_path: Path) -> None:
    arena = Arena.open(str(tmp_path / "full"), 0, 1, capacity=4 * MIB)
    ints = p.Ints(arena)
    a.begin(arena, 0, 1)
    ints.make()
    for number in range(500):
        ints.add(number)
    a.commit(arena)
    a.begin(arena, 0, 2)
    room = 1 << 20
    while room >= 8:
        try:
            a.alloc(arena, room)
        except OutOfMemory:
            room //= 2
    for number in range(499):
        assert ints.remove(number)
    a.rollback(arena)
    a.begin(arena, 0, 3)
    for number in range(499):
        assert ints.remove(number)
    a.commit(arena)
    assert ints.content() == [499] and ints.room() <= 64
    arena.check()
    arena.close()


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\2\0\0\0\0\0\0", b"\3\0\0\0\0\0\0\0", b"\2\0\0\0\1\0\0\0", b"\2\0\0\0\0\0\0\0\0",
        b"\2\0\0\0\2\0\0\0\1\0\1\0", b"\2\0\0\0\2\0\0\0\1\0\0\0", b"\x08\0\0\0\xff\xff\xff\xff" + b"\0" * 16,
        b"\0\0\0\0\0\0\0\0", b"\xff" * 16,
    ],
)
def test_what_is_no_intset(data: bytes) -> None:
    assert p.valid_ints(data) == -1
