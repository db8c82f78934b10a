"""The checkers, on histories that are right and on such that are wrong."""
from __future__ import annotations

import math
import random

import pytest

from tests.checkers.appends import Append, Read, check_appends
from tests.checkers.bank import check_bank
from tests.checkers.history import Operation, Wrong
from tests.checkers.linear import check_linear, counter, register
from tests.checkers.queues import check_queue


def op(name: str, args: tuple[object, ...], result: object, begun: float, ended: float = math.inf) -> Operation:
    return Operation(name, args, result, begun, ended)


# -- bank

def test_a_bank_keeps_its_sum() -> None:
    check_bank([[50, 50], [20, 80]], 100)
    with pytest.raises(Wrong, match="make 90"):
        check_bank([[50, 50], [50, 40]], 100)


# -- queues

def push(element: str, begun: float, ended: float = math.inf) -> Operation:
    return op("push", (element,), None, begun, ended)


def pop(element: str | None, begun: float, ended: float = math.inf) -> Operation:
    return op("pop", (), element, begun, ended)


GOOD_QUEUES = {
    "one after the other": [push("a", 0, 1), push("b", 2, 3), pop("a", 4, 5), pop("b", 6, 7)],
    "pushed side by side": [push("a", 0, 3), push("b", 1, 2), pop("b", 4, 5), pop("a", 6, 7)],
    "popped side by side": [push("a", 0, 1), push("b", 2, 3), pop("b", 4, 7), pop("a", 5, 8)],
    "waited for": [pop("a", 0, 3), push("a", 1, 2)],
    "nothing there": [pop(None, 0, 1)],
    "gone with a client": [push("a", 0, 1), pop(None, 2), push("b", 3, 4), pop("b", 5, 6)],
    "a push that was lost": [push("a", 0), pop("a", 2, 3)],
    "a push that never was": [push("a", 0)],
}
BAD_QUEUES = {
    "popped twice": [push("a", 0, 1), pop("a", 2, 3), pop("a", 4, 5)],
    "never pushed": [pop("a", 0, 1)],
    "before it was pushed": [pop("a", 0, 1), push("a", 2, 3)],
    "missing": [push("a", 0, 1)],
    "more missing than lost": [push("a", 0, 1), push("b", 0, 1), pop(None, 2)],
    "out of order": [push("a", 0, 1), push("b", 2, 3), pop("b", 4, 5), pop("a", 6, 7)],
}


@pytest.mark.parametrize("name", GOOD_QUEUES)
def test_queues(name: str) -> None:
    check_queue(GOOD_QUEUES[name])


@pytest.mark.parametrize("name", BAD_QUEUES)
def test_wrong_queues(name: str) -> None:
    with pytest.raises(Wrong):
        check_queue(BAD_QUEUES[name])


def test_a_queue_need_not_be_drained() -> None:
    check_queue([push("a", 0, 1)], drained=False)


# -- one object

GOOD_REGISTERS = {
    "in order": [op("write", (1,), True, 0, 1), op("read", (), 1, 2, 3)],
    "side by side": [op("write", (1,), True, 0, 5), op("read", (), None, 1, 2), op("read", (), 1, 3, 4)],
    "lost, and seen": [op("write", (1,), True, 0), op("read", (), None, 1, 2), op("read", (), 1, 3, 4)],
    "lost, and not seen": [op("write", (1,), True, 0), op("read", (), None, 1, 2)],
    "swapped": [op("write", (1,), True, 0, 1), op("swap", (1, 2), True, 2, 3), op("swap", (1, 3), False, 4, 5)],
}
BAD_REGISTERS = {
    "stale": [op("write", (1,), True, 0, 1), op("read", (), None, 2, 3)],
    "back again": [op("write", (1,), True, 0, 9), op("read", (), 1, 1, 2), op("read", (), None, 3, 4)],
    "from nowhere": [op("read", (), 7, 0, 1)],
    "before it was written": [op("read", (), 1, 0, 1), op("write", (1,), True, 2, 3)],
    "swapped twice": [op("write", (1,), True, 0, 1), op("swap", (1, 2), True, 2, 5), op("swap", (1, 3), True, 3, 4)],
}


@pytest.mark.parametrize("name", GOOD_REGISTERS)
def test_registers(name: str) -> None:
    check_linear(GOOD_REGISTERS[name], register, None)


@pytest.mark.parametrize("name", BAD_REGISTERS)
def test_wrong_registers(name: str) -> None:
    with pytest.raises(Wrong):
        check_linear(BAD_REGISTERS[name], register, None)


def test_counters() -> None:
    side_by_side = [op("add", (1,), 2, 0, 3), op("add", (1,), 1, 1, 4), op("read", (), 2, 5, 6)]
    check_linear(side_by_side, counter, 0)
    check_linear([op("add", (1,), None, 0), op("add", (1,), 2, 1, 2)], counter, 0)
    for wrong in (1, 3):
        with pytest.raises(Wrong):
            check_linear([*side_by_side[:2], op("read", (), wrong, 5, 6)], counter, 0)
    with pytest.raises(Wrong):
        check_linear([op("add", (1,), 1, 0, 1), op("add", (1,), 1, 2, 3)], counter, 0)


