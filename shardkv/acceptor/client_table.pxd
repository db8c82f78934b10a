"""The table of an acceptor's clients, and what names them in ring records.

Invariants
 1. token = epoch << 48 | generation << 24 | place. The epoch tells the acceptor from its predecessors, whose replies it
    may be left to find in its rings.
 2. A place's generation grows when its client leaves, so the token of a reply that comes late fits nobody.
 3. There is a table from the start, and nobody has place 0 of it: the token `epoch << 48` marks the acceptor's own
    questions, which are numbered from 1 in every incarnation. `find` may be asked about any token.
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
