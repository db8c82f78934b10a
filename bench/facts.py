"""Figures that need no table: one line each."""
from __future__ import annotations

import statistics
from collections.abc import Iterator
from typing import Any

from bench import processes, rivals, store
from bench.compare import OURS

THEIRS = rivals.DEBIAN
MEBIBYTE = 1 << 20
Results = dict[str, Any]
Fact = tuple[str, str]


def facts(results: Results) -> list[Fact]:
    """Name and text of each."""
    makers = {"throughput": cpu, "start": start, "death": death, "large": large, "idle": idle, "transactions": lease}
    return [
        fact for part, make in makers.items() if part in results
        for fact in make(results[part][store.ROWS], results[part][store.HOW])
    ]


def cpu(rows: Results, how: Results) -> Iterator[Fact]:
    """CPU time of a request by process."""
    for depth, tests in rows.items():
        for test in ("get", "set"):
            if test in tests:
                used = tests[test][OURS]["cpu_us_by_role"].items()
                yield f"CPU µs of a {test.upper()} at depth {depth}", ", ".join(f"{role} {us:.2f}" for role, us in used)


def start(rows: Results, how: Results) -> Iterator[Fact]:
    """Time to ready, and memory of the processes."""
    ready = rows.get("ready", {})
    if OURS in ready:
        text = f"{ready[OURS]['ms']:.0f} ms"
        if THEIRS in ready:
            text += f" (redis-server {ready[THEIRS]['ms']:.0f} ms)"
        yield f"from start to ready with {processes.START_WORKERS} workers, warm", text
    pss = rows.get("pss", {})
    if OURS in pss:
        text = ", ".join(f"{workers} workers {size / MEBIBYTE:.0f} MiB" for workers, size in pss[OURS].items())
        if THEIRS in pss:
            text += f" (redis-server {pss[THEIRS]['1'] / MEBIBYTE:.0f} MiB)"
        yield "memory of all processes after the start (PSS)", text.replace("1 workers", "1 worker")


def death(rows: Results, how: Results) -> Iterator[Fact]:
    """Pauses, by what was killed."""
    for name, what in (("worker", "a worker is"), ("workers", "all workers are")):
        if name in rows:
            row = rows[name]
            text = f"{spread(row['pauses_ms'])} (without a kill {row['undisturbed_ms']:.1f} ms), "
            text += f"{row['wrong_replies']} wrong replies"
            yield f"longest pause of a client when {what} killed under load, {len(row['pauses_ms'])} kills", text
    if "acceptor" in rows:
        pauses = rows["acceptor"]["pauses_ms"]
        yield f"from an acceptor's death until new connections are served, {len(pauses)} kills", spread(pauses)
    if "restart" in rows:
        restart = rows["restart"]
        yield f"from start to all of {restart['keys']:,} keys after a stop", f"{restart['seconds']:.2f} s"


def spread(pauses: list[float]) -> str:
    """Median and longest."""
    return f"median {statistics.median(pauses):.1f} ms, longest {max(pauses):.1f} ms"


def large(rows: Results, how: Results) -> Iterator[Fact]:
    """Large values: seconds, and what another client notices."""
    for what, row in rows.items():
        texts = []
        for kind, name in ((OURS, OURS), (THEIRS, "redis-server")):
            if kind in row:
                took = row[kind]
                texts.append(
                    f"{name} {took['seconds']:.2f} s, longest PING of another client {took['ping_ms']:.1f} ms "
                    f"({took['quiet_ms']:.1f} without)"
                )
        yield f"{what.upper()} of 512 MB", "; ".join(texts)


def lease(rows: Results, how: Results) -> Iterator[Fact]:
    """What a transaction costs more when its keys are on two shards."""
    states = rows.get("lease", {})
    if states:
        text = ", ".join(f"{row[OURS]:.0f} µs {state}" for state, row in states.items())
        yield "a transaction's keys on two shards instead of one, one client", text


def idle(rows: Results, how: Results) -> Iterator[Fact]:
    """CPU time of an idle server."""
    if OURS in rows:
        text = f"{sum(rows[OURS].values()):.2f} % of a core"
        text += f" ({', '.join(f'{role} {percent:.2f}' for role, percent in rows[OURS].items())})"
        if THEIRS in rows:
            text += f"; redis-server {sum(rows[THEIRS].values()):.2f} %"
        yield "CPU time of an idle server with fifty connections", text
