"""What commands that give keys or hash fields an expiry share: the options EX, PX, EXAT and PXAT of SET, GETEX, HGETEX
and HSETEX, whose own options take the bits from 16 up; and the conditions NX, XX, GT and LT of EXPIRE, HEXPIRE and
their kin."""
from libc.stdint cimport int64_t
from workers.call cimport Call

cdef enum TimeOption:
    EX = 1
    PX = 2
    EXAT = 4
    PXAT = 8
    TIMES = EX | PX | EXAT | PXAT
    ABSOLUTE = EXAT | PXAT
    IN_SECONDS = EX | EXAT

cdef enum Condition:
    IF_NONE = 1             # NX: there is no expiry yet
    IF_ANY = 2              # XX: there is one
    IF_LATER = 4            # GT: the new one is later; no expiry is later than any
    IF_EARLIER = 8          # LT

cdef inline int time_option(Call call, int index) noexcept:
    """The option at argument `index`, 0 for anything else."""
    if call.is_option(index, b"ex"):
        return EX
    if call.is_option(index, b"px"):
        return PX
    if call.is_option(index, b"exat"):
        return EXAT
    return PXAT if call.is_option(index, b"pxat") else 0

cdef inline int condition_at(Call call, int index) noexcept:
    """The condition at argument `index`, 0 for anything else."""
    if call.is_option(index, b"nx"):
        return IF_NONE
    if call.is_option(index, b"xx"):
        return IF_ANY
    if call.is_option(index, b"gt"):
        return IF_LATER
    return IF_EARLIER if call.is_option(index, b"lt") else 0

cdef inline bint conditions_met(int given, int64_t expiry, int64_t old) noexcept:
    """Whether all that are given allow `expiry` in the place of `old`, -1 = none."""
    if given & IF_NONE and old != -1:
        return False
    if given & IF_ANY and old == -1:
        return False
    if given & IF_LATER and (old == -1 or expiry <= old):
        return False
    return not (given & IF_EARLIER and old != -1 and expiry >= old)
