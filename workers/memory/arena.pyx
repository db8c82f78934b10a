"""Arenas made, opened and checked: see arena.pxd."""
from libc.errno cimport errno
from libc.string cimport memcmp, memcpy, memset, strerror
from posix.mman cimport MAP_FAILED, MAP_SHARED, PROT_READ, PROT_WRITE, mmap
from shardkv.hashing cimport SECRET_BYTES, hash_secret
from workers.memory.audit cimport arena_blocks, arena_fingerprint, check_arena, provide_all, punch_unbacked
from workers.memory.format cimport (
    ARENA_MAGIC,
    ARENA_VERSION,
    BINS,
    CLASSES,
    HEADER_BYTES,
    PAGE_BYTES,
    PAGE_SHIFT,
    RESERVED,
    UNBACKED,
    PageInfo,
)
from workers.memory.journal cimport JOURNAL_KEEP, journal_reserve

import os
import resource
import stat

from shardkv.errors import OutOfMemory
from workers.memory import journal as journal_module
from workers.memory.slabs import ArenaError

cdef extern from "<sys/mman.h>" nogil:
    int MAP_NORESERVE

crash_after = journal_module.crash_after    # for tests, who find it beside the arena

GIB = 1 << 30
CAPACITY_MIN = 1 << 20              # bytes of heap that `capacity` may ask for
CAPACITY_DEFAULT_MIN = GIB
CAPACITY_MAX = 768 * GIB            # keeps every offset below 2^40
JOURNAL_MIN = 64 << 20
FIRST_PAGES = 128                   # of the heap, provided with the arena: the reserve, and what an empty keyspace has
ALIGN = HEADER_BYTES


def aligned(length: int) -> int:
    """Rounds bytes up to the unit that the parts of the file begin at."""
    return (length + ALIGN - 1) // ALIGN * ALIGN


def heap_start(capacity_pages: int, journal_limit: int) -> int:
    """Where the heap begins behind header, journal and page table."""
    return aligned(HEADER_BYTES + journal_limit + capacity_pages * sizeof(PageInfo))


def default_capacity(folder: str) -> int:
    """Bytes of heap that a new arena in `folder` is made for: as many as its file system has, within bounds."""
    system = os.statvfs(folder)
    return min(max(system.f_frsize * system.f_blocks, CAPACITY_DEFAULT_MIN), CAPACITY_MAX)


def check_file_limit(path: str, size: int) -> None:
    """Raises ArenaError when the process may not have files of `size` bytes."""
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    if limit != resource.RLIM_INFINITY and limit < size:
        raise ArenaError(
            f"arena {path} needs a (sparse) file of {size} bytes but the limit is {limit}: "
            "raise it with 'ulimit -f unlimited'"
        )


