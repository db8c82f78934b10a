"""Walks over a whole arena: see audit.pxd."""
from libc.stdint cimport uint32_t, uint64_t
from shardkv.hashing cimport hash_key
from workers.memory.format cimport (
    BACKED,
    BINS,
    CLASSES,
    FREE,
    FREE_TAIL,
    HEADER_BYTES,
    PAGE_BYTES,
    PAGE_SHIFT,
    RESERVED,
    RUN,
    RUN_TAIL,
    SLAB,
    UNBACKED,
    ArenaHeader,
    PageInfo,
)
from workers.memory.pages cimport bin_of
from workers.memory.slabs cimport SizeClass, full_word, size_classes

import os

cdef extern from *:
    int count_bits "__builtin_popcountll"(uint64_t word) nogil

cdef struct Tally:
    uint64_t used
    uint64_t idle
    uint64_t free_runs[2]
    uint64_t listed[72]
    uint64_t empty[72]


cdef int expect(bint holds, str text, uint64_t where) except -1:
    if not holds:
        raise AssertionError(f"{text} ({where})")
    return 0


cdef int check_arena(Slabs arena) except -1:
    cdef ArenaHeader *header = arena.header
    cdef PageInfo *infos = arena.infos
    cdef Tally tally
    cdef uint64_t page = 1, last
    cdef int i
    tally.used = tally.idle = 0
    for i in range(CLASSES):
        tally.listed[i] = tally.empty[i] = 0
    tally.free_runs[BACKED] = tally.free_runs[UNBACKED] = 0
    expect(header.journal_used == 0, "a transaction is open", header.journal_used)
    expect(1 <= header.top_page <= header.capacity_pages, "top_page is out of bounds", header.top_page)
    expect(header.backed_pages <= header.capacity_pages, "backed_pages is out of bounds", header.backed_pages)
    expect(header.top_page <= header.backed_pages, "the top is not backed", header.top_page)
    expect(infos[0].kind == RESERVED, "page 0 is not reserved", 0)
    while page < header.top_page:
        expect(0 < infos[page].pages <= header.top_page - page, "a run does not end", page)
        if infos[page].kind == SLAB:
            check_slab(arena, page, &tally)
        elif infos[page].kind == FREE:
            check_free(arena, page, &tally)
        else:
            expect(infos[page].kind == RUN, "no run begins at page", page)
            last = page + infos[page].pages - 1
            expect(last == page or infos[last].kind == RUN_TAIL, "a run has no tail", page)
            tally.used += <uint64_t>infos[page].pages << PAGE_SHIFT
        page += infos[page].pages
    expect(tally.used == header.used_bytes, "used_bytes is not the sum of the blocks", tally.used)
    expect(tally.idle == header.idle_pages, "idle_pages is not the sum of the backed free runs", tally.idle)
    for i in range(CLASSES):
        check_slab_list(arena, i, &tally)
    check_bins(arena, BACKED, tally.free_runs[BACKED])
    check_bins(arena, UNBACKED, tally.free_runs[UNBACKED])
    return 0


cdef int check_slab(Slabs arena, uint64_t page, Tally *tally) except -1:
    cdef PageInfo *info = &arena.infos[page]
    cdef SizeClass *shape
    cdef uint64_t *bitmap
    cdef uint32_t i, free_blocks = 0
    expect(info.size_class < CLASSES, "a slab has no class", page)
    shape = &size_classes[info.size_class]
    expect(info.pages == shape.pages, "a slab has not its class's length", page)
    for i in range(shape.pages):
        expect(info[i].kind == SLAB and info[i].part == i, "a slab's page is not marked", page + i)
    bitmap = arena.bitmap(page)
    for i in range(shape.words):
        expect(bitmap[i] & ~full_word(shape, i) == 0, "a bitmap has bits behind its end", page)
        free_blocks += count_bits(bitmap[i])
    expect(info.flags == 1 or (info.flags == 0 and free_blocks == 0), "a slab with room is in no list", page)
    tally.listed[info.size_class] += info.flags
    tally.empty[info.size_class] += free_blocks == shape.blocks
    tally.used += <uint64_t>(shape.blocks - free_blocks) * shape.size
    return 0


cdef int check_free(Slabs arena, uint64_t page, Tally *tally) except -1:
    cdef PageInfo *info = &arena.infos[page]
    cdef uint64_t after = page + info.pages
    expect(info.flags == BACKED or info.flags == UNBACKED, "a free run is of no set", page)
    expect(after < arena.header.top_page, "a free run lies before the top", page)
    expect(info[info.pages].kind != FREE or info[info.pages].flags != info.flags, "free neighbours are not one", page)
    expect(
        info.pages == 1 or (arena.infos[after - 1].kind == FREE_TAIL and arena.infos[after - 1].pages == info.pages),
        "a free run has no tail",
        page,
    )
    tally.free_runs[info.flags] += 1
    if info.flags == BACKED:
        tally.idle += info.pages
    return 0


cdef bint is_slab(PageInfo *info, int size_class) noexcept:
    return info.kind == SLAB and info.part == 0 and info.size_class == size_class


cdef int check_slab_list(Slabs arena, int size_class, Tally *tally) except -1:
    cdef ArenaHeader *header = arena.header
    cdef PageInfo *info
    cdef uint64_t page = header.slabs[size_class].first
    cdef uint64_t before = 0, found = 0
    while page:
        expect(page < header.top_page, "a list of slabs leads out of the heap", page)
        info = &arena.infos[page]
        expect(is_slab(info, size_class) and info.flags == 1, "not a slab of its list", page)
        expect(info.prev == before, "a list of slabs is not chained", page)
        found += 1
        expect(found <= tally.listed[size_class], "a list of slabs has too many", page)
        before = page
        page = info.next
    expect(found == tally.listed[size_class], "a list of slabs lacks some of class", size_class)
    expect(header.slabs[size_class].last == before, "a list of slabs has a wrong end, class", size_class)
    expect(tally.empty[size_class] <= 1, "more than one empty slab is kept of class", size_class)
    page = header.slabs[size_class].spare
    if page:
        expect(page < header.top_page, "a spare slab lies out of the heap", page)
        expect(is_slab(&arena.infos[page], size_class), "not a spare slab", page)
    return 0


