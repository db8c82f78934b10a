"""What acceptors ask of workers, seen from outside."""
from __future__ import annotations

import time

from tests.wire import Wire


def test_workers_take_changed_directives(ours: Wire) -> None:
    was = ours.ask("config", "get", "proto-max-bulk-len")[1]
    assert ours.ask("config", "set", "proto-max-bulk-len", 1 << 20) == "+OK"
    for number in range(8):  # keys of every shard
        assert ours.ask("setrange", f"key{number}", 2 << 20, "x").startswith("-ERR string exceeds maximum allowed size")
    assert ours.ask("config", "set", "proto-max-bulk-len", was) == "+OK"
    assert ours.ask("setrange", "key", 2 << 20, "x") == (2 << 20) + 1


def test_workers_sleep(ours: Wire) -> None:
    started = time.monotonic()
    assert ours.ask("debug", "sleep", "0.05") == "+OK"
    assert time.monotonic() - started >= 0.05


def test_purge(ours: Wire) -> None:
    assert ours.ask("memory", "purge") == "+OK"
