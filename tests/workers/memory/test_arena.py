"""The arena: allocator, journal, recovery, room."""
from __future__ import annotations

import os
import resource
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shardkv.errors import OutOfMemory
from tests.workers.memory.arenas import CAPACITY, MIB, CheckedTransactions
from workers.memory import _testing as c
from workers.memory.arena import Arena, ArenaError

# -- allocating


def test_size_classes_waste_little() -> None:
    shapes = c.class_shapes()
    assert [size for size, _, _ in shapes] == sorted({size for size, _, _ in shapes})
    assert shapes[0][0] == 8 and shapes[15][0] == 128 and shapes[-1][0] == 16384
    for size, pages, blocks in shapes:
        overhead = 1 - size * blocks / (pages * 4096) + 24 / 4096
        assert overhead < (0.03 if size < 32 or size > 128 else 0.015), size


@pytest.mark.parametrize("length", [0, 1, 8, 9, 88, 128, 129, 145, 1000, 1023, 1024, 1025, 16384, 16385, 65536, MIB])
def test_blocks_hold_what_was_asked_and_no_two_overlap(arena: Arena, length: int) -> None:
    blocks = CheckedTransactions(arena).run(lambda: [c.alloc(arena, length) for _ in range(5)])
    size = c.good_size(arena, length)
    assert length <= size <= max(8, length * 1.125 + 8) or length > 16384 and size == (length + 4095) // 4096 * 4096
    assert all(c.usable(arena, block) == size and block % 8 == 0 for block in blocks)
    assert arena.allocated() == sorted((block, size) for block in blocks)
    assert arena.used_bytes == 5 * size


def test_zeroed_memory_is_zero_where_other_bytes_were(arena: Arena) -> None:
    transactions = CheckedTransactions(arena)
    old = transactions.run(lambda: c.alloc(arena, 500))
    transactions.run(lambda: (c.poke(arena, old, b"x" * 500), c.free(arena, old)))
    blocks = transactions.run(lambda: [c.alloc_zeroed(arena, 500) for _ in range(200)])
    assert old in blocks
    assert all(c.peek(arena, block, 500) == bytes(500) for block in blocks)


def test_a_transaction_never_reuses_what_it_freed(arena: Arena) -> None:
    transactions = CheckedTransactions(arena)
    old = transactions.run(lambda: [c.alloc(arena, 20000), c.alloc(arena, 88)])
    transactions.begin()
    for block in old:
        c.free(arena, block)
    new = [c.alloc(arena, 20000), c.alloc(arena, 88)]
    assert not set(old) & set(new)
    c.commit(arena)
    assert transactions.run(lambda: c.alloc(arena, 20000)) == old[0]


@pytest.mark.parametrize("length", [40, 5000, 20000])
def test_freeing_what_is_no_block_is_refused_before_the_commit(arena: Arena, length: int) -> None:
    transactions = CheckedTransactions(arena)
    block = transactions.run(lambda: c.alloc(arena, length))
    before = arena.fingerprint()
    for wrong in ([block, block], [block + 8], [0], [1 << 39], [(1 << 64) - 8]):
        transactions.begin()
        for offset in wrong:
            c.free(arena, offset)
        with pytest.raises(ArenaError):
            c.commit(arena)
        c.rollback(arena)
        arena.check()
        assert arena.fingerprint() == before


def test_empty_slabs_return_all_but_one(arena: Arena) -> None:
    transactions = CheckedTransactions(arena)
    blocks = transactions.run(lambda: [c.alloc(arena, 100) for _ in range(5000)])
    transactions.run(lambda: [c.free(arena, block) for block in blocks])
    assert arena.used_bytes == 0
    runs = arena.fingerprint()["runs"]
    assert isinstance(runs, list) and len(runs) <= 2      # the spare slab, and what lies before it


def test_neighbouring_runs_coalesce(arena: Arena) -> None:
    transactions = CheckedTransactions(arena)
    blocks = transactions.run(lambda: [c.alloc(arena, 40960) for _ in range(9)])
    for index in (1, 3, 2, 7, 5, 6, 4):
        transactions.run(lambda index=index: c.free(arena, blocks[index]))
    assert transactions.run(lambda: c.alloc(arena, 7 * 40960)) == blocks[1]


