"""Requests out of bytes: see parser.pxd for the grammar and invariants."""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memchr

cdef enum:
    FIRST_SPANS = 8
    COUNT_MAX = 0x7FFFFFFF


cdef void frame_reset(Frame *frame) noexcept nogil:
    frame.position = 0
    frame.spilled = 0
    frame.payload = 0
    frame.bulk = -1
    frame.expected = 0
    frame.argc = 0


cdef void frame_free(Frame *frame) noexcept nogil:
    free(frame.spans)
    frame.spans = NULL
    frame.capacity = 0


cdef Parsed frame_parse(
    Frame *frame, char *data, uint64_t length, uint64_t bulk_max, bint authenticated
) noexcept nogil:
    cdef int64_t number
    cdef Parsed parsed
    if frame.expected == 0:
        if length == 0:
            return PARSED_MORE
        if data[0] != c'*':
            return parse_inline(frame, data, length)
        parsed = read_number(frame, data, length, &number, b"Protocol error: too big mbulk count string",
                             b"Protocol error: invalid multibulk length")
        if parsed != PARSED_REQUEST:
            return parsed
        if number > COUNT_MAX:
            return fail(frame, b"Protocol error: invalid multibulk length")
        if number > UNAUTHENTICATED_COUNT and not authenticated:
            return fail(frame, b"Protocol error: unauthenticated multibulk length")
        if number <= 0:
            return PARSED_NOTHING
        frame.expected = <uint32_t>number
    return parse_arguments(frame, data, length, bulk_max, authenticated)


cdef Parsed parse_arguments(
    Frame *frame, char *data, uint64_t length, uint64_t bulk_max, bint authenticated
) noexcept nogil:
    cdef int64_t number
    cdef Parsed parsed
    while frame.argc < frame.expected:
        if frame.bulk < 0:
            parsed = read_bulk_length(frame, data, length, &number)
            if parsed != PARSED_REQUEST:
                return parsed
            if number < 0 or <uint64_t>number > bulk_max:
                return fail(frame, b"Protocol error: invalid bulk length")
            if number > UNAUTHENTICATED_BULK and not authenticated:
                return fail(frame, b"Protocol error: unauthenticated bulk length")
            frame.bulk = number
        if length - frame.position < <uint64_t>frame.bulk + 2:
            return PARSED_MORE
        if not add_span(frame, frame.position, <uint64_t>frame.bulk):
            return fail(frame, b"OOM the acceptor has no memory for this request")
        frame.position += <uint64_t>frame.bulk + 2
        frame.bulk = -1
    return PARSED_REQUEST


cdef inline Parsed read_bulk_length(Frame *frame, const char *data, uint64_t length, int64_t *number) noexcept nogil:
    # The usual case, a length of one to three digits with all its bytes there, without a search for the line's end.
    cdef const char *text = data + frame.position
    cdef int64_t value
    cdef uint32_t digits = 1
    if length - frame.position >= 6 and text[0] == c'$':
        value = text[1] - c'0'
        if 0 <= value <= 9:
            while digits < 3 and value and c'0' <= text[digits + 1] <= c'9':
                value = value * 10 + text[digits + 1] - c'0'
                digits += 1
            if text[digits + 1] == c'\r':
                number[0] = value
                frame.position += digits + 3
                return PARSED_REQUEST
    return read_number(frame, data, length, number, b"Protocol error: too big bulk count string",
                       b"Protocol error: invalid bulk length")


cdef Parsed read_number(
    Frame *frame, const char *data, uint64_t length, int64_t *number, const char *too_long, const char *invalid
) noexcept nogil:
    """The number of a line whose first byte is its type; moves past the line's end."""
    cdef const char *line = data + frame.position
    cdef uint64_t room = length - frame.position
    cdef const char *end = <const char *>memchr(line, c'\r', room) if room else NULL
    if end == NULL:
        return fail(frame, too_long) if room > INLINE_MAX else PARSED_MORE
    if <uint64_t>(end - line) + 2 > room:
        return PARSED_MORE
    if frame.expected and line[0] != c'$':
        frame.unexpected = <uint8_t>line[0]
        return fail(frame, b"")
    if not read_int64(line + 1, end - line - 1, number):
        return fail(frame, invalid)
    frame.position += <uint64_t>(end - line) + 2
    return PARSED_REQUEST


