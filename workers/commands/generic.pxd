"""Commands on keys of any type, and what other families share with them."""
from workers.call cimport Call
from workers.memory.databases cimport Found

# Looks at a key without setting its access clock, and counts a hit or a miss: what TYPE, TTL, EXISTS and OBJECT do.
cdef int observe(Call call, int index, int key_number, Found *out) except -1
# The name TYPE answers for an entry's type.
cdef const char *type_name(int type) noexcept nogil
# Argument `index` as the number of a database. Raises CommandError.
cdef int database(Call call, int index) except -1
