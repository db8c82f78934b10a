"""Where the CPU time of a request goes: its share by process, context switches and system calls, beside redis-server.
The generator is redis-benchmark, which shares the cores.

CPU time and switches come from /proc, in runs that nothing disturbs. System calls are counted by `strace -c`, where it
is installed and may attach, in shorter runs of their own: tracing slows a server down, so its batches are larger there
and its calls a little fewer than in truth. Prints a table; writes nothing.
"""
from __future__ import annotations

import argparse
import contextlib
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import load
from bench.servers import Server, ServerError, redis_benchmark, running

DEPTHS = (1, 16)
PIPELINED_MORE = 8  # times the requests at depth 16: a run there is that much quicker
TRACED_LESS = 4     # a traced run has fewer requests by this factor
KEYS = 100_000
ATTACH_SECONDS = 10
NOTHING = 0.05      # µs of CPU a request below which a process is left out: the supervisor sleeps
SHOWN_CALLS = 3     # the most frequent system calls of a process are named
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Usage:
    """What processes of one role used: CPU seconds, of them in the kernel (to a clock tick), switches by kind."""

    cpu: float = 0.0
    kernel: float = 0.0
    yielded: int = 0    # it slept or waited
    preempted: int = 0  # it was pushed off its core


def main() -> int:
    """Measures and prints; returns the exit status."""
    options = arguments()
    print(f"{'':<30}{'requests':>10}{'CPU µs':>11}{'kernel':>8}{'switches per 1000':>20}   system calls")
    print(
        f"{'server, test':<16}{'P':>3} {'process':<10}{'a second':>10}{'a request':>11}{'share':>8}"
        f"{'slept':>10}{'pushed':>10}   a request"
    )
    try:
        redis_benchmark()
        for kind in options.server or ("shardkv", "redis"):
            with running(kind, options.workers if kind == "shardkv" else None) as server:
                load.benchmark(server, "set", 16, 2 * KEYS, KEYS)  # so that all has started
                for depth in DEPTHS:
                    for test in options.test or ("set", "get"):
                        report(server, test, depth, options.requests * (PIPELINED_MORE if depth > 1 else 1))
    except ServerError as error:
        print(f"profile: {error}", file=sys.stderr)
        return 1
    return 0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="make profile", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--requests", type=int, default=50_000, help=f"at depth 1; {PIPELINED_MORE} times that at 16")
    parser.add_argument("--test", action="append", choices=sorted(load.TESTS), help="set and get; may be repeated")
    parser.add_argument("--server", action="append", choices=("shardkv", "redis"), help="only this one")
    parser.add_argument("--workers", type=int, help="passed on to shardkv")
    return parser.parse_args()


