"""Reply: writes RESP into a growing buffer. See resp.pxd."""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcpy

from shardkv.number cimport print_double, print_int64

from shardkv.errors import harmless

cdef enum:
    HEADER_MAX = 24  # bytes: a kind, 20 digits with their sign, CRLF
    GROWN_MIN = 256  # bytes: a first buffer of our own
    DOUBLE_MAX = 40
    IN_PLACE_MIN = 65536  # bytes: shorter strings are sooner copied


cdef inline char *put_header(char *at, char kind, int64_t count) noexcept nogil:
    at[0] = kind
    at += 1
    if 0 <= count <= 9:
        at[0] = <char>(c'0' + count)
        at += 1
    else:
        at += print_int64(count, at)
    at[0] = c'\r'
    at[1] = c'\n'
    return at + 2


cdef class Reply:
    def __cinit__(self):
        self.resp = 2

    def __dealloc__(self):
        if not self.lent:
            free(self.bytes)
        free(self.stretches)

    cdef void lend(self, char *memory, size_t capacity) noexcept:
        if not self.lent:
            free(self.bytes)
        self.bytes = memory
        self.capacity = capacity
        self.lent = True
        self.clear()

    cdef void clear(self) noexcept:
        self.length = self.elsewhere = 0
        self.stretch_count = 0
        self.copies = False

    cdef ReplyMark mark(self) noexcept:
        return ReplyMark(self.length, self.elsewhere, self.stretch_count)

    cdef void rewind(self, ReplyMark mark) noexcept:
        self.length, self.elsewhere, self.stretch_count = mark.length, mark.elsewhere, mark.stretch_count

    cdef size_t size(self) noexcept:
        return self.length + self.elsewhere

    cdef void copy_to(self, char *out) noexcept:
        cdef size_t copied = 0
        cdef Stretch *stretch
        cdef int number
        for number in range(self.stretch_count):
            stretch = &self.stretches[number]
            memcpy(out, self.bytes + copied, stretch.at - copied)
            out += stretch.at - copied
            copied = stretch.at
            memcpy(out, stretch.bytes, stretch.length)
            out += stretch.length
        memcpy(out, self.bytes + copied, self.length - copied)

    cdef char *take(self) except NULL:
        cdef char *taken = NULL if self.lent or self.elsewhere else self.bytes
        if taken == NULL:
            taken = <char *>malloc(max(self.size(), <size_t>1))
            if taken == NULL:
                raise MemoryError()
            self.copy_to(taken)
        else:
            self.lent = True
        self.lend(NULL, 0)
        return taken

    cdef int reserve(self, size_t more) except -1:
        if more <= self.capacity - self.length:
            return 0
        return self._grow(more)

    cdef int _grow(self, size_t more) except -1:
        cdef size_t capacity
        cdef char *grown
        if self.length + more < more:
            raise MemoryError()
        capacity = max(self.capacity * 2, self.length + more, <size_t>GROWN_MIN)
        grown = <char *>(malloc(capacity) if self.lent else realloc(self.bytes, capacity))
        if grown == NULL:
            raise MemoryError()
        if self.lent:
            memcpy(grown, self.bytes, self.length)
        self.bytes = grown
        self.capacity = capacity
        self.lent = False
        return 0

    cdef int raw(self, const char *data, size_t length) except -1:
        self.reserve(length)
        memcpy(self.bytes + self.length, data, length)
        self.length += length
        return 0

    cdef int bulk(self, const char *data, size_t length) except -1:
        cdef char *at
        self.reserve(length + HEADER_MAX + 2)
        at = put_header(self.bytes + self.length, c'$', length)
        memcpy(at, data, length)
        at[length] = c'\r'
        at[length + 1] = c'\n'
        self.length = at + length + 2 - self.bytes
        return 0

    cdef int bulk_in_place(self, const char *data, size_t length) except -1:
        cdef Stretch *grown
        if length < IN_PLACE_MIN or self.copies or length + HEADER_MAX + 2 <= self.capacity - self.length:
            return self.bulk(data, length)
        if self.stretch_count == self.stretch_room:
            grown = <Stretch *>realloc(self.stretches, (2 * self.stretch_room + 4) * sizeof(Stretch))
            if grown == NULL:
                raise MemoryError()
            self.stretches = grown
            self.stretch_room = 2 * self.stretch_room + 4
        self.reserve(HEADER_MAX + 2)
        self.header(c'$', length)
        self.stretches[self.stretch_count] = Stretch(self.length, data, length)
        self.stretch_count += 1
        self.elsewhere += length
        return self.raw(b"\r\n", 2)

    cdef int header(self, char kind, int64_t count) except -1:
        self.reserve(HEADER_MAX)
        self.length = put_header(self.bytes + self.length, kind, count) - self.bytes
        return 0

    cdef int integer(self, int64_t value) except -1:
        return self.header(c':', value)

    cdef int _line(self, str kind, str text) except -1:
        cdef bytes line = f"{kind}{text}\r\n".encode("utf-8", "surrogateescape")
        return self.raw(PyBytes_AS_STRING(line), PyBytes_GET_SIZE(line))

    cpdef int status(self, str text) except -1:
        return self._line("+", text)

    cpdef int error(self, str text) except -1:
        return self._line("-", harmless(text))

    cpdef int null(self) except -1:
        return self.raw(b"_\r\n", 3) if self.resp == 3 else self.raw(b"$-1\r\n", 5)

    cpdef int null_array(self) except -1:
        return self.raw(b"_\r\n", 3) if self.resp == 3 else self.raw(b"*-1\r\n", 5)

    cpdef int array(self, int64_t count) except -1:
        return self.header(c'*', count)

    cpdef int map(self, int64_t pairs) except -1:
        return self.header(c'%', pairs) if self.resp == 3 else self.header(c'*', pairs * 2)

    cpdef int set(self, int64_t count) except -1:
        return self.header(c'~' if self.resp == 3 else c'*', count)

    cpdef int push(self, int64_t count) except -1:
        return self.header(c'>' if self.resp == 3 else c'*', count)

    cpdef int attribute(self, int64_t pairs) except -1:
        return self.header(c'|', pairs)

    cpdef int number(self, int64_t value) except -1:
        return self.integer(value)

    cpdef int double(self, double value) except -1:
        cdef char text[DOUBLE_MAX]
        cdef int length = print_double(value, text + 1)
        if self.resp != 3:
            return self.bulk(text + 1, length)
        text[0] = c','
        text[length + 1] = c'\r'
        text[length + 2] = c'\n'
        return self.raw(text, length + 3)

    cpdef int boolean(self, bint value) except -1:
        if self.resp == 3:
            return self.raw(b"#t\r\n" if value else b"#f\r\n", 4)
        return self.integer(1 if value else 0)

    cpdef int big_number(self, str digits) except -1:
        return self._line("(", digits) if self.resp == 3 else self.string(digits)

    cpdef int verbatim(self, str format, bytes data) except -1:
        """Text of a three-letter format, as txt or mkd."""
        if self.resp != 3:
            return self.string(data)
        self.reserve(HEADER_MAX + 4 + PyBytes_GET_SIZE(data) + 2)
        self.header(c'=', PyBytes_GET_SIZE(data) + 4)
        self._line("", f"{format}:")
        self.length -= 2
        self.raw(PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data))
        return self.raw(b"\r\n", 2)

    cpdef int string(self, object data) except -1:
        cdef bytes content = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else bytes(data)
        return self.bulk(PyBytes_AS_STRING(content), PyBytes_GET_SIZE(content))

    cpdef int value(self, object data) except -1:
        """Writes a tree of Python values, or nothing when it raises: TypeError for a value without RESP shape."""
        cdef size_t start = self.length
        try:
            self._tree(data)
        except BaseException:
            self.length = start
            raise
        return 0

    cdef int _tree(self, object data) except -1:
        if data is None:
            return self.null()
        if isinstance(data, (bytes, str)):
            return self.string(data)
        if isinstance(data, bool):
            return self.boolean(data)
        if isinstance(data, int):
            return self.integer(data) if -(1 << 63) <= data < 1 << 63 else self.big_number(str(data))
        if isinstance(data, float):
            return self.double(data)
        if isinstance(data, dict):
            self.map(len(data))
            for key, item in data.items():
                self._tree(key)
                self._tree(item)
            return 0
        if isinstance(data, (set, frozenset)):
            self.set(len(data))
        elif isinstance(data, (list, tuple)):
            self.array(len(data))
        else:
            raise TypeError(f"no reply can be made of {type(data).__name__}")
        for item in data:
            self._tree(item)
        return 0

    cpdef bytes getvalue(self):
        """What was written so far."""
        cdef bytes value = PyBytes_FromStringAndSize(NULL, self.size())
        self.copy_to(PyBytes_AS_STRING(value))
        return value
