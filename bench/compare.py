"""What the parts of `make bench` have in common: what was asked for, servers side by side, in alternation."""
from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from bench import fill, load, rivals
from bench.servers import Server, running

OURS = "shardkv"
Rows = dict[str, Any]


@dataclass(frozen=True)
class Options:
    """What is measured: rounds in alternation, requests of a run of redis-benchmark at depth 1, seconds of a run of the
    generator, keys and elements that are filled in, tests (all when empty), workers (None: shardkv's default), rivals,
    and what stands in for shardkv (itself, or redis to see the noise)."""

    rounds: int
    requests: int
    seconds: float
    keys: int
    clients: int
    tests: tuple[str, ...]
    workers: int | None
    rivals: tuple[str, ...]
    subject: str = OURS

    @property
    def random_keys(self) -> int:
        """Size of the key space of a load."""
        return max(self.keys // 10, 1)

    def chosen(self, names: Iterable[str]) -> list[str]:
        """Those of the tests that are asked for."""
        return [name for name in names if not self.tests or name in self.tests]

    def server(self, name: str, workers: int | None = None) -> contextlib.AbstractContextManager[Server]:
        """A fresh server: OURS or a rival."""
        return running(self.subject if name == OURS else name, workers or self.workers)


@contextlib.contextmanager
def side_by_side(options: Options, kinds: Iterable[str]) -> Iterator[dict[str, Server]]:
    """shardkv and the rivals, all running; warm, as what a server does after its start is not a request's cost."""
    with contextlib.ExitStack() as stack:
        servers = {name: stack.enter_context(options.server(name)) for name in (OURS, *kinds)}
        for server in servers.values():
            load.benchmark(server, "set", 16, options.keys // 5, options.random_keys)
        yield servers


def in_turn(servers: dict[str, Server], number: int) -> list[tuple[str, Server]]:
    """The servers in the order of a round, so that none is always first."""
    order = list(servers.items())
    first = number % len(order)
    return order[first:] + order[:first]


def emptied(servers: dict[str, Server]) -> None:
    """Begins a round."""
    for server in servers.values():
        fill.empty(server)


def versions(options: Options, kinds: Iterable[str]) -> dict[str, str]:
    """Versions by server."""
    found = {kind: rivals.version(kind) or "?" for kind in kinds}
    with options.server(OURS) as server, load.client(server) as connection:
        info = connection.info("server")
    return {OURS: str(info.get("shardkv_version", info["redis_version"])), **found}


def medians(runs: list[Any], fields: Iterable[str]) -> dict[str, float]:
    """The median of each field."""
    return {field: statistics.median(getattr(run, field) for run in runs) for field in fields}


def wait_until(condition: Callable[[], bool], seconds: float, what: str) -> None:
    """Waits; raises RuntimeError that says `what` did not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError(f"waited {seconds} seconds for {what}")
        time.sleep(0.002)
