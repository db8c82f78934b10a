"""Buckets of a table: see buckets.pxd, and table.pxd for the layout."""
from libc.stdint cimport INT64_MAX, uint16_t
from libc.stdlib cimport realloc
from libc.string cimport memset

from shardkv.errors import OutOfMemory

from shardkv.atomic cimport prefetch
from shardkv.hashing cimport hash_key
from workers.memory.entry cimport EntryView, entry_expiry, entry_view

# Words being moved from one layout to another; private to the process, and used only within one call.
cdef uint64_t *buffer = NULL
cdef uint64_t buffer_words = 0
cdef uint64_t moved = 0


cdef uint64_t *room(uint64_t words) except NULL:
    global buffer, buffer_words
    cdef void *grown
    if words >= buffer_words:
        grown = realloc(buffer, (words + 1) * 2 * sizeof(uint64_t))
        if grown == NULL:
            raise OutOfMemory("no memory to lay out a table's bucket")
        buffer = <uint64_t *>grown
        buffer_words = (words + 1) * 2
    return buffer


cdef uint64_t buckets_moved() noexcept:
    return moved


cdef uint64_t gather(BucketHeader *header, uint64_t *into) noexcept:
    """Copies the words in use, in order; returns how many."""
    cdef uint64_t *slots = bucket_slots(header)
    cdef uint64_t at = 0, count = 0
    while count < header.used:
        into[count] = slots[at]
        count += slots[at] != 0
        at += 1
    return count


cdef uint64_t extent(const uint64_t *words, uint64_t count, uint64_t slots) noexcept:
    """Returns how many slots and spill slots the words take when `slots` can be homes."""
    cdef uint64_t index, home, end = 0
    for index in range(count):
        home = home_of(slot_tag(words[index]), slots)
        end = (home if home > end else end) + 1
    return end


cdef uint64_t lay_out(
    Arena arena, const uint64_t *words, uint64_t count, uint64_t slots, uint64_t spill, uint32_t depth,
    int64_t earliest, bint if_room=False
) except? 0:
    """Makes a bucket of the words, with at least so many slots and spill slots: what is rounded up is used. With
    `if_room`, returns 0 in a full arena."""
    global moved
    cdef uint64_t index, home, end = 0, room_for, size, bucket, expiring = 0
    cdef BucketHeader *header
    cdef uint64_t *to
    room_for = (arena.good_size(sizeof(BucketHeader) + 8 * (slots + spill)) - sizeof(BucketHeader)) // 8
    slots = room_for - spill
    end = extent(words, count, slots)
    if end >= room_for:
        room_for = (arena.good_size(sizeof(BucketHeader) + 8 * (end + 1 + spill)) - sizeof(BucketHeader)) // 8
    spill = room_for - slots
    if spill > 0xFFFF or slots > 0xFFFFFF:
        if if_room:
            return 0
        raise OutOfMemory("too many keys with one hash")
    size = sizeof(BucketHeader) + 8 * room_for
    bucket = arena.alloc_if_room(size) if if_room else arena.alloc(size)
    if bucket == 0:
        return 0
    memset(arena.at(bucket), 0, size)
    header = bucket_at(arena, bucket)
    to = bucket_slots(header)
    end = 0
    for index in range(count):
        home = home_of(slot_tag(words[index]), slots)
        end = home if home > end else end
        to[end] = words[index]
        end += 1
        expiring += slot_expiring(words[index])
    header.used, header.expiring = <uint32_t>count, <uint32_t>expiring
    header.slots, header.spill = <uint32_t>slots, <uint16_t>spill
    header.depth, header.earliest = <uint16_t>depth, earliest
    moved += count
    return bucket


cdef uint64_t lay_out_if_room(
    Arena arena, const uint64_t *words, uint64_t count, uint64_t slots, uint32_t depth, int64_t earliest
) except? 0:
    """As lay_out, but returns 0 when the arena is full: what only saves memory must not keep anyone from deleting."""
    return lay_out(arena, words, count, slots, default_spill(slots), depth, earliest, True)


