"""Looking ahead in a request ring: see ahead.pxd."""
from libc.stdint cimport uint32_t, uint64_t

from shardkv.hashing cimport hash_key
from shardkv.ring cimport IN_SEGMENT, REQUEST_COMMAND, ring_behind
from shardkv.stats cimport COMMANDS_MAX
from workers.memory.collections cimport collection_table
from workers.memory.table cimport table_prefetch_entry, table_prefetch_slot


cdef void look_ahead(Keyspace keyspace, const char *members, Ring *ring, RequestRecord *record) noexcept:
    cdef RequestRecord *coming[AHEAD]
    cdef uint64_t entries[AHEAD]
    cdef uint64_t position = ring.next
    cdef int count = 0, index
    while record != NULL and record.size >= sizeof(RequestRecord) and count < AHEAD:
        coming[count] = record
        count += 1
        record = <RequestRecord *>ring_behind(ring, <char *>record, &position)
    if count == 1:
        return  # it would wait at once
    for index in range(count):
        keyspace.prefetch_slot(coming[index].database, coming[index].hash)
    for index in range(count):
        entries[index] = keyspace.prefetch_entry(coming[index].database, coming[index].hash)
    look_for_members(keyspace, members, coming, entries, count)


cdef void look_for_members(
    Keyspace keyspace, const char *members, RequestRecord **coming, const uint64_t *entries, int count
) noexcept:
    cdef uint64_t tables[AHEAD]
    cdef uint64_t hashes[AHEAD]
    cdef int index, found = 0
    for index in range(count):
        if coming[index].command < COMMANDS_MAX and members[coming[index].command] and entries[index]:
            tables[found] = collection_table(keyspace.arena, entries[index])
            if tables[found] and hash_argument(coming[index], members[coming[index].command], &hashes[found]):
                table_prefetch_slot(keyspace.arena, tables[found], hashes[found])
                found += 1
    for index in range(found):
        table_prefetch_entry(keyspace.arena, tables[index], hashes[index])


cdef bint hash_argument(RequestRecord *record, uint32_t index, uint64_t *hash) noexcept:
    """The hash of an argument, if the record has it."""
    cdef const uint32_t *lengths = <const uint32_t *>(record + 1)
    cdef uint64_t room = record.size - sizeof(RequestRecord)
    cdef uint64_t at = <uint64_t>record.argc * sizeof(uint32_t)
    cdef uint32_t before
    if record.kind != REQUEST_COMMAND or record.flags & IN_SEGMENT or index >= record.argc or at > room:
        return False
    for before in range(index):
        at += lengths[before]
    if at + lengths[index] > room:
        return False
    hash[0] = hash_key(<const char *>lengths + at, lengths[index])
    return True
