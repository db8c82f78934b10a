"""Commands on sets.

SADD and SPOP are hot: on their way no Python object is made, unless it ends in an error.
"""
from libc.stdint cimport INT64_MAX, int64_t, uint64_t

from shardkv.errors import SYNTAX, WRONG_TYPE, CommandError

from workers.call cimport Argument, Call
from workers.commands.elements cimport Scan, integer_between, reply_element
from workers.memory.databases cimport Found
from workers.memory.keyspace cimport Keyspace
from workers.memory.listpack cimport ELEMENT_TEXT, Element, element_text, string_element
from workers.registry cimport native
from workers.types.set cimport (
    is_set, set_add, set_count, set_each, set_has, set_members, set_prepare, set_random, set_remove, set_reserve,
    set_sample, set_scan,
)

cdef enum:
    CLUSTERS_PER_MEMBER = 10    # SSCAN passes so many clusters for each member of COUNT before it answers what it met

MUST_BE_POSITIVE = "ERR value is out of range, must be positive"


cdef inline int expect_set(Found *found) except -1:
    if found.exists and not is_set(found):
        raise CommandError(WRONG_TYPE)
    return 0


cdef inline int find_to_read(Call call, int index, int key_number, Found *out) except -1:
    call.find(index, key_number, out)
    return expect_set(out)


cdef inline int find_to_change(Call call, int index, int key_number, Found *out) except -1:
    call.shard_of_key(key_number).keyspace.find(
        call.db, call.argv[index].bytes, call.argv[index].length, call.hash_of(index, key_number), out
    )
    return expect_set(out)


cdef inline Element argument(Call call, int index) noexcept:
    return string_element(call.argv[index].bytes, call.argv[index].length)


cdef Element element_of(bytes member) noexcept:
    return string_element(<const char *>member, len(member))


cdef int reply_members(Call call, list members) except -1:
    cdef bytes member
    for member in members:
        call._reply.bulk(member, len(member))
    return 0


# -- one set

cdef int sadd_command(Call call) except -1:
    cdef Found found
    cdef Keyspace keyspace = call.shard_of_key(0).keyspace
    cdef Argument *key = &call.argv[1]
    cdef Element member = argument(call, 2)
    cdef int64_t added = 0
    cdef int index
    find_to_change(call, 1, 0, &found)
    set_prepare(keyspace, call.limits, &found, key.bytes, key.length, &member, call.argc - 2)
    for index in range(2, call.argc):
        member = argument(call, index)
        added += set_add(keyspace, call.limits, &found, &member)
    return call._reply.integer(added)


cdef int srem_command(Call call) except -1:
    cdef Found found
    cdef Element member
    cdef int64_t removed = 0
    cdef int index
    find_to_change(call, 1, 0, &found)
    for index in range(2, call.argc):
        if not found.exists:
            break
        member = argument(call, index)
        removed += set_remove(call.shard_of_key(0).keyspace, &found, &member)
    return call._reply.integer(removed)


cdef int scard_command(Call call) except -1:
    cdef Found found
    find_to_read(call, 1, 0, &found)
    return call._reply.integer(set_count(call.shard_of_key(0).keyspace, &found) if found.exists else 0)


cdef int sismember_command(Call call) except -1:
    cdef Found found
    cdef Element member = argument(call, 2)
    find_to_read(call, 1, 0, &found)
    return call._reply.integer(found.exists and set_has(call.shard_of_key(0).keyspace, &found, &member))


cdef int smismember_command(Call call) except -1:
    cdef Found found
    cdef Element member
    cdef int index
    find_to_read(call, 1, 0, &found)
    call._reply.header(c'*', call.argc - 2)
    for index in range(2, call.argc):
        member = argument(call, index)
        call._reply.integer(found.exists and set_has(call.shard_of_key(0).keyspace, &found, &member))
    return 0


cdef int reply_visited(void *context, Element *member) except -1:
    reply_element((<Call>context)._reply, member)
    return 0


cdef int smembers_command(Call call) except -1:
    cdef Found found
    find_to_read(call, 1, 0, &found)
    if not found.exists:
        return call._reply.set(0)
    call._reply.set(set_count(call.shard_of_key(0).keyspace, &found))
    return set_each(call.shard_of_key(0).keyspace, &found, reply_visited, <void *>call)


cdef int smove_command(Call call) except -1:
    cdef Found source, target
    cdef Keyspace keyspace = call.shard_of_key(1).keyspace
    cdef Argument *key = &call.argv[2]
    cdef Element member = argument(call, 3)
    find_to_change(call, 1, 0, &source)
    if not source.exists:
        return call._reply.integer(0)
    find_to_change(call, 2, 1, &target)
    if keyspace is call.shard_of_key(0).keyspace and target.exists and target.entry.offset == source.entry.offset:
        return call._reply.integer(set_has(keyspace, &source, &member))
    if not set_remove(call.shard_of_key(0).keyspace, &source, &member):
        return call._reply.integer(0)
    set_prepare(keyspace, call.limits, &target, key.bytes, key.length, &member, 1)
    set_add(keyspace, call.limits, &target, &member)
    return call._reply.integer(1)


