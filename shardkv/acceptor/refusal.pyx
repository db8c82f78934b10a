"""Errors with which the acceptor refuses a request: see refusal.pxd."""
from shardkv.acceptor.client cimport client_accept, deliver

from shardkv.errors import harmless


cdef bytes error_reply(str text):
    return b"-" + harmless(text).encode("latin-1", "replace") + b"\r\n"


cdef void reply_at_once(Hub *hub, Client *client, bytes reply):
    cdef const char *data = reply
    deliver(hub, client, client_accept(hub, client), data, len(reply))


cdef void reject(Hub *hub, Client *client, CommandBlock *stats, str text):
    if stats != NULL:
        stats.rejected += 1
    reply_at_once(hub, client, error_reply(text))
