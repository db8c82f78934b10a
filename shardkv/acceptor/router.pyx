"""From a parsed request to what is done with it: see router.pxd."""
from libc.stdint cimport UINT64_MAX, int64_t, uint32_t, uint64_t

from shardkv.acceptor.client cimport (
    PAUSE_ALL,
    REPLY_ON,
    REPLY_SKIP,
    REPLY_SKIPPING,
    WAIT_NOTHING,
    client_accept,
    client_answer,
    client_await_handler,
    client_await_unpause,
    client_forget_multi,
    client_mute,
    client_number_request,
    client_resume,
    client_take_reply,
    deliver,
    frame_argument,
    frame_arguments,
    frame_bytes,
)
from shardkv.acceptor.connection cimport connection_of
from shardkv.acceptor.output cimport Payload
from shardkv.acceptor.parser cimport Frame
from shardkv.acceptor.refusal cimport abort_http, error_reply, reject, reply_at_once
from shardkv.acceptor.specs cimport (
    ROUTE_KEYED,
    ROUTE_LOCAL,
    ROUTE_TRANSACTION,
    SPEC_AT_ONCE,
    SPEC_CONTAINER,
    SPEC_DENY_OOM,
    SPEC_LEAVES_MULTI,
    SPEC_LOADING,
    SPEC_NO_AUTH,
    SPEC_NO_MULTI,
    SPEC_PING,
    SPEC_WRITE,
    TRANSACTION_EXEC,
    TRANSACTION_NONE,
)
from shardkv.atomic cimport ticks
from shardkv.stats cimport count_call

from shardkv.errors import OUT_OF_MEMORY, wrong_arity

cdef enum:
    SHOWN_MAX = 128            # bytes of an unknown command that its error shows

HTTP_WORDS = (b"post", b"host:")
NOT_IN_MULTI = "ERR Command not allowed inside a transaction"
NO_AUTH = "NOAUTH Authentication required."
LOADING = "LOADING Redis is loading the dataset in memory"


