"""Commands on several sorted sets at once: unions, intersections, differences. Sets serve as well, each score being 1.

The result comes together in the process's own memory before the first change, so the target may be one of the sources.
"""
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_GET_SIZE
from libc.math cimport isnan
from libc.stdint cimport INT64_MAX, int64_t, uint64_t

from shardkv.errors import SYNTAX, WRONG_TYPE, CommandError

from workers.call cimport Call, Shard
from workers.commands.elements cimport integer_between
from workers.commands.zsets cimport double_argument, store_pairs
from workers.memory.databases cimport Found
from workers.memory.listpack cimport Element, string_element
from workers.registry cimport native
from workers.types.set cimport is_set, set_count, set_has, set_members
from workers.types.zset cimport Spot, Zset, is_zset, zset_find, zset_pairs, zset_view

cdef enum Operation:
    UNION = 1
    INTERSECTION = 2
    DIFFERENCE = 3

cdef enum Aggregate:
    SUM = 1
    LOWEST = 2
    HIGHEST = 3


cdef class Source:
    """A sorted set, a set or a key that does not exist."""
    cdef Shard shard
    cdef Found found
    cdef Zset zset              # if it is one
    cdef bint plain             # it is a set
    cdef double weight
    cdef uint64_t count         # members

    cdef int open(self, Call call, int index, int key_number) except -1:
        """Raises CommandError for other types."""
        self.shard = call.shard_of_key(key_number)
        self.weight = 1
        call.find(index, key_number, &self.found)
        self.plain = self.found.exists and is_set(&self.found)
        if self.plain:
            self.count = set_count(self.shard.keyspace, &self.found)
            return 0
        if self.found.exists and not is_zset(&self.found):
            raise CommandError(WRONG_TYPE)
        zset_view(self.shard.keyspace, &self.found, &self.zset)
        self.count = self.zset.count
        return 0

    cdef list pairs(self):
        """All of it: score, member."""
        if self.plain:
            return [(1.0, member) for member in set_members(self.shard.keyspace, &self.found)]
        return zset_pairs(self.shard.arena, &self.zset, 0, self.count, False)

    cdef bint has(self, bytes member, double *score) noexcept:
        cdef Element element = string_element(PyBytes_AS_STRING(member), PyBytes_GET_SIZE(member))
        cdef Spot spot
        if self.count == 0:
            return False
        if self.plain:
            score[0] = 1
            return set_has(self.shard.keyspace, &self.found, &element)
        if not zset_find(self.shard.arena, &self.zset, element.bytes, element.length, &spot):
            return False
        score[0] = spot.score
        return True


cdef class Request:
    """What a command asks for."""
    cdef list sources
    cdef int aggregate
    cdef bint with_scores
    cdef int64_t limit          # of ZINTERCARD; 0 = none

    cdef int take_sources(self, Call call, int index, int first_key_number, str name) except -1:
        """The number of sources is argument `index`, their keys follow; returns the argument behind them."""
        cdef int64_t number = call.integer(index)
        cdef int each
        cdef Source source
        if number < 1:
            raise CommandError(f"ERR at least 1 input key is needed for '{name}' command")
        if number > call.argc - index - 1:
            raise CommandError(SYNTAX)
        self.sources = []
        self.aggregate = SUM
        for each in range(<int>number):
            source = Source()
            source.open(call, index + 1 + each, first_key_number + each)
            self.sources.append(source)
        return index + 1 + <int>number

    cdef int take_options(self, Call call, int index, int operation, bint storing) except -1:
        cdef Source source
        while index < call.argc:
            if operation != DIFFERENCE and call.argc - index > len(self.sources) and call.is_option(index, b"weights"):
                for source in self.sources:
                    index += 1
                    source.weight = double_argument(call, index, "ERR weight value is not a float")
            elif operation != DIFFERENCE and index + 1 < call.argc and call.is_option(index, b"aggregate"):
                index += 1
                self.aggregate = aggregate_at(call, index)
            elif not storing and call.is_option(index, b"withscores"):
                self.with_scores = True
            else:
                raise CommandError(SYNTAX)
            index += 1
        return 0


cdef int aggregate_at(Call call, int index) except -1:
    if call.is_option(index, b"sum"):
        return SUM
    if call.is_option(index, b"min"):
        return LOWEST
    if call.is_option(index, b"max"):
        return HIGHEST
    raise CommandError(SYNTAX)


