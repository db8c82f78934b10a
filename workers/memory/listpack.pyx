"""Listpacks: see listpack.pxd for the format and the invariants."""
from libc.stdint cimport uint8_t, uint16_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memcmp, memmove

from shardkv.errors import OutOfMemory

from shardkv.number cimport parse_int64, print_int64

cdef enum:
    END = 0xFF
    NUMBER_TEXT_MAX = 20        # digits and sign of a 64-bit integer
    SCRATCH = 512               # bytes of new elements that need no memory of their own while they are encoded
    SMALL = 128                 # bytes of a pack that gets no more room than it needs
    KEPT_ROOM = 64              # a block of no more bytes is not exchanged for a smaller one
    BYTES_LIMIT = 0xFFFFFFFF    # what the header can say


# -- one element

cdef struct Encoding:
    uint8_t head[9]             # encoding byte and what of it is not the string
    uint64_t head_length
    const char *tail            # the string
    uint64_t tail_length


cdef inline uint64_t body_length(const uint8_t *at) noexcept nogil:
    """Bytes of an element without its back length."""
    cdef uint32_t length
    if at[0] < 0x80:
        return 1
    if at[0] < 0xC0:
        return 1 + (at[0] & 0x3F)
    if at[0] < 0xE0:
        return 2
    if at[0] < 0xF0:
        return 2 + (<uint64_t>(at[0] & 0x0F) << 8 | at[1])
    if at[0] == 0xF0:
        memcpy(&length, at + 1, 4)
        return 5 + <uint64_t>length
    return 9 if at[0] == 0xF4 else at[0] - <uint64_t>0xEE     # 16, 24, 32 bits: 3, 4, 5 bytes


cdef inline uint64_t back_length(uint64_t body) noexcept nogil:
    """Bytes of the back length. (That a step comes one too early at the powers of 128 is part of the format.)"""
    if body <= 127:
        return 1
    if body < 16383:
        return 2
    if body < 2097151:
        return 3
    return 4 if body < 268435455 else 5


cdef inline uint64_t whole_length(const char *at) noexcept nogil:
    cdef uint64_t body = body_length(<const uint8_t *>at)
    return body + back_length(body)


cdef inline void write_back(uint8_t *to, uint64_t body) noexcept nogil:
    cdef uint64_t left = back_length(body)
    while left:
        left -= 1
        to[left] = <uint8_t>(body & 0x7F) | (0x80 if left else 0)
        body >>= 7


cdef inline uint64_t read_back(const uint8_t *last) noexcept nogil:
    cdef uint64_t body = 0
    cdef int shift = 0
    while shift < 35:
        body |= <uint64_t>(last[0] & 0x7F) << shift
        if not last[0] & 0x80:
            break
        last -= 1
        shift += 7
    return body


cdef void encode_number(int64_t number, Encoding *out) noexcept nogil:
    cdef uint64_t bits = <uint64_t>number
    out.tail_length = 0
    if 0 <= number <= 127:
        out.head[0], out.head_length = <uint8_t>number, 1
    elif -4096 <= number <= 4095:
        out.head[0] = 0xC0 | <uint8_t>(bits >> 8 & 0x1F)
        out.head[1], out.head_length = <uint8_t>(bits & 0xFF), 2
    elif -32768 <= number <= 32767:
        out.head[0], out.head_length = 0xF1, 3
    elif -8388608 <= number <= 8388607:
        out.head[0], out.head_length = 0xF2, 4
    elif -2147483648 <= number <= 2147483647:
        out.head[0], out.head_length = 0xF3, 5
    else:
        out.head[0], out.head_length = 0xF4, 9
    if out.head_length > 2:
        memcpy(&out.head[1], &bits, out.head_length - 1)


cdef void encode(Element *element, Encoding *out) noexcept nogil:
    cdef uint64_t length = element.length
    cdef uint32_t long_length
    cdef int64_t number
    if element.bytes == NULL:
        encode_number(element.number, out)
        return
    if length <= NUMBER_TEXT_MAX and parse_int64(element.bytes, length, &number):
        encode_number(number, out)
        return
    out.tail, out.tail_length = element.bytes, length
    if length < 64:
        out.head[0], out.head_length = 0x80 | <uint8_t>length, 1
    elif length < 4096:
        out.head[0], out.head[1] = 0xE0 | <uint8_t>(length >> 8), <uint8_t>(length & 0xFF)
        out.head_length = 2
    else:
        long_length = <uint32_t>length
        out.head[0], out.head_length = 0xF0, 5
        memcpy(&out.head[1], &long_length, 4)


cdef uint64_t element_size(Element *element) noexcept nogil:
    cdef Encoding encoding
    encode(element, &encoding)
    return encoding.head_length + encoding.tail_length + back_length(encoding.head_length + encoding.tail_length)


