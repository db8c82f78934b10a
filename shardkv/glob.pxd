r"""Glob matching as Redis does it: KEYS, SCAN, PSUBSCRIBE, CONFIG GET, COMMAND LIST.

    *    any run of bytes, also none    [abc] [a-z] [^a]   one byte of a class; inside, \ makes the next byte literal
    ?    any one byte                   \x                 the byte x

Invariants
 1. Work is bounded by pattern length times text length: every element but * matches exactly one byte, so only the last
    * seen is ever tried again.
 2. A class that is not closed ends with the pattern; a trailing backslash is literal.
 3. As in Redis, nothing but the empty pattern matches the empty text (callers that list everything test for "*" first).
 4. `nocase` folds ASCII only; an escaped byte inside a class is compared as it is.
"""

cdef bint glob_match(const char *pattern, size_t plen, const char *text, size_t tlen, bint nocase) noexcept nogil
