"""Bare connections to the server under test and to redis-server, both empty at first.

All tests share the two servers, so a limit that a test sets is taken back behind it, whatever becomes of the test: a
low one that stays is met by another test, and only if chance leads it there.
"""
from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from tests.harness import Server
from tests.wire import Wire

LIMITS = ("*-max-*", "rdbcompression")


def limits_of(wire: Wire) -> dict[bytes, bytes]:
    """The settings that tests change."""
    words = [word for pattern in LIMITS for word in wire.ask("config", "get", pattern)]
    return dict(zip(words[::2], words[1::2], strict=True))


def _emptied(port: int) -> Iterator[Wire]:
    with Wire(port) as wire:
        assert wire.ask("flushall") == "+OK"
        before = limits_of(wire)
        yield wire
    with Wire(port) as again:
        for name, value in before.items() - limits_of(again).items():
            assert again.ask("config", "set", name, value) == "+OK"


@pytest.fixture
def ours(server: Server) -> Iterator[Wire]:
    """A connection to the shared server."""
    yield from _emptied(server.port)


@pytest.fixture
def theirs(oracle: redis.Redis) -> Iterator[Wire]:
    """A connection to redis-server."""
    yield from _emptied(oracle.connection_pool.connection_kwargs["port"])


@pytest.fixture
def lazy(ours: Wire) -> Iterator[None]:
    """Expired keys stay until someone looks at them."""
    assert ours.ask("debug", "set-active-expire", "0") == "+OK"
    yield
    assert ours.ask("debug", "set-active-expire", "1") == "+OK"
