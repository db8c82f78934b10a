"""Rates under bench/generator.c: all rivals at depth 1 and 16; few clients at depth 1, also beside busy cores.

It takes half a microsecond a request of the cores that the servers share with it, redis-benchmark more than twice that.
"""
from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from bench import generator, rivals
from bench.compare import Options, Rows, emptied, in_turn, medians, side_by_side

DEPTHS = (1, 16)
CLIENTS = 50
FEW = ("1", "4", "50")  # clients, at depth 1
FEW_TESTS = ("get", "set")
BUSY = 4                # processes that want a core all the time
BUSY_SECONDS_MOST = 600
BUSY_LOOP = "import sys, time\nend = time.monotonic() + float(sys.argv[1])\nwhile time.monotonic() < end: pass"
FIELDS = ("rps", "p50_us", "p99_us", "p999_us", "longest_us", "cpu_us")

Runs = dict[str, list[generator.Figures]]


def measure(options: Options) -> Iterator[Rows]:
    """{depth: {test: {server: figures}}}, again after each round: fifty clients, every rival."""
    rows = {(str(depth), test): (CLIENTS, depth) for depth in DEPTHS for test in options.chosen(generator.LOADS)}
    yield from rounds(options, options.rivals, rows)


def latency(options: Options, kinds: tuple[str, ...] | None = None) -> Iterator[Rows]:
    """{clients: {test: {server: figures}}}, again after each round: one, four and fifty clients at depth 1."""
    rows = {(clients, test): (int(clients), 1) for clients in FEW for test in options.chosen(FEW_TESTS)}
    yield from rounds(options, options.rivals if kinds is None else kinds, rows)


def rounds(
    options: Options, kinds: tuple[str, ...], rows: dict[tuple[str, str], tuple[int, int]]
) -> Iterator[Rows]:
    """Runs each row, (name, test), with so many clients at such a depth, on all servers in turn."""
    with side_by_side(options, kinds) as servers:
        runs: dict[tuple[str, str], Runs] = {row: {name: [] for name in servers} for row in rows}
        for number in range(options.rounds):
            emptied(servers)
            for row, (clients, depth) in rows.items():
                for name, server in in_turn(servers, number):
                    figures = generator.load(server, row[1], clients, depth, options.seconds, options.random_keys)
                    runs[row][name].append(figures)
            yield nested(runs)


def busy(options: Options) -> Iterator[Rows]:
    """The same beside processes that keep every core busy, with Debian's redis-server alone."""
    with busy_cores(BUSY):
        yield from latency(options, (rivals.DEBIAN,))


@contextlib.contextmanager
def busy_cores(count: int) -> Iterator[None]:
    """Processes that compute, and end by themselves after some minutes should nobody end them."""
    line = [sys.executable, "-c", BUSY_LOOP, str(BUSY_SECONDS_MOST)]
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            process = stack.enter_context(subprocess.Popen(line, stdin=subprocess.DEVNULL))
            stack.callback(process.kill)
        yield


def nested(runs: dict[tuple[str, str], Runs]) -> dict[str, Any]:
    """Medians of the runs so far; `rates` keeps the single ones, by which a round is compared with itself."""
    table: dict[str, Any] = {}
    for (group, test), row in runs.items():
        table.setdefault(group, {})[test] = {
            name: {**medians(figures, FIELDS), "rates": [run.rps for run in figures]} for name, figures in row.items()
        }
    return table
