"""Nodes of a list's tree: listpacks, each under its count as its weight.

list.pxd has the encodings; `root` is the offset of the tree's root, and a TreeCursor is on a node or at the end.

Invariants
 1. A node is a listpack of at most NODE_BYTES, or of one element. (Redis fills nodes of up to 64 KiB; these are short,
    since what an edit moves within one goes through the journal.) Where nodes end shows nowhere.
 2. No node is empty: who takes the last of its elements drops it.
 3. Nodes that come to lie behind two others at the end where elements are pushed are sealed (see sealed.pxd), but for
    the two at the other end. An edit opens a node; it is sealed again when it comes to lie there again.
 4. Every edit is in a transaction. An edit journals no more than a few nodes, or what it takes apart is written anew.
"""
from libc.stdint cimport int64_t, uint64_t
from workers.memory.arena cimport Arena
from workers.memory.entry cimport Box
from workers.memory.listpack cimport Element
from workers.memory.tree cimport TreeCursor, tree_replace, tree_weight
from workers.types.sealed cimport SEALED_MAX, held_bytes

cdef enum:
    NODE_BYTES = SEALED_MAX
    PLAIN_NODES = 2         # at each end

# From this length on an element gets a node of its own, in this process: DEBUG QUICKLIST-PACKED-THRESHOLD.
cdef void set_packed_threshold(uint64_t length) noexcept
cdef bint gets_own_node(uint64_t length) noexcept
# Bytes that an element may take in a node; as many as a node has, if it shall have one of its own.
cdef uint64_t room_for(Element *element) noexcept

# -- packs

cdef inline Box box_of(Arena arena, uint64_t block) noexcept:
    cdef Box box
    box.block, box.length = block, held_bytes(arena.at(block))
    return box

# The block of a pack whose elements are still to be written.
cdef uint64_t new_pack(Arena arena, uint64_t elements_bytes, uint64_t count) except 0
# A new pack of the `count` elements that take the bytes from `start` to `end`.
cdef uint64_t pack_part(Arena arena, const char *pack, uint64_t start, uint64_t end, uint64_t count) except 0

# -- nodes

# The node of the element at `index`, and its index in there; quickly near either end.
cdef bint find_node(Arena arena, uint64_t root, uint64_t index, TreeCursor *cursor, uint64_t *within) noexcept
# The node's pack, to be changed: it is not sealed any more then.
cdef int edit_node(Arena arena, uint64_t root, TreeCursor *node, Box *box) except -1
cdef int drop_node(Arena arena, uint64_t root, TreeCursor *node) except -1

# Notes that an edit of the cursor's pack has left `box`, with `more` elements more.
cdef inline int put_node(Arena arena, uint64_t root, TreeCursor *node, Box *box, int64_t more) except -1:
    return tree_replace(arena, root, node, box.block, tree_weight(arena, node) + <uint64_t>more)

# Adds elements at either end, given in the order in which they shall stand.
cdef int push_nodes(Arena arena, uint64_t root, Element *elements, uint64_t count, bint at_head) except -1
# Inserts the element before the place `at` of the node's pack, or into its neighbour, or between them.
cdef int insert_at(Arena arena, uint64_t root, TreeCursor *node, uint64_t at, Element *element) except -1
