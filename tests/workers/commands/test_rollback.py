"""Every command is all or nothing: executed and rolled back, it leaves every reachable byte of the arena as it was."""
from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardkv.commands.spec import Arg, Route
from shardkv.commands.table import COMMANDS, by_name
from workers._testing_commands import Executor
from workers.memory.arena import Arena

MIB = 1 << 20
DATA_COMMANDS = [command.name for command in COMMANDS if command.route is not Route.LOCAL]
NOW = 5_000_000
Words = tuple[str, list[bytes]]  # a command's name, and its arguments

KEYS = st.sampled_from([b"a", b"b", b"c", b"", b"k" * 1500])
VALUES = st.sampled_from(
    [b"", b"1", b"-7", b"3.5", b"short", b"x" * 45, b"x" * 300, b"y" * 2040, b"y" * 2100, b"z" * 40_000, b"9" * 18]
)
INTEGERS = st.sampled_from([b"0", b"1", b"2", b"7", b"-1", b"40", b"3000", b"9223372036854775807", b"nonsense"])
OF_TYPE: dict[str, st.SearchStrategy[bytes]] = {
    "key": KEYS,
    "string": VALUES,
    "integer": INTEGERS,
    "double": st.sampled_from([b"1.5", b"-3e2", b"x"]),
    "unix-time": st.sampled_from([b"1", b"4999", b"5001", b"5000001", b"9999999", b"99999999999"]),
    "pattern": st.sampled_from([b"*", b"a*", b"[ab]"]),
}
OF_NAME = {"encoding": st.sampled_from([b"u8", b"i16", b"u63", b"i65"]), "bit": st.sampled_from([b"0", b"1"])}


def one(arg: Arg) -> st.SearchStrategy[list[bytes]]:
    """What may stand for one argument, as the command table describes it."""
    if arg.type == "pure-token":
        words = st.just([arg.token.encode()])
    elif arg.type == "oneof":
        words = st.one_of([one(option) for option in arg.args])
    elif arg.type == "block":
        words = several(arg.args)
    else:
        words = OF_NAME.get(arg.name, OF_TYPE[arg.type]).map(lambda word: [word])
    if arg.token and arg.type != "pure-token":
        words = words.map(lambda found: [arg.token.encode(), *found])
    if arg.multiple:
        words = st.lists(words, min_size=1, max_size=3).map(lambda found: sum(found, []))
    return st.one_of(st.just([]), words) if arg.optional else words


def several(args: tuple[Arg, ...]) -> st.SearchStrategy[list[bytes]]:
    """What may stand for arguments in a row."""
    return st.tuples(*map(one, args)).map(lambda found: sum(found, []))


def call_of(name: str) -> st.SearchStrategy[Words]:
    """A call of one command with arguments that mostly make sense."""
    return several(by_name[name].args).map(lambda words: (name, words))


ANY_CALL = st.sampled_from(DATA_COMMANDS).flatmap(call_of)
# What leaves something behind comes often.
SETTING = st.sampled_from(["set", "mset", "append", "setrange", "setbit", "pexpireat"]).flatmap(call_of)
STEPS = st.lists(st.tuples(st.one_of(SETTING, ANY_CALL), st.sampled_from([0, 0, 1]), st.integers(0, 3000)), max_size=12)


@contextmanager
def executor() -> Iterator[Executor]:
    """A new arena with commands to run on it."""
    with tempfile.TemporaryDirectory() as folder:
        arena = Arena.open(str(Path(folder) / "arena"), 0, 1, capacity=64 * MIB)
        try:
            yield Executor(arena)
        finally:
            arena.close()


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
        if last[0] != "randomkey":
            assert done == undone, "what was rolled back left a trace"
        shard.arena.check()


@pytest.mark.parametrize("name", DATA_COMMANDS)
def test_each_command_rolls_back(name: str) -> None:
    @settings(max_examples=6)
    @given(words=several(by_name[name].args))
    def rolls_back(words: list[bytes]) -> None:
        shard.run("flushall")
        shard.run("mset", b"a", b"1", b"b", b"x" * 300, b"c", b"z" * 40_000)
        shard.run("set", b"k" * 1500, b"short", b"PXAT", b"9999999", now_ms=NOW)
        shard.run("set", b"", b"gone", b"PXAT", b"5000001", now_ms=NOW)
        before = shard.arena.fingerprint()
        shard.run(name, *words, now_ms=NOW + 100, keep=False)
        assert shard.arena.fingerprint() == before

    with executor() as shard:
        rolls_back()
