"""BITFIELD and BITFIELD_RO: integers of 1 to 64 bits anywhere in a string."""
from libc.stdint cimport int64_t, uint64_t
from libc.stdlib cimport free, malloc

from shardkv.errors import SYNTAX, CommandError

from shardkv.number cimport parse_int64
from workers.call cimport Argument, Call
from workers.commands.bitmaps cimport bit_offset
from workers.commands.strings cimport StringValue, find_to_change, read_string
from workers.memory.databases cimport Found
from workers.memory.keyspace cimport Keyspace
from workers.registry cimport native

cdef extern from *:
    # For Cython any integer will do: the C compiler sees the true types.
    ctypedef long long int128_t "__int128"
    ctypedef unsigned long long uint128_t "unsigned __int128"

BAD_TYPE = "ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is."

cdef enum Action:
    GET, SET, INCRBY

cdef enum Overflow:
    WRAP, SAT, FAIL

cdef struct Field:
    uint64_t offset         # of its first bit
    int bits
    bint signed

cdef struct Step:
    Field field
    int action
    int overflow
    int64_t argument        # SET's value or INCRBY's increment

cdef struct Plan:
    Step *steps
    int count
    uint64_t size           # bytes the string must have for all that is written; 0 = only reads


# -- fields

cdef inline uint64_t first_byte(Field *field) noexcept nogil:
    return field.offset >> 3


cdef inline uint64_t last_byte(Field *field) noexcept nogil:
    return (field.offset + field.bits - 1) >> 3


cdef inline int shift_of(Field *field) noexcept nogil:
    # Bits of the last byte that lie behind the field.
    return 7 - <int>((field.offset + field.bits - 1) & 7)


cdef inline uint64_t mask_of(Field *field) noexcept nogil:
    return ~<uint64_t>0 >> (64 - field.bits)


cdef int64_t get_field(const char *bytes, uint64_t length, Field *field) noexcept nogil:
    # A field of 64 bits may lie across nine bytes. Zeros follow the string.
    cdef uint128_t gathered = 0
    cdef uint64_t at
    for at in range(first_byte(field), last_byte(field) + 1):
        gathered = gathered << 8 | (<unsigned char>bytes[at] if at < length else 0)
    return extended(<uint64_t>(gathered >> shift_of(field)), field)


cdef inline int64_t extended(uint64_t value, Field *field) noexcept nogil:
    # The value of a field's bits; any higher bits are dropped.
    value &= mask_of(field)
    if field.signed and value >> (field.bits - 1):
        value |= ~mask_of(field)
    return <int64_t>value


cdef void set_field(char *bytes, Field *field, int64_t value) noexcept nogil:
    cdef uint128_t mask = <uint128_t>mask_of(field) << shift_of(field)
    cdef uint128_t placed = <uint128_t>(<uint64_t>value & mask_of(field)) << shift_of(field)
    cdef uint64_t at = last_byte(field)
    while mask:
        bytes[at] = <char>((<unsigned char>bytes[at] & ~<unsigned char>mask) | <unsigned char>placed)
        mask >>= 8
        placed >>= 8
        at -= 1


cdef bint fit(int128_t value, Field *field, int overflow, int64_t *out) noexcept nogil:
    # Makes `value` fit into the field, as `overflow` says; False if it must not be stored.
    cdef int128_t top = mask_of(field) >> 1 if field.signed else mask_of(field)
    cdef int128_t bottom = -top - 1 if field.signed else 0
    out[0] = extended(<uint64_t>value, field)
    if bottom <= value <= top:
        return True
    if overflow == SAT:
        out[0] = <int64_t>(top if value > top else bottom)
    return overflow != FAIL


cdef int128_t wanted(Step *step, int64_t old) noexcept nogil:
    # What a step that writes would store, were the field wide enough.
    if step.action == INCRBY:
        return <int128_t>old + step.argument
    if step.field.signed:
        return step.argument
    return <uint64_t>step.argument  # a negative value is a large one


# -- arguments