cdef class Router:
    def __init__(
        self, table: CommandTable, page: ControlPage, int index, Division division, calls: object
    ) -> None:
        """Routes the requests of acceptor `index`. `calls` runs what it executes itself."""
        self.table, self.page, self.division, self.calls = table, page, division, calls
        self.transactions = Transactions(table, division, calls)
        self.stats = page.acceptor_commands(index)

    cdef bint route(self, Client *client):
        cdef Spec *spec = self._check(client)
        if spec == NULL:
            return client.waiting == WAIT_NOTHING
        if client.in_multi and not spec.flags & SPEC_AT_ONCE:
            return self.transactions.queue(client, spec)
        if spec.route == ROUTE_LOCAL:
            return self._run_local(client, spec)
        if spec.route == ROUTE_TRANSACTION:
            return self.transactions.run(client, spec)
        return self.division.send(client, spec)

    cdef bint send_again(self, Client *client):
        cdef Spec *spec = &self.table.specs[client.last_command]
        if spec.kind == TRANSACTION_EXEC:
            return self.transactions.send_exec(client, spec)
        return self.division.send(client, spec)

    cdef int finish(self, Client *client) except -1:
        cdef Spec *spec = &self.table.specs[client.last_command]
        cdef Payload reply
        if client.weaver != NULL:
            return self.transactions.weave(client)
        if not client_take_reply(client, &reply):
            return 0
        if spec.kind != TRANSACTION_NONE:
            return self.transactions.finish(client, spec, &reply)
        client_answer(self.hub, client, &reply)
        return 0

    # -- checks

    cdef Spec *_check(self, Client *client):
        cdef Frame *frame = &client.frame
        cdef const char *data = frame_bytes(client)
        cdef Spec *spec = self.table.find(data + frame.spans[0].offset, frame.spans[0].length)
        cdef Spec *container
        if spec == NULL:
            return self._unknown_command(client)
        if spec.flags & SPEC_CONTAINER and frame.argc > 1:
            container = spec
            spec = self.table.find_sub(container, data + frame.spans[1].offset, frame.spans[1].length)
            if spec == NULL:
                return self._reject(client, NULL, self._unknown_text(client, container))
        if <int64_t>frame.argc != spec.arity if spec.arity > 0 else <int64_t>frame.argc < -spec.arity:
            return self._reject(client, spec, wrong_arity(self.table.commands[spec.id].name))
        if self.hub.require_auth and not client.authenticated and not spec.flags & SPEC_NO_AUTH:
            return self._reject(client, spec, NO_AUTH)
        if client.in_multi and spec.flags & SPEC_NO_MULTI:
            return self._reject(client, spec, NOT_IN_MULTI)
        if self.page.header.maxmemory and self._over_memory(client, spec):
            return self._reject(client, spec, OUT_OF_MEMORY)
        if self.hub.loading and not spec.flags & SPEC_LOADING:
            return self._reject(client, spec, LOADING)
        if self.hub.paused and self._is_paused(client, spec):
            client_await_unpause(self.hub, client)
            return NULL
        client.last_command = spec.id
        return spec

    cdef bint _over_memory(self, Client *client, Spec *spec) noexcept nogil:
        cdef bint asks = spec.flags & SPEC_DENY_OOM and spec.route != ROUTE_KEYED
        if client.in_multi:
            asks = not spec.flags & SPEC_LEAVES_MULTI or (
                spec.kind == TRANSACTION_EXEC and client.multi.flags & SPEC_DENY_OOM
            )
        return asks and self.page.memory_in_use() > self.page.header.maxmemory

    cdef bint _is_paused(self, Client *client, Spec *spec) noexcept nogil:
        cdef bint writes = spec.flags & SPEC_WRITE != 0
        if spec.kind == TRANSACTION_EXEC and client.in_multi:
            writes = client.multi.flags & SPEC_WRITE != 0
        return self.hub.paused == PAUSE_ALL or writes

    cdef Spec *_reject(self, Client *client, Spec *spec, str text):
        if spec != NULL and spec.kind == TRANSACTION_EXEC:
            client_forget_multi(self.hub, client)
            text = f"EXECABORT Transaction discarded because of: {text.removeprefix('ERR ')}"
        elif client.in_multi:
            client.multi.failed = True
        reject(self.hub, client, &self.stats[spec.id] if spec != NULL else NULL, text)
        return NULL

    cdef Spec *_unknown_command(self, Client *client):
        if frame_argument(client, 0, SHOWN_MAX).lower() in HTTP_WORDS:
            abort_http(self.hub, client)
            return NULL
        return self._reject(client, NULL, self._unknown_text(client, NULL))

    cdef str _unknown_text(self, Client *client, Spec *container):
        cdef uint32_t index, shown_words = min(client.frame.argc, <uint32_t>SHOWN_MAX)
        words = [frame_argument(client, index, SHOWN_MAX).decode("latin-1") for index in range(shown_words)]
        if container != NULL:
            return f"ERR unknown subcommand '{words[1]}'. Try {words[0].upper()} HELP."
        shown = ""
        for word in words[1:]:
            if len(shown) >= SHOWN_MAX:
                break
            shown += f"'{word[:SHOWN_MAX - len(shown)]}' "
        return f"ERR unknown command '{words[0]}', with args beginning with: {shown}"

    # -- commands that the acceptor runs

    cdef bint _run_local(self, Client *client, Spec *spec):
        cdef uint64_t started = ticks()
        cdef uint64_t sequence
        if spec.flags & SPEC_PING and client.reply_mode == REPLY_ON:
            return self._ping(client, spec, started)
        sequence = client_number_request(self.hub, client)
        if client.reply_mode == REPLY_SKIP:
            client.reply_mode = REPLY_SKIPPING
        view = connection_of(self.hub, client)
        client_await_handler(client)
        view.wait_ms = -1
        reply = self.calls.call(spec.id, view, frame_arguments(client), sequence)
        if reply is not None and view.wait_ms >= 0 and self._postpone(client, sequence, view.wait_ms, reply):
            count_call(&self.stats[spec.id], ticks() - started, False)
        elif reply is not None:
            self.finish_local(client, sequence, reply)
            count_call(&self.stats[spec.id], ticks() - started, reply.startswith(b"-"))
        else:
            count_call(&self.stats[spec.id], ticks() - started, False)
        return True

    cdef bint _postpone(self, Client *client, uint64_t sequence, int64_t timeout_ms, bytes reply):
        """Has a reply wait; False: it does not."""
        if not self.division.waiters.postpone(client, sequence, timeout_ms, reply):
            return False
        self._mind_reply_mode(client, sequence)
        return True

    cdef void _mind_reply_mode(self, Client *client, uint64_t sequence):
        if client.reply_mode != REPLY_ON:
            client_mute(self.hub, client, sequence)
        if client.reply_mode == REPLY_SKIPPING:
            client.reply_mode = REPLY_ON

    cdef int finish_local(self, Client *client, uint64_t sequence, bytes reply) except -1:
        cdef const char *data = reply
        if client.weaver != NULL:
            return self.transactions.take_local(client, reply)
        client_resume(self.hub, client)
        self._mind_reply_mode(client, sequence)
        deliver(self.hub, client, sequence, data, len(reply))
        return 0

    cdef bint _ping(self, Client *client, Spec *spec, uint64_t started):
        if client.frame.argc == 1:
            deliver(self.hub, client, client_accept(self.hub, client), b"+PONG\r\n", 7)
        elif client.frame.argc == 2:
            message = frame_argument(client, 1, UINT64_MAX)
            reply_at_once(self.hub, client, b"$%d\r\n%b\r\n" % (len(message), message))
        else:
            reply_at_once(self.hub, client, error_reply(wrong_arity("ping")))
        count_call(&self.stats[spec.id], ticks() - started, client.frame.argc > 2)
        return True
