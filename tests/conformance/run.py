"""`make conformance`: Redis's own test suite against shardkv, with one worker and with three.

`expected/<workers>/<unit>.txt` lists, a name a line, the tests that must pass. A listed test that fails, or is not
there any more, is a failure; so is a failing test that no one accounts for. `beyond.tsv` accounts for the rest: unit,
what the test needs that this version has not, name. `--update` adds tests that newly pass to the lists and takes them
out of `beyond.tsv`: what must pass only grows.

As many units run at once as there are cores (`--jobs`), each against a server of its own. Some tests of the suite
measure time, so a unit that fails beside others is run once more by itself when the others are done; only that run
counts, and its line says so. More than RERUNS such units are no accident of timing and fail at once.
"""
from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import NamedTuple

from bench.servers import ServerError, free_port, running
from tests.conformance import source, suite
from tests.hashing import PUBLIC_SECRET

HERE = Path(__file__).parent
BEYOND = HERE / "beyond.tsv"
UNITS = (
    "unit/type/string", "unit/type/incr", "unit/keyspace", "unit/expire", "unit/scan", "unit/bitops", "unit/bitfield",
    "unit/protocol", "unit/querybuf", "unit/info-command", "unit/quit", "unit/limits",
    "unit/type/list", "unit/type/list-2", "unit/type/list-3", "unit/sort",
    "unit/type/hash", "unit/type/set", "unit/type/zset", "unit/type/stream", "unit/hyperloglog", "unit/geo",
    "unit/dump", "unit/memefficiency", "unit/lazyfree",
    "unit/type/stream-cgroups", "unit/multi", "unit/other", "unit/pause",
    "unit/wait",
)
NOTHING_YET = {"unit/wait"}  # units of which no test can pass: all of them need replicas
LONGEST = ("unit/geo", "unit/hyperloglog", "unit/type/list-3", "unit/type/zset")  # from 20 s on; they begin first
WORKERS = (1, 3)
RERUNS = 4
# A test that needs one of these is not run: it would wait for its clients, or leave what the next ones stumble over.
NOT_RUN = ("scripting", "replication", "publish and subscribe", "snapshots")
FLAGS = ["--enable-debug-command", "yes"]


@dataclass
class Verdict:
    """A unit's outcome held against the lists."""

    passed: int
    skipped: int
    failures: list[str] = field(default_factory=list)
    new: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    note: str = ""  # about the run, for the unit's line


class Job(NamedTuple):
    """A unit, and the number of workers it runs against."""

    unit: str
    workers: int


def expected_file(workers: int, unit: str) -> Path:
    """Where the list of a unit's tests that must pass is."""
    return HERE / "expected" / str(workers) / f"{unit}.txt"


def read_expected(workers: int, unit: str) -> Counter[str]:
    """Names of the tests that must pass; a name that repeats in the suite repeats in the list."""
    path = expected_file(workers, unit)
    return Counter(path.read_text().splitlines()) if path.exists() else Counter()


def read_beyond() -> dict[tuple[str, str], str]:
    """What each test beyond this version needs, by unit and name."""
    rows = (line.split("\t") for line in BEYOND.read_text().splitlines() if line and not line.startswith("#"))
    return {(unit, name): needs for unit, needs, name in rows}


def judge(unit: str, outcome: suite.Outcome, expected: Counter[str], beyond: dict[tuple[str, str], str]) -> Verdict:
    """Compares test by test."""
    verdict = Verdict(outcome.passed.total(), outcome.skipped.total(), new=outcome.passed - expected)
    for name in sorted((expected - outcome.passed).keys() | outcome.failed.keys()):
        if name not in expected and (unit, name) in beyond:
            verdict.skipped += 1
            continue
        reason = outcome.failed.get(name, "did not run, though the list says it must pass")
        verdict.failures.append(f"{name}: {reason}")
    verdict.failures += outcome.trouble
    return verdict


def update(job: Job, new: Counter[str]) -> None:
    """Adds tests to the list; what every number of workers passes is not in `beyond.tsv` any more."""
    unit, workers = job
    path = expected_file(workers, unit)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{name}\n" for name in sorted((read_expected(workers, unit) + new).elements())))
    everywhere = set.intersection(*(set(read_expected(number, unit)) for number in WORKERS))
    lines = [line.split("\t") for line in BEYOND.read_text().splitlines()]
    BEYOND.write_text("".join("\t".join(row) + "\n" for row in lines if row[0] != unit or row[-1] not in everywhere))