# -- transactions


def test_saves_of_any_length_roll_back(arena: Arena) -> None:
    transactions = CheckedTransactions(arena)
    content = os.urandom(300_000)
    block = transactions.run(lambda: c.alloc(arena, len(content)))
    c.poke(arena, block, content)
    before = arena.fingerprint()
    transactions.begin()
    for start, length in ((0, 1), (3, 7), (8, 8), (65528, 65528), (1, 299_999), (100, 65529), (0, 300_000)):
        c.write(arena, block + start, b"\xff" * length)
    c.put64(arena, c.root_offset(arena, 255), 7)
    c.put32(arena, c.root_offset(arena, 0) + 4, 9)
    c.rollback(arena)
    assert arena.fingerprint() == before
    assert c.peek(arena, block, len(content)) == content


def test_commit_names_the_slot_and_position(arena: Arena, path: str) -> None:
    c.begin(arena, 5, 4096)
    c.put64(arena, c.root_offset(arena, 3), 99)
    assert arena.commit_word(5) == 0
    c.commit(arena)
    c.begin(arena, 63, 1)
    c.commit(arena)
    assert (arena.commit_word(5), arena.commit_word(63), c.journal_used(arena)) == (4096, 1, 0)
    arena.close()
    again = Arena.open(path, 0, 1)
    assert again.commit_word(5) == 4096 and again.capacity == CAPACITY
    fresh = Arena.open(path, 0, 1, fresh=True)
    assert fresh.commit_word(5) == 0
    assert c.peek(fresh, c.root_offset(fresh, 3), 8) == struct.pack("<Q", 99)


def test_an_overflowing_journal_is_out_of_memory_and_rolls_back(arena: Arena) -> None:
    transactions = CheckedTransactions(arena)
    block = transactions.run(lambda: c.alloc_zeroed(arena, 8 * MIB))
    before, backed = arena.fingerprint(), arena.backed_bytes
    transactions.begin()
    with pytest.raises(OutOfMemory):
        for _ in range(9):
            c.write(arena, block, b"y" * (8 * MIB))
    c.rollback(arena)
    arena.check()
    assert arena.fingerprint() == before
    assert arena.backed_bytes <= backed + 5 * MIB       # the journal went back to the system


def test_frees_that_overflow_the_journal_leave_the_transaction_open(arena: Arena) -> None:
    transactions = CheckedTransactions(arena)
    block = transactions.run(lambda: c.alloc(arena, 8 * MIB))
    small = transactions.run(lambda: [c.alloc(arena, 64) for _ in range(2000)])
    before = arena.fingerprint()
    transactions.begin()
    while c.journal_used(arena) < 64 * MIB - 200_000:
        c.save(arena, block, 131_072)
    while c.journal_used(arena) < 64 * MIB - 200:       # what has been saved is not saved again, unless it is long
        c.save(arena, block, 8)
        block += 8
    for offset in small:
        c.free(arena, offset)
    with pytest.raises(OutOfMemory):
        c.commit(arena)
    c.rollback(arena)
    arena.check()
    assert arena.fingerprint() == before


Operation = tuple[str, int, int]
operations = st.lists(
    st.tuples(
        st.sampled_from(["alloc", "alloc", "alloc", "free", "free", "write", "root"]),
        st.one_of(st.integers(0, 300), st.integers(300, 17000), st.sampled_from([16385, 65536, 100_000, MIB, 5 * MIB])),
        st.integers(0, 1 << 30),
    ),
    max_size=40,
)


