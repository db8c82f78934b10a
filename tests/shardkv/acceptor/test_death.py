"""An acceptor's death drops its connections and nothing else; its successor is not confused by what it left."""
from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.harness import Server, wait_until
from tests.wire import Wire


def test_an_acceptor_dies_under_load(make_server: Callable[..., Server]) -> None:
    running = make_server("--workers", "3")
    value = b"x" * 200_000
    with Wire(running.port) as wire:
        assert wire.ask("mset", "a", value, "b", value, "c", value, "count", "0") == "+OK"
    for round_ in range(3):
        doomed = [Wire(running.port) for _ in range(4)]
        for wire in doomed:
            assert wire.ask("ping") == "+PONG"  # taken by this acceptor: who still waits to be is the successor's
            for _ in range(50):
                wire.send("mget", "a", "b", "c")
                wire.send("incr", "count")
        running.kill_acceptor(0)
        for wire in doomed:
            with pytest.raises((EOFError, OSError)):
                while True:
                    wire.receive()
            wire.__exit__()
        running.acceptor_pids()
        with Wire(running.port) as wire:
            assert [wire.ask("echo", str(number)) for number in range(50)] == [b"%d" % number for number in range(50)]
            assert wire.ask("mget", "a", "b", "c") == [value] * 3
            assert int(wire.ask("get", "count")) <= 200 * (round_ + 1)
            wait_until(lambda: not list(running.data_folder.glob("seg-*")), "what travelled to the dead to be removed")
