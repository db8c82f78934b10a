"""Elements are given out once, and every client that waits gets its reply; without any one step that fails."""
from __future__ import annotations

from dataclasses import replace

import pytest

from tests.model.explorer import Broken, explore
from tests.model.waiters import STEPS, Waiters

ONE = Waiters(1, (1, 1))
FAILS = {
    "outbox": replace(ONE, deaths=1),
    "ask the claim": replace(ONE, time_outs=1),
    "tell again": Waiters(1, (1, 0), deaths=1),
    "keep claimed": replace(ONE, deaths=1, pops=1),
    "give back": replace(ONE, deaths=1),
    "keep committed": replace(ONE, deaths=1),
    "drop second": replace(ONE, deaths=1),
}


@pytest.mark.parametrize("waiters", [
    ONE, Waiters(2, (1, 1), time_outs=1), Waiters(1, (1, 1), deaths=1, pops=1, time_outs=1),
    Waiters(1, (2, 1), deaths=1, pops=1),
])
def test_every_element_is_given_out_once(waiters: Waiters) -> None:
    explore(waiters)


@pytest.mark.parametrize("step", STEPS)
def test_every_step_is_needed(step: str) -> None:
    with pytest.raises(Broken):
        explore(replace(FAILS.get(step, ONE), without=frozenset({step})))
