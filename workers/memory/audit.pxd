"""Audit: reads an arena between transactions, believing nothing. For a fresh start, and for tests."""
from workers.memory.slabs cimport Slabs

# Raises AssertionError with the first invariant of slabs.pxd or pages.pxd that does not hold.
cdef int check_arena(Slabs arena) except -1
# Everything reachable; free blocks, journal, commit words and backed_pages are not.
cdef dict arena_fingerprint(Slabs arena)
# [(offset, size)] of the allocated blocks.
cdef list arena_blocks(Slabs arena)
# Provides what should be there and is not, as in a file that was copied without its zero bytes; gives back what lies
# behind the ends of journal, page table and heap. Raises OutOfMemory. Only on a checked arena.
cdef int provide_all(Slabs arena) except -1
# Gives back the pages that a death left in UNBACKED runs. Only on a checked arena.
cdef int punch_unbacked(Slabs arena) except -1
