"""One client: its input, what it waits for, the order of its replies, its output.

A Client is a C struct, so that ten thousand idle ones cost little and the hot path touches no Python object; a
Connection (connection.pxd) is what Python handlers see of it.

Invariants
 1. input[start:length] is not yet consumed; `frame` describes the request that begins at input[start]. Of a long
    request the first frame.spilled bytes are in a segment already (input.pxd), and input[start] is the byte behind.
 2. Requests are numbered from 0 when accepted (next_request), replies leave in that order (next_reply): the reply
    that is next goes to the output, one that comes earlier waits in its slot. next_reply <= next_request.
 3. slots[n & (slots_capacity - 1)] is request n's, for n in [next_reply, next_reply + slots_capacity); requests without
    a slot are simply awaited. `marked` counts the slots that are not SLOT_EMPTY.
    `held` is the sum of the bytes of replies, and of parts and pieces of them, that cannot be sent yet: those of HELD
    slots, of joins, and what Replies gathers for the client. It counts as output, against the limits too, so whoever
    adds to it puts the client on the dirty list.
 4. `waiting` and the states of slots are changed by the functions below alone:
        waiting   NOTHING -> RING, PENDING, LOCAL, PAUSE, TRANSACTION, BLOCKED (client_await_…) -> NOTHING
                  (client_resume); TRANSACTION -> BLOCKED (client_await_key) -> TRANSACTION (client_await_arrival)
        slot      EMPTY -> MUTED (client_mute), JOIN (client_begin_join), HELD (deliver…), AWAITED (client_await_reply);
                  JOIN -> EMPTY -> HELD (its last part), MUTED -> HELD (its reply, emptied), HELD -> EMPTY (its turn),
                  AWAITED -> JOIN, ARRIVED (its reply), ARRIVED -> EMPTY (client_take_reply)
    BLOCKED_CLIENTS counts the clients in WAIT_PAUSE, and of those in WAIT_BLOCKED the ones that are (waiters.pxd).
 5. A client with output or a reason to close is on the dirty list; one whose input may go on is on the queue. The
    reactor walks both. Each list has a link of its own, and who is closed is on the table's list of the removed alone.
 6. An awaited request is its client's last: nothing of what came behind it is looked at until its reply is here. Then
    waiting = TRANSACTION, and the request's frame is kept, as it may have to be sent again, under its number (`again`).
    `client_take_reply` gives the reply to whoever goes on with it, and `client_answer` ends the request.
 7. After its descriptor is closed (fd = -1) a Client stays until the end of the turn, and for as long as its
    Connection is referred to.
"""
from cpython.object cimport PyObject
from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from shardkv.acceptor.join cimport Join
from shardkv.acceptor.multi cimport Multi
from shardkv.acceptor.output cimport Output, Payload
from shardkv.acceptor.parser cimport Frame
from shardkv.stats cimport BLOCKED_CLIENTS, Touches

cdef enum:
    INPUT_BYTES = 16384       # of a connection that is not idle
    INPUT_STREAM = 65536      # … of one that fills it
    INPUT_LONG = 262144       # … of one that sends a long request: no buffer is larger
    PENDING_MAX = 1024        # requests of one connection on their way
    ADDRESS_BYTES = 28        # a sockaddr_in6

cdef enum SlotState:
    SLOT_EMPTY
    SLOT_HELD                 # its reply is here, an earlier one is not
    SLOT_JOIN                 # parts are still to come
    SLOT_MUTED                # CLIENT REPLY: its reply will be dropped
    SLOT_AWAITED              # its reply will be looked at before it is sent
    SLOT_ARRIVED              # … and is here

cdef enum ReplyMode:
    REPLY_ON
    REPLY_OFF
    REPLY_SKIP                # the next reply only
    REPLY_SKIPPING            # this is the one; its handler may still say otherwise

cdef enum Waiting:
    WAIT_NOTHING
    WAIT_RING                 # a request ring was full
    WAIT_PENDING              # PENDING_MAX was reached
    WAIT_LOCAL                # an asynchronous handler runs
    WAIT_PAUSE                # CLIENT PAUSE
    WAIT_TRANSACTION          # the reply of its last request
    WAIT_BLOCKED              # … which waits for a key (waiters.pxd)

