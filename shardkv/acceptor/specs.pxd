"""The command table as the router reads it: C structs, found by name.

Invariants
 1. specs[id] is the command with that id; it never changes after the table is made.
 2. buckets is an open-addressed table of ids + 1, at most half full; 0 is a free place.
"""
from libc.stdint cimport int32_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef enum:
    NAME_MAX = 48             # bytes, `container|sub`
    BUCKETS = 2048

cdef enum SpecFlag:
    SPEC_WRITE = 1
    SPEC_DENY_OOM = 2
    SPEC_NO_AUTH = 4
    SPEC_CONTAINER = 8        # argument 1 is a subcommand
    SPEC_SLOW_KEYS = 16       # where its keys are only shardkv.commands.keys can tell
    SPEC_PING = 32
    SPEC_TOUCH = 64           # sets the access clock whatever CLIENT NO-TOUCH says
    SPEC_SUBCOMMAND = 128     # found through its container only
    SPEC_LOADING = 256        # allowed before every shard is served
    SPEC_NO_MULTI = 512       # refused behind MULTI
    SPEC_AT_ONCE = 1024       # … not queued there
    SPEC_LEAVES_MULTI = 2048  # … and allowed without memory: it can only end the queue
    SPEC_AWAITED = 4096       # its client waits for its reply before its next request is looked at
    SPEC_MAY_BLOCK = 8192     # … if it has the word BLOCK
    SPEC_ATOMIC = 16384       # splits, but not its effects: one that needs several shards leases them
    SPEC_SESSION = 32768      # run here; changes what the commands behind it mean (registry.py, `effect`)
    SPEC_BLOCKING = 65536     # may wait for its keys

cdef enum RouteKind:          # values of shardkv.commands.spec.Route
    ROUTE_LOCAL = 0
    ROUTE_KEYED = 1
    ROUTE_SPLIT = 2
    ROUTE_ALL = 3
    ROUTE_CURSOR = 4
    ROUTE_TRANSACTION = 5

cdef enum TransactionKind:    # commands of ROUTE_TRANSACTION
    TRANSACTION_NONE
    TRANSACTION_MULTI
    TRANSACTION_EXEC
    TRANSACTION_DISCARD
    TRANSACTION_WATCH
    TRANSACTION_UNWATCH

cdef struct Spec:
    uint16_t id
    uint8_t route
    uint8_t join
    uint8_t kind              # TransactionKind
    uint32_t flags
    int32_t arity
    int32_t first             # key positions: from first to last (negative: from the end) by step; first 0: no keys
    int32_t last
    int32_t step
    uint32_t split_step
    uint32_t name_length
    char name[NAME_MAX]

cdef class CommandTable:
    cdef Spec *specs
    cdef uint32_t count
    cdef uint16_t buckets[BUCKETS]
    cdef readonly tuple commands
    cdef Spec *find(self, const char *name, uint64_t length) noexcept nogil                      # any case; NULL: none
    cdef Spec *find_sub(self, Spec *container, const char *name, uint64_t length) noexcept nogil
    cdef Spec *_find_lower(self, const char *name, uint32_t length) noexcept nogil
