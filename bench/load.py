"""The loads that are put on a server, and what is read of its processes meanwhile."""
from __future__ import annotations

import re
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

import redis

from bench.servers import Server, redis_benchmark

CLIENTS = 50
RUN_SECONDS = 300  # no single run of redis-benchmark may take longer
KEY_BYTES, VALUE_BYTES = 16, 64
BATCH = 5000

# redis-benchmark's tests (its -t names) and the command each one needs of the server.
TESTS = {
    "ping_inline": "ping", "ping_mbulk": "ping", "set": "set", "get": "get", "incr": "incr", "lpush": "lpush",
    "rpush": "rpush", "lpop": "lpop", "rpop": "rpop", "sadd": "sadd", "hset": "hset", "spop": "spop", "zadd": "zadd",
    "zpopmin": "zpopmin", "lrange_100": "lrange", "lrange_300": "lrange", "lrange_500": "lrange",
    "lrange_600": "lrange", "mset": "mset",
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
        known = {name for name in set(TESTS.values()) if any(connection.execute_command("COMMAND INFO", name))}
    return [test for test, command in TESTS.items() if command in known]


def benchmark(server: Server, test: str, depth: int, requests: int, keys: int) -> Run:
    """Runs one test of redis-benchmark; raises subprocess.SubprocessError when it fails or takes too long."""
    before = cpu_seconds(server)
    done = subprocess.run(
        [
            redis_benchmark(), "-p", str(server.port), "-t", test, "-P", str(depth), "-c", str(CLIENTS),
            "-n", str(requests), "-r", str(keys),
        ],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=RUN_SECONDS, check=True,
    )
    after = cpu_seconds(server)
    rps, p50, p99, p999 = parse(done.stdout)
    return Run(rps, p50, p99, p999, {role: (after[role] - before.get(role, 0.0)) / requests for role in after})


def parse(output: str) -> tuple[float, float, float, float]:
    """Throughput and the 50th, 99th and 99.9th percentile (ms) of redis-benchmark's report; ValueError if not there."""
    # The last report counts: LRANGE's tests print the one of their own filling first.
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
    for pid in server.pids():
        try:
            spent = sum(int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))
            used[role(pid)] = used.get(role(pid), 0.0) + spent / 1e9
        except (OSError, IndexError):
            continue  # ended meanwhile
    return used


def role(pid: int) -> str:
    """What a process is, from its title: `shardkv: worker 2` is a worker."""
    title = Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    match = re.match(r"shardkv: ([a-z]+)", title)
    return match[1] if match else "server"


def fill(server: Server, keys: int) -> None:
    """Sets `keys` keys of 16 bytes to values of 64 bytes; raises RuntimeError when a reply is not OK."""
    value = b"v" * VALUE_BYTES
    with socket.create_connection(("127.0.0.1", server.port), timeout=RUN_SECONDS) as connection:
        for first in range(0, keys, BATCH):
            last = min(first + BATCH, keys)
            connection.sendall(
                b"".join(
                    b"*3\r\n$3\r\nSET\r\n$%d\r\nkey:%012d\r\n$%d\r\n%b\r\n" % (KEY_BYTES, number, VALUE_BYTES, value)
                    for number in range(first, last)
                )
            )
            wanted = b"+OK\r\n" * (last - first)
            got = b""
            while got != wanted:
                part = connection.recv(1 << 20)
                got += part
                if not part or not wanted.startswith(got):
                    raise RuntimeError(f"{server.kind} did not take the keys: {got[-100:]!r}")


@dataclass(frozen=True)
class Memory:
    """Bytes in use: as the server counts them, and as the system does (private pages and blocks of the arenas)."""

    counted: int
    real: int


def memory(server: Server) -> Memory:
    """Memory of the server now. Pages of shared files are counted once, by the blocks of the arenas."""
    with client(server) as connection:
        counted = int(connection.info("memory")["used_memory"])
    private = 0
    for pid in server.pids():
        match = re.search(r"^RssAnon:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
        private += int(match[1]) * 1024 if match else 0
    blocks = sum(path.stat().st_blocks * 512 for path in server.folder.rglob("arena-*"))
    return Memory(counted, private + blocks)
