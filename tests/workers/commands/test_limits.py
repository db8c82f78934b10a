"""The servers that tests share are the same for each of them: limits that one sets are gone for the next."""
from __future__ import annotations

import pytest

from tests.wire import Wire
from tests.workers.commands.conftest import limits_of

USUAL: list[object] = []


@pytest.mark.parametrize("turn", [1, 2])
def test_a_limit_does_not_outlive_the_test_that_sets_it(ours: Wire, theirs: Wire, turn: int) -> None:
    USUAL.append([limits_of(wire) for wire in (ours, theirs)])
    assert USUAL[0] == USUAL[-1]
    for wire in (ours, theirs):
        assert wire.ask("config", "set", "hash-max-listpack-entries", 3) == "+OK"
        assert wire.ask("config", "set", "proto-max-bulk-len", 1 << 20) == "+OK"