class Model:
    """What the arena should hold: blocks with their content, and root words."""

    def __init__(self, arena: Arena) -> None:
        self.arena = arena
        self.blocks: dict[int, bytes] = {}
        self.roots: dict[int, int] = {}

    def apply(self, operations: list[Operation]) -> tuple[dict[int, bytes], dict[int, int]]:
        """Does the operations in an open transaction and answers the state that a commit makes true."""
        blocks, roots, freed = dict(self.blocks), dict(self.roots), set[int]()
        for name, length, choice in operations:
            live = sorted(blocks.keys() - freed)
            victim = live[choice % len(live)] if live else 0
            if name == "alloc":
                block = c.alloc(self.arena, length)
                assert block not in blocks
                blocks[block] = bytes([choice % 256]) * c.usable(self.arena, block)
                c.poke(self.arena, block, blocks[block])
            elif name == "free" and victim:
                c.free(self.arena, victim)
                freed.add(victim)
            elif name == "write" and victim:
                start = choice % len(blocks[victim])
                data = os.urandom(min(length, len(blocks[victim]) - start))
                c.write(self.arena, victim + start, data)
                blocks[victim] = blocks[victim][:start] + data + blocks[victim][start + len(data) :]
            elif name == "root":
                roots[choice % 256] = choice
                c.put64(self.arena, c.root_offset(self.arena, choice % 256), choice)
        return {block: content for block, content in blocks.items() if block not in freed}, roots

    def verify(self) -> None:
        self.arena.check()
        assert self.arena.allocated() == sorted((block, len(content)) for block, content in self.blocks.items())
        assert self.arena.used_bytes == sum(map(len, self.blocks.values()))
        for block, content in self.blocks.items():
            assert c.peek(self.arena, block, len(content)) == content
        for index, value in self.roots.items():
            assert c.peek(self.arena, c.root_offset(self.arena, index), 8) == struct.pack("<Q", value)


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.lists(st.tuples(operations, st.sampled_from(["commit", "commit", "rollback", "reopen"])), max_size=8))
def test_behaves_as_a_model(path: str, transactions: list[tuple[list[Operation], str]]) -> None:
    Path(path).unlink(missing_ok=True)
    arena = Arena.open(path, 0, 1, capacity=96 * MIB)
    model = Model(arena)
    for position, (work, end) in enumerate(transactions, 1):
        before = arena.fingerprint()
        c.begin(arena, 0, position)
        try:
            after = model.apply(work)
            if end == "commit":
                c.commit(arena)
                model.blocks, model.roots = after
        except OutOfMemory:
            end = "rollback"
        if end == "rollback":
            c.rollback(arena)
        elif end == "reopen":       # as after a death in mid-transaction
            arena.close()
            arena = model.arena = Arena.open(path, 0, 1, fresh=position % 2 == 0)
        if end != "commit":
            assert arena.fingerprint() == before
        model.verify()
    arena.close()


# -- room


def test_a_full_arena_is_out_of_memory_and_stays_usable(arena: Arena) -> None:
    transactions = CheckedTransactions(arena)
    before = arena.fingerprint()
    for length in (CAPACITY * 2, CAPACITY, (1 << 64) - 1, (1 << 64) - 4096):
        transactions.begin()
        with pytest.raises(OutOfMemory):
            c.alloc(arena, length)
        c.rollback(arena)
    transactions.begin()
    with pytest.raises(OutOfMemory):
        for _ in range(CAPACITY // 5000 + 1):
            c.alloc(arena, 5000)
    c.rollback(arena)
    arena.check()
    assert arena.fingerprint() == before
    blocks = transactions.run(lambda: [c.alloc(arena, MIB) for _ in range(31)])
    transactions.run(lambda: [c.free(arena, block) for block in blocks[::2] + blocks[1::2]])
    assert transactions.run(lambda: c.alloc(arena, 31 * MIB))


def test_growth_that_fails_is_out_of_memory_and_recoverable(arena: Arena) -> None:
    transactions = CheckedTransactions(arena)
    transactions.run(lambda: c.alloc(arena, 100))
    before = arena.fingerprint()
    with c.growth_failing(arena):
        transactions.begin()
        with pytest.raises(OutOfMemory):
            for _ in range(100):
                c.alloc(arena, 100_000)
        c.rollback(arena)
    arena.check()
    assert arena.fingerprint() == before
    transactions.run(lambda: [c.alloc(arena, 100_000) for _ in range(100)])


def test_a_full_file_system_is_out_of_memory_never_a_signal(tmp_path: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(tmp_path)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("may not mount a small file system")
    try:
        arena = Arena.open(str(tmp_path / "arena-0"), 0, 1)
        transactions = CheckedTransactions(arena)
        before = transactions.run(lambda: c.alloc_zeroed(arena, 100)) and arena.fingerprint()
        transactions.begin()
        with pytest.raises(OutOfMemory):
            while True:
                c.alloc_zeroed(arena, 3000)
        c.rollback(arena)
        arena.check()
        assert arena.fingerprint() == before
        with pytest.raises(ArenaError, match="arena-dir"):
            (tmp_path / "filler").write_bytes(bytes(4 * MIB - arena.backed_bytes))
            Arena.open(str(tmp_path / "arena-1"), 0, 1)
        assert sorted(os.listdir(tmp_path)) == ["arena-0", "filler"]
        arena.close()
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_file_size_limit_is_told(path: str) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64 * MIB, hard))
    try:
        with pytest.raises(ArenaError, match="ulimit -f"):
            Arena.open(path, 0, 1, capacity=CAPACITY)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert os.listdir(os.path.dirname(path)) == []


