"""EXEC and WATCH as a worker sees them: the commands of a transaction at once, and what a watched key is like.

An EXEC of one shard's keys is hot: no Python object is made for it or for its commands, unless one ends in an error.
"""
from libc.stdint cimport uint64_t
from libc.string cimport memcpy

from shardkv.errors import OUT_OF_MEMORY, CommandError

from shardkv.atomic cimport ticks
from shardkv.hashing cimport hash_key
from shardkv.ring cimport NO_TOUCH
from shardkv.stats cimport EPOCHS, Touches, touch_slot
from shardkv.transaction cimport ExecStep, Watched
from workers.call cimport Argument, Call
from workers.inner cimport CommandFacts, Inner, InnerCalls
from workers.memory.databases cimport Found
from workers.memory.keyspace cimport Keyspace
from workers.registry cimport native

from workers.call import BadRecord

cdef enum:
    STEPS = 1                   # arguments: ExecStep[]
    WATCHES = 2                 # Watched[]
    COMMANDS = 3                # the commands' arguments, then the watched keys


# -- watched keys

cdef int watch(Keyspace keyspace, int database, Argument *key, uint64_t hash, Watched *out) except -1:
    """What a key is like now."""
    cdef Touches *touches = keyspace.touches
    cdef Found found
    keyspace.peek(database, key.bytes, key.length, hash, &found)    # counts as a change if it has expired
    out.database, out.existed, out._pad, out.hash = database, found.exists, 0, hash
    out.counter = touches.keys[touch_slot(database, hash)] >> 1
    out.epoch = touches.epochs[database & (EPOCHS - 1)]
    return 0


cdef int watch_command(Call call) except -1:
    cdef Argument *key
    cdef Watched watched
    cdef int index
    call._reply.header(c'*', call.argc - 1)
    for index in range(1, call.argc):
        key = &call.argv[index]
        watch(
            call.shard_of_key(index - 1).keyspace, call.db, key, hash_key(key.bytes, key.length), &watched
        )
        call._reply.bulk(<const char *>&watched, sizeof(watched))
    return 0


cdef bint has_changed(Call call, Watched *then, Argument *key) except -1:
    cdef uint64_t hash = hash_key(key.bytes, key.length)
    cdef Keyspace keyspace = (
        call.home if len(call.everywhere) == 1 else call.owner_of(key.bytes, key.length, hash)
    ).keyspace
    cdef Watched now
    # Before it is looked at: what expired when it was watched is no change, but counts as one when it is deleted.
    cdef uint64_t counter = keyspace.touches.keys[touch_slot(then.database, hash)] >> 1
    watch(keyspace, then.database, key, hash, &now)
    return (
        counter != then.counter or now.existed != then.existed or now.epoch != then.epoch and now.existed != 0
    )


cdef bint any_changed(Call call, int first, int count) except -1:
    """Whether any of the watched keys, arguments from `first` on, is not as it was. Raises BadRecord."""
    cdef Watched then
    cdef int number
    cdef bint changed = False
    for number in range(count):
        memcpy(&then, call.argv[WATCHES].bytes + number * sizeof(Watched), sizeof(Watched))
        if then.database >= call.home.keyspace.databases:
            raise BadRecord(f"no database {then.database}")
        changed = has_changed(call, &then, &call.argv[first + number]) or changed
    return changed


# -- EXEC

cdef int items(Argument *table, uint64_t size) except -1:
    """How many structs of this size an argument holds. Raises BadRecord."""
    if table.length % size or table.length // size > 0x7FFFFFFF:
        raise BadRecord("a table of an EXEC does not fit")
    return <int>(table.length // size)


cdef int take_step(Call call, int number, int at, Inner *out) except -1:
    """The command whose arguments begin at argument `at`. Raises BadRecord."""
    cdef ExecStep step
    memcpy(&step, call.argv[STEPS].bytes + number * sizeof(ExecStep), sizeof(ExecStep))
    if step.argc == 0 or step.argc > <uint64_t>(call.argc - at):
        raise BadRecord("the arguments of an EXEC do not fit")
    out.command, out.database, out.hash = step.command, step.database, step.hash
    out.argc, out.argv = <int>step.argc, call.argv + at
    out.resp, out.touches = 3 if step.resp == 3 else 2, not step.flags & NO_TOUCH
    return 0


cdef int check_steps(Call call, InnerCalls calls, int steps) except -1:
    """Checks all commands before any is executed; returns the argument behind the last."""
    cdef CommandFacts *facts
    cdef Inner inner
    cdef bint denies_oom = False
    cdef int number, at = COMMANDS
    calls.inner_reads = True
    for number in range(steps):
        take_step(call, number, at, &inner)
        facts = calls.check(&inner)
        if inner.command == call.command:
            raise BadRecord("an EXEC inside of an EXEC")
        denies_oom |= facts.denies_oom
        calls.inner_reads &= facts.reads
        at += inner.argc
    if denies_oom and calls.over_limit():
        if calls.commands != NULL:
            calls.commands[call.command].rejected += 1
        raise CommandError(f"EXECABORT Transaction discarded because of: {OUT_OF_MEMORY}")
    return at


cdef int exec_command(Call call) except -1:
    cdef InnerCalls calls = <InnerCalls?>call.worker
    cdef Inner inner
    cdef int steps, watched, number, at = COMMANDS
    if call.argc < COMMANDS:
        raise BadRecord("an EXEC without tables")
    steps = items(&call.argv[STEPS], sizeof(ExecStep))
    watched = items(&call.argv[WATCHES], sizeof(Watched))
    number = check_steps(call, calls, steps)
    if watched != call.argc - number:
        raise BadRecord("the arguments of an EXEC do not fit")
    if any_changed(call, number, watched):
        return call._reply.null_array()
    call.may_wait = False
    call._reply.copies = True   # what a command reads the next one may change
    call._reply.header(c'*', steps)
    calls.inner_tick = ticks()
    for number in range(steps):
        take_step(call, number, at, &inner)
        calls.run_inner(&inner)
        at += inner.argc
    return 0


native("exec", exec_command)
native("watch", watch_command)
