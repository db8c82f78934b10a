"""`make bench`: shardkv against its rivals, in alternation on the same machine.

In parts, each of which can be measured alone (`--only`). What is new is merged into bench/results.json at once.
Prints tables; draws docs/bench.png.
"""
from __future__ import annotations

import argparse
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from bench import (
    chart,
    death,
    generator,
    large,
    load,
    memory,
    processes,
    rates,
    report,
    rivals,
    throughput,
    transactions,
)
from bench.compare import OURS, Options, Rows, versions
from bench.servers import ROOT, ServerError, redis_benchmark, rival
from bench.store import Store

RESULTS = ROOT / "bench/results.json"
PICTURE = ROOT / "docs/bench.png"


@dataclass(frozen=True)
class Part:
    """A part: what measures it, rounds by default, and whether all rivals take part or Debian's redis-server alone."""

    measure: Callable[[Options], Iterator[Rows]]
    what: str
    rounds: int = 1
    all_rivals: bool = False


PARTS = {
    "throughput": Part(throughput.measure, "redis-benchmark's tests at depth 1 and 16, CPU time a request", rounds=7),
    "latency": Part(rates.latency, "1, 4 and 50 clients, one request at a time", rounds=5, all_rivals=True),
    "busy": Part(rates.busy, "the same beside four busy processes", rounds=3),
    "rates": Part(rates.measure, "depth 1 and 16 under a generator that costs less", rounds=3, all_rivals=True),
    "transactions": Part(transactions.measure, "MULTI, keys on several shards, clients that wait", rounds=5),
    "memory": Part(memory.measure, "bytes a key and an element", all_rivals=True),
    "large": Part(large.measure, "values of 512 MB", rounds=3),
    "start": Part(processes.starts, "from start to ready, memory of the processes"),
    "idle": Part(processes.idle, "CPU time with nothing to do"),
    "death": Part(death.measure, "pauses when processes are killed, a restart"),
}
TESTS = {*load.TESTS, *generator.LOADS, *memory.KINDS, *transactions.TESTS, *transactions.HANDOVERS}


def main() -> int:
    """Reads the command line and measures; exit status 2 when a program is missing or a server does not start."""
    asked = arguments()
    store = Store(None if asked.quick or asked.subject != OURS else asked.output)
    try:
        rival(rivals.DEBIAN), redis_benchmark(), generator.program(), transactions.program()
        store.note("machine", machine())
        for name in asked.only or PARTS:
            measure(name, asked, store)
    except KeyboardInterrupt:
        print("bench: cut short; what was measured is kept", file=sys.stderr)
        return 130
    except (OSError, ServerError, RuntimeError, ValueError, subprocess.SubprocessError) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    print(report.text({name: part for name, part in store.results.items() if name in (asked.only or PARTS)}))
    if store.path == RESULTS and throughput_is_whole(store.results):
        chart.draw(store.results, PICTURE)
    return 0


def cut_short(number: int, frame: FrameType | None) -> NoReturn:
    """Ends the run in order, at whatever it does: servers and loads are ended too."""
    raise KeyboardInterrupt


def arguments() -> argparse.Namespace:
    """The command line."""
    words = {"prog": "make bench", "description": (__doc__ or "").split("\n")[0]}
    parser = argparse.ArgumentParser(
        **words, formatter_class=argparse.RawDescriptionHelpFormatter,  # type: ignore[arg-type]
        epilog="parts:\n" + "\n".join(f"  {name:12} {part.what}" for name, part in PARTS.items()),
    )
    parser.add_argument("--only", action="append", choices=PARTS, help="only this part; may be repeated")
    parser.add_argument("--test", action="append", choices=sorted(TESTS), help="only this row; likewise")
    parser.add_argument("--rival", action="append", choices=rivals.KINDS, help="only this one; likewise")
    parser.add_argument("--rounds", type=int, help="runs of each test on each server, in alternation (1 to 7)")
    parser.add_argument("--requests", type=int, default=30_000, help="of redis-benchmark, quick, at depth 1 (30000)")
    parser.add_argument("--seconds", type=float, default=0.5, help="of a run of the generator (0.5)")
    parser.add_argument("--keys", type=int, default=1_000_000, help="and elements, for their memory (1000000)")
    parser.add_argument("--clients", type=int, default=load.CLIENTS, help="of redis-benchmark (50)")
    parser.add_argument("--workers", type=int, help="passed on to shardkv")
    parser.add_argument("--quick", action="store_true", help="one short round; nothing is written")
    parser.add_argument("--output", type=Path, default=RESULTS, help="where the figures go")
    parser.add_argument("--subject", choices=(OURS, rivals.DEBIAN), default=OURS, help="redis: the noise; not written")
    asked = parser.parse_args()
    if asked.quick:
        asked.rounds, asked.requests, asked.keys = 1, min(asked.requests, 10_000), min(asked.keys, 50_000)
        asked.seconds = min(asked.seconds, 0.2)
    return asked


def measure(name: str, asked: argparse.Namespace, store: Store) -> None:
    """Measures one part and stores what it finds, step by step."""
    part, begun = PARTS[name], time.monotonic()
    kinds: tuple[str, ...] = (rivals.DEBIAN,)
    if part.all_rivals:
        kinds = tuple(kind for kind in rivals.available() if not asked.rival or kind in asked.rival)
    options = Options(
        rounds=asked.rounds or part.rounds, requests=asked.requests, seconds=asked.seconds, keys=asked.keys,
        clients=asked.clients, tests=tuple(asked.test or ()), workers=asked.workers, rivals=kinds,
        subject=asked.subject,
    )
    how = {
        "rounds": options.rounds, "keys": options.keys, "clients": options.clients, "seconds": options.seconds,
        "workers": options.workers or "auto", "versions": versions(options, kinds),
    }
    for number, rows in enumerate(part.measure(options), 1):
        store.put(name, rows, how)
        print(f"{name}: step {number}, {time.monotonic() - begun:.0f} s", file=sys.stderr, flush=True)


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


def throughput_is_whole(results: dict[str, Any]) -> bool:
    """Whether there is a figure for each bar of the chart."""
    depths = results.get("throughput", {}).get("rows", {})
    return len(depths) == len(throughput.DEPTHS) and len({frozenset(tests) for tests in depths.values()}) == 1


if __name__ == "__main__":
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signal_number, cut_short)
    sys.exit(main())
