"""Bits of strings: GETBIT, SETBIT, BITCOUNT, BITPOS and BITOP. BITFIELD has a module of its own.

Bit 0 is the highest bit of the first byte. Scans go a 64-bit word at a time, loaded so that the string's first bit is
the word's highest.
"""
from libc.stdint cimport INT64_MAX, int64_t, uint64_t, uint8_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy

from shardkv.errors import SYNTAX, CommandError

from shardkv.number cimport parse_int64
from workers.call cimport Argument, Call
from workers.commands.strings cimport StringValue, clip_range, find_to_change, find_to_set, read_string
from workers.memory.databases cimport Found
from workers.memory.keyspace cimport Keyspace
from workers.registry cimport native

cdef extern from *:
    """
    static const uint64_t EVERY_2ND_BIT = 0x5555555555555555, EVERY_2ND_PAIR = 0x3333333333333333;
    static const uint64_t LOW_HALVES = 0x0F0F0F0F0F0F0F0F, EVERY_2ND_BYTE = 0x00FF00FF00FF00FF;
    static const uint64_t ONES = 0x0001000100010001;
    """
    const uint64_t EVERY_2ND_BIT, EVERY_2ND_PAIR, LOW_HALVES, EVERY_2ND_BYTE, ONES
    uint64_t from_big_endian "__builtin_bswap64" (uint64_t word) noexcept nogil
    int leading_zeros "__builtin_clzll" (uint64_t word) noexcept nogil

BAD_OFFSET = "ERR bit offset is not an integer or out of range"
BAD_BIT = "ERR bit is not an integer or out of range"

cdef enum Operation:
    AND, OR, XOR, NOT

cdef enum:
    BATCH = 31  # words whose bits are counted byte by byte before a byte of the sums could overflow


# -- one bit

cdef int64_t bit_offset(Call call, int index, int64_t width) except -1:
    # Argument `index` as an offset in bits; with a leading '#', in fields of `width` bits (0: not allowed).
    cdef Argument *argument = &call.argv[index]
    cdef bint counted = width > 0 and argument.length > 0 and argument.bytes[0] == c'#'
    cdef int64_t offset
    if not parse_int64(argument.bytes + counted, argument.length - counted, &offset) or offset < 0:
        raise CommandError(BAD_OFFSET)
    if counted:
        if offset > INT64_MAX // width:
            raise CommandError(BAD_OFFSET)
        offset *= width
    if <uint64_t>(offset >> 3) >= call.max_string:
        raise CommandError(BAD_OFFSET)
    return offset


cdef inline int bit_at(const char *bytes, uint64_t length, uint64_t offset) noexcept nogil:
    return (bytes[offset >> 3] >> (7 - (offset & 7))) & 1 if offset >> 3 < length else 0


cdef int getbit_command(Call call) except -1:
    cdef StringValue value
    cdef int64_t offset = bit_offset(call, 2, 0)
    read_string(call, 1, 0, &value)
    return call._reply.integer(bit_at(value.bytes, value.length, offset))


cdef int setbit_command(Call call) except -1:
    cdef Found found
    cdef Keyspace keyspace = call.shard_of_key(0).keyspace
    cdef Argument *key = &call.argv[1]
    cdef char scratch[24]
    cdef char mask
    cdef const char *bytes
    cdef char *value
    cdef uint64_t length = 0
    cdef int64_t wanted
    cdef int old = 0
    cdef uint64_t offset = bit_offset(call, 2, 0)
    if not parse_int64(call.argv[3].bytes, call.argv[3].length, &wanted) or not 0 <= wanted <= 1:
        raise CommandError(BAD_BIT)
    find_to_change(call, 1, 0, &found)
    if found.exists:
        bytes = keyspace.string_bytes(&found, &length, scratch)
        old = bit_at(bytes, length, offset)
    if old != wanted or offset >> 3 >= length:
        length = max(length, (offset >> 3) + 1)
        value = keyspace.edit_string(call.db, &found, key.bytes, key.length, length, offset >> 3, 1)
        mask = <char>(0x80 >> (offset & 7))
        value[offset >> 3] = value[offset >> 3] | mask if wanted else value[offset >> 3] & ~mask
    return call._reply.integer(old)


