"""Commands on HyperLogLogs."""
from libc.math cimport ceil, sqrt
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy, memset

from shardkv.errors import CommandError

from workers.call cimport Call
from workers.commands.strings cimport expect_string, find_to_change
from workers.memory.databases cimport Found
from workers.memory.dice cimport roll
from workers.memory.entry cimport STRING_INT
from workers.memory.keyspace cimport Keyspace
from workers.registry cimport native
from workers.types.hyperloglog cimport (
    HLL_CORRUPT, HLL_DENSE, HLL_DENSE_BYTES, HLL_ESTIMATE, HLL_HEADER, HLL_REGISTERS, HLL_SAME, HLL_SPARSE, HLL_STALE,
    Rank, Sketch, dense_get, dense_set, hll_decode, hll_encoding, hll_estimate, hll_merge, hll_rank,
)

cdef enum:
    TEST_ROUNDS = 10            # PFSELFTEST: a worker that tests serves no one
    TEST_ELEMENTS = 100_000

NOT_ONE = "WRONGTYPE Key is not a valid HyperLogLog string value."
CORRUPT = "INVALIDOBJ Corrupted HLL object detected"


# -- values as HyperLogLogs

cdef struct Value:
    # Of a key that exists; valid until the key changes.
    const char *bytes
    uint64_t length
    int encoding
    char scratch[24]


cdef int read_value(Keyspace keyspace, Found *found, Value *out) except -1:
    expect_string(found)
    out.bytes = keyspace.string_bytes(found, &out.length, out.scratch)
    out.encoding = -1 if found.entry.type == STRING_INT else hll_encoding(out.bytes, out.length)
    if out.encoding < 0:
        raise CommandError(NOT_ONE)
    return 0


cdef int merge_key(Call call, int index, uint8_t *registers, bint *dense) except -1:
    """Merges the HyperLogLog at a key, if there is one."""
    cdef Found found
    cdef Value value
    call.find(index, index - 1, &found)
    if not found.exists:
        return 0
    read_value(call.shard_of_key(index - 1).keyspace, &found, &value)
    dense[0] = dense[0] or value.encoding == HLL_DENSE
    if not hll_merge(value.bytes, value.length, registers):
        raise CommandError(CORRUPT)
    return 0


cdef int keep(Call call, Found *found, int key, int key_number, Sketch sketch) except -1:
    """The Sketch becomes the value of the key that is argument `key`; its expiry stays."""
    return call.shard_of_key(key_number).keyspace.set_string(
        call.db, found, call.argv[key].bytes, call.argv[key].length, sketch.bytes, sketch.length,
        found.entry.expiry if found.exists else -1, True,
    )


cdef char *edit_dense(Call call, Found *found, uint64_t at, uint64_t count) except NULL:
    """Bytes of the dense HyperLogLog at the first key, of which these may be written."""
    return call.shard_of_key(0).keyspace.edit_string(
        call.db, found, call.argv[1].bytes, call.argv[1].length, HLL_DENSE_BYTES, at, count
    )


# -- PFADD

cdef int pfadd_command(Call call) except -1:
    cdef Found found
    cdef Value value
    cdef Sketch sketch
    cdef bint changed
    find_to_change(call, 1, 0, &found)
    if found.exists:
        read_value(call.shard_of_key(0).keyspace, &found, &value)
        if value.encoding == HLL_DENSE:
            return call._reply.integer(add_to_dense(call, &found, value.bytes))
        sketch = Sketch()
        sketch.load(value.bytes, value.length)
        changed = add_all(call, sketch)
    else:
        sketch = Sketch()
        sketch.start()
        add_all(call, sketch)
        changed = True
    if changed:
        sketch.spoil()
        keep(call, &found, 1, 0, sketch)
    return call._reply.integer(changed)


cdef bint add_all(Call call, Sketch sketch) except -1:
    """Returns whether a register has changed."""
    cdef Rank rank
    cdef int index, outcome
    cdef bint changed = False
    for index in range(2, call.argc):
        rank = hll_rank(call.argv[index].bytes, call.argv[index].length)
        outcome = sketch.add(rank, call.limits.hll_sparse_max_bytes)
        if outcome == HLL_CORRUPT:
            raise CommandError(CORRUPT)
        changed = changed or outcome != HLL_SAME
    return changed