# -- the operations; each returns pairs of score and member

cdef inline double weighted(double weight, double score) noexcept:
    # A weight of 0 and an infinite score come to 0.
    score *= weight
    return 0 if isnan(score) else score


cdef inline double joined(double one, double other, int aggregate) noexcept:
    cdef double total
    if aggregate == LOWEST:
        return other if other < one else one
    if aggregate == HIGHEST:
        return other if other > one else one
    total = one + other
    return 0 if isnan(total) else total     # of both infinities


cdef uint64_t count_of(Source source):
    return source.count


cdef list smallest_first(Request request):
    return sorted(request.sources, key=count_of)


cdef list unite(Request request):
    cdef dict scores = {}
    cdef Source source
    cdef bytes member
    cdef double score
    for source in smallest_first(request):
        for score, member in source.pairs():
            score = weighted(source.weight, score)
            before = scores.get(member)
            scores[member] = score if before is None else joined(before, score, request.aggregate)
    return [(total, member) for member, total in scores.items()]


cdef list intersect(Request request):
    cdef list sources = smallest_first(request), pairs = []
    cdef Source first = sources.pop(0), source
    cdef double score, value
    cdef bytes member
    for score, member in first.pairs():
        score = weighted(first.weight, score)
        for source in sources:
            if not source.has(member, &value):
                break
            score = joined(score, value * source.weight, request.aggregate)
        else:
            pairs.append((score, member))
            if request.limit and <int64_t>len(pairs) >= request.limit:
                break
    return pairs


cdef list subtract(Request request):
    cdef list pairs = []
    cdef Source first = request.sources[0], source
    cdef double score, _value
    cdef bytes member
    for score, member in first.pairs():
        for source in request.sources[1:]:
            if source.has(member, &_value):
                break
        else:
            pairs.append((score, member))
    return pairs


cdef list combine(Request request, int operation):
    if operation == UNION:
        return unite(request)
    return intersect(request) if operation == INTERSECTION else subtract(request)


# -- the commands

cdef int answer(Call call, int operation, str name) except -1:
    cdef Request request = Request()
    cdef bytes member
    cdef double score
    cdef bint nested
    request.take_options(call, request.take_sources(call, 1, 0, name), operation, False)
    pairs = sorted(combine(request, operation))
    nested = request.with_scores and call._reply.resp == 3
    call._reply.header(c'*', len(pairs) * (2 if request.with_scores and not nested else 1))
    for score, member in pairs:
        if nested:
            call._reply.header(c'*', 2)
        call._reply.bulk(member, len(member))
        if request.with_scores:
            call._reply.double(score)
    return 0


cdef int store(Call call, int operation, str name) except -1:
    cdef Request request = Request()
    request.take_options(call, request.take_sources(call, 2, 1, name), operation, True)
    return store_pairs(call, 1, 0, combine(request, operation))


cdef int zunion_command(Call call) except -1:
    return answer(call, UNION, "zunion")


cdef int zinter_command(Call call) except -1:
    return answer(call, INTERSECTION, "zinter")


cdef int zdiff_command(Call call) except -1:
    return answer(call, DIFFERENCE, "zdiff")


cdef int zunionstore_command(Call call) except -1:
    return store(call, UNION, "zunionstore")


cdef int zinterstore_command(Call call) except -1:
    return store(call, INTERSECTION, "zinterstore")


cdef int zdiffstore_command(Call call) except -1:
    return store(call, DIFFERENCE, "zdiffstore")


cdef int zintercard_command(Call call) except -1:
    cdef Request request = Request()
    cdef int index = request.take_sources(call, 1, 0, "zintercard")
    while index < call.argc:
        if index + 1 == call.argc or not call.is_option(index, b"limit"):
            raise CommandError(SYNTAX)
        request.limit = integer_between(call, index + 1, 0, INT64_MAX, "ERR LIMIT can't be negative")
        index += 2
    return call._reply.integer(len(intersect(request)))


native("zdiff", zdiff_command)
native("zdiffstore", zdiffstore_command)
native("zinter", zinter_command)
native("zintercard", zintercard_command)
native("zinterstore", zinterstore_command)
native("zunion", zunion_command)
native("zunionstore", zunionstore_command)
