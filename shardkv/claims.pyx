"""Who ends a client's wait: see claims.pxd."""
import os

from libc.errno cimport errno
from libc.string cimport memset, strerror
from posix.mman cimport MAP_FAILED, MAP_NORESERVE, MAP_SHARED, PROT_READ, PROT_WRITE, mmap, munmap

from shardkv.atomic cimport atomic_store_release

from shardkv.files import provided

cdef enum:
    PLACES_MAX = 0x1000000    # of a client table
    PLACE_BYTES = 16
    FIRST_BYTES = 4096

CLAIMS_BYTES = FIRST_BYTES    # of a file at the start


cdef class Claims:
    @staticmethod
    def create(path: str) -> "Claims":
        """Makes the words of an acceptor, none waiting, of an earlier run's file if there is one. Raises OSError."""
        fd = provided(path, FIRST_BYTES)
        try:
            os.pwrite(fd, (FIRST_BYTES // PLACE_BYTES).to_bytes(8, "little").ljust(FIRST_BYTES, b"\0"), 0)
        finally:
            os.close(fd)
        return Claims.open(path)

    @staticmethod
    def open(path: str) -> "Claims":
        """Maps the words of an acceptor. Raises OSError."""
        cdef Claims claims = Claims()
        cdef void *address
        claims.path = path
        claims.fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        address = mmap(
            NULL, PLACES_MAX * PLACE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, claims.fd, 0
        )
        if address == MAP_FAILED:
            raise OSError(errno, strerror(errno).decode(), path)
        claims.words = <uint64_t *>address
        return claims

    def __cinit__(self):
        self.fd = -1

    def __dealloc__(self):
        if self.words != NULL:
            munmap(self.words, PLACES_MAX * PLACE_BYTES)
        if self.fd >= 0:
            os.close(self.fd)

    def forget(self) -> None:
        """Nobody waits: for an acceptor that starts."""
        memset(self.words + 2, 0, (self.words[0] - 1) * PLACE_BYTES)

    cdef bint provide(self, uint32_t place):
        cdef uint64_t places = self.words[0]
        if place < places:
            return True
        while places <= place:
            places *= 2
        places = min(places, <uint64_t>PLACES_MAX)
        try:
            os.posix_fallocate(self.fd, 0, places * PLACE_BYTES)
        except OSError:
            return False
        atomic_store_release(&self.words[0], places)
        return True

    cdef void begin(self, uint32_t place, uint64_t token, uint64_t stamp) noexcept nogil:
        atomic_store_release(&self.words[2 * place], 0)
        atomic_store_release(&self.words[2 * place + 1], token)
        atomic_store_release(&self.words[2 * place], stamp << STATE_BITS | CLAIM_WAITING)

    cdef void give_back(self, uint32_t shard, set stamps):
        cdef uint64_t claim
        cdef uint32_t place
        for place in range(1, <uint32_t>atomic_load_acquire(&self.words[0])):
            claim = atomic_load_acquire(&self.words[2 * place])
            if claim & STATE_MASK == CLAIM_SHARD + shard and claim >> STATE_BITS not in stamps:
                self.change(place, claim >> STATE_BITS, CLAIM_SHARD + shard, CLAIM_WAITING)
