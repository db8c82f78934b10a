"""Transactions, commands on keys of several shards, and elements that clients wait for, beside Debian's redis-server.

Keys are chosen by hash tags for the shards that they are to lie in; a server's own secret tells where that is.
"""
from __future__ import annotations

import json
import os
import socket
import statistics
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import redis

from bench import fill, generator, rivals
from bench.compare import OURS, Options, Rows, emptied, in_turn, medians, side_by_side
from bench.rates import FIELDS
from bench.servers import ROOT, Server, ServerError
from shardkv.hashing import current_secret, key_shard, set_secret

SHARDS = 3
KEYS = 10
DEPTHS = (1, 16)
CLIENTS = 50
PROGRAM = ROOT / "build/handover"
WAITERS = {"1": 1, "50": 16, "1000": 16}  # clients that wait, and pushes under way when the rate is measured
HANDOVERS_A_SECOND = 10_000               # how many are made is asked for in seconds
PAUSE_SECONDS = 0.02                      # in which everybody falls asleep
TIMES = 100


@dataclass(frozen=True)
class Test:
    """What is sent: commands, `;` between them; `{0}` in a word is a hash tag of shard 0, and so on. With clients and a
    depth of its own it runs at that alone."""

    words: str
    clients: int = CLIENTS
    depths: tuple[int, ...] = DEPTHS
    needs: str = "exec"


TESTS = {
    "MULTI of two INCR on one shard": Test("MULTI ; INCR {0}:{random} ; INCR {0}:b:{random} ; EXEC"),
    "MULTI of two INCR on two shards": Test("MULTI ; INCR {0}:{random} ; INCR {1}:{random} ; EXEC"),
    "MGET of 10 keys on three shards": Test(
        f"MGET {' '.join(f'{{{key % SHARDS}}}:{key}' for key in range(KEYS))}", needs="mget",
    ),
    "MSET of 10 keys on three shards": Test(
        f"MSET {' '.join(f'{{{key % SHARDS}}}:{key} xxx' for key in range(KEYS))}", needs="mset",
    ),
    "SET and RENAME to another shard": Test("SET {0}:here v ; RENAME {0}:here {1}:there", 1, (1,), needs="rename"),
}
HANDOVERS = {
    "BLPOP": "BLPOP {0}:queue 0 ; LPUSH {0}:queue element",
    "XREADGROUP BLOCK": (
        "XREADGROUP GROUP group me COUNT 1 BLOCK 0 NOACK STREAMS {0}:stream > ; XADD {0}:stream MAXLEN ~ 1000 * field v"
    ),
}

Figures = TypeVar("Figures")
Runs = dict[tuple[str, str], dict[str, list[Figures]]]


def measure(options: Options) -> Iterator[Rows]:
    """{"rates": {depth: {test: {server: figures}}}, "handover": {command: {waiters: {server: figures}}},
    "lease": {"awake" or "asleep": {server: microseconds}}}, again after each round."""
    options = replace(options, workers=options.workers or SHARDS)
    with side_by_side(options, (rivals.DEBIAN,)) as servers:
        tags = tags_of(servers[OURS], options.workers or SHARDS)
        chosen = [name for name in options.chosen(TESTS) if knows(servers, TESTS[name].needs)]
        waits = [name for name in options.chosen(HANDOVERS) if knows(servers, "blpop")]
        rates: Runs[generator.Figures] = {}
        handovers: Runs[Handover] = {}
        leases: dict[str, dict[str, list[float]]] = {}
        for number in range(options.rounds):
            emptied(servers)
            order = in_turn(servers, number)
            for test in chosen:
                for depth in TESTS[test].depths:
                    for name, server in order:
                        figures = load(server, TESTS[test], depth, options, tags)
                        rates.setdefault((str(depth), test), {}).setdefault(name, []).append(figures)
            for command in waits:
                for waiters in WAITERS:
                    for name, server in order:
                        found = hand_over(server, command, waiters, options.seconds, tags)
                        handovers.setdefault((command, waiters), {}).setdefault(name, []).append(found)
            for name, server in order if len(chosen) == len(TESTS) else ():
                for state, microseconds in lease_us(server, tags).items():
                    leases.setdefault(state, {}).setdefault(name, []).append(microseconds)
            yield {
                "rates": nested(rates, FIELDS),
                "handover": nested(handovers, ("p50_us", "p99_us", "rps")),
                "lease": {
                    state: {name: statistics.median(times) for name, times in row.items()}
                    for state, row in leases.items()
                },
            }


def nested(table: Runs[Any], fields: tuple[str, ...]) -> dict[str, Any]:
    """A table by its first and its second name, with medians of each server's runs; `rates` keeps the single ones."""
    found: dict[str, Any] = {}
    for (group, name), row in table.items():
        found.setdefault(group, {})[name] = {
            server: {**medians(runs, fields), "rates": [run.rps for run in runs]} for server, runs in row.items()
        }
    return found


