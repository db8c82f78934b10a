"""The control page: what all processes of one instance may read about each other.

    page 0             ControlHeader
    two buffers        SETTINGS_BYTES each: a length (u64), then the settings that workers act on, as JSON
    then               one ProcessBlock for each process: supervisor, acceptors, workers
    after the blocks   one CommandBlock array (COMMANDS_MAX entries) for each acceptor and worker
    at the end         Touches of each shard

Invariants
 1. A block has one writer, its process (only the counter `restarts` is the supervisor's, and what tells of the data of
    a shard is stored by the worker that has it on lease), and CONFIG RESETSTAT changes
    nothing of that: each process starts its own counts over. Others only read, word by word, with relaxed loads.
    Counters are never exact across blocks. Of an acceptor that has been reaped the writer is gone: before the next one
    is forked the supervisor sets what it had of clients to zero, so that they do not count against maxclients.
 2. `sleeping` follows the protocol of shardkv/sleep.pxd.
 3. Words of ControlHeader are set by the supervisor before any child starts, except those marked atomic.
 4. Nothing here but Touches is needed to serve correct data: a lost update costs a statistic, never a reply.
 5. The supervisor alone publishes settings, in the order in which it takes changes and before it confirms one: it fills
    buffer (settings_version + 1) & 1, behind a fence, then stores the version with release. A worker that sees another
    version than it has takes the buffer of that version, and again if the version moved meanwhile: it never waits for a
    writer. So all workers, and whoever succeeds one, have the newest, whatever dies before it is told.
 6. `turned_ms` is stored by its worker in each turn of its loop, which sleeps no longer than a tick: a worker whose
    word stays the same for a second hangs, is stopped, or executes something long.
 7. Touches tell who watches a key (WATCH) whether it changed. Whoever executes on a shard, its own worker or one that
    has it on lease, raises the key's word for each change before the transaction commits, so who reads it under the
    same lock as the key sees both or neither. Words only grow, also when the change is undone and whoever dies: keys
    that share a word, and changes that were undone, abort a transaction for nothing, and nothing worse.
"""
from libc.stdint cimport uint32_t, uint64_t, uint8_t

cdef enum:
    COMMANDS_MAX = 640      # ids in the command table, subcommands included
    SETTINGS_BYTES = 4096
    HISTOGRAM_BUCKETS = 64  # two per power of two of ticks
    COUNTERS_MAX = 64
    TOUCH_SLOTS = 4096      # of a shard: its keys share so many words
    STIRRED_MAX = 64        # keys that are told one by one
    EPOCHS = 16             # of a shard: its databases share so many words

# Counters of a ProcessBlock. The names are in stats.pyx (COUNTER_NAMES) in the same order.
cdef enum Counter:
    CONNECTIONS_RECEIVED, REJECTED_CONNECTIONS, CONNECTED_CLIENTS, BLOCKED_CLIENTS, COMMANDS_PROCESSED
    NET_INPUT_BYTES, NET_OUTPUT_BYTES, EXPIRED_KEYS, EVICTED_KEYS, KEYSPACE_HITS, KEYSPACE_MISSES
    ERROR_REPLIES, QUERY_BUFFER_DISCONNECTS, OUTPUT_BUFFER_DISCONNECTS, LARGEST_INPUT, LARGEST_OUTPUT, CLIENT_MEMORY
    USED_MEMORY, PEAK_MEMORY, ARENA_BYTES, KEYS, EXPIRES, PID, RESTARTS, STARTED_MS, ACTIVE_EXPIRE_US,
    EXPIRE_CYCLES_CUT, LAZYFREE_PENDING, LAZYFREED_OBJECTS
    WAKE_UPS, ROLLBACKS, RECOVERED_REPLIES, EXPIRED_STALE_PERC, CPU_USER_US, CPU_SYS_US
    TOTAL_ACTIVE_EXPIRE_SAMPLES, CHANGES, EXPIRED_SUBKEYS, PAUSED_WORK, SUBEXPIRY
    WATCHING_CLIENTS, WATCHED_KEYS, LEASED_REQUESTS, REQUESTS_AGAIN
    CLIENTS_IN_TIMEOUT_TABLE, BLOCKING_KEYS, BLOCKING_KEYS_ON_NOKEY, ARENA_ROOM

cdef struct ControlHeader:
    uint64_t magic
    uint64_t version
    uint64_t acceptors
    uint64_t workers
    uint64_t started_ms          # unix time of the supervisor's start
    uint64_t next_client_id      # atomic
    uint64_t maxmemory           # atomic: bytes; 0 = no limit; the supervisor's
    uint64_t ticks_per_ms        # of atomic.h ticks()
    uint64_t settings_version    # atomic: how often settings were published
    uint64_t expiry_off          # atomic: 1 after DEBUG SET-ACTIVE-EXPIRE 0
    uint64_t last_stamp          # atomic: of the requests that may block (shardkv/claims.pxd)

cdef struct ProcessBlock:
    uint64_t sleeping            # for what its process may be blocked (shardkv/sleep.pxd)
    uint8_t _line[56]
    uint64_t counters[COUNTERS_MAX]
    uint64_t database_keys[16]   # worker: keys of each database (first 16)
    uint64_t database_expires[16]
    uint64_t database_ttl_sum[16]  # ms, estimate, for avg_ttl
    uint64_t turned_ms           # worker: unix time of its loop's last turn
    uint64_t waiting_epoch       # worker: of its memory of waiters (workers/waiters.pxd); one that takes over raises it
    # Worker, for each kind of its own work (workers/housekeeping.pxd):
    uint64_t work_deaths[2]      # weight of the deaths in it
    uint64_t work_resume_ms[2]   # monotonic time when it goes on after the last of them

cdef struct CommandBlock:
    uint64_t calls
    uint64_t ticks
    uint64_t rejected
    uint64_t failed
    uint32_t histogram[HISTOGRAM_BUCKETS]

cdef struct Touches:
    uint64_t keys[TOUCH_SLOTS]   # by touch_slot: how often keys have changed, times two; bit 0: one of them is awaited
    uint64_t epochs[EPOCHS]      # by database: how often it was emptied or swapped as a whole
    # What the owner has to look at first, when its arena was on lease (workers/memory/waits.pxd):
    uint64_t stirred             # atomic: 0 if nothing
    uint64_t stirred_databases   # as Databases.noted_databases
    uint64_t stirred_keys        # so many of these:
    uint64_t stirred_key[2 * STIRRED_MAX]    # database, hash

cdef inline uint64_t touch_slot(int database, uint64_t hash) noexcept nogil:
    return (hash + <uint64_t>database * <uint64_t>0x9E3779B97F4A7C15) >> 26 & (TOUCH_SLOTS - 1)

cdef class ControlPage:
    """The control page, mapped."""
    cdef ControlHeader *header
    cdef ProcessBlock *blocks
    cdef CommandBlock *commands
    cdef Touches *_touches
    cdef size_t _size
    cdef char *_settings(self, uint64_t version) noexcept
    cdef uint64_t memory_in_use(self) noexcept nogil
    cdef ProcessBlock *_block(self, str kind, int index) except NULL
    cdef ProcessBlock *acceptor(self, int index) noexcept
    cdef ProcessBlock *worker(self, int index) noexcept
    cdef CommandBlock *acceptor_commands(self, int index) noexcept
    cdef CommandBlock *worker_commands(self, int index) noexcept
    cdef Touches *touches(self, int worker) noexcept

cdef void count_call(CommandBlock *block, uint64_t elapsed_ticks, bint failed) noexcept nogil