def test_many_lost_additions_take_no_time() -> None:
    lost = [op("add", (1,), None, number) for number in range(40)]
    check_linear([*lost, op("read", (), 17, 50, 51), op("read", (), 40, 52, 53)], counter, 0)
    with pytest.raises(Wrong):
        check_linear([*lost, op("read", (), 41, 50, 51)], counter, 0)


# -- transactions

def transaction(begun: float, ended: float, *steps: Append | Read, name: str = "done") -> Operation:
    return op(name, steps, None, begun, ended)


GOOD_TRANSACTIONS = {
    "in order": [
        transaction(0, 1, Append("x", 1), Append("y", 1)),
        transaction(2, 3, Read("x", (1,)), Append("y", 2)),
        transaction(4, 5, Read("y", (1, 2))),
    ],
    "side by side": [
        transaction(0, 9, Append("x", 1), Append("y", 1)),
        transaction(1, 8, Append("x", 2), Append("y", 2)),
        transaction(10, 11, Read("x", (2, 1)), Read("y", (2, 1))),
    ],
    "reads its own": [transaction(0, 1, Append("x", 1), Read("x", (1,)))],
    "lost and seen": [transaction(0, math.inf, Append("x", 1)), transaction(5, 6, Read("x", (1,)))],
    "lost and not seen": [transaction(0, math.inf, Append("x", 1)), transaction(5, 6, Read("x", ()))],
    "failed": [transaction(0, 1, Append("x", 1), name="failed"), transaction(2, 3, Read("x", ()))],
    "unseen at the end": [transaction(0, 1, Read("x", ())), transaction(2, 3, Append("x", 1))],
}
BAD_TRANSACTIONS = {
    "half": [
        transaction(0, 9, Append("x", 1), Append("y", 1)), transaction(1, 8, Read("x", (1,)), Read("y", ())),
    ],
    "two orders": [
        transaction(0, 9, Append("x", 1), Append("y", 1)), transaction(0, 9, Append("x", 2), Append("y", 2)),
        transaction(10, 11, Read("x", (1, 2)), Read("y", (2, 1))),
    ],
    "write skew": [
        transaction(0, 9, Read("x", ()), Append("y", 1)), transaction(0, 9, Read("y", ()), Append("x", 1)),
        transaction(10, 11, Read("x", (1,)), Read("y", (1,))),
    ],
    "stale": [transaction(0, 1, Append("x", 1)), transaction(2, 3, Read("x", ())), transaction(4, 5, Read("x", (1,)))],
    "lost": [transaction(0, 1, Append("x", 1)), transaction(2, 3, Read("x", ()))],
    "twice": [transaction(0, 1, Append("x", 1)), transaction(2, 3, Read("x", (1, 1)))],
    "from nowhere": [transaction(2, 3, Read("x", (1,)))],
    "no prefix": [
        transaction(0, 9, Append("x", 1)), transaction(0, 9, Append("x", 2)), transaction(0, 9, Read("x", (1, 2))),
        transaction(0, 9, Read("x", (2,))),
    ],
    "failed and seen": [transaction(0, 1, Append("x", 1), name="failed"), transaction(2, 3, Read("x", (1,)))],
    "not its own": [transaction(0, 1, Append("x", 1), Read("x", ()))],
    "time across lists": [
        transaction(0, 1, Append("x", 1)), transaction(2, 3, Append("y", 1)), transaction(0, 9, Read("x", ()),
                                                                                           Read("y", (1,))),
    ],
}


@pytest.mark.parametrize("name", GOOD_TRANSACTIONS)
def test_transactions(name: str) -> None:
    check_appends(GOOD_TRANSACTIONS[name])


@pytest.mark.parametrize("name", BAD_TRANSACTIONS)
def test_wrong_transactions(name: str) -> None:
    with pytest.raises(Wrong):
        check_appends(BAD_TRANSACTIONS[name])


def serial_history(dice: random.Random, count: int) -> list[Operation]:
    """Transactions one after the other in truth, which seem to overlap."""
    lists: dict[str, tuple[int, ...]] = dict.fromkeys("wxyz", ())
    history = []
    for number in range(count):
        steps: list[Append | Read] = []
        for key in dice.sample("wxyz", 2):
            if dice.random() < 0.5:
                lists[key] = (*lists[key], number)
                steps.append(Append(key, number))
            else:
                steps.append(Read(key, lists[key]))
        history.append(transaction(number - dice.random() * 5, number + dice.random() * 5, *steps))
    return [*history, transaction(count + 9, count + 10, *(Read(key, values) for key, values in lists.items()))]


def test_histories_of_a_serial_server_are_right_and_with_two_values_exchanged_wrong() -> None:
    for seed in range(20):
        dice = random.Random(seed)
        history = serial_history(dice, 200)
        check_appends(history)
        final = list(history[-1].args)
        place = dice.randrange(len(final))
        values = list(final[place].values)
        middle = len(values) // 2
        values[middle], values[middle + 1] = values[middle + 1], values[middle]
        final[place] = Read(final[place].key, tuple(values))
        with pytest.raises(Wrong):
            check_appends([*history[:-1], transaction(209, 210, *final)])
