"""Every command is all or nothing: executed and rolled back, it leaves every reachable byte of the arena as it was."""
from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardkv.commands.spec import Route
from shardkv.commands.table import COMMANDS, by_name
from tests.workers.commands.arguments import STREAM_IN_USE, Words, call_of
from tests.workers.commands.executors import executor
from workers.commands import MODULES
from workers.registry import load

MIB = 1 << 20
HANDLED = load(MODULES)
DATA_COMMANDS = [
    c.name for c in COMMANDS if c.route not in (Route.LOCAL, Route.TRANSACTION) and c.name in HANDLED
]
NOW = 5_000_000

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


@settings(max_examples=80)
@given(steps=STEPS, last=ANY_CALL)
def test_any_command_rolls_back(steps: list[tuple[Words, int, int]], last: Words) -> None:
    with executor() as shard:
        now = NOW
        for (name, words), database, passed in steps:
            now += passed
            shard.run(name, *words, database=database, now_ms=now)
        before = shard.arena.fingerprint()
        undone = shard.run(last[0], *last[1], now_ms=now, keep=False)
        assert shard.arena.fingerprint() == before
        shard.arena.check()
        done = shard.run(last[0], *last[1], now_ms=now)
        if "nondeterministic_output" not in by_name[last[0]].tips:
            assert done == undone, "what was rolled back left a trace"
        shard.arena.check()


@pytest.mark.parametrize("name", DATA_COMMANDS)
def test_each_command_rolls_back(name: str) -> None:
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
        before = shard.arena.fingerprint()
        shard.run(name, *call[1], now_ms=NOW + 100, keep=False)
        assert shard.arena.fingerprint() == before

    with executor() as shard:
        rolls_back()
