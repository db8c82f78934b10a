"""Commands that change streams: XADD, XDEL, XSETID, XTRIM; and ids, see streams.pxd."""
from libc.stdint cimport UINT64_MAX, int64_t, uint64_t

from shardkv.errors import NO_SUCH_KEY, SYNTAX, CommandError, wrong_arity

from shardkv.resp cimport Reply
from workers.call cimport Argument, Call
from workers.memory.arena cimport Arena
from workers.memory.collections cimport StreamId, StreamRoot
from workers.memory.databases cimport Found
from workers.memory.keyspace cimport Keyspace
from workers.registry cimport native
from workers.types.stream cimport (
    StreamCursor, an_id, compare_ids, node_head, stream_append, stream_at, stream_first, stream_last,
    stream_make, stream_next, stream_open, stream_remove, stream_remove_before, stream_remove_node, stream_seek,
    stream_set_id,
)

cdef enum TrimBy:
    TRIM_NOTHING, TRIM_LENGTH, TRIM_ID

cdef enum:
    LIMIT_NODES = 100           # LIMIT, when it is not given, in nodes
    LIMIT_DEFAULT = 10000
    LIMIT_MOST = 1000000

BAD_ID = "ERR Invalid stream ID specified as stream command argument"
TWO_STRATEGIES = "ERR syntax error, MAXLEN and MINID options at the same time are not compatible"
LIMIT_ALONE = "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy"
LIMIT_EXACT = "ERR syntax error, LIMIT cannot be used without the special ~ option"
NO_STRATEGY = "ERR syntax error, XTRIM must be called with a trimming strategy"
EXHAUSTED = "ERR The stream has exhausted the last possible ID, unable to add more items"
NOT_BEHIND = "ERR The ID specified in XADD is equal or smaller than the target stream top item"
BELOW_ENTRIES = "ERR The ID specified in XSETID is smaller than the target stream top item"
BELOW_GIVEN = "ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id"
BELOW_DELETED = "ERR The ID specified in XSETID is smaller than current max_deleted_entry_id"
FEWER_ADDED = "ERR The entries_added specified in XSETID is smaller than the target stream length"


cdef struct Trim:
    TrimBy by
    bint roughly                # whole nodes only
    bint limited                # LIMIT was given
    int64_t limit               # of entries to remove; 0 = none
    int64_t length
    StreamId id


cdef struct Addition:
    # What the options of XADD and XTRIM say.
    Trim trim
    bint must_exist
    bint clocked                # the id is `*`
    bint counted                # … or `<ms>-*`
    StreamId id
    int index                   # of the id


# -- ids

cdef bint parse_part(const char *text, uint64_t length, uint64_t *value) noexcept:
    """Reads decimal digits that make a number below 2^64."""
    cdef uint64_t index, digit, number = 0
    for index in range(length):
        if not c'0' <= text[index] <= c'9':
            return False
        digit = <uint64_t>(text[index] - c'0')
        if number > (UINT64_MAX - digit) // 10:
            return False
        number = number * 10 + digit
    value[0] = number
    return length > 0


cdef bint parse_id(const char *text, uint64_t length, uint64_t seq, StreamId *id) noexcept:
    cdef uint64_t dash = 0
    while dash < length and text[dash] != c'-':
        dash += 1
    id.seq = seq
    if not parse_part(text, dash, &id.ms):
        return False
    return dash == length or parse_part(text + dash + 1, length - dash - 1, &id.seq)


cdef StreamId strict_id(Call call, int index, uint64_t seq) except *:
    cdef StreamId id
    if not parse_id(call.argv[index].bytes, call.argv[index].length, seq, &id):
        raise CommandError(BAD_ID)
    return id


cdef StreamId id_after(StreamId id) noexcept:
    return an_id(id.ms + (id.seq == UINT64_MAX), id.seq + 1)


