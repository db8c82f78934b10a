"""Commands on geospatial indexes: sorted sets whose scores are positions (workers/types/geohash.pxd)."""
from cpython.bytes cimport PyBytes_FromStringAndSize
from libc.stdint cimport int64_t, uint64_t
from libc.stdio cimport snprintf
from libc.string cimport memset

from shardkv.errors import NOT_FLOAT, SYNTAX, CommandError

from shardkv.number cimport print_long_double
from workers.call cimport Call
from workers.commands.zsets cimport (
    ADD_CH, ADD_NX, ADD_XX, Adding, add_member, add_option, double_argument, find_zset, read_zset, store_pairs,
)
from workers.memory.arena cimport Arena
from workers.registry cimport native
from workers.types.geohash cimport (
    CELLS_MAX, GEOHASH_TEXT, Cell, Position, Shape, cell_scores, geo_cover, geo_decode, geo_distance, geo_encode,
    geo_text, geo_within, position_valid,
)
from workers.types.zset cimport (
    BY_SCORE, Bound, Spot, Zset, ZsetCursor, ZsetItem, zset_at, zset_find, zset_item, zset_rank, zset_step,
)

cdef extern from "<math.h>" nogil:
    long long llrint(double value)

cdef enum Order:
    AS_FOUND = 0
    NEAREST = 1
    FARTHEST = 2

cdef enum:
    NUMBER_TEXT = 64            # bytes, more than a degree or a distance takes
    DISTANCE_PARTS = 10000      # a distance has four decimals

BAD_MEMBER = "ERR could not decode requested zset member"


# -- arguments and parts of replies

cdef Position position_argument(Call call, int index) except *:
    # Arguments `index` and the next. Raises CommandError.
    cdef Position position
    position.longitude = double_argument(call, index, NOT_FLOAT)
    position.latitude = double_argument(call, index + 1, NOT_FLOAT)
    if not position_valid(&position):
        raise CommandError(
            f"ERR invalid longitude,latitude pair {position.longitude:.6f},{position.latitude:.6f}"
        )
    return position


cdef double unit_argument(Call call, int index) except -1:
    # Metres in the unit. Raises CommandError.
    if call.is_option(index, b"m"):
        return 1
    if call.is_option(index, b"km"):
        return 1000
    if call.is_option(index, b"ft"):
        return 0.3048
    if call.is_option(index, b"mi"):
        return 1609.34
    raise CommandError("ERR unsupported unit provided. please use M, KM, FT, MI")


cdef int reply_degrees(Call call, double degrees) except -1:
    cdef char text[NUMBER_TEXT]
    cdef int length = print_long_double(degrees, text, NUMBER_TEXT)
    if call._reply.resp != 3:
        return call._reply.bulk(text, length)
    call._reply.raw(b",", 1)
    call._reply.raw(text, length)
    return call._reply.raw(b"\r\n", 2)


cdef int reply_position(Call call, Position *position) except -1:
    call._reply.header(c'*', 2)
    reply_degrees(call, position.longitude)
    return reply_degrees(call, position.latitude)


