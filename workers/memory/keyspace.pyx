"""The databases of a shard: see keyspace.pxd for layout and invariants."""
import os

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.string cimport memcmp, memcpy, memset

from shardkv.hashing cimport hash_key
from shardkv.number cimport parse_int64, print_int64
from workers.memory.arena cimport COMMIT_INTERNAL
from workers.memory.collections cimport (
    bury_table, collection_copy, collection_free, collection_memory, collections_reap,
)
from workers.memory.entry cimport (
    BOX_THRESHOLD, EMBEDDED_MAX, HASH_TABLE, LONG, STRING_BOXED, STRING_EMBEDDED, STRING_INT, STRING_RAW, Box,
    entry_expiry, entry_format, entry_size, entry_view, entry_word,
)
from workers.memory.segments cimport TableRoot
from workers.memory.table cimport (
    table_earliest, table_expired, table_find, table_insert, table_prefetch_entry, table_prefetch_slot, table_random,
    table_remove, table_replace, table_scan, table_unlink,
)
from workers.memory.timers cimport timer_due, timer_find, timer_forget, timer_note, timer_sweep

cdef enum:
    MIB = 1 << 20
    EDIT_JOURNAL_MAX = MIB      # bytes of an edit that are journalled in place; for more, the value gets another block
    SLOT_BYTES = 8
    TYPE_MASK = 0x1F            # of an entry's first word


class KeyspaceError(Exception):
    """The arena's databases do not fit what is asked for; the text is one line for the operator."""


cdef inline Box entry_box(EntryView *entry) noexcept:
    cdef Box box
    memcpy(&box, entry.value, sizeof(Box))
    return box


cdef inline uint64_t greedy(uint64_t length) noexcept:
    """Room for a string that has grown once and may grow again."""
    return 2 * length if length < MIB else length + MIB


