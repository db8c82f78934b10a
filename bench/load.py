"""The loads that are put on a server, and what is read of its processes meanwhile."""
from __future__ import annotations

import contextlib
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

import redis

from bench import fill
from bench.servers import Server, redis_benchmark

CLIENTS = 50
RUN_SECONDS = 300  # no single run of redis-benchmark may take longer
LEAST_REQUESTS = 10_000  # redis-benchmark counts milliseconds: with none, its rate is infinite
KEYS = "keys"
PIPELINED_MORE = 8  # a pipelined run takes this many times the requests, so that it lasts about as long


@dataclass(frozen=True)
class Test:
    """A test of redis-benchmark: its -t name, or the command line that stands in for one.

    `command` is what it needs of the server; `filled` what must be there before: KEYS, or the collection that must
    have an element for each request; `less` divides the number of requests, at depth 1 and pipelined, for what is slow
    by nature.
    """

    command: str
    line: tuple[str, ...] = ()
    filled: str = ""
    less: tuple[int, int] = (1, 1)


def _range(last: int, less: tuple[int, int]) -> Test:
    # redis-benchmark's own tests of LRANGE send as many LPUSHes first, whose CPU time would be counted too.
    return Test("lrange", ("LRANGE", "mylist", "0", str(last)), "list", less)


# In redis-benchmark's order. It has no test of XADD.
TESTS = {
    "ping_inline": Test("ping"), "ping_mbulk": Test("ping"), "set": Test("set", filled=KEYS),
    "get": Test("get", filled=KEYS), "incr": Test("incr"), "lpush": Test("lpush"), "rpush": Test("rpush"),
    "lpop": Test("lpop", filled="list"), "rpop": Test("rpop", filled="list"), "sadd": Test("sadd"),
    "hset": Test("hset"), "spop": Test("spop", filled="set"), "zadd": Test("zadd"),
    "zpopmin": Test("zpopmin", filled="sorted set"),
    "lrange_100": _range(99, (2, 8)), "lrange_300": _range(299, (4, 24)), "lrange_500": _range(499, (6, 36)),
    "lrange_600": _range(599, (8, 48)), "mset": Test("mset", less=(2, 4)),
    "xadd": Test("xadd", ("XADD", "mystream", "*", "myfield", fill.BENCHMARK_DATA.decode())),
}


@dataclass(frozen=True)
class Run:
    """One run of redis-benchmark: requests a second, percentiles in ms, CPU seconds a request by role."""

    rps: float
    p50: float
    p99: float
    p999: float
    cpu: dict[str, float]


def client(server: Server) -> redis.Redis:
    """A connection to the server, RESP2."""
    return redis.Redis(port=server.port, protocol=2, socket_timeout=RUN_SECONDS)


def known_tests(server: Server) -> list[str]:
    """Those of redis-benchmark's tests whose command the server has, in redis-benchmark's order."""
    with client(server) as connection:
        known = fill.known_commands(connection, {test.command for test in TESTS.values()})
    return [name for name, test in TESTS.items() if test.command in known]


def requests_of(test: str, depth: int, requests: int, clients: int = CLIENTS) -> int:
    """How many requests a run of the test takes, when one of a quick command takes `requests` at depth 1."""
    less = TESTS[test].less[depth > 1]
    return max(requests * (PIPELINED_MORE if depth > 1 else 1) // less, clients * depth)


def prepare(server: Server, test: str, requests: int, keys: int) -> None:
    """Fills what the test reads or takes from, so that it never meets nothing. Raises RuntimeError."""
    filled = TESTS[test].filled
    if filled == KEYS:
        fill.strings(server, keys, fill.BENCHMARK_DATA)
    elif filled:
        fill.collection(server, filled, requests, fill.BENCHMARK_DATA if filled == "list" else b"")


def benchmark(server: Server, test: str, depth: int, requests: int, keys: int, clients: int = CLIENTS) -> Run:
    """Runs one test, of LEAST_REQUESTS at least; raises subprocess.SubprocessError when it fails or takes too long."""
    requests = max(requests, LEAST_REQUESTS)
    before = cpu_seconds(server)
    done = subprocess.run(
        [
            redis_benchmark(), "-p", str(server.port), "-P", str(depth), "-c", str(clients), "-n", str(requests),
            "-r", str(keys), *(TESTS[test].line or ("-t", test)),
        ],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=RUN_SECONDS, check=True,
    )
    after = cpu_seconds(server)
    rps, p50, p99, p999 = parse(done.stdout)
    return Run(rps, p50, p99, p999, {role: (after[role] - before.get(role, 0.0)) / requests for role in after})


def parse(output: str) -> tuple[float, float, float, float]:
    """Throughput and the 50th, 99th and 99.9th percentile (ms) of redis-benchmark's report; ValueError if not there."""
    output = output.replace("\r", "\n")
    rates = re.findall(r"throughput summary: ([\d.]+) requests per second", output)
    _, _, report = output.rpartition("Latency by percentile distribution:")
    points = re.findall(r"([\d.]+)% <= ([\d.]+) milliseconds", report.partition("Cumulative distribution")[0])
    if not rates or not points:
        raise ValueError(f"redis-benchmark reported nothing: {output.strip()[-200:]!r}")
    at = [next(float(ms) for share, ms in points if float(share) >= wanted) for wanted in (50, 99, 99.9)]
    return float(rates[-1]), at[0], at[1], at[2]


def cpu_seconds(server: Server) -> dict[str, float]:
    """CPU seconds of the server's processes since they started, by role (server, supervisor, acceptor, worker)."""
    used: dict[str, float] = {}
    for name, pids in server.pids_by_role().items():
        for pid in pids:
            with contextlib.suppress(OSError, IndexError):  # it ended meanwhile
                tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
                used[name] = used.get(name, 0.0) + sum(int(path.read_text().split()[0]) for path in tasks) / 1e9
    return used
