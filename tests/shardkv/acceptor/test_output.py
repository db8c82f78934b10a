"""What is sent to a client: only what was written to it, whoever else is closed, and whatever memory there is."""
from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from shardkv.acceptor._testing import deliver_without_memory
from tests.harness import Server
from tests.wire import Wire

CHUNK = 16384
LARGE = b"x" * (3 * CHUNK)


@pytest.mark.parametrize("backwards", [False, True], ids=["in order", "held"])
@pytest.mark.parametrize(
    ("early", "late", "sent"),
    [
        ([b"a" * 10], [LARGE], b"a" * 10),
        ([b"a" * 10], [LARGE, LARGE], b"a" * 10),
        ([LARGE], [LARGE], LARGE),
        ([LARGE], [LARGE, b""], LARGE),
        ([], [LARGE, LARGE], b""),
    ],
    ids=["behind a small one", "two", "behind a large one", "an empty one", "the first"],
)
def test_without_memory_the_client_is_closed_and_gets_nothing_else(
    early: list[bytes], late: list[bytes], sent: bytes, backwards: bool
) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert deliver_without_memory(ours.fileno(), early, late, backwards)
        ours.shutdown(socket.SHUT_WR)
        with theirs.makefile("rb") as stream:
            assert stream.read() == sent


@pytest.mark.parametrize("backwards", [False, True], ids=["in order", "held"])
def test_what_is_empty_or_fits_needs_no_memory(backwards: bool) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert not deliver_without_memory(ours.fileno(), [b"a"], [b"", b"b", b""], backwards)
        assert theirs.recv(10) == b"ab"


def test_one_closed_at_its_limit_leaves_the_others_their_replies(make_server: Callable[..., Server]) -> None:
    running = make_server(acceptors=1)
    [acceptor] = running.acceptor_pids()
    modest, greedy = b"m" * (3 << 19), b"g" * (20 << 20)
    with Wire(running.port) as setter:
        assert setter.ask("config", "set", "client-output-buffer-limit", "normal 2mb 0 0") == "+OK"
        assert [setter.ask("set", "modest", modest), setter.ask("set", "greedy", greedy)] == ["+OK", "+OK"]
        for _ in range(5):
            with ExitStack() as stack:
                wires = [stack.enter_context(Wire(running.port)) for _ in range(8)]
                assert [wire.ask("ping") for wire in wires] == ["+PONG"] * 8
                os.kill(acceptor, signal.SIGSTOP)  # so that they come in one turn
                for number, wire in enumerate(wires):
                    wire.send("get", "greedy" if number in (3, 6) else "modest")
                os.kill(acceptor, signal.SIGCONT)
                for number, wire in enumerate(wires):
                    if number not in (3, 6):
                        assert wire.receive() == modest
