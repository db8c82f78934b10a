"""Limits: the directives that say how values are encoded, as plain numbers for the handlers (`call.limits`)."""
from libc.stdint cimport int64_t

cdef class Limits:
    cdef readonly int64_t hash_max_listpack_entries
    cdef readonly int64_t hash_max_listpack_value           # bytes
    cdef readonly int64_t list_max_listpack_size            # elements of a node; below 0: -1 .. -5 = 4 KiB .. 64 KiB
    cdef readonly int64_t list_compress_depth
    cdef readonly int64_t set_max_intset_entries
    cdef readonly int64_t set_max_listpack_entries
    cdef readonly int64_t set_max_listpack_value            # bytes
    cdef readonly int64_t zset_max_listpack_entries
    cdef readonly int64_t zset_max_listpack_value           # bytes
    cdef readonly int64_t stream_node_max_bytes
    cdef readonly int64_t stream_node_max_entries
    cdef readonly int64_t hll_sparse_max_bytes
