"""A server that has filled its file system: it can be ended in any way, started again, and emptied."""
from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.harness import Server, wait_until
from tests.room import small_file_system, take_all_room

KEYS = 8000


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with small_file_system(tmp_path / "small", "24m") as folder, Server("--arena-dir", str(folder)) as made:
        client = made.client()
        pipe = client.pipeline(transaction=False)
        for number in range(KEYS):
            pipe.set(f"key:{number}", "v" * 40)
        pipe.execute()
        take_all_room(folder)
        for length in (100_000, 10_000, 1000, 100):
            fill(client, length)
        yield made


def fill(client: redis.Redis, length: int) -> None:
    """Stores values of that length until either shard has refused hundreds."""
    for round_ in range(100):
        pipe = client.pipeline(transaction=False)
        for number in range(200):
            pipe.set(f"filler:{length}:{round_}:{number}", "f" * length)
        if all(isinstance(reply, redis.ResponseError) for reply in pipe.execute(raise_on_error=False)):
            return
    raise AssertionError("the file system does not fill")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_it_starts_again_and_can_be_emptied(server: Server, number: int) -> None:
    keys = server.client().dbsize()
    server.restart(number)
    client = server.client()
    assert client.dbsize() == keys
    assert client.get("key:7") == b"v" * 40
    server.kill_worker(0)
    server.kill_worker(1)
    assert client.delete(*(f"key:{number}" for number in range(5000))) == 5000
    assert client.unlink(*(f"key:{number}" for number in range(5000, KEYS))) == KEYS - 5000
    assert client.set("key:0", "again")
    server.restart(number)
    client = server.client()
    assert client.dbsize() == keys - KEYS + 1
    assert client.flushall()
    for key in range(30):
        wait_until(lambda name=f"large:{key}": stored(client, name), "room that is given back in steps")


def stored(client: redis.Redis, name: str) -> bool:
    try:
        return bool(client.set(name, "x" * 500))
    except redis.ResponseError:
        return False


def test_more_acceptors_than_there_is_room_for(server: Server, tmp_path: Path) -> None:
    server.stop()
    before = sorted((tmp_path / "small").rglob("*"))
    command = server.command
    server.command = [*command, "--acceptors", "4"]
    process = server.spawn()
    assert process.wait(20) == 1
    assert "is full: 0 MB free" in server.output().splitlines()[-1]
    assert sorted((tmp_path / "small").rglob("*")) == before
    server.command = command
    server.start()
