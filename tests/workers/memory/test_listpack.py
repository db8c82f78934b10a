"""Listpacks against lists, committed and rolled back; Redis's bytes; bytes that no one should trust."""
from __future__ import annotations

import os
import random
import signal
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardkv.errors import OutOfMemory
from workers.memory import _testing as a
from workers.memory import _testing_packs as p
from workers.memory.arena import Arena, crash_after

MIB = 1 << 20
POWERS = [1 << bits for bits in (7, 12, 13, 15, 23, 31, 62)]
EDGES = sorted({sign * power + near for power in POWERS for sign in (1, -1) for near in (-1, 0, 1)})
LENGTHS = (0, 1, 20, 21, 62, 63, 64, 125, 126, 127, 128, 4095, 4096, 16379, 16380, 16381, 16382, 70_000)


@pytest.fixture
def arena(tmp_path: Path) -> Iterator[Arena]:
    opened = Arena.open(str(tmp_path / "arena-0"), 0, 1, capacity=64 * MIB)
    yield opened
    opened.close()


def as_stored(value: bytes | int) -> bytes | int:
    """Canonical integers are stored as such."""
    if isinstance(value, bytes) and len(value) <= 20 and value.lstrip(b"-").isdigit():
        if b"%d" % int(value) == value and -(1 << 63) <= int(value) < 1 << 63:
            return int(value)
    return value


def text(value: bytes | int) -> bytes:
    return value if isinstance(value, bytes) else b"%d" % value


def test_bytes_are_those_of_redis() -> None:
    assert p.build([]) == b"\x07\0\0\0\0\0\xff"
    assert p.build([b"hello", -3]) == b"\x11\0\0\0\2\0\x85hello\6\xdf\xfd\2\xff"
    assert p.build([5000, 1 << 31]) == b"\x15\0\0\0\2\0\xf1\x88\x13\3\xf4\0\0\0\x80\0\0\0\0\x09\xff"
    assert p.build([b"x" * 200]) == b"\xd3\0\0\0\1\0\xe0\xc8" + b"x" * 200 + b"\1\xca\xff"
    assert p.build([b"x" * 5000])[6:11] == b"\xf0\x88\x13\0\0"


def test_every_width_is_read_both_ways(arena: Arena) -> None:
    values: list[bytes | int] = [*EDGES, (1 << 63) - 1, -(1 << 63), b"01", b"-0"]
    values += [b"x" * length for length in LENGTHS]
    pack = p.Pack(arena)
    a.begin(arena, 0, 1)
    assert p.build(values, pack) == pack.raw()
    assert p.valid_pack(pack.raw()) == pack.count() == len(values)
    assert pack.forwards() == values and pack.backwards() == values[::-1]
    assert len(pack.raw()) == 7 + sum(p.size_of(value) for value in values)
    for index, value in enumerate(values):
        assert pack.at(index) == pack.at(index - len(values)) == text(value)
        assert pack.find(text(value), 0) == values.index(value)
    assert pack.at(len(values)) is pack.at(-len(values) - 1) is None
    assert pack.fits(100) and not pack.fits(1 << 30)
    pack.make([text(value) for value in values])
    assert pack.forwards() == values
    a.rollback(arena)


def test_fields_are_sought_with_a_stride(arena: Arena) -> None:
    pack = p.Pack(arena)
    a.begin(arena, 0, 1)
    pack.make([b"a", b"b", b"b", b"a", b"7", b"c"])
    assert [pack.find(name, 1) for name in (b"a", b"b", b"7", b"c", b"07")] == [0, 2, 4, -1, -1]
    assert [pack.find(name, 1, 1) for name in (b"a", b"b", b"c")] == [3, 1, 5]
    pack.make([])
    assert pack.find(b"a", 0) == -1 and pack.forwards() == pack.backwards() == []
    a.rollback(arena)


def test_more_elements_than_the_header_can_tell(arena: Arena) -> None:
    pack = p.Pack(arena)
    a.begin(arena, 0, 1)
    pack.make([7] * 65_534)
    for number in range(3):
        pack.edit("append", 0, 0, [b"last%d" % number])
        assert pack.count() == 65_535 + number == p.valid_pack(pack.raw())
    assert pack.at(-1) == pack.at(65_536) == b"last2" and pack.at(65_537) is None
    pack.edit("delete", 0, 65_000, [])
    assert pack.count() == 537 and pack.raw()[4:6] == b"\xff\xff"
    a.rollback(arena)


