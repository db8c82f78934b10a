"""Sleeping and waking: see sleep.pxd.

SHARDKV_TEST_DELAYS=seed in the environment makes every process of a server dawdle at the stores and looks of the protocol,
now and then, up to two milliseconds.
"""
import os

from libc.signal cimport SIGKILL
from libc.stdint cimport uint64_t
from posix.signal cimport kill
from posix.unistd cimport getpid, usleep, write

cdef enum:
    DELAYED = 8               # one time of so many
    DELAY_US = 2000

delaying = int(os.environ.get("SHARDKV_TEST_DELAYS", "0"))
dying = 0
cdef uint64_t state = 0   # of the random numbers


cdef void delay() noexcept nogil:
    global state, dying
    if dying:
        dying -= 1
        if dying == 0:
            kill(getpid(), SIGKILL)
        return
    if state == 0:
        state = (delaying << 32 ^ <uint64_t>getpid()) * <uint64_t>0x9E3779B97F4A7C15ULL | 1
    state ^= state << 13
    state ^= state >> 7
    state ^= state << 17
    if state % DELAYED == 0:
        usleep(<unsigned int>((state >> 32) % DELAY_US))


cdef void wake(int fd) noexcept nogil:
    cdef uint64_t one = 1
    write(fd, &one, 8)
