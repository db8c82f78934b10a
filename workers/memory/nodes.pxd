"""Nodes of a tree: how they are read and made. The tree is in tree.pxd.

A node is a block of a NodeHeader and `used` slots of one to three words:

    leaf of a plain tree        item                            (its weight is 1)
    leaf of a weighted tree     item, weight
    inner node                  first item below, weight below, offset of the child

Blocks are only a little longer than what they hold (`room` slots); a tree changes them for longer and shorter ones.
"""
from libc.stdint cimport uint16_t, uint64_t
from workers.memory.arena cimport Arena

cdef enum:
    SLOTS_MAX = 63              # 512 bytes of items
    SLOTS_MIN = 16
    JOINED_MAX = 48             # neighbours become one when they have no more together
    INNER_WORDS = 3

cdef struct NodeHeader:
    uint16_t used
    uint16_t room
    uint16_t words              # of a slot
    uint16_t _pad

# An item, or a node's offset.
ctypedef int (*visit_word)(void *context, uint64_t word) except -1

cdef inline NodeHeader *node_at(Arena arena, uint64_t node) noexcept:
    return <NodeHeader *>arena.at(node)

cdef inline uint64_t *node_slot(NodeHeader *header, uint64_t index) noexcept nogil:
    return <uint64_t *>(header + 1) + index * header.words

cdef inline int set_used(Arena arena, NodeHeader *header, uint64_t used) except -1:
    arena.save_word(<uint64_t *>header)
    header.used = <uint16_t>used
    return 0

cdef uint64_t weight_of(NodeHeader *header, uint64_t end) noexcept nogil         # of the slots before `end`
# A node of these slots, with room for a few more.
cdef uint64_t new_node(Arena arena, uint64_t words, const uint64_t *slots, uint64_t used) except 0
# Makes the slot that says what is below `node`; and puts it into `parent`.
cdef void describe(Arena arena, uint64_t node, uint64_t *slot) noexcept
cdef int set_child(Arena arena, uint64_t parent, uint64_t index, uint64_t node) except -1
# Makes nodes of `count` slots, evenly, and their slots for the level above, which may take the place of `slots`;
# returns how many nodes.
cdef uint64_t build_level(
    Arena arena, uint64_t words, const uint64_t *slots, uint64_t count, uint64_t *above
) except 0
# Visits the node and all below; its height is 1 for a leaf.
cdef int blocks_below(Arena arena, uint64_t node, uint64_t height, visit_word visit, void *context) except -1
