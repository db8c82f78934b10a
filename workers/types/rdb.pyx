"""Bytes of RDB, written and read: see rdb.pxd."""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.math cimport INFINITY, NAN
from libc.stdint cimport INT16_MAX, INT16_MIN, INT32_MAX, INT32_MIN, int8_t, int16_t, int32_t, uint16_t, uint32_t
from libc.stdlib cimport free, realloc
from libc.string cimport memcpy

from shardkv.errors import CommandError

from shardkv.number cimport parse_double, parse_int64, print_int64
from workers.memory.intset cimport ints_get, ints_valid
from workers.memory.listpack cimport number_element, pack_first, pack_get, pack_next, pack_valid, string_element
from workers.types.lzf cimport LZF_GROWTH, lzf_compress, lzf_expand

cdef enum:
    INT_TEXT_MAX = 11           # bytes of a string that may become an integer
    COMPRESSED_FROM = 21        # bytes of a string
    FOOTER = 10                 # bytes: version and CRC
    ZIPLIST_HEADER = 10
    ZIPLIST_END = 255
    COUNT_UNKNOWN = 65535

BAD_DATA = "ERR Bad data format"
BAD_FOOTER = "ERR DUMP payload version or checksum are wrong"

cdef uint64_t[256] crc_of_byte


cdef void fill_crc_table() noexcept nogil:
    cdef uint64_t crc
    cdef int byte, _bit
    for byte in range(256):
        crc = byte
        for _bit in range(8):
            crc = crc >> 1 ^ (<uint64_t>0x95AC9329AC4BC9B5 if crc & 1 else 0)
        crc_of_byte[byte] = crc


fill_crc_table()


cdef uint64_t crc64(const char *bytes, uint64_t length) noexcept nogil:
    cdef uint64_t crc = 0, at
    for at in range(length):
        crc = crc_of_byte[(crc ^ <uint8_t>bytes[at]) & 0xFF] ^ crc >> 8
    return crc


cdef int bad_data() except -1:
    raise CommandError(BAD_DATA)


# -- writing

