"""XCLAIM and XAUTOCLAIM."""
from libc.stdint cimport INT64_MAX, int64_t, uint64_t

from shardkv.errors import SYNTAX, CommandError

from shardkv.number cimport parse_int64
from shardkv.resp cimport Reply
from workers.call cimport Call
from workers.commands.elements cimport integer_between, shown
from workers.commands.groups cimport bring_forward, insert_header, need_group, see_consumer
from workers.commands.stream_reads cimport reply_entry
from workers.commands.streams cimport parse_id, range_end, reply_id, strict_id
from workers.memory.arena cimport Arena
from workers.memory.collections cimport StreamId
from workers.memory.tree cimport TreeCursor
from workers.registry cimport native
from workers.types.group cimport (
    consumer_active, group_at, group_set, pending_at, pending_delivered, pending_find, pending_make, pending_move,
    pending_next, pending_remove, pending_seek,
)
from workers.types.stream cimport StreamCursor, an_id, compare_ids, stream_seek

cdef enum:
    AUTOCLAIM_COUNT = 100       # when COUNT is not given
    ATTEMPTS = 10               # pending entries looked at for each that may be claimed

UNRECOGNIZED = "ERR Unrecognized XCLAIM option '{}'"


cdef struct Claim:
    # What XCLAIM and XAUTOCLAIM do with the pending entries that they find.
    uint64_t stream
    uint64_t group
    uint64_t consumer
    int64_t now_ms
    int64_t min_idle            # ms
    int64_t delivered_ms        # that they get
    int64_t deliveries          # likewise; -1 = one more, but with `only_ids`
    bint only_ids
    bint force


cdef int64_t claim_number(Call call, int index, str what) except? -1:
    cdef int64_t value
    if not parse_int64(call.argv[index].bytes, call.argv[index].length, &value):
        raise CommandError(f"ERR Invalid {what}")
    return value


cdef int claim_one(Call call, Claim *claim, StreamId id, uint64_t pending, StreamCursor *entry) except -1:
    """Gives the consumer a pending entry, or makes it pending if `pending` is 0, and returns it."""
    cdef Arena arena = call.shard_of_key(0).arena
    cdef uint64_t deliveries = pending_at(arena, pending).deliveries if pending else 1
    if claim.deliveries >= 0:
        deliveries = <uint64_t>claim.deliveries
    elif not claim.only_ids:
        deliveries += 1
    if pending:
        pending_move(arena, pending, claim.consumer)
        pending_delivered(arena, pending, claim.delivered_ms, deliveries)
    else:
        pending_make(arena, claim.group, claim.consumer, id, claim.delivered_ms, deliveries)
    consumer_active(arena, claim.consumer, claim.now_ms)
    return reply_id(call._reply, id) if claim.only_ids else reply_entry(call._reply, arena, entry)


cdef inline bint idle_enough(Arena arena, Claim *claim, uint64_t pending) noexcept:
    return claim.min_idle == 0 or claim.now_ms - pending_at(arena, pending).delivered_ms >= claim.min_idle


cdef inline bint find_entry(Arena arena, uint64_t stream, StreamId id, StreamCursor *entry) noexcept:
    return stream_seek(arena, stream, id, entry) and compare_ids(entry.id, id) == 0


cdef int take_claim(Call call, int index, Claim *claim, StreamId *last) except -1:
    """The options of XCLAIM."""
    cdef int64_t delivered = -1
    while index < call.argc:
        if call.is_option(index, b"force"):
            claim.force = True
        elif call.is_option(index, b"justid"):
            claim.only_ids = True
        elif index + 1 == call.argc:
            raise CommandError(UNRECOGNIZED.format(shown(call, index)))
        else:
            if call.is_option(index, b"idle"):
                delivered = claim_number(call, index + 1, "IDLE option argument for XCLAIM")
                delivered = <int64_t>(<uint64_t>claim.now_ms - <uint64_t>delivered)
            elif call.is_option(index, b"time"):
                delivered = claim_number(call, index + 1, "TIME option argument for XCLAIM")
            elif call.is_option(index, b"retrycount"):
                claim.deliveries = claim_number(call, index + 1, "RETRYCOUNT option argument for XCLAIM")
            elif call.is_option(index, b"lastid"):
                last[0] = strict_id(call, index + 1, 0)
            else:
                raise CommandError(UNRECOGNIZED.format(shown(call, index)))
            index += 1
        index += 1
    if 0 <= delivered <= claim.now_ms:
        claim.delivered_ms = delivered
    return 0


