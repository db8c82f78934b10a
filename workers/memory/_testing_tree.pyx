"""C-only calls of trees, opened to the tests. Items are numbers, and sought as such."""
from cpython.mem cimport PyMem_Free, PyMem_Malloc
from libc.stdint cimport uint64_t
from workers.memory.arena cimport Arena
from workers.memory.nodes cimport INNER_WORDS, SLOTS_MAX, SLOTS_MIN, NodeHeader, node_at, node_slot
from workers.memory.tree cimport (
    HEIGHT_MAX, TreeCursor, TreeRoot, tree_at, tree_blocks, tree_build, tree_dismantle, tree_end, tree_first, tree_init,
    tree_insert, tree_item, tree_last, tree_next, tree_position, tree_prev, tree_remove, tree_replace, tree_seek,
    tree_weight,
)


cdef int compare_numbers(void *context, uint64_t item) noexcept:
    cdef uint64_t sought = (<uint64_t *>context)[0]
    return (item > sought) - (item < sought)


cdef int collect(void *context, uint64_t word) except -1:
    (<list>context).append(word)
    return 0


cdef class Tree:
    """The tree whose root lies in the arena's first root words."""
    cdef Arena arena
    cdef uint64_t root

    def __init__(self, arena: Arena) -> None:
        self.arena = arena
        self.root = arena.root_offset(0)

    def init(self, weighted: bool) -> None:
        """Makes it an empty tree."""
        self.arena.save(self.root, sizeof(TreeRoot))
        tree_init(<TreeRoot *>self.arena.at(self.root), weighted)

    def cursor(self) -> Cursor:
        """At the end."""
        cursor = Cursor()
        cursor.tree = self
        tree_end(self.arena, self.root, &cursor.at)
        return cursor

    def insert_sorted(self, items: list[int]) -> None:
        """Puts each in its place by number."""
        cdef TreeCursor cursor
        cdef uint64_t item
        for item in items:
            tree_seek(self.arena, self.root, compare_numbers, &item, &cursor)
            tree_insert(self.arena, self.root, &cursor, item, 1)

    def seek_sorted(self, items: list[int]) -> int:
        """How many of them are there."""
        cdef TreeCursor cursor
        cdef uint64_t item, found = 0
        for item in items:
            if tree_seek(self.arena, self.root, compare_numbers, &item, &cursor):
                found += tree_item(self.arena, &cursor) == item
        return found

    def build(self, items: list[tuple[int, int]]) -> None:
        """Fills the empty tree with (item, weight)."""
        cdef uint64_t words = 1 + (<TreeRoot *>self.arena.at(self.root)).weighted, at = 0
        cdef uint64_t *slots = <uint64_t *>PyMem_Malloc(len(items) * words * 8 + 8)
        try:
            for item, weight in items:
                slots[at] = item
                if words > 1:
                    slots[at + 1] = weight
                at += words
            tree_build(self.arena, self.root, slots, len(items))
        finally:
            PyMem_Free(slots)

    def blocks(self) -> list[int]:
        """Offsets of all nodes."""
        blocks: list[int] = []
        tree_blocks(self.arena, self.root, collect, <void *>blocks)
        return blocks

    def dismantle(self, budget: int) -> tuple[bool, list[int]]:
        """A step: whether all is gone, and the items that went."""
        items: list[int] = []
        return bool(tree_dismantle(self.arena, self.root, budget, collect, <void *>items)), items

    def dismantle_unseen(self, budget: int) -> bool:
        """A step that shows nobody the items."""
        return bool(tree_dismantle(self.arena, self.root, budget, NULL, NULL))

    def height(self) -> int:
        return (<TreeRoot *>self.arena.at(self.root)).height

    def check(self) -> list[tuple[int, int]]:
        """Checks every invariant of tree.pxd that can be seen; returns the items with their weights."""
        cdef TreeRoot *tree = <TreeRoot *>self.arena.at(self.root)
        cdef NodeHeader *header
        level = [tree.node] if tree.height else []
        items: list[tuple[int, int]] = []
        described: list[tuple[int, int]] | None = None      # what the level above says of each node here
        assert tree.height <= HEIGHT_MAX and (tree.height == 0) == (tree.node == 0)
        for height in range(tree.height, 0, -1):
            below: list[list[int]] = []
            for place, node in enumerate(level):
                header = node_at(self.arena, node)
                words = INNER_WORDS if height > 1 else 1 + tree.weighted
                assert header.words == words
                assert 1 <= header.used <= header.room <= SLOTS_MAX
                assert 8 + header.room * words * 8 <= self.arena.usable(node)
                assert header.used > 1 or height == 1 or node != tree.node, "an inner root with one child"
                assert header.used >= SLOTS_MIN or place in (0, len(level) - 1), "a small node"
                assert header.room <= 2 * header.used + 6, "too long a block"
                slots = [[node_slot(header, at)[word] for word in range(words)] for at in range(header.used)]
                if words == 1:
                    slots = [[slot[0], 1] for slot in slots]
                if described is not None:
                    assert described[place] == (slots[0][0], sum(slot[1] for slot in slots))
                below += slots
            if len(level) == 2:
                assert max(node_at(self.arena, node).used for node in level) >= SLOTS_MIN, "two small nodes"
            described = [(slot[0], slot[1]) for slot in below]
            if height > 1:
                level = [slot[2] for slot in below]
            else:
                items = described
        assert int(tree.items) == len(items)
        assert tree.weight == sum(weight for _, weight in items)
        assert all(weight >= 1 for _, weight in items)
        return items


cdef class Cursor:
    """A cursor of `tree`. What moves it returns whether it is on an item then."""
    cdef Tree tree
    cdef TreeCursor at

    def first(self) -> bool:
        return tree_first(self.tree.arena, self.tree.root, &self.at)

    def last(self) -> bool:
        return tree_last(self.tree.arena, self.tree.root, &self.at)

    def end(self) -> None:
        tree_end(self.tree.arena, self.tree.root, &self.at)

    def find(self, position: int) -> int | None:
        """How far into the item there the position is; None at the end."""
        cdef uint64_t within = 0
        return within if tree_at(self.tree.arena, self.tree.root, position, &self.at, &within) else None

    def seek(self, item: int) -> bool:
        cdef uint64_t sought = item
        return tree_seek(self.tree.arena, self.tree.root, compare_numbers, &sought, &self.at)

    def next(self) -> bool:
        return tree_next(self.tree.arena, &self.at)

    def prev(self) -> bool:
        return tree_prev(self.tree.arena, &self.at)

    def position(self) -> int:
        return tree_position(self.tree.arena, &self.at)

    def item(self) -> tuple[int, int]:
        """Item and weight."""
        return tree_item(self.tree.arena, &self.at), tree_weight(self.tree.arena, &self.at)

    def insert(self, item: int, weight: int) -> None:
        tree_insert(self.tree.arena, self.tree.root, &self.at, item, weight)

    def remove(self) -> None:
        tree_remove(self.tree.arena, self.tree.root, &self.at)

    def replace(self, item: int, weight: int) -> None:
        tree_replace(self.tree.arena, self.tree.root, &self.at, item, weight)
