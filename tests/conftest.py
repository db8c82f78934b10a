"""Fixtures: servers under test and clients for them. Nothing here builds anything."""
from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator

import pytest
import redis
from hypothesis import settings

from tests.harness import Server, free_port, wait_until

settings.register_profile("shardkv", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("shardkv")


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A server with two workers that all tests of the session share; kill its processes, but do not stop it."""
    with Server("--workers", "2") as running:
        yield running


@pytest.fixture
def make_server() -> Iterator[Callable[..., Server]]:
    """Starts servers of one's own: `make_server("--workers", "3")` or `make_server(workers=3, maxmemory="1mb")`."""
    servers: list[Server] = []

    def make(*words: str, start: bool = True, port: int | None = None, config: str = "", **flags: object) -> Server:
        named = [word for name, value in flags.items() for word in (f"--{name.replace('_', '-')}", str(value))]
        servers.append(Server(*words, *named, port=port, config=config))
        return servers[-1].start() if start else servers[-1]

    yield make
    for running in servers:
        running.close()


@pytest.fixture
def client(server: Server) -> Iterator[redis.Redis]:
    """A RESP2 client of the shared server, which is empty at first."""
    with server.client() as connected:
        connected.flushall()
        yield connected


@pytest.fixture
def client3(server: Server) -> Iterator[redis.Redis]:
    """A RESP3 client of the shared server, which is empty at first."""
    with server.client(protocol=3) as connected:
        connected.flushall()
        yield connected


@pytest.fixture(scope="session")
def oracle() -> Iterator[redis.Redis]:
    """A client of a real redis-server, to compare answers with; tests are skipped where there is none."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("no redis-server on this machine")
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder]
        process = subprocess.Popen([*command, "--enable-debug-command", "yes"], stdout=subprocess.DEVNULL)
        try:
            with redis.Redis(port=port, protocol=2) as connected:
                wait_until(lambda: _pongs(connected), "redis-server's PONG")
                yield connected
        finally:
            process.terminate()
            process.wait()


def _pongs(connected: redis.Redis) -> bool:
    try:
        return bool(connected.ping())
    except redis.ConnectionError:
        return False
