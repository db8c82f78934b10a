"""How the acceptor refuses a request: see refusal.pxd."""
import logging
import time

from shardkv.acceptor.client cimport client_accept, client_answer, client_doom, deliver
from shardkv.acceptor.connection cimport Connection, connection_of
from shardkv.acceptor.output cimport Payload, payload_copy

from shardkv.errors import harmless

WARN_SECONDS = 60  # an attack must not fill the log

log = logging.getLogger("shardkv")
cdef double next_warning = 0


cdef bytes error_reply(str text):
    return b"-" + harmless(text).encode("latin-1", "replace") + b"\r\n"


cdef void reply_at_once(Hub *hub, Client *client, bytes reply):
    cdef const char *data = reply
    deliver(hub, client, client_accept(hub, client), data, len(reply))


cdef void reject(Hub *hub, Client *client, CommandBlock *stats, str text):
    if stats != NULL:
        stats.rejected += 1
    if client.again:
        client.again = False
        answer_awaited(hub, client, error_reply(text))
    else:
        reply_at_once(hub, client, error_reply(text))


cdef void answer_awaited(Hub *hub, Client *client, bytes reply):
    cdef const char *data = reply
    cdef Payload payload
    if payload_copy(&payload, data, len(reply)):
        client_answer(hub, client, &payload)
    else:
        client_doom(hub, client)


cdef void abort_http(Hub *hub, Client *client):
    global next_warning
    cdef Connection connection
    client_doom(hub, client)
    if time.monotonic() < next_warning:
        return
    next_warning = time.monotonic() + WARN_SECONDS
    connection = connection_of(hub, client)
    log.warning(
        "Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to shardkv. "
        "This is likely due to an attacker attempting to use Cross Protocol Scripting to compromise your shardkv "
        "instance. Connection from %s aborted.", connection.addr,
    )
