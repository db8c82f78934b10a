"""From a parsed request to what is done with it: looks its command up, checks it in Redis's order, runs it here or
sends it on to its workers.

Checks, first failure is the reply: unknown command or subcommand, arity, authentication, memory limit (commands that
split; a worker checks its own; all that is queued behind MULTI), CLIENT PAUSE. What is refused behind MULTI fails the
queue; an EXEC that is refused forgets it, and says EXECABORT.

Invariants
 1. A request is refused, run, or sent on as a whole; or `route` returns False, nothing has happened, and the client
    waits with it (client.waiting tells for what).
 2. What a browser was made to send is not executed: a line of an HTTP request is taken for one whoever sends it, before
    authentication too. The client is closed without a reply, and nothing behind that line is run.
"""
from libc.stdint cimport int64_t, uint64_t

from shardkv.acceptor.client cimport Client, Hub
from shardkv.acceptor.division cimport Division
from shardkv.acceptor.specs cimport CommandTable, Spec
from shardkv.acceptor.transactions cimport Transactions
from shardkv.stats cimport CommandBlock, ControlPage

cdef class Router:
    cdef Hub *hub
    cdef CommandTable table
    cdef ControlPage page
    cdef CommandBlock *stats
    cdef Division division
    cdef Transactions transactions
    cdef object calls         # shardkv.acceptor.calls.LocalCalls

    cdef bint route(self, Client *client)
    # The awaited request: it is sent again; or goes on, if its reply is here (client.waiting tells whether it is done).
    cdef bint send_again(self, Client *client)
    cdef int finish(self, Client *client) except -1
    # The reply of a local command, whose handler ran asynchronously.
    cdef int finish_local(self, Client *client, uint64_t sequence, bytes reply) except -1

    cdef Spec *_check(self, Client *client)
    cdef bint _over_memory(self, Client *client, Spec *spec) noexcept nogil
    cdef bint _is_paused(self, Client *client, Spec *spec) noexcept nogil
    cdef Spec *_reject(self, Client *client, Spec *spec, str text)
    cdef Spec *_unknown_command(self, Client *client)
    cdef str _unknown_text(self, Client *client, Spec *container)
    cdef bint _run_local(self, Client *client, Spec *spec)
    cdef bint _postpone(self, Client *client, uint64_t sequence, int64_t timeout_ms, bytes reply)
    cdef void _mind_reply_mode(self, Client *client, uint64_t sequence)
    cdef bint _ping(self, Client *client, Spec *spec, uint64_t started)
