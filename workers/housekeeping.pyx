"""The worker's own work: see housekeeping.pxd."""
import resource

from shardkv.atomic cimport atomic_load_relaxed, ticks
from shardkv.stats cimport (
    ACTIVE_EXPIRE_US,
    ARENA_BYTES,
    ARENA_ROOM,
    BLOCKING_KEYS,
    BLOCKING_KEYS_ON_NOKEY,
    CPU_SYS_US,
    CPU_USER_US,
    EXPIRED_KEYS,
    EXPIRED_SUBKEYS,
    EXPIRES,
    KEYS,
    KEYSPACE_HITS,
    KEYSPACE_MISSES,
    LAZYFREED_OBJECTS,
    LAZYFREE_PENDING,
    PAUSED_WORK,
    PEAK_MEMORY,
    SUBEXPIRY,
    USED_MEMORY,
    ProcessBlock,
)
from workers.call cimport Call, Shard
from workers.memory.arena cimport COMMIT_EXPIRY, COMMIT_INTERNAL, Arena
from workers.memory.dice cimport roll
from workers.memory.keyspace cimport EXPIRE_BUDGET, REAP_BUDGET, REAP_US, Keyspace
from workers.memory.table cimport table_sample_expiry

from shardkv.errors import OutOfMemory

cdef enum:
    EXPIRE_SLICES = 16        # of a tick when nothing is due …
    EXPIRE_TICK_US = 25_000   # … and the time that slices which delete may take in a tick
    DATABASES_COUNTED = 16
    DOUBLINGS_MAX = 10        # of a pause

    TTL_SAMPLES = 32          # of a database in a tick

cdef double TTL_SHARE = 1 / 16      # the least that a sample counts
cdef double TTL_SUM_MAX = 1e18

WORK_NAMES = ("freeing memory", "expiring keys")    # by Work


