"""The databases of a shard as wholes: see keyspace.pxd."""
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.string cimport memcpy

from shardkv.hashing cimport hash_key
from workers.memory.buckets cimport TableRoot
from workers.memory.collections cimport (
    KeyspaceRoot, bury_table, collection_copy, collection_memory, collections_reap,
)
from workers.memory.databases cimport Database
from workers.memory.dice cimport roll
from workers.memory.entry cimport HASH_TABLE, STRING_BOXED, Box, EntryView, entry_box, entry_view
from workers.memory.table cimport table_earliest, table_expired, table_random, table_scan, table_unlink
from workers.memory.timers cimport timer_forget

cdef enum:
    SLOT_BYTES = 8


cdef class Keyspace(Strings):
    cdef int copy(
        self, Keyspace target, int to_db, Found *found, const char *new_key, uint64_t new_length, uint64_t new_hash
    ) except -1:
        cdef EntryView *entry = &found.entry
        cdef Found made
        cdef Box box
        cdef char *value
        made.exists = False
        made.db = to_db
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
                target.note_field_expiry(&made, table_earliest(target.arena, box.block, 0, 0))
            return 0
        value = target.make(to_db, &made, new_key, new_length, entry.type, entry.value_length, 0, entry.expiry)
        memcpy(value, entry.value, entry.value_length)
        return 0

    # -- whole databases

    cdef int swap(self, int a, int b) except -1:
        cdef Database *left = <Database *>self.arena.at(self.table_of(a))
        cdef Database *right = <Database *>self.arena.at(self.table_of(b))
        cdef Database kept = left[0]
        if a == b:
            return 0
        self.modified_all(a)
        self.modified_all(b)
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
        self.modified_all(db)
        directory = table_unlink(self.arena, self.table_of(db))
        if directory:
            bury_table(self.arena, root, directory, keys)
        directory = table_unlink(self.arena, self.timers_of(db))
        if directory:
            bury_table(self.arena, root, directory)
        return 0

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
            entry = table_random(self.arena, self.table_of(db), roll())
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
    found.db = (<ExpireContext *>context).db
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
