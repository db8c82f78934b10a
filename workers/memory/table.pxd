"""Table: an extendible hash table in the arena. It grows a bucket at a time, never all at once.

A table is a 32-byte TableRoot anywhere in reachable memory (the structs are in buckets.pxd). Its directory is a
block of a TableGrave, unused while the table is alive, and 2^depth words, indexed by the hash's top `depth` bits. A
word is

    slots of the bucket 24 bits | offset of the bucket 40 bits                          (high to low)

so that a lookup reads no header. A bucket is a BucketHeader, then u64 slot[slots + spill]. A slot is 0 (empty) or

    tag 26 bits | expiring 1 bit | entry offset >> 3, 37 bits                           (high to low)

The tag is hash bits 0..25; an entry's home slot is tag * slots >> 26. Slots in use are sorted by tag, each at its
home or as close behind it as the order allows, without wrap: the spill slots at the end take the overflow; insertion
and deletion shift their neighbours. So a miss ends as early as a hit.

Buckets grow in steps of 1.25 from 8 to about 1000 slots, then split in two by the next hash bit; so the load stays
between 0.6 and 0.85. Buckets with a load below 0.25 are laid out anew, two half-buckets with few entries become
one, and a table without entries has no memory.

Invariants
 1. In the slots of a bucket, those in use have ascending tags; none is before its home; no slot is empty between an
    entry's home and its place; the last one is empty.
 2. Buckets cover ranges of the hash's top bits, in the directory's order. A SCAN cursor is a place in the order
    (bucket's range, tag) with the depth of the bucket it was in. Splitting leaves what lies before a cursor before it
    (and what a scan has seen of the second half behind it, to be seen twice); merging is noticed by the depth, and the
    whole merged bucket is scanned again. So a scan misses no entry that was there from its start to its end.
 3. Growing writes new buckets and swaps directory words: one bucket an insertion, at most 1024 entries are moved.
    (Only if hashes collide by design in more than their top bits is it more: the directory never has more than a word
    for 64 entries, and buckets grow instead.)
 4. `earliest` is never later than the earliest expiry in the bucket.
 5. No two half-buckets that could be merged are left by a removal that leaves one of them empty; so the last entry's
    removal finds one bucket, and frees it. Where a full arena prevents it, the next removal makes up for it. (A table
    that was given room for many entries, whose hashes collide by design, may keep buckets as long as it is there.)
 6. Whoever knows the hashes' secret can make as many keys of one hash as they like. These are found one after the
    other, and keys with tags nearby are behind them: it costs time, linear in their number, at most 2^16 for keys at
    the end of a bucket (beyond it is OutOfMemory). Memory and directory stay linear in the table's entries.
    Whoever can scan a table needs no secret to make keys that have their top bits in common: the order shows them.
    Buckets of such keys grow instead of splitting, by the thousand; so nothing takes a bucket for small, each slot is
    within reach of table_random, and no loop ends only when chance has found enough entries.
 7. A table that is `fresh` (journal.pxd) was empty when it became so, and all of its memory comes from this
    transaction: insertions into it are not saved.
"""
from libc.stdint cimport int64_t, uint64_t
from workers.memory.arena cimport Arena

cdef struct Place:
    # Where an entry was found, for replace and remove without another search. Dead after any other change to the table.
    uint64_t entry          # 0 = not found
    uint64_t bucket
    uint64_t slot           # offset of the slot's word in the arena

ctypedef int (*visit_entry)(void *context, uint64_t entry) except -1

cdef Place table_find(Arena arena, uint64_t root, uint64_t hash, const char *key, uint64_t key_length) noexcept
# Asks for the cache line where a coming table_find starts; then, in a second round, for the entry it is likely to find,
# which it returns (0 = it will find none).
cdef void table_prefetch_slot(Arena arena, uint64_t root, uint64_t hash) noexcept
cdef uint64_t table_prefetch_entry(Arena arena, uint64_t root, uint64_t hash) noexcept
# Of an empty table whose root is in memory that this transaction has allocated: makes it the fresh one, and gives it
# room for about `count` entries, so that filling it moves hardly any.
cdef int table_make(Arena arena, uint64_t root, uint64_t count) except -1
# The key must not be there; fills `place`.
cdef int table_insert(Arena arena, uint64_t root, uint64_t hash, uint64_t entry, int64_t expiry, Place *place) except -1
# Same key, other entry or expiry (-1 none).
cdef int table_replace(
    Arena arena, uint64_t root, Place *place, uint64_t entry, int64_t expiry, int64_t old_expiry
) except -1
# Does not free the entry, which it may read.
cdef int table_remove(Arena arena, uint64_t root, Place *place, int64_t old_expiry) except -1
# A few entries; 0 = done; 48-bit cursors.
cdef uint64_t table_scan(
    Arena arena, uint64_t root, uint64_t cursor, visit_entry visit, void *context
) except? 0xFFFFFFFFFFFFFFFF
# An entry, each as likely as any other, unless hashes collide by design or there is hardly an entry in the buckets:
# then some are less likely, down to hardly ever. 0 = there is none.
cdef uint64_t table_random(Arena arena, uint64_t root, uint64_t seed) noexcept
# All entries; visit changes nothing, and ends the walk by returning other than 0, which table_each then returns too.
cdef int table_each(Arena arena, uint64_t root, visit_entry visit, void *context) except -1
# Takes entries whose expiry is <= now, in buckets from `cursor` on; visit removes them. `budget` goes down by one
# for each bucket looked at and each entry
# taken, and the walk ends when it is used up. Returns the next cursor (0 = wrapped). An entry that visit leaves, it
# passes to table_replace, which keeps `earliest` right.
cdef uint64_t table_expired(
    Arena arena, uint64_t root, uint64_t cursor, int64_t now, int *budget, visit_entry visit, void *context
) except? 0xFFFFFFFFFFFFFFFF
# Looks at up to `most` entries with an expiry, of one bucket that `seed` chooses; adds their expiries (unix ms) to
# `sum` and returns how many they were.
cdef uint64_t table_sample_expiry(Arena arena, uint64_t root, uint64_t seed, uint64_t most, double *sum) noexcept
# No entry in the buckets that table_expired goes through from `cursor` to `end` (0 = the last) expires before this;
# INT64_MAX if none does.
cdef int64_t table_earliest(Arena arena, uint64_t root, uint64_t cursor, uint64_t end) noexcept
# Makes the table at `root` empty at once; returns its directory's block, whose TableGrave keeps what table_dismantle
# needs, or 0 if it had no memory.
cdef uint64_t table_unlink(Arena arena, uint64_t root) except? 0xFFFFFFFFFFFFFFFF
# Frees an unlinked table step by step, `budget` entries at a time (at least 1), through visit; returns 1 when all is
# gone.
cdef int table_dismantle(Arena arena, uint64_t directory, int budget, visit_entry visit, void *context) except -1
# Entries moved by growth and shrinking in this process.
cdef uint64_t table_moved() noexcept
