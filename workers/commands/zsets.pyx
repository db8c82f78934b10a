"""Commands on sorted sets: members, scores, ranks. Ranges are in zset_ranges, and several sets at once in zset_sets.

ZADD and ZPOPMIN are hot: on their way no Python object is made, unless it ends in an error or is a score with a
fraction.
"""
from libc.math cimport isnan
from libc.stdint cimport INT64_MAX
from libc.stdio cimport snprintf
from libc.string cimport strlen

from shardkv.errors import NOT_FLOAT, SYNTAX, WRONG_TYPE, CommandError, wrong_arity

from shardkv.number cimport parse_double, parse_int64, print_double
from shardkv.ring cimport WAIT_FOR_ZSET
from workers.call cimport Argument
from workers.commands.elements cimport Scan, integer_between
from workers.commands.popping cimport Popping, take_popping, wait_or_null
from workers.commands.timeouts cimport timeout_seconds
from workers.memory.dice cimport roll_below, sample_indexes
from workers.memory.keyspace cimport Keyspace
from workers.registry cimport native
from workers.types.zset cimport (
    BY_BOTH, Bound, Spot, ZsetCursor, ZsetItem, is_zset, zset_at, zset_find, zset_insert, zset_item, zset_rank,
    zset_remove, zset_remove_ranks, zset_rescore, zset_scan, zset_step, zset_store, zset_view,
)

cdef enum:
    SCORE_TEXT = 40             # bytes
    CLUSTERS_PER_MEMBER = 10    # ZSCAN passes so many clusters for each member of COUNT before it answers what it met

cdef int64_t EXACT_INTEGER = <int64_t>1 << 53   # integers below it are doubles
BAD_COUNT = "ERR value is out of range, must be positive"


# -- what the families share

cdef int view(Call call, int key_number, Zset *out) except -1:
    if out.found.exists and not is_zset(&out.found):
        raise CommandError(WRONG_TYPE)
    zset_view(call.shard_of_key(key_number).keyspace, &out.found, out)
    return 0


cdef int read_zset(Call call, int index, int key_number, Zset *out) except -1:
    call.find(index, key_number, &out.found)
    return view(call, key_number, out)


cdef int find_zset(Call call, int index, int key_number, Zset *out) except -1:
    call.shard_of_key(key_number).keyspace.find(
        call.db, call.argv[index].bytes, call.argv[index].length, call.hash_of(index, key_number), &out.found
    )
    return view(call, key_number, out)


cdef double double_argument(Call call, int index, str text) except? -1:
    cdef Argument *argument = &call.argv[index]
    cdef int64_t integer
    cdef double value = 0
    if parse_int64(argument.bytes, argument.length, &integer) and -EXACT_INTEGER < integer < EXACT_INTEGER:
        return <double>integer
    if not parse_double(argument.bytes, argument.length, &value):
        raise CommandError(text)
    return value


cdef int reply_item(Call call, ZsetItem *item, bint with_score, bint nested) except -1:
    if with_score and nested:
        call._reply.header(c'*', 2)
    call._reply.bulk(item.member, item.length)
    return call._reply.double(item.score) if with_score else 0


cdef int reply_items(
    Call call, Arena arena, Zset *zset, uint64_t first, uint64_t count, bint backwards, bint with_scores, bint nested
) except -1:
    cdef ZsetCursor cursor
    cdef ZsetItem item
    cdef uint64_t each
    call._reply.header(c'*', <int64_t>count * (2 if with_scores and not nested else 1))
    if count:
        zset_at(arena, zset, first, &cursor)
    for each in range(count):
        if each:
            zset_step(arena, zset, &cursor, backwards)
        zset_item(arena, zset, &cursor, &item)
        reply_item(call, &item, with_scores, nested)
    return 0


cdef int store_pairs(Call call, int index, int key_number, list pairs) except -1:
    cdef Keyspace keyspace = call.shard_of_key(key_number).keyspace
    cdef Argument *key = &call.argv[index]
    cdef Found found
    call.peek(index, key_number, &found)
    zset_store(keyspace, call.limits, &found, key.bytes, key.length, pairs)
    return call._reply.integer(len(pairs))


# -- ZADD and its kin

cdef int add_option(Call call, int index) noexcept:
    if call.is_option(index, b"nx"):
        return ADD_NX
    if call.is_option(index, b"xx"):
        return ADD_XX
    if call.is_option(index, b"gt"):
        return ADD_GT
    if call.is_option(index, b"lt"):
        return ADD_LT
    if call.is_option(index, b"incr"):
        return ADD_INCR
    return ADD_CH if call.is_option(index, b"ch") else 0


