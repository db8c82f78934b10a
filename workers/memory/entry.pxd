"""Entry: a key with its value in one block. Also a hash's field, a set's or sorted set's member (later).

    word 0      u64   type 5 bits | flags 3 bits | clock 24 bits | key length 10 bits | value length 22 bits   (low to high)
    [expiry]    i64   unix ms, if HAS_EXPIRY
    [lengths]   u32 key length, u32 value length, if LONG (key > 1022 bytes, or an inline value >= 4 MiB)
    key bytes
    value bytes

The value is inline, or for BOXED types a pair (u64 offset of a block, u64 length), 16 bytes, unaligned: value bytes then lie in a block of their own, so that
RENAME and COPY of headers are cheap and APPEND can over-allocate. Strings above BOX_THRESHOLD are boxed.

Invariants
 1. An entry never moves while its key exists unless its slot in the table is changed in the same transaction.
 2. Everything but the clock decides replies; the clock (LRU seconds or LFU, as Redis) is journalled like the rest.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t

cdef enum EntryType:
    STRING_EMBEDDED = 0   # OBJECT ENCODING embstr
    STRING_INT = 1        # value: i64
    STRING_RAW = 2
    STRING_BOXED = 3      # raw, value bytes in a block of their own
    # 4..31: the other types

cdef enum:
    HAS_EXPIRY = 1
    LONG = 2
    BOX_THRESHOLD = 2048    # bytes of value
    EMBEDDED_MAX = 44       # OBJECT ENCODING answers embstr up to here

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

cdef void entry_view(char *base, uint64_t offset, EntryView *view) noexcept nogil
cdef uint64_t entry_size(uint64_t key_length, uint64_t value_length, bint expiry) noexcept nogil
# Writes header and key into fresh memory and answers where the value goes.
cdef char *entry_format(char *at, int type, const char *key, uint64_t key_length, uint64_t value_length, int64_t expiry, uint32_t clock) noexcept nogil
