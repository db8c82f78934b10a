"""EXEC and WATCH in a worker: one command behind the other, each undone by itself; what is not believed."""
from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

import pytest

from shardkv._testing import key_hash
from shardkv.commands.table import command_id
from tests.harness import Server
from tests.wire import Wire
from tests.workers.commands.executors import apart, executor
from workers._testing_commands import Executor
from workers.call import BadRecord

STEP = struct.Struct("<HHIQBB6x")
WATCHED = struct.Struct("<HHIQQQ")
SET, EXEC = command_id("set"), command_id("exec")
LARGE = b"x" * 300_000  # bytes: more than travels in a ring


@pytest.fixture(params=[1, 3])
def shards(request: pytest.FixtureRequest) -> Iterator[Executor]:
    with apart(request.param), executor(shards=request.param) as made:
        yield made


def watch(shards: Executor, key: bytes, database: int = 0) -> tuple[bytes, bytes]:
    """A key, and what WATCH tells of it."""
    told = shards.run("watch", key, database=database)
    head = b"*1\r\n$%d\r\n" % WATCHED.size
    assert told.startswith(head) and len(told) == len(head) + WATCHED.size + 2
    return key, told[len(head) : -2]


def test_a_command_that_fails_leaves_the_others(shards: Executor) -> None:
    shards.run("rpush", b"a", b"1")
    steps = [
        ("set", [b"b", b"x"], 0), ("smove", [b"s", b"a", b"m"], 0), ("incr", [b"b"], 0), ("rename", [b"none", b"c"], 0),
        ("lmove", [b"a", b"c", b"LEFT", b"LEFT"], 0), ("msetnx", [b"b", b"1", b"d", b"1"], 0), ("get", [b"b"], 3),
        ("set", [b"b", b"3"], 3), ("get", [b"b"], 3), ("mget", [b"b", b"d"], 0), ("dbsize", [], 0),
    ]
    assert shards.execute(steps) == (
        b"*11\r\n+OK\r\n:0\r\n-ERR value is not an integer or out of range\r\n-ERR no such key\r\n$1\r\n1\r\n:0\r\n"
        b"$-1\r\n+OK\r\n$1\r\n3\r\n*2\r\n$1\r\nx\r\n$-1\r\n:2\r\n"
    )


def test_what_was_read_is_answered_though_it_changes(shards: Executor) -> None:
    shards.run("set", b"a", LARGE)
    reply = shards.execute([("get", [b"a"], 0), ("setrange", [b"a", b"0", b"y"], 0), ("rename", [b"a", b"b"], 0),
                            ("get", [b"b"], 0)])
    assert reply == b"*4\r\n$300000\r\n%b\r\n:300000\r\n+OK\r\n$300000\r\ny%b\r\n" % (LARGE, LARGE[1:])


def test_a_watched_key(shards: Executor) -> None:
    change, kept, undone = [("set", [b"b", b"1"], 0)], b"*1\r\n+OK\r\n", b"*-1\r\n"
    missing, other = watch(shards, b"a"), watch(shards, b"a", database=1)
    assert shards.execute(change, missing, other) == kept
    shards.run("set", b"a", b"1")
    assert shards.execute(change, other, missing) == undone
    assert shards.execute(change, other) == kept
    there = watch(shards, b"a")
    assert shards.execute(change, there) == kept
    shards.run("flushall")
    assert shards.execute(change, watch(shards, b"a")) == kept
    assert shards.execute(change, there) == undone
    there = watch(shards, b"b")
    shards.run("swapdb", b"0", b"5")
    assert shards.execute(change, there) == undone


def test_a_key_that_expires_while_it_is_watched(shards: Executor) -> None:
    shards.run("set", b"a", b"1", b"PXAT", b"5000", now_ms=1000)
    there = watch(shards, b"a")
    assert shards.execute([("incr", [b"b"], 0)], there, now_ms=4000) == b"*1\r\n:1\r\n"
    assert shards.execute([("incr", [b"b"], 0)], there, now_ms=6000) == b"*-1\r\n"


