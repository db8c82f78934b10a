"""Keys of the databases, whatever they hold: see databases.pxd for layout and invariants."""
from libc.stdlib cimport calloc, free
from libc.string cimport memcmp, memcpy

from workers.memory.arena cimport COMMIT_INTERNAL
from workers.memory.collections cimport collection_free
from workers.memory.entry cimport (
    HASH_TABLE, STRING_BOXED, entry_box, entry_expiry, entry_format, entry_size, entry_view,
)
from workers.memory.table cimport (
    table_find, table_insert, table_prefetch_entry, table_prefetch_slot, table_remove, table_replace,
)
from workers.memory.timers cimport timer_due, timer_find, timer_forget, timer_note, timer_sweep

from shardkv.errors import OutOfMemory

cdef enum:
    TYPE_MASK = 0x1F            # of an entry's first word


cdef inline uint64_t keys_at(uint64_t root, int db) noexcept nogil:
    """Where the table of a database's keys lies."""
    return root + sizeof(KeyspaceRoot) + <uint64_t>db * sizeof(Database)


class KeyspaceError(Exception):
    """The arena's databases do not fit what is asked for; the text is one line for the operator."""


cdef class Databases:
    def __cinit__(self) -> None:
        self.own_touches = self.touches = <Touches *>calloc(1, sizeof(Touches))
        if self.touches == NULL:
            raise MemoryError()

    def __dealloc__(self):
        free(self.own_touches)
        free(self.noted.items)

    def __init__(self, Arena arena, int databases = 16) -> None:
        """Opens the databases in `arena`, or makes them, in a transaction of its own. Raises ValueError, KeyspaceError,
        OutOfMemory."""
        if not 1 <= databases <= DATABASES_MAX:
            raise ValueError(f"databases must be 1 to {<int>DATABASES_MAX}")
        self.arena = arena
        self.databases = databases
        self.touch = self.lazy_expire = True
        arena.begin(<int>COMMIT_INTERNAL, arena.header.commit[<int>COMMIT_INTERNAL] + 1)
        try:
            self._open(databases)
            arena.commit()
        except BaseException:
            arena.rollback()
            raise

    @classmethod
    def view(cls, Arena arena, int databases) -> Databases:
        """The databases in the arena of another worker, to be used while it is on lease (workers/leases.pxd)."""
        cdef Databases view = cls.__new__(cls)
        view.arena, view.databases = arena, databases
        view.touch = view.lazy_expire = True
        return view

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
        return keys_at(self.root, db)

    cdef uint64_t timers_of(self, int db) noexcept:
        return keys_at(self.root, db) + sizeof(TableRoot)

    cdef uint64_t count(self, int db) noexcept:
        return (<TableRoot *>self.arena.at(keys_at(self.root, db))).count

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
            self.set_clock(out, self.clock)
        return 0

    cdef int set_clock(self, Found *found, uint32_t clock) except -1:
        # type, flags and clock are the low half of word 0
        self.arena.put32(found.entry.offset, <uint32_t>(found.entry.type | found.entry.flags << 5) | clock << 8)
        found.entry.clock = clock
        return 0

    cdef int peek(self, int db, const char *key, uint64_t length, uint64_t hash, Found *out) except -1:
        return self.look(db, key, length, hash, out)

    cdef void prefetch_slot(self, int db, uint64_t hash) noexcept:
        if 0 <= db < self.databases:
            table_prefetch_slot(self.arena, keys_at(self.root, db), hash)

    cdef uint64_t prefetch_entry(self, int db, uint64_t hash) noexcept:
        if not 0 <= db < self.databases:
            return 0
        return table_prefetch_entry(self.arena, keys_at(self.root, db), hash)

    # -- making keys

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
        is not). Returns where the value goes, of which there may be up to `room` bytes later."""
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

    # -- expiry, deletion, moving

    cdef int set_expiry(self, int db, Found *found, int64_t expiry) except -1:
        cdef EntryView old
        cdef char *value
        if not self.still_there(db, found):
            return 0
        old = found.entry
        if expiry < 0 and old.expiry < 0:
            return 0
        if expiry == old.expiry:
            self.modified(found)
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
        self.modified(found)    # under its old name
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
        self.modified(found)

    cdef int modified_all(self, int db) noexcept:
        """A database as a whole has become another."""
        self.changes += 1
        self.touches.epochs[db & (EPOCHS - 1)] += 1
        self.noted_databases |= <uint64_t>1 << (db & (EPOCHS - 1))
        return 0

    cdef void note(self, int db, uint64_t hash) noexcept:
        try:
            vector_push(&self.noted, db)
            vector_push(&self.noted, hash)
        except OutOfMemory:
            self.noted.size &= ~<size_t>1
            self.noted_databases |= <uint64_t>1 << (db & (EPOCHS - 1))

    cdef inline int settle(self, int db, Found *found, const char *key, uint64_t length) except -1:
        """Brings a Found up to date before it is used to change its key."""
        return self.relocate(db, found, key, length) if found.changes != self.changes else 0

    cdef inline bint still_there(self, int db, Found *found) except -1:
        """As settle, for what only changes a key that exists; returns whether it does."""
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
        cdef int swept
        if table == 0:
            return 0
        place = timer_find(self.arena, timers, found.hash, found.entry.key, found.entry.key_length)
        if place.entry == 0 or entry_expiry(self.arena.at(place.entry)) >= self.now_ms:
            return 0
        swept = timer_sweep(self.arena, timers, &place, table, self.now_ms - 1, budget)
        if swept:
            self.swept += swept
            self.modified(found)
        if (<TableRoot *>self.arena.at(table)).count == 0:
            self.delete(found.db, found, True)
        return 0
