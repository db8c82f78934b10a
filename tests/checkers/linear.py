"""Linearizability of one object: there is an order of the operations, each between its begin and its end, in which a
single server would have given the same results.

The operations are gone through as they begin and end (Wing and Gong's search, with what was seen remembered): a
configuration is the object's state, and which of the operations under way have happened.
"""
from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from typing import Any

from tests.checkers.history import Operation, Wrong

# What an operation does to a state: the state behind it, and its result.
Object = Callable[[Any, Operation], tuple[Any, Any]]
Configuration = tuple[Hashable, frozenset[int]]


def register(state: Any, operation: Operation) -> tuple[Any, Any]:
    """A register: read, write, and compare and swap (args: expected, new; result: whether)."""
    if operation.name == "read":
        return state, state
    if operation.name == "write":
        return operation.args[0], operation.result
    expected, new = operation.args
    return (new, True) if state == expected else (state, False)


def counter(state: int, operation: Operation) -> tuple[int, int]:
    """A counter: read, and add (result: the sum)."""
    if operation.name == "read":
        return state, state
    return state + operation.args[0], state + operation.args[0]


def check_linear(operations: Iterable[Operation], behaves: Object, start: Any) -> None:
    """Raises Wrong when there is no such order."""
    history = _without_unseen(list(operations))
    events = sorted(
        [(operation.begun, 0, number) for number, operation in enumerate(history)]
        + [(operation.ended, 1, number) for number, operation in enumerate(history) if not operation.lost]
    )
    under_way: set[int] = set()
    configurations: set[Configuration] = {(start, frozenset())}
    for _, ends, number in events:
        if not ends:
            under_way.add(number)
            continue
        configurations = _until(configurations, number, under_way, history, behaves)
        under_way.discard(number)
        if not configurations:
            raise Wrong(f"nothing explains {history[number]}")


def _without_unseen(history: list[Operation]) -> list[Operation]:
    """Lost writes of what nobody read may as well never have happened, if what is written is written once."""
    seen = {operation.result for operation in history if operation.name == "read"}
    seen |= {operation.args[0] for operation in history if operation.name == "swap"}
    return [
        operation for operation in history if not operation.lost
        or operation.name not in ("read", "write") or operation.name == "write" and operation.args[0] in seen
    ]


def _until(
    configurations: set[Configuration], number: int, under_way: set[int], history: list[Operation], behaves: Object
) -> set[Configuration]:
    """All configurations in which an operation has happened, which is forgotten then, as it ends."""
    found: set[Configuration] = set()
    known = set(configurations)
    todo = list(configurations)
    while todo:
        state, happened = todo.pop()
        if number in happened:
            found.add((state, happened - {number}))
            continue
        tried = set()
        for candidate in sorted(under_way - happened):
            operation = history[candidate]
            if operation.lost:  # of those that are alike the first may be taken
                if (operation.name, operation.args) in tried:
                    continue
                tried.add((operation.name, operation.args))
            after, result = behaves(state, operation)
            if operation.lost or result == operation.result:
                configuration = (after, happened | {candidate})
                if configuration not in known:
                    known.add(configuration)
                    todo.append(configuration)
    return found
