"""What a client has sent and the parser has not consumed: the buffer's room, from nothing for idle clients to
INPUT_LONG; and the segment that takes a long request, piece by piece as it comes.

Invariants
 1. A request that is announced to be longer than LONG_REQUEST spills: what has come of it goes into a segment, at most
    up to the end of the argument being read, and its room in the buffer is free again. So no request needs a larger
    buffer, no step takes longer than INPUT_LONG bytes do, and the worker reads the request where it was received.
 2. The segment is the request as it was sent: the frame's spans are places in it (shardkv/ring.pxd, Place). When the
    request is complete, so is the segment, and it is mapped for the router.
 3. It belongs to the client until a record names it (input_give_segment). Else it goes with the request: refused, run
    here, or never completed because the client left.
 4. A segment that finds no room is removed at once, and what else comes of the request is dropped; then it gets an
    error.
"""
from libc.stdint cimport int64_t

from shardkv.acceptor.client cimport Client
from shardkv.segment cimport SegmentStore

cdef enum:
    IDLE_MS = 2000            # a connection idle this long gives its buffers back

# Room for more; False: no memory.
cdef bint input_make_room(Client *client) noexcept nogil
# After all was parsed that came, and a request is not complete: moves a long one's bytes to its segment.
cdef void input_spill(Client *client, SegmentStore segments)
# The frame is complete, and some of it has spilled: the rest follows; `mapped` or `unkept` is set.
cdef void input_complete(Client *client, SegmentStore segments)
# A record names the segment: it is the worker's.
cdef void input_give_segment(Client *client)
cdef void input_drop_segment(Client *client) noexcept nogil
# The request in the frame was routed: the next one begins.
cdef void input_next_request(Client *client) noexcept nogil
# After requests were consumed: starts over when all were.
cdef void input_consumed(Client *client) noexcept nogil
# Ten times a second: gives back what a client that has been idle so long, or sends little, does not need.
cdef void input_shrink(Client *client, int64_t idle_ms) noexcept nogil