def known(server: Server) -> set[str]:
    """Those of the commands needed that a server has."""
    names = ("exec", "mget", "mset", "rename", "blpop")
    with redis.Redis(port=server.port, protocol=2) as connection:
        return fill.known_commands(connection, names)


def knows(servers: dict[str, Server], command: str) -> bool:
    """Whether all servers have a command."""
    return all(command in known(server) for server in servers.values())


def tags_of(server: Server, shards: int) -> list[str]:
    """A hash tag for each of three shards, of those that there are; of any for a rival."""
    if server.kind != OURS:
        return [f"{{{number}}}" for number in range(SHARDS)]
    identity = json.loads((server.folder / f"shardkv-{server.port}/instance.json").read_text())
    before = current_secret()
    set_secret(bytes.fromhex(identity["secret"]))
    try:
        return [
            next(tag for tag in map("{{{}}}".format, range(10_000)) if key_shard(tag.encode(), shards) == shard)
            for shard in (number % shards for number in range(SHARDS))
        ]
    finally:
        set_secret(before)


def words_of(text: str, tags: list[str]) -> tuple[str, ...]:
    """A request's words with the tags in place."""
    for number, tag in enumerate(tags):
        text = text.replace(f"{{{number}}}", f"<{tag[1:-1]}>")
    return tuple(word.replace("<", "{").replace(">", "}") if len(word) > 1 else word for word in text.split())


def load(server: Server, test: Test, depth: int, options: Options, tags: list[str]) -> generator.Figures:
    """Puts a test on a server."""
    return generator.run(
        server.port, words_of(test.words, tags), test.clients, depth, seconds=options.seconds, keys=options.random_keys,
    )


@dataclass(frozen=True)
class Handover:
    """What bench/handover.c measured: percentiles at one push at a time, the rate at several."""

    p50_us: float
    p99_us: float
    rps: float


def hand_over(server: Server, command: str, waiters: str, seconds: float, tags: list[str]) -> Handover:
    """Elements for clients that wait; raises RuntimeError with what went wrong."""
    words = words_of(HANDOVERS[command], tags)
    with redis.Redis(port=server.port, protocol=2) as connection:
        connection.delete(*(key for key in words if key.endswith((":queue", ":stream"))))
        if command.startswith("X"):
            stream = next(word for word in words if word.endswith(":stream"))
            connection.xgroup_create(stream, "group", mkstream=True)
    count = max(int(seconds * HANDOVERS_A_SECOND), 10)
    one = run_handover(server.port, words, int(waiters), 1, max(count // 4, 5))
    many = run_handover(server.port, words, int(waiters), WAITERS[waiters], count)
    return Handover(one["p50_us"], one["p99_us"], many["handovers"] / many["seconds"])


def run_handover(port: int, words: tuple[str, ...], waiters: int, depth: int, count: int) -> dict[str, float]:
    """Runs bench/handover.c."""
    line = (program(), "-p", str(port), "-w", str(waiters), "-d", str(depth), "-n", str(count), *words)
    done = subprocess.run(line, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, errors="replace")
    if done.returncode:
        raise RuntimeError(f"{' '.join(words)[:80]}: {done.stderr.strip() or f'status {done.returncode}'}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def program() -> str:
    """Path of the compiled program; raises ServerError when it is not compiled."""
    if not os.access(PROGRAM, os.X_OK):
        raise ServerError(f"{PROGRAM.relative_to(ROOT)} is not compiled: make {PROGRAM.relative_to(ROOT)}")
    return str(PROGRAM)


def lease_us(server: Server, tags: list[str]) -> dict[str, float]:
    """What a MULTI of two INCR takes longer on two shards than on one, in microseconds: of one client, without a pause
    between requests (everybody is awake), and with one in which all fall asleep."""
    one, two = (words_of(TESTS[f"MULTI of two INCR on {where}"].words, tags) for where in ("one shard", "two shards"))
    with socket.create_connection(("127.0.0.1", server.port), timeout=fill.REPLY_SECONDS) as connection:
        return {
            state: statistics.median(taken(connection, two, pause)) - statistics.median(taken(connection, one, pause))
            for state, pause in (("awake", 0.0), ("asleep", PAUSE_SECONDS))
        }


def taken(connection: socket.socket, words: tuple[str, ...], pause: float) -> list[float]:
    """Microseconds from a request's departure to its last reply, of each time."""
    text = " ".join(words).replace(generator.RANDOM, "1")
    request = b"".join(fill.request(*command.encode().split()) for command in text.split(" ; "))
    times = []
    for _ in range(TIMES if pause else TIMES * 10):
        time.sleep(pause)
        begun = time.perf_counter()
        connection.sendall(request)
        reply = b""
        while reply.count(b"\r\n") < 6:  # OK, QUEUED, QUEUED, an array's head, two integers
            reply += connection.recv(1 << 12)
        times.append((time.perf_counter() - begun) * 1e6)
    return times