cdef int check_options(int options) except -1:
    if options & ADD_NX and options & ADD_XX:
        raise CommandError("ERR XX and NX options at the same time are not compatible")
    if (options & ADD_NX and options & (ADD_GT | ADD_LT)) or (options & ADD_GT and options & ADD_LT):
        raise CommandError("ERR GT, LT, and/or NX options at the same time are not compatible")
    return 0


cdef int add_member(Call call, Zset *zset, Adding *adding, int member, double score) except -1:
    cdef Keyspace keyspace = call.shard_of_key(0).keyspace
    cdef Argument *key = &call.argv[1]
    cdef Argument *name = &call.argv[member]
    cdef Spot spot
    if not zset_find(keyspace.arena, zset, name.bytes, name.length, &spot):
        if not adding.options & ADD_XX:
            zset_insert(
                keyspace, call.limits, zset, key.bytes, key.length, &spot, name.bytes, name.length, score
            )
            adding.added += 1
            adding.score, adding.done = score, True
        return 0
    if adding.options & ADD_NX:
        return 0
    if adding.options & ADD_INCR:
        score += spot.score
        if isnan(score):
            raise CommandError("ERR resulting score is not a number (NaN)")
    if (adding.options & ADD_GT and score <= spot.score) or (adding.options & ADD_LT and score >= spot.score):
        return 0
    adding.score, adding.done = score, True
    if score != spot.score:
        adding.changed += 1
        return zset_rescore(keyspace, zset, &spot, name.bytes, name.length, score)
    return 0


cdef int zadd_command(Call call) except -1:
    return add_members(call, 0)


cdef int zincrby_command(Call call) except -1:
    return add_members(call, ADD_INCR)


cdef int add_members(Call call, int options) except -1:
    cdef Adding adding
    cdef Zset zset
    cdef int option, index, first = 2
    cdef double score
    while first < call.argc:
        option = add_option(call, first)
        if option == 0:
            break
        options |= option
        first += 1
    if first == call.argc or (call.argc - first) % 2:
        raise CommandError(SYNTAX)
    check_options(options)
    if options & ADD_INCR and call.argc - first > 2:
        raise CommandError("ERR INCR option supports a single increment-element pair")
    score = double_argument(call, first, NOT_FLOAT)
    for index in range(first + 2, call.argc, 2):    # a bad score is told before a key of another type is
        double_argument(call, index, NOT_FLOAT)
    adding.options, adding.added, adding.changed, adding.score, adding.done = options, 0, 0, 0, False
    find_zset(call, 1, 0, &zset)
    add_member(call, &zset, &adding, first + 1, score)
    for index in range(first + 2, call.argc, 2):
        add_member(call, &zset, &adding, index + 1, double_argument(call, index, NOT_FLOAT))
    if options & ADD_INCR:
        return call._reply.double(adding.score) if adding.done else call._reply.null()
    return call._reply.integer(adding.added + (adding.changed if options & ADD_CH else 0))


cdef int zrem_command(Call call) except -1:
    cdef Keyspace keyspace = call.shard_of_key(0).keyspace
    cdef Argument *member
    cdef int64_t removed = 0
    cdef Zset zset
    cdef Spot spot
    cdef int index
    find_zset(call, 1, 0, &zset)
    for index in range(2, call.argc):
        member = &call.argv[index]
        if zset_find(keyspace.arena, &zset, member.bytes, member.length, &spot):
            zset_remove(keyspace, &zset, &spot, member.bytes, member.length)
            removed += 1
    return call._reply.integer(removed)


# -- looking at members

cdef int zcard_command(Call call) except -1:
    cdef Zset zset
    read_zset(call, 1, 0, &zset)
    return call._reply.integer(<int64_t>zset.count)


cdef int reply_score(Call call, Arena arena, Zset *zset, int index) except -1:
    cdef Spot spot
    if zset_find(arena, zset, call.argv[index].bytes, call.argv[index].length, &spot):
        return call._reply.double(spot.score)
    return call._reply.null()


cdef int zscore_command(Call call) except -1:
    cdef Zset zset
    read_zset(call, 1, 0, &zset)
    return reply_score(call, call.shard_of_key(0).arena, &zset, 2)


