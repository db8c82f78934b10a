"""Audit: reads an arena between transactions, believing nothing. For a fresh start, and for tests."""
from workers.memory.slabs cimport Slabs

cdef int check_arena(Slabs arena) except -1                 # raises AssertionError: the first invariant of slabs.pxd or pages.pxd that does not hold
cdef dict arena_fingerprint(Slabs arena)                    # everything reachable, digested
cdef list arena_blocks(Slabs arena)                         # [(offset, size)] of the allocated blocks
cdef int punch_unbacked(Slabs arena) except -1              # gives back what a death after a commit left behind
