"""`make bench`: shardkv against Debian's redis-server, in alternation on the same machine.

Every test of redis-benchmark and XADD, as far as shardkv has the commands, at pipeline depth 1 and 16; CPU time a
request of all server processes; memory of a million keys, and of collections of a million; what clients notice of a
worker that is killed; how long a restart takes. Prints a table and writes bench/results.json and docs/bench.png.
"""
from __future__ import annotations

import argparse
import functools
import json
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import chart, death, fill, load, report
from bench.servers import ROOT, Server, ServerError, redis_benchmark, redis_server, running

RESULTS = ROOT / "bench/results.json"
DEPTHS = (1, 16)
KILLS = 6


def main() -> int:
    """Reads the command line and measures; exit status 2 when a program is missing or a server does not start."""
    options = arguments()
    try:
        redis_server(), redis_benchmark()
        results = measure(options)
    except (ServerError, RuntimeError, ValueError, subprocess.SubprocessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    print(report.table(results))
    if options.subject == "shardkv" and not options.quick:
        options.output.write_text(json.dumps(results, indent=1) + "\n")
        chart.draw(results, ROOT / "docs/bench.png")
    return 0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make bench", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=9, help="runs of each test on each server, in alternation (9)")
    parser.add_argument("--requests", type=int, default=40_000, help="of a quick command at depth 1 (40000)")
    parser.add_argument("--keys", type=int, default=1_000_000, help="and elements, for their memory (1000000)")
    parser.add_argument("--test", action="append", choices=sorted(load.TESTS), help="only this test; may be repeated")
    parser.add_argument("--workers", type=int, help="passed on to shardkv")
    parser.add_argument("--quick", action="store_true", help="one short round; nothing is written")
    parser.add_argument("--output", type=Path, default=RESULTS, help="where the figures go")
    parser.add_argument("--subject", choices=("shardkv", "redis"), default="shardkv", help="redis: the noise")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.requests, options.keys = 1, min(options.requests, 10_000), min(options.keys, 50_000)
    return options


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """All measurements, as they go into results.json."""
    results: dict[str, Any] = {"machine": machine(), "settings": settings(options)}
    with running("redis") as baseline, running(options.subject, options.workers) as subject:
        results["settings"]["versions"] = versions(subject, baseline)
        results["throughput"] = throughput(subject, baseline, options)
        with load.client(subject) as connection:
            kinds = fill.known_collections(connection)
        results["missing"] = [test for test in load.TESTS if test not in load.known_tests(subject)]
        results["missing"] += [f"memory of a {kind}" for kind in fill.COLLECTIONS if kind not in kinds]
    results["collections"] = memory_of_collections(options, kinds)
    results["memory"] = {}
    with running("redis") as baseline:
        results["memory"]["redis"] = memory_per_key(baseline, options.keys)
    with running(options.subject, options.workers) as subject:
        results["memory"]["shardkv"] = memory_per_key(subject, options.keys)
        if options.subject == "shardkv":
            results["death"] = killed(subject)
            results["restart_seconds"] = restarted(subject, options)
    return results


def machine() -> dict[str, Any]:
    """What the figures were measured on."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def settings(options: argparse.Namespace) -> dict[str, Any]:
    """How it was measured."""
    return {
        "rounds": options.rounds,
        "requests": {str(depth): load.requests_of("get", depth, options.requests) for depth in DEPTHS},
        "clients": load.CLIENTS,
        "keys": options.keys,
        "workers": options.workers or "auto",
    }


def versions(subject: Server, baseline: Server) -> dict[str, str]:
    """Versions of both servers, as they say themselves."""
    said = {}
    for name, server in (("redis", baseline), ("shardkv", subject)):
        with load.client(server) as connection:
            info = connection.info("server")
        said[name] = str(info.get("shardkv_version", info["redis_version"]))
    return said


def throughput(subject: Server, baseline: Server, options: argparse.Namespace) -> dict[str, Any]:
    """Every test at every depth: {depth: {test: {server: medians}}}."""
    tests = options.test or load.known_tests(subject)
    servers = {"shardkv": subject, "redis": baseline}
    keys = options.keys // 10
    table: dict[str, Any] = {}
    for server in servers.values():  # what a server does after its start is not a request's cost
        load.benchmark(server, "set", max(DEPTHS), options.keys // 5, keys)
    for depth in DEPTHS:
        runs: dict[str, dict[str, list[load.Run]]] = {test: {name: [] for name in servers} for test in tests}
        for number in range(options.rounds):
            print(f"depth {depth}, round {number + 1} of {options.rounds}", flush=True)
            in_turn = dict(list(servers.items())[:: -1 if number % 2 else 1])  # neither is always first
            one_round(in_turn, runs, depth, options.requests, keys)
        table[str(depth)] = {
            test: {name: summary(values) for name, values in row.items()} for test, row in runs.items()
        }
    return table


def one_round(
    servers: dict[str, Server], runs: dict[str, dict[str, list[load.Run]]], depth: int, requests: int, keys: int
) -> None:
    """Adds a run of every test on each server, in their order, to `runs`. It begins with nothing in the servers."""
    for server in servers.values():
        fill.empty(server)
    for test, row in runs.items():
        count = load.requests_of(test, depth, requests)
        for name, server in servers.items():
            load.prepare(server, test, count, keys)
            row[name].append(load.benchmark(server, test, depth, count, keys))


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


def memory_per_key(server: Server, keys: int) -> dict[str, float]:
    """Bytes a key; the server keeps the keys."""
    return memory_each(server, keys, lambda: fill.strings(server, keys))


def memory_of_collections(options: argparse.Namespace, kinds: list[str]) -> dict[str, Any]:
    """Bytes an element of each kind of collection: {kind: {server: figures}}. Each is made in a fresh server."""
    table: dict[str, Any] = {}
    for kind in kinds:
        table[kind] = {}
        for name in ("shardkv", "redis"):
            with running(options.subject if name == "shardkv" else name, options.workers) as server:
                make = functools.partial(fill.collection, server, kind, options.keys)
                table[kind][name] = memory_each(server, options.keys, make)
    return table


def memory_each(server: Server, count: int, fill_it: Callable[[], None]) -> dict[str, float]:
    """Bytes for each of `count` things that are made, as the server counts and as the system does."""
    fill.empty(server)
    before = load.settled_memory(server)
    fill_it()
    after = load.memory(server)
    return {"counted": (after.counted - before.counted) / count, "real": (after.real - before.real) / count}


def killed(server: Server) -> dict[str, Any]:
    """Pauses in milliseconds that clients see when workers are killed under load."""
    deaths = death.kill_workers(server, KILLS)
    return {"pauses_ms": deaths.pauses, "undisturbed_ms": deaths.undisturbed, "wrong_replies": deaths.wrong}


def restarted(server: Server, options: argparse.Namespace) -> float:
    """Seconds from the start of a server on existing arenas until all keys are there."""
    return death.restart_seconds(server, options.keys, options.workers)


if __name__ == "__main__":
    sys.exit(main())
