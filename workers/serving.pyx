"""After each transaction, those who wait for a key that it has touched: see serving.pxd."""
import sys
import traceback

from libc.stdint cimport uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from shardkv.claims cimport CLAIM_SHARD, CLAIM_WAITING
from shardkv.hashing cimport hash_for_routing, hash_key, shard_of
from shardkv.ring cimport NO_TOUCH, WAIT_FOR_GROUP, WAIT_FOR_LIST, WAIT_FOR_ZSET
from shardkv.stats cimport CHANGES, COMMANDS_MAX
from workers.call cimport Shard
from workers.memory.arena cimport COMMIT_WAITING
from workers.memory.entry cimport LIST_PACKED, LIST_TREE, STREAM, ZSET_PACKED, ZSET_TREE
from workers.memory.keyspace cimport Keyspace
from workers.memory.waits cimport (
    waits_find, waits_gather, waits_next_ready, waits_ready, waits_remove, waits_tell,
)
from workers.registry cimport Handler
from workers.waiters cimport body_of, place_of

from shardkv.errors import ARENA_FULL, CommandError, OutOfMemory
from workers.call import Call as CallType


cdef inline bint suits(Waiter *waiter, Found *found) noexcept:
    """Whether a waiter has any business with what its key holds."""
    if waiter.kind == WAIT_FOR_GROUP:
        return True
    if not found.exists:
        return False
    if waiter.kind == WAIT_FOR_LIST:
        return LIST_PACKED <= found.entry.type <= LIST_TREE
    if waiter.kind == WAIT_FOR_ZSET:
        return ZSET_PACKED <= found.entry.type <= ZSET_TREE
    return found.entry.type == STREAM


