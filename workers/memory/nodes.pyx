"""Nodes of a tree: see nodes.pxd for their layout."""
from libc.string cimport memcpy


cdef uint64_t weight_of(NodeHeader *header, uint64_t end) noexcept nogil:
    cdef uint64_t *slot = node_slot(header, 0)
    cdef uint64_t weight = 0, _index
    if header.words == 1:
        return end
    for _index in range(end):
        weight += slot[1]
        slot += header.words
    return weight


cdef uint64_t new_node(Arena arena, uint64_t words, const uint64_t *slots, uint64_t used) except 0:
    cdef uint64_t room = min(<uint64_t>SLOTS_MAX, used + used // 8 + 3)
    cdef uint64_t size = arena.good_size(sizeof(NodeHeader) + room * words * 8)
    cdef uint64_t node = arena.alloc(size)
    cdef NodeHeader *header = node_at(arena, node)
    header.used = <uint16_t>used
    header.room = <uint16_t>min(<uint64_t>SLOTS_MAX, (size - sizeof(NodeHeader)) // (words * 8))
    header.words = <uint16_t>words
    header._pad = 0
    memcpy(header + 1, slots, used * words * 8)
    return node


cdef void describe(Arena arena, uint64_t node, uint64_t *slot) noexcept:
    cdef NodeHeader *header = node_at(arena, node)
    slot[0] = node_slot(header, 0)[0]
    slot[1] = weight_of(header, header.used)
    slot[2] = node


cdef int set_child(Arena arena, uint64_t parent, uint64_t index, uint64_t node) except -1:
    cdef uint64_t *slot = node_slot(node_at(arena, parent), index)
    arena.save(arena.offset_of(slot), INNER_WORDS * 8)
    describe(arena, node, slot)
    return 0


cdef uint64_t build_level(
    Arena arena, uint64_t words, const uint64_t *slots, uint64_t count, uint64_t *above
) except 0:
    cdef uint64_t nodes = (count + SLOTS_MAX - 1) // SLOTS_MAX, index, end, done = 0
    for index in range(nodes):
        end = count * (index + 1) // nodes
        describe(arena, new_node(arena, words, slots + done * words, end - done), above + index * INNER_WORDS)
        done = end
    return nodes


cdef int blocks_below(Arena arena, uint64_t node, uint64_t height, visit_word visit, void *context) except -1:
    cdef NodeHeader *header = node_at(arena, node)
    cdef uint64_t index
    visit(context, node)
    if height > 1:
        for index in range(header.used):
            blocks_below(arena, node_slot(header, index)[2], height - 1, visit, context)
    return 0