cdef int begin_claim(Call call, Claim *claim) except -1:
    claim.now_ms = claim.delivered_ms = call.now_ms
    claim.deliveries = -1
    claim.only_ids = claim.force = False
    return 0


cdef int xclaim_command(Call call) except -1:
    cdef Arena arena = call.shard_of_key(0).arena
    cdef StreamId id, last = an_id(0, 0)
    cdef StreamCursor entry
    cdef Claim claim
    cdef uint64_t pending
    cdef int64_t answered = 0
    cdef int index, options = 5
    cdef size_t at = call._reply.length
    begin_claim(call, &claim)
    claim.group = need_group(call, 1, 0, 2, &claim.stream, "")
    claim.min_idle = max(claim_number(call, 4, "min-idle-time argument for XCLAIM"), 0)
    while options < call.argc and parse_id(call.argv[options].bytes, call.argv[options].length, 0, &id):
        options += 1
    take_claim(call, options, &claim, &last)
    if compare_ids(last, group_at(arena, claim.group).last) > 0:
        group_set(arena, claim.group, last, group_at(arena, claim.group).entries_read)
    claim.consumer = see_consumer(call, claim.group, 0, 3)
    for index in range(5, options):
        id = strict_id(call, index, 0)
        pending = pending_find(arena, claim.group, id)
        if not find_entry(arena, claim.stream, id, &entry):
            if pending:
                pending_remove(arena, claim.group, pending)
        elif idle_enough(arena, &claim, pending) if pending else claim.force:
            claim_one(call, &claim, id, pending, &entry)
            answered += 1
    return insert_header(call._reply, at, c'*', answered)


cdef int64_t take_autoclaim(Call call, Claim *claim) except -1:
    """The options of XAUTOCLAIM; returns the count."""
    cdef int64_t count = AUTOCLAIM_COUNT
    cdef int index = 6
    while index < call.argc:
        if index + 1 < call.argc and call.is_option(index, b"count"):
            count = integer_between(call, index + 1, 1, INT64_MAX // 16, "ERR COUNT must be > 0")
            index += 1
        elif call.is_option(index, b"justid"):
            claim.only_ids = True
        else:
            raise CommandError(SYNTAX)
        index += 1
    return count


cdef int64_t claim_some(
    Call call, Claim *claim, StreamId start, int64_t count, StreamId *next_id, list deleted
) except -1:
    """Goes through what is pending from `start` on, answers what is claimed and tells what is gone, `count` of both
    at most; returns how many are claimed, and where to go on (0-0 at the end)."""
    cdef Arena arena = call.shard_of_key(0).arena
    cdef TreeCursor cursor
    cdef StreamCursor entry
    cdef StreamId id
    cdef int64_t attempts = count * ATTEMPTS, claimed = 0
    cdef uint64_t pending = pending_seek(arena, claim.group, start, &cursor)
    while pending and attempts and claimed + len(deleted) < count:
        attempts -= 1
        id = pending_at(arena, pending).id
        if not find_entry(arena, claim.stream, id, &entry):
            pending_remove(arena, claim.group, pending)
            deleted.append((id.ms, id.seq))
            pending = pending_seek(arena, claim.group, id, &cursor)
            continue
        if idle_enough(arena, claim, pending):
            claim_one(call, claim, id, pending, &entry)
            claimed += 1
        pending = pending_next(arena, &cursor)
    next_id[0] = pending_at(arena, pending).id if pending else an_id(0, 0)
    return claimed


cdef int xautoclaim_command(Call call) except -1:
    cdef Reply reply = call._reply
    cdef StreamId start, next_id
    cdef Claim claim
    cdef int64_t count, claimed
    cdef list deleted = []
    cdef size_t at, end
    begin_claim(call, &claim)
    claim.min_idle = max(claim_number(call, 4, "min-idle-time argument for XAUTOCLAIM"), 0)
    start = range_end(call, 5, True)
    count = take_autoclaim(call, &claim)
    claim.group = need_group(call, 1, 0, 2, &claim.stream, "")
    claim.consumer = see_consumer(call, claim.group, 0, 3)
    reply.header(c'*', 3)
    at = reply.length
    claimed = claim_some(call, &claim, start, count, &next_id, deleted)
    insert_header(reply, at, c'*', claimed)
    end = reply.length
    reply_id(reply, next_id)
    bring_forward(reply, at, end)
    reply.header(c'*', len(deleted))
    for ms, seq in deleted:
        reply_id(reply, an_id(ms, seq))
    return 0


native("xautoclaim", xautoclaim_command)
native("xclaim", xclaim_command)