cdef bint add_to_dense(Call call, Found *found, const char *bytes) except -1:
    cdef char *edited
    cdef int index
    cdef uint64_t at
    cdef bint changed = False
    cdef Rank rank
    for index in range(2, call.argc):
        rank = hll_rank(call.argv[index].bytes, call.argv[index].length)
        if rank.rank > dense_get(bytes, rank.register):
            at = HLL_HEADER + rank.register * 6 // 8
            bytes = edited = edit_dense(call, found, at, min(2, HLL_DENSE_BYTES - at))
            dense_set(edited, rank.register, rank.rank)
            changed = True
    if changed and not <uint8_t>bytes[HLL_STALE] & 0x80:
        edited = edit_dense(call, found, HLL_STALE, 1)
        edited[HLL_STALE] = <char>(<uint8_t>edited[HLL_STALE] | 0x80)
    return changed


# -- PFCOUNT, PFMERGE

cdef int pfcount_command(Call call) except -1:
    cdef uint8_t registers[HLL_REGISTERS]
    cdef bint dense = False
    cdef int index
    if call.argc == 2:
        return count_one(call)
    memset(registers, 0, HLL_REGISTERS)
    for index in range(1, call.argc):
        merge_key(call, index, registers, &dense)
    return call._reply.integer(<int64_t>hll_estimate(registers))


cdef int count_one(Call call) except -1:
    """The estimate is kept in the value as long as that stays as it is."""
    cdef uint8_t registers[HLL_REGISTERS]
    cdef Found found
    cdef Value value
    cdef char *edited
    cdef uint64_t estimate
    call.find(1, 0, &found)
    if not found.exists:
        return call._reply.integer(0)
    read_value(call.shard_of_key(0).keyspace, &found, &value)
    memcpy(&estimate, value.bytes + HLL_ESTIMATE, 8)
    if estimate >> 63:
        memset(registers, 0, HLL_REGISTERS)
        if not hll_merge(value.bytes, value.length, registers):
            raise CommandError(CORRUPT)
        estimate = hll_estimate(registers)
        edited = call.shard_of_key(0).keyspace.edit_string(
            call.db, &found, call.argv[1].bytes, call.argv[1].length, value.length, HLL_ESTIMATE, 8
        )
        memcpy(edited + HLL_ESTIMATE, &estimate, 8)
    return call._reply.integer(<int64_t>estimate)


cdef int pfmerge_command(Call call) except -1:
    cdef uint8_t registers[HLL_REGISTERS]
    cdef Found found
    cdef Value value
    cdef Rank rank
    cdef Sketch sketch = Sketch()
    cdef bint dense = False
    cdef int index
    memset(registers, 0, HLL_REGISTERS)
    for index in range(1, call.argc):
        merge_key(call, index, registers, &dense)
    find_to_change(call, 1, 0, &found)
    if found.exists:
        read_value(call.shard_of_key(0).keyspace, &found, &value)
        sketch.load(value.bytes, value.length)
    else:
        sketch.start()
    if dense:
        sketch.to_dense()
    for rank.register in range(HLL_REGISTERS):
        rank.rank = registers[rank.register]
        if rank.rank:
            sketch.add(rank, call.limits.hll_sparse_max_bytes)
    sketch.spoil()
    keep(call, &found, 1, 0, sketch)
    return call._reply.raw(b"+OK\r\n", 5)


# -- PFDEBUG, PFSELFTEST

cdef int pfdebug_command(Call call) except -1:
    cdef Found found
    cdef Value value
    call.find(2, 0, &found)
    if not found.exists:
        raise CommandError("ERR The specified key does not exist")
    read_value(call.shard_of_key(0).keyspace, &found, &value)
    if call.is_option(1, b"getreg"):
        return reply_registers(call, &found, &value)
    if call.is_option(1, b"decode"):
        if value.encoding != HLL_SPARSE:
            raise CommandError("ERR HLL encoding is not sparse")
        decoded = hll_decode(value.bytes, value.length)
        if decoded is None:
            raise CommandError(CORRUPT)
        return call._reply.bulk(decoded, len(decoded))
    if call.is_option(1, b"encoding"):
        return call._reply.status("dense" if value.encoding == HLL_DENSE else "sparse")
    if call.is_option(1, b"todense"):
        return call._reply.integer(make_dense(call, &found, &value))
    raise CommandError(f"ERR Unknown PFDEBUG subcommand '{call.arg(1).decode('utf-8', 'replace')}'")