# -- BITCOUNT and BITPOS

cdef inline uint64_t load_word(const char *bytes, uint64_t at, uint64_t length) noexcept nogil:
    # The word that begins with byte `at`; zeros follow the string's end.
    cdef uint64_t word = 0
    memcpy(&word, bytes + at, 8 if length - at >= 8 else length - at)
    return from_big_endian(word)


cdef inline uint64_t byte_sums(uint64_t word) noexcept nogil:
    # In each byte, the number of its bits that are set.
    word -= (word >> 1) & EVERY_2ND_BIT
    word = (word & EVERY_2ND_PAIR) + ((word >> 2) & EVERY_2ND_PAIR)
    return (word + (word >> 4)) & LOW_HALVES


cdef inline uint64_t sum_bytes(uint64_t sums) noexcept nogil:
    sums = (sums & EVERY_2ND_BYTE) + ((sums >> 8) & EVERY_2ND_BYTE)
    return (sums * ONES) >> 48


cdef uint64_t count_bits(const char *bytes, uint64_t length) noexcept nogil:
    cdef uint64_t at = 0, count = 0, word, sums
    cdef int step
    while length - at >= BATCH * 8:
        sums = 0
        for step in range(BATCH):
            memcpy(&word, bytes + at + 8 * step, 8)
            sums += byte_sums(word)
        count += sum_bytes(sums)
        at += BATCH * 8
    while at < length:
        count += sum_bytes(byte_sums(load_word(bytes, at, length)))
        at += 8
    return count


cdef uint64_t count_range(const char *bytes, uint64_t first, uint64_t last) noexcept nogil:
    # Set bits among the bits first to last, both included.
    cdef uint64_t start = first >> 3, end = (last >> 3) + 1
    cdef uint64_t count = count_bits(bytes + start, end - start)
    count -= sum_bytes(byte_sums(<uint8_t>bytes[start] & (0xFF00 >> (first & 7)) & 0xFF))
    return count - sum_bytes(byte_sums(<uint8_t>bytes[end - 1] & (0x7F >> (last & 7))))


cdef int64_t find_bit(const char *bytes, uint64_t length, int bit, uint64_t first, uint64_t last) noexcept nogil:
    # The first bit equal to `bit` among the bits first to last, both included; -1 if there is none.
    cdef uint64_t at = first >> 3
    cdef uint64_t wanted = ~<uint64_t>0 >> (first & 7)  # of the word at hand
    cdef uint64_t word, position
    while at <= last >> 3:
        word = load_word(bytes, at, length)
        word = (word if bit else ~word) & wanted
        if word:
            position = (at << 3) + leading_zeros(word)
            return <int64_t>position if position <= last else -1
        wanted = ~<uint64_t>0
        at += 8
    return -1


cdef int in_bits(Call call, int index) except -1:
    # Whether the range is one of bits: argument `index`, if there, says BIT or BYTE.
    if index >= call.argc or call.is_option(index, b"byte"):
        return 0
    if call.is_option(index, b"bit"):
        return 1
    raise CommandError(SYNTAX)


cdef inline bint bit_range(uint64_t length, bint of_bits, int64_t *first, int64_t *last) noexcept nogil:
    # Turns a range of bits, or of bytes, into one of bits within a string; False if nothing is left.
    if of_bits:
        return clip_range(length << 3, first, last)
    if not clip_range(length, first, last):
        return False
    first[0] <<= 3
    last[0] = (last[0] << 3) + 7
    return True


cdef int bitcount_command(Call call) except -1:
    cdef StringValue value
    cdef int64_t first = 0
    cdef int64_t last = -1
    cdef bint of_bits, backwards
    read_string(call, 1, 0, &value)
    if not value.exists:
        return call._reply.integer(0)
    if call.argc == 3 or call.argc > 5:
        raise CommandError(SYNTAX)
    if call.argc > 3:
        first = call.integer(2)
        last = call.integer(3)
    backwards = first < 0 and last < 0 and first > last
    of_bits = not backwards and in_bits(call, 4)
    if backwards or not bit_range(value.length, of_bits, &first, &last):
        return call._reply.integer(0)
    return call._reply.integer(count_range(value.bytes, first, last))


