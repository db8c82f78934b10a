"""Waiters: requests that may block, from the moment they are sent until their reply: who waits, for how long, and which
workers know of it.

    begin      a request that may block is sent: it has a stamp, and its claim is WAITING (shardkv/claims.pxd). It is an
               awaited request (client.pxd) like others
    blocked    its worker found nothing, and remembers it (REPLY_BLOCKED). What is needed of its frame is copied, and
               each other shard that has one of its keys is told by `@wait`; when all have it, it counts as blocked
    settle     its reply has come, from the worker that had the claim, or from the first try
    … or it ends here, by a claim of our own: its time is over, CLIENT UNBLOCK, its client is closed

Whoever of the workers knows of it and has not ended it is told `@unwait`.

Invariants
 1. client.stamp is that of its last request, if that may block and has no reply yet, else 0. client.waiter is its
    Waiter while `waiting` is WAIT_BLOCKED, else NULL.
 2. What ends a wait has taken its claim. A worker's claim means that its reply is coming: a client that is closed
    meanwhile is sent what it can no longer take, as an element that was popped for it would be.
 3. A worker whose waiting_epoch is another than `epochs` says knows of nobody: it is told of everybody again. `add` of
    workers/waiters.pxd makes it harmless to be told twice.
 4. `heap` has the waiters with a deadline, the earliest first. One timer, set for no later than that.
 5. Who is not blocked yet (its first try is under way) has no deadline, and can only be ended by its reply.
 6. One that waits for nothing but its time (WAIT) is `postponed`: its reply was made when it came.
"""
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t, uint8_t

from shardkv.acceptor.client cimport Client, Hub
from shardkv.acceptor.client_table cimport ClientTable
from shardkv.acceptor.requests cimport Requests
from shardkv.claims cimport Claims
from shardkv.ring cimport Blocked
from shardkv.stats cimport ControlPage

cdef struct Waiter:
    Client *client
    Waiter *before            # of those that are blocked
    Waiter *behind
    uint64_t sequence
    uint64_t stamp
    uint64_t hash             # of the first key
    int64_t deadline_us       # monotonic; 0: none
    uint64_t bytes            # of lengths and arguments
    uint32_t heap_place       # counted from 1; 0: not in it
    uint32_t missing          # shards that have not said that they have it
    uint32_t first            # argument that is the first key …
    uint32_t keys             # … and how many there are
    uint32_t argc
    uint16_t kind             # WaitKind
    uint16_t command
    uint16_t database
    uint8_t resp
    uint8_t flags             # NO_TOUCH
    bint counted              # as blocked: all workers have it
    bint postponed            # it waits for no key but its time; then its reply is what follows, `bytes` long
    # then u32 lengths[argc], the arguments back to back

cdef inline bint is_blocked(const Client *client) noexcept nogil:
    """For everybody to see: all workers that can end its wait know of it."""
    return client.waiter != NULL and (<const Waiter *>client.waiter).counted

cdef class Waiters:
    cdef Hub *hub
    cdef ControlPage page
    cdef ClientTable clients
    cdef Requests requests
    cdef Claims claims
    cdef object arm           # is given milliseconds from now on, and calls `expire` then
    cdef uint64_t *epochs     # by worker
    cdef uint32_t workers
    cdef Waiter *first        # blocked, in the order in which they became so
    cdef Waiter *last
    cdef uint32_t count       # of them
    cdef Waiter **heap
    cdef uint32_t heap_count
    cdef uint32_t heap_room
    cdef int64_t armed_us     # 0: no timer is set

    # The request in the client's frame is about to be sent. False: there is no room to wait.
    cdef bint begin(self, Client *client)
    cdef void forget(self, Client *client)                            # … it was not sent
    # Has a reply wait for so long (WAIT); False: there is no room.
    cdef bint postpone(self, Client *client, uint64_t sequence, int64_t timeout_ms, bytes reply)
    cdef int blocked(self, Client *client, uint32_t worker, const char *body, uint64_t length) except -1
    # A reply has come: whether it is the one.
    cdef bint settle(self, Client *client, uint64_t sequence, uint32_t worker)
    cdef bint unblock(self, Client *client, bint with_error)          # whether it was blocked
    cdef void drop(self, Client *client)                              # which is being closed
    cdef void look(self)                                              # in each turn: for workers that took over
    cdef Waiter *_new(self, uint32_t argc, uint64_t bytes) noexcept nogil
    cdef Waiter *_copied(self, Client *client, const Blocked *told, uint64_t length) except NULL
    cdef uint32_t _shard_of(self, Waiter *waiter, uint32_t key) noexcept
    cdef list _shards(self, Waiter *waiter)
    cdef int _tell(self, Waiter *waiter, uint32_t shard) except -1
    cdef int _untell(self, Waiter *waiter, uint32_t shard) except -1
    cdef int _post(self, uint32_t worker, Waiter *waiter, list words) except -1
    cdef void _enlist(self, Waiter *waiter, uint64_t timeout_ms)
    cdef void _show(self, Waiter *waiter) noexcept
    cdef bint _take(self, Client *client) noexcept
    cdef void _end(self, Waiter *waiter, int told)
    cdef void _end_with(self, Waiter *waiter, bytes reply)
    cdef void _set_timer(self)
    cdef bint _heap_add(self, Waiter *waiter) noexcept
    cdef void _heap_remove(self, Waiter *waiter) noexcept
    cdef void _sift(self, uint32_t place) noexcept
