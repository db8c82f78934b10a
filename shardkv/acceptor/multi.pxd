"""What a client has queued behind MULTI and what it watches, as bytes: a queued command makes no Python object.

    steps[n]       the commands that workers execute, as they travel (shardkv/transaction.pxd); words: their arguments
    locals[l]      those that the acceptor runs itself, each with its place in the queue; local_words: their arguments
    watched[m]     what workers told of the keys watched; watched_words: the keys

Invariants
 1. words.lengths has the arguments' lengths in order, words.bytes the arguments back to back: both are copied into
    EXEC's record as they are. So with local_words and watched_words.
 2. count = n + l. A step's place is its number among the steps, plus the local ones before it.
 3. shards[w] is 1 for each shard that a step reaches, watched_shards[w] for each shard that has a key watched.
 4. Nothing is added to a queue that has failed: its EXEC is refused.
 5. A key is watched once in a database, as it was when it was first watched: `index` is a table of them by hash.
 6. Where False is returned there was no memory, and nothing has changed.
 7. It is freed with its last reference: the client's, and that of the Weaver of its EXEC (transactions.pxd).
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

from shardkv.acceptor.parser cimport Span
from shardkv.stats cimport Touches
from shardkv.transaction cimport ExecStep, Watched

cdef enum:
    WORDS_MAX = 0x40000000    # arguments in a queue: an EXEC counts its own in 32 bits
    STEPS_MAX = 0x4000000     # … and the bytes of each of them

cdef struct Words:
    uint32_t *lengths
    char *bytes
    uint64_t count
    uint64_t length           # of `bytes`
    uint64_t count_room
    uint64_t length_room

cdef struct LocalStep:
    uint64_t place            # commands before it in the queue
    uint64_t word             # its first in local_words, …
    uint64_t offset           # … and where that begins
    uint32_t argc
    uint16_t command

cdef struct WatchedPlace:
    uint64_t offset           # of the key in watched_words
    uint32_t number           # place in `watched` + 1; 0: free
    uint32_t shard

cdef struct Multi:
    uint32_t references
    bint open                 # between MULTI and EXEC or DISCARD
    bint failed               # a command was refused: EXEC will be too
    uint32_t flags            # SPEC_WRITE, SPEC_DENY_OOM: some command has them
    uint64_t count
    uint64_t charged          # bytes of arguments, as they count against client-query-buffer-limit
    ExecStep *steps
    uint64_t step_count
    uint64_t step_room
    Words words
    LocalStep *locals
    uint64_t local_count
    uint64_t local_room
    Words local_words
    Watched *watched
    uint64_t watched_count
    uint64_t watched_room
    Words watched_words
    WatchedPlace *index
    uint64_t index_room       # a power of two, or 0; at most half of it is used
    # The session as it will be behind the commands queued.
    uint16_t database
    uint8_t resp
    bint no_touch
    uint32_t workers
    uint8_t *shards
    uint8_t *watched_shards

cdef Multi *multi_new(uint32_t workers) noexcept nogil           # NULL: no memory
cdef void multi_release(Multi *multi) noexcept nogil             # one reference less
cdef void multi_clear(Multi *multi) noexcept nogil               # forgets the queue; keeps a little memory for the next
cdef void multi_unwatch(Multi *multi) noexcept nogil             # forgets the keys watched
cdef uint64_t multi_memory(const Multi *multi) noexcept nogil

# `spans` are places in `data`.
cdef bint multi_add_step(
    Multi *multi, const ExecStep *step, const char *data, const Span *spans
) noexcept nogil
cdef bint multi_add_local(
    Multi *multi, uint16_t command, const char *data, const Span *spans, uint32_t argc
) noexcept nogil
cdef bint multi_watch(
    Multi *multi, const Watched *told, const char *key, uint64_t length, uint32_t shard
) noexcept nogil
# Whether a key watched has been changed since, as far as can be told from here: `touches` has those of all shards.
cdef bint multi_is_touched(const Multi *multi, const Touches *touches) noexcept nogil
