"""How the acceptor refuses the request at hand: with an error as its reply, or by closing the client."""
from shardkv.acceptor.client cimport Client, Hub
from shardkv.stats cimport CommandBlock

cdef bytes error_reply(str text)                                        # RESP; `text` has a character for each byte
cdef void reply_at_once(Hub *hub, Client *client, bytes reply)          # accepts the request; `reply` is RESP
cdef void reject(Hub *hub, Client *client, CommandBlock *stats, str text)      # `stats` of its command; NULL: none
cdef void abort_http(Hub *hub, Client *client)                          # closes who speaks HTTP, and warns of it
