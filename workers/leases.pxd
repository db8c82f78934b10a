"""Leases: a request on keys of several shards is executed by one worker, which has the arenas of the others on lease.

The acceptor appends the request T to the ring of its *executor* E, the lowest of its shards, and a marker to the ring
of each other *participant*, all or none (shardkv/acceptor/requests.pxd). Then, for T of acceptor a:

    participant   meets the marker and waits there, with this ring only, until T is decided
    executor      meets T and waits there, with this ring only, until every participant has arrived at its marker
                  takes the participants' locks, upward
                  executes T as ordinary code over all arenas; one store decides (workers/transaction.pxd)
                  gives the locks back, wakes who waits

Shared words, in each arena's header, but for the last two:
    lock          0, or 1 + the shard whose worker has the arena. From 0 by compare-and-swap only, to 0 by its holder,
                  or by the holder's successor
    wanted        bits of those that wait for the lock: set when they find it taken, and again before they sleep for
                  it; taken by who gives it back, who wakes them
    user          1 + who had it last: stored behind taking it, by whoever finds another
    commit[a]     of E: decides T, and lets participants pass its marker
    head          of ring (a, p): that p has arrived

Invariants
 1. An arena is read for a client, and changed, by the holder of its lock only. An owner holds its own for a batch of
    requests or a step of its own work; never while it sleeps.
 2. p has arrived when the published head of ring (a, p) is T's marker, or between the two lie only markers of requests
    that are decided. All before it is executed then, committed and replied to. So a participant that sleeps, or is
    dead, need do nothing.
 3. Having arrived is for good until T is decided: p passes a marker when E.commit[a] has reached the marker's position,
    and no sooner. A marker leaves no reply and is no commit.
 4. Who executes holds its own lock and takes the others upward. It waits for none of them longer than TAKE_US, gives
    all but its own back when it has to wait longer, and tries again behind other work: so there is no deadlock, and a
    participant that hangs holds nobody up but T's ring. Nor that for long: a participant that has not arrived, or
    whoever has its lock, and does not turn (turned_ms) for HUNG_MS, has T replied to by REPLY_AGAIN. Nothing was done,
    its markers are void as those of anything decided, and the acceptor sends it again. Each time it was sent (the
    record's `part` counts that) the executor is twice as patient.
 5. Who finds another `user` than itself forgets what it knew of the arena (Arena.forget_private): cursors, how far the
    journal is provided, what it saved.
 6. A death leaves locks held. The successor of E finds those of E in every arena. Before it does anything else it
    settles each of these arenas by E's commit word, and gives it back; then it takes its own shard over. An owner's
    successor waits until its arena's lock is free or its own, before it looks at the journal.
    This holds at a start of everything too: the words are in the arenas, and commit words are zeroed behind it.
 7. Nobody who holds an arena of others waits for a process other than by 4, and a holder that was stopped holds up
    those who need that arena only.
 8. Who gives its own lock back wakes whoever's bit it took from `wanted`; who gives others' back, having decided
    something, wakes everybody: participants at its marker, those who want the locks, and executors for whom
    somebody has arrived as the marker before theirs can be passed; who publishes a head behind which a marker lies
    wakes the executor: each behind a fence, if it sleeps for a lease (shardkv/sleep.pxd, invariants 2 and 3). Who
    goes to sleep at a marker behind which there is nothing to execute does not sleep for a lease: nobody need wake
    it.
 9. A lease that changed a key which somebody waits for says so in the shard's `stirred` (workers/memory/waits.pxd),
    before the commit. Until the owner has looked at it, who takes the lock gives it back, and the owner is woken.
10. What a record says of shards and positions is checked before it is used (BadRecord).
"""
from libc.stdint cimport int64_t, uint32_t, uint64_t

from shardkv.atomic cimport atomic_load_relaxed
from shardkv.ring cimport Participant, RequestRecord, Ring
from shardkv.stats cimport ControlPage
from workers.call cimport Shard
from workers.memory.arena cimport Arena
from workers.memory.format cimport ArenaHeader

cdef enum:
    TAKE_US = 50                # to wait for a lock, before the worker does something else
    HUNG_MS = 100               # the first time; doubled for each time that the request was sent before
    HUNG_DOUBLINGS = 10

cdef class Leases:
    cdef readonly uint32_t index
    cdef readonly uint32_t shards
    cdef object folder
    cdef int databases
    cdef ControlPage page
    cdef list wake_fds          # eventfd of each worker
    cdef Shard home
    cdef list views             # Shard by number, as far as needed
    cdef list rings             # RingPair of acceptor * shards + shard, likewise
    cdef ArenaHeader **headers  # by number; NULL: not needed yet
    cdef readonly list taken    # Shards beside home whose locks we hold, ascending
    cdef bint lent              # our own arena is on lease: `hold` failed
    cdef bint regained          # … and was, since this was last set to False: another worker may have changed it
    cdef int64_t *waiting_since  # by acceptor, ms: its leased request cannot be executed since then; 0: it can

    cdef Shard shard_at(self, uint32_t shard)
    cdef ArenaHeader *header_of(self, uint64_t shard) except NULL
    cdef Ring *ring_of(self, int acceptor, uint32_t shard) except NULL
    # Our own lock.
    cdef bint hold(self) noexcept
    cdef void give_back(self) noexcept
    cdef void wake_wanting(self, ArenaHeader *header) noexcept
    cdef bint could_hold(self) noexcept
    cdef bint is_free(self, ArenaHeader *header) noexcept
    cdef bint _try(self, ArenaHeader *header) noexcept
    cdef inline bint wanted(self) noexcept:
        """Whether anybody waits for our own."""
        return atomic_load_relaxed(&self.home.arena.header.wanted) != 0
    # Those of a leased request.
    cdef Participant *participants(self, RequestRecord *record) except NULL
    cdef bint decided(self, int acceptor, RequestRecord *marker) except -1
    cdef bint decided_if_sound(self, int acceptor, RequestRecord *marker) except -1
    cdef bint arrived(self, int acceptor, RequestRecord *record) except -1
    cdef bint has_arrived(self, int acceptor, Participant *participant) except -1
    cdef bint take(self, RequestRecord *record) except -1
    cdef bint could_take(self, RequestRecord *record) except -1
    # One more shard, for a waiter that is served (workers/serving.pxd); None: not now.
    cdef Shard take_one(self, uint32_t number)
    cdef bint could_take_one(self, uint32_t number) except -1
    cdef bint is_stirred(self, uint32_t shard) noexcept
    cdef bint has_taken(self, Participant *participant, uint32_t count) noexcept
    cdef bint enter(self, Shard shard) except -1
    cdef bint taken_wanted(self) noexcept
    cdef void give_back_taken(self) noexcept
    # Others' sleep.
    cdef void wake_all(self) noexcept
    cdef void wake_executor(self, RequestRecord *marker) noexcept
    # Patience.
    cdef void note_wait(self, int acceptor, int64_t now_ms) noexcept
    cdef bint hangs(self, int acceptor, RequestRecord *record, int64_t now_ms) except -1
    cdef bint is_still(self, uint64_t worker, int64_t since_ms) noexcept
