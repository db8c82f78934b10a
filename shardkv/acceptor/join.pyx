"""One reply out of the replies of a command's parts: see join.pxd."""
from libc.stdint cimport int64_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memchr, memcpy, memset, strlen

from shardkv.acceptor.output cimport payload_copy, payload_free
from shardkv.number cimport parse_int64, print_int64

cdef enum:
    HEADER_ROOM = 32           # bytes: a type byte, a number, CRLF

cdef const char *MALFORMED = b"-ERR internal error: a worker's reply cannot be joined\r\n"


cdef Join *join_new(int kind, uint32_t workers, uint32_t missing, uint32_t keys) noexcept nogil:
    cdef Join *join = <Join *>calloc(1, sizeof(Join) + workers * sizeof(Payload) + <uint64_t>keys * sizeof(uint16_t))
    if join == NULL:
        return NULL
    join.kind = <uint8_t>kind
    join.workers = workers
    join.missing = missing
    join.keys = keys
    join.replies = <Payload *>(join + 1)
    join.owners = <uint16_t *>(join.replies + workers)
    return join


cdef void join_free(Join *join) noexcept nogil:
    cdef uint32_t part
    for part in range(join.workers):
        payload_free(&join.replies[part])
    free(join)


cdef bint join_add(Join *join, uint32_t part, Payload *reply) noexcept nogil:
    if part >= join.workers or join.replies[part].bytes != NULL or join.missing == 0:
        payload_free(reply)
        return False
    join.replies[part] = reply[0]
    join.held += reply.length
    join.missing -= 1
    return join.missing == 0


cdef bint join_finish(Join *join, Payload *answer) noexcept nogil:
    cdef Payload *reply
    cdef int made
    reply = find_error(join)
    if reply == NULL and join.kind == JOIN_OK:
        reply = find_any(join, False)
    if reply == NULL and join.kind == JOIN_ANY:
        reply = find_any(join, True)
    if reply != NULL:
        answer[0] = reply[0]
        memset(reply, 0, sizeof(Payload))
        return True
    memset(answer, 0, sizeof(Payload))
    if join.kind == JOIN_SUM:
        made = add_up(join, answer)
    elif join.kind == JOIN_CONCAT or join.kind == JOIN_ARRAY:
        made = chain(join, answer)
    else:
        made = 0
    if made == 0:
        payload_free(answer)
        return payload_copy(answer, MALFORMED, strlen(MALFORMED))
    return made > 0


cdef Payload *find_error(Join *join) noexcept nogil:
    cdef uint32_t part
    for part in range(join.workers):
        if join.replies[part].length and join.replies[part].bytes[0] == c'-':
            return &join.replies[part]
    return NULL


cdef bint is_null(const Payload *reply) noexcept nogil:
    return reply.length >= 3 and (reply.bytes[0] == c'_' or (reply.bytes[1] == c'-' and reply.bytes[0] in (c'$', c'*')))


cdef Payload *find_any(Join *join, bint not_null) noexcept nogil:
    cdef Payload *found = NULL
    cdef Payload *reply
    cdef uint32_t number
    for number in range(join.workers):
        reply = &join.replies[(join.preferred + number) % join.workers]
        if reply.bytes == NULL:
            continue
        if not (not_null and is_null(reply)):
            return reply
        found = reply
    return found


cdef int add_up(Join *join, Payload *answer) noexcept nogil:
    # 1: made, 0: a reply is malformed, -1: no memory. The same for `chain`.
    cdef Payload *reply
    cdef int64_t total = 0, value
    cdef char text[HEADER_ROOM]
    cdef uint32_t part
    cdef int length
    for part in range(join.workers):
        reply = &join.replies[part]
        if reply.bytes == NULL:
            continue
        if reply.length < 4 or reply.bytes[0] != c':' or not parse_int64(reply.bytes + 1, reply.length - 3, &value):
            return 0
        total += value
    text[0] = c':'
    length = 1 + print_int64(total, text + 1)
    text[length] = c'\r'
    text[length + 1] = c'\n'
    return 1 if payload_copy(answer, text, length + 2) else -1