def test_changes_of_keys_that_somebody_waits_for_are_noted(shards: Executor) -> None:
    shards.await_key(b"a")
    shards.run("set", b"b", b"1")
    shards.run("get", b"a")
    assert shards.noted() == ([], [0] * len(shards.keyspaces))
    shards.execute([("rpush", [b"c", b"1", b"2"], 0), ("lmove", [b"c", b"a", b"LEFT", b"LEFT"], 0), ("del", [b"a"], 0)])
    keys, databases = shards.noted()
    assert set(keys) == {(0, key_hash(b"a"))} and len(keys) >= 2 and not any(databases)
    shards.run("swapdb", b"1", b"2")
    assert shards.noted() == ([], [6] * len(shards.keyspaces))


def step(command: int = SET, argc: int = 3, database: int = 0) -> bytes:
    """An ExecStep."""
    return STEP.pack(command, database, argc, 0, 2, 0)


@pytest.mark.parametrize(
    "words",
    [
        [], [step()], [step()[:-1], b"", b"set", b"a", b"1"], [step(), b"x", b"set", b"a", b"1"],
        [step(), b"", b"set", b"a"], [step(), b"", b"set", b"a", b"1", b"more"], [step(argc=0), b""],
        [step(argc=0xFFFFFFFF), b"", b"set", b"a", b"1"], [step(argc=2), b"", b"set", b"a"],
        [step(command=0xFFFF), b"", b"set", b"a", b"1"], [step(command=command_id("ping"), argc=1), b"", b"ping"],
        [step(database=16), b"", b"set", b"a", b"1"], [step(command=EXEC, argc=1), b"", b"exec"],
        [step(), WATCHED.pack(16, 0, 0, 0, 0, 0), b"set", b"a", b"1", b"b"],
        [step(), WATCHED.pack(0, 0, 0, 0, 0, 0), b"set", b"a", b"1"],
    ],
)
def test_what_does_not_fit_is_not_believed(words: list[bytes]) -> None:
    with executor() as shards:
        shards.run("set", b"a", b"before")
        with pytest.raises(BadRecord):
            shards.run("exec", *words)
        assert shards.run("get", b"a") == b"$6\r\nbefore\r\n"


@pytest.mark.parametrize("workers", ["1", "3"])
def test_long_ones(make_server: Callable[..., Server], workers: str) -> None:
    server = make_server("--workers", workers)
    with Wire(server.port) as wire:
        requests = [[b"multi"]]
        for number in range(30):
            requests += [[b"set", b"k%d" % number, LARGE], [b"incr", b"n%d" % number], [b"get", b"k%d" % number]]
        *_, executed = wire.ask_all([*requests, [b"exec"]])
        assert executed == ["+OK", 1, LARGE] * 30
        stats = wire.ask("info", "commandstats").decode()
        for name, calls in (("exec", 1), ("set", 30), ("incr", 30), ("get", 30)):
            assert f"cmdstat_{name}:calls={calls}," in stats


def test_no_memory_for_one_that_needs_some(make_server: Callable[..., Server]) -> None:
    server = make_server("--workers", "1")
    with Wire(server.port) as wire:
        wire.ask("set", "a", LARGE)
        outcomes = []
        for words in ([b"set", b"b", b"1"], [b"del", b"a"]):
            wire.ask_all([[b"multi"], [b"get", b"b"], words])
            with Wire(server.port) as other:
                assert other.ask("config", "set", "maxmemory", "100000") == "+OK"
                outcomes.append(wire.ask("exec"))
                assert other.ask("config", "set", "maxmemory", "0") == "+OK"
        assert outcomes == [
            "-EXECABORT Transaction discarded because of: OOM command not allowed when used memory > 'maxmemory'.",
            [None, 1],
        ]