cdef struct Slot:
    uint8_t state
    Join *join
    Payload payload

cdef struct Client:
    int fd
    uint32_t place            # in the client table
    uint64_t token
    uint64_t id
    # input
    char *input
    uint64_t capacity
    uint64_t start
    uint64_t length
    uint64_t peak             # largest `length` since the buffer was last looked at
    Frame frame
    PyObject *segment         # of a long request, a Segment: holds the frame's first `spilled` bytes
    const char *mapped        # … and, when the request is complete, all of them
    int unkept                # … or the errno of why it does not: what comes of the request is dropped
    # order
    uint64_t next_request
    uint64_t next_reply
    uint64_t ticket           # when the request began to wait for room (requests.pxd), …
    uint64_t ticket_request   # … which had this number
    Slot *slots
    uint32_t slots_capacity
    uint32_t marked
    uint64_t held             # bytes of replies that wait for an earlier one, or for the rest of them
    Output output
    # session
    uint16_t database
    uint16_t last_command
    uint8_t resp
    uint8_t reply_mode
    bint authenticated
    bint no_touch
    bint no_evict
    bint is_unix
    # transactions
    Multi *multi              # what is queued and what is watched; NULL: neither
    bint in_multi             # multi.open
    bint again                # the awaited request was not executed: it is sent again …
    uint32_t attempts         # … which has happened so often
    int64_t retry_ms          # … and not before this time
    PyObject *weaver          # of the EXEC that is being answered (transactions.pxd)
    # state
    uint8_t waiting
    uint32_t ring             # WAIT_RING: of this worker
    bint ready                # the frame holds a whole request that could not be routed
    bint readable             # the socket may have more
    bint hangup               # … and its end
    bint closing              # no further requests; closed when the last reply is sent
    bint doomed               # closed at the next flush
    bint dirty                # on the hub's dirty list, or not to be put there any more
    bint queued               # on the hub's queue, or that of a request ring (requests.pxd)
    bint orphaned             # … and its Connection has to free it: the client table has let go of it
    Client *next_dirty
    Client *next_queued
    Client *next_removed      # of the client table
    int64_t created_ms
    int64_t active_ms
    int64_t soft_since_ms     # since when the output is above its soft limit, 0: it is not
    uint64_t stamp            # of its request that may block, from the first try on; 0: none
    void *waiter              # … which waits (waiters.pxd), or NULL
    uint64_t waiter_bytes
    PyObject *view            # the Connection; a reference of ours keeps names and the like until the client is closed
    uint8_t peer[ADDRESS_BYTES]

cdef struct Hub:
    # What all connections of the process share.
    int64_t now_ms
    uint64_t *counters        # of the acceptor's ProcessBlock
    const Touches *touches    # of all shards
    Client *dirty
    uint32_t dirty_clients    # so many are on that list
    Client *queue_first
    Client *queue_last
    bint cold                 # the event loop has something to run
    uint64_t bulk_max         # proto-max-bulk-len
    uint64_t query_max        # client-query-buffer-limit
    uint64_t output_hard      # client-output-buffer-limit normal; 0: none
    uint64_t output_soft
    int64_t output_soft_ms
    int64_t idle_ms           # timeout; 0: none
    bint require_auth
    bint loading              # some shard has not been served yet in this run
    uint8_t paused            # PAUSE_…

cdef enum:
    PAUSE_NONE = 0
    PAUSE_WRITES = 1
    PAUSE_ALL = 2

cdef Client *client_new(Hub *hub, int fd) noexcept nogil
cdef void client_release(Client *client) noexcept nogil     # frees all but the struct
cdef uint64_t client_memory(Client *client) noexcept nogil
cdef void client_enqueue(Hub *hub, Client *client) noexcept nogil
cdef void client_touch_output(Hub *hub, Client *client) noexcept nogil
cdef void client_doom(Hub *hub, Client *client) noexcept nogil
cdef void client_hold(Hub *hub, Client *client, uint64_t length) noexcept nogil     # adds to `held`

