"""Geohash: positions on the earth as scores of a sorted set, and the cells a search has to look through.

The earth is 360 degrees of longitude by twice LATITUDE_MAX of latitude, halved `step` times each way into cells. A
cell's column and row, their bits interleaved with the column's in front, are its geohash; at STEP_MAX its 52 bits are
a score, which a double holds exactly. All of Redis's formulas are kept term by term, so that replies agree digit by
digit.

Invariants
 1. The members inside a cell have scores from `cell_scores`' low to below its high.
 2. The cells of `geo_cover` hold all that is within the shape; `geo_within` says of each member whether it is.
 3. Lengths are metres; angles are degrees.
"""
from libc.stdint cimport uint32_t, uint64_t

cdef enum:
    STEP_MAX = 26
    CELLS_MAX = 9
    GEOHASH_TEXT = 11           # letters of a geohash as text

cdef double LONGITUDE_MAX
cdef double LATITUDE_MAX        # the poles have no place in a Mercator square

cdef struct Position:
    double longitude
    double latitude

cdef struct Cell:
    uint32_t column             # from the west
    uint32_t row                # from the south
    int step

cdef struct Area:
    Position low
    Position high

cdef struct Shape:
    # What a search looks in: a circle, or a box along the meridians.
    Position center
    bint box
    double radius
    double width, height

cdef bint position_valid(Position *position) noexcept nogil
cdef uint64_t geo_encode(Position *position) noexcept nogil
cdef Position geo_decode(double score) noexcept nogil
# Letters of the usual alphabet for the usual earth, whose latitudes reach the poles; no terminator.
cdef void geo_text(Position *position, char *out) noexcept nogil
cdef double geo_distance(Position *one, Position *other) noexcept nogil
# Fills CELLS_MAX cells at most and returns their number.
cdef int geo_cover(Shape *shape, Cell *cells) noexcept nogil
cdef void cell_scores(Cell *cell, double *low, double *high) noexcept nogil
# Whether a position is in the shape; `distance` from its center, if so.
cdef bint geo_within(Shape *shape, Position *position, double *distance) noexcept nogil
