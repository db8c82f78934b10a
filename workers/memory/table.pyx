"""The table: see table.pxd for layout and invariants; buckets.pyx lays buckets out."""
from libc.stdint cimport INT64_MAX
from libc.string cimport memmove, memset

from shardkv.atomic cimport prefetch
from shardkv.hashing cimport hash_key
from workers.memory.buckets cimport (
    DEPTH_MAX, TAG_BITS, BucketHeader, TableGrave, TableRoot, directory_index, directory_words, grave_index,
    grave_slot, home_of, bucket_at, bucket_slots, buckets_make_room, buckets_moved, buckets_start, buckets_tidy,
    slot_entry, slot_expiring, slot_tag, slot_word, tag_of, word_bucket, word_slots,
)
from workers.memory.entry cimport EntryView, entry_expiry, entry_has_key, entry_view
from workers.memory.splitmix cimport splitmix

cdef enum:
    CURSOR_TAG_BITS = 17        # of a SCAN cursor: position 26 bits | depth 5 bits | upper tag bits 17
    SCAN_ENTRIES = 4            # at least, of one table_scan, unless the bucket ends
    SCAN_BUCKETS = 16          # at most, of one table_scan
    TAKEN_MAX = 128             # expired entries of one bucket taken at a time
    UNFINISHED = 1 << DEPTH_MAX  # in a cursor of table_expired: it is not 0, even if nothing is passed yet
    RANDOM_TRIES = 256
    PLACES = 1280               # of a directory word, for table_random: as many as a bucket may have slots
    AHEAD = 12                  # slots to prefetch ahead of the one that is visited


cdef inline uint64_t *first_slot(Arena arena, TableRoot *table, uint64_t hash, uint64_t *bucket) noexcept:
    cdef uint64_t word = directory_words(arena, table)[directory_index(hash, table.depth)]
    bucket[0] = word_bucket(word)
    return bucket_slots(bucket_at(arena, bucket[0])) + home_of(tag_of(hash), word_slots(word))


cdef Place table_find(Arena arena, uint64_t root, uint64_t hash, const char *key, uint64_t key_length) noexcept:
    cdef TableRoot *table = <TableRoot *>arena.at(root)
    cdef uint64_t tag = tag_of(hash)
    cdef uint64_t *slot
    cdef Place place
    place.entry = place.bucket = place.slot = 0
    if table.directory == 0:
        return place
    slot = first_slot(arena, table, hash, &place.bucket)
    while slot[0] != 0 and slot_tag(slot[0]) < tag:
        slot += 1
    while slot[0] != 0 and slot_tag(slot[0]) == tag:
        if entry_has_key(arena.at(slot_entry(slot[0])), key, key_length):
            place.entry = slot_entry(slot[0])
            place.slot = arena.offset_of(slot)
            break
        slot += 1
    return place


cdef void table_prefetch_slot(Arena arena, uint64_t root, uint64_t hash) noexcept:
    cdef TableRoot *table = <TableRoot *>arena.at(root)
    cdef uint64_t bucket
    if table.directory:
        prefetch(first_slot(arena, table, hash, &bucket))


cdef uint64_t table_prefetch_entry(Arena arena, uint64_t root, uint64_t hash) noexcept:
    cdef TableRoot *table = <TableRoot *>arena.at(root)
    cdef uint64_t bucket, tag = tag_of(hash)
    cdef uint64_t *slot
    if table.directory == 0:
        return 0
    slot = first_slot(arena, table, hash, &bucket)
    while slot[0] != 0 and slot_tag(slot[0]) < tag:
        slot += 1
    if slot[0] == 0 or slot_tag(slot[0]) != tag:
        return 0
    prefetch(arena.at(slot_entry(slot[0])))
    return slot_entry(slot[0])


# -- changing

cdef inline int count_change(Arena arena, uint64_t root, uint64_t bucket, int entries, int expiring) except -1:
    cdef TableRoot *table = <TableRoot *>arena.at(root)
    cdef BucketHeader *header = bucket_at(arena, bucket)
    if root != arena.fresh:
        arena.save(root + 16, 16 if expiring else 8)
        arena.save(bucket, 8)
    table.count += entries
    table.expiring += expiring
    header.used += entries
    header.expiring += expiring
    return 0


cdef inline int note_expiry(Arena arena, uint64_t bucket, int64_t expiry) except -1:
    """Keeps `earliest` right before an entry with an expiry is counted."""
    cdef BucketHeader *header = bucket_at(arena, bucket)
    if header.expiring == 0 or expiry < header.earliest:
        arena.set_word(<uint64_t *>&header.earliest, <uint64_t>expiry)
    return 0


cdef int table_make(Arena arena, uint64_t root, uint64_t count) except -1:
    arena.fresh = root
    return buckets_start(arena, root, count) if count else 0