cdef char *write_element(char *to, Element *element) noexcept nogil:
    """Returns where the element ends."""
    cdef Encoding encoding
    cdef uint64_t body
    encode(element, &encoding)
    body = encoding.head_length + encoding.tail_length
    memcpy(to, encoding.head, encoding.head_length)
    if encoding.tail_length:
        memcpy(to + encoding.head_length, encoding.tail, encoding.tail_length)
    write_back(<uint8_t *>to + body, body)
    return to + body + back_length(body)


# -- reading

cdef inline uint16_t header_count(const char *pack) noexcept nogil:
    cdef uint16_t count
    memcpy(&count, pack + 4, 2)
    return count


cdef uint64_t pack_count(const char *pack) noexcept nogil:
    cdef uint64_t count = header_count(pack), at
    if count == PACK_COUNT_UNKNOWN:
        count = 0
        at = pack_first(pack)
        while at:
            count += 1
            at = pack_next(pack, at)
    return count


cdef uint64_t pack_first(const char *pack) noexcept nogil:
    return 0 if <uint8_t>pack[PACK_HEADER] == END else PACK_HEADER


cdef uint64_t pack_last(const char *pack) noexcept nogil:
    return pack_previous(pack, pack_bytes(pack) - 1)


cdef uint64_t pack_after(const char *pack, uint64_t at) noexcept nogil:
    return at + whole_length(pack + at)


cdef uint64_t pack_next(const char *pack, uint64_t at) noexcept nogil:
    at += whole_length(pack + at)
    return 0 if <uint8_t>pack[at] == END else at


cdef uint64_t pack_previous(const char *pack, uint64_t at) noexcept nogil:
    cdef uint64_t body
    if at <= PACK_HEADER:
        return 0
    body = read_back(<const uint8_t *>pack + at - 1)
    return at - body - back_length(body)


cdef uint64_t pack_seek(const char *pack, int64_t index) noexcept nogil:
    cdef int64_t count = header_count(pack)
    cdef uint64_t at
    if count != PACK_COUNT_UNKNOWN:
        if not -count <= index < count:
            return 0
        if index >= 0 and index > count // 2:
            index -= count
        elif index < 0 and -index > count // 2 + 1:
            index += count
    if index >= 0:
        at = pack_first(pack)
        while at and index:
            at = pack_next(pack, at)
            index -= 1
        return at
    at = pack_last(pack)
    while at and index < -1:
        at = pack_previous(pack, at)
        index += 1
    return at


cdef void pack_get(const char *pack, uint64_t at, Element *out) noexcept nogil:
    cdef const uint8_t *start = <const uint8_t *>pack + at
    cdef uint8_t kind = start[0]
    cdef uint64_t bits = 0, body = body_length(start), sign
    out.bytes, out.length, out.number = NULL, 0, 0
    if kind < 0x80:
        out.number = kind
    elif 0xC0 <= kind < 0xE0:
        out.number = (<int64_t>(kind & 0x1F) << 8 | start[1])
        if out.number >= 4096:
            out.number -= 8192
    elif kind > 0xF0:
        memcpy(&bits, start + 1, body - 1)
        sign = <uint64_t>1 << (8 * (body - 1) - 1)
        out.number = <int64_t>((bits ^ sign) - sign)
    else:
        out.length = body - (1 if kind < 0xC0 else 2 if kind < 0xF0 else 5)
        out.bytes = <const char *>start + (body - out.length)


cdef const char *element_text(Element *element, char *scratch, uint64_t *length) noexcept nogil:
    if element.bytes == NULL:
        length[0] = print_int64(element.number, scratch)
        return scratch
    length[0] = element.length
    return element.bytes


cdef const char *pack_text(const char *pack, uint64_t at, char *scratch, uint64_t *length) noexcept nogil:
    cdef Element element
    pack_get(pack, at, &element)
    return element_text(&element, scratch, length)


cdef bint pack_equals(const char *pack, uint64_t at, const char *bytes, uint64_t length) noexcept nogil:
    cdef Element element
    cdef int64_t number
    pack_get(pack, at, &element)
    if element.bytes == NULL:
        return length <= NUMBER_TEXT_MAX and parse_int64(bytes, length, &number) and number == element.number
    return element.length == length and memcmp(element.bytes, bytes, length) == 0


