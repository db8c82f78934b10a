"""Commands on ranges of sorted sets: by rank, by score, lexicographically.

A range of any kind is found as a range of ranks: both its ends are places between items, whose ranks the tree tells.
"""
from libc.math cimport isnan
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport strtod
from libc.string cimport memcpy

from shardkv.errors import SYNTAX, CommandError

from workers.call cimport Argument, Call
from workers.commands.zsets cimport find_zset, read_zset, reply_items, store_pairs
from workers.memory.arena cimport Arena
from workers.registry cimport native
from workers.types.zset cimport (
    BY_MEMBER, BY_SCORE, Bound, Zset, zset_pairs, zset_rank, zset_remove_ranks,
)

cdef enum RangeKind:
    AS_SAID = 0             # the options tell
    RANKS = 1
    SCORES = 2
    MEMBERS = 3

cdef enum:
    NUMBER_TEXT = 5120      # bytes: longer ends of ranges are no numbers

cdef struct Range:
    int kind
    bint backwards
    bint with_scores
    int64_t offset          # LIMIT
    int64_t limit           # below 0: all
    int64_t start, stop     # RANKS, as given
    Bound low, high         # SCORES, MEMBERS: the places the range lies between

cdef struct Span:
    # What a range comes to in a sorted set.
    uint64_t first          # rank of the first member in the reply's order
    uint64_t count

BAD_SCORES = "ERR min or max is not a float"
BAD_MEMBERS = "ERR min or max not valid string range item"


# -- the ends of a range

cdef int score_end(Argument *argument, bint high, Bound *out) except -1:
    # A score, with "(" in front if it is not in the range itself. Raises CommandError.
    cdef char text[NUMBER_TEXT]
    cdef char *end
    cdef bint outside = argument.length > 0 and argument.bytes[0] == c'('
    cdef uint64_t length = argument.length - outside
    if length >= NUMBER_TEXT:
        raise CommandError(BAD_SCORES)
    memcpy(text, argument.bytes + outside, length)
    text[length] = 0
    out.kind, out.infinite, out.after = BY_SCORE, 0, outside != high
    out.score = strtod(text, &end)
    if end != text + length or isnan(out.score):
        raise CommandError(BAD_SCORES)
    return 0


cdef int member_end(Argument *argument, bint high, Bound *out) except -1:
    # "[member", "(member", or "-" and "+" for what lies before and behind all. Raises CommandError.
    cdef char sign = argument.bytes[0] if argument.length else 0
    out.kind, out.infinite, out.after = BY_MEMBER, 0, (sign == c'(') != high
    if (sign == c'-' or sign == c'+') and argument.length == 1:
        out.infinite = -1 if sign == c'-' else 1
    elif sign != c'[' and sign != c'(':
        raise CommandError(BAD_MEMBERS)
    out.member, out.length = argument.bytes + 1, argument.length - 1
    return 0


cdef int take_ends(Call call, int index, Range *out) except -1:
    # Arguments `index` and the one behind it; the higher end comes first where scores or members go backwards.
    cdef Argument *low = &call.argv[index]
    cdef Argument *high = &call.argv[index + 1]
    if out.kind == RANKS:
        out.start, out.stop = call.integer(index), call.integer(index + 1)
        return 0
    if out.backwards:
        low, high = high, low
    if out.kind == SCORES:
        score_end(low, False, &out.low)
        return score_end(high, True, &out.high)
    member_end(low, False, &out.low)
    return member_end(high, True, &out.high)


cdef int take_range(Call call, int key, int kind, int backwards, bint storing, Range *out) except -1:
    # What follows the key: the ends and the options. kind and backwards: what the command's name says, AS_SAID or -1
    # if options say it. Raises CommandError.
    cdef int index = key + 3
    out.kind, out.backwards, out.with_scores, out.offset, out.limit = kind, backwards > 0, False, 0, -1
    while index < call.argc:
        if not storing and call.is_option(index, b"withscores"):
            out.with_scores = True
        elif index + 2 < call.argc and call.is_option(index, b"limit"):
            out.offset, out.limit = call.integer(index + 1), call.integer(index + 2)
            index += 2
        elif backwards < 0 and not out.backwards and call.is_option(index, b"rev"):
            out.backwards = True
        elif kind == AS_SAID and out.kind == AS_SAID and call.is_option(index, b"bylex"):
            out.kind = MEMBERS
        elif kind == AS_SAID and out.kind == AS_SAID and call.is_option(index, b"byscore"):
            out.kind = SCORES
        else:
            raise CommandError(SYNTAX)
        index += 1
    out.kind = out.kind or RANKS
    if out.limit != -1 and out.kind == RANKS:
        raise CommandError("ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX")
    if out.with_scores and out.kind == MEMBERS:
        raise CommandError("ERR syntax error, WITHSCORES not supported in combination with BYLEX")
    return take_ends(call, key + 1, out)