cdef int zmscore_command(Call call) except -1:
    cdef Zset zset
    cdef int index
    read_zset(call, 1, 0, &zset)
    call._reply.header(c'*', call.argc - 2)
    for index in range(2, call.argc):
        reply_score(call, call.shard_of_key(0).arena, &zset, index)
    return 0


cdef int rank(Call call, str name, bint backwards) except -1:
    cdef Arena arena = call.shard_of_key(0).arena
    cdef Argument *member = &call.argv[2]
    cdef bint with_score = call.argc > 3
    cdef uint64_t place
    cdef Bound bound
    cdef Zset zset
    cdef Spot spot
    if call.argc > 4:
        raise CommandError(wrong_arity(name))
    if with_score and not call.is_option(3, b"withscore"):
        raise CommandError(SYNTAX)
    read_zset(call, 1, 0, &zset)
    if not zset_find(arena, &zset, member.bytes, member.length, &spot):
        return call._reply.null_array() if with_score else call._reply.null()
    bound.kind, bound.infinite, bound.after, bound.score = BY_BOTH, 0, False, spot.score
    bound.member, bound.length = member.bytes, member.length
    place = zset_rank(arena, &zset, &bound)
    if with_score:
        call._reply.header(c'*', 2)
    call._reply.integer(<int64_t>(zset.count - 1 - place if backwards else place))
    return call._reply.double(spot.score) if with_score else 0


cdef int zrank_command(Call call) except -1:
    return rank(call, "zrank", False)


cdef int zrevrank_command(Call call) except -1:
    return rank(call, "zrevrank", True)


# -- taking members out

cdef int take(Call call, Keyspace keyspace, Zset *zset, uint64_t count, bint highest, bint nested) except -1:
    # Answers the members at one end, with their scores, and removes them.
    cdef uint64_t first = zset.count - 1 if highest else 0
    reply_items(call, keyspace.arena, zset, first, count, highest, True, nested)
    return zset_remove_ranks(keyspace, zset, zset.count - count if highest else 0, count)


cdef int pop(Call call, bint highest) except -1:
    cdef Zset zset
    cdef uint64_t count = 1
    if call.argc > 3:
        raise CommandError(SYNTAX)
    if call.argc == 3:
        count = <uint64_t>integer_between(call, 2, 0, INT64_MAX, BAD_COUNT)
    find_zset(call, 1, 0, &zset)
    count = min(count, zset.count)
    return take(
        call, call.shard_of_key(0).keyspace, &zset, count, highest, call.argc == 3 and call._reply.resp == 3
    )


cdef int zpopmin_command(Call call) except -1:
    return pop(call, False)


cdef int zpopmax_command(Call call) except -1:
    return pop(call, True)


cdef bint pop_first(Call call, Popping *popping) except -1:
    # Pops from the first sorted set that exists; False: there is none, and no reply.
    cdef int key
    cdef Zset zset
    for key in range(popping.keys):
        if not call.looks_at(popping.first + key):
            continue
        find_zset(call, popping.first + key, key, &zset)
        if zset.count:
            call._reply.header(c'*', 2)
            call._reply.bulk(call.argv[popping.first + key].bytes, call.argv[popping.first + key].length)
            take(
                call, call.shard_of_key(key).keyspace, &zset, min(popping.count, <int64_t>zset.count),
                popping.from_first, True,
            )
            return True
    return False


cdef int zmpop_command(Call call) except -1:
    cdef Popping popping
    take_popping(call, 1, b"max", b"min", &popping)
    return 0 if pop_first(call, &popping) else call._reply.null_array()


cdef int bzmpop_command(Call call) except -1:
    cdef Popping popping
    cdef int64_t timeout
    take_popping(call, 2, b"max", b"min", &popping)
    timeout = timeout_seconds(call, 1)
    if pop_first(call, &popping):
        return 0
    return wait_or_null(call, WAIT_FOR_ZSET, timeout, popping.first, popping.keys)


cdef int pop_or_wait(Call call, bint highest) except -1:
    cdef int64_t timeout = timeout_seconds(call, call.argc - 1)
    cdef Keyspace keyspace
    cdef ZsetCursor cursor
    cdef ZsetItem item
    cdef int index
    cdef Zset zset
    for index in range(1, call.argc - 1):
        if not call.looks_at(index):
            continue
        find_zset(call, index, index - 1, &zset)
        if zset.count:
            keyspace = call.shard_of_key(index - 1).keyspace
            call._reply.header(c'*', 3)
            call._reply.bulk(call.argv[index].bytes, call.argv[index].length)
            zset_at(keyspace.arena, &zset, zset.count - 1 if highest else 0, &cursor)
            zset_item(keyspace.arena, &zset, &cursor, &item)
            reply_item(call, &item, True, False)
            return zset_remove_ranks(keyspace, &zset, zset.count - 1 if highest else 0, 1)
    return wait_or_null(call, WAIT_FOR_ZSET, timeout, 1, call.argc - 2)