cdef inline uint64_t client_output_bytes(const Client *client) noexcept nogil:
    """Bytes of replies that are not sent yet, whether their turn has come or not."""
    return client.output.bytes + client.held

cdef inline const char *frame_bytes(const Client *client) noexcept nogil:
    """The first byte of the complete request in its frame, to which its spans relate."""
    return client.mapped if client.mapped != NULL else client.input + client.start

# Arguments of the request in its frame; of a single one, so many bytes at most.
cdef bytes frame_argument(Client *client, uint32_t index, uint64_t longest)
cdef list frame_arguments(Client *client)

# What it waits for.

cdef inline void client_await_ring(Client *client, uint32_t worker) noexcept nogil:
    client.waiting = WAIT_RING
    client.ring = worker

cdef inline void client_await_replies(Client *client) noexcept nogil:
    client.waiting = WAIT_PENDING

cdef inline void client_await_handler(Client *client) noexcept nogil:
    client.waiting = WAIT_LOCAL

cdef inline void client_await_retry(Client *client) noexcept nogil:
    client.waiting = WAIT_TRANSACTION  # with `again` set: until the reactor's tick finds that its time has come

cdef inline void client_await_unpause(Hub *hub, Client *client) noexcept nogil:
    client.waiting = WAIT_PAUSE
    hub.counters[<int>BLOCKED_CLIENTS] += 1

cdef inline void client_await_key(Client *client) noexcept nogil:
    client.waiting = WAIT_BLOCKED

cdef inline void client_await_arrival(Client *client) noexcept nogil:
    """Its wait is over: the reply comes next."""
    client.waiting = WAIT_TRANSACTION

cdef inline void client_resume(Hub *hub, Client *client) noexcept nogil:
    if client.waiting == WAIT_PAUSE:
        hub.counters[<int>BLOCKED_CLIENTS] -= 1
    client.waiting = WAIT_NOTHING

cdef inline bint is_awaiting(const Client *client, uint64_t sequence) noexcept nogil:
    """Whether a request is the one that the client waits for."""
    return client.waiting == WAIT_TRANSACTION and sequence == client.next_request - 1

cdef void client_forget_multi(Hub *hub, Client *client) noexcept nogil     # its queue and what it watches
cdef void client_shrink_multi(Client *client) noexcept nogil               # gives back what is not in use
cdef void client_unwatch(Hub *hub, Client *client) noexcept nogil

# Order.

# The number of the request at hand; `client_accept` minds CLIENT REPLY, which local handlers may still change.
cdef uint64_t client_number_request(Hub *hub, Client *client) noexcept nogil
cdef uint64_t client_accept(Hub *hub, Client *client) noexcept nogil
cdef void client_mute(Hub *hub, Client *client, uint64_t sequence) noexcept nogil
cdef bint client_is_muted(Client *client, uint64_t sequence) noexcept nogil
# Takes the join; False: no memory, it is still the caller's.
cdef bint client_begin_join(Client *client, uint64_t sequence, Join *join) noexcept nogil
# The number of the request at hand, or of the one that is sent again, whose reply the client waits for from now on.
cdef uint64_t client_await_reply(Hub *hub, Client *client) noexcept nogil
cdef bint client_take_reply(Client *client, Payload *reply) noexcept nogil      # False: it has not come
# Ends the awaited request with a reply, unless CLIENT REPLY says otherwise; takes the payload. The client goes on.
cdef void client_answer(Hub *hub, Client *client, Payload *reply) noexcept nogil
cdef void client_answer_anyway(Hub *hub, Client *client, Payload *reply) noexcept nogil     # whatever that says
cdef void client_count_error(Hub *hub, const char *data, uint64_t length) noexcept with gil     # an error
# A reply, or one part of it. `deliver` copies, the others take the payload.
cdef void deliver(Hub *hub, Client *client, uint64_t sequence, const char *data, uint64_t length) noexcept nogil
cdef void deliver_payload(Hub *hub, Client *client, uint64_t sequence, Payload *payload) noexcept nogil
cdef void deliver_part(Hub *hub, Client *client, uint64_t sequence, uint32_t part, Payload *payload) noexcept nogil