cdef int bitpos_command(Call call) except -1:
    cdef StringValue value
    cdef int64_t first = 0
    cdef int64_t last = -1
    cdef bint of_bits
    cdef int64_t position
    cdef int64_t bit = call.integer(2)
    if not 0 <= bit <= 1:
        raise CommandError("ERR The bit argument must be 1 or 0.")
    read_string(call, 1, 0, &value)
    if not value.exists:
        return call._reply.integer(-1 if bit else 0)
    if call.argc > 6:
        raise CommandError(SYNTAX)
    if call.argc > 3:
        first = call.integer(3)
    of_bits = in_bits(call, 5)
    if call.argc > 4:
        last = call.integer(4)
    if not bit_range(value.length, of_bits, &first, &last):
        return call._reply.integer(-1)
    position = find_bit(value.bytes, value.length, <int>bit, first, last)
    if position == -1 and bit == 0 and call.argc < 5:
        position = value.length << 3  # without an end, zeros follow the string
    return call._reply.integer(position)


# -- BITOP

cdef int operation_of(Call call) except -1:
    if call.is_option(1, b"and"):
        return AND
    if call.is_option(1, b"or"):
        return OR
    if call.is_option(1, b"xor"):
        return XOR
    if not call.is_option(1, b"not"):
        raise CommandError(SYNTAX)
    if call.argc != 4:
        raise CommandError("ERR BITOP NOT must be called with a single source key.")
    return NOT


cdef void combine(int operation, uint8_t *into, uint64_t size, const uint8_t *other, uint64_t length) noexcept nogil:
    # `other` reads as if zeros followed its `length` bytes. The compiler makes these loops work on whole vectors.
    cdef uint64_t at
    if operation == AND:
        for at in range(length):
            into[at] &= other[at]
        for at in range(length, size):
            into[at] = 0
    elif operation == OR:
        for at in range(length):
            into[at] |= other[at]
    elif operation == XOR:
        for at in range(length):
            into[at] ^= other[at]


cdef uint8_t *operate(int operation, StringValue *sources, int count, uint64_t size) except NULL:
    # `size` bytes in memory of their own: as many as the longest source has.
    cdef int number
    cdef uint64_t at
    cdef uint8_t *result = <uint8_t *>calloc(size, 1)
    if result == NULL:
        raise MemoryError()
    memcpy(result, sources[0].bytes, sources[0].length)
    for number in range(1, count):
        combine(operation, result, size, <const uint8_t *>sources[number].bytes, sources[number].length)
    if operation == NOT:
        for at in range(size):
            result[at] = ~result[at]
    return result


cdef int store_result(Call call, const char *result, uint64_t size) except -1:
    # At the destination, argument 2; an empty result leaves no key.
    cdef Found found
    cdef Keyspace keyspace = call.shard_of_key(0).keyspace
    find_to_set(call, 2, 0, &found)
    if size:
        keyspace.set_string(call.db, &found, call.argv[2].bytes, call.argv[2].length, result, size, -1, True)
    elif found.exists:
        keyspace.delete(call.db, &found, False)
    return call._reply.integer(size)


cdef int bitop_command(Call call) except -1:
    cdef int number, count = call.argc - 3
    cdef int operation = operation_of(call)
    cdef uint64_t size = 0
    cdef uint8_t *result = NULL
    cdef StringValue *sources = <StringValue *>calloc(count, sizeof(StringValue))
    if sources == NULL:
        raise MemoryError()
    try:
        for number in range(count):
            read_string(call, 3 + number, 1 + number, &sources[number])
            size = max(size, sources[number].length)
        if size:
            result = operate(operation, sources, count, size)
        return store_result(call, <const char *>result, size)
    finally:
        free(result)
        free(sources)


native("bitcount", bitcount_command)
native("bitop", bitop_command)
native("bitpos", bitpos_command)
native("getbit", getbit_command)
native("setbit", setbit_command)
