"""Every command is all or nothing: executed and rolled back, it leaves every reachable byte of the arena as it was."""
from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardkv.commands.spec import Route
from shardkv.commands.table import COMMANDS, by_name
from tests.workers.commands.arguments import STREAM_IN_USE, Words, call_of
from tests.workers.commands.executors import apart, executor
from workers.commands import MODULES
from workers.registry import load

MIB = 1 << 20
HANDLED = load(MODULES)
DATA_COMMANDS = [
    c.name for c in COMMANDS if c.route not in (Route.LOCAL, Route.TRANSACTION) and c.name in HANDLED
]
NOW = 5_000_000

# They may name keys of several shards, or speak of all keys.
SEVERAL = [
    name for name in DATA_COMMANDS
    if len(by_name[name].keys) != 1 or (spec := by_name[name].keys[0]).keynum or spec.index is None or spec.last
]
ANY_CALL = st.sampled_from(DATA_COMMANDS).flatmap(call_of)
# What leaves something behind comes often.
SETTERS = [
    "set", "mset", "append", "setrange", "setbit", "pexpireat", "rpush", "sadd", "hset", "zadd", "xadd", "pfadd",
    "geoadd", "xgroup|create", "xreadgroup",
]
SETTING = st.sampled_from([name for name in SETTERS if name in HANDLED]).flatmap(call_of)
# One key of each type, small and large, for commands of that type to work on.
SMALL, LARGE = [b"a", b"b", b"1", b"x" * 70], [b"%d" % number for number in range(600)]
VALUES_OF: dict[str, tuple[str, list[list[bytes]]]] = {
    "list": ("rpush", [SMALL, LARGE]),
    "set": ("sadd", [SMALL, LARGE]),
    "hash": ("hset", [SMALL, LARGE]),
    "sorted-set": ("zadd", [[b"1", b"a", b"2", b"b"], LARGE]),
    "stream": ("xadd", [[b"1-1", b"a", b"b"], [b"2-1", *LARGE]]),
    "hyperloglog": ("pfadd", [SMALL, LARGE]),
    "geo": ("geoadd", [[b"13.361389", b"38.115556", b"a"], [b"15.087269", b"37.502669", b"b"]]),
}
STEPS = st.lists(st.tuples(st.one_of(SETTING, ANY_CALL), st.sampled_from([0, 0, 1]), st.integers(0, 3000)), max_size=12)


@pytest.mark.parametrize("shards", [1, 3])
@settings(max_examples=80)
@given(steps=STEPS, last=ANY_CALL)
def test_any_command_rolls_back(shards: int, steps: list[tuple[Words, int, int]], last: Words) -> None:
    with apart(shards), executor(shards=shards) as shard:
        now = NOW
        for (name, words), database, passed in steps:
            now += passed
            shard.run(name, *words, database=database, now_ms=now)
        before = shard.fingerprint()
        undone = shard.run(last[0], *last[1], now_ms=now, keep=False)
        assert shard.fingerprint() == before
        for arena in shard.arenas:
            arena.check()
        done = shard.run(last[0], *last[1], now_ms=now)
        if "nondeterministic_output" not in by_name[last[0]].tips:
            assert done == undone, "what was rolled back left a trace"


@settings(max_examples=80)
@given(steps=STEPS, calls=st.lists(ANY_CALL, min_size=2, max_size=5))
def test_a_transaction_rolls_back(steps: list[tuple[Words, int, int]], calls: list[Words]) -> None:
    with apart(3), executor(shards=3) as shard:
        for (name, words), database, _ in steps:
            shard.run(name, *words, database=database, now_ms=NOW)
        before = shard.fingerprint()
        shard.execute([(name, words, 0) for name, words in calls], now_ms=NOW, keep=False)
        assert shard.fingerprint() == before
        for arena in shard.arenas:
            arena.check()


@settings(max_examples=80)
@given(steps=STEPS, calls=st.lists(ANY_CALL, min_size=2, max_size=5), seed=st.integers(0, 99))
def test_a_transaction_does_what_its_commands_do(
    steps: list[tuple[Words, int, int]], calls: list[Words], seed: int
) -> None:
    # Also those that fail, which leave nothing, and those behind them.
    states, replies = [], []
    for together in (True, False):
        with apart(3), executor(shards=3) as shard:
            for (name, words), database, _ in steps:
                shard.run(name, *words, database=database, now_ms=NOW)
            shard.seed(seed)
            if together:
                replies.append(shard.execute([(name, words, 0) for name, words in calls], now_ms=NOW))
            else:
                parts = [shard.run(name, *words, now_ms=NOW) for name, words in calls]
                replies.append(b"*%d\r\n" % len(parts) + b"".join(parts))
            states.append(shard.run("@debug-digest", now_ms=NOW))
    assert replies[0] == replies[1] and states[0] == states[1]


@pytest.mark.parametrize(("name", "shards"), [*((name, 1) for name in DATA_COMMANDS), *((name, 3) for name in SEVERAL)])
def test_each_command_rolls_back(name: str, shards: int) -> None:
    @settings(max_examples=6)
    @given(call=call_of(name))
    def rolls_back(call: Words) -> None:
        shard.run("flushall")
        shard.run("mset", b"a", b"1", b"b", b"x" * 300, b"c", b"z" * 40_000)
        shard.run("set", b"k" * 1500, b"short", b"PXAT", b"9999999", now_ms=NOW)
        shard.run("set", b"", b"gone", b"PXAT", b"5000001", now_ms=NOW)
        setter, values = VALUES_OF.get(by_name[name].group, ("", []))
        for key, value in zip([b"a", b"b"], values if setter in HANDLED else [], strict=False):
            shard.run("del", key)
            shard.run(setter, key, *value)
        for step, words in STREAM_IN_USE if setter == "xadd" else []:
            shard.run(step, *words)
        before = shard.fingerprint()
        shard.run(name, *call[1], now_ms=NOW + 100, keep=False)
        assert shard.fingerprint() == before

    with apart(shards), executor(shards=shards) as shard:
        rolls_back()
