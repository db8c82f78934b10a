"""Intsets: see intset.pxd for the format and the invariants."""
from libc.stdint cimport INT16_MAX, INT16_MIN, INT32_MAX, INT32_MIN, int16_t, int32_t
from libc.string cimport memmove

from shardkv.errors import OutOfMemory

cdef enum:
    KEPT_ROOM = 64              # a block of no more bytes is not exchanged for a smaller one


cdef inline uint64_t width_of(const char *ints) noexcept nogil:
    cdef uint32_t width
    memcpy(&width, ints, 4)
    return width


cdef inline uint64_t width_for(int64_t number) noexcept nogil:
    if INT16_MIN <= number <= INT16_MAX:
        return 2
    return 4 if INT32_MIN <= number <= INT32_MAX else 8


cdef inline int64_t load(const char *ints, uint64_t width, uint64_t index) noexcept nogil:
    cdef const char *at = ints + INTS_HEADER + index * width
    cdef int16_t short_number
    cdef int32_t middle_number
    cdef int64_t number
    if width == 2:
        memcpy(&short_number, at, 2)
        return short_number
    if width == 4:
        memcpy(&middle_number, at, 4)
        return middle_number
    memcpy(&number, at, 8)
    return number


cdef inline void store(char *ints, uint64_t width, uint64_t index, int64_t number) noexcept nogil:
    memcpy(ints + INTS_HEADER + index * width, &number, width)      # little-endian: the low bytes


cdef void write_header(char *ints, uint64_t width, uint64_t count) noexcept nogil:
    cdef uint32_t words[2]
    words[0], words[1] = <uint32_t>width, <uint32_t>count
    memcpy(ints, words, INTS_HEADER)


# -- reading

cdef int64_t ints_get(const char *ints, uint64_t index) noexcept nogil:
    return load(ints, width_of(ints), index)


cdef bint ints_find(const char *ints, int64_t number, uint64_t *place) noexcept nogil:
    cdef uint64_t width = width_of(ints), low = 0, high = ints_count(ints), count = high, middle
    while low < high:
        middle = (low + high) // 2
        if load(ints, width, middle) < number:
            low = middle + 1
        else:
            high = middle
    if place != NULL:
        place[0] = low
    return low < count and load(ints, width, low) == number


cdef int64_t ints_valid(const char *bytes, uint64_t length) noexcept nogil:
    cdef uint64_t width, count, index
    if length < INTS_HEADER:
        return -1
    width, count = width_of(bytes), ints_count(bytes)
    if (width != 2 and width != 4 and width != 8) or ints_bytes(bytes) != length:
        return -1
    for index in range(1, count):
        if load(bytes, width, index - 1) >= load(bytes, width, index):
            return -1
    return <int64_t>count


# -- editing

cdef int ints_make(Arena arena, Box *box) except -1:
    box.block, box.length = arena.alloc(INTS_HEADER), INTS_HEADER
    write_header(arena.at(box.block), 2, 0)
    return 0


cdef int ints_store(Arena arena, Box *box, const char *bytes, uint64_t length) except -1:
    box.block, box.length = arena.alloc(length), length
    memcpy(arena.at(box.block), bytes, length)
    return 0


cdef int ints_add(Arena arena, Box *box, int64_t number) except -1:
    cdef const char *ints = arena.at(box.block)
    cdef uint64_t place, width = width_of(ints), count = ints_count(ints), wider = width_for(number)
    if ints_find(ints, number, &place):
        return 0
    if count == 0xFFFFFFFF:
        raise OutOfMemory("an intset has no more than 2^32 - 1 numbers")
    if wider > width:
        add_wider(arena, box, wider, place, number)
    elif box.length + width <= arena.usable(box.block):
        add_in_place(arena, box, width, place, number)
    else:
        add_elsewhere(arena, box, width, place, number)
    return 1


cdef int add_in_place(Arena arena, Box *box, uint64_t width, uint64_t place, int64_t number) except -1:
    cdef char *ints = arena.at(box.block)
    cdef uint64_t start = INTS_HEADER + place * width
    arena.save(box.block, INTS_HEADER)
    arena.save(box.block + start, box.length + width - start)
    memmove(ints + start + width, ints + start, box.length - start)
    store(ints, width, place, number)
    write_header(ints, width, ints_count(ints) + 1)
    box.length += width
    return 0


cdef int add_elsewhere(Arena arena, Box *box, uint64_t width, uint64_t place, int64_t number) except -1:
    cdef uint64_t length = box.length + width, start = INTS_HEADER + place * width
    cdef uint64_t block = arena.alloc(length + length // 4)
    cdef char *ints = arena.at(block)
    cdef const char *old = arena.at(box.block)
    memcpy(ints, old, start)
    store(ints, width, place, number)
    memcpy(ints + start + width, old + start, box.length - start)
    write_header(ints, width, ints_count(old) + 1)
    arena.free(box.block)
    box.block, box.length = block, length
    return 0


cdef int add_wider(Arena arena, Box *box, uint64_t wider, uint64_t place, int64_t number) except -1:
    """A number that asks for more width is the first or the last."""
    cdef const char *old = arena.at(box.block)
    cdef uint64_t width = width_of(old), count = ints_count(old), index, first = 1 if place == 0 else 0
    cdef uint64_t length = INTS_HEADER + (count + 1) * wider
    cdef uint64_t block = arena.alloc(length + length // 4)
    cdef char *ints = arena.at(block)
    for index in range(count):
        store(ints, wider, index + first, load(old, width, index))
    store(ints, wider, place, number)
    write_header(ints, wider, count + 1)
    arena.free(box.block)
    box.block, box.length = block, length
    return 0


cdef int ints_remove(Arena arena, Box *box, int64_t number) except -1:
    cdef char *ints = arena.at(box.block)
    cdef uint64_t place, start, width = width_of(ints)
    if not ints_find(ints, number, &place):
        return 0
    start = INTS_HEADER + place * width
    arena.save(box.block, INTS_HEADER)
    arena.save(box.block + start, box.length - start)
    memmove(ints + start, ints + start + width, box.length - start - width)
    write_header(ints, width, ints_count(ints) - 1)
    box.length -= width
    return shrink(arena, box)


cdef int shrink(Arena arena, Box *box) except -1:
    """Takes a smaller block when most of this one is unused, if there is one. Returns 1."""
    cdef uint64_t room = arena.usable(box.block), block
    if room <= KEPT_ROOM or room < 2 * box.length:
        return 1
    try:
        block = arena.alloc(box.length + box.length // 4)
    except OutOfMemory:
        return 1
    memcpy(arena.at(block), arena.at(box.block), box.length)
    arena.free(box.block)
    box.block = block
    return 1
