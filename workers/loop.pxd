"""The worker's loop: take requests from the rings, execute, commit, publish.

For each request (workers/execution.pxd), in this order:
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
 3. A full reply ring stops only its own acceptor's requests. The loop never waits for a client or an acceptor.
 4. It blocks as shardkv/sleep.pxd says, and looks for a moment first, while that pays (shardkv/polling.pxd).
 5. It listens to the supervisor in every tick, also when it never blocks.
 6. Requests and the worker's own work are executed while it holds its arena's lock, and only then. A ring whose next
    record is a marker, or a leased request whose turn has not come, waits by itself (workers/leases.pxd).

What happens to a ring after a death is in recovery.pxd, the worker's own work in housekeeping.pxd.
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t
from shardkv.polling cimport Polling
from shardkv.ring cimport RequestRecord, RingPair
from workers.execution cimport Execution
from workers.housekeeping cimport Housekeeping
from workers.serving cimport Serving

cdef enum Turn:
    HAS_TO_WAIT
    HAS_ITS_TURN
    SENT_AGAIN

cdef class Worker(Execution):
    cdef readonly int acceptors
    cdef readonly dict settings         # directive -> text, those that matter to workers
    cdef readonly Housekeeping housekeeping
    cdef Serving serving
    cdef list pairs                     # RingPair of each acceptor
    cdef list wake                      # eventfd of each acceptor
    cdef int wake_fd                    # ours
    cdef int epoll                      # of wake_fd and the control channel
    cdef object channel
    cdef readonly object log
    cdef dict names                     # of the commands, by id
    cdef uint64_t settings_version      # of the control page, as `settings` has them
    cdef int died                       # how the shard's last worker ended, as its supervisor saw it
    cdef int64_t now_ms
    cdef int64_t next_listen            # to the supervisor: ms of the monotonic clock
    cdef bint stopping
    cdef Polling polling

    cdef int take_over(self) except -1
    cdef int serve(self, int acceptor) except -1
    cdef bint pass_marker(self, RingPair pair, int acceptor, RequestRecord *record) except -1
    cdef Turn lease(self, RingPair pair, int acceptor, RequestRecord *record) except? HAS_TO_WAIT
    cdef int serve_piece(self, RingPair pair, int acceptor) except -1
    cdef int deliver(self) except -1
    cdef bint _may_deliver(self, int acceptor) noexcept
    cdef int publish(self, RingPair pair, int acceptor) except -1
    cdef int sleep(self) except -1
    cdef int _watch(self, int fd, uint32_t events) except -1
    cdef int _set_clock(self) except -1
    cdef bint _look(self) except -1
    cdef bint _has_requests(self) except -1
    cdef uint64_t _waits_for(self, int acceptor) except? 0xFF
    cdef uint64_t _record_waits_for(self, int acceptor) except? 0xFF
    cdef bint _may_sleep(self) except -1
    cdef int _listen(self) except -1
