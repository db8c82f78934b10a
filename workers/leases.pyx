"""Arenas of other shards on lease: see leases.pxd for the protocol and its invariants."""
import os
import time

from libc.stdint cimport int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from shardkv.atomic cimport (
    atomic_exchange, atomic_fence, atomic_load_acquire, atomic_load_relaxed, atomic_or, atomic_store_release,
    atomic_store_relaxed, atomic_swap_if, ticks,
)
from shardkv.polling cimport pause
from shardkv.ring cimport REQUEST_MARKER, Marker, Participant, RequestRecord, Ring, RingPair, record_at
from shardkv.sleep cimport SLEEPS_FOR_LEASE, SLEEPS_FOR_RECORDS, SLEEPS_FOR_ROOM, delay_point, wake_if
from shardkv.stats cimport ControlPage
from workers.call cimport Shard
from workers.memory.arena cimport Arena
from workers.memory.collections cimport KeyspaceRoot
from workers.memory.databases cimport KEYSPACE_ROOT
from workers.memory.format cimport ArenaHeader
from workers.memory.journal cimport crash_point
from workers.memory.keyspace cimport Keyspace
from workers.transaction cimport settle

from shardkv.ring import RingPair as RingPairType
from workers.call import BadRecord
from workers.memory.arena import ArenaError

cdef enum:
    GIVE_WAY_US = 5             # to whoever was just woken to take the lock

RETRY_SECONDS = 0.001           # until an arena that is on lease is looked at again, at a start


def arena_path(folder: str, shard: int) -> str:
    """Where a shard's arena lies."""
    return os.path.join(folder, f"arena-{shard}")


def take_home(folder: str, shard: int, shards: int, databases: int, fresh: bool) -> Keyspace:
    """Takes the shard's arena over when nobody has it on lease, and opens its databases; the lock stays ours.

    First the arenas are settled that the shard's last worker had on lease (invariant 6).
    Raises ArenaError, KeyspaceError, OutOfMemory.
    """
    cdef Arena arena = Arena.attach(arena_path(folder, shard), shard, shards, own=True)
    cdef uint64_t own = shard + 1
    while not atomic_swap_if(&arena.header.lock, 0, own) and atomic_load_acquire(&arena.header.lock) != own:
        time.sleep(RETRY_SECONDS)
    crash_point()
    settle_others(folder, shard, shards, arena)
    arena.take_over(fresh)
    arena.header.user = own
    return Keyspace(arena, databases)


cdef int settle_others(object folder, uint32_t shard, uint32_t shards, Arena decider) except -1:
    """Settles every arena that this shard's last worker had on lease."""
    cdef uint32_t other
    cdef Arena arena
    for other in range(shards):
        if other == shard or lock_of(arena_path(folder, other)) != shard + 1:
            continue
        arena = Arena.attach(arena_path(folder, other), other, shards, own=False)
        if arena.open_under(decider.header):
            fault = arena.journal_fault()
            if fault:
                raise ArenaError(f"arena {arena.path} is damaged ({fault}): restore it, or move it away to start anew")
        settle(arena, decider)
        crash_point()
        atomic_store_release(&arena.header.lock, 0)
        crash_point()
        arena.close()
    return 0


cdef uint64_t lock_of(object path) except? 0xFFFFFFFFFFFFFFFF:
    """The lock word of an arena that need not be there, nor be one."""
    cdef ArenaHeader *header = NULL
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    try:
        return int.from_bytes(os.pread(fd, 8, <uint64_t>&header.lock), "little")
    finally:
        os.close(fd)