cdef StreamId range_end(Call call, int index, bint is_start) except *:
    cdef Argument *argument = &call.argv[index]
    cdef uint64_t seq = 0 if is_start else UINT64_MAX
    cdef StreamId id
    if argument.length == 1 and argument.bytes[0] == c'-':
        return an_id(0, 0)
    if argument.length == 1 and argument.bytes[0] == c'+':
        return an_id(UINT64_MAX, UINT64_MAX)
    if argument.length < 2 or argument.bytes[0] != c'(':
        return strict_id(call, index, seq)
    if not parse_id(argument.bytes + 1, argument.length - 1, seq, &id):
        raise CommandError(BAD_ID)
    if compare_ids(id, an_id(UINT64_MAX, UINT64_MAX) if is_start else an_id(0, 0)) == 0:
        raise CommandError(f"ERR invalid {'start' if is_start else 'end'} ID for the interval")
    return id_after(id) if is_start else an_id(id.ms - (id.seq == 0), id.seq - 1)


cdef inline int print_number(uint64_t value, char *out) noexcept:
    """Returns the length, at most 20."""
    cdef char digits[20]
    cdef int length = 0, index
    while True:
        digits[length] = <char>(c'0' + value % 10)
        length += 1
        value //= 10
        if value == 0:
            break
    for index in range(length):
        out[index] = digits[length - 1 - index]
    return length


cdef int reply_id(Reply reply, StreamId id) except -1:
    cdef char text[41]
    cdef int length = print_number(id.ms, text)
    text[length] = c'-'
    length += 1
    length += print_number(id.seq, text + length)
    return reply.bulk(text, length)


# -- trimming

cdef int take_trim(Call call, int index, Trim *trim) except -1:
    """MAXLEN or MINID at `index`, with what belongs to it; returns how many arguments that were."""
    cdef bint by_id = call.is_option(index, b"minid")
    cdef int used = 2
    if trim.by != TRIM_NOTHING:
        raise CommandError(TWO_STRATEGIES)
    trim.by = TRIM_ID if by_id else TRIM_LENGTH
    trim.roughly = call.is_option(index + 1, b"~")
    if index + 2 < call.argc and (trim.roughly or call.is_option(index + 1, b"=")):
        used = 3
    if by_id:
        trim.id = strict_id(call, index + used - 1, 0)
        return used
    trim.length = call.integer(index + used - 1)
    if trim.length < 0:
        raise CommandError("ERR The MAXLEN argument must be >= 0.")
    return used


