"""C-only calls of listpacks and intsets, opened to the tests."""
from libc.stdint cimport uint64_t
from libc.stdlib cimport calloc, free
from libc.string cimport memcpy
from workers.memory.arena cimport Arena
from workers.memory.entry cimport Box
from workers.memory.intset cimport (
    ints_add, ints_bytes, ints_count, ints_find, ints_get, ints_make, ints_remove, ints_store, ints_valid,
)
from workers.memory.listpack cimport (
    Element, PackBuilder, element_size, number_element, pack_append, pack_bytes, pack_count, pack_delete, pack_equals,
    pack_find, pack_first, pack_fits, pack_get, pack_insert, pack_last, pack_make, pack_next, pack_previous,
    pack_replace, pack_seek, pack_splice, pack_store, pack_text, pack_valid, string_element,
)


cdef class Boxed:
    """What a Box in the arena's first two root words names."""
    cdef Arena arena

    def __init__(self, arena: Arena) -> None:
        self.arena = arena

    cdef Box box(self):
        cdef Box box
        memcpy(&box, self.arena.at(self.arena.root_offset(0)), sizeof(Box))
        return box

    cdef int keep(self, Box *box) except -1:
        return self.arena.write(self.arena.root_offset(0), <const char *>box, sizeof(Box))

    def block(self) -> int:
        return self.box().block

    def room(self) -> int:
        return self.arena.usable(self.box().block)

    def raw(self) -> bytes:
        return self.arena.at(self.box().block)[:self.box().length]


cdef Element element_of(object value):
    return string_element(value, len(value)) if isinstance(value, bytes) else number_element(value)


cdef object value_at(const char *pack, uint64_t at):
    cdef Element element
    pack_get(pack, at, &element)
    return element.number if element.bytes == NULL else element.bytes[:element.length]


cdef class Elements:
    cdef Element *items
    cdef uint64_t count
    cdef list kept          # so that their bytes stay where they are

    def __init__(self, values: list[bytes | int]) -> None:
        cdef uint64_t index
        self.kept, self.count = values, len(values)
        self.items = <Element *>calloc(len(values) + 1, sizeof(Element))
        for index in range(self.count):
            self.items[index] = element_of(values[index])

    def __dealloc__(self):
        free(self.items)


cdef class Pack(Boxed):
    cdef const char *pack(self):
        return self.arena.at(self.box().block)

    def make(self, values: list[bytes | int]) -> None:
        cdef Box box
        cdef Elements elements = Elements(values)
        pack_make(self.arena, &box, elements.items, elements.count)
        self.keep(&box)

    def store(self, data: bytes) -> None:
        cdef Box box
        pack_store(self.arena, &box, data, len(data))
        self.keep(&box)

    def edit(self, how: str, index: int, removed: int, values: list[bytes | int]) -> None:
        """index: of an element; the count or more is the end."""
        cdef Box box = self.box()
        cdef Elements elements = Elements(values)
        cdef uint64_t at = pack_seek(self.pack(), index)
        if how == "append":
            pack_append(self.arena, &box, elements.items, elements.count)
        elif how == "insert":
            pack_insert(self.arena, &box, at, elements.items, elements.count)
        elif how == "replace":
            pack_replace(self.arena, &box, at, elements.items, elements.count)
        elif how == "delete":
            pack_delete(self.arena, &box, at, removed)
        else:
            pack_splice(self.arena, &box, at, removed, elements.items, elements.count)
        self.keep(&box)

    def repeat(self, index: int, into: int) -> None:
        """Puts an element of the pack before another, from where it lies."""
        cdef Box box = self.box()
        cdef Element element
        pack_get(self.pack(), pack_seek(self.pack(), index), &element)
        pack_insert(self.arena, &box, pack_seek(self.pack(), into), &element, 1)
        self.keep(&box)

    def forwards(self) -> list[bytes | int]:
        cdef uint64_t at = pack_first(self.pack())
        found = []
        while at:
            found.append(value_at(self.pack(), at))
            at = pack_next(self.pack(), at)
        return found

    def backwards(self) -> list[bytes | int]:
        cdef uint64_t at = pack_last(self.pack())
        found = []
        while at:
            found.append(value_at(self.pack(), at))
            at = pack_previous(self.pack(), at)
        return found

    def at(self, index: int) -> bytes | None:
        """As text."""
        cdef char scratch[24]
        cdef uint64_t length, place = pack_seek(self.pack(), index)
        cdef const char *text
        if place == 0:
            return None
        text = pack_text(self.pack(), place, scratch, &length)
        assert pack_equals(self.pack(), place, text, length)
        return text[:length]

    def find(self, value: bytes, skip: int, start: int = 0) -> int:
        """Its index, -1 when it is not there."""
        cdef uint64_t at = pack_find(self.pack(), pack_seek(self.pack(), start), value, len(value), skip)
        index = -1
        while at:
            index += 1
            at = pack_previous(self.pack(), at)
        return index

    def count(self) -> int:
        assert pack_bytes(self.pack()) == self.box().length
        return pack_count(self.pack())

    def fits(self, extra: int) -> bool:
        return pack_fits(self.pack(), extra)


def build(values: list[bytes | int], Pack into = None) -> bytes:
    """A pack made in private memory, stored `into` an arena as well."""
    cdef PackBuilder builder = PackBuilder()
    cdef Box box
    for value in [b"forgotten", *values]:
        if isinstance(value, bytes):
            builder.add_string(value, len(value))
        else:
            builder.add_number(value)
        if value == b"forgotten":
            builder.clear()
    if into is not None:
        builder.store(into.arena, &box)
        into.keep(&box)
    return builder.bytes[:builder.used]


def size_of(value: bytes | int) -> int:
    cdef Element element = element_of(value)
    return element_size(&element)


def valid_pack(data: bytes) -> int:
    return pack_valid(data, len(data))


def valid_ints(data: bytes) -> int:
    return ints_valid(data, len(data))


cdef class Ints(Boxed):
    def make(self) -> None:
        cdef Box box
        ints_make(self.arena, &box)
        self.keep(&box)

    def store(self, data: bytes) -> None:
        cdef Box box
        ints_store(self.arena, &box, data, len(data))
        self.keep(&box)

    def add(self, number: int) -> bool:
        cdef Box box = self.box()
        cdef int added = ints_add(self.arena, &box, number)
        self.keep(&box)
        return added

    def remove(self, number: int) -> bool:
        cdef Box box = self.box()
        cdef int removed = ints_remove(self.arena, &box, number)
        self.keep(&box)
        return removed

    def find(self, number: int) -> bool:
        return ints_find(self.arena.at(self.box().block), number, NULL)

    def content(self) -> list[int]:
        cdef const char *ints = self.arena.at(self.box().block)
        assert ints_bytes(ints) == self.box().length
        return [ints_get(ints, index) for index in range(ints_count(ints))]
