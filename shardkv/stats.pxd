"""The control page: what all processes of one instance may read about each other.

    page 0             ControlHeader, then one ProcessBlock for each process: supervisor, acceptors, workers
    after the blocks   one CommandBlock array (COMMANDS_MAX entries) for each acceptor and worker

Invariants
 1. A block has one writer, its process; others only read, word by word, with relaxed loads. Counters are never exact
    across blocks.
 2. `sleeping` follows the protocol of shardkv/sleep.pxd.
 3. Words of ControlHeader are set by the supervisor before any child starts, except those marked atomic.
 4. Nothing here is needed to serve correct data: a lost update costs a statistic, never a reply.
"""
from libc.stdint cimport uint32_t, uint64_t, uint8_t

cdef enum:
    COMMANDS_MAX = 640      # ids in the command table, subcommands included
    HISTOGRAM_BUCKETS = 64  # two per power of two of ticks
    COUNTERS_MAX = 64

# Counters of a ProcessBlock. The names are in stats.pyx (COUNTER_NAMES) in the same order.
cdef enum Counter:
    CONNECTIONS_RECEIVED, REJECTED_CONNECTIONS, CONNECTED_CLIENTS, BLOCKED_CLIENTS, COMMANDS_PROCESSED
    NET_INPUT_BYTES, NET_OUTPUT_BYTES, EXPIRED_KEYS, EVICTED_KEYS, KEYSPACE_HITS, KEYSPACE_MISSES
    ERROR_REPLIES, QUERY_BUFFER_DISCONNECTS, OUTPUT_BUFFER_DISCONNECTS, LARGEST_INPUT, LARGEST_OUTPUT, CLIENT_MEMORY
    USED_MEMORY, PEAK_MEMORY, ARENA_BYTES, KEYS, EXPIRES, PID, RESTARTS, STARTED_MS, ACTIVE_EXPIRE_US,
    EXPIRE_CYCLES_CUT, LAZYFREE_PENDING, LAZYFREED_OBJECTS
    WAKE_UPS, ROLLBACKS, RECOVERED_REPLIES, EXPIRED_STALE_PERC, CPU_USER_US, CPU_SYS_US
    TOTAL_ACTIVE_EXPIRE_SAMPLES, CHANGES, EXPIRED_SUBKEYS, PAUSED_WORK

cdef struct ControlHeader:
    uint64_t magic
    uint64_t version
    uint64_t acceptors
    uint64_t workers
    uint64_t started_ms          # unix time of the supervisor's start
    uint64_t next_client_id      # atomic
    uint64_t maxmemory           # bytes; 0 = no limit; set by whoever handles CONFIG SET (relaxed)
    uint64_t ticks_per_ms        # of atomic.h ticks()

cdef struct ProcessBlock:
    uint64_t sleeping            # for what its process may be blocked (shardkv/sleep.pxd)
    uint8_t _line[56]
    uint64_t counters[COUNTERS_MAX]
    uint64_t database_keys[16]   # worker: keys of each database (first 16)
    uint64_t database_expires[16]
    uint64_t database_ttl_sum[16]  # ms, estimate, for avg_ttl
    uint64_t database_subexpiry[16]  # worker: hashes with expiring fields
    # Worker, for each kind of its own work (workers/housekeeping.pxd):
    uint64_t work_deaths[2]      # weight of the deaths in it
    uint64_t work_resume_ms[2]   # unix time when it goes on after the last of them

cdef struct CommandBlock:
    uint64_t calls
    uint64_t ticks
    uint64_t rejected
    uint64_t failed
    uint32_t histogram[HISTOGRAM_BUCKETS]

cdef class ControlPage:
    """The control page, mapped."""
    cdef ControlHeader *header
    cdef ProcessBlock *blocks
    cdef CommandBlock *commands
    cdef size_t _size
    cdef uint64_t memory_in_use(self) noexcept nogil
    cdef ProcessBlock *_block(self, str kind, int index) except NULL
    cdef ProcessBlock *acceptor(self, int index) noexcept
    cdef ProcessBlock *worker(self, int index) noexcept
    cdef CommandBlock *acceptor_commands(self, int index) noexcept
    cdef CommandBlock *worker_commands(self, int index) noexcept

cdef void count_call(CommandBlock *block, uint64_t elapsed_ticks, bint failed) noexcept nogil