cdef class Housekeeping:
    def __init__(self, Execution execution, log: object) -> None:
        """Keeps the shard that `execution` serves."""
        self.execution = execution
        self.log = log

    cdef int count_death(self, uint32_t slot, int weight, int64_t now_ms) except -1:
        cdef ProcessBlock *block = self.execution.block
        cdef int work = EXPIRY if slot == COMMIT_EXPIRY else FREEING
        cdef uint64_t pause_ms = 0
        block.work_deaths[work] += weight
        if block.work_deaths[work] >= DEATHS_MAX:
            pause_ms = 1000 << min((block.work_deaths[work] - DEATHS_MAX) // WEIGHT_CRASH, <uint64_t>DOUBLINGS_MAX)
            pause_ms = min(pause_ms, <uint64_t>PAUSE_MAX_MS)
            self.log.warning(
                f"{WORK_NAMES[work]} killed the worker of shard {self.execution.index} again and again: "
                f"it pauses for {pause_ms // 1000} s"
            )
        block.work_resume_ms[work] = now_ms + pause_ms
        return 0

    cdef bint _may(self, Work work, int64_t now_ms) noexcept:
        return now_ms >= <int64_t>self.execution.block.work_resume_ms[<int>work]

    cdef int _forgive(self, int64_t now_ms) except -1:
        """Forgets deaths when it is time, and shows what pauses."""
        cdef ProcessBlock *block = self.execution.block
        cdef uint64_t paused = 0
        cdef int work
        for work in range(<int>WORKS):
            if not self._may(<Work>work, now_ms):
                paused |= 1 << work
            elif now_ms >= <int64_t>block.work_resume_ms[work] + FORGIVE_MS:
                block.work_deaths[work] = 0
        block.counters[<int>PAUSED_WORK] = paused
        return 0

    cdef int step(self, int64_t now_ms) except -1:
        cdef int more = self._free() if self._may(FREEING, now_ms) else 0
        if now_ms >= self.next_tick:
            self.next_tick = now_ms + TICK_MS
            self.expire_slices, self.expire_us = EXPIRE_SLICES, EXPIRE_TICK_US
            self.report_counters()
            self._report_usage()
            self._estimate_ttl()
            self._forgive(now_ms)
        if self.expire_slices > 0 and self._may(EXPIRY, now_ms) and not self._expiry_is_off():
            more |= self._expire()
        return more

    cdef bint _expiry_is_off(self) noexcept:
        return atomic_load_relaxed(&self.execution.page.header.expiry_off) != 0

    cdef int _free(self) except -1:
        """As many transactions of freeing as fit into a step's time; returns whether there is more to free."""
        cdef uint64_t started = ticks()
        while self._transact(FREEING):
            if self._us_since(started) >= REAP_US:
                return 1
        return 0

    cdef int _expire(self) except -1:
        """One transaction of expiry; returns whether the tick has time for another."""
        cdef uint64_t started = ticks(), spent
        cdef int deleted = self._transact(EXPIRY)
        spent = self._us_since(started)
        self.execution.block.counters[<int>ACTIVE_EXPIRE_US] += spent
        if deleted:
            self.expire_us -= <int64_t>spent
        else:
            self.expire_slices -= 1
        if self.expire_slices > 0 and self.expire_us > 0:
            return 1
        self.expire_slices = 0
        return self.report_counters()

    cdef int _transact(self, Work work) except -1:
        """Frees or expires once, in a transaction; returns what the keyspace returned, 0 in a full arena."""
        cdef Arena arena = self.execution.arena
        cdef Keyspace keyspace = self.execution.keyspace
        cdef int result, slot = COMMIT_INTERNAL if work == FREEING else COMMIT_EXPIRY
        arena.begin(slot, arena.header.commit[slot] + 1)
        try:
            result = keyspace.reap(REAP_BUDGET) if work == FREEING else keyspace.expire_some(EXPIRE_BUDGET)
            self.execution.changed |= arena.header.journal_used != 0
            arena.commit()
            return result
        except OutOfMemory:
            arena.rollback()
            return 0

    cdef uint64_t _us_since(self, uint64_t started) noexcept:
        return (ticks() - started) * 1000 // self.execution.page.header.ticks_per_ms

    # -- counters

    cdef int report_counters(self) except -1:
        cdef ProcessBlock *block = self.execution.block
        cdef Keyspace keyspace = self.execution.keyspace
        cdef Call call = self.execution.call
        cdef uint64_t used = self.execution.arena.header.used_bytes
        block.counters[<int>USED_MEMORY] = used
        if used > block.counters[<int>PEAK_MEMORY]:
            block.counters[<int>PEAK_MEMORY] = used
        block.counters[<int>EXPIRED_KEYS] += keyspace.expired
        block.counters[<int>EXPIRED_SUBKEYS] += keyspace.swept
        keyspace.expired = keyspace.swept = 0
        block.counters[<int>LAZYFREE_PENDING] = keyspace.to_reap()
        block.counters[<int>LAZYFREED_OBJECTS] += keyspace.reaped
        keyspace.reaped = 0
        block.counters[<int>BLOCKING_KEYS] = self.execution.waiters.waits.keys
        block.counters[<int>BLOCKING_KEYS_ON_NOKEY] = self.execution.waiters.waits.keys_on_nokey
        block.counters[<int>KEYSPACE_HITS] += call.hits
        block.counters[<int>KEYSPACE_MISSES] += call.misses
        call.hits = call.misses = 0
        if self.execution.changed:
            self.execution.changed = False
            self._report_databases(block, keyspace)
        return 0

    cdef int report_lent(self) except -1:
        """Tells of the shards that were changed on lease, before they are given back."""
        cdef Shard shard
        cdef ProcessBlock *block
        for shard in self.execution.leases.taken:
            block = self.execution.page.worker(shard.index)
            block.counters[<int>USED_MEMORY] = shard.arena.header.used_bytes
            self._report_databases(block, shard.keyspace)
        return 0

    cdef int _report_databases(self, ProcessBlock *block, Keyspace keyspace) except -1:
        cdef uint64_t keys = 0, expires = 0, subexpiry = 0
        cdef int db
        for db in range(min(<int>DATABASES_COUNTED, keyspace.databases)):
            block.database_keys[db] = keyspace.count(db)
            block.database_expires[db] = keyspace.expiring(db)
            subexpiry += keyspace.sweeping(db)
            keys += block.database_keys[db]
            expires += block.database_expires[db]
        block.counters[<int>KEYS] = keys
        block.counters[<int>EXPIRES] = expires
        block.counters[<int>SUBEXPIRY] = subexpiry
        return 0

    cdef int _estimate_ttl(self) except -1:
        """Samples when keys expire. The more of them a sample has, the more it weighs beside those before."""
        cdef Keyspace keyspace = self.execution.keyspace
        cdef uint64_t count, expires
        cdef double total, ttl
        cdef int db
        for db in range(min(<int>DATABASES_COUNTED, keyspace.databases)):
            expires = keyspace.expiring(db)
            total = 0
            count = table_sample_expiry(keyspace.arena, keyspace.table_of(db), roll(), TTL_SAMPLES, &total)
            if expires == 0:
                self.expiry_mean[db] = 0
            elif count and self.expiry_mean[db] == 0:
                self.expiry_mean[db] = total / count
            elif count:
                self.expiry_mean[db] += (total / count - self.expiry_mean[db]) * max(<double>count / expires, TTL_SHARE)
            ttl = max(0.0, self.expiry_mean[db] - keyspace.now_ms)
            self.execution.block.database_ttl_sum[db] = <uint64_t>min(ttl * expires, TTL_SUM_MAX)
        return 0

    cdef int _report_usage(self) except -1:
        cdef ProcessBlock *block = self.execution.block
        usage = resource.getrusage(resource.RUSAGE_SELF)
        block.counters[<int>CPU_USER_US] = <uint64_t>(<double>usage.ru_utime * 1e6)
        block.counters[<int>CPU_SYS_US] = <uint64_t>(<double>usage.ru_stime * 1e6)
        block.counters[<int>ARENA_BYTES] = self.execution.arena.header.backed_pages * 4096
        block.counters[<int>ARENA_ROOM] = self.execution.arena.room()
        return 0
