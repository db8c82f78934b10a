"""Workers are killed at random while clients wait: each element is popped exactly once, and nobody waits in vain."""
from __future__ import annotations

import os
import random
import signal
import threading
from collections.abc import Callable

import pytest
import redis

from tests.harness import Server, wait_until

KILLS = 25
ELEMENTS = 3000
QUEUES = [f"queue:{number}" for number in range(4)]
POPPERS = 6


class Popper(threading.Thread):
    """Waits for elements of all queues, and keeps what it is given, until it is given a stop."""

    def __init__(self, server: Server, pop: Callable[[redis.Redis], bytes]) -> None:
        super().__init__()
        self.connection, self.pop = server.client(socket_timeout=60), pop
        self.popped: list[bytes] = []
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            while (element := self.pop(self.connection)) != b"stop":
                self.popped.append(element)
        except BaseException as failure:
            self.failure = failure


def pop_any(connection: redis.Redis) -> bytes:
    _, element = connection.blpop(QUEUES, timeout=0)
    return bytes(element)


def pop_one(connection: redis.Redis) -> bytes:
    """The second end of a chain over two shards, perhaps."""
    _, element = connection.brpop(["chained"], timeout=0)
    return bytes(element)


class Mover(Popper):
    """Moves what comes into the first queue to where poppers wait."""

    def __init__(self, server: Server) -> None:
        super().__init__(server, lambda connection: bytes(connection.blmove(QUEUES[0], "chained", 0, "LEFT", "LEFT")))


def kill_at_random(server: Server, dice: random.Random, done: threading.Event) -> int:
    killed = 0
    while not done.wait(0.02) and killed < KILLS:
        try:
            os.kill(dice.choice(server.worker_pids()), signal.SIGKILL)
            killed += 1
        except ProcessLookupError:
            pass  # its successor has not said who it is
    return killed


@pytest.mark.parametrize("shape", [(1, 1), (3, 2)], ids=["1w1a", "3w2a"])
@pytest.mark.parametrize("kind", ["pop", "move"])
def test_exactly_once(make_server: Callable[..., Server], shape: tuple[int, int], kind: str) -> None:
    server = make_server("--workers", str(shape[0]), "--acceptors", str(shape[1]))
    queues = QUEUES if kind == "pop" else QUEUES[:1]
    poppers = [Popper(server, pop_any if kind == "pop" else pop_one) for _ in range(POPPERS)]
    movers = [Mover(server) for _ in range(2)] if kind == "move" else []
    for thread in (*poppers, *movers):
        thread.start()
    dice, done, client = random.Random(7), threading.Event(), server.client(socket_timeout=60)
    killer = threading.Thread(target=kill_at_random, args=(server, dice, done))
    killer.start()
    for number in range(ELEMENTS):
        client.rpush(dice.choice(queues), number)
    done.set()
    killer.join()
    wait_until(lambda: sum(len(popper.popped) for popper in poppers) >= ELEMENTS, "all elements to be popped")
    for _ in movers:
        client.rpush(QUEUES[0], "stop")  # each is moved on, and ends a popper too
    for _ in range(POPPERS - len(movers)):
        client.rpush("chained" if movers else QUEUES[1], "stop")
    for thread in (*poppers, *movers):
        thread.join(60)
        assert not thread.is_alive()
    assert [thread.failure for thread in (*poppers, *movers)] == [None] * (len(poppers) + len(movers))
    assert sorted(int(element) for popper in poppers for element in popper.popped) == list(range(ELEMENTS))
    assert client.info("clients")["blocked_clients"] == 0
    restarts = server.client(decode_responses=True).info("shards")
    assert sum(shard["restarts"] for shard in restarts.values()) > 0