# -- random members

cdef int spop_command(Call call) except -1:
    cdef Found found
    cdef Element member
    cdef Keyspace keyspace = call.shard_of_key(0).keyspace
    if call.argc > 2:
        return pop_several(call)
    find_to_change(call, 1, 0, &found)
    if not found.exists:
        return call._reply.null()
    set_random(keyspace, &found, &member)
    reply_element(call._reply, &member)
    set_remove(keyspace, &found, &member)
    return 0


cdef int pop_several(Call call) except -1:
    cdef Found found
    cdef Element element
    cdef Keyspace keyspace = call.shard_of_key(0).keyspace
    cdef list members = []
    cdef bytes member
    cdef int64_t count
    if call.argc > 3:
        raise CommandError(SYNTAX)
    count = integer_between(call, 2, 0, INT64_MAX, MUST_BE_POSITIVE)
    find_to_change(call, 1, 0, &found)
    if found.exists and <uint64_t>count >= set_count(keyspace, &found):
        members = set_members(keyspace, &found)
        keyspace.delete(call.db, &found, True)
    elif found.exists:
        members = set_sample(keyspace, &found, count)
        for member in members:
            element = element_of(member)
            set_remove(keyspace, &found, &element)
    call._reply.set(len(members))
    return reply_members(call, members)


cdef int srandmember_command(Call call) except -1:
    cdef Found found
    cdef Element member
    if call.argc > 2:
        return random_several(call)
    find_to_read(call, 1, 0, &found)
    if not found.exists:
        return call._reply.null()
    set_random(call.shard_of_key(0).keyspace, &found, &member)
    return reply_element(call._reply, &member)


cdef int random_several(Call call) except -1:
    cdef Found found
    cdef Element member
    cdef Keyspace keyspace = call.shard_of_key(0).keyspace
    cdef list members = []
    cdef int64_t count, _each
    if call.argc > 3:
        raise CommandError(SYNTAX)
    count = integer_between(call, 2, -INT64_MAX, INT64_MAX, None)
    find_to_read(call, 1, 0, &found)
    if found.exists and count < 0:      # any number of times the same
        call._reply.header(c'*', -count)
        for _each in range(-count):
            set_random(keyspace, &found, &member)
            reply_element(call._reply, &member)
        return 0
    if found.exists and <uint64_t>count >= set_count(keyspace, &found):
        members = set_members(keyspace, &found)
    elif found.exists:
        members = set_sample(keyspace, &found, count)
    call._reply.header(c'*', len(members))
    return reply_members(call, members)


# -- SSCAN

cdef int gather_wanted(void *context, Element *member) except -1:
    cdef Gathering gathering = <Gathering>context
    cdef char scratch[ELEMENT_TEXT]
    cdef uint64_t length
    cdef const char *text = element_text(member, scratch, &length)
    gathering.seen += 1
    if gathering.scan.wants(text, length):
        gathering.members.append(text[:length])
    return 0


cdef class Gathering:
    cdef Scan scan
    cdef list members
    cdef int64_t seen


cdef int sscan_command(Call call) except -1:
    cdef Found found
    cdef Gathering gathering = Gathering()
    cdef uint64_t cursor
    cdef int64_t clusters = 0
    gathering.scan = Scan()
    gathering.members = []
    gathering.scan.take_cursor(call)
    find_to_read(call, 1, 0, &found)
    if not found.exists:
        return gathering.scan.answer(call._reply, 0, gathering.members)
    gathering.scan.take_options(call, False)
    cursor = gathering.scan.cursor
    while True:
        cursor = set_scan(call.shard_of_key(0).keyspace, &found, cursor, gather_wanted, <void *>gathering)
        clusters += 1
        if cursor == 0 or gathering.seen >= gathering.scan.count \
                or clusters // CLUSTERS_PER_MEMBER >= gathering.scan.count:
            return gathering.scan.answer(call._reply, cursor, gathering.members)


# -- several sets

cdef class Source:
    """One of the sets a command combines."""
    cdef Found found
    cdef Keyspace keyspace

    cdef uint64_t count(self) noexcept:
        return set_count(self.keyspace, &self.found) if self.found.exists else 0

    cdef bint has(self, Element *member) noexcept:
        return self.found.exists and set_has(self.keyspace, &self.found, member)

    cdef int each(self, Combination combination) except -1:
        if not self.found.exists:
            return 0
        return set_each(self.keyspace, &self.found, combine, <void *>combination)


