"""Who waits for keys of this shard: see waiters.pxd."""
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memcpy

from shardkv.claims cimport CLAIM_DONE
from shardkv.hashing cimport hash_for_routing, hash_key, shard_of
from shardkv.ring cimport WAIT_FOR_GROUP
from workers.memory.waits cimport waits_free, waits_init, waits_make, waits_ready, waits_remove

cdef enum:
    FIRST_SIZE = 64


cdef class Waiters:
    def __init__(self, claims: list, int shard, int workers) -> None:
        """Of one shard; `claims` are the Claims of the acceptors."""
        self.claims, self.shard, self.workers = claims, shard, workers
        self.size = FIRST_SIZE
        self.table = <Waiter **>calloc(FIRST_SIZE, sizeof(Waiter *))
        if self.table == NULL or not waits_init(&self.waits):
            raise MemoryError()

    def __dealloc__(self):
        cdef uint64_t index
        if self.table != NULL:
            for index in range(self.size):
                while self.table[index] != NULL:
                    self.remove(self.table[index])
        free(self.table)
        waits_free(&self.waits)

    cdef Claims claims_of(self, uint32_t acceptor):
        return <Claims>self.claims[acceptor]

    cdef bint is_over(self, const Waiter *waiter) noexcept:
        cdef uint64_t state = self.claims_of(waiter.acceptor).state(place_of(waiter), waiter.stamp)
        return state == 0 or state == CLAIM_DONE

    cdef Waiter *find(self, uint64_t stamp) noexcept nogil:
        cdef Waiter *waiter = self.table[stamp & (self.size - 1)]
        while waiter != NULL and waiter.stamp != stamp:
            waiter = waiter.chain
        return waiter

    # -- making

    cdef int add(
        self, const Waiter *facts, WaitArgument *arguments, uint32_t first, uint32_t keys, uint64_t first_hash,
        bint ready
    ) except -1:
        cdef uint64_t bytes = 4 * <uint64_t>facts.argc, whole
        cdef uint32_t index, links = 0
        cdef uint32_t *lengths
        cdef Waiter *waiter
        cdef Link *link
        cdef char *out
        waiter = self.find(facts.stamp)
        if waiter != NULL or self.is_over(facts):
            for index in range(waiter.links if waiter != NULL and ready else 0):
                waits_ready(&self.waits, (&waiter.link[0] + index).key)
            return 0
        for index in range(facts.argc):
            bytes += arguments[index].length
        waiter = <Waiter *>malloc(sizeof(Waiter) + keys * sizeof(Link) + bytes)
        if waiter == NULL:
            raise MemoryError()
        waiter[0] = facts[0]
        waiter.hash, waiter.bytes, waiter.keys = first_hash, bytes, keys
        for index in range(first, first + keys):
            whole = hash_key(arguments[index].bytes, arguments[index].length)
            if not self._is_ours(arguments[index].bytes, arguments[index].length, whole):
                continue
            link = &waiter.link[0] + links
            link.waiter, link.key, link.index = waiter, NULL, <int>index
            if not self._queue(link, waiter.database, whole, arguments[index].bytes, arguments[index].length):
                waiter.links = links
                self._abandon(waiter)
                raise MemoryError()
            links += 1
        waiter.links = links
        lengths = <uint32_t *>body_of(waiter)
        out = <char *>(lengths + waiter.argc)
        for index in range(waiter.argc):
            lengths[index] = <uint32_t>arguments[index].length
            memcpy(out, arguments[index].bytes, arguments[index].length)
            out += arguments[index].length
        if self.enter(waiter) and ready:
            for index in range(waiter.links):
                waits_ready(&self.waits, (&waiter.link[0] + index).key)
        return 0

    cdef bint _is_ours(self, const char *key, uint64_t length, uint64_t whole) noexcept:
        return self.workers == 1 or shard_of(hash_for_routing(key, length, whole), self.workers) == self.shard

    cdef bint enter(self, Waiter *waiter) noexcept:
        cdef uint64_t place
        if waiter.links == 0 or self.is_over(waiter) or self.find(waiter.stamp) != NULL:
            self._abandon(waiter)
            return False
        if self.count >= self.size:
            self._grow()
        place = waiter.stamp & (self.size - 1)
        waiter.chain = self.table[place]
        self.table[place] = waiter
        self.count += 1
        return True

    cdef void _grow(self) noexcept:
        cdef uint64_t size = 2 * self.size, index, place
        cdef Waiter **table = <Waiter **>calloc(size, sizeof(Waiter *))
        cdef Waiter *waiter
        cdef Waiter *following
        if table == NULL:
            return
        for index in range(self.size):
            waiter = self.table[index]
            while waiter != NULL:
                following = waiter.chain
                place = waiter.stamp & (size - 1)
                waiter.chain = table[place]
                table[place] = waiter
                waiter = following
        free(self.table)
        self.table, self.size = table, size

    cdef bint _queue(self, Link *link, int db, uint64_t hash, const char *key, uint64_t length) noexcept:
        """Puts a link into its key's queue, by its waiter's stamp; False: no memory."""
        cdef WaitKey *queue = waits_make(&self.waits, db, hash, key, length)
        cdef Link *before
        if queue == NULL:
            return False
        link.key = queue
        before = <Link *>queue.last
        while before != NULL and before.waiter.stamp > link.waiter.stamp:
            before = before.before
        link.before = before
        link.behind = before.behind if before != NULL else <Link *>queue.first
        if link.before != NULL:
            link.before.behind = link
        else:
            queue.first = link
        if link.behind != NULL:
            link.behind.before = link
        else:
            queue.last = link
        queue.waiters += 1
        if link.waiter.kind == WAIT_FOR_GROUP:
            queue.on_nokey += 1
            self.waits.keys_on_nokey += queue.on_nokey == 1
        return True

    # -- unmaking

    cdef void _unqueue(self, Link *link) noexcept:
        cdef WaitKey *queue = link.key
        if link.before != NULL:
            link.before.behind = link.behind
        else:
            queue.first = link.behind
        if link.behind != NULL:
            link.behind.before = link.before
        else:
            queue.last = link.before
        queue.waiters -= 1
        if link.waiter.kind == WAIT_FOR_GROUP:
            queue.on_nokey -= 1
            self.waits.keys_on_nokey -= queue.on_nokey == 0
        if queue.waiters == 0 and not queue.ready:
            waits_remove(&self.waits, queue)

    cdef void _abandon(self, Waiter *waiter) noexcept:
        """Of one that is in its queues and not in the table."""
        cdef uint32_t index
        for index in range(waiter.links):
            self._unqueue(&waiter.link[0] + index)
        free(waiter)

    cdef void remove(self, Waiter *waiter) noexcept:
        cdef Waiter **link = &self.table[waiter.stamp & (self.size - 1)]
        while link[0] != waiter:
            link = &link[0].chain
        link[0] = waiter.chain
        self.count -= 1
        self._abandon(waiter)

    def drop_acceptor(self, uint32_t acceptor, uint64_t before) -> None:
        """Removes what an acceptor that died has left: its waiters with stamps below `before`."""
        cdef uint64_t index
        cdef Waiter *waiter
        cdef Waiter *following
        for index in range(self.size):
            waiter = self.table[index]
            while waiter != NULL:
                following = waiter.chain
                if waiter.acceptor == acceptor and waiter.stamp < before:
                    self.remove(waiter)
                waiter = following
