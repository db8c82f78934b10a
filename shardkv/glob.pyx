"""Glob matching: see glob.pxd for the grammar and invariants."""


cdef inline unsigned char lower(unsigned char byte) noexcept nogil:
    return byte + 32 if 65 <= byte <= 90 else byte


cdef inline bint same(unsigned char one, unsigned char other, bint nocase) noexcept nogil:
    return one == other or (nocase and lower(one) == lower(other))


cdef bint match_class(
    const unsigned char *pattern, size_t plen, unsigned char byte, bint nocase, size_t *used
) noexcept nogil:
    # `pattern` begins at '['; `used` becomes the length of the whole class.
    cdef size_t index = 1
    cdef bint negated = plen > 1 and pattern[1] == b'^'
    cdef bint found = False
    cdef unsigned char first, last
    if negated:
        index = 2
    while index < plen and pattern[index] != b']':
        if pattern[index] == b'\\' and index + 1 < plen:
            index += 1
            found = found or pattern[index] == byte
        elif index + 2 < plen and pattern[index + 1] == b'-':
            first, last = pattern[index], pattern[index + 2]
            if first > last:
                first, last = last, first
            index += 2
            found = found or (lower(first) <= lower(byte) <= lower(last) if nocase else first <= byte <= last)
        else:
            found = found or same(pattern[index], byte, nocase)
        index += 1
    used[0] = index + 1 if index < plen else plen
    return found != negated


cdef bint match_one(
    const unsigned char *pattern, size_t plen, unsigned char byte, bint nocase, size_t *used
) noexcept nogil:
    # One element that is not '*' against one byte.
    used[0] = 1
    if pattern[0] == b'?':
        return True
    if pattern[0] == b'[':
        return match_class(pattern, plen, byte, nocase, used)
    if pattern[0] == b'\\' and plen > 1:
        used[0] = 2
        return same(pattern[1], byte, nocase)
    return same(pattern[0], byte, nocase)


cdef bint glob_match(const char *pattern, size_t plen, const char *text, size_t tlen, bint nocase) noexcept nogil:
    cdef const unsigned char *wanted = <const unsigned char *>pattern
    cdef const unsigned char *given = <const unsigned char *>text
    cdef size_t at = 0, here = 0, used = 0
    cdef size_t after_star = 0, retry = 0  # behind the last '*', and the byte it was tried at
    cdef bint starred = False
    if tlen == 0:
        return plen == 0
    while here < tlen:
        if at < plen and wanted[at] == b'*':
            at += 1
            if at == plen:
                return True
            starred, after_star, retry = True, at, here
        elif at < plen and match_one(wanted + at, plen - at, given[here], nocase, &used):
            at += used
            here += 1
        elif starred:
            retry += 1
            at, here = after_star, retry
        else:
            return False
    while at < plen and wanted[at] == b'*':
        at += 1
    return at == plen


def matches(pattern: bytes, text: bytes, nocase: bool = False) -> bool:
    """Whether the whole of `text` matches the glob `pattern`; `nocase` ignores the case of ASCII letters."""
    return glob_match(pattern, len(pattern), text, len(text), nocase)