cdef int parse_field(Call call, int index, Field *out) except -1:
    # A type like i16 or u8, then an offset.
    cdef Argument *type = &call.argv[index]
    cdef int64_t bits
    out.signed = type.length > 0 and type.bytes[0] == c'i'
    if (
        not (out.signed or (type.length > 0 and type.bytes[0] == c'u'))
        or not parse_int64(type.bytes + 1, type.length - 1, &bits)
        or not 1 <= bits <= (64 if out.signed else 63)
    ):
        raise CommandError(BAD_TYPE)
    out.bits = <int>bits
    out.offset = bit_offset(call, index + 1, bits)
    return 0


cdef int parse_overflow(Call call, int index) except -1:
    if call.is_option(index, b"wrap"):
        return WRAP
    if call.is_option(index, b"sat"):
        return SAT
    if call.is_option(index, b"fail"):
        return FAIL
    raise CommandError("ERR Invalid OVERFLOW type specified")


cdef int parse_action(Call call, int index) except -1:
    cdef int left = call.argc - index - 1
    if left >= 2 and call.is_option(index, b"get"):
        return GET
    if left >= 3 and call.is_option(index, b"set"):
        return SET
    if left >= 3 and call.is_option(index, b"incrby"):
        return INCRBY
    raise CommandError(SYNTAX)


cdef int parse_plan(Call call, Plan *plan) except -1:
    cdef int index = 2
    cdef int overflow = WRAP
    cdef Step *step
    while index < call.argc:
        if index + 1 < call.argc and call.is_option(index, b"overflow"):
            overflow = parse_overflow(call, index + 1)
            index += 2
            continue
        step = &plan.steps[plan.count]
        step.overflow = overflow
        step.action = parse_action(call, index)
        parse_field(call, index + 1, &step.field)
        index += 3
        if step.action != GET:
            step.argument = call.integer(index)
            plan.size = max(plan.size, last_byte(&step.field) + 1)
            index += 1
        plan.count += 1
    return 0


# -- execution

cdef int read_all(Call call, Plan *plan) except -1:
    cdef StringValue value
    cdef int number
    read_string(call, 1, 0, &value)
    call._reply.array(plan.count)
    for number in range(plan.count):
        call._reply.integer(get_field(value.bytes, value.length, &plan.steps[number].field))
    return 0


cdef int write_all(Call call, Plan *plan) except -1:
    cdef Found found
    cdef Keyspace keyspace = call.shard_of_key(0).keyspace
    cdef Argument *key = &call.argv[1]
    cdef char scratch[24]
    cdef const char *bytes = scratch
    cdef char *place
    cdef uint64_t length = 0, size
    cdef int64_t old, new
    cdef bint fits
    cdef int number
    cdef Step *step
    find_to_change(call, 1, 0, &found)
    if found.exists:
        bytes = keyspace.string_bytes(&found, &length, scratch)
    size = max(length, plan.size)
    call._reply.array(plan.count)
    for number in range(plan.count):
        step = &plan.steps[number]
        old = get_field(bytes, length, &step.field)
        if step.action == GET:
            call._reply.integer(old)
            continue
        fits = fit(wanted(step, old), &step.field, step.overflow, &new)
        if not fits:
            new = old
        if length < size or new != old:  # the string grows even if nothing is stored
            place = keyspace.edit_string(
                call.db, &found, key.bytes, key.length, size,
                first_byte(&step.field), last_byte(&step.field) - first_byte(&step.field) + 1,
            )
            set_field(place, &step.field, new)
            bytes, length = place, size
        if fits:
            call._reply.integer(old if step.action == SET else new)
        else:
            call._reply.null()
    return 0


cdef int bitfield(Call call, bint read_only) except -1:
    cdef Plan plan = Plan(NULL, 0, 0)
    plan.steps = <Step *>malloc((call.argc // 3 + 1) * sizeof(Step))
    if plan.steps == NULL:
        raise MemoryError()
    try:
        parse_plan(call, &plan)
        if plan.size == 0:
            return read_all(call, &plan)
        if read_only:
            raise CommandError("ERR BITFIELD_RO only supports the GET subcommand")
        return write_all(call, &plan)
    finally:
        free(plan.steps)


cdef int bitfield_command(Call call) except -1:
    return bitfield(call, False)


cdef int bitfield_ro_command(Call call) except -1:
    return bitfield(call, True)


native("bitfield", bitfield_command)
native("bitfield_ro", bitfield_ro_command)
