"""How the acceptor refuses the request at hand: with an error as its reply, or by closing the client."""
from shardkv.acceptor.client cimport Client, Hub
from shardkv.stats cimport CommandBlock

cdef bytes error_reply(str text)                                        # RESP; `text` has a character for each byte
cdef void reply_at_once(Hub *hub, Client *client, bytes reply)          # accepts the request; `reply` is RESP
# The reply to the request at hand, or to the awaited one that was to be sent again; `stats` of its command, NULL: none.
cdef void reject(Hub *hub, Client *client, CommandBlock *stats, str text)
cdef void answer_awaited(Hub *hub, Client *client, bytes reply)         # RESP; the client goes on
cdef void abort_http(Hub *hub, Client *client)                          # closes who speaks HTTP, and warns of it
