"""Numbers as text: see number.pxd. The C library's locale is never set, so its decimal point is a point."""
from cpython.exc cimport PyErr_Clear
from cpython.mem cimport PyMem_Free
from libc cimport errno  # as a module: an assignment to a name of its own would make a local of it
from libc.math cimport fabs, isinf, isnan
from libc.stdint cimport uint64_t
from libc.stdio cimport snprintf
from libc.stdlib cimport atoi, strtod
from libc.string cimport memcpy, memset

cdef extern from "<stdlib.h>" nogil:
    long double strtold(const char *text, char **end)

cdef extern from "Python.h":
    char *PyOS_double_to_string(double value, char format, int precision, int flags, int *kind)

cdef extern from "<math.h>" nogil:
    bint is_nan "isnan" (long double value)
    bint is_inf "isinf" (long double value)

cdef enum:
    INT64_DIGITS = 20
    FLOAT_TEXT = 5120           # bytes: longer arguments are no numbers
    DOUBLE_TEXT = 32            # bytes: more than any double takes in its shortest form


# -- integers

cdef bint parse_int64(const char *text, size_t length, int64_t *value) noexcept nogil:
    cdef uint64_t magnitude = 0
    cdef uint64_t limit = <uint64_t>1 << 63
    cdef size_t at = 0
    cdef unsigned int digit
    cdef bint negative = length > 0 and text[0] == c'-'
    if negative:
        at = 1
    else:
        limit -= 1
    if at == length or length - at > INT64_DIGITS - 1:
        return False
    if text[at] == c'0':
        value[0] = 0
        return length == 1
    while at < length:
        digit = <unsigned int>(<unsigned char>text[at]) - c'0'
        if digit > 9:
            return False
        magnitude = magnitude * 10 + digit  # 19 digits fit in 64 bits
        at += 1
    if magnitude > limit:
        return False
    value[0] = <int64_t>(0 - magnitude if negative else magnitude)
    return True


cdef char pairs[200]            # 00 to 99: a division for two digits


