"""No wake-up is lost at a pair of rings; and without any one step of the protocol one is."""
from __future__ import annotations

from dataclasses import replace

import pytest

from tests.model.explorer import Broken, explore
from tests.model.rings import STEPS, Rings


@pytest.mark.parametrize("rings", [
    Rings(3), Rings(4, capacity=2), Rings(4, reply_capacity=2), Rings(5, capacity=2, reply_capacity=2),
    Rings(3, deaths=2), Rings(4, capacity=2, reply_capacity=2, deaths=1),
])
def test_no_wake_up_is_lost(rings: Rings) -> None:
    explore(rings)


@pytest.mark.parametrize("step", STEPS)
def test_every_step_is_needed(step: str) -> None:
    with pytest.raises(Broken, match="nothing leads to the end"):
        explore(replace(Rings(3, deaths=1), without=frozenset({step})))
