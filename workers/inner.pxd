"""Inner calls: commands that are executed inside of another request, as those of an EXEC are, with the same Call and in
the same transaction, one after the other.

Execution and what tests have in its place are InnerCalls; a handler finds it as `call.worker`.

Invariants
 1. An inner call's reply is written to `call._reply` behind what is there. So whoever makes inner calls for somebody
    else puts that one's Reply there for the time being.
 2. An inner call that fails is undone, and its error is its reply: what was before it stays. Only what must end the
    whole request is raised: BadRecord, MemoryError.
 3. Behind an inner call the Call is as it was before. Its arguments are the caller's: they stay until it returns.
 4. An inner call finds the shard of each of its keys in `call.shards`. A key of a shard that takes no part in the
    transaction is an error.
 5. Commands are counted as calls of their own, whoever makes them.
"""
from libc.stdint cimport int32_t, uint64_t
from shardkv.resp cimport ReplyMark
from shardkv.stats cimport CommandBlock
from workers.call cimport Argument, Call
from workers.memory.arena cimport Arena
from workers.memory.keyspace cimport Keyspace
from workers.registry cimport Handler
from workers.transaction cimport Transaction

cdef struct CommandFacts:
    int32_t arity
    bint denies_oom
    bint reads                          # it changes clocks, deletes what expired, and nothing else
    bint finds_keys                     # shardkv.commands.keys tells where its keys are, else these do:
    int32_t first, last, step           # first 0: there are none; last below 0: from the end

cdef struct Inner:
    int command                         # id
    int database
    int argc
    Argument *argv                      # its name first
    uint64_t hash                       # of its first key
    int resp                            # 2 or 3
    bint touches                        # sets access clocks

cdef class InnerCalls:
    cdef readonly int index             # of the shard
    cdef readonly Arena arena
    cdef readonly Keyspace keyspace
    cdef readonly Transaction transaction
    cdef Call call
    cdef list handlers                  # Handler by command id, or None
    cdef tuple specs                    # of shardkv.commands.spec.Command
    cdef CommandFacts *facts            # by command id
    cdef CommandBlock *commands         # counters by command id; NULL: nobody counts
    cdef uint64_t inner_tick            # when the next inner call's time begins to count
    cdef bint inner_reads               # the request now executing, if it is an EXEC, only reads

    # `specs` is the command table's flat tuple; `handlers` are the registered ones by name.
    cdef int take_commands(self, tuple specs, dict handlers) except -1
    cdef bint over_limit(self) noexcept
    # Whether a command can be called so. Raises BadRecord: what is checked comes from an acceptor's memory.
    cdef CommandFacts *check(self, Inner *inner) except NULL
    # Returns whether it succeeded.
    cdef bint run_inner(self, Inner *inner) except -1
    # Of the command that is in the call: the Shard of each key, None if all are home.
    cdef list shards_of(self, int command)

    cdef bint attempt(self, Handler handler) except -1
    cdef int set_touch(self, bint touch) except -1
    cdef int fail_inner(self, ReplyMark begun, uint64_t expired, text) except -1
