"""Table: an extendible hash table in the arena. It grows a segment at a time, never all at once.

A table is a 32-byte TableRoot anywhere in reachable memory. Its directory has 2^depth words, indexed by the hash's top `depth` bits; each names a segment.
A segment:
    u32 slots, u32 used, u32 depth (its own), u32 expiring, i64 earliest (lower bound of its entries' expiry, INT64_MAX if none), then u64 slot[slots + SPILL]
A slot is 0 (empty) or   tag 26 bits | expiring 1 bit | entry offset >> 3, 37 bits   (high to low). The tag is hash bits 0..25; an entry's home slot
is tag * slots >> 26. Collisions go to the following slots, without wrap: SPILL extra slots at the end take the overflow; deletion shifts back.
Segments grow in steps of about 1.25 from 8 to 1024 slots, then split in two by the next hash bit; so the load stays between 0.68 and 0.85.

Invariants
 1. An entry with home h lies at the first slots >= h that were free: no empty slot between its home and its place.
 2. Segments cover ranges of the hash's top bits; the order (top bits, tag) is stable however the table grows. A SCAN cursor is a place in that order.
 3. Growing writes new segments and swaps directory words: one segment a command, at most 1024 entries are rehashed.
 4. `earliest` is never later than the earliest expiry in the segment.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from workers.memory.arena cimport Arena

cdef struct TableRoot:
    uint64_t directory      # offset of the directory's block; 0 = an empty table that has no memory yet
    uint32_t depth
    uint32_t _pad
    uint64_t count          # entries
    uint64_t expiring       # entries with an expiry

cdef struct Place:
    # Where an entry was found, for replace and remove without another search. Dead after any other change to the table.
    uint64_t entry          # 0 = not found
    uint64_t segment
    uint64_t slot           # offset of the slot's word in the arena

ctypedef int (*visit_entry)(void *context, uint64_t entry) except -1

cdef Place table_find(Arena arena, uint64_t root, uint64_t hash, const char *key, uint64_t key_length) noexcept
cdef int table_insert(Arena arena, uint64_t root, uint64_t hash, uint64_t entry, int64_t expiry) except -1   # the key must not be there
cdef int table_replace(Arena arena, uint64_t root, Place *place, uint64_t entry, int64_t expiry, int64_t old_expiry) except -1  # same key, other entry or expiry (-1 none)
cdef int table_remove(Arena arena, uint64_t root, Place *place, int64_t old_expiry) except -1                # does not free the entry
cdef uint64_t table_scan(Arena arena, uint64_t root, uint64_t cursor, visit_entry visit, void *context) except? 0xFFFFFFFFFFFFFFFF  # one cluster; 0 = done; 48-bit cursors
cdef int table_random(Arena arena, uint64_t root, uint64_t seed, uint64_t *entry) except -1
# Takes entries whose expiry is <= now in segments from `cursor` on, at most `budget` segments looked at; visit removes them. Answers the next cursor (0 = wrapped).
cdef uint64_t table_expired(Arena arena, uint64_t root, uint64_t cursor, int64_t now, int budget, visit_entry visit, void *context) except? 0xFFFFFFFFFFFFFFFF
# Frees the directory and segments of an unlinked table step by step, entries through visit; answers 1 when all is gone. For lazy freeing: FLUSHALL, UNLINK.
cdef int table_dismantle(Arena arena, uint64_t root, int budget, visit_entry visit, void *context) except -1