cdef uint64_t pack_find(
    const char *pack, uint64_t at, const char *bytes, uint64_t length, uint64_t skip
) noexcept nogil:
    cdef Element element
    cdef int64_t number
    cdef bint is_number = length <= NUMBER_TEXT_MAX and parse_int64(bytes, length, &number)
    cdef uint64_t passed
    while at:
        pack_get(pack, at, &element)
        if element.bytes == NULL:
            if is_number and number == element.number:
                return at
        elif element.length == length and memcmp(element.bytes, bytes, length) == 0:
            return at
        at = pack_next(pack, at)
        passed = 0
        while at and passed < skip:
            at = pack_next(pack, at)
            passed += 1
    return 0


cdef bint pack_fits(const char *pack, uint64_t extra) noexcept nogil:
    return (pack_bytes(pack) if pack != NULL else PACK_EMPTY) + extra <= PACK_BYTES_MAX


cdef int64_t pack_valid(const char *bytes, uint64_t length) noexcept nogil:
    cdef const uint8_t *at = <const uint8_t *>bytes + PACK_HEADER
    cdef const uint8_t *end = <const uint8_t *>bytes + length - 1
    cdef uint8_t back[5]
    cdef uint64_t left, body
    cdef int64_t count = 0
    if length < PACK_EMPTY or pack_bytes(bytes) != length or end[0] != END:
        return -1
    while at < end:
        left = <uint64_t>(end - at)
        if at[0] > 0xF4 or (at[0] == 0xF0 and left < 5) or (at[0] >= 0xE0 and left < 2):
            return -1
        body = body_length(at)
        if body > left or back_length(body) > left - body:
            return -1
        write_back(back, body)
        if memcmp(back, at + body, back_length(body)) != 0:
            return -1
        at += body + back_length(body)
        count += 1
    return count if header_count(bytes) in (count, PACK_COUNT_UNKNOWN) else -1


# -- editing

cdef inline uint64_t roomy(uint64_t length) noexcept:
    """Room for a pack that has grown once and may grow again; small ones are many, and soon copied."""
    return length if length <= SMALL else length + length // 8


cdef uint64_t encoded_size(Element *elements, uint64_t count) noexcept nogil:
    cdef uint64_t size = 0, index
    for index in range(count):
        size += element_size(&elements[index])
    return size


cdef char *write_elements(char *to, Element *elements, uint64_t count) noexcept nogil:
    """Returns where they end."""
    cdef uint64_t index
    for index in range(count):
        to = write_element(to, &elements[index])
    return to


cdef void write_header(char *pack, uint64_t length, uint64_t count) noexcept nogil:
    cdef uint32_t total = <uint32_t>length
    cdef uint16_t shown = <uint16_t>count if count < PACK_COUNT_UNKNOWN else PACK_COUNT_UNKNOWN
    memcpy(pack, &total, 4)
    memcpy(pack + 4, &shown, 2)


cdef int pack_make(Arena arena, Box *box, Element *elements, uint64_t count) except -1:
    cdef uint64_t length = PACK_EMPTY + encoded_size(elements, count)
    cdef char *pack
    if length > BYTES_LIMIT:
        raise OutOfMemory("a listpack has no more than 4 GiB")
    box.block, box.length = arena.alloc(length), length
    pack = arena.at(box.block)
    write_header(pack, length, count)
    write_elements(pack + PACK_HEADER, elements, count)
    pack[length - 1] = <char>END
    return 0


cdef int pack_reserve(Arena arena, Box *box, uint64_t bytes) except -1:
    box.block, box.length = arena.alloc(PACK_EMPTY + bytes), PACK_EMPTY
    write_header(arena.at(box.block), PACK_EMPTY, 0)
    arena.at(box.block)[PACK_HEADER] = <char>END
    return 0


cdef int pack_store(Arena arena, Box *box, const char *bytes, uint64_t length) except -1:
    box.block, box.length = arena.alloc(length), length
    memcpy(arena.at(box.block), bytes, length)
    return 0


cdef int pack_append(Arena arena, Box *box, Element *elements, uint64_t count) except -1:
    return pack_splice(arena, box, 0, 0, elements, count)


cdef int pack_insert(Arena arena, Box *box, uint64_t at, Element *elements, uint64_t count) except -1:
    return pack_splice(arena, box, at, 0, elements, count)


cdef int pack_replace(Arena arena, Box *box, uint64_t at, Element *elements, uint64_t count) except -1:
    return pack_splice(arena, box, at, 1, elements, count)


cdef int pack_delete(Arena arena, Box *box, uint64_t at, uint64_t count) except -1:
    return pack_splice(arena, box, at, count, NULL, 0)


cdef struct Splice:
    uint64_t at
    uint64_t upto               # [at, upto) goes
    uint64_t size               # bytes that come
    char *encoded               # these bytes, or NULL: too many to have been encoded aside
    uint64_t length             # of the pack afterwards
    uint64_t count              # for its header