cdef int table_insert(
    Arena arena, uint64_t root, uint64_t hash, uint64_t entry, int64_t expiry, Place *place
) except -1:
    cdef TableRoot *table = <TableRoot *>arena.at(root)
    cdef uint64_t tag = tag_of(hash)
    cdef BucketHeader *header
    cdef uint64_t *slot
    cdef uint64_t *free_slot
    if table.directory == 0:
        buckets_start(arena, root, 0)
    while True:
        table = <TableRoot *>arena.at(root)
        slot = first_slot(arena, table, hash, &place.bucket)
        header = bucket_at(arena, place.bucket)
        if (header.used + 1) * <uint64_t>20 <= header.slots * <uint64_t>17:
            while slot[0] != 0 and slot_tag(slot[0]) <= tag:
                slot += 1
            free_slot = slot
            while free_slot[0] != 0:
                free_slot += 1
            if free_slot < bucket_slots(header) + header.slots + header.spill - 1:
                break
        buckets_make_room(arena, root, hash)
    place.entry = entry
    place.slot = arena.offset_of(slot)
    if root != arena.fresh:
        arena.save(place.slot, <uint64_t>(<char *>(free_slot + 1) - <char *>slot))
    memmove(slot + 1, slot, <uint64_t>(<char *>free_slot - <char *>slot))
    slot[0] = slot_word(tag, expiry >= 0, entry)
    if expiry >= 0:
        note_expiry(arena, place.bucket, expiry)
    return count_change(arena, root, place.bucket, 1, expiry >= 0)


cdef int table_replace(
    Arena arena, uint64_t root, Place *place, uint64_t entry, int64_t expiry, int64_t old_expiry
) except -1:
    cdef uint64_t old = (<uint64_t *>arena.at(place.slot))[0]
    cdef uint64_t word = slot_word(slot_tag(old), expiry >= 0, entry)
    if word != old:
        arena.put64(place.slot, word)
    place.entry = entry
    if expiry >= 0:
        note_expiry(arena, place.bucket, expiry)
    if (expiry >= 0) != (old_expiry >= 0):
        return count_change(arena, root, place.bucket, 0, 1 if expiry >= 0 else -1)
    return 0


cdef int table_remove(Arena arena, uint64_t root, Place *place, int64_t old_expiry) except -1:
    cdef BucketHeader *header = bucket_at(arena, place.bucket)
    cdef uint64_t *slots = bucket_slots(header)
    cdef uint64_t *slot = <uint64_t *>arena.at(place.slot)
    cdef uint64_t *last = slot
    cdef EntryView view
    while last[1] != 0 and home_of(slot_tag(last[1]), header.slots) < <uint64_t>(last + 1 - slots):
        last += 1
    arena.save(place.slot, <uint64_t>(<char *>(last + 1) - <char *>slot))
    memmove(slot, slot + 1, <uint64_t>(<char *>last - <char *>slot))
    last[0] = 0
    count_change(arena, root, place.bucket, -1, -1 if old_expiry >= 0 else 0)
    if (header.used * 4 < header.slots and header.slots > 8) or header.used == 0:
        entry_view(arena.base, place.entry, &view)
        buckets_tidy(arena, root, hash_key(view.key, view.key_length))
    place.entry = 0
    return 0


# -- walking

cdef uint64_t table_scan(
    Arena arena, uint64_t root, uint64_t cursor, visit_entry visit, void *context
) except? 0xFFFFFFFFFFFFFFFF:
    cdef TableRoot *table = <TableRoot *>arena.at(root)
    cdef uint64_t position = cursor >> 22 & 0x3FFFFFF, depth = cursor >> CURSOR_TAG_BITS & 31, tag = cursor & 0x1FFFF
    cdef uint64_t seen = 0, next_tag
    cdef BucketHeader *header
    cdef int _buckets
    if table.directory == 0:
        return 0
    for _buckets in range(SCAN_BUCKETS):
        header = bucket_at(arena, word_bucket(directory_words(arena, table)[position >> (DEPTH_MAX - table.depth)]))
        if header.depth < depth:        # merged since: what the cursor has passed of one half says nothing of the other
            tag = 0
        position = position >> (DEPTH_MAX - header.depth) << (DEPTH_MAX - header.depth)
        next_tag = scan_bucket(arena, header, tag, &seen, visit, context)
        if next_tag:
            return position << 22 | <uint64_t>header.depth << CURSOR_TAG_BITS | next_tag
        position += <uint64_t>1 << (DEPTH_MAX - header.depth)
        depth = tag = 0
        if position >> DEPTH_MAX:
            return 0
        if seen:
            break
    return position << 22


