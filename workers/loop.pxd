"""The worker's loop: take requests from the rings, execute, commit, publish.

For each request, in this order:
    1. the handler runs; its changes are journalled, its reply is written behind the reply ring's published tail
    2. the reply record is complete (or its segment is)
    3. arena.commit: the committing store, header.commit[a] = end position of the request
For each batch of requests of one ring:
    4. reply.publishing_tail, then reply.publishing_position (what 5 is about to publish)
    5. the reply ring's tail
    6. the request ring's head

Invariants
 1. A request whose end is at or before header.commit[a] is never executed again; its reply record lies in the reply
    ring, published or not.
 2. Requests from the ring's head to the commit word, less those that 4 and 5 prove published, are exactly the records
    behind the published tail.
 3. Nothing is executed unless its reply fits: inline when short, in a segment when not. A reply that fits nowhere is
    rolled back to an error reply.
 4. A full reply ring stops only its own acceptor's requests. The loop never waits for a client or an acceptor.
 5. A request that has killed its worker ATTEMPTS_MAX times is answered with an error instead of being tried again.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from shardkv.ring cimport RequestRecord, Ring, RingPair
from shardkv.segment cimport Segment, SegmentStore
from shardkv.stats cimport CommandBlock, ControlPage, ProcessBlock
from workers.call cimport Call
from workers.memory.arena cimport Arena
from workers.memory.keyspace cimport Keyspace
from workers.registry cimport Handler

cdef class Worker:
    cdef readonly int index
    cdef readonly int acceptors
    cdef readonly dict settings         # directive -> text, those that matter to workers
    cdef readonly Arena arena
    cdef readonly Keyspace keyspace
    cdef readonly ControlPage page
    cdef public bint active_expire      # False only for DEBUG SET-ACTIVE-EXPIRE 0
    cdef Call call
    cdef list pairs                     # RingPair of each acceptor
    cdef list handlers                  # Handler by command id, or None
    cdef dict internal                  # Handler by name, of REQUEST_INTERNAL
    cdef list specs                     # Command by id
    cdef char *denies_oom               # by command id
    cdef list wake                      # eventfd of each acceptor
    cdef int wake_fd                    # ours
    cdef int epoll                      # of wake_fd and the control channel
    cdef object channel
    cdef SegmentStore segments
    cdef Segment request_segment         # of the request now executing, or None
    cdef ProcessBlock *block
    cdef CommandBlock *commands
    cdef int64_t now_ms
    cdef int64_t next_tick
    cdef uint64_t internal_commits
    cdef bint stopping
    cdef bint changed                   # the arena has, since the counters were told
    cdef uint64_t expired_before        # keyspace.expired before the request now executing

    cdef int _watch(self, int fd, uint32_t events) except -1

    cdef int serve(self, int acceptor) except -1
    cdef void look_ahead(self, Ring *ring, RequestRecord *record) noexcept
    cdef int execute(self, RingPair pair, int acceptor, RequestRecord *record) except -1
    cdef int respond(self, RingPair pair, int acceptor, RequestRecord *record, uint64_t position) except -1
    cdef int refuse(self, int acceptor, uint64_t position, str text) except -1
    cdef int run_handler(self, RequestRecord *record) except -1
    cdef int publish(self, RingPair pair, int acceptor) except -1
    cdef int recover(self, int acceptor) except -1
    cdef int background(self) except -1
    cdef int sleep(self) except -1
    cdef int _tell_time(self) except -1
    cdef int _tell_counters(self) except -1
    cdef int _tell_cpu(self) except -1
    cdef int _fail(self, text) except -1
    cdef bint _over_limit(self) noexcept
    cdef int _take_arguments(self, RequestRecord *record) except -1
    cdef Handler _handler(self, RequestRecord *record)
    cdef int _commit(self, RingPair pair, int acceptor, RequestRecord *record, uint64_t position, int answer) except -1
    cdef int _wake(self, int acceptor) except -1
    cdef int _drop_segment(self, RequestRecord *record) except -1
    cdef int _count_attempt(self, RingPair pair, int acceptor) except -1
    cdef int _give_up(self, RingPair pair, int acceptor, RequestRecord *record) except -1
    cdef int _slice(self, bint reap) except -1
    cdef int _expire(self) except -1
    cdef uint64_t _us_since(self, uint64_t started) noexcept
    cdef int _listen(self) except -1
