"""The table of an acceptor's clients, and what names them in ring records.

Invariants
 1. token = epoch << 48 | generation << 24 | place. The epoch tells the acceptor from its predecessors, whose replies it
    may be left to find in its rings.
 2. A place's generation grows when its client leaves, so the token of a reply that comes late fits nobody.
 3. There is a table from the start, and nobody has place 0 of it: the token `epoch << 48` marks the acceptor's own
    questions, which are numbered from 1 in every incarnation. `find` may be asked about any token.
 4. The table shrinks by free places at its end alone, so a client's place never changes; a place that comes again
    begins with a generation that none which was cut off has had.
"""
from libc.stdint cimport uint32_t, uint64_t

from shardkv.acceptor.client cimport Client, Hub

cdef enum:
    PLACES_MAX = 0xFFFFFF
    PLACES_MIN = 64           # of a table

cdef class ClientTable:
    cdef Client **clients     # NULL: free
    cdef uint32_t *generations
    cdef uint32_t count       # places, the free ones and place 0 too
    cdef uint32_t used        # … with a client
    cdef uint32_t peak        # most clients since memory was last given back
    cdef uint32_t lowest      # no place between 0 and this one is free
    cdef uint32_t first_generation
    cdef uint64_t epoch       # 16 bits
    cdef Client *removed
    cdef bint add(self, Client *client) except -1               # False: there is no place left
    cdef void remove(self, Client *client)
    cdef Client *find(self, uint64_t token) noexcept nogil      # NULL: gone
    cdef void free_removed(self) noexcept nogil           # at the end of a turn
    cdef void give_back(self) noexcept nogil              # memory, when many have left: now and then
    cdef void _shrink(self) noexcept nogil
    cdef bint _grow(self) noexcept nogil