cdef uint64_t scan_bucket(
    Arena arena, BucketHeader *header, uint64_t tag, uint64_t *seen, visit_entry visit, void *context
) except? 0xFFFFFFFFFFFFFFFF:
    """Visits a few entries from upper tag bits `tag` on, equal ones together; returns the next bits, 0 at the end."""
    cdef uint64_t *slot = bucket_slots(header)
    cdef uint64_t *end = slot + header.slots + header.spill
    cdef uint64_t upper, last = 0
    slot += home_of(tag << (TAG_BITS - CURSOR_TAG_BITS), header.slots)
    while slot < end:
        if slot[0] != 0:
            upper = slot_tag(slot[0]) >> (TAG_BITS - CURSOR_TAG_BITS)
            if seen[0] >= SCAN_ENTRIES and upper != last:
                return upper
            if upper >= tag:
                visit(context, slot_entry(slot[0]))
                seen[0] += 1
                last = upper
        slot += 1
    return 0


cdef uint64_t table_random(Arena arena, uint64_t root, uint64_t seed) noexcept:
    """Rolls a directory word and one of `width` places of it; each slot of a bucket has one of the places of its
    words, so every entry is as likely as any other. A place that is no slot in use is rolled again. Where hashes
    collide by design, a bucket may have more slots than its words have places: they get more, so that each slot has
    one, but are rolled no more often for it."""
    cdef TableRoot *table = <TableRoot *>arena.at(root)
    cdef BucketHeader *header
    cdef uint64_t index = 0, place, size, width, span, rolled, _tries
    if table.count == 0:
        return 0
    for _tries in range(RANDOM_TRIES):
        rolled = splitmix(&seed)
        index = directory_index(rolled, table.depth)
        header = bucket_at(arena, word_bucket(directory_words(arena, table)[index]))
        size = header.slots + header.spill
        span = <uint64_t>1 << (table.depth - header.depth)
        width = max(<uint64_t>PLACES, (size + span - 1) // span) if table.depth else size
        place = (index & (span - 1)) * width + ((rolled & <uint64_t>0xFFFFFFFF) * width >> 32)
        if place < size and bucket_slots(header)[place] != 0:
            return slot_entry(bucket_slots(header)[place])
    while True:                         # sparse beyond luck: the next entry there is
        header = bucket_at(arena, word_bucket(directory_words(arena, table)[index]))
        if header.used:
            place = 0
            while bucket_slots(header)[place] == 0:
                place += 1
            return slot_entry(bucket_slots(header)[place])
        index = index + 1 & (<uint64_t>1 << table.depth) - 1


cdef int table_each(Arena arena, uint64_t root, visit_entry visit, void *context) except -1:
    cdef TableRoot *table = <TableRoot *>arena.at(root)
    cdef BucketHeader *header
    cdef uint64_t *slots
    cdef uint64_t index = 0, at, size
    if table.directory == 0:
        return 0
    while index >> table.depth == 0:
        header = bucket_at(arena, word_bucket(directory_words(arena, table)[index]))
        slots = bucket_slots(header)
        size = header.slots + header.spill
        for at in range(size):
            if at + AHEAD < size and slots[at + AHEAD] != 0:
                prefetch(arena.at(slot_entry(slots[at + AHEAD])))
            if slots[at] != 0 and visit(context, slot_entry(slots[at])):
                return 1
        index += <uint64_t>1 << (table.depth - header.depth)
    return 0


cdef int64_t table_earliest(Arena arena, uint64_t root, uint64_t cursor, uint64_t end) noexcept:
    cdef TableRoot *table = <TableRoot *>arena.at(root)
    cdef BucketHeader *header
    cdef uint64_t position = cursor & 0x3FFFFFF
    cdef int64_t earliest = INT64_MAX
    end = end & 0x3FFFFFF if end else <uint64_t>1 << DEPTH_MAX
    if table.directory == 0:
        return earliest
    while position < end:
        header = bucket_at(arena, word_bucket(directory_words(arena, table)[position >> (DEPTH_MAX - table.depth)]))
        if header.expiring and header.earliest < earliest:
            earliest = header.earliest
        position = ((position >> (DEPTH_MAX - header.depth)) + 1) << (DEPTH_MAX - header.depth)
    return earliest


cdef uint64_t table_sample_expiry(Arena arena, uint64_t root, uint64_t seed, uint64_t most, double *sum) noexcept:
    cdef TableRoot *table = <TableRoot *>arena.at(root)
    cdef BucketHeader *header
    cdef uint64_t *slots
    cdef uint64_t at, count = 0, position = seed & 0x3FFFFFF
    if table.expiring == 0:
        return 0
    header = bucket_at(arena, word_bucket(directory_words(arena, table)[position >> (DEPTH_MAX - table.depth)]))
    slots = bucket_slots(header)
    for at in range(<uint64_t>header.slots + header.spill):
        if count == most or count == header.expiring:
            break
        if slot_expiring(slots[at]):
            sum[0] += entry_expiry(arena.at(slot_entry(slots[at])))
            count += 1
    return count


cdef uint64_t table_expired(
    Arena arena, uint64_t root, uint64_t cursor, int64_t now, int *budget, visit_entry visit, void *context
) except? 0xFFFFFFFFFFFFFFFF:
    cdef TableRoot *table = <TableRoot *>arena.at(root)
    cdef uint64_t position = cursor & 0x3FFFFFF, bucket, step
    cdef BucketHeader *header
    cdef int taken
    while budget[0] > 0 and table.expiring:
        bucket = word_bucket(directory_words(arena, table)[position >> (DEPTH_MAX - table.depth)])
        header = bucket_at(arena, bucket)
        step = <uint64_t>1 << (DEPTH_MAX - header.depth)
        budget[0] -= 1
        if header.expiring and header.earliest <= now:
            taken = take_expired(arena, bucket, now, visit, context)
            budget[0] -= taken
            table = <TableRoot *>arena.at(root)
            if taken == TAKEN_MAX:
                continue                # perhaps more here, and the bucket may be another now
        position = (position & ~(step - 1)) + step
        if position >> DEPTH_MAX:
            return 0
    return position | UNFINISHED if table.expiring else 0


cdef int take_expired(Arena arena, uint64_t bucket, int64_t now, visit_entry visit, void *context) except -1:
    """Visits up to TAKEN_MAX expired entries of a bucket; returns how many. If fewer, `earliest` is exact then."""
    cdef BucketHeader *header = bucket_at(arena, bucket)
    cdef uint64_t *slots = bucket_slots(header)
    cdef uint64_t taken[TAKEN_MAX]
    cdef uint64_t at, size = header.slots + header.spill
    cdef int64_t expiry, earliest = INT64_MAX
    cdef int count = 0, index
    for at in range(size):
        if at + AHEAD < size and slot_expiring(slots[at + AHEAD]):
            prefetch(arena.at(slot_entry(slots[at + AHEAD])))
        if slot_expiring(slots[at]):
            expiry = entry_expiry(arena.at(slot_entry(slots[at])))
            if expiry > now:
                earliest = expiry if expiry < earliest else earliest
            else:
                taken[count] = slot_entry(slots[at])
                count += 1
                if count == TAKEN_MAX:
                    break
    if count < TAKEN_MAX:
        arena.set_word(<uint64_t *>&header.earliest, <uint64_t>earliest)
    for index in range(count):
        visit(context, taken[index])
    return count


# -- the end of a table

cdef uint64_t table_unlink(Arena arena, uint64_t root) except? 0xFFFFFFFFFFFFFFFF:
    cdef uint64_t directory = (<TableRoot *>arena.at(root)).directory
    cdef TableGrave *grave
    if directory == 0:
        return 0
    arena.save(directory, sizeof(TableGrave))
    arena.save(root, sizeof(TableRoot))
    grave = <TableGrave *>arena.at(directory)
    grave.root = (<TableRoot *>arena.at(root))[0]
    grave.root.expiring = 0             # from now on: how far it has been freed, slot << 32 | directory word
    grave.root.deepest = 0              # from now on: values of keys that count as freed with it
    memset(arena.at(root), 0, sizeof(TableRoot))
    return directory


cdef int table_dismantle(Arena arena, uint64_t directory, int budget, visit_entry visit, void *context) except -1:
    cdef TableGrave *grave = <TableGrave *>arena.at(directory)
    cdef BucketHeader *header
    cdef uint64_t index = grave_index(grave), at = grave_slot(grave), freed = 0, bucket, size
    cdef uint64_t *slots
    while index >> grave.root.depth == 0:
        bucket = word_bucket(directory_words(arena, &grave.root)[index])
        header = bucket_at(arena, bucket)
        slots = bucket_slots(header)
        size = header.slots + header.spill
        while at < size and budget > 0:
            if at + AHEAD < size and slots[at + AHEAD] != 0:
                prefetch(arena.at(slot_entry(slots[at + AHEAD])))
            if slots[at] != 0:
                visit(context, slot_entry(slots[at]))
                freed += 1
                budget -= 1
            at += 1
        if at < size:
            arena.save(arena.offset_of(&grave.root.count), 16)
            grave.root.count -= freed
            grave.root.expiring = at << 32 | index
            return 0
        arena.free(bucket)
        at = 0
        index += <uint64_t>1 << (grave.root.depth - header.depth)
    arena.free(directory)
    return 1


cdef uint64_t table_moved() noexcept:
    return buckets_moved()
