"""The brake: crashes in short order make the next process wait, deaths from outside and old ones do not count."""
from __future__ import annotations

from shardkv.supervisor.brake import FIRST_WAIT, LONGEST_WAIT, Brake, backoff

CRASH, KILL = True, False
SLOT = ("worker", 0)


def test_crashes_in_short_order_double_the_wait() -> None:
    brake = Brake()
    waits = [brake.note(SLOT, CRASH, 100.0) for _ in range(12)]
    assert waits == [0.0, 0.0, 0.0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, LONGEST_WAIT, LONGEST_WAIT, LONGEST_WAIT]
    assert brake.note(("worker", 1), CRASH, 100.0) == 0.0


def test_a_crash_now_and_then_costs_nothing() -> None:
    brake = Brake()
    assert not any(brake.note(SLOT, CRASH, 60.0 * minute) for minute in range(100))


def test_crashes_are_forgotten() -> None:
    brake = Brake()
    for _ in range(100):
        brake.note(SLOT, CRASH, 0.0)
    assert brake.note(SLOT, CRASH, 100.0) == 0.0


def test_kills_weigh_nothing() -> None:
    brake = Brake()
    assert not any(brake.note(SLOT, KILL, number / 1000) for number in range(1000))
    assert brake.note(SLOT, CRASH, 1.0) == 0.0


def test_the_longest_wait_is_never_exceeded() -> None:
    assert [backoff(0), backoff(1), backoff(10_000)] == [FIRST_WAIT, 2 * FIRST_WAIT, LONGEST_WAIT]