def test_an_element_can_come_from_the_pack_itself(arena: Arena) -> None:
    pack = p.Pack(arena)
    a.begin(arena, 0, 1)
    model: list[bytes | int] = [b"a" * 30, b"b" * 700, 5]
    pack.make(model)
    for source, into in ((1, 0), (2, 0), (0, 2), (1, 3), (3, 1), (2, 0), (6, 1)):
        pack.repeat(source, into)
        model.insert(into, model[source])
        assert pack.forwards() == model
    a.rollback(arena)


def test_taking_away_needs_no_memory_and_gives_it_back(tmp_path: Path) -> None:
    arena = Arena.open(str(tmp_path / "full"), 0, 1, capacity=4 * MIB)
    pack = p.Pack(arena)
    a.begin(arena, 0, 1)
    pack.make([b"x" * 50] * 1000)
    a.commit(arena)
    a.begin(arena, 0, 2)
    room = 1 << 20
    while room >= 8:
        try:
            a.alloc(arena, room)
        except OutOfMemory:
            room //= 2
    with pytest.raises(OutOfMemory):
        pack.edit("append", 0, 0, [b"x" * 60_000])
    while pack.count():
        pack.edit("delete", 0, 90, [])
    assert pack.raw() == p.build([])
    a.rollback(arena)
    a.begin(arena, 0, 3)
    pack.edit("delete", 1, 999, [])
    a.commit(arena)
    assert pack.room() < 100
    arena.check()
    arena.close()


def test_appending_seldom_takes_another_block(arena: Arena) -> None:
    pack = p.Pack(arena)
    a.begin(arena, 0, 1)
    pack.make([])
    a.commit(arena)
    blocks = set()
    for number in range(800):
        a.begin(arena, 0, number + 2)
        pack.edit("append", 0, 0, [b"value"])
        blocks.add(pack.block())
        assert a.journal_used(arena) < 1000
        a.commit(arena)
        assert pack.room() < 1.5 * len(pack.raw()) + 64
    assert len(blocks) < 40


values = st.one_of(
    st.integers(-(1 << 63), (1 << 63) - 1), st.integers(-200, 200).map(lambda number: b"%d" % number),
    st.binary(max_size=30), st.sampled_from([b"x" * length for length in (63, 64, 127, 300, 5000)]),
)
edits = st.tuples(
    st.booleans(), st.sampled_from(["append", "insert", "replace", "delete", "splice"]), st.integers(0, 40),
    st.integers(0, 30), st.lists(values, max_size=6),
)


def apply(model: list[bytes | int], how: str, index: int, removed: int, new: list[bytes | int]) -> None:
    index = min(index, len(model))
    stored = [as_stored(value) for value in new]
    if how == "append":
        model.extend(stored)
    else:
        removed = {"insert": 0, "replace": 1}.get(how, removed)
        model[index : index + removed] = [] if how == "delete" else stored


@settings(max_examples=40, deadline=None)
@given(steps=st.lists(edits, max_size=25))
def test_any_edits_committed_or_rolled_back(steps: list[tuple[bool, str, int, int, list[bytes | int]]]) -> None:
    path = f"/dev/shm/shardkv-test-pack-{os.getpid()}"
    arena = Arena.open(path, 0, 1, capacity=16 * MIB)
    try:
        pack = p.Pack(arena)
        a.begin(arena, 0, 1)
        pack.make([])
        a.commit(arena)
        model: list[bytes | int] = []
        for position, (keep, how, index, removed, new) in enumerate(steps, 2):
            before = arena.fingerprint()
            a.begin(arena, 0, position)
            pack.edit(how, index, removed, new)
            changed = model.copy()
            apply(changed, how, index, removed, new)
            assert pack.forwards() == changed and pack.backwards() == changed[::-1]
            assert p.valid_pack(pack.raw()) == len(changed) == pack.count()
            if keep:
                a.commit(arena)
                model = changed
            else:
                a.rollback(arena)
                assert arena.fingerprint() == before
        assert pack.raw() == p.build(model)
        arena.check()
    finally:
        arena.close()
        os.unlink(path)


def test_a_death_at_any_store_leaves_the_old_pack_or_the_new(tmp_path: Path) -> None:
    path = str(tmp_path / "arena-0")
    arena = Arena.open(path, 0, 1, capacity=16 * MIB)
    pack = p.Pack(arena)
    model: list[bytes | int] = [b"%d" % number + b"x" * 20 for number in range(30)]
    a.begin(arena, 0, 1)
    pack.make(model)
    a.commit(arena)
    arena.close()
    for steps in range(1, 60):
        child = os.fork()
        if child == 0:
            arena = Arena.open(path, 0, 1)
            crash_after(steps)
            a.begin(arena, 0, 2)
            p.Pack(arena).edit("splice", 3, 5, [b"new"])
            p.Pack(arena).edit("append", 0, 0, [b"y" * 500])
            a.commit(arena)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        arena = Arena.open(path, 0, 1)
        arena.check()
        now = p.Pack(arena).forwards()
        committed = arena.commit_word(0) == 2
        arena.close()
        assert now == ([*model[:3], b"new", *model[8:], b"y" * 500] if committed else model)
        if committed:
            assert steps > 4
            assert os.WIFEXITED(status) or os.WTERMSIG(status) == signal.SIGKILL
            return
    pytest.fail("never committed")


