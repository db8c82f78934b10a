"""Arenas for tests: transactions one by one, and an arena with runs of every kind."""
from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from workers.memory import _testing as c
from workers.memory.arena import Arena

MIB = 1 << 20
CAPACITY = 32 * MIB
T = TypeVar("T")

# The blocks of a prepared arena, in order; those in FREED are free by then: most of the longer one given back to the
# system, and more left than may be kept.
LAYOUT = [104] * 6 + [20480, 3584 * 1024, MIB, 20480, 6 * MIB, 24576]
FREED = [6 * MIB, 3584 * 1024]


class Transactions:
    """An arena, and transactions on it, each with a position of its own."""

    def __init__(self, arena: Arena) -> None:
        self.arena = arena
        self.position = arena.commit_word(0)

    def begin(self) -> None:
        self.position += 8
        c.begin(self.arena, 0, self.position)

    def run(self, work: Callable[..., T], *arguments: object) -> T:
        self.begin()
        result = work(*arguments)
        c.commit(self.arena)
        return result


class CheckedTransactions(Transactions):
    """The same; after each one the whole arena is checked."""

    def run(self, work: Callable[..., T], *arguments: object) -> T:
        result = super().run(work, *arguments)
        self.arena.check()
        return result

    def give_back(self) -> int:
        """Gives pages back until none is left that nothing needs; returns in how many steps."""
        steps = 1
        while self.run(lambda: c.give_back(self.arena)):
            steps += 1
        return steps


def prepare(path: str) -> None:
    """Makes an arena with blocks and runs of every kind, backed and not."""
    arena = Arena.open(path, 0, 1, capacity=CAPACITY)
    transactions = CheckedTransactions(arena)
    blocks = transactions.run(lambda: {length: c.alloc_zeroed(arena, length) for length in LAYOUT})
    for length in FREED:
        if length == FREED[-1]:
            transactions.give_back()
        transactions.run(lambda length=length: c.free(arena, blocks[length]))
    assert len(c.unbacked_runs(arena)) == 1 and c.idle_pages(arena) > 1024
    arena.close()