def report(server: Server, test: str, depth: int, requests: int) -> None:
    """Measures one test and prints a line for each role that used any CPU time."""
    load.prepare(server, test, requests + requests // TRACED_LESS, KEYS)
    before = usage(server)
    run = load.benchmark(server, test, depth, requests, KEYS)
    after = usage(server)
    calls = system_calls(server, test, depth, requests // TRACED_LESS)
    for role, now in after.items():
        then = before.get(role, Usage())
        cpu = now.cpu - then.cpu
        if cpu / requests * 1e6 < NOTHING:
            continue
        print(
            f"{server.kind + ' ' + test:<16}{depth:>3} {role:<10}{run.rps:>10,.0f}{cpu / requests * 1e6:>11.2f}"
            f"{(now.kernel - then.kernel) / cpu:>8.0%}{(now.yielded - then.yielded) / requests * 1000:>10.1f}"
            f"{(now.preempted - then.preempted) / requests * 1000:>10.1f}   {counted(calls.get(role), requests)}",
            flush=True,
        )


def counted(calls: Counter[str] | None, requests: int) -> str:
    """System calls a request in all, then the most frequent ones by name."""
    if calls is None:
        return "not counted"
    traced = requests // TRACED_LESS
    named = ", ".join(f"{name} {count / traced:.3f}" for name, count in calls.most_common(SHOWN_CALLS))
    return f"{calls.total() / traced:.3f}" + (f"  ({named})" if named else "")


def usage(server: Server) -> dict[str, Usage]:
    """What the server's processes, and the load generators that have ended, used since they started, by role."""
    found: dict[str, Usage] = {}
    cpu = load.cpu_seconds(server)
    for role, pid in ((role, pid) for role, pids in server.pids_by_role().items() for pid in pids):
        with contextlib.suppress(OSError):  # it ended meanwhile
            total = found.setdefault(role, Usage())
            for task in Path(f"/proc/{pid}/task").iterdir():
                status = (task / "status").read_text()
                total.yielded += number(r"^voluntary_ctxt_switches:\s+(\d+)", status)
                total.preempted += number(r"^nonvoluntary_ctxt_switches:\s+(\d+)", status)
                # Behind the name, which may hold anything: state is field 3 of proc(5), stime field 15.
                total.kernel += int((task / "stat").read_text().rpartition(")")[2].split()[12]) / TICKS
    for role, total in found.items():
        total.cpu = cpu.get(role, 0.0)
    load_cpu = resource.getrusage(resource.RUSAGE_CHILDREN)
    found["generator"] = Usage(
        load_cpu.ru_utime + load_cpu.ru_stime, load_cpu.ru_stime, load_cpu.ru_nvcsw, load_cpu.ru_nivcsw
    )
    return found


def number(pattern: str, text: str) -> int:
    """The number that `pattern` finds in `text`; 0 when it finds none."""
    match = re.search(pattern, text, re.MULTILINE)
    return int(match[1]) if match else 0


def system_calls(server: Server, test: str, depth: int, requests: int) -> dict[str, Counter[str]]:
    """System calls of a run by role; a role is left out when strace is not installed or may not attach."""
    pids = server.pids_by_role()
    pids.pop("supervisor", None)
    with contextlib.ExitStack() as stack, tempfile.TemporaryDirectory(prefix="shardkv-profile-") as folder:
        outputs = {role: Path(folder, role) for role in pids}
        counted_roles = {role for role in pids if stack.enter_context(traced(pids[role], outputs[role]))}
        if not counted_roles:
            return {}
        load.benchmark(server, test, depth, requests, KEYS)
        stack.close()
        return {role: parse(outputs[role].read_text()) for role in counted_roles}


@contextlib.contextmanager
def traced(pids: list[int], output: Path) -> Iterator[bool]:
    """Counts the system calls of `pids` into `output`, written at the end; False when that is not possible."""
    strace = shutil.which("strace")
    if strace is None:
        yield False
        return
    chosen = [word for pid in pids for word in ("-p", str(pid))]
    process = subprocess.Popen(
        [strace, "-c", "-f", "-o", str(output), *chosen], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield attached(process, pids)
    finally:
        process.send_signal(signal.SIGINT)  # it lets go, and writes
        process.wait()


def attached(process: subprocess.Popen[bytes], pids: list[int]) -> bool:
    """Waits until all of `pids` are traced; False when the tracer ends instead."""
    deadline = time.monotonic() + ATTACH_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError):  # one ended meanwhile: the tracer cannot attach, and ends
            statuses = (Path(f"/proc/{pid}/status").read_text() for pid in pids)
            if all(number(r"^TracerPid:\s+(\d+)", status) == process.pid for status in statuses):
                return True
        time.sleep(0.01)
    return False


def parse(output: str) -> Counter[str]:
    """Calls by name out of strace's table: share, seconds, µs a call, calls, errors if any, name."""
    rows = (line.split() for line in output.splitlines())
    table = [row for row in rows if len(row) >= 5 and row[3].isdigit() and row[-1] != "total"]
    return Counter({row[-1]: int(row[3]) for row in table})


if __name__ == "__main__":
    sys.exit(main())
