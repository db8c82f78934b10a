"""What the commands on streams share: ids, as arguments and in replies."""
from libc.stdint cimport uint64_t
from shardkv.resp cimport Reply
from workers.call cimport Call
from workers.memory.collections cimport StreamId

cdef bint parse_id(const char *text, uint64_t length, uint64_t seq, StreamId *id) noexcept
# The next id; after the last of all it is 0-0.
cdef StreamId id_after(StreamId id) noexcept
# Argument `index` as an id; without a sequence number, it has `seq`. `-` and `+` are none. Raises CommandError.
cdef StreamId strict_id(Call call, int index, uint64_t seq) except *
# An end of a range: `-`, `+`, `(` before an id that is left out. Raises CommandError.
cdef StreamId range_end(Call call, int index, bint is_start) except *
cdef int reply_id(Reply reply, StreamId id) except -1
