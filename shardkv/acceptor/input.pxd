"""What a client has sent and the parser has not consumed: the buffer's room, from nothing for idle clients to all that
an announced argument needs (shardkv/acceptor/client.pxd, invariant 1)."""
from libc.stdint cimport int64_t, uint64_t

from shardkv.acceptor.client cimport Client

# Room for more; False: no memory.
cdef bint input_make_room(Client *client) noexcept nogil
# How much to read into that room: a request that begins behind a long argument shall begin in an empty buffer.
cdef uint64_t input_to_read(Client *client) noexcept nogil
# After requests were consumed: starts over when all were, without a long request's room.
cdef void input_consumed(Client *client) noexcept nogil
# Ten times a second: gives back what a client that has been idle so long, or sends little, does not need.
cdef void input_shrink(Client *client, int64_t idle_ms) noexcept nogil
