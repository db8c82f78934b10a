"""An acceptor's death drops its connections and nothing else; its successor is not confused by what it left."""
from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.harness import Server, wait_gone, wait_until
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


def replies_taken(ring: Path) -> bool:
    """Whether replies have come through a ring, and none is left in it (shardkv/ring.pxd has the header)."""
    reply_header = ring.read_bytes()[4096:8192]
    tail, head = (int.from_bytes(reply_header[offset:offset + 8], "little") for offset in (128, 256))
    return head == tail > 0


def test_an_acceptor_dies_with_a_question_of_its_own_under_way(make_server: Callable[..., Server]) -> None:
    running = make_server("--workers", "1")
    worker = running.worker_pids()[0]
    with Wire(running.port) as asking, Wire(running.port) as other:
        os.kill(worker, signal.SIGSTOP)
        try:
            asking.send("debug", "sleep", "0")
            asking.send("debug", "sleep", "0")
            assert other.ask("ping") == "+PONG"
            wait_gone(running.kill_acceptor(0))
            successor = running.acceptor_pids()[0]
        finally:
            os.kill(worker, signal.SIGCONT)
    ring = running.data_folder / "ring-0-0"
    wait_until(lambda: replies_taken(ring), "the successor to take its predecessor's replies, before its first client")
    with Wire(running.port) as wire:
        assert wire.ask("debug", "sleep", "0") == "+OK"
    assert running.acceptor_pids() == [successor]
