"""Listpack: a sequence of strings and integers in consecutive bytes, in the byte format of Redis.

    u32   bytes of the whole            (little-endian, here and below)
    u16   elements; 65535 = not known, count them
    elements
    0xFF

An element is an encoding byte with what it asks for, then the length of all that, to walk backwards:

    0xxxxxxx                      integer 0..127
    10xxxxxx  bytes               string of up to 63 bytes
    110xxxxx  8 bits              integer of 13 bits, signed, high bits first
    1110xxxx  8 bits  bytes       string of up to 4095 bytes, high bits of the length first
    11110000  u32  bytes          string
    11110001 .. 11110100          integer of 16, 24, 32, 64 bits
    back length                   1 to 5 bytes of 7 bits, the last byte has the lowest; all but the first have bit 7

Invariants
 1. A string that is a canonical integer of 64 bits is always stored as one, in the shortest encoding; so equal elements
    have equal bytes.
 2. An element is named by its offset in the pack; 0 = none (past the end, before the start). Any edit before it, or of
    it, makes the offset stale; a new block (Box.block) makes pointers stale.
 3. Edits take a Box: block = the pack, length = bytes used, the block may be larger. They journal what they change,
    take another block when the pack outgrows it (freeing the old one) and a smaller one when the pack has become
    shorter and most of it is unused, and leave the new block and length in the Box: the caller stores that
    (`Keyspace.set_box`).
 4. Elements to be written may lie in the pack that is edited.
 5. An edit that only takes elements away needs no memory.
 6. Reading trusts the bytes: those from outside pass `pack_valid` first.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcpy
from workers.memory.arena cimport Arena
from workers.memory.entry cimport Box

cdef enum:
    PACK_HEADER = 6
    PACK_EMPTY = 7                  # bytes of a pack without elements
    PACK_COUNT_UNKNOWN = 65535
    PACK_BYTES_MAX = 1 << 30        # callers keep packs of several elements below it: see pack_fits
    ELEMENT_MORE = 10               # bytes that an element takes beside its string, at most; or a number, in all
    ELEMENT_TEXT = 24               # bytes of scratch that an integer needs as text

cdef struct Element:
    const char *bytes               # NULL: an integer
    uint64_t length                 # of bytes
    int64_t number

# An element to write: of a string, of a number.
cdef inline Element string_element(const char *bytes, uint64_t length) noexcept nogil:
    cdef Element element
    element.bytes, element.length, element.number = bytes, length, 0
    return element

cdef inline Element number_element(int64_t number) noexcept nogil:
    cdef Element element
    element.bytes, element.length, element.number = NULL, 0, number
    return element

# -- reading

cdef inline uint32_t pack_bytes(const char *pack) noexcept nogil:
    cdef uint32_t total
    memcpy(&total, pack, 4)         # as everywhere here: packs from outside lie unaligned
    return total

cdef uint64_t pack_count(const char *pack) noexcept nogil                   # linear only where it is not known
cdef uint64_t pack_first(const char *pack) noexcept nogil
cdef uint64_t pack_last(const char *pack) noexcept nogil
cdef uint64_t pack_next(const char *pack, uint64_t at) noexcept nogil
cdef uint64_t pack_previous(const char *pack, uint64_t at) noexcept nogil
# The element at an index, from the end when it is negative; from the nearer end when the count is known.
cdef uint64_t pack_seek(const char *pack, int64_t index) noexcept nogil
# Where the element behind `at` starts, or the end mark: where to insert to be behind it.
cdef uint64_t pack_after(const char *pack, uint64_t at) noexcept nogil
cdef void pack_get(const char *pack, uint64_t at, Element *out) noexcept nogil
# An element's bytes whatever it is. Scratch: ELEMENT_TEXT bytes, for integers.
cdef const char *element_text(Element *element, char *scratch, uint64_t *length) noexcept nogil
cdef const char *pack_text(const char *pack, uint64_t at, char *scratch, uint64_t *length) noexcept nogil
cdef bint pack_equals(const char *pack, uint64_t at, const char *bytes, uint64_t length) noexcept nogil
# The first element from `at` on, `skip` elements passed over between two that are compared, that equals `bytes`.
# A hash's field: pack_find(pack, pack_first(pack), field, length, 1).
cdef uint64_t pack_find(const char *pack, uint64_t at, const char *bytes, uint64_t length, uint64_t skip) noexcept nogil
# Bytes an element would take in a pack; and whether a pack stays below PACK_BYTES_MAX with so many more.
cdef uint64_t element_size(Element *element) noexcept nogil
# At least as many, without encoding them.
cdef inline uint64_t pack_room(Element *elements, uint64_t count) noexcept nogil:
    cdef uint64_t room = count * ELEMENT_MORE, index
    for index in range(count):
        room += elements[index].length
    return room
cdef bint pack_fits(const char *pack, uint64_t extra) noexcept nogil        # pack may be NULL: a new one
# Checks bytes from outside, every element of them: returns the count, -1 when they are no listpack.
cdef int64_t pack_valid(const char *bytes, uint64_t length) noexcept nogil

# -- editing, in a transaction; offsets before the edit stay good, and where elements are written the first is at `at`

cdef int pack_make(Arena arena, Box *box, Element *elements, uint64_t count) except -1      # a new one, maybe empty
cdef int pack_reserve(Arena arena, Box *box, uint64_t bytes) except -1      # an empty one, with room for elements
cdef int pack_store(Arena arena, Box *box, const char *bytes, uint64_t length) except -1    # a copy of a whole pack
cdef int pack_append(Arena arena, Box *box, Element *elements, uint64_t count) except -1
# Before the element at `at`; 0 or the end mark's place: at the end.
cdef int pack_insert(Arena arena, Box *box, uint64_t at, Element *elements, uint64_t count) except -1
# One element's place is taken by these.
cdef int pack_replace(Arena arena, Box *box, uint64_t at, Element *elements, uint64_t count) except -1
# `count` elements from `at` on (fewer if the pack ends); the next one is at `at` afterwards, if it has not ended there.
cdef int pack_delete(Arena arena, Box *box, uint64_t at, uint64_t count) except -1
# `removed` elements from `at` on go, these come in their place: what the others are made of.
cdef int pack_splice(
    Arena arena, Box *box, uint64_t at, uint64_t removed, Element *elements, uint64_t count
) except -1

# -- in private memory

cdef class PackBuilder:
    """A pack that grows at its end, outside the arena: for conversions and dumps."""
    cdef char *bytes                # a whole pack at any time
    cdef uint64_t used              # bytes
    cdef uint64_t room

    cdef int add(self, Element *element) except -1
    cdef int add_string(self, const char *bytes, uint64_t length) except -1
    cdef int add_number(self, int64_t number) except -1
    cdef int store(self, Arena arena, Box *box) except -1
    cdef void clear(self) noexcept