cdef bint make_dense(Call call, Found *found, Value *value) except -1:
    """Returns whether it was not."""
    cdef Sketch sketch = Sketch()
    if value.encoding == HLL_DENSE:
        return False
    sketch.load(value.bytes, value.length)
    if sketch.to_dense() == HLL_CORRUPT:
        raise CommandError(CORRUPT)
    keep(call, found, 2, 0, sketch)
    return True


cdef int reply_registers(Call call, Found *found, Value *value) except -1:
    cdef uint32_t register
    make_dense(call, found, value)
    read_value(call.shard_of_key(0).keyspace, found, value)
    call._reply.array(HLL_REGISTERS)
    for register in range(HLL_REGISTERS):
        call._reply.integer(dense_get(value.bytes, register))
    return 0


cdef int pfselftest_command(Call call) except -1:
    test_registers()
    test_estimates(call.limits.hll_sparse_max_bytes)
    return call._reply.raw(b"+OK\r\n", 5)


cdef int test_registers() except -1:
    """Each register keeps what is put into it, and leaves the others alone."""
    cdef uint8_t expected[HLL_REGISTERS]
    cdef Sketch sketch = Sketch()
    cdef int _round
    cdef uint32_t register
    sketch.start()
    sketch.to_dense()
    for _round in range(TEST_ROUNDS):
        for register in range(HLL_REGISTERS):
            expected[register] = roll() & 63
            dense_set(sketch.bytes, register, expected[register])
        for register in range(HLL_REGISTERS):
            if dense_get(sketch.bytes, register) != expected[register]:
                raise CommandError(
                    f"TESTFAILED Register {register} should be {expected[register]} but is "
                    f"{dense_get(sketch.bytes, register)}"
                )
    return 0


cdef int test_estimates(int64_t limit) except -1:
    """Both encodings estimate alike, and not far from the truth."""
    cdef Sketch dense = Sketch(), sparse = Sketch()
    cdef uint64_t seed = roll(), element, checkpoint = 1, number
    cdef Rank rank
    dense.start()
    dense.to_dense()
    sparse.start()
    for number in range(1, TEST_ELEMENTS + 1):
        element = number ^ seed
        rank = hll_rank(<const char *>&element, sizeof(element))
        dense.add(rank, limit)
        sparse.add(rank, limit)
        if number == checkpoint:
            check_estimates(dense, sparse, number, limit)
            checkpoint *= 10
    return 0


cdef int check_estimates(Sketch dense, Sketch sparse, uint64_t true_count, int64_t limit) except -1:
    cdef uint64_t estimate = estimate_of(dense), error
    cdef double error_max = ceil(6 * 1.04 / sqrt(HLL_REGISTERS) * true_count)     # six standard errors
    if <int64_t>true_count < limit // 2 and sparse.bytes[4] != HLL_SPARSE:
        raise CommandError("TESTFAILED sparse encoding not used")
    if estimate != estimate_of(sparse):
        raise CommandError("TESTFAILED dense/sparse disagree")
    error = estimate - true_count if estimate > true_count else true_count - estimate
    if error > error_max:
        raise CommandError(f"TESTFAILED Too big error. card:{true_count} abserr:{error}")
    return 0


cdef uint64_t estimate_of(Sketch sketch) noexcept:
    cdef uint8_t registers[HLL_REGISTERS]
    memset(registers, 0, HLL_REGISTERS)
    hll_merge(sketch.bytes, sketch.length, registers)
    return hll_estimate(registers)


native("pfadd", pfadd_command)
native("pfcount", pfcount_command)
native("pfdebug", pfdebug_command)
native("pfmerge", pfmerge_command)
native("pfselftest", pfselftest_command)
