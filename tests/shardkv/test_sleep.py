"""Sleeping and waking with rings that are full both ways, and every process dawdling at every store of the protocol.

With these delays nobody is woken by a clock either: a wake-up that is lost is a client that waits for ever. It shows
only when nothing else happens: there are few clients, and requests so long that one batch of the worker empties a ring.
"""
from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from tests.harness import Server
from tests.wire import Wire

ROUNDS = 40
REQUESTS = 24  # in a round: twice as many as a ring holds
VALUE = b"v" * 100_000


def chatter(port: int, number: int, failures: list[BaseException]) -> None:
    """Rounds of long requests with short replies, and the other way round."""
    try:
        with Wire(port) as wire:
            for round_ in range(ROUNDS):
                sender = threading.Thread(target=send_round, args=(wire, number))
                sender.start()
                for reply in range(REQUESTS):
                    expected = VALUE if reply % 4 == 3 else "+OK"
                    assert wire.receive() == expected, f"client {number}, round {round_}, reply {reply}"
                sender.join()
    except BaseException as error:
        failures.append(error)


def send_round(wire: Wire, number: int) -> None:
    for request in range(REQUESTS):
        if request % 4 == 3:
            wire.send("get", f"key:{number}")
        else:
            wire.send("set", f"key:{number}", VALUE)


@pytest.mark.parametrize(("clients", "workers"), [(1, 1), (3, 1), (3, 1), (3, 1), (3, 2)])
def test_no_wake_up_is_lost(
    make_server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch, clients: int, workers: int
) -> None:
    monkeypatch.setenv("SHARDKV_TEST_DELAYS", "1")
    server = make_server("--workers", str(workers))
    failures: list[BaseException] = []
    threads = [threading.Thread(target=chatter, args=(server.port, number, failures)) for number in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures


def test_one_request_at_a_time(make_server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHARDKV_TEST_DELAYS", "7")
    server = make_server("--workers", "2")
    with Wire(server.port) as wire:
        for number in range(300):
            assert wire.ask("set", f"key:{number}", str(number)) == "+OK"
            assert wire.ask("get", f"key:{number}") == b"%d" % number
