"""Bare connections to the server under test and to redis-server, both empty at first."""
from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from tests.harness import Server
from tests.wire import Wire


def _emptied(port: int) -> Iterator[Wire]:
    with Wire(port) as wire:
        assert wire.ask("flushall") == "+OK"
        yield wire


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
