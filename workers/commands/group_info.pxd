"""What XINFO STREAM … FULL tells of consumer groups."""
from libc.stdint cimport int64_t, uint64_t
from shardkv.resp cimport Reply
from workers.memory.arena cimport Arena

# An array of all groups of a stream; of each group, and each consumer, `most` pending entries, 0 = all.
cdef int reply_groups_in_full(Reply reply, Arena arena, uint64_t stream, int64_t most) except -1
