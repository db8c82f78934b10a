"""The command table: what every entry must satisfy, and that its facts are Redis's."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from shardkv.commands.__main__ import page
from shardkv.commands.spec import Arg, Command, Join, KeySpec, Route
from shardkv.commands.table import ACL_CATEGORIES, COMMANDS, FLAGS, by_name, command_id, containers

COMMANDS_MAX = 640  # of the control page
ROOT = Path(__file__).parents[3]

each_command = pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command.name)


def test_ids_are_places_and_names_are_unique() -> None:
    assert len(by_name) == len(COMMANDS) < COMMANDS_MAX
    for place, command in enumerate(COMMANDS):
        assert command_id(command.name) == place
        assert by_name[command.name] is command
    with pytest.raises(KeyError):
        command_id("no-such-command")


def test_subcommands_follow_their_container() -> None:
    assert set(containers) == {"object", "xgroup", "xinfo", "client", "command", "config", "memory"}
    for name, subcommands in containers.items():
        first = command_id(name) + 1
        assert COMMANDS[first : first + len(subcommands)] == by_name[name].subcommands
        assert [f"{name}|{subcommand}" for subcommand in subcommands] == [c.name for c in subcommands.values()]


@each_command
def test_vocabulary(command: Command) -> None:
    assert command.name == command.name.lower()
    assert command.summary and command.since
    assert set(command.flags) <= set(FLAGS)
    assert set(command.acl) <= set(ACL_CATEGORIES)
    assert ("fast" in command.acl) != ("slow" in command.acl)
    assert not {"write", "readonly"} <= set(command.flags)
    assert bool(command.deprecated_since) == ("deprecated" in command.doc_flags)


def _fewest(args: tuple[Arg, ...]) -> int:
    return sum(_fewest_of(arg) for arg in args if not arg.optional)


def _fewest_of(arg: Arg) -> int:
    if arg.type == "pure-token":
        return 1
    inner = 1
    if arg.type == "block":
        inner = _fewest(arg.args)
    elif arg.type == "oneof":
        inner = min(0 if option.optional else _fewest_of(option) for option in arg.args)
    return inner + bool(arg.token)


def _may_be_longer(args: tuple[Arg, ...]) -> bool:
    return any(arg.optional or arg.multiple or _may_be_longer(arg.args) for arg in args)


@each_command
def test_arity_fits_the_arguments(command: Command) -> None:
    words = command.name.count("|") + 1
    if command.subcommands or command.name in ("debug", "quit"):
        return  # their arguments are not told
    fewest = words + _fewest(command.args)
    if command.name in ("client|kill", "bitop"):
        fewest = abs(command.arity)  # one filter at least; BITOP's arguments are counted by the command itself
    assert abs(command.arity) == fewest
    assert (command.arity < 0) == _may_be_longer(command.args)


@each_command
def test_keys_and_route_belong_together(command: Command) -> None:
    assert (command.route in (Route.KEYED, Route.SPLIT)) == bool(command.keys)
    in_place = any(spec.index is not None and spec.keynum is None for spec in command.keys)
    assert (command.first_key > 0) == in_place
    assert ("movablekeys" in command.flags) == any(
        spec.index is None or spec.keynum is not None for spec in command.keys
    )
    assert (command.join is not Join.NONE) == (command.route in (Route.SPLIT, Route.ALL))
    if command.route is Route.SPLIT:
        assert (command.first_key, command.last_key, command.key_step) == (1, -1, command.split_step)
    named = {arg.key_spec for arg in _flat(command.args) if arg.type == "key"}
    assert named <= set(range(len(command.keys)))


def _flat(args: tuple[Arg, ...]) -> Iterator[Arg]:
    for arg in args:
        yield arg
        yield from _flat(arg.args)


@pytest.mark.parametrize(
    ("name", "positions"),
    [
        ("get", (1, 1, 1)),
        ("mget", (1, -1, 1)),
        ("mset", (1, -1, 2)),
        ("bitop", (2, -1, 1)),
        ("rename", (1, 2, 1)),
        ("lcs", (1, 2, 1)),
        ("object|encoding", (2, 2, 1)),
        ("sinterstore", (1, -1, 1)),
        ("zunionstore", (1, 1, 1)),
        ("lmpop", (0, 0, 0)),
        ("xread", (0, 0, 0)),
        ("georadius", (1, 1, 1)),
        ("sort", (1, 1, 1)),
        ("scan", (0, 0, 0)),
    ],
)
def test_key_positions(name: str, positions: tuple[int, int, int]) -> None:
    command = by_name[name]
    assert (command.first_key, command.last_key, command.key_step) == positions


def test_documentation_is_up_to_date() -> None:
    assert (ROOT / "docs" / "commands.md").read_text() == page(), "run: python -m shardkv.commands > docs/commands.md"


# Where Redis 7.2 differs from the 7.0 that may be installed: commands it added, and facts it changed. The commands on
# hash fields are newer still.
LATER = ("7.4.0", "8.0.0")
NEW_IN_7_2 = {"client|no-touch", "client|setinfo", "waitaof"}
CHANGED_IN_7_2: dict[str, dict[str, object]] = {
    "command|getkeys": {"arity": -3},
    "command|getkeysandflags": {"arity": -3},
    "zrank": {"arity": -3},
    "zrevrank": {"arity": -3},
}


def _facts_of(command: Command) -> dict[str, object]:
    return {
        "arity": command.arity,
        "flags": set(command.flags),
        "keys": (command.first_key, command.last_key, command.key_step),
        "acl": {f"@{category}" for category in command.acl},
        "specs": [(set(spec.flags), *_places_of(spec)) for spec in command.keys],
    }


def _places_of(spec: KeySpec) -> tuple[object, object]:
    begin = ("keyword", spec.keyword, spec.start_from) if spec.keyword else ("index", spec.index)
    find = ("keynum", *spec.keynum) if spec.keynum else ("range", spec.last, spec.step, spec.limit)
    return (("unknown",), ("unknown",)) if spec.unknown else (begin, find)


def _words(reply: list[bytes]) -> set[str]:
    return {word.decode() for word in reply}


def _facts_told(reply: list[Any]) -> dict[str, object]:
    specs = [dict(zip(spec[::2], spec[1::2], strict=True)) for spec in reply[8]]
    return {
        "arity": reply[1],
        "flags": _words(reply[2]),
        "keys": tuple(reply[3:6]),
        "acl": _words(reply[6]),
        "specs": [
            (_words(spec[b"flags"]), _place_told(spec[b"begin_search"]), _place_told(spec[b"find_keys"]))
            for spec in specs
        ],
    }


def _place_told(reply: list[Any]) -> tuple[object, ...]:
    values = [value.decode() if isinstance(value, bytes) else value for value in reply[3][1::2]]
    return (reply[1].decode(), *values)


def test_facts_are_those_of_redis(oracle: redis.Redis) -> None:
    names = [command.name for command in COMMANDS if command.name not in NEW_IN_7_2 and command.since not in LATER]
    connection = oracle.connection_pool.get_connection()
    connection.send_command("COMMAND", "INFO", *names)
    for name, reply in zip(names, connection.read_response(), strict=True):
        assert _facts_told(reply) | CHANGED_IN_7_2.get(name, {}) == _facts_of(by_name[name]), name
    oracle.connection_pool.release(connection)
