"""Geohashes: see geohash.pxd."""
from libc.math cimport M_PI, asin, cos, fabs, sin, sqrt

cdef double EARTH_RADIUS = 6372797.560856       # metres
cdef double MERCATOR_MAX = 20037726.37          # metres: half the way around
cdef double DEGREE = M_PI / 180.0

LONGITUDE_MAX = 180
LATITUDE_MAX = 85.05112878

# Where a search looks beside its own cell: columns to the east, rows to the north, in the order of Redis's replies.
cdef int EAST[8]
cdef int NORTH[8]
EAST[:] = [0, 0, 1, -1, 1, -1, 1, -1]
NORTH[:] = [1, -1, 0, 0, 1, 1, -1, -1]


# -- cells

cdef inline uint64_t spread(uint32_t bits) noexcept nogil:
    """Bit n becomes bit 2n."""
    cdef uint64_t wide = bits
    wide = (wide | wide << 16) & <uint64_t>0x0000FFFF0000FFFF
    wide = (wide | wide << 8) & <uint64_t>0x00FF00FF00FF00FF
    wide = (wide | wide << 4) & <uint64_t>0x0F0F0F0F0F0F0F0F
    wide = (wide | wide << 2) & <uint64_t>0x3333333333333333
    return (wide | wide << 1) & <uint64_t>0x5555555555555555


cdef inline uint32_t gather(uint64_t wide) noexcept nogil:
    """What `spread` was given."""
    wide &= <uint64_t>0x5555555555555555
    wide = (wide | wide >> 1) & <uint64_t>0x3333333333333333
    wide = (wide | wide >> 2) & <uint64_t>0x0F0F0F0F0F0F0F0F
    wide = (wide | wide >> 4) & <uint64_t>0x00FF00FF00FF00FF
    wide = (wide | wide >> 8) & <uint64_t>0x0000FFFF0000FFFF
    return <uint32_t>(wide | wide >> 16)


cdef inline uint64_t bits_of(Cell *cell) noexcept nogil:
    return spread(cell.column) << 1 | spread(cell.row)


cdef inline uint32_t part_of(double value, double limit, int step) noexcept nogil:
    """In which of 2^step parts of -limit … limit a value lies."""
    return <uint32_t><uint64_t>((value - -limit) / (limit - -limit) * <double>(<uint64_t>1 << step))


cdef inline double start_of(uint64_t part, double limit, int step) noexcept nogil:
    return -limit + (<double>part / <double>(<uint64_t>1 << step)) * (limit - -limit)


cdef Cell cell_at(Position *position, int step) noexcept nogil:
    cdef Cell cell
    cell.column = part_of(position.longitude, LONGITUDE_MAX, step)
    cell.row = part_of(position.latitude, LATITUDE_MAX, step)
    cell.step = step
    return cell


cdef Area area_of(Cell *cell) noexcept nogil:
    cdef Area area
    area.low.longitude = start_of(cell.column, LONGITUDE_MAX, cell.step)
    area.high.longitude = start_of(<uint64_t>cell.column + 1, LONGITUDE_MAX, cell.step)
    area.low.latitude = start_of(cell.row, LATITUDE_MAX, cell.step)
    area.high.latitude = start_of(<uint64_t>cell.row + 1, LATITUDE_MAX, cell.step)
    return area


cdef Cell neighbour(Cell *cell, int east, int north) noexcept nogil:
    """The cell so many columns and rows away; the earth is round both ways here."""
    cdef uint32_t mask = (<uint32_t>1 << cell.step) - 1
    cdef Cell beside = cell[0]
    if east:
        beside.column = (cell.column + <uint32_t>east) & mask
    if north:
        beside.row = (cell.row + <uint32_t>north) & mask
    return beside


cdef void cell_scores(Cell *cell, double *low, double *high) noexcept nogil:
    cdef uint64_t bits = bits_of(cell)
    cdef int shift = 2 * (STEP_MAX - cell.step)
    low[0] = <double>(bits << shift)
    high[0] = <double>(bits + 1 << shift)


# -- positions

cdef bint position_valid(Position *position) noexcept nogil:
    return (
        -LONGITUDE_MAX <= position.longitude <= LONGITUDE_MAX and -LATITUDE_MAX <= position.latitude <= LATITUDE_MAX
    )


cdef uint64_t geo_encode(Position *position) noexcept nogil:
    cdef Cell cell = cell_at(position, STEP_MAX)
    return bits_of(&cell)


cdef inline double middle(double low, double high, double limit) noexcept nogil:
    cdef double value = (low + high) / 2
    if value > limit:
        return limit
    return -limit if value < -limit else value


cdef Position geo_decode(double score) noexcept nogil:
    cdef uint64_t bits = <uint64_t><long long>score
    cdef Position position
    cdef Cell cell
    cdef Area area
    cell.column, cell.row, cell.step = gather(bits >> 1), gather(bits), STEP_MAX
    area = area_of(&cell)
    position.longitude = middle(area.low.longitude, area.high.longitude, LONGITUDE_MAX)
    position.latitude = middle(area.low.latitude, area.high.latitude, LATITUDE_MAX)
    return position


