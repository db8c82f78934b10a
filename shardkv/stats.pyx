"""The control page: see stats.pxd for layout and invariants."""
import os
import time

from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.errno cimport errno
from libc.string cimport memcpy, memset, strerror
from posix.mman cimport MAP_FAILED, MAP_SHARED, PROT_READ, PROT_WRITE, mmap, munmap

from shardkv.atomic cimport (
    atomic_add, atomic_fence, atomic_load_acquire, atomic_load_relaxed, atomic_store_relaxed, atomic_store_release,
    ticks,
)

from shardkv.files import provided

cdef enum:
    HEADER_BYTES = 4096
    BLOCKS_START = HEADER_BYTES + 2 * SETTINGS_BYTES
    VERSION = 4
    DATABASES_COUNTED = 16

MAGIC = 0x7368_6b76_6374_726c  # "shkvctrl"

COUNTER_NAMES = (
    "connections_received", "rejected_connections", "connected_clients", "blocked_clients", "commands_processed",
    "net_input_bytes", "net_output_bytes", "expired_keys", "evicted_keys", "keyspace_hits", "keyspace_misses",
    "error_replies", "query_buffer_disconnects", "output_buffer_disconnects", "largest_input", "largest_output",
    "client_memory", "used_memory", "peak_memory", "arena_bytes", "keys", "expires", "pid", "restarts", "started_ms",
    "active_expire_us", "expire_cycles_cut", "lazyfree_pending", "lazyfreed_objects", "wake_ups", "rollbacks",
    "recovered_replies", "expired_stale_perc", "cpu_user_us", "cpu_sys_us", "total_active_expire_samples", "changes",
    "expired_subkeys", "paused_work", "subexpiry", "watching_clients", "watched_keys", "leased_requests",
    "requests_again", "clients_in_timeout_table", "blocking_keys", "blocking_keys_on_nokey", "arena_room",
)
# CONFIG RESETSTAT leaves what is a level, not a count.
_LEVELS = frozenset((
    "connected_clients", "blocked_clients", "client_memory", "used_memory", "arena_bytes", "keys", "expires", "pid",
    "restarts", "changes", "started_ms", "lazyfree_pending", "cpu_user_us", "cpu_sys_us", "paused_work",
    "subexpiry", "watching_clients", "watched_keys", "clients_in_timeout_table", "blocking_keys",
    "blocking_keys_on_nokey", "arena_room",
))


class ControlPageError(Exception):
    """The control page cannot be mapped or does not fit; the text is one line for the operator."""


cdef uint64_t page_size(uint64_t acceptors, uint64_t workers) noexcept:
    cdef uint64_t processes = acceptors + workers
    return (
        BLOCKS_START + (1 + processes) * sizeof(ProcessBlock) + processes * COMMANDS_MAX * sizeof(CommandBlock)
        + workers * sizeof(Touches)
    )


def control_bytes(acceptors: int, workers: int) -> int:
    """Length of the file of a control page."""
    return page_size(acceptors, workers)


