"""What waits to be sent to one client: see output.pxd."""
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF
from libc.errno cimport EAGAIN, EINTR, errno
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from shardkv.acceptor.net cimport MSG_DONTWAIT, MSG_NOSIGNAL, iovec, msghdr, send, sendmsg
from shardkv.segment cimport Segment, give_back

cdef enum:
    VECTORS = 32
    POOL_MAX = 64              # chunks kept for reuse

cdef Chunk *pool = NULL
cdef int pooled = 0
starving = False


cdef void *take(uint64_t size) noexcept nogil:
    return malloc(size) if not starving else NULL


cdef Chunk *new_chunk(uint64_t capacity) noexcept nogil:
    global pool, pooled
    cdef Chunk *chunk = pool
    if capacity <= CHUNK_BYTES and chunk != NULL:
        pool = chunk.next
        pooled -= 1
    else:
        if capacity < CHUNK_BYTES:
            capacity = CHUNK_BYTES
        chunk = <Chunk *>take(sizeof(Chunk) + capacity)
        if chunk == NULL:
            return NULL
        chunk.capacity = capacity
    chunk.next = NULL
    chunk.bytes = <char *>(chunk + 1)
    chunk.length = chunk.sent = chunk.given = 0
    chunk.segment = NULL
    return chunk


cdef void free_chunk(Chunk *chunk) noexcept nogil:
    global pool, pooled
    if chunk.segment != NULL:
        drop_segment(chunk.segment, chunk.given)
        free(chunk)
    elif chunk.capacity == CHUNK_BYTES and pooled < POOL_MAX:
        chunk.next = pool
        pool = chunk
        pooled += 1
    else:
        free(chunk)


cdef void drop_segment(PyObject *segment, uint64_t given) noexcept with gil:
    (<Segment>segment).given = given
    Py_DECREF(<Segment>segment)  # the last reference unmaps it


cdef void payload_free(Payload *payload) noexcept nogil:
    if payload.segment != NULL:
        drop_segment(payload.segment, 0)
    else:
        free(payload.bytes)
    payload.bytes = NULL
    payload.length = 0
    payload.segment = NULL


cdef bint payload_copy(Payload *payload, const char *data, uint64_t length) noexcept nogil:
    payload.segment = NULL
    payload.length = 0
    payload.bytes = <char *>take(length if length else 1)
    if payload.bytes == NULL:
        return False
    memcpy(payload.bytes, data, length)
    payload.length = length
    return True


cdef void link(Output *output, Chunk *chunk) noexcept nogil:
    if output.last == NULL:
        output.first = chunk
    else:
        output.last.next = chunk
    output.last = chunk
    output.chunks += 1
    output.bytes += chunk.length
    output.memory += sizeof(Chunk) + chunk.capacity


cdef bint output_append(Output *output, const char *data, uint64_t length) noexcept nogil:
    cdef Chunk *last = output.last
    cdef Chunk *chunk = NULL
    cdef uint64_t part = 0
    if last != NULL and last.segment == NULL:
        part = min(length, last.capacity - last.length)
    if part < length:
        chunk = new_chunk(length - part)
        if chunk == NULL:
            return False
    if part:
        memcpy(last.bytes + last.length, data, part)
        last.length += part
        output.bytes += part
    if chunk != NULL:
        chunk.length = length - part
        memcpy(chunk.bytes, data + part, chunk.length)
        link(output, chunk)
    return True


cdef bint output_append_payload(Output *output, Payload *payload) noexcept nogil:
    cdef Chunk *chunk
    cdef bint appended
    if payload.segment == NULL or payload.length == 0:
        appended = output_append(output, payload.bytes, payload.length)
        payload_free(payload)
        return appended
    chunk = <Chunk *>take(sizeof(Chunk))
    if chunk == NULL:
        payload_free(payload)
        return False
    chunk.next = NULL
    chunk.bytes = payload.bytes
    chunk.length = chunk.capacity = payload.length
    chunk.sent = chunk.given = 0
    chunk.segment = payload.segment
    link(output, chunk)
    return True


cdef int64_t output_send(Output *output, int fd, uint64_t step) noexcept nogil:
    cdef uint64_t total = 0, wanted
    cdef ssize_t sent
    while output.first != NULL and total < step:
        if output.first == output.last:
            wanted = min(output.first.length - output.first.sent, step)
            sent = send(fd, output.first.bytes + output.first.sent, wanted, MSG_NOSIGNAL | MSG_DONTWAIT)
        else:
            sent = send_chain(output, fd, step, &wanted)
        if sent < 0:
            if errno == EINTR:
                continue
            return <int64_t>total if errno == EAGAIN else -errno
        total += sent
        consume(output, <uint64_t>sent)
        if <uint64_t>sent < wanted:
            break
    return <int64_t>total


cdef ssize_t send_chain(Output *output, int fd, uint64_t step, uint64_t *wanted) noexcept nogil:
    cdef iovec vectors[VECTORS]
    cdef msghdr message
    cdef Chunk *chunk = output.first
    cdef int count = 0
    wanted[0] = 0
    while chunk != NULL and count < VECTORS and wanted[0] < step:
        vectors[count].iov_base = chunk.bytes + chunk.sent
        vectors[count].iov_len = min(chunk.length - chunk.sent, step - wanted[0])
        wanted[0] += vectors[count].iov_len
        count += 1
        chunk = chunk.next
    memset(&message, 0, sizeof(message))
    message.msg_iov = vectors
    message.msg_iovlen = count
    return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT)


cdef void consume(Output *output, uint64_t sent) noexcept nogil:
    cdef Chunk *chunk
    cdef uint64_t part
    output.bytes -= sent
    while output.first != NULL:
        chunk = output.first
        part = min(sent, chunk.length - chunk.sent)
        chunk.sent += part
        sent -= part
        if chunk.sent < chunk.length:
            if chunk.segment != NULL and chunk.sent - chunk.given >= SEND_STEP:
                give_back(chunk.bytes, chunk.given, chunk.sent)
                chunk.given = chunk.sent
            return
        drop_first(output)


cdef void drop_first(Output *output) noexcept nogil:
    cdef Chunk *chunk = output.first
    output.first = chunk.next
    if output.first == NULL:
        output.last = NULL
    output.chunks -= 1
    output.memory -= sizeof(Chunk) + chunk.capacity
    free_chunk(chunk)


cdef void output_free(Output *output) noexcept nogil:
    while output.first != NULL:
        drop_first(output)
    output.bytes = 0