def run(options: argparse.Namespace) -> int:
    """Runs the chosen units, and reports each in its place; returns how many tests failed."""
    tests = suite.Suite(source.suite())
    beyond = read_beyond()
    jobs = [Job(unit, workers) for workers in options.workers for unit in options.unit]
    reruns = RERUNS if min(options.jobs, len(jobs)) > 1 else 0
    total = Verdict(0, 0)
    pool = ThreadPoolExecutor(options.jobs)
    try:
        futures = {job: pool.submit(run_one, tests, job, options, beyond) for job in sorted(jobs, key=haste)}
        for job in jobs:
            verdict = futures[job].result()
            if verdict.failures and reruns:
                reruns -= 1
                wait(futures.values())
                first, verdict = verdict, run_one(tests, job, options, beyond)
                verdict.note = f", run again by itself after {len(first.failures)} failed beside other units"
            if options.update:
                update(job, verdict.new)
            report(job, verdict)
            total.passed += verdict.passed
            total.skipped += verdict.skipped
            total.failures += verdict.failures
    finally:
        tests.end()
        pool.shutdown(cancel_futures=True)
    print(f"{total.passed} passed, {len(total.failures)} failed, {total.skipped} skipped")
    return len(total.failures)


def haste(job: Job) -> int:
    """What jobs are begun by: a long unit begun last would be waited for alone."""
    return LONGEST.index(job.unit) if job.unit in LONGEST else len(LONGEST)


def run_one(tests: suite.Suite, job: Job, options: argparse.Namespace, beyond: dict[tuple[str, str], str]) -> Verdict:
    """One unit against a fresh server."""
    begun = time.monotonic()
    try:
        with running(options.server, job.workers, FLAGS) as server:
            left_out = [name for (where, name), needs in beyond.items() if where == job.unit and needs in NOT_RUN]
            outcome = tests.run_unit(job.unit, server.port, free_port(64), options.timeout, left_out)
            if server.process.poll() is not None:
                outcome.trouble.append(f"the server ended with status {server.process.returncode}")
    except ServerError as error:
        outcome = suite.Outcome(trouble=[str(error)])
    verdict = judge(job.unit, outcome, read_expected(job.workers, job.unit), beyond)
    verdict.seconds = time.monotonic() - begun
    return verdict


def report(job: Job, verdict: Verdict) -> None:
    """A line for the unit, and below it what failed and what is new."""
    where = f"{job.workers} worker{'s' if job.workers > 1 else ''}"
    counts = f"{verdict.passed} passed, {len(verdict.failures)} failed, {verdict.skipped} skipped"
    print(f"{job.unit:<20} {where:<10} {counts}  ({verdict.seconds:.1f} s{verdict.note})")
    for failure in verdict.failures:
        print(f"    failed: {failure}")
    for name in verdict.new:
        print(f"    new: {name}")
    sys.stdout.flush()


def interrupt(number: int, frame: FrameType | None) -> None:
    """SIGTERM ends a run as Ctrl-C does: with everything that it started."""
    raise KeyboardInterrupt


def main() -> int:
    """Reads the command line; exit status 1 when something failed, 2 when the suite cannot be run here."""
    parser = argparse.ArgumentParser(prog="make conformance", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--unit", action="append", choices=UNITS, help="only this unit; may be repeated")
    parser.add_argument("--workers", action="append", type=int, help="only with that many workers; may be repeated")
    parser.add_argument("--server", choices=("shardkv", "redis"), default="shardkv", help="redis: a baseline")
    parser.add_argument(
        "--jobs", type=int, default=len(os.sched_getaffinity(0)), help="units that run at once (%(default)s: the cores)"
    )
    parser.add_argument("--timeout", type=float, default=300, metavar="SECONDS", help="for one unit (%(default)s)")
    parser.add_argument("--update", action="store_true", help="add tests that newly pass to the lists")
    options = parser.parse_args()
    options.jobs = max(options.jobs, 1)
    options.unit = options.unit or UNITS
    # Whether keys without a tag share a shard must not change from run to run: the lists say which tests pass then.
    os.environ["SHARDKV_TEST_SECRET"] = PUBLIC_SECRET.hex()
    options.workers = options.workers or (WORKERS if options.server == "shardkv" else WORKERS[:1])
    if suite.tclsh() is None:
        print("conformance needs Tcl: apt-get install tcl", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, interrupt)
    try:
        return min(run(options), 1)
    except KeyboardInterrupt:
        return 130
    except (source.SourceError, ServerError) as error:
        print(f"conformance: {error}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
