"""The promise: workers are killed at random under load, and no client sees an error, a lost write or a double one."""
from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Callable

import pytest
import redis

from tests.harness import Server, wait_until

KILLS = 30
CLIENTS = 5


class Client(threading.Thread):
    """Does one kind of write after another and knows what each reply must be."""

    def __init__(self, server: Server, number: int) -> None:
        super().__init__()
        self.connection: redis.Redis = server.client(socket_timeout=30)
        self.number, self.random = number, random.Random(number)
        self.rounds = 0
        self.failure: BaseException | None = None
        self.stop = threading.Event()
        self.count, self.text, self.jobs = 0, b"", 0

    def run(self) -> None:
        try:
            while not self.stop.is_set():
                self.random.choice((self.incr, self.append, self.set, self.mset, self.job))()
                self.rounds += 1
        except BaseException as failure:
            self.failure = failure

    def incr(self) -> None:
        self.count += 1
        assert self.connection.incr(f"count:{self.number}") == self.count

    def append(self) -> None:
        self.text += b"abc"
        assert self.connection.append(f"text:{self.number}", b"abc") == len(self.text)

    def set(self) -> None:
        value = self.random.randbytes(self.random.randrange(5000))
        assert self.connection.set(f"value:{self.number}", value) is True
        assert self.connection.get(f"value:{self.number}") == value

    def mset(self) -> None:
        values = {f"many:{self.number}:{part}": self.random.randbytes(20) for part in range(8)}
        assert self.connection.mset(values) is True
        assert self.connection.mget(list(values)) == list(values.values())

    def job(self) -> None:
        stream, fields = f"jobs:{self.number}", {b"round": b"%d" % self.rounds}
        if self.jobs == 0:
            assert self.connection.xgroup_create(stream, "crew", mkstream=True) is True
        self.jobs += 1
        entry = self.connection.xadd(stream, fields)
        assert self.connection.xreadgroup("crew", "c", {stream: ">"}) == [[stream.encode(), [(entry, fields)]]]
        assert self.connection.xack(stream, "crew", entry) == 1
        assert self.connection.xreadgroup("crew", "c", {stream: ">"}) == []

    def check_at_rest(self) -> None:
        assert int(self.connection.get(f"count:{self.number}") or 0) == self.count
        assert (self.connection.get(f"text:{self.number}") or b"") == self.text
        assert self.connection.xlen(f"jobs:{self.number}") == self.jobs


def wait_for_rounds(clients: list[Client], rounds: int) -> None:
    def there() -> bool:
        return sum(client.rounds for client in clients) >= rounds or any(client.failure for client in clients)

    wait_until(there, "progress")


@pytest.mark.parametrize("flags", [("--workers", "1"), ("--workers", "3", "--acceptors", "2")])
def test_workers_killed_at_random_under_load(make_server: Callable[..., Server], flags: tuple[str, ...]) -> None:
    server = make_server(*flags)
    clients = [Client(server, number) for number in range(CLIENTS)]
    dice = random.Random(7)
    for client in clients:
        client.start()
    try:
        for _ in range(KILLS):
            wait_for_rounds(clients, sum(client.rounds for client in clients) + dice.randrange(1, 60))
            try:
                os.kill(dice.choice(server.worker_pids()), signal.SIGKILL)
            except ProcessLookupError:
                pass  # it was killed a moment ago and its successor has not said who it is
    finally:
        for client in clients:
            client.stop.set()
        for client in clients:
            client.join()
    assert [client.failure for client in clients] == [None] * CLIENTS
    for client in clients:
        client.check_at_rest()
    restarts = server.client(decode_responses=True).info("shards")
    assert sum(shard["restarts"] for shard in restarts.values()) > 0