cdef class Leases:
    def __init__(self, assignment: dict, ControlPage page, Arena arena, Keyspace keyspace) -> None:
        """Leases of the worker of the shard assigned, whose arena and databases these are."""
        self.index, self.shards = assignment["index"], assignment["workers"]
        self.folder, self.databases, self.page = assignment["folder"], keyspace.databases, page
        self.wake_fds = assignment["worker_wake"]
        self.home = Shard(self.index, arena, keyspace)
        self.views = [None] * self.shards
        self.views[self.index] = self.home
        self.rings = [None] * (self.shards * <int>assignment["acceptors"])
        self.taken = []
        self.headers = <ArenaHeader **>calloc(self.shards, sizeof(ArenaHeader *))
        self.waiting_since = <int64_t *>calloc(assignment["acceptors"], sizeof(int64_t))
        if self.headers == NULL or self.waiting_since == NULL:
            raise MemoryError()
        self.headers[self.index] = arena.header

    def __dealloc__(self):
        free(self.headers)
        free(self.waiting_since)

    # -- views of other shards

    cdef Shard shard_at(self, uint32_t shard):
        """The shard of this number, its arena mapped; to be used only while its lock is held. Raises ArenaError."""
        cdef Arena arena
        cdef Shard view
        if self.views[shard] is None:
            arena = Arena.attach(arena_path(self.folder, shard), shard, self.shards, own=False)
            view = Shard(shard, arena, Keyspace.view(arena, self.databases))
            view.keyspace.touches = self.page.touches(<int>shard)
            self.views[shard] = view
            self.headers[shard] = arena.header
        return <Shard>self.views[shard]

    cdef ArenaHeader *header_of(self, uint64_t shard) except NULL:
        if shard >= self.shards:
            raise BadRecord(f"a record names shard {shard} of {self.shards}")
        if self.headers[shard] == NULL:
            self.shard_at(<uint32_t>shard)
        return self.headers[shard]

    cdef Ring *ring_of(self, int acceptor, uint32_t shard) except NULL:
        """The request ring of an acceptor to a shard, to be looked at. Raises RingError."""
        cdef size_t place = <size_t>acceptor * self.shards + shard
        if self.rings[place] is None:
            self.rings[place] = RingPairType.open(f"{self.folder}/ring-{acceptor}-{shard}")
        return &(<RingPair>self.rings[place]).request

    # -- our own lock

    cdef bint hold(self) noexcept:
        """Takes our own lock for a batch; False: another worker has our arena on lease."""
        cdef ArenaHeader *header = self.home.arena.header
        self.lent = self.shards > 1 and not self._try(header)
        if self.lent:
            return False
        if header.user != self.index + 1:
            self.home.arena.forget_private()
            header.user = self.index + 1
            self.regained = True
        return True

    cdef void give_back(self) noexcept:
        cdef ArenaHeader *header = self.home.arena.header
        cdef uint64_t until
        if self.shards == 1:
            return
        crash_point()
        atomic_store_release(&header.lock, 0)
        crash_point()
        if atomic_load_relaxed(&header.wanted):
            self.wake_wanting(header)
            until = ticks() + self.page.header.ticks_per_ms * GIVE_WAY_US // 1000
            while atomic_load_relaxed(&header.lock) == 0 and ticks() < until:
                pause()

    cdef void wake_wanting(self, ArenaHeader *header) noexcept:
        """Wakes who waits for a lock that was given back. Before we sleep it is asked once more, behind the fence:
        until then whoever wants the lock may have been overlooked."""
        cdef uint64_t wanting
        cdef uint32_t worker
        if not atomic_load_relaxed(&header.wanted):
            return
        wanting = atomic_exchange(&header.wanted, 0)
        delay_point()
        atomic_fence()
        for worker in range(self.shards):
            if wanting >> (worker & 63) & 1:
                wake_if(&self.page.worker(worker).sleeping, SLEEPS_FOR_LEASE, <int>self.wake_fds[worker])

    cdef bint could_hold(self) noexcept:
        return self.shards == 1 or self.is_free(self.home.arena.header)

    cdef bint is_free(self, ArenaHeader *header) noexcept:
        """Whether a lock could be taken now. If not, who has it is asked for it, once more: a bit set earlier may have
        been taken while we were awake."""
        cdef uint64_t lock = atomic_load_acquire(&header.lock)
        if lock != 0 and lock != self.index + 1:
            atomic_or(&header.wanted, <uint64_t>1 << (self.index & 63))
            delay_point()
            atomic_fence()
            lock = atomic_load_acquire(&header.lock)
        return lock == 0 or lock == self.index + 1

    cdef bint _try(self, ArenaHeader *header) noexcept:
        """Tries to take a lock, for up to TAKE_US; if that fails, our bit is in `wanted`."""
        cdef uint64_t own = self.index + 1, until
        if atomic_load_relaxed(&header.lock) == own or atomic_swap_if(&header.lock, 0, own):
            crash_point()
            return True
        atomic_or(&header.wanted, <uint64_t>1 << (self.index & 63))
        delay_point()
        until = ticks() + self.page.header.ticks_per_ms * TAKE_US // 1000
        while True:
            if atomic_load_relaxed(&header.lock) == 0 and atomic_swap_if(&header.lock, 0, own):
                crash_point()
                return True
            if ticks() > until:
                return False
            pause()

    # -- leased requests

    cdef Participant *participants(self, RequestRecord *record) except NULL:
        """Those of a leased request, checked: `record.participants` of them."""
        cdef uint64_t size = record.participants * sizeof(Participant)
        cdef Participant *first = <Participant *>(<char *>record + record.size - size)
        cdef uint64_t least = self.index + 1
        cdef uint32_t number
        if record.participants == 0 or record.size < sizeof(RequestRecord) + size:
            raise BadRecord("a leased request has no room for its participants")
        for number in range(record.participants):
            if not least <= first[number].shard < self.shards:
                raise BadRecord(f"participant {first[number].shard} of {self.shards} shards, from {least} on")
            least = first[number].shard + 1
        return first

    cdef bint decided(self, int acceptor, RequestRecord *marker) except -1:
        """Whether the request of a marker is."""
        cdef Marker *body = <Marker *>(marker + 1)
        if marker.size < sizeof(RequestRecord) + sizeof(Marker):
            raise BadRecord("a marker that is too short")
        return atomic_load_acquire(&self.header_of(body.executor).commit[acceptor]) >= body.position

    cdef bint arrived(self, int acceptor, RequestRecord *record) except -1:
        """Whether every participant of a leased request has arrived at its marker (invariant 2)."""
        cdef Participant *participant = self.participants(record)
        cdef uint32_t number
        for number in range(record.participants):
            if not self.has_arrived(acceptor, &participant[number]):
                return False
        return True

    cdef bint has_arrived(self, int acceptor, Participant *participant) except -1:
        cdef Ring *ring = self.ring_of(acceptor, <uint32_t>participant.shard)
        cdef uint64_t head, position
        cdef RequestRecord *record
        while True:
            head = position = atomic_load_acquire(&ring.shared.head)
            ring.seen = atomic_load_acquire(&ring.shared.tail)
            while position < participant.marker:
                record = <RequestRecord *>record_at(ring, position)
                if record == NULL or record.kind != REQUEST_MARKER or not self.decided_if_sound(acceptor, record):
                    break
                position += record.size
            # What was read belongs to the acceptor again if the head has moved, and may have been anything.
            atomic_fence()
            if atomic_load_acquire(&ring.shared.head) == head:
                return position == participant.marker

    cdef bint decided_if_sound(self, int acceptor, RequestRecord *marker) except -1:
        """`decided` of a record that may be overwritten while it is read."""
        cdef uint64_t executor = (<Marker *>(marker + 1)).executor
        if marker.size < sizeof(RequestRecord) + sizeof(Marker) or executor >= self.shards:
            return False
        return self.decided(acceptor, marker)

    cdef bint take(self, RequestRecord *record) except -1:
        """Takes the locks of a leased request's participants; False: not now, and none is held."""
        cdef Participant *participant = self.participants(record)
        cdef Shard shard
        cdef uint32_t number
        if self.has_taken(participant, record.participants):
            return True
        self.give_back_taken()
        for number in range(record.participants):
            shard = self.shard_at(<uint32_t>participant[number].shard)
            if not self._try(shard.arena.header):
                self.give_back_taken()
                return False
            self.taken.append(shard)
            if self.is_stirred(shard.index) or not self.enter(shard):
                self.give_back_taken()
                return False
        return True

    cdef Shard take_one(self, uint32_t number):
        cdef Shard shard
        for shard in self.taken:
            if shard.index == <int>number:
                return shard
        shard = self.shard_at(number)
        if not self._try(shard.arena.header):
            return None
        self.taken.append(shard)
        if self.is_stirred(number) or not self.enter(shard):
            self.give_back_taken()
            return None
        return shard

    cdef bint could_take_one(self, uint32_t number) except -1:
        """Whether `take_one` might succeed now."""
        return not self.is_stirred(number) and self.is_free(self.header_of(number))

    cdef bint is_stirred(self, uint32_t shard) noexcept:
        """Whether a shard's owner has to look at something before others have the arena on lease; it is asked to."""
        if atomic_load_acquire(&self.page.touches(<int>shard).stirred) == 0:
            return False
        if self.headers[shard] != NULL:
            atomic_or(&self.headers[shard].wanted, <uint64_t>1 << (self.index & 63))
        return True

    cdef bint could_take(self, RequestRecord *record) except -1:
        """Whether `take` might succeed now."""
        cdef Participant *participant = self.participants(record)
        cdef uint32_t number
        for number in range(record.participants):
            if self.is_stirred(<uint32_t>participant[number].shard):
                return False
            if not self.is_free(self.header_of(participant[number].shard)):
                return False
        return True

    cdef bint has_taken(self, Participant *participant, uint32_t count) noexcept:
        cdef uint32_t number
        if <uint32_t>len(self.taken) != count:
            return False
        for number in range(count):
            if (<Shard>self.taken[number]).index != <int>participant[number].shard:
                return False
        return True

    cdef bint enter(self, Shard shard) except -1:
        """Makes the view of a shard just leased true again; False: its worker has yet to make its databases."""
        cdef ArenaHeader *header = shard.arena.header
        cdef Keyspace keyspace = shard.keyspace, home = self.home.keyspace
        if header.user != self.index + 1:
            shard.arena.forget_private()
            header.user = self.index + 1
        keyspace.root = header.roots[<int>KEYSPACE_ROOT]
        if not keyspace.root or (<KeyspaceRoot *>shard.arena.at(keyspace.root)).databases < <uint64_t>self.databases:
            return False
        keyspace.now_ms, keyspace.clock, keyspace.lazy_expire = home.now_ms, home.clock, home.lazy_expire
        return True

    cdef bint taken_wanted(self) noexcept:
        """Whether anybody waits for a lock that we have taken."""
        cdef Shard shard
        for shard in self.taken:
            if atomic_load_relaxed(&shard.arena.header.wanted):
                return True
        return False

    cdef void give_back_taken(self) noexcept:
        """Gives all locks but our own back, and wakes who waits for them, at the marker of what was decided, or for a
        participant that arrived by that."""
        cdef Shard shard
        if not self.taken:
            return
        for shard in self.taken:
            crash_point()
            atomic_store_release(&shard.arena.header.lock, 0)
            crash_point()
            delay_point()
            atomic_store_relaxed(&shard.arena.header.wanted, 0)
        self.wake_all()
        for shard in self.taken:
            if atomic_load_relaxed(&self.page.touches(shard.index).stirred):
                wake_if(
                    &self.page.worker(shard.index).sleeping,
                    SLEEPS_FOR_RECORDS | SLEEPS_FOR_ROOM | SLEEPS_FOR_LEASE, <int>self.wake_fds[shard.index],
                )
        self.taken = []

    cdef void wake_all(self) noexcept:
        """Wakes everybody who sleeps for a lease: what was decided or given back may be news to them."""
        cdef uint32_t worker
        atomic_fence()
        for worker in range(self.shards):
            if worker != self.index:
                wake_if(&self.page.worker(worker).sleeping, SLEEPS_FOR_LEASE, <int>self.wake_fds[worker])

    cdef void wake_executor(self, RequestRecord *marker) noexcept:
        """Behind a published head at this marker: its executor may wait for that."""
        cdef uint64_t executor = (<Marker *>(marker + 1)).executor
        if marker.size >= sizeof(RequestRecord) + sizeof(Marker) and executor < self.shards:
            wake_if(&self.page.worker(<int>executor).sleeping, SLEEPS_FOR_LEASE, <int>self.wake_fds[executor])

    # -- patience

    cdef void note_wait(self, int acceptor, int64_t now_ms) noexcept:
        """A leased request of this acceptor cannot be executed now."""
        if self.waiting_since[acceptor] == 0:
            self.waiting_since[acceptor] = now_ms

    cdef bint hangs(self, int acceptor, RequestRecord *record, int64_t now_ms) except -1:
        """Whether a request that could not be executed waits for a worker that hangs (invariant 4)."""
        cdef Participant *participant = self.participants(record)
        cdef int64_t patience = <int64_t>HUNG_MS << min(record.part, <int>HUNG_DOUBLINGS)
        cdef uint64_t lock
        cdef uint32_t number
        if self.waiting_since[acceptor] == 0 or now_ms - self.waiting_since[acceptor] < patience:
            return False
        for number in range(record.participants):
            lock = atomic_load_acquire(&self.header_of(participant[number].shard).lock)
            if lock != 0 and lock != self.index + 1 and self.is_still(lock - 1, now_ms - patience):
                return True
            if self.is_still(participant[number].shard, now_ms - patience):
                if not self.has_arrived(acceptor, &participant[number]):
                    return True
                if self.is_stirred(<uint32_t>participant[number].shard):
                    return True
        return False

    cdef bint is_still(self, uint64_t worker, int64_t since_ms) noexcept:
        """Whether a worker's loop has not turned since then."""
        return <int64_t>atomic_load_relaxed(&self.page.worker(<int>worker).turned_ms) < since_ms