cdef Span span_between(Arena arena, Zset *zset, Range *wanted) noexcept:
    # Without LIMIT, the first one being that of the lowest rank.
    cdef Span span
    cdef uint64_t end
    cdef int64_t start, stop
    span.first = span.count = 0
    if wanted.kind == RANKS:
        start = max(wanted.start + <int64_t>zset.count if wanted.start < 0 else wanted.start, 0)
        stop = min(wanted.stop + <int64_t>zset.count if wanted.stop < 0 else wanted.stop, <int64_t>zset.count - 1)
        if start <= stop:
            span.first, span.count = start, stop - start + 1
        return span
    span.first = zset_rank(arena, zset, &wanted.low)
    end = zset_rank(arena, zset, &wanted.high)
    span.count = end - span.first if end > span.first else 0
    return span


cdef Span span_of(Arena arena, Zset *zset, Range *wanted) noexcept:
    cdef Span span = span_between(arena, zset, wanted)
    cdef uint64_t skipped
    if wanted.kind == RANKS:
        if wanted.backwards:
            span.first = zset.count - 1 - span.first
        return span
    if wanted.offset < 0 or <uint64_t>wanted.offset >= span.count:
        span.count = 0
        return span
    skipped = <uint64_t>wanted.offset
    span.first = span.first + span.count - 1 - skipped if wanted.backwards else span.first + skipped
    span.count -= skipped
    if wanted.limit >= 0:
        span.count = min(span.count, <uint64_t>wanted.limit)
    return span


# -- ZRANGE and its kin

cdef int answer(Call call, int kind, int backwards) except -1:
    cdef Arena arena = call.shard_of_key(0).arena
    cdef Range wanted
    cdef Zset zset
    cdef Span span
    take_range(call, 1, kind, backwards, False, &wanted)
    read_zset(call, 1, 0, &zset)
    span = span_of(arena, &zset, &wanted)
    return reply_items(
        call, arena, &zset, span.first, span.count, wanted.backwards, wanted.with_scores, call._reply.resp == 3
    )


cdef int zrange_command(Call call) except -1:
    return answer(call, AS_SAID, -1)


cdef int zrevrange_command(Call call) except -1:
    return answer(call, RANKS, True)


cdef int zrangebyscore_command(Call call) except -1:
    return answer(call, SCORES, False)


cdef int zrevrangebyscore_command(Call call) except -1:
    return answer(call, SCORES, True)


cdef int zrangebylex_command(Call call) except -1:
    return answer(call, MEMBERS, False)


cdef int zrevrangebylex_command(Call call) except -1:
    return answer(call, MEMBERS, True)


cdef int zrangestore_command(Call call) except -1:
    cdef Arena arena = call.shard_of_key(1).arena
    cdef Range wanted
    cdef Zset zset
    cdef Span span
    take_range(call, 2, AS_SAID, -1, True, &wanted)
    read_zset(call, 2, 1, &zset)
    span = span_of(arena, &zset, &wanted)
    return store_pairs(call, 1, 0, zset_pairs(arena, &zset, span.first, span.count, wanted.backwards))


# -- counting and removing

cdef int count(Call call, int kind) except -1:
    cdef Range wanted
    cdef Zset zset
    wanted.kind, wanted.backwards = kind, False
    take_ends(call, 2, &wanted)
    read_zset(call, 1, 0, &zset)
    return call._reply.integer(<int64_t>span_between(call.shard_of_key(0).arena, &zset, &wanted).count)


cdef int zcount_command(Call call) except -1:
    return count(call, SCORES)


cdef int zlexcount_command(Call call) except -1:
    return count(call, MEMBERS)


cdef int remove(Call call, int kind) except -1:
    cdef Range wanted
    cdef Zset zset
    cdef Span span
    wanted.kind, wanted.backwards = kind, False
    take_ends(call, 2, &wanted)
    find_zset(call, 1, 0, &zset)
    span = span_between(call.shard_of_key(0).arena, &zset, &wanted)
    zset_remove_ranks(call.shard_of_key(0).keyspace, &zset, span.first, span.count)
    return call._reply.integer(<int64_t>span.count)


cdef int zremrangebyrank_command(Call call) except -1:
    return remove(call, RANKS)


cdef int zremrangebyscore_command(Call call) except -1:
    return remove(call, SCORES)


cdef int zremrangebylex_command(Call call) except -1:
    return remove(call, MEMBERS)


native("zcount", zcount_command)
native("zlexcount", zlexcount_command)
native("zrange", zrange_command)
native("zrangebylex", zrangebylex_command)
native("zrangebyscore", zrangebyscore_command)
native("zrangestore", zrangestore_command)
native("zremrangebylex", zremrangebylex_command)
native("zremrangebyrank", zremrangebyrank_command)
native("zremrangebyscore", zremrangebyscore_command)
native("zrevrange", zrevrange_command)
native("zrevrangebylex", zrevrangebylex_command)
native("zrevrangebyscore", zrevrangebyscore_command)
