"""Random sequences of commands, family by family, against redis-server: every reply is the same in RESP2 and RESP3."""
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from shardkv.commands.spec import Command
from shardkv.commands.table import COMMANDS
from tests.harness import Server
from tests.wire import Wire
from tests.workers.commands.arguments import STREAM_IN_USE, Words, call_of
from workers.commands import MODULES
from workers.registry import load

FAMILIES = ("list", "set", "hash", "sorted-set", "stream", "hyperloglog", "geo")
HANDLED = load(MODULES)
# What works on keys of any type, and what makes strings where other types are expected.
COMMON = ("del", "rename", "copy", "exists", "type", "set", "sort", "expireat")
MAKING = {
    "list": ("rpush", "lpush"),
    "set": ("sadd",),
    "hash": ("hset",),
    "sorted-set": ("zadd",),
    "stream": ("xadd", "xgroup|create"),
    "hyperloglog": ("pfadd",),
    "geo": ("geoadd",),
}
LATER = ("7.4.0", "8.0.0")  # a redis-server of today may not know these
# Random or dependent on the clock, or told differently by redis-server 7.0 and 7.2; they have tests of their own.
UNSTEADY = {"xinfo|stream", "xinfo|consumers", "pfdebug", "pfselftest"}
# They depend on the clock by what the filter below leaves out alone.
STEADY = {"xadd", "xtrim", "xpending", "xclaim", "xautoclaim"}
UNORDERED = {"sort", "sort_ro", "georadius", "georadius_ro", "georadiusbymember", "georadiusbymember_ro", "geosearch"}
# `*` as an ID is the clock; ANY takes what comes first; a pattern without `*` does not sort; 7.0 has no WITHSCORE; what
# expires soon may do so between two questions.
UNSTEADY_WORDS = {b"ANY", b"[ab]", b"WITHSCORE", b"EX", b"PX", b"BLOCK"}


def _comparable(command: Command) -> bool:
    steady = "nondeterministic_output" not in command.tips or command.name in STEADY
    return command.name in HANDLED and command.since not in LATER and command.name not in UNSTEADY and steady


def _steady(call: Words) -> bool:
    name, words = call
    if name == "xadd" and b"*" in words:
        return False
    if name == "xpending" and len(words) > 2:
        return False  # tells how long entries were idle
    if name in ("xclaim", "xautoclaim") and words[3] in (b"1", b"2", b"3"):
        return False  # such entries may have become idle between two questions
    if name.startswith("z") and b"9223372036854775807" in words:
        return False  # 7.0 prints large scores with an exponent
    return not UNSTEADY_WORDS & set(words)


def _calls(family: str) -> st.SearchStrategy[Words]:
    names = [c.name for c in COMMANDS if c.group == family and _comparable(c)]
    common = [name for name in COMMON if name in HANDLED]
    weighed = st.sampled_from([MAKING[family], MAKING[family], names, names, names, common])
    return weighed.flatmap(st.sampled_from).flatmap(call_of).filter(_steady)


def _consumers(call: Words) -> list[list[bytes]]:
    """Key, group and consumer of a call that makes the consumer; in 7.0 only if there is something for it."""
    name, words = call
    if name in ("xclaim", "xautoclaim"):
        return [words[:3]]
    if name == "xreadgroup" and b"STREAMS" in words:
        keys = words[words.index(b"STREAMS") + 1 :]
        return [[key, *words[1:3]] for key in keys[: len(keys) // 2]]
    return []


def _groups(wire: Wire, key: str) -> Any:
    """All that a stream's groups hold but times, which is not the same in 7.0 and 7.2, or is what the clock says."""
    wire.ask("hello", 3)
    told = wire.ask("xinfo", "stream", key, "full", "count", 0)
    if isinstance(told, str):
        return told
    groups = []
    for _, pairs in dict(told[1])[b"groups"]:
        group = dict(pairs)
        group[b"pending"] = [(entry, owner, deliveries) for entry, owner, _, deliveries in group[b"pending"]]
        consumers = [dict(consumer[1]) for consumer in group.pop(b"consumers")]
        rows = [(one[b"name"], one[b"pel-count"], [(row[0], row[2]) for row in one[b"pending"]]) for one in consumers]
        groups.append((group, rows))
    return groups


def _sorted(reply: Any) -> Any:
    # Whatever order a server keeps, the parts are the same.
    if isinstance(reply, list):
        return sorted(map(_sorted, reply), key=repr)
    if isinstance(reply, tuple) and reply[0] in ("~", "%"):
        return reply[0], sorted(map(_sorted, reply[1]), key=repr)
    return reply


@pytest.fixture(scope="module")
def one_shard() -> Iterator[Server]:
    """A server with one worker: all keys may meet in one command."""
    with Server("--workers", "1") as running:
        yield running


@pytest.mark.parametrize("resp", [2, 3])
@pytest.mark.parametrize("family", FAMILIES)
def test_replies_are_those_of_redis(family: str, resp: int, one_shard: Server, oracle: redis.Redis) -> None:
    missing = [name for name in MAKING[family] if name not in HANDLED]
    if missing:
        pytest.skip(f"nothing executes {missing[0]}")
    unordered = UNORDERED | {c.name for c in COMMANDS if "nondeterministic_output_order" in c.tips}

    @settings(max_examples=15)
    @given(
        before=st.sampled_from([[], STREAM_IN_USE, STREAM_IN_USE] if family == "stream" else [[]]),
        calls=st.lists(_calls(family), min_size=8, max_size=30),
    )
    def same_replies(before: list[Words], calls: list[Words]) -> None:
        for wire in (ours, theirs):
            wire.ask("hello", resp)
            wire.ask("flushall")
        for name, words in before + calls:
            for consumer in _consumers((name, words)):
                for wire in (ours, theirs):
                    wire.ask("xgroup", "createconsumer", *consumer)
            request: list[bytes | str] = [*name.split("|"), *words]
            mine, expected = ours.ask(*request), theirs.ask(*request)
            if name in unordered:
                mine, expected = _sorted(mine), _sorted(expected)
            assert mine == expected, (name, words)
        for key in ("a", "b", "c") if family == "stream" else ():
            assert _groups(ours, key) == _groups(theirs, key)

    with Wire(one_shard.port) as ours, Wire(oracle.connection_pool.connection_kwargs["port"]) as theirs:
        same_replies()
