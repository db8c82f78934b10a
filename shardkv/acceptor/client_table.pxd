"""The table of an acceptor's clients, and what names them in ring records.

Invariants
 1. token = epoch << 48 | generation << 24 | place. The token of place 0 marks the acceptor's own questions.
 2. A place's generation grows when its client leaves, so the token of a reply that comes late fits nobody.
"""
from libc.stdint cimport uint32_t, uint64_t

from shardkv.acceptor.client cimport Client, Hub

cdef enum:
    PLACES_MAX = 0xFFFFFF

cdef class ClientTable:
    cdef Client **clients     # NULL: free
    cdef uint32_t *generations
    cdef uint32_t count
    cdef uint64_t epoch       # 16 bits
    cdef list free_places
    cdef Client *removed
    cdef bint add(self, Client *client) except -1               # False: there is no place left
    cdef void remove(self, Client *client)
    cdef Client *find(self, uint64_t token) noexcept nogil      # NULL: gone
    cdef void free_removed(self) noexcept nogil           # at the end of a turn
    cdef bint _grow(self) except -1