cdef class Keyspace:
    def __init__(self, Arena arena, int databases = 16) -> None:
        """Opens the databases in `arena`, or makes them, in a transaction of its own. Raises ValueError, KeyspaceError,
        OutOfMemory."""
        if not 1 <= databases <= DATABASES_MAX:
            raise ValueError(f"databases must be 1 to {<int>DATABASES_MAX}")
        self.arena = arena
        self.databases = databases
        self.touch = self.lazy_expire = True
        self.seed = int.from_bytes(os.urandom(8), "little")
        arena.begin(<int>COMMIT_INTERNAL, arena.header.commit[<int>COMMIT_INTERNAL] + 1)
        try:
            self._open(databases)
            arena.commit()
        except BaseException:
            arena.rollback()
            raise

    def _open(self, databases: int) -> None:
        cdef uint64_t old = self.arena.header.roots[<int>KEYSPACE_ROOT]
        cdef uint64_t stored = (<KeyspaceRoot *>self.arena.at(old)).databases if old else 0
        self.root = old
        for db in range(databases, stored):
            if self.count(db):
                raise KeyspaceError(f"database {db} holds keys, so 'databases' cannot be {databases}")
        if databases <= stored:
            return
        self.root = self.arena.alloc_zeroed(sizeof(KeyspaceRoot) + databases * sizeof(Database))
        if old:
            memcpy(self.arena.at(self.root), self.arena.at(old), sizeof(KeyspaceRoot) + stored * sizeof(Database))
            self.arena.free(old)
        (<KeyspaceRoot *>self.arena.at(self.root)).databases = databases
        self.arena.put64(self.arena.root_offset(KEYSPACE_ROOT), self.root)

    cdef uint64_t table_of(self, int db) except 0:
        if not 0 <= db < self.databases:
            raise IndexError("no such database")
        return self.root + sizeof(KeyspaceRoot) + <uint64_t>db * sizeof(Database)

    cdef uint64_t timers_of(self, int db) noexcept:
        return self.root + sizeof(KeyspaceRoot) + <uint64_t>db * sizeof(Database) + sizeof(TableRoot)

    # -- looking up

    cdef int look(self, int db, const char *key, uint64_t length, uint64_t hash, Found *out) except -1:
        out.hash = hash
        out.db = db
        out.place = table_find(self.arena, self.table_of(db), hash, key, length)
        out.exists = out.place.entry != 0
        if out.exists:
            entry_view(self.arena.base, out.place.entry, &out.entry)
            if 0 <= out.entry.expiry < self.now_ms and self.lazy_expire:
                out.changes = self.changes
                self.delete(db, out, True)
                self.expired += 1
        out.changes = self.changes
        return 0

    cdef int find(self, int db, const char *key, uint64_t length, uint64_t hash, Found *out) except -1:
        self.look(db, key, length, hash, out)
        if out.exists and self.touch and out.entry.clock != self.clock:
            # type, flags and clock are the low half of word 0
            self.arena.put32(out.entry.offset, <uint32_t>(out.entry.type | out.entry.flags << 5) | self.clock << 8)
            out.entry.clock = self.clock
        return 0

    cdef int peek(self, int db, const char *key, uint64_t length, uint64_t hash, Found *out) except -1:
        return self.look(db, key, length, hash, out)

    cdef void prefetch_slot(self, int db, uint64_t hash) noexcept:
        if 0 <= db < self.databases:
            table_prefetch_slot(self.arena, self.root + sizeof(KeyspaceRoot) + <uint64_t>db * sizeof(Database), hash)

    cdef uint64_t prefetch_entry(self, int db, uint64_t hash) noexcept:
        if not 0 <= db < self.databases:
            return 0
        return table_prefetch_entry(
            self.arena, self.root + sizeof(KeyspaceRoot) + <uint64_t>db * sizeof(Database), hash
        )

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

    cdef int put_box(self, int db, Found *found, const char *key, uint64_t length, Box *box, int64_t expiry) except -1:
        """Makes or overwrites a key with a boxed value; frees the value it had."""
        self.settle(db, found, key, length)
        if found.exists:
            self.forget_timer(db, found)
            self.free_value(&found.entry, False)
            if found.entry.type == STRING_BOXED and (expiry >= 0) == (found.entry.expiry >= 0):
                self.arena.write(self.arena.offset_of(found.entry.value), <const char *>box, sizeof(Box))
                self.changed(found)
                return self.set_expiry(db, found, expiry)
        memcpy(self.make(db, found, key, length, STRING_BOXED, sizeof(Box), 0, expiry), box, sizeof(Box))
        return 0

    cdef char *make(
        self, int db, Found *found, const char *key, uint64_t length, int type, uint64_t value_length, uint64_t room,
        int64_t expiry
    ) except NULL:
        """Writes a new entry, in the place of the old one if there is one, whose block is freed (what its value owns
        is not). Answers where the value goes, of which there may be up to `room` bytes later."""
        cdef uint64_t size = entry_size(length, value_length if value_length > room else room, expiry >= 0)
        cdef uint64_t offset = self.arena.alloc(size), old = found.entry.offset
        cdef uint32_t clock = found.entry.clock if found.exists else self.clock
        cdef char *value = entry_format(self.arena.at(offset), type, key, length, value_length, expiry, clock)
        if found.exists:
            table_replace(self.arena, self.table_of(db), &found.place, offset, expiry, found.entry.expiry)
            self.arena.free(old)
        else:
            table_insert(self.arena, self.table_of(db), found.hash, offset, expiry, &found.place)
            found.exists = True
        entry_view(self.arena.base, offset, &found.entry)
        self.changed(found)
        return value

    # -- collections

    cdef int put_collection(
        self, int db, Found *found, const char *key, uint64_t length, int type, uint64_t block, uint64_t used
    ) except -1:
        cdef Box box
        cdef uint64_t word
        box.block, box.length = block, used
        self.settle(db, found, key, length)
        if not found.exists:
            memcpy(self.make(db, found, key, length, type, sizeof(Box), 0, -1), &box, sizeof(Box))
            return 0
        word = (<uint64_t *>self.arena.at(found.entry.offset))[0]
        if found.entry.type != type:
            self.arena.put64(found.entry.offset, word & ~<uint64_t>TYPE_MASK | <uint64_t>type)
            found.entry.type = type
        return self.set_box(found, block, used)

    cdef void box_of(self, Found *found, Box *box) noexcept:
        box[0] = entry_box(&found.entry)

    cdef int set_box(self, Found *found, uint64_t block, uint64_t used) except -1:
        cdef Box box
        if not self.still_there(found.db, found):
            raise RuntimeError("the key of a collection is gone")
        box = entry_box(&found.entry)
        if box.block != block or box.length != used:
            box.block, box.length = block, used
            self.arena.write(self.arena.offset_of(found.entry.value), <const char *>&box, sizeof(Box))
            self.changed(found)
        return 0

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

    # -- expiry, deletion, moving

    cdef int set_expiry(self, int db, Found *found, int64_t expiry) except -1:
        cdef EntryView old
        cdef char *value
        if not self.still_there(db, found):
            return 0
        old = found.entry
        if expiry == old.expiry or (expiry < 0 and old.expiry < 0):
            return 0
        if expiry >= 0 and old.expiry >= 0:
            self.arena.put64(old.offset + 8, <uint64_t>expiry)
            found.entry.expiry = expiry
            self.changed(found)
            return table_replace(self.arena, self.table_of(db), &found.place, old.offset, expiry, old.expiry)
        value = self.make(db, found, old.key, old.key_length, old.type, old.value_length, 0, expiry)
        memcpy(value, old.value, old.value_length)
        return 0

    cdef int delete(self, int db, Found *found, bint lazily) except -1:
        if not self.still_there(db, found):
            return 0
        table_remove(self.arena, self.table_of(db), &found.place, found.entry.expiry)
        self.forget_timer(db, found)
        self.free_value(&found.entry, lazily)
        self.arena.free(found.entry.offset)
        found.exists = False
        self.changed(found)
        return 0

    cdef int free_value(self, EntryView *entry, bint lazily) except -1:
        """Frees what a value owns beside the entry's own block."""
        return collection_free(self.arena, <KeyspaceRoot *>self.arena.at(self.root), entry, lazily)

    cdef int move(
        self, int from_db, Found *found, int to_db, const char *new_key, uint64_t new_length, uint64_t new_hash
    ) except -1:
        cdef EntryView old
        cdef Found target
        cdef uint64_t offset
        cdef int64_t due = -1
        cdef char *value
        cdef bint same_key = new_length == found.entry.key_length and memcmp(new_key, found.entry.key, new_length) == 0
        if same_key and from_db == to_db:
            return 0
        self.look(to_db, new_key, new_length, new_hash, &target)
        if target.exists:
            self.delete(to_db, &target, True)
        if not self.still_there(from_db, found):
            return 0
        old = found.entry
        offset = old.offset
        if old.type == HASH_TABLE:
            due = timer_due(self.arena, self.timers_of(from_db), found.hash, old.key, old.key_length)
            self.forget_timer(from_db, found)
        table_remove(self.arena, self.table_of(from_db), &found.place, old.expiry)
        if not same_key:
            offset = self.arena.alloc(entry_size(new_length, old.value_length, old.expiry >= 0))
            value = self.arena.at(offset)
            value = entry_format(value, old.type, new_key, new_length, old.value_length, old.expiry, old.clock)
            memcpy(value, old.value, old.value_length)
            self.arena.free(old.offset)
        found.hash = new_hash
        found.db = to_db
        table_insert(self.arena, self.table_of(to_db), new_hash, offset, old.expiry, &found.place)
        entry_view(self.arena.base, offset, &found.entry)
        self.changed(found)
        return self.note_field_expiry(found, due) if due >= 0 else 0

    cdef inline void changed(self, Found *found) noexcept:
        """Notes a change, which `found` reflects already."""
        self.changes += 1
        found.changes = self.changes

    cdef inline int settle(self, int db, Found *found, const char *key, uint64_t length) except -1:
        """Brings a Found up to date before it is used to change its key."""
        return self.relocate(db, found, key, length) if found.changes != self.changes else 0

    cdef inline bint still_there(self, int db, Found *found) except -1:
        """As settle, for what only changes a key that exists; answers whether it does."""
        if found.exists:
            self.settle(db, found, found.entry.key, found.entry.key_length)
        return found.exists

    cdef int relocate(self, int db, Found *found, const char *key, uint64_t length) except -1:
        found.place = table_find(self.arena, self.table_of(db), found.hash, key, length)
        found.exists = found.place.entry != 0
        found.changes = self.changes
        if found.exists:
            entry_view(self.arena.base, found.place.entry, &found.entry)
        return 0

    cdef int copy(
        self, Keyspace target, int to_db, Found *found, const char *new_key, uint64_t new_length, uint64_t new_hash
    ) except -1:
        cdef EntryView *entry = &found.entry
        cdef Found made
        cdef Box box
        cdef char *value
        made.exists = False
        made.hash = new_hash
        made.changes = target.changes
        if entry.type == STRING_BOXED:
            box = entry_box(entry)
            value = self.arena.at(box.block)
            return target.store_boxed(to_db, &made, new_key, new_length, value, box.length, entry.expiry)
        if entry.type > STRING_BOXED:
            collection_copy(self.arena, target.arena, entry, &box)
            value = target.make(to_db, &made, new_key, new_length, entry.type, sizeof(Box), 0, entry.expiry)
            memcpy(value, &box, sizeof(Box))
            if entry.type == HASH_TABLE and (<TableRoot *>target.arena.at(box.block)).expiring:
                made.db = to_db
                target.note_field_expiry(&made, table_earliest(target.arena, box.block, 0, 0))
            return 0
        value = target.make(to_db, &made, new_key, new_length, entry.type, entry.value_length, 0, entry.expiry)
        memcpy(value, entry.value, entry.value_length)
        return 0

    # -- fields of hashes that expire

    cdef uint64_t hash_table_of(self, EntryView *entry) noexcept:
        """Where the table of a hash with expiring fields lies, 0 for anything else."""
        cdef uint64_t table
        if entry.type != HASH_TABLE:
            return 0
        table = entry_box(entry).block
        return table if (<TableRoot *>self.arena.at(table)).expiring else 0

    cdef int note_field_expiry(self, Found *found, int64_t expiry) except -1:
        return timer_note(
            self.arena, self.timers_of(found.db), found.hash, found.entry.key, found.entry.key_length, expiry
        )

    cdef int note_no_field_expiry(self, Found *found) except -1:
        return 0 if self.hash_table_of(&found.entry) else self.forget_timer(found.db, found)

    cdef int forget_timer(self, int db, Found *found) except -1:
        """Before a key's value goes."""
        if found.entry.type != HASH_TABLE or (<TableRoot *>self.arena.at(self.timers_of(db))).count == 0:
            return 0
        return timer_forget(
            self.arena, self.timers_of(db), found.hash, found.entry.key, found.entry.key_length
        )

    cdef int sweep_fields(self, Found *found, int *budget) except -1:
        cdef uint64_t table = self.hash_table_of(&found.entry), timers = self.timers_of(found.db)
        cdef Place place
        if table == 0:
            return 0
        place = timer_find(self.arena, timers, found.hash, found.entry.key, found.entry.key_length)
        if place.entry == 0 or entry_expiry(self.arena.at(place.entry)) >= self.now_ms:
            return 0
        self.swept += timer_sweep(self.arena, timers, &place, table, self.now_ms - 1, budget)
        if (<TableRoot *>self.arena.at(table)).count == 0:
            self.delete(found.db, found, True)
        return 0

    cdef int sweep_some(self, int *budget) except -1:
        """Goes through the timers that are due, the databases in turn."""
        cdef ExpireContext context
        cdef int _databases
        context.keyspace, context.budget = <void *>self, budget
        for _databases in range(self.databases):
            if budget[0] <= 0:
                break
            context.db = self.sweep_db
            self.sweep_cursor = table_expired(
                self.arena, self.timers_of(self.sweep_db), self.sweep_cursor, self.now_ms - 1, budget, sweep_entry,
                &context,
            )
            if self.sweep_cursor == 0:
                self.sweep_db = (self.sweep_db + 1) % self.databases
        return 0

    # -- whole databases

    cdef int swap(self, int a, int b) except -1:
        cdef Database *left = <Database *>self.arena.at(self.table_of(a))
        cdef Database *right = <Database *>self.arena.at(self.table_of(b))
        cdef Database kept = left[0]
        self.changes += 1
        self.arena.write(self.table_of(a), <const char *>right, sizeof(Database))
        return self.arena.write(self.table_of(b), <const char *>&kept, sizeof(Database))

    cdef int flush(self, int db) except -1:
        cdef uint64_t directory
        cdef int each
        if db < 0:
            for each in range(self.databases):
                self.flush(each)
            return 0
        cdef KeyspaceRoot *root = <KeyspaceRoot *>self.arena.at(self.root)
        cdef uint64_t keys = self.count(db)
        self.changes += 1
        directory = table_unlink(self.arena, self.table_of(db))
        if directory:
            bury_table(self.arena, root, directory, keys)
        directory = table_unlink(self.arena, self.timers_of(db))
        if directory:
            bury_table(self.arena, root, directory)
        return 0

    cdef uint64_t count(self, int db) noexcept:
        return (<Database *>self.arena.at(self.root + sizeof(KeyspaceRoot)))[db].keys.count

    cdef uint64_t expiring(self, int db) noexcept:
        return (<Database *>self.arena.at(self.root + sizeof(KeyspaceRoot)))[db].keys.expiring

    cdef uint64_t sweeping(self, int db) noexcept:
        return (<TableRoot *>self.arena.at(self.timers_of(db))).count

    cdef uint64_t memory_of(self, Found *found, uint64_t samples) except 0:
        return (
            self.arena.usable(found.entry.offset) + SLOT_BYTES + collection_memory(self.arena, &found.entry, samples)
        )

    cdef bytes random_key(self, int db):
        cdef Found found
        cdef uint64_t entry
        while True:
            self.seed = self.seed * <uint64_t>6364136223846793005 + <uint64_t>1442695040888963407
            entry = table_random(self.arena, self.table_of(db), self.seed)
            if entry == 0:
                return None
            entry_view(self.arena.base, entry, &found.entry)
            # One that has expired is deleted by looking at it, so this ends.
            found.hash = hash_key(found.entry.key, found.entry.key_length)
            self.look(db, found.entry.key, found.entry.key_length, found.hash, &found)
            if found.exists:
                return PyBytes_FromStringAndSize(found.entry.key, found.entry.key_length)

    cdef uint64_t scan(self, int db, uint64_t cursor, list into) except? 0xFFFFFFFFFFFFFFFF:
        cdef ScanContext context
        context.base = self.arena.base
        context.into = <void *>into
        context.now = self.now_ms if self.lazy_expire else 0
        return table_scan(self.arena, self.table_of(db), cursor, scan_entry, &context)

    # -- in the background

    cdef int expire_some(self, int budget) except -1:
        cdef uint64_t before = self.expired + self.swept
        cdef ExpireContext context
        cdef int _databases, sweeping = budget
        self.sweep_some(&sweeping)
        context.keyspace, context.budget = <void *>self, &budget
        for _databases in range(self.databases):
            context.db = self.expire_db
            self.expire_cursor = table_expired(
                self.arena, self.table_of(self.expire_db), self.expire_cursor, self.now_ms - 1, &budget, expire_entry,
                &context,
            )
            if self.expire_cursor == 0:
                self.expire_db = (self.expire_db + 1) % self.databases
            if budget <= 0:
                break
        return <int>(self.expired + self.swept - before)

    cdef int reap(self, int budget) except -1:
        cdef KeyspaceRoot *root = <KeyspaceRoot *>self.arena.at(self.root)
        cdef bint more = collections_reap(self.arena, root, budget, &self.reaped)
        return self.arena.give_back() or more

    cdef uint64_t to_reap(self) noexcept:
        return (<KeyspaceRoot *>self.arena.at(self.root)).dead_values


