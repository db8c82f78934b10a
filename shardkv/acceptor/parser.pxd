"""Requests out of bytes: RESP arrays of bulk strings, and inline commands.

    request = "*" count CRLF { "$" length CRLF bytes CRLF }      count <= 0: no request at all
            | words separated by blanks, "quoted" or 'quoted', up to LF or CRLF

A Frame remembers how far one request was read, so bytes may come in pieces of any size and each is looked at once.

Invariants
 1. All positions count from the frame's first byte, `data`: the buffer may move between two calls, and grow at its end.
 2. Of a long request the first `spilled` bytes may have been moved elsewhere, never more than up to the end of the
    argument being read: then `data` is where the first byte would be, and bytes before `spilled` are not looked at.
 3. spans[0:argc] are the arguments read so far and lie in data[0:position]; `payload` is the sum of their lengths.
 4. Memory is never taken on the word of an announced count: spans grow as arguments arrive.
 5. After an error the frame is dead; `error` is a static text, or "" for the one that names a byte (`unexpected`).
 6. An inline command is unquoted in place: its bytes change, once, when its line is complete.
 7. Every byte of a line belongs to a word or parts two of them, and nothing is read past or cut off: a zero byte,
    which no text has, is an error as soon as it comes. A word that needs one says "\\x00" in quotes.
"""
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t

cdef enum:
    INLINE_MAX = 65536        # bytes of an inline command, or of a count, before its end must have come
    LONG_REQUEST = 131072     # bytes of a request above which it is not kept until its end has come
    UNAUTHENTICATED_COUNT = 10
    UNAUTHENTICATED_BULK = 16384

cdef enum Parsed:
    PARSED_MORE               # all bytes are read, the request is not complete
    PARSED_REQUEST            # complete: spans[0:argc], position is its end
    PARSED_NOTHING            # an empty request: nothing to do, position is its end
    PARSED_ERROR

cdef struct Span:
    uint64_t offset
    uint64_t length

cdef struct Frame:
    uint64_t position
    uint64_t spilled
    uint64_t payload
    int64_t bulk              # length of the argument being read, -1 while its length is not known
    uint32_t expected         # arguments of the request, 0 while not known
    uint32_t argc
    uint32_t capacity         # of spans
    uint8_t unexpected        # the byte that was no '$'
    Span *spans
    const char *error

cdef void frame_reset(Frame *frame) noexcept nogil      # ready for the next request; keeps the spans' memory
cdef void frame_free(Frame *frame) noexcept nogil       # gives the spans' memory back
cdef Parsed frame_parse(
    Frame *frame, char *data, uint64_t length, uint64_t bulk_max, bint authenticated
) noexcept nogil
cdef inline uint64_t frame_end(const Frame *frame) noexcept nogil:
    """Where that ends what has been announced of the request: the argument being read, or what was read last."""
    return frame.position + (<uint64_t>frame.bulk if frame.bulk > 0 else 0)

cdef inline bint frame_is_long(const Frame *frame) noexcept nogil:
    return frame_end(frame) > LONG_REQUEST