# -- hostile bytes


def test_changed_and_cut_packs_are_refused_or_readable(arena: Arena) -> None:
    source = random.Random(7)
    whole = p.build([b"a", 1, -4000, b"x" * 70, 1 << 40, b"", b"y" * 5000, 70_000, b"z" * 130])
    pack = p.Pack(arena)
    for length in range(len(whole)):
        assert p.valid_pack(whole[:length]) == -1
        assert p.valid_pack(length.to_bytes(4, "little") + whole[4:length]) <= 9
    accepted = 0
    for _ in range(4000):
        data = bytearray(whole)
        for _ in range(source.randint(1, 3)):
            data[source.choice([source.randrange(120), source.randrange(len(data))])] = source.randrange(256)
        count = p.valid_pack(bytes(data))
        if count >= 0:
            accepted += 1
            a.begin(arena, 0, accepted)
            pack.store(bytes(data))
            assert len(pack.forwards()) == count and pack.backwards() == pack.forwards()[::-1]
            a.rollback(arena)
    assert accepted
    for _ in range(4000):
        body = source.randbytes(source.randint(0, 20))
        data = bytearray((7 + len(body)).to_bytes(4, "little") + b"\xff\xff" + body + b"\xff")
        assert p.valid_pack(bytes(data)) <= len(body)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"\7\0\0\0\0\0", b"\7\0\0\0\1\0\xff", b"\7\0\0\0\0\0\0", b"\x08\0\0\0\0\0\xff\xff",
        b"\x0d\0\0\0\1\0\xf0\xff\xff\xff\xff\5\xff", b"\x09\0\0\0\1\0\xf5\1\xff", b"\x09\0\0\0\1\0\xbf\1\xff",
        b"\x09\0\0\0\1\0\1\2\xff", b"\x08\0\0\0\1\0\xe0\xff", b"\x08\0\0\0\1\0\xf0\xff", b"\xff" * 7,
    ],
)
def test_what_is_no_listpack(data: bytes) -> None:
    assert p.valid_pack(data) == -1


@pytest.mark.parametrize("kind", ["pack", "ints"])
def test_shrinking_with_the_journal_full_leaves_the_arena_whole(arena: Arena, kind: str) -> None:
    boxed = p.Pack(arena) if kind == "pack" else p.Ints(arena)
    a.begin(arena, 0, 1)
    block, between = a.alloc(arena, 8 * MIB), a.alloc(arena, MIB)
    a.alloc(arena, MIB)
    a.free(arena, between)              # a free run, from which a smaller block's slab would be cut
    a.commit(arena)
    changed = 0
    for left in range(40, 1200, 40):
        a.begin(arena, 0, 2 * left)
        if isinstance(boxed, p.Pack):
            boxed.make([b"x" * 100] * 60)
        else:
            boxed.store(struct.pack("<II512q", 8, 512, *range(512)))
            assert all(boxed.remove(number) for number in range(288, 512))
        a.commit(arena)
        room = boxed.room()
        a.begin(arena, 0, 2 * left + 1)
        fill_journal(arena, block, boxed.block(), room, 64 * MIB - left)
        try:
            if isinstance(boxed, p.Pack):
                boxed.edit("delete", 1, 50, [])
            else:
                assert boxed.remove(287)
            a.commit(arena)
            changed += 1
        except OutOfMemory:
            a.rollback(arena)
        assert boxed.room() == room
        arena.check()
    assert changed > 10


def fill_journal(arena: Arena, block: int, edited: int, room: int, length: int) -> None:
    """Fills the journal with saves of the large `block`, and with what an edit will change: that is not saved again."""
    while a.journal_used(arena) < length - 200_000:
        a.save(arena, block, 131_072)
    for offset, size in ((edited, room), (a.root_offset(arena, 0), 16), (a.offsets(arena)["used_bytes"], 8)):
        a.save(arena, offset, size)
    while a.journal_used(arena) + 16 <= length:
        a.save(arena, block, 8)
        block += 16
