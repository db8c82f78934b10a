"""Requests that may block: see waiters.pxd."""
from libc.stdint cimport INT64_MAX
from libc.stdlib cimport calloc, free, malloc, realloc
from libc.string cimport memcpy, memset
from posix.time cimport CLOCK_MONOTONIC, clock_gettime, timespec

from shardkv.acceptor.client cimport (
    WAIT_TRANSACTION, client_await_arrival, client_await_key, client_doom, client_enqueue, client_resume, deliver,
    frame_arguments,
)
from shardkv.acceptor.input cimport input_consumed, input_next_request
from shardkv.acceptor.parser cimport Frame
from shardkv.atomic cimport atomic_add, atomic_load_acquire
from shardkv.claims cimport CLAIM_DONE, CLAIM_SHARD, CLAIM_WAITING
from shardkv.hashing cimport hash_for_routing, hash_key, shard_of
from shardkv.ring cimport NO_TOUCH, REQUEST_INTERNAL, RequestRecord, WaitFacts
from shardkv.stats cimport BLOCKED_CLIENTS, CLIENTS_IN_TIMEOUT_TABLE

from shardkv.segment import SegmentError, no_segment

cdef enum:
    RETRY_US = 10_000          # until a deadline is looked at again whose claim a worker has
    LONGEST_MS = 1 << 40       # of a timer's time

UNBLOCKED = b"-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n"


cdef int64_t monotonic_us() noexcept nogil:
    cdef timespec now
    clock_gettime(CLOCK_MONOTONIC, &now)
    return now.tv_sec * <int64_t>1000000 + now.tv_nsec // 1000


cdef inline uint32_t *lengths_of(Waiter *waiter) noexcept nogil:
    return <uint32_t *>(waiter + 1)


cdef inline char *argument(Waiter *waiter, uint32_t index) noexcept nogil:
    cdef char *at = <char *>(lengths_of(waiter) + waiter.argc)
    cdef uint32_t before
    for before in range(index):
        at += lengths_of(waiter)[before]
    return at