def _measure_ticks_per_ms() -> int:
    # A few milliseconds against the monotonic clock: statistics need no better.
    started, before = time.monotonic_ns(), ticks()
    while time.monotonic_ns() - started < 3_000_000:
        pass
    return max(1, (ticks() - before) * 1_000_000 // (time.monotonic_ns() - started))


cdef class ControlPage:
    @staticmethod
    def create(path: str, acceptors: int, workers: int) -> "ControlPage":
        """Makes the control page of an instance, of an earlier run's file if there is one, and maps it.

        Raises OSError, ControlPageError.
        """
        fd = provided(path, page_size(acceptors, workers))
        try:
            os.pwrite(fd, bytes(page_size(acceptors, workers)), 0)
            words = (MAGIC, VERSION, acceptors, workers, time.time_ns() // 1_000_000, 1, 0, _measure_ticks_per_ms())
            os.pwrite(fd, b"".join(word.to_bytes(8, "little") for word in words), 0)
        finally:
            os.close(fd)
        return ControlPage.open(path)

    @staticmethod
    def open(path: str) -> "ControlPage":
        """Maps an existing control page. Raises ControlPageError when it is not one of this version."""
        cdef ControlPage page = ControlPage()
        cdef void *address
        cdef int fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        try:
            words = [int.from_bytes(os.pread(fd, 8, 8 * index), "little") for index in range(4)]
            page._size = page_size(words[2], words[3]) if words[:2] == [MAGIC, VERSION] else 0
            if page._size == 0 or os.fstat(fd).st_size != page._size:
                raise ControlPageError(f"{path} is not a control page of this version")
            address = mmap(NULL, page._size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0)
            if address == MAP_FAILED:
                raise ControlPageError(f"cannot map {path}: {strerror(errno).decode()}")
        finally:
            os.close(fd)
        page.header = <ControlHeader *>address
        page.blocks = <ProcessBlock *>(<char *>address + BLOCKS_START)
        page.commands = <CommandBlock *>(page.blocks + 1 + page.header.acceptors + page.header.workers)
        page._touches = <Touches *>page.worker_commands(page.header.workers)
        return page

    def __dealloc__(self):
        if self.header != NULL:
            munmap(self.header, self._size)

    cdef ProcessBlock *acceptor(self, int index) noexcept:
        return self.blocks + 1 + index

    cdef ProcessBlock *worker(self, int index) noexcept:
        return self.blocks + 1 + self.header.acceptors + index

    cdef CommandBlock *acceptor_commands(self, int index) noexcept:
        return self.commands + <uint64_t>index * COMMANDS_MAX

    cdef CommandBlock *worker_commands(self, int index) noexcept:
        return self.commands + (self.header.acceptors + <uint64_t>index) * COMMANDS_MAX

    cdef Touches *touches(self, int worker) noexcept:
        return self._touches + worker

    cdef ProcessBlock *_block(self, str kind, int index) except NULL:
        cdef uint64_t count = self.header.acceptors if kind == "acceptor" else self.header.workers
        if kind not in ("acceptor", "worker") or index < 0 or <uint64_t>index >= count:
            raise IndexError(f"no {kind} {index}")
        return self.acceptor(index) if kind == "acceptor" else self.worker(index)

    @property
    def acceptors(self) -> int:
        return self.header.acceptors

    @property
    def workers(self) -> int:
        return self.header.workers

    @property
    def started_ms(self) -> int:
        """Unix time of the supervisor's start, in milliseconds."""
        return self.header.started_ms

    @property
    def maxmemory(self) -> int:
        """The memory limit of the whole instance in bytes; 0 means none."""
        return atomic_load_relaxed(&self.header.maxmemory)

    @maxmemory.setter
    def maxmemory(self, value: int) -> None:
        atomic_store_relaxed(&self.header.maxmemory, value)

    @property
    def active_expiry(self) -> bool:
        """Whether workers look for what has expired; False only for DEBUG SET-ACTIVE-EXPIRE 0."""
        return not atomic_load_relaxed(&self.header.expiry_off)

    @active_expiry.setter
    def active_expiry(self, value: bool) -> None:
        atomic_store_relaxed(&self.header.expiry_off, not value)

    cdef char *_settings(self, uint64_t version) noexcept:
        return <char *>self.header + HEADER_BYTES + (version & 1) * SETTINGS_BYTES

    def publish_settings(self, text: bytes) -> None:
        """Gives workers the settings that they act on; for the supervisor alone. Raises ControlPageError."""
        cdef uint64_t version = self.header.settings_version + 1
        cdef char *buffer = self._settings(version)
        if <size_t>len(text) > SETTINGS_BYTES - 8:
            raise ControlPageError(f"{len(text)} bytes of settings do not fit into the control page")
        atomic_fence()  # who sees a byte of it sees the version before, and knows that its own buffer has been taken
        (<uint64_t *>buffer)[0] = len(text)
        memcpy(buffer + 8, <const char *>text, len(text))
        atomic_store_release(&self.header.settings_version, version)

    def settings(self) -> tuple[int, bytes]:
        """The version and text of the settings published last; version 0 when there are none."""
        cdef uint64_t version = 0
        cdef bytes text = b""
        cdef char *buffer
        while version != atomic_load_acquire(&self.header.settings_version):
            version = atomic_load_acquire(&self.header.settings_version)
            buffer = self._settings(version)
            text = PyBytes_FromStringAndSize(buffer + 8, min((<uint64_t *>buffer)[0], <uint64_t>SETTINGS_BYTES - 8))
            atomic_fence()
        return version, text

    def turned_ms(self, worker: int) -> int:
        """Unix time, in milliseconds, of the last turn of a worker's loop; 0 before the first."""
        return atomic_load_relaxed(&self._block("worker", worker).turned_ms)

    def next_client_id(self) -> int:
        """A client id that no other connection of this instance has had."""
        return atomic_add(&self.header.next_client_id, 1)

    cdef uint64_t memory_in_use(self) noexcept nogil:
        cdef uint64_t index, total = 0
        for index in range(self.header.workers):
            total += atomic_load_relaxed(&self.blocks[1 + self.header.acceptors + index].counters[<int>USED_MEMORY])
        return total

    def used_memory(self) -> int:
        """Bytes of live data in all arenas, as their workers last told."""
        return self.memory_in_use()

    def acceptor_counters(self, index: int) -> dict[str, int]:
        """The counters of one acceptor by name."""
        return self._counters("acceptor", index)

    def worker_counters(self, index: int) -> dict[str, int]:
        """The counters of one worker by name."""
        return self._counters("worker", index)

    def _counters(self, str kind, int index):
        cdef ProcessBlock *block = self._block(kind, index)
        return {name: atomic_load_relaxed(&block.counters[number]) for number, name in enumerate(COUNTER_NAMES)}

    def set_counter(self, kind: str, index: int, name: str, value: int) -> None:
        """Sets one counter of a process. Raises ValueError for a bad name, IndexError for a bad process."""
        cdef ProcessBlock *block = self._block(kind, index)
        cdef int number = COUNTER_NAMES.index(name)
        atomic_store_relaxed(&block.counters[number], value)

    def add_counter(self, kind: str, index: int, name: str, value: int) -> None:
        """Adds to one counter of an acceptor's or worker's block."""
        cdef ProcessBlock *block = self._block(kind, index)
        cdef int number = COUNTER_NAMES.index(name)
        block.counters[number] += value

    def database_counts(self) -> list[tuple[int, int, int]]:
        """Of each database, over all shards: keys, keys with an expiry, their average time to live in ms."""
        counts = []
        cdef uint64_t keys, expires
        cdef ProcessBlock *block
        for database in range(DATABASES_COUNTED):
            keys = expires = 0
            ttl = 0  # may be more than 64 bits
            for index in range(self.header.workers):
                block = self.worker(index)
                keys += block.database_keys[database]
                expires += block.database_expires[database]
                ttl += block.database_ttl_sum[database]
            counts.append((keys, expires, ttl // expires if expires else 0))
        return counts

    def command_stats(self) -> list[tuple[int, int, int, int, list[int]]]:
        """(calls, nanoseconds, rejected, failed, histogram) of each command id, over all processes.

        Histograms: see `bucket_floor_ns`.
        """
        cdef uint64_t process, processes = self.header.acceptors + self.header.workers
        cdef CommandBlock total
        cdef CommandBlock *block
        cdef int number, bucket
        counts = []
        for number in range(COMMANDS_MAX):
            memset(&total, 0, sizeof(total))
            for process in range(processes):
                block = self.commands + process * COMMANDS_MAX + number
                total.calls += block.calls
                total.ticks += block.ticks
                total.rejected += block.rejected
                total.failed += block.failed
                if block.calls:
                    for bucket in range(HISTOGRAM_BUCKETS):
                        total.histogram[bucket] += block.histogram[bucket]
            nanoseconds = <object>total.ticks * 1_000_000 // self.header.ticks_per_ms
            histogram = [total.histogram[bucket] for bucket in range(HISTOGRAM_BUCKETS)] if total.calls else []
            counts.append((total.calls, nanoseconds, total.rejected, total.failed, histogram))
        return counts

    def bucket_floor_ns(self, bucket: int) -> int:
        """The shortest time, in nanoseconds, that falls into a histogram's bucket."""
        whole, half = divmod(bucket, 2)
        floor = (1 << whole) + (half << whole >> 1)
        return floor * 1_000_000 // self.header.ticks_per_ms if bucket else 0

    def reset(self, kind: str, index: int) -> None:
        """CONFIG RESETSTAT, in the process itself: its counts start over at zero; levels (keys, memory) stay."""
        cdef ProcessBlock *block = self._block(kind, index)
        cdef CommandBlock *commands
        for number, name in enumerate(COUNTER_NAMES):
            if name not in _LEVELS:
                block.counters[<int>number] = 0
        commands = self.acceptor_commands(index) if kind == "acceptor" else self.worker_commands(index)
        memset(commands, 0, COMMANDS_MAX * sizeof(CommandBlock))


cdef extern from *:
    int leading_zeros "__builtin_clzll"(unsigned long long value) nogil


cdef void count_call(CommandBlock *block, uint64_t elapsed_ticks, bint failed) noexcept nogil:
    cdef int bits
    cdef int bucket = 0
    if elapsed_ticks > 1:
        bits = 63 - leading_zeros(elapsed_ticks)
        bucket = 2 * bits + ((elapsed_ticks >> (bits - 1)) & 1)
        if bucket >= HISTOGRAM_BUCKETS:
            bucket = HISTOGRAM_BUCKETS - 1
    block.calls += 1
    block.ticks += elapsed_ticks
    block.failed += failed
    block.histogram[bucket] += 1
