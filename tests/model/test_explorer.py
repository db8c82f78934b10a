"""The explorer itself, on models that are wrong in the ways that it has to see."""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.model.explorer import Broken, Step, explore


@dataclass(frozen=True)
class Counters:
    """Two processes, each of which adds one to a word: at once, or by a load and a store."""

    at_once: bool = True
    trap: bool = False
    way_out: bool = False

    def start(self) -> tuple[int, int, int]:
        return 0, -1, -1  # the word, and what each has loaded; -2: done

    def steps(self, state: tuple[int, int, int]) -> Iterator[Step]:
        word, *loaded = state
        for place in (0, 1):
            mine = loaded[place]
            if mine == -2:
                continue
            if mine == -1 and not self.at_once:
                yield Step(f"{place} loads", self.put(state, place, word, word))
            else:
                yield Step(f"{place} stores", self.put(state, place, (word if self.at_once else mine) + 1, -2))
        if self.trap and word == 1:
            yield Step("falls into a trap", (99, -2, -2))
        if self.way_out and word == 99:
            yield Step("is saved", (2, -2, -2), luck=True)

    def put(self, state: tuple[int, int, int], place: int, word: int, loaded: int) -> tuple[int, int, int]:
        return (word, loaded, state[2]) if place == 0 else (word, state[1], loaded)

    def check(self, state: tuple[int, int, int]) -> None:
        if state[1] == state[2] == -2 and state[0] < 2:
            raise Broken("one was lost")

    def done(self, state: tuple[int, int, int]) -> bool:
        return state == (2, -2, -2)


def test_all_orders_are_explored() -> None:
    assert len(explore(Counters()).states) == 4


def test_a_shortest_trace_leads_to_what_is_wrong() -> None:
    with pytest.raises(Broken, match="one was lost") as broken:
        explore(Counters(at_once=False))
    assert broken.value.trace == ["0 loads", "1 loads", "0 stores", "1 stores"]


def test_a_trap_is_found_and_luck_is_no_way_out() -> None:
    for way_out in (False, True):
        with pytest.raises(Broken, match="nothing leads to the end") as broken:
            explore(Counters(trap=True, way_out=way_out))
        assert broken.value.trace[:2] == ["0 stores", "falls into a trap"]


def test_a_model_that_is_too_large_is_no_success() -> None:
    with pytest.raises(RuntimeError, match="more than 2 states"):
        explore(Counters(), most=2)