cdef class Waiters:
    def __init__(
        self, ControlPage page, ClientTable clients, Requests requests, Claims claims, arm: object
    ) -> None:
        """Nobody waits; the workers are told to forget who waited with a predecessor."""
        cdef uint32_t worker
        self.page, self.clients, self.requests, self.claims, self.arm = page, clients, requests, claims, arm
        self.workers = requests.workers
        self.epochs = <uint64_t *>calloc(self.workers, sizeof(uint64_t))
        if self.epochs == NULL:
            raise MemoryError
        claims.forget()
        stamp = (atomic_add(&page.header.last_stamp, 1) + 1).to_bytes(8, "little")
        for worker in range(self.workers):
            self.epochs[worker] = atomic_load_acquire(&page.worker(worker).waiting_epoch)
            self._post(worker, NULL, [b"@forget-waiters", stamp])

    def __dealloc__(self):
        free(self.epochs)
        free(self.heap)

    # -- its first try

    cdef Waiter *_new(self, uint32_t argc, uint64_t bytes) noexcept nogil:
        cdef Waiter *waiter = <Waiter *>malloc(sizeof(Waiter) + bytes)
        if waiter != NULL:
            memset(waiter, 0, sizeof(Waiter))
            waiter.argc, waiter.bytes = argc, bytes
        return waiter

    cdef bint begin(self, Client *client):
        if client.stamp:
            return True  # it is sent again
        if not self.claims.provide(client.place):
            return False
        client.stamp = atomic_add(&self.page.header.last_stamp, 1) + 1
        self.claims.begin(client.place, client.token, client.stamp)
        return True

    cdef void forget(self, Client *client):
        if client.stamp:
            self._take(client)
            client.stamp = 0

    cdef bint postpone(self, Client *client, uint64_t sequence, int64_t timeout_ms, bytes reply):
        cdef Waiter *waiter = self._new(0, len(reply)) if self.claims.provide(client.place) else NULL
        if waiter == NULL:
            return False
        memcpy(lengths_of(waiter), <const char *>reply, len(reply))
        self.begin(client)
        waiter.client, waiter.sequence, waiter.resp, waiter.postponed = client, sequence, client.resp, True
        self._enlist(waiter, <uint64_t>timeout_ms)
        self._show(waiter)
        return True

    cdef void _enlist(self, Waiter *waiter, uint64_t timeout_ms):
        """It is blocked from here on, for so long at most; 0: for ever."""
        waiter.stamp = waiter.client.stamp
        waiter.client.waiter, waiter.client.waiter_bytes = waiter, sizeof(Waiter) + waiter.bytes
        client_await_key(waiter.client)
        waiter.before, waiter.behind = self.last, NULL
        if self.last != NULL:
            self.last.behind = waiter
        else:
            self.first = waiter
        self.last = waiter
        self.count += 1
        if timeout_ms:
            waiter.deadline_us = monotonic_us() + <int64_t>min(timeout_ms, <uint64_t>INT64_MAX // 4000) * 1000
            if not self._heap_add(waiter):
                client_doom(self.hub, waiter.client)
            self._set_timer()

    # -- the wait

    cdef int blocked(self, Client *client, uint32_t worker, const char *body, uint64_t length) except -1:
        cdef Waiter *waiter = <Waiter *>client.waiter
        cdef const Blocked *told = <const Blocked *>body
        if waiter != NULL:
            waiter.missing -= waiter.missing > 0
            self._show(waiter)
        if waiter != NULL or length == 0 or client.waiting != WAIT_TRANSACTION:
            return 0
        if length < sizeof(Blocked) or told.keys > client.frame.argc or told.first > client.frame.argc - told.keys:
            raise ValueError("a worker tells of a wait that does not fit its request")
        waiter = self._copied(client, told, length)
        self._enlist(waiter, told.timeout_ms)
        client.ready = False
        input_next_request(client)
        input_consumed(client)
        for shard in self._shards(waiter):
            if shard != worker or told.epoch != self.epochs[worker]:
                self._tell(waiter, shard)
                if client.waiter == NULL:
                    return 0
        self._show(waiter)
        return 0

    cdef Waiter *_copied(self, Client *client, const Blocked *told, uint64_t length) except NULL:
        """The request that is in the client's frame, with other arguments where the worker tells them."""
        cdef Frame *frame = &client.frame
        cdef const char *more = <const char *>(told + 1)
        cdef uint64_t at = 0, size, left = length - sizeof(Blocked)
        cdef uint32_t index, _number
        cdef Waiter *waiter
        cdef bytes body
        words = frame_arguments(client)
        for _number in range(told.replacements):
            if left - at < 8:
                raise ValueError("a worker's replacements do not fit")
            index, size = (<const uint32_t *>(more + at))[0], (<const uint32_t *>(more + at))[1]
            if index >= frame.argc or size > left - at - 8:
                raise ValueError("a worker's replacements do not fit")
            words[index] = more[at + 8:at + 8 + size]
            at += 8 + (size + 7) // 8 * 8
        body = b"".join([*[len(word).to_bytes(4, "little") for word in words], *words])
        waiter = self._new(frame.argc, len(body))
        if waiter == NULL:
            raise MemoryError
        memcpy(lengths_of(waiter), <const char *>body, len(body))
        waiter.client, waiter.sequence = client, client.next_request - 1
        waiter.command, waiter.database, waiter.resp = client.last_command, client.database, client.resp
        waiter.flags = NO_TOUCH if client.no_touch else 0
        waiter.first, waiter.keys, waiter.kind = told.first, told.keys, <uint16_t>told.kind
        waiter.hash = told.hash
        return waiter

    cdef void _show(self, Waiter *waiter) noexcept:
        """It is blocked for everybody to see when all workers have it."""
        if not waiter.missing and not waiter.counted:
            waiter.counted = True
            self.hub.counters[<int>BLOCKED_CLIENTS] += 1
            if waiter.client.hangup or waiter.client.closing:
                client_doom(self.hub, waiter.client)  # it cannot be told, and takes nothing from others

    # -- what workers are told

    cdef uint32_t _shard_of(self, Waiter *waiter, uint32_t key) noexcept:
        cdef char *text = argument(waiter, waiter.first + key)
        cdef uint32_t length = lengths_of(waiter)[waiter.first + key]
        return shard_of(hash_for_routing(text, length, hash_key(text, length)), self.workers)

    cdef list _shards(self, Waiter *waiter):
        cdef uint32_t key
        if self.workers == 1 and waiter.keys:
            return [0]
        return sorted({self._shard_of(waiter, key) for key in range(waiter.keys)})

    cdef int _tell(self, Waiter *waiter, uint32_t shard) except -1:
        cdef WaitFacts facts
        cdef uint32_t index
        cdef char *at = argument(waiter, 0)
        facts.token, facts.sequence, facts.stamp = waiter.client.token, waiter.sequence, waiter.stamp
        facts.first, facts.keys, facts.kind, facts._pad = waiter.first, waiter.keys, waiter.kind, 0
        words = [b"@wait", (<char *>&facts)[:sizeof(facts)]]
        for index in range(waiter.argc):
            words.append(at[:lengths_of(waiter)[index]])
            at += lengths_of(waiter)[index]
        try:
            self._post(shard, waiter, words)
            waiter.missing += 1
        except SegmentError as error:
            if self._take(waiter.client):
                self._end_with(waiter, b"-%b\r\n" % no_segment(error.number).encode())
        return 0

    cdef int _untell(self, Waiter *waiter, uint32_t shard) except -1:
        return self._post(shard, waiter, [b"@unwait", (<char *>&waiter.stamp)[:sizeof(uint64_t)]])

    cdef int _post(self, uint32_t worker, Waiter *waiter, list words) except -1:
        """An internal request, whose reply comes to the waiter's client; NULL: to nobody. Raises SegmentError."""
        cdef RequestRecord head
        memset(&head, 0, sizeof(head))
        head.kind, head.part = REQUEST_INTERNAL, <uint16_t>worker
        head.token = waiter.client.token if waiter != NULL else self.requests.internal_token
        head.resp = 3
        if waiter != NULL:
            head.sequence, head.hash, head.command = waiter.sequence, waiter.hash, waiter.command
            head.database, head.resp, head.flags = waiter.database, waiter.resp, waiter.flags
        return self.requests.post(worker, &head, words)

    # -- the end

    cdef bint _take(self, Client *client) noexcept:
        """Takes the claim; False: a worker has it."""
        return self.claims.change(client.place, client.stamp, CLAIM_WAITING, CLAIM_DONE)

    cdef bint settle(self, Client *client, uint64_t sequence, uint32_t worker):
        cdef uint64_t state
        cdef int served = -1
        if sequence != client.next_request - 1:
            return True
        if not self._take(client):
            state = self.claims.state(client.place, client.stamp)
            if state != CLAIM_DONE and state != CLAIM_SHARD + worker:
                return False
            served = <int>worker
        if client.waiter != NULL:
            self._end(<Waiter *>client.waiter, served)
        client.stamp = 0
        return True

    cdef void _end(self, Waiter *waiter, int told):
        """It is over; worker `told` need not be told (-1: all are). What comes next is its reply."""
        cdef Client *client = waiter.client
        for shard in self._shards(waiter):
            if shard != told:
                self._untell(waiter, shard)
        if waiter.before != NULL:
            waiter.before.behind = waiter.behind
        else:
            self.first = waiter.behind
        if waiter.behind != NULL:
            waiter.behind.before = waiter.before
        else:
            self.last = waiter.before
        self.count -= 1
        if waiter.heap_place:
            self._heap_remove(waiter)
        if waiter.counted:
            self.hub.counters[<int>BLOCKED_CLIENTS] -= 1
        if waiter.postponed:
            client_resume(self.hub, client)
        else:
            client_await_arrival(client)
        client.waiter, client.waiter_bytes, client.stamp = NULL, 0, 0
        free(waiter)
        if client.fd >= 0:
            client_enqueue(self.hub, client)

    cdef void _end_with(self, Waiter *waiter, bytes reply):
        cdef Client *client = waiter.client
        cdef uint64_t sequence = waiter.sequence
        self._end(waiter, -1)
        deliver(self.hub, client, sequence, reply, len(reply))

    cdef bint unblock(self, Client *client, bint with_error):
        cdef Waiter *waiter = <Waiter *>client.waiter
        if waiter == NULL or not waiter.counted or not self._take(client):
            return False
        self._end_with(waiter, UNBLOCKED if with_error else null_of(waiter))
        return True

    cdef void drop(self, Client *client):
        if client.stamp:
            self._take(client)
        if client.waiter != NULL:
            self._end(<Waiter *>client.waiter, -1)
        client.stamp = 0

    # -- workers that took over

    cdef void look(self):
        cdef uint64_t epoch
        cdef uint32_t worker
        if self.count == 0:
            return
        for worker in range(self.workers):
            epoch = atomic_load_acquire(&self.page.worker(worker).waiting_epoch)
            if epoch != self.epochs[worker]:
                self.epochs[worker] = epoch
                self._tell_all(worker)

    def _tell_all(self, uint32_t worker):
        """Tells a worker of all who wait for keys of its shard; and others that know of them, as the worker that died
        may have had the claim of one, and kept others from serving it."""
        cdef Waiter *waiter = self.first
        cdef Waiter *behind
        cdef Client *client
        while waiter != NULL:
            behind = waiter.behind
            client = waiter.client
            shards = self._shards(waiter)
            for shard in shards if worker in shards else ():
                self._tell(waiter, shard)
                if client.waiter != waiter:
                    break
            waiter = behind

    # -- deadlines

    def expire(self) -> None:
        """The timer: ends the waits whose time is over."""
        cdef int64_t now = monotonic_us()
        cdef Waiter *waiter
        self.armed_us = 0
        while self.heap_count and self.heap[1].deadline_us <= now:
            waiter = self.heap[1]
            if self._take(waiter.client):
                self._end_with(waiter, null_of(waiter))
            else:  # its reply is coming, unless the worker that has the claim dies
                waiter.deadline_us = now + RETRY_US
                self._sift(1)
        self._set_timer()

    cdef void _set_timer(self):
        cdef int64_t wait_ms
        if self.heap_count == 0 or self.armed_us and self.armed_us <= self.heap[1].deadline_us:
            return
        self.armed_us = self.heap[1].deadline_us
        wait_ms = max((self.armed_us - monotonic_us() + 999) // 1000, <int64_t>0)
        self.arm(min(wait_ms, <int64_t>LONGEST_MS))

    cdef bint _heap_add(self, Waiter *waiter) noexcept:
        cdef uint32_t room
        cdef void *grown
        if self.heap_count + 2 > self.heap_room:
            room = max(<uint32_t>64, 2 * self.heap_room)
            grown = realloc(self.heap, room * sizeof(Waiter *))
            if grown == NULL:
                return False
            self.heap, self.heap_room = <Waiter **>grown, room
        self.heap_count += 1
        self.heap[self.heap_count] = waiter
        waiter.heap_place = self.heap_count
        self._sift(self.heap_count)
        self.hub.counters[<int>CLIENTS_IN_TIMEOUT_TABLE] = self.heap_count
        return True

    cdef void _heap_remove(self, Waiter *waiter) noexcept:
        cdef uint32_t place = waiter.heap_place
        cdef Waiter *moved = self.heap[self.heap_count]
        self.heap_count -= 1
        self.hub.counters[<int>CLIENTS_IN_TIMEOUT_TABLE] = self.heap_count
        waiter.heap_place = 0
        if moved != waiter:
            self.heap[place] = moved
            moved.heap_place = place
            self._sift(place)

    cdef void _sift(self, uint32_t place) noexcept:
        """Moves what is at a place to where it belongs."""
        cdef Waiter *waiter = self.heap[place]
        cdef uint32_t child
        while place > 1 and self.heap[place // 2].deadline_us > waiter.deadline_us:
            self.heap[place] = self.heap[place // 2]
            self.heap[place].heap_place = place
            place //= 2
        while 2 * place <= self.heap_count:
            child = 2 * place
            if child < self.heap_count and self.heap[child + 1].deadline_us < self.heap[child].deadline_us:
                child += 1
            if self.heap[child].deadline_us >= waiter.deadline_us:
                break
            self.heap[place] = self.heap[child]
            self.heap[place].heap_place = place
            place = child
        self.heap[place] = waiter
        waiter.heap_place = place


cdef bytes null_of(Waiter *waiter):
    """The reply when its time is over."""
    if waiter.postponed:
        return (<char *>lengths_of(waiter))[:waiter.bytes]
    return b"_\r\n" if waiter.resp == 3 else b"*-1\r\n"
