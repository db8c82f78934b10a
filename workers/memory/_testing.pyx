"""C-only calls of the arena, opened to the tests."""
from libc.stdint cimport uint64_t
from libc.string cimport memcpy
from workers.memory.arena cimport Arena
from workers.memory.format cimport FREE, UNBACKED
from workers.memory.journal cimport crash_countdown
from workers.memory.slabs cimport size_classes

import contextlib
import os


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


def give_back(Arena arena) -> bool:
    return arena.give_back()


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


def offsets(Arena arena) -> dict[str, int]:
    """Where the header's fields lie in the file, and where its parts begin."""
    header = arena.header
    return {
        "magic": arena.offset_of(&header.magic),
        "version": arena.offset_of(&header.version),
        "shard": arena.offset_of(&header.shard),
        "shards": arena.offset_of(&header.shards),
        "loose_end": arena.offset_of(&header.loose_end),
        "file_size": arena.offset_of(&header.file_size),
        "journal_start": arena.offset_of(&header.journal_start),
        "journal_limit": arena.offset_of(&header.journal_limit),
        "pages_start": arena.offset_of(&header.pages_start),
        "heap_start": arena.offset_of(&header.heap_start),
        "capacity_pages": arena.offset_of(&header.capacity_pages),
        "secret": arena.offset_of(&header.secret),
        "generation": arena.offset_of(&header.generation),
        "journal_used": arena.offset_of(&header.journal_used),
        "journal_slot": arena.offset_of(&header.journal_slot),
        "journal_position": arena.offset_of(&header.journal_position),
        "backed_pages": arena.offset_of(&header.backed_pages),
        "used_bytes": arena.offset_of(&header.used_bytes),
        "top_page": arena.offset_of(&header.top_page),
        "idle_pages": arena.offset_of(&header.idle_pages),
        "roots": arena.offset_of(&header.roots),
        "slabs": arena.offset_of(&header.slabs),
        "bins": arena.offset_of(&header.bins),
        "journal": header.journal_start,
        "pages": header.pages_start,
        "heap": header.heap_start,
    }


@contextlib.contextmanager
def growth_failing(Arena arena):
    """Lets posix_fallocate fail, by a descriptor that may not be written."""
    writable = os.dup(arena.fd)
    readable = os.open(arena.path, os.O_RDONLY)
    os.dup2(readable, arena.fd)
    os.close(readable)
    try:
        yield
    finally:
        os.dup2(writable, arena.fd, inheritable=False)
        os.close(writable)


def journal_used(Arena arena) -> int:
    return arena.header.journal_used


def idle_pages(Arena arena) -> int:
    return arena.header.idle_pages


def unbacked_runs(Arena arena) -> list[tuple[int, int]]:
    """Offset and size of the free runs that were given back to the system."""
    runs = []
    page = 1
    while page < arena.header.top_page:
        info = arena.infos[<uint64_t>page]
        if info.kind == FREE and info.flags == UNBACKED:
            runs.append((arena.header.heap_start + page * 4096, info.pages * 4096))
        page += info.pages
    return runs


def crash_points_left() -> int:
    """What is left of `crash_after`'s count."""
    return crash_countdown
