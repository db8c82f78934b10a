"""Strings: the values of keys that hold one, in an entry itself or in a block of their own (see entry.pxd)."""
from libc.stdint cimport int64_t, uint64_t
from workers.memory.databases cimport Databases, Found
from workers.memory.entry cimport EntryView

cdef class Strings(Databases):
    # A string value, wherever it lies. Scratch: 24 bytes, for STRING_INT.
    cdef const char *string_bytes(self, Found *found, uint64_t *length, char *scratch) noexcept
    # Makes or overwrites `key` with a string (int-encoded when canonical and `as_raw` is False). expiry: unix ms, -1
    # = none. In place where it fits.
    cdef int set_string(
        self, int db, Found *found, const char *key, uint64_t length, const char *value, uint64_t value_length, int64_t
        expiry, bint as_raw
    ) except -1
    cdef int set_int(
        self, int db, Found *found, const char *key, uint64_t length, int64_t value, int64_t expiry
    ) except -1
    # Makes the value raw and `new_length` long (new bytes zero), keeps key and expiry; returns where the value's
    # bytes are. Bytes up to the shorter length stay; the caller overwrites [edit_from, edit_from + edit_count) itself,
    # and nothing else, so only those are journalled when the value can stay in place.
    cdef char *edit_string(
        self, int db, Found *found, const char *key, uint64_t length, uint64_t new_length, uint64_t edit_from, uint64_t
        edit_count
    ) except NULL

    # Steps of the above.
    cdef int store(
        self, int db, Found *found, const char *key, uint64_t length, int type, const char *value, uint64_t
        value_length, int64_t expiry
    ) except -1
    cdef bint fits(self, EntryView *entry, uint64_t value_length, int64_t expiry) noexcept
    cdef int store_boxed(
        self, int db, Found *found, const char *key, uint64_t length, const char *value, uint64_t value_length, int64_t
        expiry
    ) except -1
    cdef char *edit_inline(self, Found *found, uint64_t new_length, uint64_t edit_from, uint64_t edit_count) except NULL
    cdef char *edit_box(self, Found *found, uint64_t new_length, uint64_t edit_from, uint64_t edit_count) except NULL
    cdef int save_edit(
        self, uint64_t value, uint64_t old_length, uint64_t new_length, uint64_t edit_from, uint64_t edit_count
    ) except -1
