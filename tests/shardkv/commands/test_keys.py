"""Key extraction: every way a specification can name keys, and the commands whose options decide."""
from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardkv.commands.keys import BAD_ARGUMENTS, BAD_COUNT, NO_KEYS, checked_keys, find_keys, keys_with_flags
from shardkv.commands.spec import Command, KeySpec
from shardkv.commands.table import by_name
from shardkv.errors import CommandError


def _command(name: str, arity: int, *keys: KeySpec, flags: tuple[str, ...] = ()) -> Command:
    return Command(name, arity, "test", "1.0.0", "", "", flags=flags, keys=keys)


RW = ("RW", "update")
GET = _command("get", 2, KeySpec(("RO", "access")))
MGET = _command("mget", -2, KeySpec(("RO", "access"), last=-1))
MSET = _command("mset", -3, KeySpec(("OW", "update"), last=-1, step=2))
BITOP = _command("bitop", -4, KeySpec(("OW", "update"), index=2), KeySpec(("RO", "access"), index=3, last=-1))
EVAL = _command("eval", -3, KeySpec(RW, index=2, keynum=(0, 1, 1)), flags=("no_mandatory_keys",))
ZUNION = _command("zunion", -3, KeySpec(("RO", "access"), keynum=(0, 1, 1)))
LMPOP = _command("lmpop", -4, KeySpec(RW, keynum=(0, 1, 1)))
XREAD = _command("xread", -4, KeySpec(("RO", "access"), index=None, keyword="STREAMS", last=-1, limit=2))
GEORADIUS = _command(
    "georadius", -6, KeySpec(("RO", "access")), KeySpec(("OW", "update"), index=None, keyword="STORE", start_from=6)
)
SET = _command("set", -3, KeySpec(("RW", "access", "update", "variable_flags")))
BITFIELD = _command("bitfield", -2, KeySpec(("RW", "update", "access", "variable_flags")))
SORT = _command("sort", -2, KeySpec(("RO", "access")), KeySpec(("OW", "update"), unknown=True))
MIGRATE = _command(
    "migrate", -6, KeySpec(("RW",), index=3), KeySpec(("RW", "incomplete"), index=None, keyword="KEYS", start_from=-2)
)
SPUBLISH = _command("spublish", 3, KeySpec(("not_key",)))
ALL = (GET, MGET, MSET, BITOP, EVAL, ZUNION, LMPOP, XREAD, GEORADIUS, SET, BITFIELD, SORT, MIGRATE, SPUBLISH)


@pytest.mark.parametrize(
    ("command", "line", "positions"),
    [
        (GET, "get k", [1]),
        (MGET, "mget a b c", [1, 2, 3]),
        (MSET, "mset a 1 b 2", [1, 3]),
        (BITOP, "bitop and d a b", [2, 3, 4]),
        (EVAL, "eval s 2 a b c", [3, 4]),
        (EVAL, "eval s 0", []),
        (EVAL, "eval s 9 a", []),
        (EVAL, "eval s x a", []),
        (EVAL, "eval s -1 a", []),
        (ZUNION, "zunion 1 a WEIGHTS 2", [2]),
        (ZUNION, "zunion 2 a b", [2, 3]),
        (LMPOP, "lmpop 2 a b left", [2, 3]),
        (LMPOP, "lmpop 2 a left", []),
        (XREAD, "xread count 2 streams a b 1 2", [4, 5]),
        (XREAD, "xread count 2 a", []),
        (GEORADIUS, "georadius k 1 2 3 m store d", [1, 7]),
        (GEORADIUS, "georadius k 1 2 3 m", [1]),
        (SORT, "sort k by store get x store a store b", [1, 9]),
        (SORT, "sort k limit 0 1", [1]),
        (MIGRATE, "migrate h 1 k 0 10", [3]),
        (SPUBLISH, "spublish c m", []),
    ],
)
def test_positions(command: Command, line: str, positions: list[int]) -> None:
    assert find_keys(command, line.encode().split()) == positions


def test_migrate_with_many_keys() -> None:
    assert find_keys(MIGRATE, [b"migrate", b"h", b"1", b"", b"0", b"10", b"AUTH", b"keys", b"KEYS", b"a", b"b"]) == [
        9,
        10,
    ]
    assert find_keys(MIGRATE, b"migrate h 1 k 0 10 KEYS a".split()) == []


@pytest.mark.parametrize(
    ("command", "line", "flags"),
    [
        (SET, "set k v", ("OW", "update")),
        (SET, "set k v ex 10 GET", ("RW", "access", "update")),
        (BITFIELD, "bitfield k get u8 0 overflow sat", ("RO", "access")),
        (BITFIELD, "bitfield k get u8 0 set u8 0 1", ("RW", "access", "update")),
        (BITFIELD, "bitfield k nonsense", ("RW", "access", "update")),
        (GET, "get k", ("RO", "access")),
    ],
)
def test_flags_of_the_first_key(command: Command, line: str, flags: tuple[str, ...]) -> None:
    assert keys_with_flags(command, line.encode().split())[0] == (1, flags)


@pytest.mark.parametrize(
    ("command", "line", "text"),
    [
        (SPUBLISH, "spublish c m", NO_KEYS),
        (GET, "get", BAD_COUNT),
        (GET, "get a b", BAD_COUNT),
        (ZUNION, "zunion 0 a", BAD_ARGUMENTS),
    ],
)
def test_what_is_wrong_is_told(command: Command, line: str, text: str) -> None:
    with pytest.raises(CommandError) as raised:
        checked_keys(command, line.encode().split())
    assert raised.value.text == text


def test_no_keys_are_fine_where_none_are_mandatory() -> None:
    assert checked_keys(EVAL, b"eval s 0".split()) == []


WORDS = st.sampled_from(
    [b"get", b"set", b"store", b"keys", b"streams", b"", b"0", b"1", b"2", b"9999999999", b"-1", b"a"]
)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(ALL), st.lists(WORDS, max_size=9))
def test_any_request_gives_positions_inside_it(command: Command, words: list[bytes]) -> None:
    args = [command.name.encode(), *words]
    assert all(0 < position < len(args) for position in find_keys(command, args))


@pytest.mark.parametrize(
    ("line", "positions"),
    [
        ("lmpop 2 a b left count 3", [2, 3]),
        ("zmpop 1 a min", [2]),
        ("sintercard 2 a b limit 1", [2, 3]),
        ("zunionstore d 2 a b weights 1 2", [1, 3, 4]),
        ("zdiffstore d 1 a", [1, 3]),
        ("zinter 3 a b", []),
        ("sdiffstore d a b", [1, 2, 3]),
        ("pfmerge d a", [1, 2]),
        ("pfdebug getreg a", [2]),
        ("geosearchstore d a frommember m byradius 1 m", [1, 2]),
        ("georadius a 1 2 3 m store d", [1, 7]),
        ("georadius a 1 2 3 m count 1 storedist d", [1, 9]),
        ("georadiusbymember a m 3 m store d", [1, 6]),
        ("xread count 1 streams a b 0 0", [4, 5]),
        ("xreadgroup group streams c streams a >", [5]),
        ("sort a by x get y store d", [1, 7]),
        ("sort_ro a get y", [1]),
        ("hsetex a fields 1 f v", [1]),
    ],
)
def test_keys_of_the_commands_of_types(line: str, positions: list[int]) -> None:
    args = line.encode().split()
    assert sorted(find_keys(by_name[args[0].decode()], args)) == positions
