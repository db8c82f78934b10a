"""C-only functions for tests. Nothing of the server imports this."""
from libc.stdint cimport int64_t

from shardkv.hashing cimport hash_for_routing, hash_key
from shardkv.number cimport parse_double, parse_int64, parse_long_double, print_double, print_int64, print_long_double
from shardkv.resp cimport Reply, ReplyMark
from shardkv.stats cimport ControlPage


def key_hash(key: bytes) -> int:
    return hash_key(key, len(key))


def routing_hash(key: bytes) -> int:
    return hash_for_routing(key, len(key), hash_key(key, len(key)))


def int_of(text: bytes) -> int | None:
    cdef int64_t value
    return value if parse_int64(text, len(text), &value) else None


def text_of_int(int64_t value) -> bytes:
    cdef char text[20]
    return text[:print_int64(value, text)]


def double_of(text: bytes) -> float | None:
    cdef double value
    return value if parse_double(text, len(text), &value) else None


def text_of_double(double value) -> bytes:
    cdef char text[32]
    return text[:print_double(value, text)]


def sum_of_long_doubles(one: bytes, other: bytes) -> bytes | None:
    """What INCRBYFLOAT makes of two texts; None when one is no number."""
    cdef long double first, second
    cdef char text[5120]
    if not parse_long_double(one, len(one), &first) or not parse_long_double(other, len(other), &second):
        return None
    return text[:print_long_double(first + second, text, sizeof(text))]


def text_of_long_double(text: bytes, int capacity) -> bytes:
    cdef long double value
    cdef char out[5120]
    parse_long_double(text, len(text), &value)
    return out[:print_long_double(value, out, capacity)]


cdef class LentReply(Reply):
    """A Reply that begins in memory of `capacity` bytes lent to it."""
    cdef bytearray memory
    cdef char *address

    def __init__(self, capacity: int, resp: int = 2) -> None:
        self.memory = bytearray(capacity)
        self.address = self.memory
        self.resp = resp
        self.lend(self.address, capacity)

    def write_bulk(self, data: bytes) -> None:
        self.bulk(data, len(data))

    def write_raw(self, data: bytes) -> None:
        self.raw(data, len(data))

    def write_header(self, kind: bytes, count: int) -> None:
        self.header(kind[0], count)

    def write_and_rewind(self, data: bytes, copies: bool) -> int:
        """Writes a string that may stay where it is, and takes it back; how many bytes stood elsewhere meanwhile."""
        cdef ReplyMark mark = self.mark()
        self.copies = copies
        self.bulk_in_place(data, len(data))
        elsewhere = self.elsewhere
        self.rewind(mark)
        return elsewhere

    def start_over(self, lent_again: bool) -> None:
        if lent_again:
            self.lend(self.address, len(self.memory))
        else:
            self.clear()

    @property
    def is_lent(self) -> bool:
        return self.lent


def work_resumes_ms(ControlPage page, int worker) -> list[int]:
    """When a worker's own work, of each kind, goes on after it has killed workers."""
    return page.worker(worker).work_resume_ms
