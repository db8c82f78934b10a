"""Entries: see entry.pxd for the layout."""
from libc.string cimport memcpy


cdef inline bint is_long(uint64_t key_length, uint64_t value_length) noexcept nogil:
    return key_length > KEY_SHORT_MAX or value_length > VALUE_SHORT_MAX


cdef void entry_view(char *base, uint64_t offset, EntryView *view) noexcept nogil:
    cdef char *at = base + offset
    cdef uint64_t word = (<uint64_t *>at)[0]
    view.offset = offset
    view.type = word & 0x1F
    view.flags = (word >> 5) & 7
    if view.flags & COMPACT:
        view.clock, view.expiry = 0, -1
        view.key_length, view.value_length = word >> 8 & 0xFF, word >> 16 & 0xFF
        view.key = at + COMPACT_HEADER
        view.value = view.key + view.key_length
        return
    view.clock = (word >> 8) & CLOCK_MASK
    at += 8
    view.expiry = -1
    if view.flags & HAS_EXPIRY:
        view.expiry = (<int64_t *>at)[0]
        at += 8
    if view.flags & LONG:
        view.key_length = (<uint32_t *>at)[0]
        view.value_length = (<uint32_t *>at)[1]
        at += 8
    else:
        view.key_length = (word >> 32) & 0x3FF
        view.value_length = word >> 42
    view.key = at
    view.value = at + view.key_length


cdef uint64_t entry_size(uint64_t key_length, uint64_t value_length, bint expiry) noexcept nogil:
    return 8 + 8 * expiry + 8 * is_long(key_length, value_length) + key_length + value_length


cdef char *entry_format(
    char *at, int type, const char *key, uint64_t key_length, uint64_t value_length, int64_t expiry, uint32_t clock
) noexcept nogil:
    cdef bint long_form = is_long(key_length, value_length)
    cdef uint64_t flags = (HAS_EXPIRY if expiry >= 0 else 0) | (LONG if long_form else 0)
    cdef uint64_t lengths = 0x3FF if long_form else key_length | value_length << 10
    (<uint64_t *>at)[0] = <uint64_t>type | flags << 5 | <uint64_t>(clock & CLOCK_MASK) << 8 | lengths << 32
    at += 8
    if expiry >= 0:
        (<int64_t *>at)[0] = expiry
        at += 8
    if long_form:
        (<uint32_t *>at)[0] = <uint32_t>key_length
        (<uint32_t *>at)[1] = <uint32_t>value_length
        at += 8
    memcpy(at, key, key_length)
    return at + key_length


cdef inline bint is_compact(uint64_t key_length, uint64_t value_length, bint expiry) noexcept nogil:
    return key_length <= COMPACT_MAX and value_length <= COMPACT_MAX and not expiry


cdef uint64_t item_size(uint64_t key_length, uint64_t value_length, bint expiry) noexcept nogil:
    if is_compact(key_length, value_length, expiry):
        return COMPACT_HEADER + key_length + value_length
    return entry_size(key_length, value_length, expiry)


cdef char *item_format(
    char *at, int type, const char *key, uint64_t key_length, uint64_t value_length, int64_t expiry
) noexcept nogil:
    if not is_compact(key_length, value_length, expiry >= 0):
        return entry_format(at, type, key, key_length, value_length, expiry, 0)
    at[0], at[1], at[2] = <char>(type | COMPACT << 5), <char>key_length, <char>value_length
    memcpy(at + COMPACT_HEADER, key, key_length)
    return at + COMPACT_HEADER + key_length
