"""Sleeping and waking with rings that are full both ways, and every process dawdling at every store of the protocol.

With these delays nobody is woken by a clock either: a wake-up that is lost is a client that waits for ever.
"""
from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from tests.harness import Server
from tests.wire import Wire

CLIENTS = 4
ROUNDS = 6
REQUESTS = 150  # in a round; of all clients they are more than two rings hold, and so are their replies
VALUE = b"v" * 12_000


def chatter(port: int, number: int, failures: list[BaseException]) -> None:
    """Rounds of requests and replies that are both as long as the value."""
    try:
        with Wire(port) as wire:
            for round_ in range(ROUNDS):
                sender = threading.Thread(target=send_round, args=(wire, number))
                sender.start()
                for reply in range(REQUESTS):
                    expected = {0: "+OK", 1: VALUE, 2: [VALUE, VALUE]}[reply % 3]
                    assert wire.receive() == expected, f"client {number}, round {round_}, reply {reply}"
                sender.join()
    except BaseException as error:
        failures.append(error)


def send_round(wire: Wire, number: int) -> None:
    for request in range(REQUESTS):
        key = f"key:{number}:{request // 3 % 10}"
        match request % 3:
            case 0:
                wire.send("mset", key, VALUE, f"other:{number}", VALUE)
            case 1:
                wire.send("get", key)
            case 2:
                wire.send("mget", f"other:{number}", key)


@pytest.mark.parametrize("seed", range(1, 4))
def test_no_wake_up_is_lost(make_server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    monkeypatch.setenv("SHARDKV_TEST_DELAYS", str(seed))
    server = make_server("--workers", "2")
    failures: list[BaseException] = []
    clients = [threading.Thread(target=chatter, args=(server.port, number, failures)) for number in range(CLIENTS)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert not failures, failures


def test_one_client_at_a_time(make_server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHARDKV_TEST_DELAYS", "7")
    server = make_server("--workers", "2")
    with Wire(server.port) as wire:
        for number in range(500):
            assert wire.ask("set", f"key:{number}", str(number)) == "+OK"
            assert wire.ask("get", f"key:{number}") == b"%d" % number
