"""Tree: a B+tree with counts in the arena. By score and member it is a sorted set, by position a list, by id a stream.

A tree is a 32-byte TreeRoot anywhere in reachable memory. An item is a word that only the user understands (mostly an
offset), with a weight of at least 1: its place among the others is found by the user's comparison (`tree_seek`) or by
the weight before it (`tree_at`). The nodes are described in nodes.pxd.

A node that is full splits in halves; at the very end (or start) of the tree it stays full beside a new one. So the
nodes of a plain tree take 9 to 10 bytes an item after insertions anywhere, 8.5 when all were appended.

Invariants
 1. The slots of an inner node say of each child its first item and its whole weight, exactly. So an item that was
    removed, and perhaps freed, is never compared with.
 2. A node has at least SLOTS_MIN slots, but for the root (an inner root has at least two) and for the first and last
    node of a level, which have at least one; if these two are neighbours, one of them has SLOTS_MIN. So the height is
    logarithmic.
 3. Every call but `tree_build` and `tree_blocks` looks at no more than three nodes a level; `tree_dismantle` has its
    budget.
 4. The contents of a node that splits, joins another or changes its block are written anew, without the journal; the
    old block stays as it is until the commit frees it.
 5. A cursor is dead after any change to the tree that was not made with it.
"""
from libc.stdint cimport uint32_t, uint64_t
from workers.memory.arena cimport Arena
from workers.memory.nodes cimport NodeHeader, node_at, node_slot, visit_word

cdef enum:
    HEIGHT_MAX = 12             # 2^37 words of memory, at least 16 a node, with some to spare

cdef struct TreeRoot:
    uint64_t node               # 0 = empty
    uint32_t height             # levels: 0 = empty, 1 = the root is a leaf
    uint32_t weighted           # 1: leaves keep weights; else each item's is 1
    uint64_t items
    uint64_t weight             # of all items

cdef struct TreeStep:
    uint64_t node
    uint64_t index

cdef struct TreeCursor:
    # An item, or the end: in the last leaf, an index behind its last slot. In an empty tree: height 0.
    uint64_t height
    TreeStep path[HEIGHT_MAX]          # leaf first

# Below 0: `item` lies before what is sought.
ctypedef int (*compare_item)(void *context, uint64_t item) noexcept

cdef inline void tree_init(TreeRoot *fresh, bint weighted) noexcept nogil:
    """Makes an empty tree of fresh memory."""
    fresh.node = fresh.items = fresh.weight = 0
    fresh.height = 0
    fresh.weighted = weighted

# -- of the item a cursor is on

cdef inline uint64_t tree_item(Arena arena, TreeCursor *cursor) noexcept:
    return node_slot(node_at(arena, cursor.path[0].node), cursor.path[0].index)[0]

cdef inline uint64_t tree_weight(Arena arena, TreeCursor *cursor) noexcept:
    cdef NodeHeader *leaf = node_at(arena, cursor.path[0].node)
    return node_slot(leaf, cursor.path[0].index)[1] if leaf.words > 1 else 1

# -- finding: these answer whether the cursor is on an item; if not, it is at the end

cdef bint tree_first(Arena arena, uint64_t root, TreeCursor *cursor) noexcept
cdef bint tree_last(Arena arena, uint64_t root, TreeCursor *cursor) noexcept
cdef void tree_end(Arena arena, uint64_t root, TreeCursor *cursor) noexcept             # to append
# The item that covers `position`; `within` (may be NULL): how far into it. For a plain tree, the item of that rank.
cdef bint tree_at(Arena arena, uint64_t root, uint64_t position, TreeCursor *cursor, uint64_t *within) noexcept
# The first item that is not before what is sought.
cdef bint tree_seek(Arena arena, uint64_t root, compare_item compare, void *context, TreeCursor *cursor) noexcept
# An item that is in the tree: as tree_seek, which would find it, but only the inner nodes' items are compared.
cdef bint tree_locate(
    Arena arena, uint64_t root, compare_item compare, void *context, uint64_t item, TreeCursor *cursor
) noexcept
cdef bint tree_next(Arena arena, TreeCursor *cursor) noexcept
# From the end it goes to the last item; on the first item, or without one, it stays and returns 0.
cdef bint tree_prev(Arena arena, TreeCursor *cursor) noexcept
# Weight before the cursor: its rank in a plain tree; at the end, the weight of all.
cdef uint64_t tree_position(Arena arena, TreeCursor *cursor) noexcept

# -- changing: OutOfMemory leaves the tree broken, for the rollback to mend

# Before the cursor's item; the cursor is on the new one then. `weight` is 1 in a plain tree.
cdef int tree_insert(Arena arena, uint64_t root, TreeCursor *cursor, uint64_t item, uint64_t weight) except -1
# The cursor is on the item behind it then, or at the end. Does not free what the item means.
cdef int tree_remove(Arena arena, uint64_t root, TreeCursor *cursor) except -1
# Another item or weight in the same place.
cdef int tree_replace(Arena arena, uint64_t root, TreeCursor *cursor, uint64_t item, uint64_t weight) except -1
# Fills an empty tree with `count` items in order, `slots` as a leaf has them: item, or item and weight. Linear.
cdef int tree_build(Arena arena, uint64_t root, const uint64_t *slots, uint64_t count) except -1

# -- as a whole

# Visits every node's block. Linear.
cdef int tree_blocks(Arena arena, uint64_t root, visit_word visit, void *context) except -1
# Frees a tree that nothing uses any more in steps of about `budget` items (at least a leaf), from the end; each item
# goes through `visit`, unless that is NULL. Returns 1 when all is gone. A tree is unlinked by moving its TreeRoot,
# which needs no memory; once begun, nothing else can be done with it.
cdef int tree_dismantle(Arena arena, uint64_t root, int budget, visit_word visit, void *context) except -1