cdef class Combination:
    """The members of a first set that all others have, or that none of them has."""
    cdef list others
    cdef bint wanted            # whether the others have them
    cdef list members           # None: they are only counted
    cdef int64_t count
    cdef int64_t limit          # the count to stop at; 0 = none


cdef int combine(void *context, Element *member) except -1:
    cdef Combination combination = <Combination>context
    cdef Source source
    cdef char scratch[ELEMENT_TEXT]
    cdef const char *text
    cdef uint64_t length
    for source in combination.others:
        if source.has(member) != combination.wanted:
            return 0
    if combination.members is not None:
        text = element_text(member, scratch, &length)
        combination.members.append(text[:length])
    combination.count += 1
    return combination.count == combination.limit


cdef list sources(Call call, int first, int number, int first_key):
    # Those named by `number` arguments from `first` on, the first of which is key `first_key` of the command.
    cdef Source source
    cdef list found = []
    cdef int index
    for index in range(number):
        source = Source()
        source.keyspace = call.shard_of_key(first_key + index).keyspace
        find_to_read(call, first + index, first_key + index, &source.found)
        found.append(source)
    return found


cdef uint64_t size_of(Source source) noexcept:
    return source.count()


cdef int64_t intersect(list found, list members, int64_t limit) except -1:
    # Fills `members`, unless it is None; returns how many there are.
    cdef Combination combination = Combination()
    cdef Source source
    found = sorted(found, key=lambda source: size_of(source))
    source = found[0]
    combination.others = found[1:]
    combination.wanted = True
    combination.members = members
    combination.limit = limit
    source.each(combination)
    return combination.count


cdef list intersection(list found):
    cdef list members = []
    intersect(found, members, 0)
    return members


cdef list union(list found):
    cdef Source source
    cdef set members = set()
    for source in found:
        if source.found.exists:
            members.update(set_members(source.keyspace, &source.found))
    return list(members)


cdef list difference(list found):
    cdef Combination combination = Combination()
    combination.others = found[1:]
    combination.members = []
    (<Source>found[0]).each(combination)
    return combination.members


ctypedef list (*set_operation)(list found)


cdef int reply_combined(Call call, set_operation operation) except -1:
    cdef list members = operation(sources(call, 1, call.argc - 1, 0))
    call._reply.set(len(members))
    return reply_members(call, members)


cdef int store_combined(Call call, set_operation operation) except -1:
    cdef list members = operation(sources(call, 2, call.argc - 2, 1))
    cdef Found found
    cdef Keyspace keyspace = call.shard_of_key(0).keyspace
    cdef Argument *key = &call.argv[1]
    cdef Element element
    cdef bytes member
    keyspace.find(call.db, key.bytes, key.length, call.hash_of(1, 0), &found)
    if found.exists:
        keyspace.delete(call.db, &found, True)
    if members:
        element = element_of(members[0])
        set_prepare(keyspace, call.limits, &found, key.bytes, key.length, &element, len(members))
        set_reserve(keyspace, &found, len(members))
    for member in members:
        element = element_of(member)
        set_add(keyspace, call.limits, &found, &element)
    return call._reply.integer(len(members))


cdef int sinter_command(Call call) except -1:
    return reply_combined(call, intersection)


cdef int sunion_command(Call call) except -1:
    return reply_combined(call, union)


cdef int sdiff_command(Call call) except -1:
    return reply_combined(call, difference)


cdef int sinterstore_command(Call call) except -1:
    return store_combined(call, intersection)


cdef int sunionstore_command(Call call) except -1:
    return store_combined(call, union)


cdef int sdiffstore_command(Call call) except -1:
    return store_combined(call, difference)


cdef int sintercard_command(Call call) except -1:
    cdef int64_t limit = 0
    cdef int64_t number = integer_between(call, 1, 1, INT64_MAX, "ERR numkeys should be greater than 0")
    cdef int index
    if number > call.argc - 2:
        raise CommandError("ERR Number of keys can't be greater than number of args")
    for index in range(2 + <int>number, call.argc, 2):
        if index + 1 == call.argc or not call.is_option(index, b"limit"):
            raise CommandError(SYNTAX)
        limit = integer_between(call, index + 1, 0, INT64_MAX, "ERR LIMIT can't be negative")
    return call._reply.integer(intersect(sources(call, 2, <int>number, 0), None, limit))


native("sadd", sadd_command, member=2)
native("scard", scard_command)
native("sdiff", sdiff_command)
native("sdiffstore", sdiffstore_command)
native("sinter", sinter_command)
native("sintercard", sintercard_command)
native("sinterstore", sinterstore_command)
native("sismember", sismember_command, member=2)
native("smembers", smembers_command)
native("smismember", smismember_command, member=2)
native("smove", smove_command)
native("spop", spop_command)
native("srandmember", srandmember_command)
native("srem", srem_command, member=2)
native("sscan", sscan_command)
native("sunion", sunion_command)
native("sunionstore", sunionstore_command)
