"""Atomics on words in shared memory: see atomic.h."""
from libc.stdint cimport uint64_t

cdef extern from "atomic.h" nogil:
    uint64_t atomic_load_acquire(const uint64_t *word)
    uint64_t atomic_load_relaxed(const uint64_t *word)
    void atomic_store_release(uint64_t *word, uint64_t value)
    void atomic_store_relaxed(uint64_t *word, uint64_t value)
    uint64_t atomic_add(uint64_t *word, uint64_t value)
    uint64_t atomic_or(uint64_t *word, uint64_t bits)
    uint64_t atomic_exchange(uint64_t *word, uint64_t value)
    bint atomic_swap_if(uint64_t *word, uint64_t expected, uint64_t value)     # whether it was as expected
    void atomic_fence()
    void compiler_barrier()
    void prefetch(const void *address)
    uint64_t ticks()
