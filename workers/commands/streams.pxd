"""What the commands on streams share: ids as arguments, entries as replies."""
from libc.stdint cimport uint64_t
from shardkv.resp cimport Reply
from workers.call cimport Call
from workers.memory.arena cimport Arena
from workers.memory.collections cimport StreamId
from workers.types.stream cimport StreamCursor

# Argument `index` as an id; without a sequence number, it has `seq`. `-` and `+` are none. Raises CommandError.
cdef StreamId strict_id(Call call, int index, uint64_t seq) except *
# An end of a range: `-`, `+`, `(` before an id that is left out. Raises CommandError.
cdef StreamId range_end(Call call, int index, bint is_start) except *
cdef int reply_id(Reply reply, StreamId id) except -1
# The cursor's entry: its id and its fields and values.
cdef int reply_entry(Reply reply, Arena arena, StreamCursor *cursor) except -1
# Entries from `start` to `end`, both of them in, at most `most`; answers how many there were.
cdef uint64_t reply_range(
    Reply reply, Arena arena, uint64_t root, StreamId start, StreamId end, uint64_t most, bint backwards
) except? 0