cdef int settle_limit(Call call, bint adding, Trim *trim) except -1:
    cdef int64_t entries = call.limits.stream_node_max_entries
    if trim.limit and trim.by == TRIM_NOTHING:
        raise CommandError(LIMIT_ALONE)
    if not adding and trim.by == TRIM_NOTHING:
        raise CommandError(NO_STRATEGY)
    if trim.limited and not trim.roughly:
        raise CommandError(LIMIT_EXACT)
    if trim.roughly and not trim.limited:
        trim.limit = min(entries, <int64_t>LIMIT_MOST // LIMIT_NODES) * LIMIT_NODES if entries > 0 else LIMIT_DEFAULT
    return 0


cdef int take_options(Call call, bint adding, Addition *out) except -1:
    """Reads the options from argument 2 on, and for XADD the id behind them. Raises CommandError."""
    cdef int index = 2
    cdef Trim *trim = &out.trim
    trim.by, trim.roughly, trim.limited, trim.limit = TRIM_NOTHING, False, False, 0
    out.must_exist = out.clocked = out.counted = False
    while index < call.argc:
        if adding and call.is_option(index, b"*"):
            out.clocked = True
            break
        if index + 1 < call.argc and (call.is_option(index, b"maxlen") or call.is_option(index, b"minid")):
            index += take_trim(call, index, trim)
        elif index + 1 < call.argc and call.is_option(index, b"limit"):
            trim.limit = call.integer(index + 1)
            if trim.limit < 0:
                raise CommandError("ERR The LIMIT argument must be >= 0.")
            trim.limited = True
            index += 2
        elif adding and call.is_option(index, b"nomkstream"):
            out.must_exist = True
            index += 1
        elif adding:
            take_id(call, index, out)
            break
        else:
            raise CommandError(SYNTAX)
    out.index = index
    return settle_limit(call, adding, trim)


cdef int take_id(Call call, int index, Addition *out) except -1:
    cdef Argument *text = &call.argv[index]
    if text.length > 2 and text.bytes[text.length - 1] == c'*' and text.bytes[text.length - 2] == c'-':
        out.counted = True
        if not parse_part(text.bytes, text.length - 2, &out.id.ms):
            raise CommandError(BAD_ID)
        out.id.seq = 0
        return 0
    out.id = strict_id(call, index, 0)
    return 0


cdef inline bint node_goes(Arena arena, StreamRoot *stream, StreamCursor *cursor, Trim *trim) noexcept:
    if trim.by == TRIM_LENGTH:
        return stream.length - node_head(arena, cursor).entries >= <uint64_t>trim.length
    return compare_ids(node_head(arena, cursor).last, trim.id) < 0  # as in Redis, also one that was deleted counts


cdef int64_t trim_nodes(Arena arena, uint64_t root, Trim *trim) except -1:
    """Removes the oldest nodes; returns how many entries those were."""
    cdef StreamCursor cursor
    cdef int64_t entries, removed = 0
    while stream_first(arena, root, &cursor):
        entries = node_head(arena, &cursor).entries
        if trim.limit and removed + entries > trim.limit or not node_goes(arena, stream_at(arena, root), &cursor, trim):
            break
        stream_remove_node(arena, root, &cursor)
        removed += entries
    return removed


cdef int64_t trim_entries(Arena arena, uint64_t root, Trim *trim) except -1:
    """Removes the oldest entries of the first node, which will keep some."""
    cdef StreamCursor cursor
    cdef int64_t removed = 0, most = <int64_t>stream_at(arena, root).length - trim.length
    if not stream_first(arena, root, &cursor):
        return 0
    while removed < most if trim.by == TRIM_LENGTH else compare_ids(cursor.id, trim.id) < 0:
        removed += 1
        stream_next(arena, &cursor)
    if removed:
        stream_remove_before(arena, root, &cursor, <uint64_t>removed)
    return removed


cdef int64_t trim_stream(Arena arena, uint64_t root, Trim *trim) except -1:
    """Returns how many entries were removed."""
    cdef int64_t removed
    if trim.by == TRIM_NOTHING or trim.by == TRIM_LENGTH and stream_at(arena, root).length <= <uint64_t>trim.length:
        return 0
    removed = trim_nodes(arena, root, trim)
    return removed if trim.roughly else removed + trim_entries(arena, root, trim)


# -- adding and removing

cdef uint64_t open_to_change(Call call, Found *found) except? 0:
    cdef Keyspace keyspace = call.shard_of_key(0).keyspace
    keyspace.find(call.db, call.argv[1].bytes, call.argv[1].length, call.hash, found)
    return stream_open(keyspace, found)


cdef StreamId id_to_add(Call call, Addition *adding, StreamId last) except *:
    cdef StreamId id = adding.id
    if last.ms == UINT64_MAX and last.seq == UINT64_MAX:
        raise CommandError(EXHAUSTED)
    if adding.clocked:
        return an_id(<uint64_t>call.now_ms, 0) if <uint64_t>call.now_ms > last.ms else id_after(last)
    if adding.counted and id.ms == last.ms:
        id = id_after(last)
        if id.ms != last.ms:
            raise CommandError(NOT_BEHIND)
    if compare_ids(id, last) <= 0:
        raise CommandError(NOT_BEHIND)
    return id


cdef int xadd_command(Call call) except -1:
    cdef Arena arena = call.shard_of_key(0).arena
    cdef Addition adding
    cdef Found found
    cdef StreamId id, last = an_id(0, 0)
    cdef uint64_t root
    cdef int first, strings
    take_options(call, True, &adding)
    first = adding.index + 1
    strings = call.argc - first
    if strings < 2 or strings % 2:
        raise CommandError(wrong_arity("xadd"))
    if not adding.clocked and not adding.counted and adding.id.ms == 0 and adding.id.seq == 0:
        raise CommandError("ERR The ID specified in XADD must be greater than 0-0")
    root = open_to_change(call, &found)
    if root == 0 and adding.must_exist:
        return call._reply.null()
    if root:
        last = stream_at(arena, root).last
    id = id_to_add(call, &adding, last)
    if root == 0:
        root = stream_make(
            call.shard_of_key(0).keyspace, call.db, &found, call.argv[1].bytes, call.argv[1].length
        )
    stream_append(arena, root, id, &call.argv[first], <uint64_t>strings, call.limits)
    trim_stream(arena, root, &adding.trim)
    call.shard_of_key(0).keyspace.modified(&found)
    return reply_id(call._reply, id)


cdef int xtrim_command(Call call) except -1:
    cdef Addition options
    cdef Found found
    cdef int64_t removed
    cdef uint64_t root
    take_options(call, False, &options)
    root = open_to_change(call, &found)
    removed = trim_stream(call.shard_of_key(0).arena, root, &options.trim) if root else 0
    if removed:
        call.shard_of_key(0).keyspace.modified(&found)
    return call._reply.integer(removed)


cdef int xdel_command(Call call) except -1:
    cdef Arena arena = call.shard_of_key(0).arena
    cdef Found found
    cdef StreamCursor cursor
    cdef StreamId id
    cdef uint64_t root = open_to_change(call, &found)
    cdef int64_t removed = 0
    cdef int index
    if root == 0:
        return call._reply.integer(0)
    for index in range(2, call.argc):
        id = strict_id(call, index, 0)
        if stream_seek(arena, root, id, &cursor) and compare_ids(cursor.id, id) == 0:
            stream_remove(arena, root, &cursor)
            removed += 1
            if compare_ids(id, stream_at(arena, root).max_deleted) > 0:
                stream_set_id(arena, &stream_at(arena, root).max_deleted, id)
    if removed:
        call.shard_of_key(0).keyspace.modified(&found)
    return call._reply.integer(removed)


cdef int xsetid_command(Call call) except -1:
    cdef Arena arena = call.shard_of_key(0).arena
    cdef Found found
    cdef StreamCursor cursor
    cdef StreamRoot *stream
    cdef StreamId last = strict_id(call, 2, 0), deleted = an_id(0, 0)
    cdef int64_t added = -1
    cdef uint64_t root
    cdef int index
    for index in range(3, call.argc, 2):
        if index + 1 < call.argc and call.is_option(index, b"entriesadded"):
            added = call.integer(index + 1)
            if added < 0:
                raise CommandError("ERR entries_added must be positive")
        elif index + 1 < call.argc and call.is_option(index, b"maxdeletedid"):
            deleted = strict_id(call, index + 1, 0)
            if compare_ids(last, deleted) < 0:
                raise CommandError(BELOW_GIVEN)
        else:
            raise CommandError(SYNTAX)
    root = open_to_change(call, &found)
    if root == 0:
        raise CommandError(NO_SUCH_KEY)
    stream = stream_at(arena, root)
    if compare_ids(last, stream.max_deleted) < 0:
        raise CommandError(BELOW_DELETED)
    if stream_last(arena, root, &cursor):
        if compare_ids(last, cursor.id) < 0:
            raise CommandError(BELOW_ENTRIES)
        if 0 <= added < <int64_t>stream.length:
            raise CommandError(FEWER_ADDED)
    stream_set_id(arena, &stream.last, last)
    if added >= 0:
        arena.set_word(&stream.entries_added, <uint64_t>added)
    if deleted.ms or deleted.seq:
        stream_set_id(arena, &stream.max_deleted, deleted)
    return call._reply.raw(b"+OK\r\n", 5)


native("xadd", xadd_command)
native("xdel", xdel_command)
native("xsetid", xsetid_command)
native("xtrim", xtrim_command)
