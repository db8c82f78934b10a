"""RDB: the bytes in which Redis writes values to files, and in which DUMP answers them.

    length   00nnnnnn               6 bits
             01nnnnnn nnnnnnnn      14 bits, high bits first
             0x80 u32, 0x81 u64     high bytes first
             11cccccc               a string in another form: 0, 1, 2 an integer of 8, 16, 32 bits; 3 LZF:
                                    length of what follows, length of the string, compressed bytes
    string   length, bytes; or one of those forms

Invariants
 1. A Reader reads nothing outside its bytes, whatever they say; what is no RDB raises CommandError(BAD_DATA).
 2. Elements that a Reader hands out are valid until its `forget`.
 3. A Reader takes memory in proportion to the bytes it reads, by LZF at most LZF_GROWTH times as many, and a single
    string never more than `string_max`.
"""
from libc.stdint cimport int64_t, uint8_t, uint64_t
from workers.memory.listpack cimport Element

cdef enum RdbType:
    RDB_STRING = 0
    RDB_LIST = 1                # length, strings
    RDB_SET = 2                 # likewise
    RDB_ZSET = 3                # length, (string, score as text)
    RDB_HASH = 4                # length, (string, string)
    RDB_ZSET_2 = 5              # length, (string, double)
    # From here on packed forms: one string
    RDB_LIST_ZIPLIST = 10
    RDB_SET_INTSET = 11
    RDB_ZSET_ZIPLIST = 12
    RDB_HASH_ZIPLIST = 13
    RDB_LIST_QUICKLIST = 14     # length, ziplists
    RDB_STREAM = 15             # this and the other two: see stream_rdb.pxd
    RDB_HASH_LISTPACK = 16
    RDB_ZSET_LISTPACK = 17
    RDB_LIST_QUICKLIST_2 = 18   # length, (QUICKLIST_PLAIN, string) or (QUICKLIST_PACKED, listpack)
    RDB_STREAM_2 = 19
    RDB_SET_LISTPACK = 20
    RDB_STREAM_3 = 21
    RDB_HASH_METADATA = 24      # u64 earliest expiry; length, (length 0 or 1 + expiry - earliest, string, string)
    RDB_HASH_LISTPACK_EX = 25   # u64 earliest expiry; listpack of triples: field, value, expiry or 0

cdef enum:
    RDB_VERSION = 10            # of what this writes, unless it needs a newer one
    RDB_VERSION_EXPIRY = 12     # where fields have an expiry
    RDB_VERSION_MAX = 12        # of what this reads
    QUICKLIST_PLAIN = 1
    QUICKLIST_PACKED = 2

cdef uint64_t crc64(const char *bytes, uint64_t length) noexcept nogil      # polynomial of Jones, reflected

cdef class Writer:
    cdef char *bytes
    cdef uint64_t used
    cdef uint64_t room

    cdef char *extend(self, uint64_t more) except NULL
    cdef int byte(self, uint8_t value) except -1
    cdef int raw(self, const void *bytes, uint64_t length) except -1
    cdef int length(self, uint64_t length) except -1
    cdef int string(self, const char *bytes, uint64_t length) except -1     # in its shortest form
    cdef int element(self, Element *element) except -1
    cdef bint compressed(self, const char *text, uint64_t length) except -1
    cdef int seal(self, int version) except -1                              # the end of a dump: version and CRC

cdef class Reader:
    cdef const uint8_t *at
    cdef const uint8_t *end
    cdef uint64_t string_max
    cdef list kept              # of bytes

    # A whole dump, of which the value's bytes are then read. Raises CommandError if its end is not right.
    cdef int open(self, const char *bytes, uint64_t length) except -1
    cdef const char *take(self, uint64_t count) except NULL
    cdef uint8_t byte(self) except? 255
    cdef uint64_t length(self) except? 0xFFFFFFFFFFFFFFFF
    # Of something of which each takes a byte or more; never 0.
    cdef uint64_t count(self) except 0
    cdef uint64_t left(self) noexcept                       # bytes
    cdef int string(self, Element *out) except -1
    cdef double binary_double(self) except? -1
    cdef double text_double(self) except? -1
    cdef void forget(self) noexcept

    # Steps of the above, see rdb.pyx.
    cdef uint64_t length_or_form(self, bint *form) except? 0xFFFFFFFFFFFFFFFF
    cdef int expand(self, Element *out) except -1

cdef enum Layout:
    OF_STRINGS = 0              # of the Reader, one after the other
    OF_LISTPACK = 1
    OF_ZIPLIST = 2
    OF_INTSET = 3

cdef class Source:
    """The elements of one container, in any layout; checked before the first is handed out, but for OF_STRINGS."""
    cdef Reader reader
    cdef int layout
    cdef uint64_t left          # elements
    cdef const char *pack       # the blob of all other layouts
    cdef uint64_t at            # in it

    # Reads the count, or the blob, of a container. Raises CommandError if it is not whole, or empty.
    cdef int open(self, Reader reader, int layout, uint64_t elements_each) except -1
    # The next element; returns 0 at the end.
    cdef int next(self, Element *out) except -1

cdef int bad_data() except -1