cdef void copy_resized(char *to, uint64_t new_length, const char *old, uint64_t old_length) noexcept:
    cdef uint64_t kept = old_length if old_length < new_length else new_length
    if kept:
        memcpy(to, old, kept)
    memset(to + kept, 0, new_length - kept)


# -- what the table's walks call for each entry

cdef struct ScanContext:
    char *base
    void *into
    int64_t now

cdef struct ExpireContext:
    void *keyspace
    int db
    int *budget


cdef int scan_entry(void *context, uint64_t entry) except -1:
    cdef ScanContext *scan = <ScanContext *>context
    cdef EntryView view
    entry_view(scan.base, entry, &view)
    if not 0 <= view.expiry < scan.now:
        (<list>scan.into).append((PyBytes_FromStringAndSize(view.key, view.key_length), view.type))
    return 0


cdef int expire_entry(void *context, uint64_t entry) except -1:
    cdef Keyspace keyspace = <Keyspace>(<ExpireContext *>context).keyspace
    cdef Found found
    entry_view(keyspace.arena.base, entry, &found.entry)
    found.hash = hash_key(found.entry.key, found.entry.key_length)
    keyspace.relocate((<ExpireContext *>context).db, &found, found.entry.key, found.entry.key_length)
    keyspace.delete((<ExpireContext *>context).db, &found, True)
    keyspace.expired += 1
    return 0


cdef int sweep_entry(void *context, uint64_t entry) except -1:
    """What the timer `entry` is for."""
    cdef ExpireContext *expiring = <ExpireContext *>context
    cdef Keyspace keyspace = <Keyspace>expiring.keyspace
    cdef EntryView timer
    cdef Found found
    entry_view(keyspace.arena.base, entry, &timer)
    found.db = expiring.db
    found.hash = hash_key(timer.key, timer.key_length)
    keyspace.relocate(expiring.db, &found, timer.key, timer.key_length)
    if found.exists and keyspace.hash_table_of(&found.entry):
        return keyspace.sweep_fields(&found, expiring.budget)
    return timer_forget(
        keyspace.arena, keyspace.timers_of(expiring.db), found.hash, timer.key, timer.key_length
    )
