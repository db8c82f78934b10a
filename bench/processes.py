"""What the processes cost: time from start to ready, memory of all of them, CPU time while nobody asks for anything."""
from __future__ import annotations

import contextlib
import re
import statistics
import time
from collections.abc import Iterator
from pathlib import Path

from bench import load, rivals
from bench.compare import OURS, Options, Rows
from bench.servers import Server

START_WORKERS = 3
STARTS = 7
PSS_WORKERS = (1, 3, 16)
SETTLE_SECONDS = 1.0
IDLE_SECONDS = 5.0


def starts(options: Options) -> Iterator[Rows]:
    """Milliseconds from start to PONG, and proportional set size (bytes) of all processes by number of workers.

    {"ready": {server: {"ms": median, "all_ms": each}}, "pss": {server: {workers: bytes}}}. The first start is not
    counted: files must come from the disk.
    """
    for name in (OURS, rivals.DEBIAN):
        taken = []
        for _ in range(STARTS + 1):
            with options.server(name, START_WORKERS) as server:
                taken.append(server.ready_seconds * 1e3)
        yield {"ready": {name: {"ms": statistics.median(taken[1:]), "all_ms": taken[1:]}}}
    for workers in PSS_WORKERS:
        with options.server(OURS, workers) as server:
            yield {"pss": {OURS: {str(workers): settled_pss(server)}}}
    with options.server(rivals.DEBIAN) as server:
        yield {"pss": {rivals.DEBIAN: {"1": settled_pss(server)}}}


def settled_pss(server: Server) -> int:
    """Memory of all processes some time after the start, in bytes."""
    time.sleep(SETTLE_SECONDS)
    return pss(server)


def pss(server: Server) -> int:
    """Proportional set size of all processes, in bytes: a page that several share counts once in all."""
    total = 0
    for pid in server.pids():
        with contextlib.suppress(OSError):  # it ended meanwhile
            match = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
            total += int(match[1]) * 1024 if match else 0
    return total


def idle(options: Options) -> Iterator[Rows]:
    """Percent of a core that each server takes with nothing to do, by role: after a load, fifty connections open."""
    for name in (OURS, rivals.DEBIAN):
        with options.server(name) as server, contextlib.ExitStack() as stack:
            load.benchmark(server, "set", 16, max(options.keys // 5, load.CLIENTS * 16), options.random_keys)
            for _ in range(load.CLIENTS):
                stack.enter_context(load.client(server)).ping()
            time.sleep(SETTLE_SECONDS)
            yield {name: idle_percent(server, IDLE_SECONDS)}


def idle_percent(server: Server, seconds: float) -> dict[str, float]:
    """Percent of a core by role, over so many seconds."""
    before, begun = load.cpu_seconds(server), time.perf_counter()
    time.sleep(seconds)
    after, passed = load.cpu_seconds(server), time.perf_counter() - begun
    return {role: (after[role] - before.get(role, 0.0)) / passed * 100 for role in after}
