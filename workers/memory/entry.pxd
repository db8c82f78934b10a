"""Entry: a key with its value in one block; also an item of a collection: a hash's field, a set's or sorted set's
member.

An entry has one of two forms. A key has the first, as its clock is kept; and so has an item with an expiry, or that is
longer than the second allows:

    word 0      u64   type 5 bits | flags 3 bits | clock 24 bits | key length 10 bits | value length 22 bits
                      (low to high)
    [expiry]    i64   unix ms, if HAS_EXPIRY
    [lengths]   u32 key length, u32 value length, if LONG (key > 1022 bytes, or an inline value >= 4 MiB; word 0 then
                has 1023 and 0)
    key bytes
    value bytes

Any other item is COMPACT, five bytes shorter: a member of 20 bytes takes a block of 24.

    u8          type 5 bits | flags 3 bits: COMPACT and no other
    u8          key length
    u8          value length
    key bytes
    value bytes

The value is inline, or for BOXED types a pair (u64 offset of a block, u64 length), 16 bytes, unaligned: value bytes
then lie in a block of their own, so that RENAME and COPY of headers are cheap and APPEND can over-allocate. Strings
above BOX_THRESHOLD are boxed.

Invariants
 1. An entry never moves while its key exists unless its slot in the table is changed in the same transaction.
 2. Everything but the clock decides replies; the clock (LRU seconds or LFU, as Redis) is journalled like the rest.
 3. The lowest byte of word 0 is that of a COMPACT entry: it tells the form. Blocks have 8 bytes at least, so a word can
    be read either way.
 4. The expiry, when there is one, is the word after word 0: a table reads it there without decoding the rest.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.string cimport memcmp, memcpy

cdef enum EntryType:
    STRING_EMBEDDED = 0   # OBJECT ENCODING embstr
    STRING_INT = 1        # value: i64
    STRING_RAW = 2
    STRING_BOXED = 3      # raw, value bytes in a block of their own
    # From here on the value is a Box, and the type tells what its block is. See collections.pxd.
    LIST_PACKED = 4       # a listpack
    LIST_TREE = 5         # a ListRoot
    SET_INTS = 6          # an intset
    SET_PACKED = 7
    SET_TABLE = 8         # a TableRoot
    HASH_PACKED = 9
    HASH_TABLE = 10       # a TableRoot
    ZSET_PACKED = 11
    ZSET_TREE = 12        # a ZsetRoot
    STREAM = 13           # a StreamRoot
    STREAM_GROUP = 14     # in a stream's table of groups: a GroupRoot
    STREAM_CONSUMER = 15  # in a group's table of consumers: a ConsumerRoot

cdef enum:
    HAS_EXPIRY = 1
    LONG = 2
    COMPACT = 4
    COMPACT_MAX = 255       # bytes of key, and of value
    COMPACT_HEADER = 3
    BOX_THRESHOLD = 2048    # bytes of value
    EMBEDDED_MAX = 44       # OBJECT ENCODING answers embstr up to here
    KEY_SHORT_MAX = 1022
    VALUE_SHORT_MAX = (1 << 22) - 1
    CLOCK_MASK = 0xFFFFFF

cdef struct EntryView:
    # A decoded header; pointers into the arena, valid until the arena's mapping changes or the entry is freed.
    uint64_t offset
    int type
    int flags
    uint32_t clock
    char *key
    uint32_t key_length
    char *value             # inline value bytes (for BOXED: the 16-byte pair)
    uint64_t value_length   # inline length
    int64_t expiry          # -1 = none

cdef struct Box:
    # The value of a BOXED entry; copied out and in with memcpy, as it may lie unaligned.
    uint64_t block
    uint64_t length

cdef inline Box entry_box(EntryView *entry) noexcept nogil:
    cdef Box box
    memcpy(&box, entry.value, sizeof(Box))
    return box

cdef void entry_view(char *base, uint64_t offset, EntryView *view) noexcept nogil
cdef uint64_t entry_size(uint64_t key_length, uint64_t value_length, bint expiry) noexcept nogil
# Writes header and key into fresh memory and returns where the value goes. expiry: unix ms, below 0 = none.
cdef char *entry_format(
    char *at, int type, const char *key, uint64_t key_length, uint64_t value_length, int64_t expiry, uint32_t clock
) noexcept nogil

# The same of an item of a collection, which has no clock: compact if it can be.
cdef uint64_t item_size(uint64_t key_length, uint64_t value_length, bint expiry) noexcept nogil
cdef char *item_format(
    char *at, int type, const char *key, uint64_t key_length, uint64_t value_length, int64_t expiry
) noexcept nogil

# Bytes of an entry as it is, without those of a box.
cdef inline uint64_t entry_length(char *base, EntryView *view) noexcept nogil:
    return <uint64_t>(view.value - (base + view.offset)) + view.value_length

# Word 0 of an entry that is neither LONG nor COMPACT, with other type, clock and value length.
cdef inline uint64_t entry_word(uint64_t word, int type, uint32_t clock, uint64_t value_length) noexcept nogil:
    return (word & (<uint64_t>0x3FF << 32 | 0xE0)) | <uint64_t>type | <uint64_t>clock << 8 | value_length << 42

cdef inline int64_t entry_expiry(const char *at) noexcept nogil:
    # Of an entry that has one.
    return (<const int64_t *>at)[1]

cdef inline bint entry_has_key(const char *at, const char *key, uint64_t key_length) noexcept nogil:
    cdef uint64_t word = (<const uint64_t *>at)[0]
    cdef uint64_t flags = word >> 5
    if flags & COMPACT:
        return (word >> 8 & 0xFF) == key_length and memcmp(at + COMPACT_HEADER, key, key_length) == 0
    at += 16 if flags & HAS_EXPIRY else 8
    if flags & LONG:
        return (<const uint32_t *>at)[0] == key_length and memcmp(at + 8, key, key_length) == 0
    return (word >> 32 & 0x3FF) == key_length and memcmp(at, key, key_length) == 0