cdef bint read_int64(const char *text, int64_t length, int64_t *number) noexcept nogil:
    # Canonical decimal, as Redis reads lengths. Eighteen digits cannot overflow, and no limit of ours needs more.
    cdef int64_t value = 0
    cdef bint negative = length > 0 and text[0] == c'-'
    cdef int64_t index = negative
    if length - negative < 1 or length - negative > 18 or (text[index] == c'0' and length > 1):
        return False
    while index < length:
        if not c'0' <= text[index] <= c'9':
            return False
        value = value * 10 + text[index] - c'0'
        index += 1
    number[0] = -value if negative else value
    return True


cdef Parsed fail(Frame *frame, const char *error) noexcept nogil:
    frame.error = error
    return PARSED_ERROR


cdef inline bint add_span(Frame *frame, uint64_t offset, uint64_t length) noexcept nogil:
    if frame.argc == frame.capacity and not grow(frame):
        return False
    frame.spans[frame.argc].offset = offset
    frame.spans[frame.argc].length = length
    frame.argc += 1
    frame.payload += length
    return True


cdef bint grow(Frame *frame) noexcept nogil:
    cdef uint32_t capacity = frame.capacity * 2 if frame.capacity else FIRST_SPANS
    cdef Span *spans = <Span *>realloc(frame.spans, capacity * sizeof(Span))
    if spans == NULL:
        return False
    frame.spans = spans
    frame.capacity = capacity
    return True


# -- inline commands

cdef bint is_blank(char byte) noexcept nogil:
    return byte == c' ' or c'\t' <= byte <= c'\r'


cdef Parsed parse_inline(Frame *frame, char *data, uint64_t length) noexcept nogil:
    # `position` is how far the line's end was looked for.
    cdef const char *end = <const char *>memchr(data + frame.position, c'\n', length - frame.position)
    cdef uint64_t stop = <uint64_t>(end - data) if end != NULL else length
    cdef uint64_t at = 0
    if memchr(data + frame.position, 0, stop - frame.position) != NULL:
        return fail(frame, b"Protocol error: zero byte in inline request")
    if end == NULL:
        frame.position = length
        return fail(frame, b"Protocol error: too big inline request") if length > INLINE_MAX else PARSED_MORE
    frame.position = stop + 1
    if stop and data[stop - 1] == c'\r':
        stop -= 1
    while True:
        while at < stop and is_blank(data[at]):
            at += 1
        if at == stop:
            return PARSED_REQUEST if frame.argc else PARSED_NOTHING
        at = read_word(frame, data, at, stop)
        if frame.error != NULL:
            return PARSED_ERROR


cdef uint64_t read_word(Frame *frame, char *data, uint64_t at, uint64_t stop) noexcept nogil:
    """Unquotes one word in place and adds it; returns where it ends."""
    cdef uint64_t first = at, out = at
    cdef char quote = 0
    cdef char byte
    while at < stop:
        byte = data[at]
        if quote == 0:
            if is_blank(byte):
                break
            if byte == c'"' or byte == c"'":
                quote = byte
                at += 1
                continue
        elif byte == quote:
            if at + 1 < stop and not is_blank(data[at + 1]):
                break
            quote = 0
            at += 1
            break
        elif byte == c'\\' and at + 1 < stop:
            at = read_escape(data, at, stop, quote, &byte)
        data[out] = byte
        out += 1
        at += 1
    if quote:
        fail(frame, b"Protocol error: unbalanced quotes in request")
    elif not add_span(frame, first, out - first):
        fail(frame, b"OOM the acceptor has no memory for this request")
    return at


cdef uint64_t read_escape(const char *data, uint64_t at, uint64_t stop, char quote, char *byte) noexcept nogil:
    """The byte that a backslash at `at` stands for; returns the position of the escape's last byte."""
    cdef char kind = data[at + 1]
    cdef int high, low
    if quote == c"'":
        if kind != c"'":
            return at
        byte[0] = c"'"
        return at + 1
    if kind == c'x' and at + 3 < stop:
        high, low = hex_digit(data[at + 2]), hex_digit(data[at + 3])
        if high >= 0 and low >= 0:
            byte[0] = <char>(high << 4 | low)
            return at + 3
    byte[0] = kind
    if kind == c'n':
        byte[0] = c'\n'
    elif kind == c'r':
        byte[0] = c'\r'
    elif kind == c't':
        byte[0] = c'\t'
    elif kind == c'b':
        byte[0] = 8
    elif kind == c'a':
        byte[0] = 7
    return at + 1


cdef int hex_digit(char byte) noexcept nogil:
    if c'0' <= byte <= c'9':
        return byte - c'0'
    if c'a' <= (byte | 32) <= c'f':
        return (byte | 32) - c'a' + 10
    return -1
