"""What the commands on consumer groups share: the group they name, and replies whose length is known afterwards."""
from libc.stdint cimport int64_t, uint64_t
from shardkv.resp cimport Reply
from workers.call cimport Call

# The group named by argument `name` of the stream at argument `key`, the number-th key; 0 if there is none. Tells the
# stream, 0 if there is none either. Raises CommandError(WRONG_TYPE).
cdef uint64_t find_group(Call call, int key, int number, int name, uint64_t *stream) except? 0
# The same, but raises CommandError(NOGROUP …), its text ending with `where`, if there is no such group.
cdef uint64_t need_group(Call call, int key, int number, int name, uint64_t *stream, str where) except 0
# The consumer named by argument `name`, made if need be, that is seen now.
cdef uint64_t see_consumer(Call call, uint64_t group, int number, int name) except 0
# Writes a header before what has been written from byte `at` on.
cdef int insert_header(Reply reply, size_t at, char kind, int64_t count) except -1
# Moves what has been written from byte `end` on, a header or an id, before what has been written from `at` on.
cdef void bring_forward(Reply reply, size_t at, size_t end) noexcept