cdef int bzpopmin_command(Call call) except -1:
    return pop_or_wait(call, False)


cdef int bzpopmax_command(Call call) except -1:
    return pop_or_wait(call, True)


# -- random members

cdef int zrandmember_command(Call call) except -1:
    cdef int64_t count
    cdef bint with_scores = call.argc == 4
    cdef Zset zset
    if call.argc == 2:
        read_zset(call, 1, 0, &zset)
        if zset.count == 0:
            return call._reply.null()
        return reply_rank(call, &zset, roll_below(zset.count), False)
    count = integer_between(call, 2, -INT64_MAX, INT64_MAX, None)
    if call.argc > 4 or (with_scores and not call.is_option(3, b"withscores")):
        raise CommandError(SYNTAX)
    if with_scores and not -INT64_MAX // 2 <= count <= INT64_MAX // 2:
        raise CommandError("ERR value is out of range")
    read_zset(call, 1, 0, &zset)
    return random_members(call, &zset, count, with_scores)


cdef int random_members(Call call, Zset *zset, int64_t count, bint with_scores) except -1:
    # `count` different ones, or if it is negative, that many, each drawn anew.
    cdef bint nested = call._reply.resp == 3
    cdef int64_t _each
    cdef uint64_t place
    if zset.count == 0 or count >= <int64_t>zset.count:
        return reply_items(
            call, call.shard_of_key(0).arena, zset, 0, zset.count, False, with_scores, nested
        )
    call._reply.header(c'*', abs(count) * (2 if with_scores and not nested else 1))
    if count >= 0:
        for place in sample_indexes(zset.count, count):
            reply_rank(call, zset, place, with_scores)
    else:
        for _each in range(-count):
            reply_rank(call, zset, roll_below(zset.count), with_scores)
    return 0


cdef int reply_rank(Call call, Zset *zset, uint64_t place, bint with_score) except -1:
    cdef Arena arena = call.shard_of_key(0).arena
    cdef ZsetCursor cursor
    cdef ZsetItem item
    zset_at(arena, zset, place, &cursor)
    zset_item(arena, zset, &cursor, &item)
    return reply_item(call, &item, with_score, call._reply.resp == 3)


# -- ZSCAN

cdef int zscan_command(Call call) except -1:
    cdef Scan scan = Scan()
    cdef Zset zset
    cdef list pairs = [], elements = []
    cdef int64_t clusters = 0
    cdef bytes member
    cdef double score
    scan.take_cursor(call)
    read_zset(call, 1, 0, &zset)
    if zset.count == 0:
        return scan.answer(call._reply, 0, elements)
    scan.take_options(call, False)
    while clusters == 0 or (
        scan.cursor and <int64_t>len(pairs) < scan.count and clusters // CLUSTERS_PER_MEMBER < scan.count
    ):
        scan.cursor = zset_scan(call.shard_of_key(0).arena, &zset, scan.cursor, pairs)
        clusters += 1
    for score, member in pairs:
        if scan.wants(member, len(member)):
            elements += (member, scan_score(&zset, score))
    return scan.answer(call._reply, scan.cursor, elements)


cdef bytes scan_score(Zset *zset, double score):
    # Redis prints the scores of its larger encoding with 17 digits here, and only here.
    cdef char text[SCORE_TEXT]
    if not zset.packed:
        snprintf(text, SCORE_TEXT, "%.17g", score)
        return text[:strlen(text)]
    return text[:print_double(score, text)]


native("bzmpop", bzmpop_command)
native("bzpopmax", bzpopmax_command)
native("bzpopmin", bzpopmin_command)
native("zadd", zadd_command, member=3)
native("zcard", zcard_command)
native("zincrby", zincrby_command, member=3)
native("zmpop", zmpop_command)
native("zmscore", zmscore_command, member=2)
native("zpopmax", zpopmax_command)
native("zpopmin", zpopmin_command)
native("zrandmember", zrandmember_command)
native("zrank", zrank_command, member=2)
native("zrem", zrem_command, member=2)
native("zrevrank", zrevrank_command, member=2)
native("zscan", zscan_command)
native("zscore", zscore_command, member=2)