cdef int check_bins(Slabs arena, int backing, uint64_t runs) except -1:
    cdef ArenaHeader *header = arena.header
    cdef PageInfo *info
    cdef uint64_t page, before, mapped, found = 0
    cdef int bin
    for bin in range(BINS):
        page = header.bins[backing][bin]
        before = 0
        mapped = header.bin_map[backing][bin >> 6] >> (bin & 63) & 1
        expect(mapped == (page != 0), "the map of free lists is wrong at", bin)
        while page:
            expect(page < header.top_page, "a free list leads out of the heap", page)
            info = &arena.infos[page]
            expect(info.kind == FREE and info.flags == backing, "not a run of its set of lists", page)
            expect(bin_of(info.pages) == bin, "not a run of its list", page)
            expect(info.prev == before, "a free list is not chained", page)
            found += 1
            expect(found <= runs, "the free lists have too many runs", page)
            before = page
            page = info.next
    return expect(found == runs, "the free lists lack runs", runs - found)


cdef list arena_blocks(Slabs arena):
    cdef PageInfo *info
    cdef SizeClass *shape
    cdef uint64_t *bitmap
    cdef uint64_t offset
    cdef uint64_t page = 1
    cdef uint32_t i
    cdef list blocks = []
    while page < arena.header.top_page:
        info = &arena.infos[page]
        offset = arena.header.heap_start + (page << PAGE_SHIFT)
        if info.kind == RUN:
            blocks.append((offset, <uint64_t>info.pages << PAGE_SHIFT))
        elif info.kind == SLAB:
            shape = &size_classes[info.size_class]
            bitmap = arena.bitmap(page)
            for i in range(shape.blocks):
                if not bitmap[i >> 6] >> (i & 63) & 1:
                    blocks.append((offset + shape.first + <uint64_t>i * shape.size, shape.size))
        page += info.pages
    return blocks


cdef dict arena_fingerprint(Slabs arena):
    cdef ArenaHeader *header = arena.header
    cdef PageInfo *info
    cdef uint64_t page = 1
    cdef char *journalled = <char *>&header.used_bytes
    cdef char *end = <char *>header + sizeof(ArenaHeader)
    cdef uint64_t[4] chain = [0, 0, 0, 0]
    runs = []
    while page < header.top_page:
        info = &arena.infos[page]
        if info.kind == RUN:
            runs.append((page, RUN, info.pages))
        elif info.kind == FREE:
            runs.append((page, FREE, info.pages, info.flags, info.next, info.prev))
        else:
            bits = (<char *>arena.bitmap(page))[:size_classes[info.size_class].words * 8]
            runs.append((page, SLAB, info.size_class, info.flags, info.next, info.prev, bits))
        page += info.pages
    for offset, size in arena_blocks(arena):
        chain[1], chain[2], chain[3] = offset, size, hash_key(arena.base + <uint64_t>offset, size)
        chain[0] = hash_key(<char *>chain, sizeof(chain))
    return {"header": journalled[:end - journalled], "runs": runs, "blocks": chain[0]}


cdef int provide_all(Slabs arena) except -1:
    cdef ArenaHeader *header = arena.header
    cdef uint64_t page = 1, from_page = 0, unbacked = 0
    cdef uint64_t table = (header.backed_pages * sizeof(PageInfo) + PAGE_BYTES - 1) // PAGE_BYTES * PAGE_BYTES
    cdef uint64_t heap_end = header.heap_start + (header.backed_pages << PAGE_SHIFT)
    cdef PageInfo *info
    arena.punch(heap_end, header.file_size - heap_end)
    arena.punch(header.pages_start + table, header.heap_start - header.pages_start - table)
    header.loose_end = 0
    while page < header.top_page:
        unbacked += is_unbacked(&arena.infos[page]) * arena.infos[page].pages
        page += arena.infos[page].pages
    if os.fstat(arena.fd).st_blocks * 512 >= (
        HEADER_BYTES + arena.journal_ready + table + (header.backed_pages - unbacked) * PAGE_BYTES
    ):
        return 0
    arena.provide(0, HEADER_BYTES + arena.journal_ready)
    arena.provide(header.pages_start, table)
    page = 1
    while page < header.top_page:
        info = &arena.infos[page]
        if is_unbacked(info):
            arena.provide(header.heap_start + (from_page << PAGE_SHIFT), (page - from_page) << PAGE_SHIFT)
            from_page = page + info.pages
        page += info.pages
    if from_page < header.backed_pages:
        arena.provide(header.heap_start + (from_page << PAGE_SHIFT), (header.backed_pages - from_page) << PAGE_SHIFT)
    return 0


cdef inline bint is_unbacked(PageInfo *info) noexcept:
    return info.kind == FREE and info.flags == UNBACKED


cdef int punch_unbacked(Slabs arena) except -1:
    cdef uint64_t page
    cdef int bin
    for bin in range(BINS):
        page = arena.header.bins[UNBACKED][bin]
        while page:
            arena.punch(arena.header.heap_start + (page << PAGE_SHIFT), <uint64_t>arena.infos[page].pages << PAGE_SHIFT)
            page = arena.infos[page].next
    return 0
