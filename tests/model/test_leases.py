"""The protocol of leases holds, whatever happens when; and without any one of its steps it does not."""
from __future__ import annotations

from dataclasses import replace

import pytest

from tests.model.explorer import Broken, explore
from tests.model.leases import STEPS, Leases, Request

ONE = Leases(2, (((Request(1, (0, 1)),),),))
TWO = Leases(2, (((Request(1, (0, 1)),),), ((Request(2, (0, 1)),),)))
BEHIND_ONE = Leases(2, (((Request(1, (1,)), Request(2, (0, 1))),),))
BESIDE_ONE = Leases(2, (((Request(2, (0, 1)),),), ((Request(1, (1,)),),)))
BEFORE_ONE = Leases(2, (((Request(2, (0, 1)),), (Request(1, (1,)),)),))
CHAIN = Leases(3, (((Request(1, (0, 2)),), (Request(2, (1, 2)),)),))
CROSS = Leases(3, (((Request(1, (0, 2)),),), ((Request(2, (1, 2)),),)))
WIDE = Leases(3, (((Request(1, (0, 1, 2)),),), ((Request(2, (1, 2)),),)))
SPLIT = Leases(2, (((Request(1, (0, 1), split=True),),),))
BATCH = Leases(3, (((Request(1, (0, 1)), Request(2, (1, 2))),),))

# Explored whole in seconds; run.py has larger ones.
HOLDS = {
    "two": TWO,
    "two, a hang": replace(TWO, hangs=1),
    "one, a death": replace(ONE, deaths=1),
    "one, two deaths of workers": replace(ONE, deaths=2, acceptors_die=False),
    "behind another": replace(BEHIND_ONE, deaths=1, acceptors_die=False),
    "behind another, a hang": replace(BEHIND_ONE, hangs=1),
    "before another": replace(BEFORE_ONE, deaths=1, workers_die=False),
    "beside another": BESIDE_ONE,
    "chain": replace(CHAIN, hangs=1),
    "cross": CROSS,
    "wide": WIDE,
    "wide, downward": replace(WIDE, without=frozenset({"upward"})),
    "wide, holding on": replace(WIDE, without=frozenset({"give back"})),
    "split": replace(SPLIT, deaths=1, workers_die=False),
    "batch": BATCH,
}
# What shows that a step is needed.
FAILS = {
    "intent": replace(SPLIT, deaths=1, workers_die=False),
    "tell all": replace(BEFORE_ONE, deaths=1, acceptors_die=False),
    "examine": BEHIND_ONE,
    "arrival": BEHIND_ONE,
    "lock": BESIDE_ONE,
    "decide last": replace(ONE, deaths=1),
    "close first": replace(BESIDE_ONE, deaths=1, acceptors_die=False),
    "settle": replace(ONE, deaths=1, acceptors_die=False),
    "settle all": replace(ONE, deaths=1, acceptors_die=False),
    "own lock": replace(ONE, deaths=1, acceptors_die=False),
    "want again": BESIDE_ONE,
    "wake wanting": BESIDE_ONE,
    "ask once more": BESIDE_ONE,
    "wake deciding": CHAIN,
    "wake executor": BEHIND_ONE,
    "commit again": replace(BEHIND_ONE, hangs=1, deaths=1, workers_die=False),
    "publishing": replace(ONE, deaths=1, acceptors_die=False),
}
TOGETHER = {"give back", "upward"}  # either is enough


@pytest.mark.parametrize("name", HOLDS)
def test_the_protocol_holds(name: str) -> None:
    explore(HOLDS[name])


@pytest.mark.parametrize("step", FAILS)
def test_every_step_is_needed(step: str) -> None:
    with pytest.raises(Broken):
        explore(replace(FAILS[step], without=frozenset({step})))


def test_locks_are_taken_upward_or_given_back() -> None:
    with pytest.raises(Broken, match="nothing leads to the end"):
        explore(replace(WIDE, without=frozenset(TOGETHER)))


def test_all_steps_are_tested() -> None:
    assert FAILS.keys() | TOGETHER == STEPS.keys()


def test_an_acceptors_successor_wakes_everybody() -> None:
    with pytest.raises(Broken, match="nothing leads to the end"):
        explore(replace(ONE, deaths=1, workers_die=False, without=frozenset({"tell all"})))
