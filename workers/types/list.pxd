"""List: the operations of the list type on either of its encodings.

    LIST_PACKED     a listpack, as long as the directive list-max-listpack-size allows
    LIST_TREE       a ListRoot: a tree of listpacks, weighted by their counts, so that any index is found by descent
                    (list_nodes.pxd)

A handler opens a List, looks at it through a cursor, edits it, and saves it:

    list_open(keyspace, &found, &it)
    list_grow(arena, &it, limits, bytes, count)     before elements are added: may change the encoding
    list_push(arena, &it, &element, 1, at_head)     … or any other edit
    list_shrink(arena, &it, limits)                 after elements were taken away: may change it back
    list_save(keyspace, db, &found, key, length, &it)

Invariants
 1. No list is empty: `list_save` deletes the key of an empty one.
 2. A List tells what the key shall hold: the entry's own Box is as before until `list_save`. A List whose length has
    become 0 still has the blocks that the entry names: it can only be saved.
 3. A cursor is dead after any edit.
 4. Every edit is in a transaction.
"""
from libc.stdint cimport int64_t, uint64_t
from workers.limits cimport Limits
from workers.memory.arena cimport Arena
from workers.memory.databases cimport Found
from workers.memory.entry cimport Box
from workers.memory.keyspace cimport Keyspace
from workers.memory.listpack cimport Element
from workers.memory.tree cimport TreeCursor
from workers.types.sealed cimport SEALED_MAX

cdef struct List:
    int type                # LIST_PACKED, LIST_TREE; 0 = there is none, or none yet
    Box box
    uint64_t length         # elements

cdef struct ListCursor:
    # An element, or none (at = 0) past either end.
    TreeCursor node         # LIST_TREE only
    bint in_tree
    const char *pack        # the listpack, in the arena or in `room`
    uint64_t at             # offset in it
    char room[SEALED_MAX]

# -- reading

# Raises CommandError(WRONG_TYPE).
cdef int list_open(Keyspace keyspace, Found *found, List *out) except -1
# These answer whether the cursor is on an element.
cdef bint list_seek(Arena arena, List *it, uint64_t index, ListCursor *cursor) noexcept
cdef bint list_next(Arena arena, ListCursor *cursor) noexcept
cdef bint list_prev(Arena arena, ListCursor *cursor) noexcept
# An element's bytes; scratch: ELEMENT_TEXT bytes.
cdef const char *list_text(Arena arena, ListCursor *cursor, char *scratch, uint64_t *length) noexcept
cdef bint list_equals(Arena arena, ListCursor *cursor, const char *bytes, uint64_t length) noexcept
# `count` elements from `first` on, or backwards; all must exist.
cdef list list_values(Arena arena, List *it, uint64_t first, uint64_t count, bint backwards)

# -- editing

# Takes the encoding that a list with so many bytes and elements more must have.
cdef int list_grow(Arena arena, List *it, Limits limits, uint64_t bytes, uint64_t count) except -1
# Takes the packed encoding, if the list is well below its limit.
cdef int list_shrink(Arena arena, List *it, Limits limits) except -1
# Adds elements, given in the order in which they shall stand. After list_grow.
cdef int list_push(Arena arena, List *it, Element *elements, uint64_t count, bint at_head) except -1
# Beside the cursor's element, or in its place. After list_grow (which comes before the cursor).
cdef int list_insert(Arena arena, List *it, ListCursor *cursor, Element *element, bint behind) except -1
cdef int list_replace(Arena arena, List *it, ListCursor *cursor, Element *element) except -1
# `count` elements from `first` on; all must exist.
cdef int list_remove(Arena arena, List *it, uint64_t first, uint64_t count) except -1
# Elements that equal `bytes`, at most `most`, from either end; returns how many there were.
cdef int64_t list_remove_equal(
    Arena arena, List *it, const char *bytes, uint64_t length, uint64_t most, bint from_tail
) except -1
# Makes, changes or deletes the key.
cdef int list_save(Keyspace keyspace, int db, Found *found, const char *key, uint64_t length, List *it) except -1