cdef int reply_distance(Call call, double distance) except -1:
    cdef char text[NUMBER_TEXT]
    cdef long long parts = llrint(distance * DISTANCE_PARTS)
    return call._reply.bulk(
        text, snprintf(text, NUMBER_TEXT, "%lld.%04lld", parts // DISTANCE_PARTS, parts % DISTANCE_PARTS)
    )


cdef bint find_position(Call call, Arena arena, Zset *zset, int index, Position *out) noexcept:
    # Where the member argv[index] is, if there is one.
    cdef Spot spot
    if not zset_find(arena, zset, call.argv[index].bytes, call.argv[index].length, &spot):
        return False
    out[0] = geo_decode(spot.score)
    return True


# -- GEOADD, GEOPOS, GEOHASH, GEODIST

cdef int geoadd_command(Call call) except -1:
    cdef int index, option, first = 2, options = 0
    cdef Position position
    cdef Adding adding
    cdef Zset zset
    while first < call.argc:
        option = add_option(call, first) & (ADD_NX | ADD_XX | ADD_CH)
        if option == 0:
            break
        options |= option
        first += 1
    if first == call.argc or (call.argc - first) % 3 or (options & ADD_NX and options & ADD_XX):
        raise CommandError(SYNTAX)
    for index in range(first, call.argc, 3):    # a bad position is told before a key of another type is
        position_argument(call, index)
    adding.options, adding.added, adding.changed, adding.score, adding.done = options, 0, 0, 0, False
    find_zset(call, 1, 0, &zset)
    for index in range(first, call.argc, 3):
        position = position_argument(call, index)
        add_member(call, &zset, &adding, index + 2, <double>geo_encode(&position))
    return call._reply.integer(adding.added + (adding.changed if options & ADD_CH else 0))


cdef int geopos_command(Call call) except -1:
    cdef Arena arena = call.shard_of_key(0).arena
    cdef Position position
    cdef Zset zset
    cdef int index
    read_zset(call, 1, 0, &zset)
    call._reply.header(c'*', call.argc - 2)
    for index in range(2, call.argc):
        if find_position(call, arena, &zset, index, &position):
            reply_position(call, &position)
        else:
            call._reply.null_array()
    return 0


cdef int geohash_command(Call call) except -1:
    cdef Arena arena = call.shard_of_key(0).arena
    cdef char text[GEOHASH_TEXT]
    cdef Position position
    cdef Zset zset
    cdef int index
    read_zset(call, 1, 0, &zset)
    call._reply.header(c'*', call.argc - 2)
    for index in range(2, call.argc):
        if find_position(call, arena, &zset, index, &position):
            geo_text(&position, text)
            call._reply.bulk(text, GEOHASH_TEXT)
        else:
            call._reply.null()
    return 0


cdef int geodist_command(Call call) except -1:
    cdef Arena arena = call.shard_of_key(0).arena
    cdef double unit = 1
    cdef Position one, other
    cdef Zset zset
    if call.argc > 5:
        raise CommandError(SYNTAX)
    if call.argc == 5:
        unit = unit_argument(call, 4)
    read_zset(call, 1, 0, &zset)
    if find_position(call, arena, &zset, 2, &one) and find_position(call, arena, &zset, 3, &other):
        return reply_distance(call, geo_distance(&one, &other) / unit)
    return call._reply.null()


# -- searches

cdef struct Search:
    Shape shape
    double unit                 # metres
    int order
    bint distances, hashes, positions
    int64_t count               # 0 = all
    bint any                    # any `count`, not the nearest
    int store                   # argument that is the key to store at; 0 = none
    int store_key_number
    bint store_distances
    bint by_name                # GEOSEARCH, GEOSEARCHSTORE: the shape is among the options
    bint may_store              # STORE and STOREDIST are options
    bint has_center, has_shape
    int from_member             # of the options: FROMMEMBER's argument, to say that FROMLONLAT comes too late


cdef void start_search(Search *search) noexcept:
    memset(search, 0, sizeof(Search))
    search.unit = 1
    search.store_key_number = 1


cdef int take_radius(Call call, int index, Search *search) except -1:
    cdef double radius = double_argument(call, index, "ERR need numeric radius")
    if radius < 0:
        raise CommandError("ERR radius cannot be negative")
    search.unit = unit_argument(call, index + 1)
    search.shape.box = False
    search.shape.radius = radius * search.unit
    search.has_shape = True
    return 0


cdef int take_box(Call call, int index, Search *search) except -1:
    cdef double width = double_argument(call, index, "ERR need numeric width")
    cdef double height = double_argument(call, index + 1, "ERR need numeric height")
    if width < 0 or height < 0:
        raise CommandError("ERR height or width cannot be negative")
    search.unit = unit_argument(call, index + 2)
    search.shape.box = True
    search.shape.width, search.shape.height = width * search.unit, height * search.unit
    search.has_shape = True
    return 0


cdef int take_member(Call call, Arena arena, Zset *zset, int index, Search *search) except -1:
    # Without a key there is nothing to find, but the options are still looked at.
    search.has_center = True
    if zset.count and not find_position(call, arena, zset, index, &search.shape.center):
        raise CommandError(BAD_MEMBER)
    return 0


cdef int take_flag(Call call, int index, Search *search) noexcept:
    # An option without arguments; returns whether it is one.
    if call.is_option(index, b"withdist"):
        search.distances = True
    elif call.is_option(index, b"withhash"):
        search.hashes = True
    elif call.is_option(index, b"withcoord"):
        search.positions = True
    elif call.is_option(index, b"any"):
        search.any = True
    elif call.is_option(index, b"asc"):
        search.order = NEAREST
    elif call.is_option(index, b"desc"):
        search.order = FARTHEST
    elif search.by_name and search.store and call.is_option(index, b"storedist"):
        search.store_distances = True
    else:
        return False
    return True


cdef int take_shape(Call call, Arena arena, Zset *zset, int index, Search *search) except -1:
    # An option of GEOSEARCH that tells where; returns how many arguments it has, 0 if it is none.
    cdef int more = call.argc - index - 1
    if more >= 1 and call.is_option(index, b"frommember") and (search.from_member or not search.has_center):
        take_member(call, arena, zset, index + 1, search)
        search.from_member = index
        return 1
    if more >= 2 and call.is_option(index, b"fromlonlat") and not search.from_member:
        search.shape.center = position_argument(call, index + 1)
        search.has_center = True
        return 2
    if more >= 2 and call.is_option(index, b"byradius") and not (search.has_shape and search.shape.box):
        take_radius(call, index + 1, search)
        return 2
    if more >= 3 and call.is_option(index, b"bybox") and not (search.has_shape and not search.shape.box):
        take_box(call, index + 1, search)
        return 3
    return 0


cdef int take_options(Call call, Arena arena, Zset *zset, int index, Search *search) except -1:
    cdef int taken
    while index < call.argc:
        taken = 0
        if take_flag(call, index, search):
            pass
        elif index + 1 < call.argc and call.is_option(index, b"count"):
            search.count = call.integer(index + 1)
            if search.count <= 0:
                raise CommandError("ERR COUNT must be > 0")
            taken = 1
        elif index + 1 < call.argc and search.may_store and (
            call.is_option(index, b"store") or call.is_option(index, b"storedist")
        ):
            search.store_distances = call.is_option(index, b"storedist")
            search.store = index + 1    # the last one counts
            taken = 1
        else:
            taken = take_shape(call, arena, zset, index, search) if search.by_name else 0
            if taken == 0:
                raise CommandError(SYNTAX)
        index += 1 + taken
    return check_search(call, search)


cdef int check_search(Call call, Search *search) except -1:
    cdef str name = call.arg(0).decode("utf-8", "surrogateescape")
    if search.store and (search.distances or search.hashes or search.positions):
        what = "GEOSEARCHSTORE" if search.by_name else "STORE option in GEORADIUS"
        raise CommandError(f"ERR {what} is not compatible with WITHDIST, WITHHASH and WITHCOORD options")
    if search.by_name and not search.has_center:
        raise CommandError(f"ERR exactly one of FROMMEMBER or FROMLONLAT can be specified for {name}")
    if search.by_name and not search.has_shape:
        raise CommandError(f"ERR exactly one of BYRADIUS and BYBOX can be specified for {name}")
    if search.any and not search.count:
        raise CommandError("ERR the ANY argument requires COUNT argument")
    if search.count and search.order == AS_FOUND and not search.any:
        search.order = NEAREST
    return 0


cdef list gather(Arena arena, Zset *zset, Search *search):
    # What is in the shape: (distance in metres, score, member, longitude, latitude), cell by cell.
    cdef Cell cells[CELLS_MAX]
    cdef list found = []
    cdef int64_t limit = search.count if search.any else 0
    cdef int each
    for each in range(geo_cover(&search.shape, cells)):
        if limit and <int64_t>len(found) >= limit:
            break
        gather_cell(arena, zset, search, &cells[each], limit, found)
    return found


cdef int gather_cell(Arena arena, Zset *zset, Search *search, Cell *cell, int64_t limit, list found) except -1:
    cdef Bound low, high
    cdef ZsetCursor cursor
    cdef ZsetItem item
    cdef Position position
    cdef uint64_t first, end
    cdef double distance = 0
    low.kind = high.kind = BY_SCORE
    low.infinite = high.infinite = 0
    low.after = high.after = False
    cell_scores(cell, &low.score, &high.score)
    first, end = zset_rank(arena, zset, &low), zset_rank(arena, zset, &high)
    if first < end:
        zset_at(arena, zset, first, &cursor)
    while first < end:
        zset_item(arena, zset, &cursor, &item)
        position = geo_decode(item.score)
        if geo_within(&search.shape, &position, &distance):
            member = PyBytes_FromStringAndSize(item.member, item.length)
            found.append((distance, item.score, member, position.longitude, position.latitude))
            if limit and <int64_t>len(found) >= limit:
                break
        first += 1
        zset_step(arena, zset, &cursor, False)
    return 0


def nearness(found: tuple[float, float, bytes, float, float]) -> float:
    """What orders what a search has found: its distance."""
    return found[0]


cdef int finish(Call call, Arena arena, Zset *zset, Search *search) except -1:
    # Searches, and answers or stores what was found.
    cdef list found = gather(arena, zset, search) if zset.count else []
    if search.order != AS_FOUND:
        found.sort(key=nearness, reverse=search.order == FARTHEST)
    if search.count:
        del found[search.count:]
    if not search.store:
        return reply_found(call, search, found)
    return store_pairs(call, search.store, search.store_key_number, [
        (distance / search.unit if search.store_distances else score, member)
        for distance, score, member, _longitude, _latitude in found
    ])


cdef int reply_found(Call call, Search *search, list found) except -1:
    cdef int details = search.distances + search.hashes + search.positions
    cdef Position position
    cdef double distance, score
    cdef bytes member
    call._reply.header(c'*', len(found))
    for distance, score, member, position.longitude, position.latitude in found:
        if details:
            call._reply.header(c'*', 1 + details)
        call._reply.bulk(member, len(member))
        if search.distances:
            reply_distance(call, distance / search.unit)
        if search.hashes:
            call._reply.integer(<int64_t>score)
        if search.positions:
            reply_position(call, &position)
    return 0


# -- the commands that search

cdef int around(Call call, bint of_member, bint may_store) except -1:
    # GEORADIUS and its kin: the circle comes first.
    cdef Arena arena = call.shard_of_key(0).arena
    cdef int options = 5 if of_member else 6
    cdef Search search
    cdef Zset zset
    start_search(&search)
    search.may_store = may_store
    read_zset(call, 1, 0, &zset)
    if not of_member:
        search.shape.center = position_argument(call, 2)
        take_radius(call, 4, &search)
    elif zset.count:
        take_member(call, arena, &zset, 2, &search)
        take_radius(call, 3, &search)
    take_options(call, arena, &zset, options, &search)
    return finish(call, arena, &zset, &search)


cdef int georadius_command(Call call) except -1:
    return around(call, False, True)


cdef int georadius_ro_command(Call call) except -1:
    return around(call, False, False)


cdef int georadiusbymember_command(Call call) except -1:
    return around(call, True, True)


cdef int georadiusbymember_ro_command(Call call) except -1:
    return around(call, True, False)


cdef int search_by_name(Call call, int key, int key_number) except -1:
    # GEOSEARCH, and with a key to store at before its own, GEOSEARCHSTORE.
    cdef Arena arena = call.shard_of_key(key_number).arena
    cdef Search search
    cdef Zset zset
    start_search(&search)
    search.by_name = True
    if key_number:
        search.store, search.store_key_number = 1, 0
    read_zset(call, key, key_number, &zset)
    take_options(call, arena, &zset, key + 1, &search)
    return finish(call, arena, &zset, &search)


cdef int geosearch_command(Call call) except -1:
    return search_by_name(call, 1, 0)


cdef int geosearchstore_command(Call call) except -1:
    return search_by_name(call, 2, 1)


native("geoadd", geoadd_command)
native("geodist", geodist_command)
native("geohash", geohash_command)
native("geopos", geopos_command)
native("georadius", georadius_command)
native("georadius_ro", georadius_ro_command)
native("georadiusbymember", georadiusbymember_command)
native("georadiusbymember_ro", georadiusbymember_ro_command)
native("geosearch", geosearch_command)
native("geosearchstore", geosearchstore_command)
