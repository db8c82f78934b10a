"""Commands inside of a request: see inner.pxd."""
import sys
import traceback

from libc.stdint cimport int64_t
from libc.stdlib cimport calloc, free

from shardkv.atomic cimport ticks
from shardkv.stats cimport COMMANDS_MAX, count_call
from workers.call cimport Shard

from shardkv.commands.keys import find_keys, has_plain_range
from shardkv.errors import ARENA_FULL, CommandError, OutOfMemory
from workers.call import BadRecord


cdef class InnerCalls:
    def __dealloc__(self):
        free(self.facts)

    cdef int take_commands(self, tuple specs, dict handlers) except -1:
        cdef CommandFacts *facts
        self.specs = specs
        self.handlers = [handlers.get(spec.name) for spec in specs]
        self.facts = <CommandFacts *>calloc(COMMANDS_MAX, sizeof(CommandFacts))
        if self.facts == NULL:
            raise MemoryError()
        for number, spec in enumerate(specs):
            facts = &self.facts[<int>number]
            facts.arity = spec.arity
            facts.denies_oom, facts.reads = "denyoom" in spec.flags, "readonly" in spec.flags
            facts.finds_keys = not has_plain_range(spec)
            facts.first, facts.last, facts.step = spec.first_key, spec.last_key, max(spec.key_step, 1)
        return 0

    cdef bint over_limit(self) noexcept:
        return False

    cdef CommandFacts *check(self, Inner *inner) except NULL:
        cdef CommandFacts *facts
        if not 0 <= inner.command < <int>len(self.handlers) or self.handlers[inner.command] is None:
            raise BadRecord(f"no handler for command {inner.command}")
        if not 0 <= inner.database < self.keyspace.databases:
            raise BadRecord(f"no database {inner.database}")
        facts = &self.facts[inner.command]
        if inner.argc != facts.arity if facts.arity > 0 else inner.argc < -facts.arity:
            raise BadRecord(f"{inner.argc} arguments for command {inner.command}")
        return facts

    cdef bint run_inner(self, Inner *inner) except -1:
        cdef Call call = self.call
        cdef Argument *argv = call.argv
        cdef uint64_t hash = call.hash, now
        cdef int argc = call.argc, database = call.db, command = call.command
        cdef int resp = call._reply.resp
        cdef list shards = call.shards
        cdef bint done
        call.argv, call.argc, call.hash = inner.argv, inner.argc, inner.hash
        call.db, call.command, call._reply.resp = inner.database, inner.command, inner.resp
        if self.keyspace.touch != inner.touches:
            self.set_touch(inner.touches)
        try:
            if self.transaction.lent is not None:
                call.shards = self.shards_of(inner.command)
            self.transaction.mark()
            done = self.attempt(<Handler>self.handlers[inner.command])
        finally:
            call.argv, call.argc, call.hash = argv, argc, hash
            call.db, call.command, call.shards, call._reply.resp = database, command, shards, resp
        if self.commands != NULL:
            now = ticks()
            count_call(&self.commands[inner.command], now - self.inner_tick, not done)
            self.inner_tick = now
        return done

    cdef bint attempt(self, Handler handler) except -1:
        cdef ReplyMark begun = self.call._reply.mark()
        cdef uint64_t expired = self.keyspace.expired
        try:
            handler.run(self.call)
            self.transaction.check_room()
            return True
        except CommandError as error:
            self.fail_inner(begun, expired, error.text)
        except OutOfMemory:
            self.fail_inner(begun, expired, ARENA_FULL)
        except (BadRecord, MemoryError):
            raise
        except Exception:
            traceback.print_exc(file=sys.stderr)
            self.fail_inner(begun, expired, "ERR internal error, see the server's log")
        return False

    cdef int set_touch(self, bint touch) except -1:
        cdef Shard shard
        for shard in self.call.everywhere:
            shard.keyspace.touch = touch
        return 0

    cdef int fail_inner(self, ReplyMark begun, uint64_t expired, text) except -1:
        self.transaction.undo_to_mark()
        self.keyspace.expired = expired
        self.call._reply.rewind(begun)
        self.call._reply.error(text)
        return 0

    cdef list shards_of(self, int command):
        cdef CommandFacts *facts = &self.facts[command]
        cdef Call call = self.call
        cdef list shards = []
        cdef int64_t last = facts.last if facts.last >= 0 else call.argc + facts.last
        cdef int64_t index = facts.first
        if facts.finds_keys:
            for index in find_keys(self.specs[command], call.args()):
                shards.append(call.owner_of_argument(<int>index))
        elif facts.first:
            while index <= last and index < call.argc:
                shards.append(call.owner_of_argument(<int>index))
                index += facts.step
        return shards
