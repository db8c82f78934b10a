"""C-only calls of the arena, opened to the tests."""
from libc.stdint cimport uint64_t
from libc.string cimport memcpy
from workers.memory.arena cimport Arena
from workers.memory.slabs cimport size_classes

from workers.memory.journal import crash_points_left as crash_points_left

HEADER_WORDS = {
    "magic": 0, "version": 1, "shard": 1, "shards": 2, "file_size": 3, "journal_start": 4, "journal_limit": 5, "pages_start": 6,
    "heap_start": 7, "capacity_pages": 8, "journal_used": 9, "journal_slot": 10, "journal_position": 11, "backed_pages": 12, "commit": 13,
    "used_bytes": 77, "top_page": 78, "idle_pages": 79, "roots": 80, "slabs": 336, "bins": 486,
}


def class_shapes() -> list[tuple[int, int, int]]:
    """Size, pages and blocks of each size class."""
    return [(shape.size, shape.pages, shape.blocks) for shape in size_classes[:72]]


def begin(Arena arena, slot: int, position: int) -> None:
    arena.begin(slot, position)


def save(Arena arena, offset: int, length: int) -> None:
    arena.save(offset, length)


def put64(Arena arena, offset: int, value: int) -> None:
    arena.put64(offset, value)


def put32(Arena arena, offset: int, value: int) -> None:
    arena.put32(offset, value)


def write(Arena arena, offset: int, data: bytes) -> None:
    arena.write(offset, data, len(data))


def poke(Arena arena, offset: int, data: bytes) -> None:
    """Stores without saving: memory just allocated."""
    memcpy(arena.at(offset), <const char *>data, len(data))


def peek(Arena arena, offset: int, length: int) -> bytes:
    return arena.at(offset)[:length]


def root_offset(Arena arena, index: int) -> int:
    return arena.root_offset(index)


def commit(Arena arena) -> None:
    arena.commit()


def rollback(Arena arena) -> None:
    arena.rollback()


def alloc(Arena arena, length: int) -> int:
    return arena.alloc(length)


def alloc_zeroed(Arena arena, length: int) -> int:
    return arena.alloc_zeroed(length)


def free(Arena arena, offset: int) -> None:
    arena.free(offset)


def usable(Arena arena, offset: int) -> int:
    return arena.usable(offset)


def good_size(Arena arena, length: int) -> int:
    return arena.good_size(length)


def journal_used(Arena arena) -> int:
    return arena.header.journal_used


def idle_pages(Arena arena) -> int:
    return arena.header.idle_pages


def churn(Arena arena, length: int, count: int) -> None:
    """Allocates `count` blocks of one length in one transaction's hot path, for measuring."""
    cdef uint64_t size = length
    cdef int i, n = count
    for i in range(n):
        arena.alloc(size)