cdef class Writer:
    def __dealloc__(self) -> None:
        free(self.bytes)

    cdef char *extend(self, uint64_t more) except NULL:
        """Room for so many bytes, which count as written."""
        cdef uint64_t room = self.room
        cdef char *bytes
        if self.used + more > room:
            room = max(2 * room, self.used + more, <uint64_t>256)
            bytes = <char *>realloc(self.bytes, room)
            if bytes == NULL:
                raise MemoryError
            self.bytes, self.room = bytes, room
        self.used += more
        return self.bytes + self.used - more

    cdef int byte(self, uint8_t value) except -1:
        self.extend(1)[0] = <char>value
        return 0

    cdef int raw(self, const void *bytes, uint64_t length) except -1:
        memcpy(self.extend(length), bytes, length)
        return 0

    cdef int length(self, uint64_t length) except -1:
        cdef int shift, shifts
        if length < 64:
            return self.byte(<uint8_t>length)
        if length < 1 << 14:
            self.byte(<uint8_t>(0x40 | length >> 8))
            return self.byte(length & 0xFF)
        shifts = 4 if length <= 0xFFFFFFFF else 8
        self.byte(0x80 if shifts == 4 else 0x81)
        for shift in range(8 * shifts - 8, -1, -8):
            self.byte(length >> shift & 0xFF)
        return 0

    cdef int string(self, const char *bytes, uint64_t length) except -1:
        cdef int64_t number
        cdef uint64_t made
        if length <= INT_TEXT_MAX and parse_int64(bytes, length, &number) and INT32_MIN <= number <= INT32_MAX:
            made = 1 if -128 <= number <= 127 else 2 if INT16_MIN <= number <= INT16_MAX else 4
            self.byte(0xC0 | <uint8_t>(made // 2))
            return self.raw(&number, made)
        if length >= COMPRESSED_FROM and self.compressed(bytes, length):
            return 0
        self.length(length)
        return self.raw(bytes, length)

    cdef bint compressed(self, const char *text, uint64_t length) except -1:
        """Writes a string as LZF, if that makes it shorter; returns whether it has."""
        cdef uint64_t start = self.used, made, room = length - 4
        cdef bytes packed
        made = lzf_compress(text, length, self.extend(room), room)
        self.used = start
        if made == 0:
            return False
        packed = PyBytes_FromStringAndSize(self.bytes + start, <Py_ssize_t>made)    # its length stands before it
        self.byte(0xC3)
        self.length(made)
        self.length(length)
        self.raw(PyBytes_AS_STRING(packed), made)
        return True

    cdef int element(self, Element *element) except -1:
        cdef char digits[24]
        if element.bytes == NULL:
            return self.string(digits, print_int64(element.number, digits))
        return self.string(element.bytes, element.length)

    cdef int seal(self, int version) except -1:
        cdef uint16_t footer = <uint16_t>version
        cdef uint64_t crc
        self.raw(&footer, 2)
        crc = crc64(self.bytes, self.used)
        return self.raw(&crc, 8)


# -- reading

cdef class Reader:
    def __cinit__(self) -> None:
        self.kept = []

    cdef int open(self, const char *bytes, uint64_t length) except -1:
        cdef uint16_t version
        cdef uint64_t crc
        if length >= FOOTER:
            memcpy(&version, bytes + length - FOOTER, 2)
            memcpy(&crc, bytes + length - 8, 8)
            if version <= RDB_VERSION_MAX and crc == crc64(bytes, length - 8):
                self.at = <const uint8_t *>bytes
                self.end = self.at + length - FOOTER
                return 0
        raise CommandError(BAD_FOOTER)

    cdef const char *take(self, uint64_t count) except NULL:
        cdef const uint8_t *at = self.at
        if count > <uint64_t>(self.end - at):
            bad_data()
        self.at += count
        return <const char *>at

    cdef uint8_t byte(self) except? 255:
        return <uint8_t>self.take(1)[0]

    cdef uint64_t length_or_form(self, bint *form) except? 0xFFFFFFFFFFFFFFFF:
        """A length, or which other form a string has."""
        cdef uint8_t first = self.byte()
        cdef const uint8_t *at
        cdef uint64_t length = first & 63
        cdef int left
        form[0] = first >> 6 == 3
        if form[0] or first >> 6 == 0:
            return length
        if first >> 6 == 1:
            return length << 8 | self.byte()
        if first > 0x81:
            bad_data()
        left = 4 if first == 0x80 else 8
        at = <const uint8_t *>self.take(left)
        length = 0
        while left:
            length = length << 8 | at[0]
            at += 1
            left -= 1
        return length

    cdef uint64_t length(self) except? 0xFFFFFFFFFFFFFFFF:
        cdef bint form
        cdef uint64_t length = self.length_or_form(&form)
        if form:
            bad_data()
        return length

    cdef uint64_t count(self) except 0:
        cdef uint64_t count = self.length()
        if count == 0 or count > self.left():
            bad_data()
        return count

    cdef uint64_t left(self) noexcept:
        return <uint64_t>(self.end - self.at)

    cdef int string(self, Element *out) except -1:
        cdef bint form
        cdef uint64_t length = self.length_or_form(&form)
        cdef const char *at
        if not form:
            at = self.take(length)
            out[0] = string_element(at, length)
        elif length == 0:
            out[0] = number_element((<const int8_t *>self.take(1))[0])
        elif length == 1:
            out[0] = number_element(small_int(self.take(2)))
        elif length == 2:
            out[0] = number_element(middle_int(self.take(4)))
        elif length == 3:
            self.expand(out)
        else:
            bad_data()
        return 0

    cdef int expand(self, Element *out) except -1:
        cdef uint64_t packed = self.length(), made = self.length()
        cdef const char *at = self.take(packed)
        cdef bytes expanded
        if made == 0 or made > self.string_max or made // LZF_GROWTH > packed:
            bad_data()
        expanded = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>made)
        if not lzf_expand(at, packed, PyBytes_AS_STRING(expanded), made):
            bad_data()
        self.kept.append(expanded)
        out[0] = string_element(PyBytes_AS_STRING(expanded), made)
        return 0

    cdef double binary_double(self) except? -1:
        cdef double value
        memcpy(&value, self.take(8), 8)
        return value

    cdef double text_double(self) except? -1:
        cdef uint8_t length = self.byte()
        cdef const char *text
        cdef double value = 0
        if length >= 253:
            return NAN if length == 253 else INFINITY if length == 254 else -INFINITY
        text = self.take(length)
        if not parse_double(text, length, &value):
            bad_data()
        return value

    cdef void forget(self) noexcept:
        if self.kept:
            self.kept = []


cdef inline int64_t small_int(const char *at) noexcept nogil:
    cdef int16_t value
    memcpy(&value, at, 2)
    return value


cdef inline int64_t middle_int(const char *at) noexcept nogil:
    cdef int32_t value
    memcpy(&value, at, 4)
    return value


# -- ziplists, which Redis wrote before there were listpacks: u32 bytes, u32 place of the last, u16 count, elements,
# -- 255. An element: length of the one before (u8, or 254 and u32), encoding, what that asks for.

cdef inline uint64_t high_first(const uint8_t *at, int count) noexcept nogil:
    cdef uint64_t value = 0
    cdef int index
    for index in range(count):
        value = value << 8 | at[index]
    return value


cdef inline int64_t signed_of(const uint8_t *at, int count) noexcept nogil:
    cdef uint64_t bits = 0, sign = <uint64_t>1 << (8 * count - 1)
    memcpy(&bits, at, count)
    return <int64_t>((bits ^ sign) - sign)


cdef uint64_t ziplist_get(const char *ziplist, uint64_t place, uint64_t end, Element *out) noexcept nogil:
    """Reads the element at `place`; returns where the next one is, 0 if this does not end by `end`."""
    cdef const uint8_t *at = <const uint8_t *>ziplist + place
    cdef uint64_t left = end - place, skip, size = 0
    cdef int head = 1
    cdef uint8_t kind
    if left == 0:
        return 0
    skip = 5 if at[0] == 254 else 1
    if left <= skip:
        return 0
    at += skip
    left -= skip
    kind = at[0]
    if kind < 0xC0:
        head = 1 if kind < 0x40 else 2 if kind < 0x80 else 5
        if left < <uint64_t>head:
            return 0
        size = kind & 63 if head == 1 else high_first(at, 2) & 0x3FFF if head == 2 else high_first(at + 1, 4)
        out[0] = string_element(<const char *>at + head, size)
    elif kind > 0xF0 and kind < 0xFE:
        out[0] = number_element(<int64_t>(kind & 15) - 1)
    else:
        size = 2 if kind == 0xC0 else 4 if kind == 0xD0 else 8 if kind == 0xE0 else 3 if kind == 0xF0 else 1
        if (kind != 0xFE and size == 1) or left <= size:
            return 0
        out[0] = number_element(signed_of(at + 1, <int>size))
    if size > left - head:
        return 0
    return place + skip + head + size


cdef int64_t ziplist_valid(const char *bytes, uint64_t length) noexcept nogil:
    """Returns the count, -1 when it is no ziplist."""
    cdef uint32_t total
    cdef uint16_t said
    cdef uint64_t at = ZIPLIST_HEADER, before = 0, following
    cdef int64_t count = 0
    cdef Element element
    if length <= ZIPLIST_HEADER or <uint8_t>bytes[length - 1] != ZIPLIST_END:
        return -1
    memcpy(&total, bytes, 4)
    memcpy(&said, bytes + 8, 2)
    if total != length:
        return -1
    while at < length - 1:
        following = ziplist_get(bytes, at, length - 1, &element)
        if following == 0 or said_before(bytes + at) != before:
            return -1
        before, at = following - at, following
        count += 1
    return count if said == count or said == COUNT_UNKNOWN else -1


cdef inline uint64_t said_before(const char *at) noexcept nogil:
    cdef uint32_t length
    if <uint8_t>at[0] != 254:
        return <uint8_t>at[0]
    memcpy(&length, at + 1, 4)
    return length


# -- containers

cdef class Source:
    cdef int open(self, Reader reader, int layout, uint64_t elements_each) except -1:
        cdef Element blob
        cdef int64_t count
        self.reader, self.layout, self.at = reader, layout, 0
        if layout == OF_STRINGS:
            self.left = reader.count() * elements_each
            return 0
        reader.string(&blob)
        if blob.bytes == NULL:
            bad_data()
        self.pack = blob.bytes
        if layout == OF_LISTPACK:
            count = pack_valid(blob.bytes, blob.length)
        elif layout == OF_ZIPLIST:
            count = ziplist_valid(blob.bytes, blob.length)
        else:
            count = ints_valid(blob.bytes, blob.length)
        if count <= 0 or count % elements_each:
            bad_data()
        self.left = <uint64_t>count
        if layout != OF_INTSET:
            self.at = pack_first(blob.bytes) if layout == OF_LISTPACK else ZIPLIST_HEADER
        return 0

    cdef int next(self, Element *out) except -1:
        if self.left == 0:
            return 0
        self.left -= 1
        if self.layout == OF_STRINGS:
            self.reader.string(out)
        elif self.layout == OF_LISTPACK:
            pack_get(self.pack, self.at, out)
            self.at = pack_next(self.pack, self.at)
        elif self.layout == OF_ZIPLIST:
            self.at = ziplist_get(self.pack, self.at, <uint64_t>-1, out)
        else:
            out[0] = number_element(ints_get(self.pack, self.at))
            self.at += 1
        return 1