cdef int pack_splice(
    Arena arena, Box *box, uint64_t at, uint64_t removed, Element *elements, uint64_t count
) except -1:
    cdef const char *pack = arena.at(box.block)
    cdef uint64_t end = box.length - 1, gone = 0, known = header_count(pack), room = arena.usable(box.block)
    cdef char scratch[SCRATCH]
    cdef Splice splice
    splice.at = splice.upto = at if at else end
    while gone < removed and splice.upto < end:
        splice.upto += whole_length(pack + splice.upto)
        gone += 1
    splice.encoded = scratch if pack_room(elements, count) <= SCRATCH else NULL
    if splice.encoded != NULL:
        splice.size = <uint64_t>(write_elements(scratch, elements, count) - scratch)
    else:
        splice.size = encoded_size(elements, count)
    splice.length = box.length - (splice.upto - splice.at) + splice.size
    splice.count = known if known == PACK_COUNT_UNKNOWN else known - gone + count
    if splice.length > BYTES_LIMIT:
        raise OutOfMemory("a listpack has no more than 4 GiB")
    if splice.length <= room and (room <= KEPT_ROOM or room < 2 * splice.length or splice.length >= box.length):
        return splice_in_place(arena, box, &splice, elements, count)
    try:
        return splice_elsewhere(arena, box, &splice, elements, count)
    except OutOfMemory:
        if splice.length > room:
            raise
        return splice_in_place(arena, box, &splice, elements, count)


cdef int splice_elsewhere(Arena arena, Box *box, Splice *splice, Element *elements, uint64_t count) except -1:
    cdef uint64_t block = arena.alloc(roomy(splice.length))
    cdef char *pack = arena.at(block)
    cdef const char *old = arena.at(box.block)
    memcpy(pack, old, splice.at)
    write_header(pack, splice.length, splice.count)
    if splice.encoded != NULL:
        memcpy(pack + splice.at, splice.encoded, splice.size)
    else:
        write_elements(pack + splice.at, elements, count)
    memcpy(pack + splice.at + splice.size, old + splice.upto, box.length - splice.upto)
    arena.free(box.block)
    box.block, box.length = block, splice.length
    return 0


cdef int splice_in_place(Arena arena, Box *box, Splice *splice, Element *elements, uint64_t count) except -1:
    # New elements that are not encoded yet are so aside: they may lie in the bytes that are about to move.
    cdef char *pack = arena.at(box.block)
    cdef char *encoded = splice.encoded
    cdef uint64_t changed_to = splice.at + splice.size
    if splice.length != box.length:
        changed_to = splice.length if splice.length > box.length else box.length
    arena.save_word(<uint64_t *>pack)       # the header, and two bytes more
    if changed_to > splice.at:
        arena.save(box.block + splice.at, changed_to - splice.at)
    if encoded == NULL:
        encoded = <char *>malloc(splice.size)
        if encoded == NULL:
            raise MemoryError()
        write_elements(encoded, elements, count)
    memmove(pack + splice.at + splice.size, pack + splice.upto, box.length - splice.upto)
    memcpy(pack + splice.at, encoded, splice.size)
    write_header(pack, splice.length, splice.count)
    box.length = splice.length
    if encoded != splice.encoded:
        free(encoded)
    return 0


# -- in private memory

cdef class PackBuilder:
    def __init__(self) -> None:
        """An empty pack."""
        self.room = 256
        self.bytes = <char *>malloc(self.room)
        if self.bytes == NULL:
            raise MemoryError()
        self.clear()

    def __dealloc__(self):
        free(self.bytes)

    cdef void clear(self) noexcept:
        self.used = PACK_EMPTY
        write_header(self.bytes, PACK_EMPTY, 0)
        self.bytes[PACK_HEADER] = <char>END

    cdef int add(self, Element *element) except -1:
        cdef uint64_t length = self.used + element_size(element), count = header_count(self.bytes)
        cdef char *grown
        if length > BYTES_LIMIT:
            raise OutOfMemory("a listpack has no more than 4 GiB")
        if length > self.room:
            grown = <char *>realloc(self.bytes, 2 * length)
            if grown == NULL:
                raise MemoryError()
            self.bytes, self.room = grown, 2 * length
        write_element(self.bytes + self.used - 1, element)
        self.bytes[length - 1] = <char>END
        write_header(self.bytes, length, count if count == PACK_COUNT_UNKNOWN else count + 1)
        self.used = length
        return 0

    cdef int add_string(self, const char *bytes, uint64_t length) except -1:
        cdef Element element = string_element(bytes, length)
        return self.add(&element)

    cdef int add_number(self, int64_t number) except -1:
        cdef Element element = number_element(number)
        return self.add(&element)

    cdef int store(self, Arena arena, Box *box) except -1:
        return pack_store(arena, box, self.bytes, self.used)
