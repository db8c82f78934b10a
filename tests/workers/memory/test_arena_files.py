"""Files of arenas that are not what they should be are refused, and say why; and how large an arena may be."""
from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shardkv.hashing import SECRET_BYTES
from tests.hashing import hashing_with
from tests.workers.memory.arenas import MIB, CheckedTransactions, prepare
from workers.memory import _testing as c
from workers.memory.arena import Arena, ArenaError


def corrupt(path: str, offset: int, data: bytes) -> None:
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)


def refused(path: str, match: str, shard: int = 0, shards: int = 1, fresh: bool = False) -> None:
    with pytest.raises(ArenaError, match=match) as caught:
        Arena.open(path, shard, shards, fresh=fresh)
    assert "\n" not in str(caught.value) and path in str(caught.value)


@pytest.mark.parametrize(
    ("field", "text"),
    [
        ("magic", "move it away"),
        ("file_size", "damaged"),
        ("journal_start", "damaged"),
        ("journal_limit", "damaged"),
        ("pages_start", "damaged"),
        ("heap_start", "damaged"),
        ("capacity_pages", "damaged"),
        ("backed_pages", "damaged"),
        ("loose_end", "damaged"),
        ("journal_slot", "damaged"),
        ("journal_used", "damaged"),
        ("top_page", "damaged"),
        ("used_bytes", "damaged"),
        ("idle_pages", "damaged"),
        ("slabs", "damaged"),
        ("bins", "damaged"),
    ],
)
@pytest.mark.parametrize("value", [1 << 63, (1 << 64) - 1, 0x7FFFFFFFFFFFFFF0, (1 << 44) + 5])
def test_hostile_header_words_are_refused(arena: Arena, path: str, field: str, text: str, value: int) -> None:
    CheckedTransactions(arena).run(lambda: c.alloc(arena, 88))
    offset = c.offsets(arena)[field]
    corrupt(path, c.offsets(arena)["journal_position"], struct.pack("<Q", 77))
    corrupt(path, offset, struct.pack("<Q", value))
    refused(path, text)


def test_other_versions_and_shards_are_refused(arena: Arena, path: str) -> None:
    refused(path, "--workers 1", shard=0, shards=2)
    refused(path, "--workers 1", shard=1, shards=1)
    corrupt(path, c.offsets(arena)["version"], struct.pack("<I", 9))
    refused(path, "version 9")


def test_an_arena_whose_hashes_have_another_secret_is_refused(arena: Arena, path: str) -> None:
    with hashing_with(os.urandom(SECRET_BYTES)):
        refused(path, "was made by another instance")
    Arena.open(path, 0, 1).close()


@pytest.mark.parametrize("entry", [0, 65529, (1 << 63) | 8, 8, 100 << 16 | 8, 1 << 21 | 8, (1 << 40) << 16 | 8])
def test_hostile_journal_entries_are_refused(arena: Arena, path: str, entry: int) -> None:
    where = c.offsets(arena)
    c.begin(arena, 0, 8)
    c.put64(arena, c.root_offset(arena, 0), 1)
    corrupt(path, where["journal"] + 8, struct.pack("<Q", entry))
    refused(path, "damaged")


def test_short_and_foreign_files_are_refused(arena: Arena, path: str, tmp_path: Path) -> None:
    for size in (0, 100, 65536, 66 * MIB):
        os.truncate(path, size) if size == 66 * MIB else None
        short = tmp_path / f"short-{size}"
        short.write_bytes(bytes(min(size, 65536)))
        refused(str(short), "move it away")
    refused(path, "damaged")
    refused(str(tmp_path), "cannot open")
    refused(str(tmp_path / "none" / "arena"), "cannot open")


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_damaged_page_table_is_refused_or_harmless(path: str, data: st.DataObject) -> None:
    if not os.path.exists(path):
        prepare(path)
    arena = Arena.open(path, 0, 1)
    top = struct.unpack("<Q", c.peek(arena, c.offsets(arena)["top_page"], 8))[0]
    offset = c.offsets(arena)["pages"] + data.draw(st.integers(0, top * 24 - 8))
    old = c.peek(arena, offset, 8)
    arena.close()
    corrupt(path, offset, data.draw(st.binary(min_size=1, max_size=8)))
    try:
        Arena.open(path, 0, 1, fresh=True).close()
    except ArenaError as error:
        assert "damaged" in str(error)
    corrupt(path, offset, old)


@pytest.mark.parametrize("capacity", [0, -1, 4096, 1 << 50])
def test_absurd_capacities_are_refused(path: str, capacity: int) -> None:
    with pytest.raises(ArenaError, match="capacity"):
        Arena.open(path, 0, 1, capacity=capacity)
    assert not os.path.exists(path)


def test_the_default_capacity_is_the_file_system(path: str) -> None:
    arena = Arena.open(path, 3, 4)
    assert arena.capacity >= 1 << 30
    assert arena.backed_bytes <= 1792 * 1024        # most of it in reserve
    arena.close()