cdef class Serving:
    def __init__(self, Execution execution) -> None:
        """Serves the waiters of the shard that `execution` is for."""
        self.execution, self.waiters = execution, execution.waiters
        self.outbox = Outbox(execution.arena, execution.waiters)
        self.call = CallType(execution.call.home, execution)
        self.call.limits, self.call.may_wait = execution.call.limits, True
        self.starved, self.held_up, self.wanted_shard = [], [], -1
        self.moves = <char *>calloc(COMMANDS_MAX, 1)
        if self.moves == NULL:
            raise MemoryError()
        for number, spec in enumerate(execution.specs):
            self.moves[<int>number] = spec.name in ("blmove", "brpoplpush")

    def __dealloc__(self):
        free(self.moves)

    cdef int serve(self) except -1:
        cdef WaitKey *key
        if self.wanted_shard >= 0:
            self.wanted_shard = -1
            self._again(self.held_up)
            self.held_up = []
        while self.changed():
            waits_gather(&self.waiters.waits, self.execution.keyspace)
            key = waits_next_ready(&self.waiters.waits)
            if key != NULL:
                self._serve_key(key)
        return 0

    cdef int tick(self) except -1:
        starved, self.starved = self.starved, []
        return self._again(starved)

    cdef int _again(self, list keys) except -1:
        """Has keys looked at again, if anybody waits for them."""
        cdef WaitKey *key
        for database, hash, text in keys:
            key = waits_find(&self.waiters.waits, database, hash, text, len(text))
            if key != NULL:
                waits_ready(&self.waiters.waits, key)
        return 0

    cdef bint could_serve(self) except -1:
        return self.changed() or (
            self.wanted_shard >= 0 and self.execution.leases.could_take_one(<uint32_t>self.wanted_shard)
        )

    cdef int _serve_key(self, WaitKey *key) except -1:
        """Goes through the key's queue for as long as there is something."""
        cdef Link *link = <Link *>key.first
        cdef Link *behind
        cdef Served served
        cdef Found found
        key.ready = True  # it stays, even when its last waiter goes, until this is done
        self._look(key, &found)
        while link != NULL and (found.exists or key.on_nokey):
            behind = link.behind
            while behind != NULL and behind.waiter == link.waiter:
                behind = behind.behind
            served = STILL_WAITS
            if self.waiters.is_over(link.waiter):
                served = OVER
            elif suits(link.waiter, &found) and self._may_claim(link.waiter):
                served = self._serve_waiter(link)
                self._look(key, &found)
            if served == NO_MEMORY:
                self.starved.append((key.db, key.hash, (<char *>key.key)[:key.length]))
                break
            if served == NEEDS_LEASE:
                self.held_up.append((key.db, key.hash, (<char *>key.key)[:key.length]))
                break
            if served != STILL_WAITS:
                self.waiters.remove(link.waiter)
            link = behind
        key.ready = False
        if key.waiters == 0:
            waits_remove(&self.waiters.waits, key)
        return 0

    cdef int _look(self, WaitKey *key, Found *found) except -1:
        """What the key holds. One that has expired is not there; whoever finds it next deletes it."""
        cdef Keyspace keyspace = self.execution.keyspace
        found.hash, found.db = key.hash, key.db
        keyspace.relocate(key.db, found, key.key, key.length)
        if found.exists and 0 <= found.entry.expiry < keyspace.now_ms and keyspace.lazy_expire:
            found.exists = False
        return 0

    # -- one waiter

    cdef bint _may_claim(self, Waiter *waiter) noexcept:
        """Whether no other shard has claimed it: then it keeps its place here, in case that is given back."""
        return self.waiters.claims_of(waiter.acceptor).state(place_of(waiter), waiter.stamp) == CLAIM_WAITING

    cdef Served _serve_waiter(self, Link *link) except? OVER:
        cdef Waiter *waiter = link.waiter
        cdef uint64_t put = self.outbox.count, changes = self.execution.keyspace.changes
        cdef Served served = self._lease(waiter)
        if served != SERVED:
            return served
        try:
            served = self._transact(link)
        except (OutOfMemory, MemoryError):
            self.waiters.claims_of(waiter.acceptor).change(
                place_of(waiter), waiter.stamp, CLAIM_SHARD + self.waiters.shard, CLAIM_WAITING
            )
            served = NO_MEMORY
        if served == SERVED:
            self.execution.changed = True
            self.execution.block.counters[<int>CHANGES] += self.execution.keyspace.changes - changes
        else:
            self.execution.transaction.rollback()
            self.outbox.count = <uint32_t>put
        if self.call.shards is not None:
            self.call.shards = None
            self.execution.transaction.take_part(None)
            self.execution.leases.give_back_taken()
        return served

    cdef Served _lease(self, Waiter *waiter) except? OVER:
        """Gets the other shard that a waiter's command writes to, if it does: SERVED, else NEEDS_LEASE."""
        cdef const char *text = body_of(waiter)
        cdef const uint32_t *lengths = <const uint32_t *>text
        cdef uint32_t owner
        cdef Shard shard
        if self.waiters.workers == 1 or waiter.kind != WAIT_FOR_LIST or not self.moves[waiter.command]:
            return SERVED
        text += 4 * <uint64_t>waiter.argc + lengths[0] + lengths[1]
        owner = shard_of(hash_for_routing(text, lengths[2], hash_key(text, lengths[2])), self.waiters.workers)
        if owner == self.waiters.shard:
            return SERVED
        shard = self.execution.leases.take_one(owner)
        if shard is None:
            self.wanted_shard = <int>owner
            return NEEDS_LEASE
        self.call.shards = [self.call.home, shard]
        self.execution.transaction.take_part([shard.arena])
        return SERVED

    cdef Served _transact(self, Link *link) except? OVER:
        """Runs the waiter's command and commits; unless it is served, the caller rolls back. Raises OutOfMemory."""
        cdef Waiter *waiter = link.waiter
        self.execution.transaction.begin(COMMIT_WAITING, waiter.stamp)
        if not self._run(link):
            self.execution.transaction.rollback()
            self.execution.transaction.begin(COMMIT_WAITING, waiter.stamp)
        elif self.call.waits:
            return STILL_WAITS
        self.outbox.put(waiter, self.call._reply)
        if self.call.shards is not None:
            waits_tell((<Shard>self.call.shards[1]).keyspace)
        if not self.waiters.claims_of(waiter.acceptor).change(
            place_of(waiter), waiter.stamp, CLAIM_WAITING, CLAIM_SHARD + self.waiters.shard
        ):
            return OVER if self.waiters.is_over(waiter) else STILL_WAITS
        self.execution.transaction.commit()
        return SERVED

    cdef bint _run(self, Link *link) except -1:
        """Runs the waiter's command; False: it failed, and its error is the reply."""
        cdef Waiter *waiter = link.waiter
        cdef Call call = self.call
        call._reply.clear()
        call._reply.resp = waiter.resp
        call.parse(body_of(waiter), waiter.bytes, waiter.argc)
        call.hash, call.db, call.command = waiter.hash, waiter.database, waiter.command
        call.only = link.index if waiter.links < waiter.keys else 0
        call.now_ms, call.max_string, call.waits = self.execution.call.now_ms, self.execution.call.max_string, False
        self.execution.keyspace.touch = not waiter.flags & NO_TOUCH
        if call.shards is not None:
            (<Shard>call.shards[1]).keyspace.touch = not waiter.flags & NO_TOUCH
        try:
            (<Handler>self.execution.handlers[waiter.command]).run(call)
            return True
        except CommandError as error:
            text = error.text
        except OutOfMemory:
            text = ARENA_FULL
        except Exception:
            traceback.print_exc(file=sys.stderr)
            text = "ERR internal error, see the server's log"
        call._reply.clear()
        call._reply.error(text)
        call.waits = False
        return False
