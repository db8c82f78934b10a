"""HyperLogLogs: see hyperloglog.pxd. The estimator is that of Otmar Ertl (arXiv:1702.01284), as in Redis."""
from libc.math cimport INFINITY, llround, sqrt
from libc.stdlib cimport free, realloc
from libc.string cimport memcmp, memcpy, memmove, memset

cdef enum:
    SEED = 0xADC83B19
    REGISTER_BITS = 14
    HASH_LEFT = 64 - REGISTER_BITS      # bits of a hash that give the rank, at most HASH_LEFT + 1
    SPARSE_RANK_MAX = 32
    ZERO_MAX = 64                       # registers of a run
    VALUE_MAX = 4
    LONG_ZERO = 0x40
    VALUE = 0x80
    JOINED = 5                          # runs that are looked at to be joined

cdef double ALPHA = 0.721347520444481703680     # 1 / (2 ln 2)


cdef inline uint64_t mixed(uint64_t word) noexcept nogil:
    cdef uint64_t factor = <uint64_t>0xC6A4A7935BD1E995
    word *= factor
    return (word ^ word >> 47) * factor


cdef uint64_t murmur(const char *bytes, uint64_t length) noexcept nogil:
    """MurmurHash64A."""
    cdef uint64_t factor = <uint64_t>0xC6A4A7935BD1E995
    cdef uint64_t hash = <uint64_t>SEED ^ (length * factor), word, at = 0
    while length - at >= 8:
        memcpy(&word, bytes + at, 8)
        hash = (hash ^ mixed(word)) * factor
        at += 8
    if at < length:
        word = 0
        memcpy(&word, bytes + at, length - at)
        hash = (hash ^ word) * factor
    hash = (hash ^ hash >> 47) * factor
    return hash ^ hash >> 47


cdef Rank hll_rank(const char *element, uint64_t length) noexcept nogil:
    cdef Rank rank
    cdef uint64_t hash = murmur(element, length)
    rank.register = hash & (HLL_REGISTERS - 1)
    rank.rank = 1
    hash = hash >> REGISTER_BITS | <uint64_t>1 << HASH_LEFT
    while not hash & 1:
        hash >>= 1
        rank.rank += 1
    return rank


cdef int hll_encoding(const char *bytes, uint64_t length) noexcept nogil:
    if length < HLL_HEADER or memcmp(bytes, b"HYLL", 4) != 0:
        return -1
    if bytes[4] == HLL_SPARSE:
        return HLL_SPARSE
    return HLL_DENSE if bytes[4] == HLL_DENSE and length == HLL_DENSE_BYTES else -1


# -- runs of a sparse one

cdef struct Run:
    uint64_t bytes
    uint32_t count          # registers
    uint8_t rank


cdef inline bint run_at(const uint8_t *at, uint64_t left, Run *out) noexcept nogil:
    """Reads a run that has `left` bytes at most; returns whether there is one."""
    if left == 0:
        return False
    out.bytes, out.rank = 1, 0
    if at[0] & VALUE:
        out.count, out.rank = (at[0] & 3) + 1, (at[0] >> 2 & 31) + 1
    elif at[0] & LONG_ZERO:
        if left < 2:
            return False
        out.bytes, out.count = 2, (<uint32_t>(at[0] & 63) << 8 | at[1]) + 1
    else:
        out.count = (at[0] & 63) + 1
    return True


cdef inline uint64_t write_zeros(uint8_t *at, uint32_t count) noexcept nogil:
    """Returns the bytes of the run; none for no registers."""
    if count == 0:
        return 0
    if count > ZERO_MAX:
        at[0], at[1] = <uint8_t>(LONG_ZERO | (count - 1) >> 8), <uint8_t>((count - 1) & 0xFF)
        return 2
    at[0] = <uint8_t>(count - 1)
    return 1


cdef inline uint64_t write_values(uint8_t *at, uint8_t rank, uint32_t count) noexcept nogil:
    if count == 0:
        return 0
    at[0] = <uint8_t>(VALUE | (rank - 1) << 2 | (count - 1))
    return 1


cdef inline uint64_t write_run(uint8_t *at, uint8_t rank, uint32_t count) noexcept nogil:
    return write_values(at, rank, count) if rank else write_zeros(at, count)


cdef bytes hll_decode(const char *hll, uint64_t length):
    cdef uint64_t at = HLL_HEADER
    cdef Run run
    cdef list words = []
    while run_at(<const uint8_t *>hll + at, length - at, &run):
        if run.rank:
            words.append(b"v:%d,%d" % (run.rank, run.count))
        else:
            words.append(b"%s:%d" % (b"Z" if run.bytes == 2 else b"z", run.count))
        at += run.bytes
    return b" ".join(words) if at == length else None


# -- all registers

cdef bint hll_merge(const char *hll, uint64_t length, uint8_t *registers) noexcept nogil:
    cdef uint32_t register
    cdef uint8_t rank
    if hll[4] == HLL_SPARSE:
        return merge_sparse(hll, length, registers)
    for register in range(HLL_REGISTERS):
        rank = dense_get(hll, register)
        if rank > registers[register]:
            registers[register] = rank
    return True


cdef bint merge_sparse(const char *hll, uint64_t length, uint8_t *registers) noexcept nogil:
    cdef uint64_t at = HLL_HEADER
    cdef uint32_t register = 0, end
    cdef Run run
    while run_at(<const uint8_t *>hll + at, length - at, &run):
        end = register + run.count
        if end > HLL_REGISTERS:
            return False
        while register < end:
            if run.rank > registers[register]:
                registers[register] = run.rank
            register += 1
        at += run.bytes
    return register == HLL_REGISTERS and at == length


