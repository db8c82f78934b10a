"""Descriptors run out: `maxclients` that cannot be is refused, who comes is told so, and who is here can still work."""
from __future__ import annotations

import re
import resource
import socket
from collections.abc import Callable
from contextlib import ExitStack

import pytest
import redis

from shardkv.errors import NO_DESCRIPTORS
from tests.harness import Server, wait_until
from tests.wire import Wire

VALUE = b"x" * (1 << 20)  # travels in a segment
LOW = 60


def limit_acceptor(running: Server, soft: int) -> tuple[int, int]:
    """Gives the one acceptor another soft limit on open files; returns what it had."""
    pid = running.acceptor_pids()[0]
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, before[1]))
    return before


def greet(sock: socket.socket) -> bytes:
    """Returns what comes for a PING; one who is turned away may be so before it is sent."""
    try:
        sock.sendall(b"PING\r\n")
    except ConnectionError:
        pass
    return sock.recv(64)


def test_maxclients_that_no_limit_allows_is_refused(client: redis.Redis) -> None:
    before = client.config_get("maxclients")
    with pytest.raises(redis.ResponseError) as caught:
        client.config_set("maxclients", 4_000_000_000)
    assert re.fullmatch(
        r"CONFIG SET failed \(possibly related to argument 'maxclients'\) - The operating system is not able to "
        r"handle the specified number of clients, try with \d+",
        str(caught.value),
    )
    assert client.config_get("maxclients") == before
    possible = int(str(caught.value).split()[-1])
    client.config_set("maxclients", possible)
    client.config_set("maxclients", before["maxclients"])


def test_the_last_descriptors_are_not_for_clients(make_server: Callable[..., Server]) -> None:
    running = make_server()
    pid = running.acceptor_pids()[0]
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (LOW, LOW))
    with Wire(running.port) as first:
        first.ask("config", "set", "tcp-keepalive", "299")  # has it look at its limit
        with ExitStack() as stack:
            replies = [greet(stack.enter_context(running.connect())) for _ in range(LOW)]
            assert set(replies) == {b"+PONG\r\n", b"-ERR max number of clients reached\r\n"}
            assert first.ask("set", "large", VALUE) == "+OK"
            assert first.ask("get", "large") == VALUE


def test_a_limit_that_was_raised_rejects_nobody(make_server: Callable[..., Server]) -> None:
    running = make_server()
    with Wire(running.port) as first, ExitStack() as stack:
        assert first.ask("ping") == "+PONG"
        before = limit_acceptor(running, LOW)
        with ExitStack() as many:
            for _ in range(LOW):
                many.enter_context(running.connect())
            wait_until(lambda: "cannot accept connections for now" in running.output(), "a look at the limit")
            first.ask("debug", "sleep", "0.35")  # some ticks of the acceptor
        wait_until(lambda: b"connected_clients:1\r" in first.ask("info", "clients"), "the end of the many")
        replies = [greet(stack.enter_context(running.connect())) for _ in range(LOW - 1)]
        assert b"-ERR max number of clients reached\r\n" in replies
        limit_acceptor(running, before[0])
        assert greet(stack.enter_context(running.connect())) == b"+PONG\r\n"


def test_a_segment_that_finds_no_descriptor_says_so(make_server: Callable[..., Server]) -> None:
    running = make_server()
    with Wire(running.port) as first:
        assert first.ask("ping") == "+PONG"
        before = limit_acceptor(running, 8)
        assert first.ask("set", "large", VALUE) == f"-{NO_DESCRIPTORS}"
        with Wire(running.port) as waiting:
            waiting.send("ping")
            first.ask("debug", "sleep", "0.35")  # some ticks of the acceptor
            limit_acceptor(running, before[0])
            assert waiting.receive() == "+PONG"
        assert first.ask("set", "large", VALUE) == "+OK"
    assert running.output().count("cannot accept connections for now: Too many open files") == 1
