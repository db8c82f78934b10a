"""Commands on whole databases, and on what lies behind a key."""
from libc.stdint cimport int64_t
from workers.memory.databases cimport Found
from workers.memory.keyspace cimport Keyspace

cdef enum:
    CURSOR_BITS = 48            # of a table's cursor

cdef const char *encoding_name(int type) noexcept nogil                       # what OBJECT ENCODING answers
cdef int64_t idle_seconds(Keyspace keyspace, Found *found) noexcept           # since the key was last accessed