cdef inline uint64_t default_spill(uint64_t slots) noexcept:
    return 3 + slots // 64


cdef inline uint64_t slots_for(uint64_t count) noexcept:
    """Slots for a load of two thirds."""
    return count + count // 2 if count + count // 2 > SLOTS_MIN else SLOTS_MIN


cdef inline BucketHeader *bucket_of(Arena arena, uint64_t root, uint64_t hash) noexcept:
    cdef TableRoot *table = <TableRoot *>arena.at(root)
    return bucket_at(arena, word_bucket(directory_words(arena, table)[directory_index(hash, table.depth)]))


cdef int point(Arena arena, uint64_t root, uint64_t first, uint64_t number, uint64_t bucket) except -1:
    """Makes `number` directory words from `first` on name a bucket."""
    cdef TableRoot *table = <TableRoot *>arena.at(root)
    cdef uint64_t index, word = bucket | <uint64_t>bucket_at(arena, bucket).slots << 40
    cdef uint64_t *words
    arena.save(table.directory + sizeof(TableGrave) + 8 * first, 8 * number)
    words = directory_words(arena, table) + first
    for index in range(number):
        words[index] = word
    return 0


cdef inline uint64_t directory_size(uint32_t depth) noexcept nogil:
    return sizeof(TableGrave) + (<uint64_t>8 << depth)


cdef uint64_t new_directory(Arena arena, uint32_t depth) except 0:
    cdef uint64_t directory = arena.alloc(directory_size(depth))
    memset(arena.at(directory), 0, sizeof(TableGrave))
    return directory


cdef int buckets_start(Arena arena, uint64_t root, uint64_t count) except -1:
    cdef TableRoot *table = <TableRoot *>arena.at(root)
    cdef uint32_t depth = 0
    cdef uint64_t index, slots, bucket
    while count >> depth > STARTED_MAX and depth < DEPTH_MAX:
        depth += 1
    slots = slots_for(count >> depth)
    arena.save(root, sizeof(TableRoot))
    table.directory, table.depth, table.deepest = new_directory(arena, depth), depth, <uint32_t>1 << depth
    table.count = table.expiring = 0
    for index in range(<uint64_t>1 << depth):
        bucket = lay_out(arena, NULL, 0, slots, default_spill(slots), depth, INT64_MAX)
        directory_words(arena, table)[index] = bucket | <uint64_t>bucket_at(arena, bucket).slots << 40
    return 0


# -- growing

