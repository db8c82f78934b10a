"""MULTI, EXEC, DISCARD, WATCH, UNWATCH: a queue is filled, EXEC sent to the shards that it needs, its reply completed.

EXEC is one request (shardkv/transaction.pxd). With keys of one shard it is like any other, and what its client has sent
behind it is routed at once; with keys of several it is leased (division.pxd), and awaited.

Commands that the acceptor runs itself are not in it. They are run when its reply is here, if it is an array: one after
the other, as often as the event loop needs to with others served between them, their replies put into their places by a
Weaver. Those that say how the commands behind them are to be understood (SELECT, HELLO, CLIENT NO-TOUCH) are foreseen
when they are queued: Multi.database, .resp and .no_touch.

WATCH is split, and awaited: what the workers tell of the keys is kept with the client.

Invariants
 1. A command is refused, queued, or run at once: the router's checks are made when it comes. One that is refused behind
    MULTI fails the queue, whose EXEC answers EXECABORT.
 2. What is queued and watched is forgotten with EXEC's reply, whichever it is, except that it was to be sent again.
 3. client.weaver is set from the reply's arrival until the last local command has replied. Its client waits meanwhile:
    LOCAL for a handler, TRANSACTION for its turn. It owns a reference to the queue, as the client may be closed.
"""
from libc.stdint cimport uint64_t

from shardkv.acceptor.client cimport Client, Hub
from shardkv.acceptor.division cimport Division
from shardkv.acceptor.multi cimport LocalStep, Multi
from shardkv.acceptor.output cimport Payload
from shardkv.acceptor.requests cimport Requests
from shardkv.acceptor.specs cimport CommandTable, Spec
from shardkv.segment cimport Segment
from shardkv.stats cimport CommandBlock

cdef class Weaver:
    """An EXEC's reply in the making: elements that came from a worker, and those of local commands between them."""
    cdef Multi *multi
    cdef Payload given        # the worker's reply, …
    cdef const char *cursor   # … its next element
    cdef Payload made
    cdef uint64_t room
    cdef uint64_t place       # elements behind us
    cdef uint64_t local       # local commands behind us
    # CLIENT REPLY, as a command of the transaction may change it
    cdef bint off
    cdef bint skipping        # until the end of this EXEC
    cdef bint skip_next       # … and the one behind it
    cdef int begin(self, Client *client, Payload *given) except -1       # takes the payload
    cdef int copy_to(self, uint64_t place) except -1                     # the elements before it
    cdef int add(self, const char *data, uint64_t length) except -1
    cdef list arguments(self, const LocalStep *step)

cdef class Transactions:
    cdef Hub *hub
    cdef CommandTable table
    cdef CommandBlock *stats
    cdef Division division
    cdef Requests requests
    cdef object calls         # shardkv.acceptor.calls.LocalCalls

    cdef bint run(self, Client *client, Spec *spec)          # one of the five; False: it has to wait
    cdef bint queue(self, Client *client, Spec *spec)
    cdef bint send_exec(self, Client *client, Spec *spec)
    # The reply to an EXEC or a WATCH that was awaited; takes it.
    cdef int finish(self, Client *client, Spec *spec, Payload *reply) except -1
    cdef int weave(self, Client *client) except -1           # goes on with client.weaver
    cdef int take_local(self, Client *client, bytes reply) except -1     # … whose handler ran asynchronously
    cdef void drop_weaver(self, Client *client)

    cdef bint _open(self, Client *client) except -1
    cdef bint _begin(self, Client *client, Spec *spec)
    cdef bint _exec(self, Client *client, Spec *spec)
    cdef bint _queue_step(self, Client *client, Spec *spec) except -1
    cdef bint _queue_local(self, Client *client, Spec *spec) except -1
    cdef bint _answer(self, Client *client, Spec *spec, bytes reply)
    cdef Segment _make_segment(self, Client *client, Spec *spec)
    cdef int _begin_weaving(self, Client *client, Payload *given) except -1
    cdef int _run_local(self, Client *client, Weaver weaver) except -1
    cdef int _add_local(self, Client *client, Weaver weaver, bytes reply) except -1
    cdef int _end_weaving(self, Client *client, Weaver weaver) except -1
    cdef int _watch(self, Client *client, Payload *reply) except -1
