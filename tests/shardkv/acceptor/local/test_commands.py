"""COMMAND and its subcommands, also against a real redis-server."""
from __future__ import annotations

from typing import Any

import pytest
import redis

from shardkv.commands import table

KEYED = ["get", "set", "mset", "del", "bitop", "copy", "object|encoding", "memory|usage", "scan", "ping", "config|set"]


def infos(ask: Any, *names: str) -> dict[str, Any]:
    entries = ask([b"COMMAND", b"INFO", *(name.encode() for name in names)])
    return {entry[0].decode(): entry for entry in entries if entry is not None}


def test_count_is_that_of_the_list(ask: Any) -> None:
    top = [command for command in table.COMMANDS if "|" not in command.name]
    assert ask("COMMAND COUNT") == len(top) == len(ask("COMMAND")) == len(ask("COMMAND INFO"))


def test_info_of_unknown_commands_is_null(ask: Any) -> None:
    found = ask("COMMAND INFO nonsense GET config|nonsense CONFIG|GET")
    assert [entry and entry[0] for entry in found] == [None, b"get", None, b"config|get"]
    assert ask("COMMAND INFO nonsense", resp=3) == [None]


def test_info_of_get(ask: Any) -> None:
    [get] = ask("COMMAND INFO get", resp=3)
    assert get[:6] == [b"get", 2, ["readonly", "fast"], 1, 1, 1]
    assert get[6] == ["@read", "@string", "@fast"]
    [spec] = get[8]
    assert spec == [
        (b"flags", ["RO", "access"]),
        (b"begin_search", [(b"type", b"index"), (b"spec", [(b"index", 1)])]),
        (b"find_keys", [(b"type", b"range"), (b"spec", [(b"lastkey", 0), (b"keystep", 1), (b"limit", 0)])]),
    ]
    assert get[9] == []


def flat_map(items: list[Any]) -> dict[bytes, Any]:
    return dict(zip(items[::2], items[1::2], strict=True))


@pytest.mark.parametrize("name", [name for name in KEYED if name not in ("ping", "config|set")])
def test_keys_of_commands_are_those_of_redis(ask: Any, oracle: redis.Redis, name: str) -> None:
    ours = infos(ask, name)[name]
    [theirs] = _raw(oracle, "COMMAND", "INFO", name)
    assert ours[1] == theirs[1]
    assert ours[3:6] == theirs[3:6]
    ours_specs, their_specs = [flat_map(spec) for spec in ours[8]], [flat_map(spec) for spec in theirs[8]]
    assert [spec[b"begin_search"] for spec in ours_specs] == [spec[b"begin_search"] for spec in their_specs]
    assert [spec[b"find_keys"] for spec in ours_specs] == [spec[b"find_keys"] for spec in their_specs]


def _raw(oracle: redis.Redis, *words: str) -> Any:
    """A command's reply without redis-py's interpretation of it."""
    connection = oracle.connection_pool.get_connection()
    try:
        connection.send_command(*words)
        return connection.read_response()
    finally:
        oracle.connection_pool.release(connection)


def test_docs(ask: Any) -> None:
    docs = dict(ask("COMMAND DOCS get SET nonsense config", resp=3))
    assert sorted(docs) == [b"config", b"get", b"set"]
    get = dict(docs[b"get"])
    assert list(get)[:3] == [b"summary", b"since", b"group"]
    assert (get[b"since"], get[b"group"], get[b"complexity"]) == (b"1.0.0", b"string", b"O(1)")
    argument = [(b"name", b"key"), (b"type", b"key"), (b"display_text", b"key"), (b"key_spec_index", 0)]
    assert get[b"arguments"] == [argument]
    arguments = [dict(pairs) for pairs in dict(docs[b"set"])[b"arguments"]]
    expiration = next(pairs for pairs in arguments if pairs[b"type"] == b"oneof" and b"arguments" in pairs)
    assert expiration[b"flags"] == ["optional"] and b"display_text" not in expiration
    assert set(dict(dict(docs[b"config"])[b"subcommands"])) >= {b"config|get", b"config|set"}
    assert len(ask("COMMAND DOCS", resp=3)) == ask("COMMAND COUNT")


def test_docs_have_the_fields_of_redis(ask: Any, oracle: redis.Redis) -> None:
    for name in ("get", "set", "mset", "expire"):
        ours = flat_map(ask(f"COMMAND DOCS {name}")[1])
        theirs = flat_map(_raw(oracle, "COMMAND", "DOCS", name)[1])
        assert set(ours) == set(theirs)
        assert ours[b"since"] == theirs[b"since"]


def test_list(ask: Any) -> None:
    names = ask("COMMAND LIST")
    assert {b"get", b"config|get", b"config"} <= set(names)
    assert set(ask("COMMAND LIST FILTERBY PATTERN CONF*|G?T")) == {b"config|get"}
    assert b"get" in ask("COMMAND LIST FILTERBY ACLCAT String")
    assert b"ping" not in ask("COMMAND LIST FILTERBY ACLCAT string")
    assert ask("COMMAND LIST FILTERBY MODULE x") == ask("COMMAND LIST FILTERBY ACLCAT x") == []
    for bad in ("FILTERBY", "FILTERBY PATTERN", "FILTERBY ODD x", "x", "FILTERBY PATTERN x y"):
        assert ask(f"COMMAND LIST {bad}") == "ERR syntax error"


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("get a", [b"a"]),
        ("mset a 1 b 2", [b"a", b"b"]),
        ("object encoding a", [b"a"]),
        ("memory usage a", [b"a"]),
        ("bitop and d a b", [b"d", b"a", b"b"]),
        ("ping", "ERR The command has no key arguments"),
        ("config get x", "ERR The command has no key arguments"),
        ("get", "ERR Invalid number of arguments specified for command"),
        ("nonsense a", "ERR Invalid command specified"),
        ("config nonsense x", "ERR Invalid command specified"),
    ],
)
def test_getkeys(ask: Any, line: str, answer: Any) -> None:
    assert ask(f"COMMAND GETKEYS {line}") == answer


def test_getkeysandflags(ask: Any, oracle: redis.Redis) -> None:
    for line in ("set a 1", "set a 1 get", "get a", "mset a 1 b 2", "bitfield a get u8 0", "copy a b", "del a b"):
        ours = ask(f"COMMAND GETKEYSANDFLAGS {line}", resp=3)
        theirs = _raw(oracle, "COMMAND", "GETKEYSANDFLAGS", *line.split())
        assert ours == [[key, [flag.decode() for flag in flags]] for key, flags in theirs]


def test_help(ask: Any) -> None:
    assert "COUNT" in ask("COMMAND HELP")
