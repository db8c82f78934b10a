"""Runs bench/generator.c, which puts load on a server at little cost of its own."""
from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass

from bench import fill
from bench.servers import ROOT, Server, ServerError

PROGRAM = ROOT / "build/generator"
PATIENCE_SECONDS = 20  # without a reply, and for what is awaited after the last request
RANDOM = "{random}"


class LoadError(RuntimeError):
    """A run that the server spoilt: by an error, a reply that is no RESP, a lost connection, silence."""


@dataclass(frozen=True)
class Load:
    """A request, word by word, and what must be there before: whether the keys."""

    words: tuple[str, ...]
    needs_keys: bool = False

    @property
    def command(self) -> str:
        """The command that the server must have."""
        return self.words[0]


_VALUE = fill.BENCHMARK_DATA.decode()
_MEMBER = f"element:{RANDOM}"
LOADS = {
    "get": Load(("GET", f"key:{RANDOM}"), needs_keys=True),
    "set": Load(("SET", f"key:{RANDOM}", _VALUE)),
    "incr": Load(("INCR", f"counter:{RANDOM}")),
    "lpush": Load(("LPUSH", "mylist", _VALUE)),
    "sadd": Load(("SADD", "myset", _MEMBER)),
    "hset": Load(("HSET", "myhash", _MEMBER, _VALUE)),
    "zadd": Load(("ZADD", "myzset", RANDOM, _MEMBER)),
    "xadd": Load(("XADD", "mystream", "*", "myfield", _VALUE)),
}


@dataclass(frozen=True)
class Figures:
    """What a run counted: replies, and the nulls in them; the generator's own CPU time a request, in all and in the
    kernel; percentiles of the time from a batch's departure to its last reply, which is a request's at depth 1."""

    requests: int
    seconds: float
    nulls: int
    cpu_us: float
    kernel_us: float
    p50_us: float
    p99_us: float
    p999_us: float
    longest_us: float

    @property
    def rps(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


def run(
    port: int, words: tuple[str, ...], clients: int, depth: int, *,
    requests: int = 0, seconds: float = 0.0, keys: int = 1, patience: float = PATIENCE_SECONDS,
) -> Figures:
    """Sends so many requests, or for so many seconds; raises LoadError, and ServerError without the program."""
    limit = ("-n", str(requests)) if requests else ("-s", str(seconds))
    line = (
        program(), "-p", str(port), "-c", str(clients), "-d", str(depth), "-k", str(keys), "-t", str(patience), *limit,
        *words,
    )
    done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, errors="replace")
    if done.returncode:
        raise LoadError(f"{' '.join(words)[:80]}: {done.stderr.strip() or f'status {done.returncode}'}")
    return Figures(**json.loads(done.stdout))


def load(server: Server, name: str, clients: int, depth: int, seconds: float, keys: int) -> Figures:
    """Puts one of LOADS on a server, filled before with what it reads; raises LoadError when a key is not found."""
    chosen = LOADS[name]
    if chosen.needs_keys:
        fill.strings(server, keys, fill.BENCHMARK_DATA)
    figures = run(server.port, chosen.words, clients, depth, seconds=seconds, keys=keys)
    if figures.nulls:
        raise LoadError(f"{server.kind}: {figures.nulls} of {figures.requests} replies to {name} are null")
    return figures


def program() -> str:
    """Path of the compiled generator; raises ServerError when it is not compiled."""
    if not os.access(PROGRAM, os.X_OK):
        raise ServerError(f"{PROGRAM.relative_to(ROOT)} is not compiled: make {PROGRAM.relative_to(ROOT)}")
    return str(PROGRAM)
