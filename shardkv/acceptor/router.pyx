"""From a parsed request to what is done with it: see router.pxd."""
from libc.stdint cimport UINT64_MAX, int64_t, uint32_t, uint64_t

from shardkv.acceptor.client cimport (
    PAUSE_ALL,
    REPLY_ON,
    REPLY_SKIP,
    REPLY_SKIPPING,
    WAIT_NOTHING,
    client_accept,
    client_await_handler,
    client_await_unpause,
    client_mute,
    client_number_request,
    client_resume,
    deliver,
    frame_argument,
    frame_arguments,
    frame_bytes,
)
from shardkv.acceptor.connection cimport connection_of
from shardkv.acceptor.parser cimport Frame
from shardkv.acceptor.refusal cimport abort_http, error_reply, reject, reply_at_once
from shardkv.acceptor.specs cimport (
    ROUTE_KEYED,
    ROUTE_LOCAL,
    SPEC_CONTAINER,
    SPEC_DENY_OOM,
    SPEC_LOADING,
    SPEC_NO_AUTH,
    SPEC_PING,
    SPEC_WRITE,
)
from shardkv.atomic cimport ticks
from shardkv.stats cimport count_call

from shardkv.errors import OUT_OF_MEMORY, wrong_arity

cdef enum:
    SHOWN_MAX = 128            # bytes of an unknown command that its error shows

HTTP_WORDS = (b"post", b"host:")
NO_AUTH = "NOAUTH Authentication required."
LOADING = "LOADING Redis is loading the dataset in memory"


cdef class Router:
    def __init__(
        self, table: CommandTable, page: ControlPage, int index, Division division, calls: object
    ) -> None:
        """Routes the requests of acceptor `index`. `calls` runs what it executes itself."""
        self.table, self.page, self.division, self.calls = table, page, division, calls
        self.stats = page.acceptor_commands(index)

    cdef bint route(self, Client *client):
        cdef Spec *spec = self._check(client)
        if spec == NULL:
            return client.waiting == WAIT_NOTHING
        if spec.route == ROUTE_LOCAL:
            return self._run_local(client, spec)
        return self.division.send(client, spec)

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
        if spec.flags & SPEC_DENY_OOM and spec.route != ROUTE_KEYED and self.page.header.maxmemory:
            if self.page.memory_in_use() > self.page.header.maxmemory:
                return self._reject(client, spec, OUT_OF_MEMORY)
        if self.hub.loading and not spec.flags & SPEC_LOADING:
            return self._reject(client, spec, LOADING)
        if self.hub.paused and (self.hub.paused == PAUSE_ALL or spec.flags & SPEC_WRITE):
            client_await_unpause(self.hub, client)
            return NULL
        client.last_command = spec.id
        return spec

    cdef Spec *_reject(self, Client *client, Spec *spec, str text):
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
        reply = self.calls.call(spec.id, view, frame_arguments(client), sequence)
        if reply is not None:
            self.finish_local(client, sequence, reply)
            count_call(&self.stats[spec.id], ticks() - started, reply.startswith(b"-"))
        else:
            count_call(&self.stats[spec.id], ticks() - started, False)
        return True

    cdef void finish_local(self, Client *client, uint64_t sequence, bytes reply):
        cdef const char *data = reply
        client_resume(self.hub, client)
        if client.reply_mode != REPLY_ON:
            client_mute(self.hub, client, sequence)
        if client.reply_mode == REPLY_SKIPPING:
            client.reply_mode = REPLY_ON
        deliver(self.hub, client, sequence, data, len(reply))

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
