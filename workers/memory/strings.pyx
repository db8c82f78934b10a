"""Strings: see strings.pxd."""
from libc.string cimport memcpy, memset

from shardkv.number cimport parse_int64, print_int64
from workers.memory.entry cimport (
    BOX_THRESHOLD, EMBEDDED_MAX, LONG, STRING_BOXED, STRING_EMBEDDED, STRING_INT, STRING_RAW, Box, EntryView,
    entry_box, entry_size, entry_word,
)

cdef enum:
    MIB = 1 << 20
    EDIT_JOURNAL_MAX = MIB      # bytes of an edit that are journalled in place; for more, the value gets another block


cdef inline uint64_t greedy(uint64_t length) noexcept:
    """Room for a string that has grown once and may grow again."""
    return 2 * length if length < MIB else length + MIB


cdef void copy_resized(char *to, uint64_t new_length, const char *old, uint64_t old_length) noexcept:
    cdef uint64_t kept = old_length if old_length < new_length else new_length
    if kept:
        memcpy(to, old, kept)
    memset(to + kept, 0, new_length - kept)


cdef class Strings(Databases):
    # -- reading

    cdef const char *string_bytes(self, Found *found, uint64_t *length, char *scratch) noexcept:
        cdef Box box
        cdef int64_t number
        if found.entry.type == STRING_INT:
            memcpy(&number, found.entry.value, sizeof(number))
            length[0] = print_int64(number, scratch)
            return scratch
        if found.entry.type == STRING_BOXED:
            box = entry_box(&found.entry)
            length[0] = box.length
            return self.arena.at(box.block)
        length[0] = found.entry.value_length
        return found.entry.value

    # -- writing strings

    cdef int set_string(
        self, int db, Found *found, const char *key, uint64_t length, const char *value, uint64_t value_length, int64_t
        expiry, bint as_raw
    ) except -1:
        cdef int64_t number
        cdef int type
        if value_length <= 20 and not as_raw and parse_int64(value, value_length, &number):
            return self.store(db, found, key, length, STRING_INT, <const char *>&number, sizeof(number), expiry)
        if value_length > BOX_THRESHOLD:
            return self.store_boxed(db, found, key, length, value, value_length, expiry)
        type = STRING_EMBEDDED if value_length <= EMBEDDED_MAX else STRING_RAW
        return self.store(db, found, key, length, type, value, value_length, expiry)

    cdef int set_int(
        self, int db, Found *found, const char *key, uint64_t length, int64_t value, int64_t expiry
    ) except -1:
        return self.store(db, found, key, length, STRING_INT, <const char *>&value, sizeof(value), expiry)

    cdef int store(
        self, int db, Found *found, const char *key, uint64_t length, int type, const char *value, uint64_t
        value_length, int64_t expiry
    ) except -1:
        """Makes or overwrites a key with an inline value."""
        cdef EntryView *entry = &found.entry
        cdef uint64_t old, word
        self.settle(db, found, key, length)
        if not found.exists or not self.fits(entry, value_length, expiry):
            if found.exists:
                self.forget_timer(db, found)
                self.free_value(entry, False)
            memcpy(self.make(db, found, key, length, type, value_length, 0, expiry), value, value_length)
            return 0
        old = (<uint64_t *>self.arena.at(entry.offset))[0]
        word = entry_word(old, type, entry.clock, 0 if entry.flags & LONG else value_length)
        if word != old:
            self.arena.put64(entry.offset, word)
        self.arena.write(self.arena.offset_of(entry.value), value, value_length)
        entry.type = type
        entry.value_length = value_length
        self.changed(found)
        return 0 if expiry == entry.expiry else self.set_expiry(db, found, expiry)

    cdef bint fits(self, EntryView *entry, uint64_t value_length, int64_t expiry) noexcept:
        """Whether an inline value can overwrite the old one without wasting more than the allocator would."""
        cdef uint64_t size
        if entry.type >= STRING_BOXED or (expiry >= 0) != (entry.expiry >= 0):
            return False
        if value_length == entry.value_length:
            return True
        if entry.flags & LONG:
            return False
        size = entry_size(entry.key_length, value_length, expiry >= 0)
        return self.arena.good_size(size) == self.arena.usable(entry.offset)

    cdef int store_boxed(
        self, int db, Found *found, const char *key, uint64_t length, const char *value, uint64_t value_length, int64_t
        expiry
    ) except -1:
        cdef Box box
        box.block, box.length = self.arena.alloc(value_length), value_length
        memcpy(self.arena.at(box.block), value, value_length)
        return self.put_box(db, found, key, length, &box, expiry)

    # -- editing strings

    cdef char *edit_string(
        self, int db, Found *found, const char *key, uint64_t length, uint64_t new_length, uint64_t edit_from, uint64_t
        edit_count
    ) except NULL:
        cdef EntryView *entry = &found.entry
        cdef char scratch[24]
        cdef const char *old = scratch
        cdef char *value
        cdef uint64_t old_length = 0, room = new_length
        cdef int64_t expiry = -1
        cdef Box box
        self.settle(db, found, key, length)
        if found.exists:
            if entry.type == STRING_BOXED:
                return self.edit_box(found, new_length, edit_from, edit_count)
            if entry.type != STRING_INT and not entry.flags & LONG and new_length <= BOX_THRESHOLD \
                    and entry_size(length, new_length, entry.expiry >= 0) <= self.arena.usable(entry.offset):
                return self.edit_inline(found, new_length, edit_from, edit_count)
            old = self.string_bytes(found, &old_length, scratch)    # a freed block keeps its bytes until commit
            expiry = entry.expiry
            if new_length > old_length:
                room = greedy(new_length)
        if new_length > BOX_THRESHOLD:
            box.block, box.length = self.arena.alloc(room), new_length
            value = self.arena.at(box.block)
            copy_resized(value, new_length, old, old_length)
            self.put_box(db, found, key, length, &box, expiry)
            return value
        room = room if room < BOX_THRESHOLD else BOX_THRESHOLD
        value = self.make(db, found, key, length, STRING_RAW, new_length, room, expiry)
        copy_resized(value, new_length, old, old_length)
        return value

    cdef char *edit_inline(
        self, Found *found, uint64_t new_length, uint64_t edit_from, uint64_t edit_count
    ) except NULL:
        cdef EntryView *entry = &found.entry
        cdef uint64_t old = (<uint64_t *>self.arena.at(entry.offset))[0]
        cdef uint64_t word = entry_word(old, STRING_RAW, entry.clock, new_length)
        if word != old:
            self.arena.put64(entry.offset, word)
        self.save_edit(self.arena.offset_of(entry.value), entry.value_length, new_length, edit_from, edit_count)
        entry.type = STRING_RAW
        entry.value_length = new_length
        self.changed(found)
        return entry.value

    cdef char *edit_box(self, Found *found, uint64_t new_length, uint64_t edit_from, uint64_t edit_count) except NULL:
        cdef Box box = entry_box(&found.entry)
        cdef uint64_t growth = new_length - box.length if new_length > box.length else 0, old = box.block
        if new_length <= self.arena.usable(old) and edit_count + growth <= EDIT_JOURNAL_MAX:
            self.save_edit(old, box.length, new_length, edit_from, edit_count)
            if new_length == box.length:
                self.modified(found)
                return self.arena.at(old)
        else:
            box.block = self.arena.alloc(greedy(new_length) if growth else new_length)
            copy_resized(self.arena.at(box.block), new_length, self.arena.at(old), box.length)
            self.arena.free(old)
        box.length = new_length
        self.arena.write(self.arena.offset_of(found.entry.value), <const char *>&box, sizeof(box))
        self.changed(found)
        return self.arena.at(box.block)

    cdef int save_edit(
        self, uint64_t value, uint64_t old_length, uint64_t new_length, uint64_t edit_from, uint64_t edit_count
    ) except -1:
        """Saves what an edit in place is about to overwrite, and zeroes the bytes that are new."""
        cdef uint64_t edit_end = edit_from + edit_count
        if edit_end > old_length:
            edit_end = old_length
        if edit_from < edit_end:
            self.arena.save(value + edit_from, edit_end - edit_from)
        if new_length > old_length:
            self.arena.save(value + old_length, new_length - old_length)
            memset(self.arena.at(value + old_length), 0, new_length - old_length)
        return 0