cdef double sigma(double x) noexcept nogil:
    cdef double weight = 1, total = x, before = -1
    if x == 1:
        return INFINITY
    while total != before:
        x *= x
        before = total
        total += x * weight
        weight += weight
    return total


cdef double tau(double x) noexcept nogil:
    cdef double weight = 1, total = 1 - x, before = -1
    if x == 0 or x == 1:
        return 0
    while total != before:
        x = sqrt(x)
        before = total
        weight *= 0.5
        total -= (1 - x) * (1 - x) * weight
    return total / 3


cdef uint64_t hll_estimate(const uint8_t *registers) noexcept nogil:
    cdef double all_registers = HLL_REGISTERS, total
    cdef uint32_t of_rank[64]
    cdef int register, rank
    memset(of_rank, 0, sizeof(of_rank))
    for register in range(HLL_REGISTERS):
        of_rank[registers[register] & 63] += 1
    total = all_registers * tau((all_registers - of_rank[HASH_LEFT + 1]) / all_registers)
    for rank in range(HASH_LEFT, 0, -1):
        total = (total + of_rank[rank]) * 0.5
    total += all_registers * sigma(of_rank[0] / all_registers)
    return <uint64_t>llround(ALPHA * all_registers * all_registers / total)


# -- changing

cdef class Sketch:
    def __dealloc__(self) -> None:
        free(self.bytes)

    cdef int reserve(self, uint64_t room) except -1:
        cdef char *bytes
        if room > self.room:
            bytes = <char *>realloc(self.bytes, room)
            if bytes == NULL:
                raise MemoryError
            self.bytes, self.room = bytes, room
        return 0

    cdef int load(self, const char *bytes, uint64_t length) except -1:
        self.reserve(length)
        memcpy(self.bytes, bytes, length)
        self.length = length
        return 0

    cdef int start(self) except -1:
        self.reserve(HLL_HEADER + 2)
        memset(self.bytes, 0, HLL_HEADER)
        memcpy(self.bytes, b"HYLL", 4)
        self.bytes[4] = HLL_SPARSE
        self.length = HLL_HEADER + write_zeros(<uint8_t *>self.bytes + HLL_HEADER, HLL_REGISTERS)
        return 0

    cdef void spoil(self) noexcept:
        self.bytes[HLL_STALE] = <char>(<uint8_t>self.bytes[HLL_STALE] | 0x80)

    cdef int to_dense(self) except -1:
        cdef uint8_t registers[HLL_REGISTERS]
        cdef uint32_t register
        if self.bytes[4] == HLL_DENSE:
            return HLL_SAME
        memset(registers, 0, HLL_REGISTERS)
        if not merge_sparse(self.bytes, self.length, registers):
            return HLL_CORRUPT
        self.reserve(HLL_DENSE_BYTES)
        memset(self.bytes + HLL_HEADER, 0, HLL_DENSE_BYTES - HLL_HEADER)
        self.bytes[4], self.length = HLL_DENSE, HLL_DENSE_BYTES
        for register in range(HLL_REGISTERS):
            dense_set(self.bytes, register, registers[register])
        return HLL_CHANGED

    cdef int add(self, Rank rank, int64_t limit) except -1:
        if self.bytes[4] == HLL_SPARSE:
            return self.add_sparse(rank, limit)
        if rank.rank <= dense_get(self.bytes, rank.register):
            return HLL_SAME
        dense_set(self.bytes, rank.register, rank.rank)
        return HLL_CHANGED

    cdef int add_sparse(self, Rank rank, int64_t limit) except -1:
        # The run that has the register becomes up to three: what lies before it, the register, and what lies behind.
        cdef uint8_t runs[5]
        cdef uint64_t at = HLL_HEADER, before = HLL_HEADER, made
        cdef uint32_t first = 0, last
        cdef Run run
        self.reserve(self.length + sizeof(runs))
        while True:
            if not run_at(<uint8_t *>self.bytes + at, self.length - at, &run):
                return HLL_CORRUPT
            last = first + run.count - 1
            if rank.register <= last:
                break
            before = at
            at += run.bytes
            first += run.count
        if run.rank >= rank.rank:
            return HLL_SAME
        made = write_run(runs, run.rank, rank.register - first)
        if rank.rank <= SPARSE_RANK_MAX:
            made += write_values(runs + made, rank.rank, 1)
            made += write_run(runs + made, run.rank, last - rank.register)
        if rank.rank > SPARSE_RANK_MAX or (made > run.bytes and <int64_t>(self.length + made - run.bytes) > limit):
            return HLL_CORRUPT if self.to_dense() == HLL_CORRUPT else self.add(rank, limit)
        self.replace(at, run.bytes, runs, made)
        self.join(before)
        return HLL_CHANGED

    cdef void replace(self, uint64_t at, uint64_t count, const uint8_t *runs, uint64_t made) noexcept:
        memmove(self.bytes + at + made, self.bytes + at + count, self.length - at - count)
        memcpy(self.bytes + at, runs, made)
        self.length += made - count

    cdef void join(self, uint64_t at) noexcept:
        """Makes one of neighbours of the same rank, where it can have as many registers, in a few runs from `at` on."""
        cdef Run run, following
        cdef uint8_t joined
        cdef int _looked
        for _looked in range(JOINED):
            if not run_at(<uint8_t *>self.bytes + at, self.length - at, &run):
                break
            if (
                run.rank
                and run_at(<uint8_t *>self.bytes + at + 1, self.length - at - 1, &following)
                and following.rank == run.rank
                and following.count + run.count <= VALUE_MAX
            ):
                write_values(&joined, run.rank, run.count + following.count)
                self.replace(at, 2, &joined, 1)
            else:
                at += run.bytes
