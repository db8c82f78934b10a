"""EXEC as it travels: a request of command `exec`, whose arguments are

    0                    "exec"
    1                    ExecStep[n], the commands in order
    2                    Watched[m]
    then                 the arguments of each step, its name first
    then                 the m watched keys

Invariants
 1. Nothing of it is believed: counts, ids and databases are checked by whoever executes it, as lengths are.
 2. A Watched is what the worker of the key's shard told when the key was watched; nobody else makes one.
"""
from libc.stdint cimport uint8_t, uint16_t, uint32_t, uint64_t

cdef struct ExecStep:
    uint16_t command        # id in the command table
    uint16_t database
    uint32_t argc           # with the name
    uint64_t hash           # XXH3 of its first key (0 when there is none)
    uint8_t resp            # 2 or 3: HELLO may stand between two steps
    uint8_t flags           # NO_TOUCH (shardkv/ring.pxd), as in a request of its own
    uint8_t _pad[6]

cdef struct Watched:
    uint16_t database
    uint16_t existed        # whether the key did
    uint32_t _pad
    uint64_t hash
    uint64_t counter        # the key's among those that its shard raises with each change (shardkv/stats.pxd)
    uint64_t epoch          # … and its database's, raised by SWAPDB
