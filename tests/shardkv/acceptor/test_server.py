"""The acceptor's Server: what looks at every client does so in steps."""
from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest

from shardkv.acceptor.server import STEP, Server
from tests.harness import Server as RunningServer
from tests.wire import Wire


class FakeReactor:
    """A client table with a connection at every second place; a connection is its place."""

    def __init__(self, end: int) -> None:
        self.end = end
        self.asked: list[int] = []
        self.kicks = 0

    def kick(self) -> None:
        self.kicks += 1

    def connections(self, place: int, count: int) -> tuple[list[int], int]:
        self.asked.append(place)
        found = [number for number in range(place, self.end) if number % 2][:count]
        following = found[-1] + 1 if found else self.end
        return found, following if following < self.end else 0


@pytest.mark.parametrize("end", [1, 2, 10, 2 * STEP, 2 * STEP + 1, 10 * STEP])
def test_the_loop_goes_on_between_steps(end: int) -> None:
    server: Any = Server.__new__(Server)
    server.reactor = FakeReactor(end)

    async def main() -> tuple[list[int], int]:
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                await asyncio.sleep(0)
                turns += 1

        other = asyncio.ensure_future(others())
        found = [connection async for connection in server.connections()]
        other.cancel()
        return found, turns

    found, turns = asyncio.run(main())
    assert found == [place for place in range(1, end) if place % 2]
    assert server.reactor.kicks == len(server.reactor.asked)
    assert turns >= len(server.reactor.asked) - 1 >= (len(found) - 1) // STEP


@pytest.mark.parametrize("acceptors", [1, 2])
def test_all_of_many_connections_are_listed_and_killed(
    make_server: Callable[..., RunningServer], acceptors: int
) -> None:
    running = make_server(acceptors=acceptors)
    with ExitStack() as stack:
        wires = [stack.enter_context(Wire(running.port)) for _ in range(2 * STEP + 3)]
        ids = [wire.ask("client", "id") for wire in wires]
        lines = wires[0].ask("client", "list").decode().splitlines()
        assert [int(line.split()[0][3:]) for line in lines] == sorted(ids)
        assert wires[0].ask("client", "kill", "type", "normal") == len(wires) - 1
        assert [wires[0].ask("client", "list").count(b"\n"), wires[0].ask("client", "id")] == [1, ids[0]]
        for wire in wires[1:]:
            with pytest.raises((EOFError, ConnectionResetError)):
                wire.receive()