cdef void write_pairs() noexcept:
    cdef int number
    for number in range(100):
        pairs[2 * number] = <char>(c'0' + number // 10)
        pairs[2 * number + 1] = <char>(c'0' + number % 10)


write_pairs()


cdef int print_int64(int64_t value, char *out) noexcept nogil:
    cdef char digits[INT64_DIGITS]
    cdef int at = INT64_DIGITS
    cdef uint64_t rest = 0 - <uint64_t>value if value < 0 else <uint64_t>value
    while rest >= 100:
        at -= 2
        memcpy(digits + at, pairs + 2 * (rest % 100), 2)
        rest //= 100
    if rest >= 10:
        at -= 2
        memcpy(digits + at, pairs + 2 * rest, 2)
    else:
        at -= 1
        digits[at] = <char>(c'0' + rest)
    if value < 0:
        at -= 1
        digits[at] = c'-'
    memcpy(out, digits + at, INT64_DIGITS - at)
    return INT64_DIGITS - at


# -- floating point

cdef inline bint is_space(char letter) noexcept nogil:
    return letter == c' ' or 9 <= letter <= 13


cdef bint parse_long_double(const char *text, size_t length, long double *value) noexcept:
    cdef char copy[FLOAT_TEXT]
    cdef char *end
    if length == 0 or length >= FLOAT_TEXT or is_space(text[0]):
        return False
    memcpy(copy, text, length)
    copy[length] = 0
    errno.errno = 0
    value[0] = strtold(copy, &end)
    if end != copy + length or is_nan(value[0]):
        return False
    return errno.errno != errno.ERANGE or (value[0] != 0 and not is_inf(value[0]))


cdef int print_long_double(long double value, char *out, int capacity) noexcept:
    cdef int length
    if is_inf(value) or is_nan(value):
        return snprintf(out, capacity, "%s", b"nan" if is_nan(value) else b"inf" if value > 0 else b"-inf")
    length = snprintf(out, capacity, "%.17Lf", value)
    if length >= capacity:
        return 0
    while out[length - 1] == c'0':
        length -= 1
    if out[length - 1] == c'.':
        length -= 1
    if length == 2 and out[0] == c'-' and out[1] == c'0':
        out[0] = c'0'
        length = 1
    return length


cdef bint parse_double(const char *text, size_t length, double *value) noexcept:
    cdef char copy[FLOAT_TEXT]
    cdef char *end
    if length == 0 or length >= FLOAT_TEXT or is_space(text[0]):
        return False
    memcpy(copy, text, length)
    copy[length] = 0
    errno.errno = 0
    value[0] = strtod(copy, &end)
    if end != copy + length or isnan(value[0]):
        return False
    return errno.errno != errno.ERANGE or (value[0] != 0 and not isinf(value[0]))


cdef int shortest_digits(double value, char *digits, int *exponent) noexcept:
    # The fewest decimal digits that read back as `value` (positive, finite): value = 0.d1d2… * 10 ^ exponent.
    # Answers their number. Python knows them; without memory to ask it, 17 digits do as well, though they may be more.
    cdef char spare[DOUBLE_TEXT]
    cdef char *text = PyOS_double_to_string(value, c'r', 0, 0, NULL)
    cdef int count
    if text == NULL:
        PyErr_Clear()
        snprintf(spare, DOUBLE_TEXT, "%.17g", value)
        return take_digits(spare, digits, exponent)
    count = take_digits(text, digits, exponent)
    PyMem_Free(text)
    return count


cdef int take_digits(const char *text, char *digits, int *exponent) noexcept nogil:
    # `text` is digits, perhaps with a point among them, perhaps with an exponent. Zeros at both ends are left out.
    cdef bint whole = True  # before the point
    cdef int count = 0
    exponent[0] = 0
    while text[0] and text[0] != c'e':
        if text[0] == c'.':
            whole = False
        elif count or text[0] != c'0':
            digits[count] = text[0]
            count += 1
            exponent[0] += whole
        elif not whole:
            exponent[0] -= 1
        text += 1
    if text[0] == c'e':
        exponent[0] += atoi(text + 1)
    while digits[count - 1] == c'0':
        count -= 1
    return count


cdef int place_digits(const char *digits, int count, int exponent, char *out) noexcept:
    # Writes 0.d1d2… * 10 ^ exponent plainly where that stays short, else with an exponent.
    cdef int power = exponent - count   # of ten, of the last digit
    cdef int scientific = exponent - 1  # of ten, of the first digit
    if power >= 0 and scientific < count + 7:
        memcpy(out, digits, count)
        memset(out + count, c'0', power)
        return count + power
    if power < 0 and (power > -7 or -4 < scientific < 4):
        if exponent > 0:
            memcpy(out, digits, exponent)
            out[exponent] = c'.'
            memcpy(out + exponent + 1, digits + exponent, count - exponent)
            return count + 1
        memset(out, c'0', 2 - exponent)
        out[1] = c'.'
        memcpy(out + 2 - exponent, digits, count)
        return 2 - exponent + count
    out[0] = digits[0]
    if count > 1:
        out[1] = c'.'
        memcpy(out + 2, digits + 1, count - 1)
        count += 1
    return count + snprintf(out + count, 8, "e%+d", scientific)


cdef int print_double(double value, char *out) noexcept:
    cdef char digits[DOUBLE_TEXT]
    cdef int exponent, count
    cdef int sign = 0
    if isnan(value):
        memcpy(out, <const char *>b"nan", 3)
        return 3
    if value != 0 and fabs(value) <= <double>(<int64_t>1 << 62) and <double><int64_t>value == value:
        return print_int64(<int64_t>value, out)
    if value < 0 or (value == 0 and 1 / value < 0):
        out[0] = c'-'
        sign = 1
        value = -value
    if value == 0:
        out[sign] = c'0'
        return sign + 1
    if isinf(value):
        memcpy(out + sign, <const char *>b"inf", 3)
        return sign + 3
    count = shortest_digits(value, digits, &exponent)
    return sign + place_digits(digits, count, exponent, out + sign)
