"""Strict serializability of transactions that append to lists and read them.

Every value is appended once, so a list tells in which order its transactions came, and what was read, from whom. That
gives the order between transactions that any serial order must keep:

    ww    the one that appended a value, the one that appended the next
    wr    the one that appended the last value read, the reader
    rw    the reader, the one that appended the next value
    time  the one that had ended before the other began

A cycle of these is something that no serial order explains.
"""
from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from tests.checkers.history import Operation, Wrong


class Append(NamedTuple):
    """Appends a value to a list."""

    key: str
    value: Any


class Read(NamedTuple):
    """Reads a list whole."""

    key: str
    values: tuple[Any, ...]


@dataclass
class _Known:
    """Histories taken apart: the longest state of each list, and who appended what."""

    longest: dict[str, tuple[Any, ...]]
    writers: dict[tuple[str, Any], int]
    unseen: dict[str, list[int]]


def check_appends(operations: Iterable[Operation]) -> None:
    """Raises Wrong when no serial order explains the transactions.

    The args of an operation are its steps, Append and Read, with what was read. A lost one has no Reads, and counts if
    any of its values was read. One named `failed` must have had no effect.
    """
    history = list(operations)
    seen = {(step.key, value) for operation in history for step in operation.args if isinstance(step, Read)
            for value in step.values}
    for operation in history:
        values = [(step.key, step.value) for step in operation.args if isinstance(step, Append)]
        if operation.name == "failed" and any(value in seen for value in values):
            raise Wrong(f"{operation} failed, and was seen")
    history = [
        operation for operation in history if operation.name != "failed" and (not operation.lost or any(
            isinstance(step, Append) and (step.key, step.value) in seen for step in operation.args
        ))
    ]
    for operation in history:
        _check_own(operation)
    known = _take_apart(history)
    _check_cycles(history, [*_data_edges(history, known), *_time_edges(history)])


def _check_own(operation: Operation) -> None:
    """A transaction sees what it appended itself, last."""
    own: dict[str, list[Any]] = {}
    for step in operation.args:
        if isinstance(step, Append):
            own.setdefault(step.key, []).append(step.value)
        elif step.key in own and list(step.values[-len(own[step.key]):]) != own[step.key]:
            raise Wrong(f"{operation} does not read what it has appended to {step.key}")


def _take_apart(history: list[Operation]) -> _Known:
    writers: dict[tuple[str, Any], int] = {}
    longest: dict[str, tuple[Any, ...]] = {}
    for number, operation in enumerate(history):
        for step in operation.args:
            if isinstance(step, Append):
                writers[step.key, step.value] = number
            elif len(step.values) > len(longest.get(step.key, ())):
                longest[step.key] = step.values
    for key, values in longest.items():
        if len(set(values)) != len(values):
            raise Wrong(f"{key} has a value twice: {values}")
        for value in values:
            if (key, value) not in writers:
                raise Wrong(f"{key} has {value!r}, which nobody appended")
    for operation in history:
        for step in operation.args:
            if isinstance(step, Read) and longest.get(step.key, ())[:len(step.values)] != step.values:
                raise Wrong(f"{step.key} was read as {step.values}, and as {longest[step.key]}")
    unseen: dict[str, list[int]] = {}
    for (key, value), number in writers.items():
        if value not in set(longest.get(key, ())) and not history[number].lost:
            unseen.setdefault(key, []).append(number)
    return _Known(longest, writers, unseen)


def _data_edges(history: list[Operation], known: _Known) -> Iterator[tuple[int, int, str]]:
    for key, values in known.longest.items():
        order = [known.writers[key, value] for value in values]
        yield from ((one, other, f"ww {key}") for one, other in zip(order, order[1:], strict=False))
        if order:
            yield from ((order[-1], number, f"ww {key}") for number in known.unseen.get(key, ()))
    for number, operation in enumerate(history):
        for step in operation.args:
            if not isinstance(step, Read):
                continue
            values = known.longest.get(step.key, ())
            if step.values:
                yield known.writers[step.key, step.values[-1]], number, f"wr {step.key}"
            if len(step.values) < len(values):
                yield number, known.writers[step.key, values[len(step.values)]], f"rw {step.key}"
            else:
                yield from ((number, other, f"rw {step.key}") for other in known.unseen.get(step.key, ()))


def _time_edges(history: list[Operation]) -> Iterator[tuple[int, int, str]]:
    """By way of a node for each end, behind the transactions: from an end to the next, and to what begins then."""
    first = len(history)
    ends = sorted((operation.ended, number) for number, operation in enumerate(history) if not operation.lost)
    begins = sorted((operation.begun, number) for number, operation in enumerate(history))
    at = 0
    for place, (_, number) in enumerate(ends):
        yield number, first + place, "time"
        if place:
            yield first + place - 1, first + place, "time"
    for begun, number in begins:
        while at < len(ends) and ends[at][0] < begun:
            at += 1
        if at:
            yield first + at - 1, number, "time"


def _check_cycles(history: list[Operation], edges: list[tuple[int, int, str]]) -> None:
    """Takes away whatever nothing leads to; what is left is in a cycle, or behind one."""
    behind: dict[int, list[tuple[int, str]]] = {}
    leading: dict[int, int] = {}
    for one, other, kind in edges:
        if one != other:
            behind.setdefault(one, []).append((other, kind))
            leading[other] = leading.get(other, 0) + 1
    nodes = {*behind, *leading}
    todo = [node for node in nodes if not leading.get(node)]
    left = set(nodes)
    while todo:
        node = todo.pop()
        left.discard(node)
        for other, _ in behind.get(node, ()):
            leading[other] -= 1
            if not leading[other]:
                todo.append(other)
    if left:
        raise Wrong("no serial order explains\n  " + "\n  ".join(_cycle(history, behind, left)))


def _cycle(history: list[Operation], behind: dict[int, list[tuple[int, str]]], left: set[int]) -> list[str]:
    """A shortest cycle through some node of those left, in words."""
    best: list[tuple[int, str]] = []
    for start in sorted(node for node in left if node < len(history))[:200]:
        came: dict[int, tuple[int, str]] = {}
        todo = [start]
        for node in todo:
            for other, kind in behind.get(node, ()):
                if other in left and other not in came:
                    came[other] = (node, kind)
                    todo.append(other)
            if start in came:
                break
        if start not in came:
            continue
        path, node = [], start
        while not path or node != start:
            node, kind = came[node]
            path.append((node, kind))
        if not best or len(path) < len(best):
            best = path
    return [f"{history[node]} --{kind}-->" for node, kind in reversed(best) if node < len(history)]
