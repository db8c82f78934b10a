/* C11-style atomics on plain words in shared memory, as static inline functions that Cython can call.
 * "acquire" and "release" order accesses between processes; "barrier" orders only the compiler, which is
 * all that a process needs against its own death. */
#ifndef SHARDKV_ATOMIC_H
#define SHARDKV_ATOMIC_H

#include <stdint.h>

static inline uint64_t atomic_load_acquire(const uint64_t *word) { return __atomic_load_n(word, __ATOMIC_ACQUIRE); }
static inline uint64_t atomic_load_relaxed(const uint64_t *word) { return __atomic_load_n(word, __ATOMIC_RELAXED); }
static inline void atomic_store_release(uint64_t *word, uint64_t value) { __atomic_store_n(word, value, __ATOMIC_RELEASE); }
static inline void atomic_store_relaxed(uint64_t *word, uint64_t value) { __atomic_store_n(word, value, __ATOMIC_RELAXED); }
static inline uint64_t atomic_add(uint64_t *word, uint64_t value) { return __atomic_fetch_add(word, value, __ATOMIC_RELAXED); }
static inline uint64_t atomic_or(uint64_t *word, uint64_t bits) { return __atomic_fetch_or(word, bits, __ATOMIC_ACQ_REL); }
static inline uint64_t atomic_exchange(uint64_t *word, uint64_t value) { return __atomic_exchange_n(word, value, __ATOMIC_ACQ_REL); }
static inline int atomic_swap_if(uint64_t *word, uint64_t expected, uint64_t value) { return __atomic_compare_exchange_n(word, &expected, value, 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE); }
static inline void atomic_fence(void) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
static inline void compiler_barrier(void) { __atomic_signal_fence(__ATOMIC_SEQ_CST); }
static inline void prefetch(const void *address) { __builtin_prefetch(address); }

/* A monotonic tick counter read without a system call, for per-command times. */
#if defined(__x86_64__)
#include <x86intrin.h>
static inline uint64_t ticks(void) { return __rdtsc(); }
#elif defined(__aarch64__)
static inline uint64_t ticks(void) { uint64_t t; __asm__ volatile("mrs %0, cntvct_el0" : "=r"(t)); return t; }
#else
#include <time.h>
static inline uint64_t ticks(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec; }
#endif

#endif