cdef int buckets_make_room(Arena arena, uint64_t root, uint64_t hash) except -1:
    cdef TableRoot *table = <TableRoot *>arena.at(root)
    cdef BucketHeader *header = bucket_of(arena, root, hash)
    cdef uint64_t slots = header.slots, wanted = slots + slots // 4
    cdef uint64_t entries_to_double = <uint64_t>(2 * ENTRIES_PER_WORD) << table.depth
    cdef bint splittable = header.depth < DEPTH_MAX and (header.depth < table.depth or entries_to_double <= table.count)
    if header.used * 2 < slots:         # the spill is full, yet slots are free: tags collide, more homes would not help
        return relay(arena, root, hash, slots, header.spill + header.spill // 2 + 8)
    if wanted > SLOTS_SPLIT and splittable:
        return split(arena, root, hash)
    return relay(arena, root, hash, wanted, default_spill(wanted))


cdef int relay(Arena arena, uint64_t root, uint64_t hash, uint64_t slots, uint64_t spill) except -1:
    """Lays the bucket of `hash` out anew with other numbers of slots."""
    cdef BucketHeader *header = bucket_of(arena, root, hash)
    cdef uint64_t *words = room(header.used)
    cdef uint64_t count = gather(header, words)
    return exchange(arena, root, hash, lay_out(arena, words, count, slots, spill, header.depth, header.earliest))


cdef int exchange(Arena arena, uint64_t root, uint64_t hash, uint64_t bucket) except -1:
    """Puts a new bucket of the same depth in the place of the one of `hash`."""
    cdef BucketHeader *header = bucket_of(arena, root, hash)
    cdef uint64_t span = <uint64_t>1 << ((<TableRoot *>arena.at(root)).depth - header.depth)
    point(arena, root, directory_index(hash, header.depth) * span, span, bucket)
    return arena.free(arena.offset_of(header))


cdef int double_directory(Arena arena, uint64_t root) except -1:
    cdef TableRoot *table = <TableRoot *>arena.at(root)
    cdef uint32_t depth = table.depth
    cdef uint64_t directory = new_directory(arena, depth + 1)
    cdef uint64_t index
    cdef uint64_t *old = directory_words(arena, table)
    cdef uint64_t *new = <uint64_t *>(arena.at(directory) + sizeof(TableGrave))
    for index in range(<uint64_t>2 << depth):
        new[index] = old[index >> 1]
    arena.free(table.directory)
    return set_directory(arena, root, directory, depth + 1, 0)


cdef int set_directory(Arena arena, uint64_t root, uint64_t directory, uint32_t depth, uint32_t deepest) except -1:
    cdef TableRoot *table
    arena.save(root, 16)
    table = <TableRoot *>arena.at(root)
    table.directory, table.depth, table.deepest = directory, depth, deepest
    return 0


cdef int split(Arena arena, uint64_t root, uint64_t hash) except -1:
    cdef TableRoot *table = <TableRoot *>arena.at(root)
    cdef BucketHeader *old = bucket_of(arena, root, hash)
    cdef uint32_t depth = old.depth
    cdef uint64_t count = old.used, span, first
    cdef uint64_t *words = room(3 * count)
    cdef uint64_t halves[2]
    cdef int64_t earliest[2]
    cdef uint64_t bucket, slots
    cdef int half
    if depth == table.depth:
        double_directory(arena, root)
    gather(old, words)
    part(arena, words, count, depth, halves, earliest)
    span = <uint64_t>1 << (table.depth - depth - 1)
    first = directory_index(hash, depth) * 2 * span
    for half in range(2):
        slots = slots_for(halves[half])
        words += count
        bucket = lay_out(arena, words, halves[half], slots, default_spill(slots), depth + 1, earliest[half])
        point(arena, root, first + half * span, span, bucket)
    arena.free(arena.offset_of(old))
    if span == 1:
        return set_directory(arena, root, table.directory, table.depth, table.deepest + 2)
    return 0


cdef void part(
    Arena arena, uint64_t *words, uint64_t count, uint32_t depth, uint64_t *halves, int64_t *earliest
) noexcept:
    """Sorts words[0:count] into words[count:] and words[2*count:] by hash bit `depth` from the top; finds how many go
    where, and their earliest expiry."""
    cdef uint64_t index
    cdef int64_t expiry
    cdef EntryView view
    cdef int half
    halves[0] = halves[1] = 0
    earliest[0] = earliest[1] = INT64_MAX
    for index in range(count):
        if index + 8 < count:
            prefetch(arena.at(slot_entry(words[index + 8])))
        entry_view(arena.base, slot_entry(words[index]), &view)
        half = hash_key(view.key, view.key_length) >> (63 - depth) & 1
        words[count * (1 + half) + halves[half]] = words[index]
        halves[half] += 1
        if slot_expiring(words[index]):
            expiry = entry_expiry(arena.at(slot_entry(words[index])))
            earliest[half] = expiry if expiry < earliest[half] else earliest[half]


# -- shrinking

cdef int buckets_tidy(Arena arena, uint64_t root, uint64_t hash) except -1:
    cdef TableRoot *table = <TableRoot *>arena.at(root)
    cdef BucketHeader *header
    cdef uint64_t *words
    cdef uint64_t bucket, count
    while merge(arena, root, hash):
        pass
    header = bucket_of(arena, root, hash)
    if table.count == 0 and header.depth == 0:
        arena.free(arena.offset_of(header))
        arena.free(table.directory)
        return set_directory(arena, root, 0, 0, 0)
    if header.used * 4 < header.slots and header.slots > 2 * SLOTS_MIN:
        words = room(header.used)
        count = gather(header, words)
        bucket = lay_out_if_room(arena, words, count, slots_for(count), header.depth, header.earliest)
        if bucket:
            return exchange(arena, root, hash, bucket)
    return 0


cdef bint merge(Arena arena, uint64_t root, uint64_t hash) except -1:
    """Merges the bucket of `hash` and its other half if both have few entries; returns whether it did."""
    cdef TableRoot *table = <TableRoot *>arena.at(root)
    cdef uint64_t *directory = directory_words(arena, table)
    cdef BucketHeader *low = bucket_at(arena, word_bucket(directory[directory_index(hash, table.depth)]))
    cdef BucketHeader *high
    cdef uint32_t depth = low.depth
    cdef uint64_t span, first, count, bucket
    cdef uint64_t *words
    if depth == 0:
        return False
    span = <uint64_t>1 << (table.depth - depth)
    first = directory_index(hash, depth - 1) * 2 * span
    low = bucket_at(arena, word_bucket(directory[first]))
    high = bucket_at(arena, word_bucket(directory[first + span]))
    count = low.used + high.used
    if low.depth != high.depth or count > MERGED_MAX:
        return False
    words = room(2 * count)
    interleave(low, high, words)
    bucket = lay_out_if_room(arena, words, count, slots_for(count), depth - 1, least(low, high))
    if bucket == 0:
        return False
    point(arena, root, first, 2 * span, bucket)
    arena.free(arena.offset_of(low))
    arena.free(arena.offset_of(high))
    if span == 1:
        set_directory(arena, root, table.directory, table.depth, table.deepest - 2)
        if table.deepest == 0:
            halve_directory(arena, root)
    return True


cdef int64_t least(BucketHeader *low, BucketHeader *high) noexcept:
    cdef int64_t earliest = INT64_MAX
    if low.expiring:
        earliest = low.earliest
    if high.expiring and high.earliest < earliest:
        earliest = high.earliest
    return earliest


cdef void interleave(BucketHeader *low, BucketHeader *high, uint64_t *into) noexcept:
    """Puts the words of both in one order at `into`, which has room for twice as many."""
    cdef uint64_t *left = into + low.used + high.used
    cdef uint64_t *right = left + low.used
    cdef uint64_t *left_end = left + gather(low, left)
    cdef uint64_t *right_end = right + gather(high, right)
    while left < left_end or right < right_end:
        if right == right_end or (left < left_end and slot_tag(left[0]) <= slot_tag(right[0])):
            into[0] = left[0]
            left += 1
        else:
            into[0] = right[0]
            right += 1
        into += 1


cdef int halve_directory(Arena arena, uint64_t root) except -1:
    cdef TableRoot *table = <TableRoot *>arena.at(root)
    cdef uint32_t depth = table.depth - 1, deepest = 0
    cdef uint64_t *old = directory_words(arena, table)
    cdef uint64_t *new
    cdef uint64_t index, directory = arena.alloc_if_room(directory_size(depth))
    if directory == 0:
        return 0
    memset(arena.at(directory), 0, sizeof(TableGrave))
    new = <uint64_t *>(arena.at(directory) + sizeof(TableGrave))
    for index in range(<uint64_t>1 << depth):
        new[index] = old[2 * index]
        deepest += bucket_at(arena, word_bucket(new[index])).depth == depth
    arena.free(table.directory)
    return set_directory(arena, root, directory, depth, deepest)
