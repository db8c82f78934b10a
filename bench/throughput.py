"""Every test of redis-benchmark, and XADD, at pipeline depth 1 and 16: shardkv beside Debian's redis-server."""
from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from typing import Any

from bench import load, rivals
from bench.compare import OURS, Options, Rows, emptied, in_turn, side_by_side
from bench.servers import Server

DEPTHS = (1, 16)


def measure(options: Options) -> Iterator[Rows]:
    """{depth: {test: {server: figures}}}, again after each round."""
    with side_by_side(options, (rivals.DEBIAN,)) as servers:
        tests = options.chosen(load.known_tests(servers[OURS]))
        for depth in DEPTHS if tests else ():
            runs: dict[str, dict[str, list[load.Run]]] = {test: {name: [] for name in servers} for test in tests}
            for number in range(options.rounds):
                one_round(dict(in_turn(servers, number)), runs, depth, options)
                yield {str(depth): {
                    test: {name: summary(values) for name, values in row.items()} for test, row in runs.items()
                }}


def one_round(
    servers: dict[str, Server], runs: dict[str, dict[str, list[load.Run]]], depth: int, options: Options
) -> None:
    """Adds a run of every test on each server, in their order, to `runs`. It begins with nothing in the servers."""
    emptied(servers)
    keys, clients = options.random_keys, options.clients
    for test, row in runs.items():
        count = load.requests_of(test, depth, options.requests, clients)
        for name, server in servers.items():
            load.prepare(server, test, count, keys)
            row[name].append(load.benchmark(server, test, depth, count, keys, clients))


def summary(runs: list[load.Run]) -> dict[str, Any]:
    """Medians of the runs; `rates` keeps the single ones."""

    def middle(read: Callable[[load.Run], float]) -> float:
        return statistics.median(map(read, runs))

    roles = sorted({role for run in runs for role in run.cpu})
    by_role = {role: middle(lambda run, role=role: run.cpu.get(role, 0.0) * 1e6) for role in roles}  # type: ignore[misc]
    return {
        "rps": middle(lambda run: run.rps),
        "rates": [run.rps for run in runs],
        "p50_ms": middle(lambda run: run.p50),
        "p99_ms": middle(lambda run: run.p99),
        "p999_ms": middle(lambda run: run.p999),
        "cpu_us": middle(lambda run: sum(run.cpu.values()) * 1e6),
        "cpu_us_by_role": by_role,
    }