def test_a_tiny_arena_takes_little(arena: Arena) -> None:
    assert arena.backed_bytes <= 1792 * 1024        # most of it in reserve
    CheckedTransactions(arena).run(lambda: c.alloc(arena, 88))
    assert arena.backed_bytes <= 2048 * 1024


def test_freed_pages_return_to_the_system(arena: Arena) -> None:
    transactions = CheckedTransactions(arena)
    blocks = transactions.run(lambda: [c.alloc(arena, MIB) for _ in range(24)])
    full = arena.backed_bytes
    assert full >= 24 * MIB
    transactions.run(lambda: [c.free(arena, block) for block in blocks[:23]])
    assert not c.unbacked_runs(arena) and arena.backed_bytes > 24 * MIB     # a command gives nothing back
    left = arena.backed_bytes
    assert transactions.run(lambda: c.give_back(arena))
    assert left - MIB - 8192 <= arena.backed_bytes < left                   # a step gives a bounded part
    transactions.give_back()
    assert c.unbacked_runs(arena) and c.idle_pages(arena) <= 1024
    assert arena.backed_bytes < full - 18 * MIB
    # A transaction that takes such pages and rolls back gives them back again.
    low, before = arena.backed_bytes, arena.fingerprint()
    transactions.begin()
    c.alloc(arena, 15 * MIB)
    assert arena.backed_bytes > low + 14 * MIB
    c.rollback(arena)
    assert arena.fingerprint() == before
    transactions.give_back()
    assert arena.backed_bytes <= low + MIB
    # The top sinks below runs that are not backed, and is provided again.
    transactions.run(lambda: c.free(arena, blocks[23]))
    transactions.give_back()
    assert arena.backed_bytes < 10 * MIB and not c.unbacked_runs(arena)
    block = transactions.run(lambda: c.alloc(arena, 20 * MIB))
    assert arena.backed_bytes >= 20 * MIB
    c.poke(arena, block, b"z" * (20 * MIB))


def test_a_rollback_gives_back_what_the_top_had_grown(arena: Arena) -> None:
    transactions = CheckedTransactions(arena)
    transactions.run(lambda: c.alloc(arena, 100))
    before = arena.backed_bytes
    transactions.begin()
    c.alloc(arena, 25 * MIB)
    c.rollback(arena)
    assert transactions.give_back() > 25
    assert arena.backed_bytes <= before + MIB


def test_what_a_death_left_above_the_top_goes_in_steps(path: str) -> None:
    arena = Arena.open(path, 0, 1, capacity=CAPACITY)
    low = arena.backed_bytes
    c.begin(arena, 0, 8)
    c.alloc(arena, 20 * MIB)
    arena.close()
    for _ in range(2):                  # and what a second one had not yet given back
        arena = Arena.open(path, 0, 1)
        transactions = CheckedTransactions(arena)
        assert transactions.run(lambda: c.give_back(arena))  # noqa: B023
        arena.close()
    arena = Arena.open(path, 0, 1)
    assert low + 16 * MIB < arena.backed_bytes < low + 20 * MIB
    assert CheckedTransactions(arena).give_back() > 16
    assert arena.backed_bytes <= low + MIB
    arena.close()