cdef void geo_text(Position *position, char *out) noexcept nogil:
    cdef const char *letters = b"0123456789bcdefghjkmnpqrstuvwxyz"
    cdef Cell cell
    cdef uint64_t bits
    cdef int at
    cell.column = part_of(position.longitude, LONGITUDE_MAX, STEP_MAX)
    cell.row = part_of(position.latitude, 90, STEP_MAX)
    bits = bits_of(&cell)
    for at in range(GEOHASH_TEXT - 1):
        out[at] = letters[bits >> (52 - 5 * (at + 1)) & 31]
    out[GEOHASH_TEXT - 1] = c'0'        # 52 bits are ten letters and two bits, which Redis leaves out


# -- distances

cdef inline double latitude_distance(double one, double other) noexcept nogil:
    return EARTH_RADIUS * fabs(other * DEGREE - one * DEGREE)


cdef double geo_distance(Position *one, Position *other) noexcept nogil:
    cdef double across = sin((other.longitude * DEGREE - one.longitude * DEGREE) / 2)
    cdef double along, latitude, other_latitude
    if across == 0:
        return latitude_distance(one.latitude, other.latitude)
    latitude, other_latitude = one.latitude * DEGREE, other.latitude * DEGREE
    along = sin((other_latitude - latitude) / 2)
    return 2.0 * EARTH_RADIUS * asin(
        sqrt(along * along + cos(latitude) * cos(other_latitude) * across * across)
    )


cdef bint geo_within(Shape *shape, Position *position, double *distance) noexcept nogil:
    cdef Position beside
    if not shape.box:
        distance[0] = geo_distance(&shape.center, position)
        return distance[0] <= shape.radius
    if latitude_distance(position.latitude, shape.center.latitude) > shape.height / 2:
        return False
    beside.longitude, beside.latitude = shape.center.longitude, position.latitude
    if geo_distance(position, &beside) > shape.width / 2:
        return False
    distance[0] = geo_distance(&shape.center, position)
    return True


# -- searching

cdef int step_for(double radius, double latitude) noexcept nogil:
    """How small cells may be so that a cell and those around it hold a circle."""
    cdef int step = 1
    if radius == 0:
        return STEP_MAX
    while radius < MERCATOR_MAX:
        radius *= 2
        step += 1
    step -= 2
    if fabs(latitude) > 66:             # cells are narrower there
        step -= 1
    if fabs(latitude) > 80:
        step -= 1
    return min(max(step, 1), STEP_MAX)


cdef Area bounds_of(Shape *shape) noexcept nogil:
    """The degrees between which a shape lies; longitudes are those of its edge towards the pole."""
    cdef Area bounds
    cdef double height = shape.height / 2 if shape.box else shape.radius
    cdef double width = shape.width / 2 if shape.box else shape.radius
    cdef double up = height / EARTH_RADIUS / DEGREE
    cdef double edge = shape.center.latitude - up if shape.center.latitude < 0 else shape.center.latitude + up
    cdef double across = width / EARTH_RADIUS / cos(edge * DEGREE) / DEGREE
    bounds.low.longitude = shape.center.longitude - across
    bounds.high.longitude = shape.center.longitude + across
    bounds.low.latitude = shape.center.latitude - up
    bounds.high.latitude = shape.center.latitude + up
    return bounds


cdef bint reaches(Cell *cell, Area *bounds) noexcept nogil:
    """Whether a cell and those around it hold all between the bounds."""
    cdef Cell beside
    cdef Area north, south, east, west
    beside = neighbour(cell, 0, 1)
    north = area_of(&beside)
    beside = neighbour(cell, 0, -1)
    south = area_of(&beside)
    beside = neighbour(cell, 1, 0)
    east = area_of(&beside)
    beside = neighbour(cell, -1, 0)
    west = area_of(&beside)
    return (
        north.high.latitude >= bounds.high.latitude and south.low.latitude <= bounds.low.latitude
        and east.high.longitude >= bounds.high.longitude and west.low.longitude <= bounds.low.longitude
    )


cdef inline bint needed(Area *own, Area *bounds, int east, int north) noexcept nogil:
    """Whether the bounds reach into the neighbour of the own cell that lies there."""
    if (north < 0 and own.low.latitude < bounds.low.latitude) or (
        north > 0 and own.high.latitude > bounds.high.latitude
    ):
        return False
    return not (east < 0 and own.low.longitude < bounds.low.longitude) and not (
        east > 0 and own.high.longitude > bounds.high.longitude
    )


cdef int geo_cover(Shape *shape, Cell *cells) noexcept nogil:
    cdef Area bounds = bounds_of(shape), own
    cdef double half = sqrt(shape.width / 2 * (shape.width / 2) + shape.height / 2 * (shape.height / 2))
    cdef int step = step_for(half if shape.box else shape.radius, shape.center.latitude)
    cdef int each, count = 1
    cdef Cell beside
    cells[0] = cell_at(&shape.center, step)
    if step > 1 and not reaches(cells, &bounds):
        step -= 1
        cells[0] = cell_at(&shape.center, step)
    own = area_of(cells)
    for each in range(8):
        beside = neighbour(cells, EAST[each], NORTH[each])
        # With cells of half the earth, those to both sides are the same one.
        if (step == 1 or needed(&own, &bounds, EAST[each], NORTH[each])) and (
            count == 1 or bits_of(&beside) != bits_of(&cells[count - 1])
        ):
            cells[count] = beside
            count += 1
    return count
