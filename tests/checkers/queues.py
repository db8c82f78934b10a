"""A queue: each element is popped once, and those pushed one after the other are popped in that order."""
from __future__ import annotations

import heapq
import math
from collections.abc import Hashable, Iterable

from tests.checkers.history import Operation, Wrong


def check_queue(operations: Iterable[Operation], *, drained: bool = True) -> None:
    """Raises Wrong for a history of `push` (args: the element) and `pop` (result: the element, or None).

    Elements are different ones. `drained`: it was empty at the end, so every element pushed must have been popped, but
    for one with each pop whose client lost its connection.
    """
    pushes: dict[Hashable, Operation] = {}
    pops: dict[Hashable, Operation] = {}
    lost = 0
    for operation in operations:
        if operation.name == "push":
            pushes[operation.args[0]] = operation
        elif operation.lost:
            lost += 1
        elif operation.result is not None:
            if operation.result in pops:
                raise Wrong(f"{operation.result!r} is popped twice")
            pops[operation.result] = operation
    for element, pop in pops.items():
        if element not in pushes:
            raise Wrong(f"{element!r} is popped and was never pushed")
        if pop.ended < pushes[element].begun:
            raise Wrong(f"{element!r} is popped before it was pushed")
    missing = [element for element, push in pushes.items() if element not in pops and not push.lost]
    if drained and len(missing) > lost:
        raise Wrong(f"{len(missing)} elements are missing, while {lost} pops were lost: {missing[:5]}")
    _check_order(pushes, pops)


def _check_order(pushes: dict[Hashable, Operation], pops: dict[Hashable, Operation]) -> None:
    """Goes through the pushes as they began; those that had ended by then were certainly before."""
    ended: list[tuple[float, int, Hashable]] = []
    latest, which = -math.inf, None  # of the pops of elements that were pushed before for certain
    there = [element for element in pushes if element in pops]
    for number, element in enumerate(sorted(there, key=lambda element: pushes[element].begun)):
        while ended and ended[0][0] < pushes[element].begun:
            before = heapq.heappop(ended)[2]
            if pops[before].begun > latest:
                latest, which = pops[before].begun, before
        if pops[element].ended < latest:
            raise Wrong(f"{element!r} is popped before {which!r}, which was pushed before it")
        heapq.heappush(ended, (pushes[element].ended, number, element))
