"""What the commands that read streams share: what to read, entries as replies."""
from libc.stdint cimport int64_t, uint64_t
from shardkv.resp cimport Reply
from workers.call cimport Call
from workers.memory.arena cimport Arena
from workers.memory.collections cimport StreamId
from workers.types.stream cimport StreamCursor

cdef struct Reading:
    # What the options of XREAD and XREADGROUP say.
    int64_t count               # entries of each stream, 0 = all
    int group                   # index of its name, and the consumer's behind it; 0 = none
    bint noack
    int64_t block               # milliseconds, 0 = for ever; -1 = not at all
    int first                   # index of the first key
    int keys                    # how many; as many ids follow

# Raises CommandError.
cdef int take_reading(Call call, bint grouped, Reading *out) except -1

# The cursor's entry: its id and its fields and values.
cdef int reply_entry(Reply reply, Arena arena, StreamCursor *cursor) except -1
# Entries from `start` to `end`, both of them in, at most `most`; returns how many there were.
cdef uint64_t reply_range(
    Reply reply, Arena arena, uint64_t root, StreamId start, StreamId end, uint64_t most, bint backwards
) except? 0
