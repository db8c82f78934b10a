"""The room of a client's input, and the segments of long requests: see input.pxd."""
from cpython.object cimport PyObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from libc.errno cimport EIO
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free, realloc
from libc.string cimport memmove

from shardkv.acceptor.client cimport INPUT_BYTES, INPUT_LONG, INPUT_STREAM
from shardkv.acceptor.parser cimport frame_end, frame_free, frame_is_long, frame_reset
from shardkv.segment cimport Segment

from shardkv.segment import SegmentError

cdef enum:
    SPANS_KEEP = 1024


# -- the buffer

cdef bint resize(Client *client, uint64_t capacity) noexcept nogil:
    cdef char *data = <char *>realloc(client.input, capacity)
    if data == NULL:
        return False
    client.input = data
    client.capacity = capacity
    return True


cdef void give_back(Client *client) noexcept nogil:
    free(client.input)
    client.input = NULL
    client.capacity = 0


cdef bint input_make_room(Client *client) noexcept nogil:
    cdef uint64_t held = client.length - client.start
    cdef uint64_t capacity = client.capacity
    if client.start and client.length == capacity:
        memmove(client.input, client.input + client.start, held)
        client.start = 0
        client.length = held
    if client.frame.spilled:
        capacity = INPUT_LONG
    elif held == capacity:
        capacity = max(<uint64_t>INPUT_BYTES, min(2 * capacity, <uint64_t>INPUT_LONG))
    elif held == 0 and client.peak == capacity and capacity < INPUT_STREAM:
        capacity = INPUT_STREAM
    return held < capacity and (capacity <= client.capacity or resize(client, capacity))


cdef void input_next_request(Client *client) noexcept nogil:
    client.start += client.frame.position - client.frame.spilled
    if client.frame.spilled:
        input_drop_segment(client)
    if client.frame.capacity > SPANS_KEEP:
        frame_free(&client.frame)
    frame_reset(&client.frame)


cdef void input_consumed(Client *client) noexcept nogil:
    if client.start == client.length:
        client.start = client.length = 0


cdef void input_shrink(Client *client, int64_t idle_ms) noexcept nogil:
    if client.length or client.input == NULL or client.ready or client.frame.spilled:
        return
    if idle_ms > IDLE_MS:
        give_back(client)
        frame_free(&client.frame)
    elif client.capacity > 2 * INPUT_BYTES and client.peak < client.capacity // 2:
        resize(client, max(<uint64_t>INPUT_BYTES, client.peak))
    client.peak = 0


# -- long requests

cdef void move(Client *client, uint64_t end, SegmentStore segments):
    """Moves the frame's bytes up to `end` into its segment."""
    cdef uint64_t length = end - client.frame.spilled
    cdef Segment segment
    if client.unkept == 0:
        try:
            if client.segment == NULL:
                segment = segments.create()
                Py_INCREF(segment)
                client.segment = <PyObject *>segment
            (<Segment>client.segment).append(client.input + client.start, length)
        except SegmentError as error:
            input_drop_segment(client)
            client.unkept = error.number or EIO
    client.start += length
    client.frame.spilled = end


cdef void input_spill(Client *client, SegmentStore segments):
    if frame_is_long(&client.frame):
        move(client, min(client.frame.spilled + client.length - client.start, frame_end(&client.frame)), segments)


cdef void input_complete(Client *client, SegmentStore segments):
    move(client, client.frame.position, segments)
    if client.unkept == 0:
        try:
            (<Segment>client.segment).map()
            client.mapped = (<Segment>client.segment).address
        except SegmentError as error:
            input_drop_segment(client)
            client.unkept = error.number or EIO


cdef void input_give_segment(Client *client):
    if client.segment != NULL:
        (<Segment>client.segment).close()
        Py_DECREF(<Segment>client.segment)
        client.segment = NULL
        client.mapped = NULL


cdef void input_drop_segment(Client *client) noexcept nogil:
    client.mapped = NULL
    client.unkept = 0
    if client.segment != NULL:
        with gil:
            (<Segment>client.segment).unlink()
            Py_DECREF(<Segment>client.segment)
        client.segment = NULL