cdef class Arena(Slabs):
    @staticmethod
    def open(path: str, shard: int, shards: int, capacity: int | None = None, fresh: bool = False) -> Arena:
        """Opens the arena at `path`, making it if there is none, and rolls back what a death left open.

        `capacity` is the heap's size in bytes for a new arena (default: the size of the folder's file system); an
        existing one keeps its own. Its hashes are made with the process's secret (hashing.pxd), which must be that of
        an existing arena. `fresh` says that no request ring outlived the last user: everything is checked
        and the commit words are zeroed. Raises ArenaError with one line that tells what to do.
        """
        arena = Arena.attach(path, shard, shards, True, capacity)
        arena.take_over(fresh)
        return arena

    @staticmethod
    def attach(path: str, shard: int, shards: int, own: bool, capacity: int | None = None) -> Arena:
        """Maps the arena at `path`, and changes nothing. Ours to take over (`own`) it is made if there is none, and its
        open journal is looked at. Raises ArenaError with one line that tells what to do."""
        try:
            if own and not os.path.exists(path):
                if capacity is None:
                    capacity = default_capacity(os.path.dirname(path) or ".")
                Arena._create(path, shard, shards, capacity)
            return Arena._attach(path, shard, shards)
        except OutOfMemory:
            raise ArenaError(f"no room for arena {path}: free some space there or choose another arena-dir") from None
        except OSError as error:
            raise ArenaError(f"cannot open arena {path}: {error.strerror}") from None

    @staticmethod
    def _create(path: str, shard: int, shards: int, capacity: int) -> None:
        """Makes an empty arena under another name and renames it, so that an arena that exists is whole."""
        cdef Arena arena = Arena()
        cdef ArenaHeader *header
        if not CAPACITY_MIN <= capacity <= CAPACITY_MAX:
            raise ArenaError(
                f"cannot make arena {path}: a capacity of {capacity} bytes is not within {CAPACITY_MIN}..{CAPACITY_MAX}"
            )
        pages = capacity // PAGE_BYTES
        journal = aligned(max(JOURNAL_MIN, capacity // 4))
        start = heap_start(pages, journal)
        size = start + pages * PAGE_BYTES
        check_file_limit(path, size)
        draft = path + ".new"
        try:
            fd = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            arena.map_file(draft, fd, size)
            os.ftruncate(fd, size)
            arena.provide(0, HEADER_BYTES)
            header = arena.header
            header.magic = ARENA_MAGIC
            header.version = ARENA_VERSION
            header.shard = shard
            header.shards = shards
            header.journal_shard = shard
            header.file_size = size
            header.journal_start = HEADER_BYTES
            header.journal_limit = journal
            header.pages_start = HEADER_BYTES + journal
            header.heap_start = start
            header.capacity_pages = pages
            memcpy(header.secret, hash_secret(), SECRET_BYTES)
            arena.infos = <PageInfo *>(arena.base + header.pages_start)
            header.top_page = 1
            arena.back_to(1 + FIRST_PAGES)
            arena.infos[0].kind = RESERVED
            os.rename(draft, path)
        except BaseException:
            if os.path.exists(draft):
                os.unlink(draft)
            raise
        finally:
            arena.close()

    @staticmethod
    def _attach(path: str, shard: int, shards: int) -> Arena:
        cdef Arena arena = Arena()
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode) or status.st_size < HEADER_BYTES:
            os.close(fd)
            raise ArenaError(f"{path} is no arena: move it away or choose another arena-dir")
        arena.map_file(path, fd, status.st_size)
        fault = arena.header_fault(status.st_size, shard, shards)
        if fault:
            raise ArenaError(f"arena {path} {fault}")
        arena.infos = <PageInfo *>(arena.base + arena.header.pages_start)
        return arena

    def take_over(self, fresh: bool) -> None:
        """Rolls back what a death left open, when nobody has the arena on lease. Raises ArenaError, as `open` does."""
        try:
            self.recover(fresh)
        except OutOfMemory:
            raise ArenaError(f"no room for arena {self.path}: free some space there") from None

    cdef int map_file(self, object path, int fd, uint64_t size) except -1:
        """Takes the descriptor over and maps `size` bytes."""
        cdef void *address
        self.path = path
        self.fd = fd
        address = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, fd, 0)
        if address == MAP_FAILED:
            raise ArenaError(
                f"cannot map {size} bytes of arena {path}: {strerror(errno).decode()}; "
                "raise the address-space limit with 'ulimit -v unlimited'"
            )
        self.base = <char *>address
        self.header = <ArenaHeader *>address
        self.mapped = size
        self.backed_below = <uint64_t>-1
        return 0

    # -- trust

    cdef object header_fault(self, uint64_t size, uint32_t shard, uint32_t shards):
        """None, or why the file cannot be this shard's arena."""
        cdef ArenaHeader *header = self.header
        if header.magic != ARENA_MAGIC:
            return "is not one of shardkv's: move it away or choose another arena-dir"
        if header.version != ARENA_VERSION:
            return (
                f"has format version {header.version}, not {ARENA_VERSION}: "
                "start the shardkv that wrote it, or move it away to start empty"
            )
        if header.shard != shard or header.shards != shards:
            return (
                f"holds shard {header.shard} of {header.shards}, not {shard} of {shards}: "
                f"start with --workers {header.shards}, or move it away to start empty"
            )
        if memcmp(header.secret, hash_secret(), SECRET_BYTES) != 0:
            return "was made by another instance: put it back there, or move it away to start empty"
        damage = "is damaged ({}): restore it, or move it away to start empty"
        if not CAPACITY_MIN <= header.capacity_pages * PAGE_BYTES <= CAPACITY_MAX or header.capacity_pages >> 32:
            return damage.format(f"capacity of {header.capacity_pages} pages")
        if not ALIGN <= header.journal_limit <= CAPACITY_MAX or header.journal_limit % ALIGN:
            return damage.format(f"journal of {header.journal_limit} bytes")
        start = heap_start(header.capacity_pages, header.journal_limit)
        if (
            header.journal_start != HEADER_BYTES
            or header.pages_start != HEADER_BYTES + header.journal_limit
            or header.heap_start != start
            or header.file_size != start + header.capacity_pages * PAGE_BYTES
        ):
            return damage.format("its parts do not lie where they should")
        if header.file_size != size:
            return damage.format(f"{size} bytes long instead of {header.file_size}")
        if (
            header.backed_pages > header.capacity_pages or header.loose_end > header.capacity_pages
            or header.journal_slot >= COMMIT_SLOTS
        ):
            return damage.format("journal or heap out of bounds")
        if header.journal_shard >= shards or header.lock > shards:
            return damage.format(f"shard {header.journal_shard} decides, {header.lock} has the lock")
        if header.journal_shard == shard and self.journal_open():
            fault = self.journal_fault()
            if fault:
                return damage.format(fault)
        return None

    cdef object state_fault(self):
        """None, or what is out of bounds in the header once the journal is closed: all that a quick look can tell."""
        cdef ArenaHeader *header = self.header
        cdef uint64_t top = header.top_page
        cdef int i, backing
        if not 1 <= top <= header.backed_pages:
            return f"top page {top} of {header.backed_pages}"
        if header.used_bytes > top << PAGE_SHIFT or header.idle_pages > top:
            return f"{header.used_bytes} bytes in use in {top} pages"
        for i in range(CLASSES):
            if header.slabs[i].first >= top or header.slabs[i].last >= top or header.slabs[i].spare >= top:
                return f"slabs of class {i} out of bounds"
        for backing in range(UNBACKED + 1):
            for i in range(BINS):
                if header.bins[backing][i] >= top:
                    return f"free list {i} out of bounds"
        return None

    cdef int recover(self, bint fresh) except -1:
        """Rolls back what is open and brings what is not journalled in line (invariant 4 of pages.pxd)."""
        cdef ArenaHeader *header = self.header
        cdef uint64_t kept
        self.ready_journal(min(journal_reserve(header.backed_pages), header.journal_limit))
        if not fresh and header.commit[header.journal_slot] != header.journal_position:
            self.interrupted_slot, self.interrupted_position = header.journal_slot, header.journal_position
        if self.journal_open():
            self.undo()
        else:
            self.close_journal()
        fault = self.state_fault()
        if fault is None and fresh:
            try:
                self.check()
            except AssertionError as error:
                fault = str(error)
        if fault:
            raise ArenaError(f"arena {self.path} is damaged ({fault}): restore it, or move it away to start empty")
        kept = self.journal_ready if fresh else max(<uint64_t>JOURNAL_KEEP, self.journal_ready)
        self.punch(header.journal_start + kept, header.journal_limit - kept)
        self.lower_backed(header.top_page)
        self.restore_reserve()
        if fresh:
            punch_unbacked(self)
            provide_all(self)
            memset(header.commit, 0, sizeof(header.commit))
            header.journal_position = 0
        return 0

    cdef uint64_t room(self) except? 0xFFFFFFFFFFFFFFFF:
        cdef uint64_t above = (self.header.capacity_pages - self.header.top_page) << PAGE_SHIFT
        system = os.fstatvfs(self.fd)
        return min(above, <uint64_t>(system.f_bavail * system.f_frsize))

    cdef void forget_private(self) noexcept:
        self.forget()
        self.forget_saved()
        self.ready_journal(min(journal_reserve(self.header.backed_pages), self.header.journal_limit))

    # -- for the owner

    @property
    def used_bytes(self) -> int:
        """Bytes in live blocks, as allocated, of the last commit."""
        return self.header.used_bytes

    @property
    def backed_bytes(self) -> int:
        """Bytes the file takes in its file system."""
        return os.fstat(self.fd).st_blocks * 512

    @property
    def capacity(self) -> int:
        """Bytes of heap there can be."""
        return self.header.capacity_pages * PAGE_BYTES

    def commit_word(self, slot: int) -> int:
        """The position last committed to a slot."""
        if not 0 <= slot < COMMIT_SLOTS:
            raise IndexError(f"no commit slot {slot}")
        return self.header.commit[slot]

    def close(self) -> None:
        """Unmaps; the file stays. Nothing may be called afterwards."""
        self.unmap()

    def check(self) -> None:
        """Checks the allocator, between transactions. Raises AssertionError naming the first invariant that fails."""
        check_arena(self)

    def fingerprint(self) -> dict[str, object]:
        """All that is reachable: header behind the commit words, runs, bitmaps, lists, digest of the blocks."""
        return arena_fingerprint(self)

    def allocated(self) -> list[tuple[int, int]]:
        """Offset and size of every allocated block, in order of offset."""
        return arena_blocks(self)
