"""LCS: the longest common subsequence of two strings, by the table of the lengths of all pairs of prefixes."""
from libc.stdint cimport UINT32_MAX, int64_t, uint32_t, uint64_t
from libc.stdlib cimport calloc, free

from shardkv.errors import SYNTAX, CommandError

from workers.call cimport Call
from workers.commands.strings cimport StringValue, read_string
from workers.registry cimport native

NOT_STRINGS = "ERR The specified keys must contain string values"
BOTH = "ERR If you want both the length and indexes, please just use IDX."
TABLE_TOO_LARGE = "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len"
NO_MEMORY = "ERR Insufficient memory, failed allocating transient memory for LCS"

cdef struct Options:
    bint length             # LEN
    bint indexes            # IDX
    bint with_lengths       # WITHMATCHLEN
    int64_t shortest        # MINMATCHLEN


cdef int parse_options(Call call, Options *out) except -1:
    cdef int index = 3
    while index < call.argc:
        if call.is_option(index, b"len"):
            out.length = True
        elif call.is_option(index, b"idx"):
            out.indexes = True
        elif call.is_option(index, b"withmatchlen"):
            out.with_lengths = True
        elif call.is_option(index, b"minmatchlen") and index + 1 < call.argc:
            index += 1
            out.shortest = call.integer(index)
        else:
            raise CommandError(SYNTAX)
        index += 1
    if out.length and out.indexes:
        raise CommandError(BOTH)
    return 0


cdef void fill_table(uint32_t *table, StringValue *a, StringValue *b) noexcept nogil:
    # table[i][j], i and j from 0, is the answer's length for the first i bytes of a and the first j of b.
    cdef uint64_t width = b.length + 1
    cdef uint64_t i, j
    cdef uint32_t *above = table
    cdef uint32_t *row
    for i in range(a.length):
        row = above + width
        for j in range(b.length):
            row[j + 1] = above[j] + 1 if a.bytes[i] == b.bytes[j] else max(above[j + 1], row[j])
        above = row


cdef list matches(uint32_t *table, StringValue *a, StringValue *b):
    # The runs of equal bytes that make up the answer, last first: (start in a, start in b, length).
    cdef uint64_t width = b.length + 1
    cdef uint64_t i = a.length, j = b.length
    cdef uint64_t run = 0
    runs = []
    while i and j:
        if a.bytes[i - 1] == b.bytes[j - 1]:
            run += 1
            i -= 1
            j -= 1
            continue
        if run:
            runs.append((i, j, run))
            run = 0
        if table[(i - 1) * width + j] > table[i * width + j - 1]:
            i -= 1
        else:
            j -= 1
    if run:
        runs.append((i, j, run))
    return runs


cdef int reply_indexes(Call call, list runs, Options *options, uint32_t length) except -1:
    cdef uint64_t in_a, in_b, run
    runs = [found for found in runs if found[2] >= options.shortest]
    call._reply.map(2)
    call._reply.bulk(b"matches", 7)
    call._reply.array(len(runs))
    for in_a, in_b, run in runs:
        call._reply.array(3 if options.with_lengths else 2)
        call._reply.array(2)
        call._reply.integer(in_a)
        call._reply.integer(in_a + run - 1)
        call._reply.array(2)
        call._reply.integer(in_b)
        call._reply.integer(in_b + run - 1)
        if options.with_lengths:
            call._reply.integer(run)
    call._reply.bulk(b"len", 3)
    return call._reply.integer(length)


cdef int answer(Call call, uint32_t *table, StringValue *a, StringValue *b, Options *options) except -1:
    cdef uint32_t length
    fill_table(table, a, b)
    length = table[(a.length + 1) * (b.length + 1) - 1]
    if options.length:
        return call._reply.integer(length)
    runs = matches(table, a, b)
    if options.indexes:
        return reply_indexes(call, runs, options, length)
    return call._reply.string(b"".join([a.bytes[start : start + run] for start, _, run in reversed(runs)]))


cdef int lcs_command(Call call) except -1:
    cdef StringValue a, b
    cdef Options options = Options(False, False, False, 0)
    cdef uint64_t cells
    cdef uint32_t *table
    try:
        read_string(call, 1, 0, &a)
        read_string(call, 2, 1, &b)
    except CommandError:
        raise CommandError(NOT_STRINGS) from None
    parse_options(call, &options)
    if a.length >= UINT32_MAX - 1 or b.length >= UINT32_MAX - 1:
        raise CommandError("ERR String too long for LCS")
    cells = (a.length + 1) * (b.length + 1)
    if cells > call.max_string // sizeof(uint32_t):
        raise CommandError(TABLE_TOO_LARGE)
    table = <uint32_t *>calloc(cells, sizeof(uint32_t))
    if table == NULL:
        raise CommandError(NO_MEMORY)
    try:
        return answer(call, table, &a, &b, &options)
    finally:
        free(table)


native("lcs", lcs_command)
