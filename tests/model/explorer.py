"""Explores a model whole: every state that it can reach, every order of its steps.

A model says where it starts, which steps lead on from a state, what must hold in each state, and when all is done. A
step is one store, or one look, of one process. Two things are checked:

    in every state     `check` finds nothing wrong
    from every state   `done` can be reached by steps that processes make by themselves. So nobody waits for ever: no
                       deadlock, no wake-up lost. Luck (a death, a time-out, a hang) may happen at any time, but does
                       not count as a way out.

States are hashable values. The search is breadth first, so the trace that a failure shows is a shortest one.
"""
from __future__ import annotations

from array import array
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol


class Step(NamedTuple):
    """A step: its name for traces, the state behind it, and whether it is luck."""

    name: str
    state: Hashable
    luck: bool = False


class Model(Protocol):
    """What is explored."""

    def start(self) -> Hashable:
        """The first state."""

    def steps(self, state: Hashable) -> Iterable[Step]:
        """What may happen next; may raise Broken: a step that must not be possible."""

    def check(self, state: Hashable) -> None:
        """Raises Broken when something is wrong with a state."""

    def done(self, state: Hashable) -> bool:
        """Whether everything that was asked for has been done."""


class Broken(Exception):
    """A model's promise does not hold in a state; `trace` names the steps that led there."""

    def __init__(self, what: str, trace: Iterable[str] = ()) -> None:
        self.what, self.trace = what, list(trace)
        super().__init__("\n  ".join([what, *self.trace]))


@dataclass
class Space:
    """What was explored."""

    states: list[Hashable] = field(default_factory=list)
    came_from: array[int] = field(default_factory=lambda: array("q"))
    by: list[str] = field(default_factory=list)
    sources: array[int] = field(default_factory=lambda: array("I"))  # of the steps that are no luck …
    targets: array[int] = field(default_factory=lambda: array("I"))

    def trace(self, number: int) -> list[str]:
        """Names of the steps from the start to a state."""
        names: list[str] = []
        while number > 0:
            names.append(self.by[number])
            number = self.came_from[number]
        return names[::-1]


def explore(model: Model, most: int = 10_000_000, progress: Callable[[int], None] | None = None) -> Space:
    """Explores all of a model, at most so many states; raises Broken, and RuntimeError for a model that is larger."""
    space = Space()
    numbers: dict[Hashable, int] = {}
    finished = bytearray()

    def reach(state: Hashable, parent: int, name: str) -> int:
        number = numbers.setdefault(state, len(numbers))
        if number == len(finished):
            space.states.append(state)
            space.came_from.append(parent)
            space.by.append(name)
            finished.append(0)
            try:
                model.check(state)
            except Broken as broken:
                raise Broken(broken.what, space.trace(number)) from None
            finished[number] = model.done(state)
        return number

    reach(model.start(), -1, "")
    at = 0
    while at < len(space.states):
        try:
            for name, state, luck in model.steps(space.states[at]):
                number = reach(state, at, name)
                if not luck:
                    space.sources.append(at)
                    space.targets.append(number)
        except Broken as broken:
            raise broken if broken.trace else Broken(broken.what, space.trace(at)) from None
        at += 1
        if len(numbers) > most:
            raise RuntimeError(f"more than {most} states")
        if progress and at % 100_000 == 0:
            progress(at)
    lost = _first_lost(space, finished)
    if lost is not None:
        raise Broken("from here nothing leads to the end any more", [*space.trace(lost), repr(space.states[lost])])
    return space


def _first_lost(space: Space, finished: bytearray) -> int | None:
    """The first state from which no step that is not luck leads to the end, or None."""
    count = len(finished)
    ends = array("q", bytes(8 * (count + 1)))  # of each state's part of `before`: the states one step before it
    for target in space.targets:
        ends[target + 1] += 1
    for number in range(count):
        ends[number + 1] += ends[number]
    places, before = array("q", ends), array("I", bytes(4 * len(space.targets)))
    for source, target in zip(space.sources, space.targets, strict=True):
        before[places[target]] = source
        places[target] += 1
    good = bytearray(finished)
    todo = [number for number in range(count) if good[number]]
    while todo:
        number = todo.pop()
        for earlier in before[ends[number]:ends[number + 1]]:
            if not good[earlier]:
                good[earlier] = 1
                todo.append(earlier)
    found = good.find(0)
    return None if found < 0 else found
