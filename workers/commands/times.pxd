"""The options EX, PX, EXAT and PXAT, which SET, GETEX, HGETEX and HSETEX share. A command's own options take the bits
from 16 up."""
from workers.call cimport Call

cdef enum TimeOption:
    EX = 1
    PX = 2
    EXAT = 4
    PXAT = 8
    TIMES = EX | PX | EXAT | PXAT
    ABSOLUTE = EXAT | PXAT
    IN_SECONDS = EX | EXAT

cdef inline int time_option(Call call, int index) noexcept:
    """The option at argument `index`, 0 for anything else."""
    if call.is_option(index, b"ex"):
        return EX
    if call.is_option(index, b"px"):
        return PX
    if call.is_option(index, b"exat"):
        return EXAT
    return PXAT if call.is_option(index, b"pxat") else 0