cdef const char *read_header(const char *at, const char *end, int64_t *count) noexcept nogil:
    """The number behind a type byte; returns where its line ends, NULL when there is none."""
    cdef const char *line_end
    if at >= end:
        return NULL
    line_end = <const char *>memchr(at, c'\r', end - at)
    if line_end == NULL or line_end + 2 > end or not parse_int64(at + 1, line_end - at - 1, count):
        return NULL
    return line_end + 2


cdef const char *skip_value(const char *at, const char *end) noexcept nogil:
    """The end of the RESP value at `at`; NULL when it is malformed or cut off."""
    cdef uint64_t values = 1
    cdef int64_t count
    cdef const char *line_end
    while values:
        values -= 1
        if at >= end:
            return NULL
        if at[0] in (c'$', c'!', c'=', c'*', c'~', c'>', c'%', c'|'):
            line_end = read_header(at, end, &count)
            if line_end == NULL or count > end - line_end:
                return NULL
            if at[0] in (c'$', c'!', c'='):
                at = line_end if count < 0 else line_end + count + 2
            else:
                values += <uint64_t>max(count, 0) * (2 if at[0] in (c'%', c'|') else 1) + (at[0] == c'|')
                at = line_end
        else:
            line_end = <const char *>memchr(at, c'\n', end - at)
            if line_end == NULL:
                return NULL
            at = line_end + 1
        if at > end:
            return NULL
    return at


cdef int chain(Join *join, Payload *answer) noexcept nogil:
    cdef const char **cursors = <const char **>calloc(join.workers, sizeof(char *))
    cdef int made = -1
    cdef int64_t total = 0
    cdef uint64_t room = HEADER_ROOM
    cdef uint32_t part
    if cursors == NULL:
        return -1
    for part in range(join.workers):
        room += join.replies[part].length
    if not open_arrays(join, cursors, &total):
        made = 0
    elif join.kind == JOIN_ARRAY and total != join.keys:
        made = 0
    else:
        answer.bytes = <char *>malloc(room)
        if answer.bytes != NULL:
            write_header(join, answer, total)
            if join.kind == JOIN_ARRAY:
                made = copy_in_order(join, cursors, answer)
            else:
                made = copy_bodies(join, cursors, answer)
    free(cursors)
    return made


cdef bint open_arrays(Join *join, const char **cursors, int64_t *total) noexcept nogil:
    """Sets each part's cursor behind its array's header and adds up the counts."""
    cdef Payload *reply
    cdef int64_t count
    cdef uint32_t part
    for part in range(join.workers):
        reply = &join.replies[part]
        if reply.bytes == NULL:
            continue
        if reply.length == 0 or reply.bytes[0] not in (c'*', c'~'):
            return False
        cursors[part] = read_header(reply.bytes, reply.bytes + reply.length, &count)
        if cursors[part] == NULL or count < 0:
            return False
        total[0] += count
    return True


cdef void write_header(Join *join, Payload *answer, int64_t total) noexcept nogil:
    cdef uint32_t part
    answer.bytes[0] = c'*'
    for part in range(join.workers):
        if join.replies[part].bytes != NULL:
            answer.bytes[0] = join.replies[part].bytes[0]
    answer.length = 1 + print_int64(total, answer.bytes + 1)
    memcpy(answer.bytes + answer.length, b"\r\n", 2)
    answer.length += 2


cdef int copy_bodies(Join *join, const char **cursors, Payload *answer) noexcept nogil:
    cdef Payload *reply
    cdef uint64_t length
    cdef uint32_t part
    for part in range(join.workers):
        reply = &join.replies[part]
        if reply.bytes != NULL:
            length = reply.bytes + reply.length - cursors[part]
            memcpy(answer.bytes + answer.length, cursors[part], length)
            answer.length += length
    return 1


cdef int copy_in_order(Join *join, const char **cursors, Payload *answer) noexcept nogil:
    cdef Payload *reply
    cdef const char *end
    cdef uint32_t key, part
    for key in range(join.keys):
        part = join.owners[key]
        reply = &join.replies[part]
        end = skip_value(cursors[part], reply.bytes + reply.length) if reply.bytes != NULL else NULL
        if end == NULL:
            return 0
        memcpy(answer.bytes + answer.length, cursors[part], end - cursors[part])
        answer.length += end - cursors[part]
        cursors[part] = end
    return 1
