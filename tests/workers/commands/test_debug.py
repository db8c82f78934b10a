"""DEBUG's questions to the workers: digests, beside redis-server's where it is installed; OBJECT; RELOAD."""
from __future__ import annotations

from pathlib import Path

from tests.wire import Wire
from workers._testing_commands import Executor
from workers.memory import _testing as a
from workers.memory import _testing_keyspace as c
from workers.memory.arena import Arena

KEY, OTHER = "{t}key", "{t}other"
MANY = 700

Words = list[bytes | str | int]
VALUES: dict[str, Words] = {
    "integer": ["set", KEY, 12],
    "string": ["set", KEY, "some text"],
    "list": ["rpush", KEY, 3, "b", "a", -1],
    "long list": ["rpush", KEY, *range(MANY), "x" * 9000],
    "integers": ["sadd", KEY, 3, -1, 1 << 40],
    "set": ["sadd", KEY, 3, "c", "b"],
    "large set": ["sadd", KEY, *(f"member {number}" for number in range(MANY))],
    "sorted set": ["zadd", KEY, "1.5", "b", "inf", "c", -3, 7, "0.1", "d"],
    "large sorted set": ["zadd", KEY, *(word for n in range(MANY) for word in (str(n / 7), n))],
    "hash": ["hset", KEY, "b", 1, "a", "x", 5, ""],
    "large hash": ["hset", KEY, *range(2 * MANY)],
}


def digest(wire: Wire, key: str) -> str:
    """The digest of one value."""
    (found,) = wire.ask("debug", "digest-value", key)
    return str(found)


def test_digests_are_those_of_redis(ours: Wire, theirs: Wire) -> None:
    assert digest(ours, KEY) == digest(theirs, KEY) == "+" + "0" * 40
    for name, words in VALUES.items():
        for wire in (ours, theirs):
            wire.ask("del", KEY)
            wire.ask(*words)
        assert digest(ours, KEY) == digest(theirs, KEY), name
        for wire in (ours, theirs):
            wire.ask("pexpire", KEY, 100_000)
        assert digest(ours, KEY) == digest(theirs, KEY), name


def test_digests_tell_nothing_of_encoding_or_order(ours: Wire) -> None:
    for name, limit in (("sadd", "set-max-listpack-entries"), ("hset", "hash-max-listpack-entries")):
        was = ours.ask("config", "get", limit)[1]
        ours.ask("del", KEY, OTHER)
        ours.ask(name, KEY, "a", "b", "c", "d")
        assert ours.ask("config", "set", limit, 1) == "+OK"
        ours.ask(name, OTHER, "c", "d", "a", "b")
        assert ours.ask("config", "set", limit, was) == "+OK"
        assert ours.ask("object", "encoding", KEY) != ours.ask("object", "encoding", OTHER)
        assert digest(ours, KEY) == digest(ours, OTHER)
        ours.ask(name, KEY, "e", "f")
        assert digest(ours, KEY) != digest(ours, OTHER)


def test_an_expiring_field_changes_the_digest_and_an_expired_one_is_not_there(ours: Wire, lazy: None) -> None:
    ours.ask("hset", KEY, "a", 1, "b", 2)
    ours.ask("hset", OTHER, "a", 1)
    ours.ask("hexpire", KEY, 100, "fields", 1, "a")
    both, one = digest(ours, KEY), digest(ours, OTHER)
    ours.ask("hpersist", KEY, "fields", 1, "a")
    assert digest(ours, KEY) not in (both, one)
    ours.ask("hpexpire", KEY, 1, "fields", 1, "b")
    while ours.ask("hget", KEY, "b") is not None:
        pass
    assert digest(ours, KEY) == one
    ours.ask("hpexpire", KEY, 1, "fields", 1, "a")
    while ours.ask("hget", KEY, "a") is not None:
        pass
    assert digest(ours, KEY) == "+" + "0" * 40


def test_object_tells_the_length_of_the_rdb_form(ours: Wire) -> None:
    around = 11  # bytes of a dump that are not the value's: type, version and checksum
    for words in VALUES.values():
        ours.ask("del", KEY)
        ours.ask(*words)
        told = dict(word.split(":") for word in ours.ask("debug", "object", KEY).split()[1:])
        assert told["encoding"].encode() == ours.ask("object", "encoding", KEY)
        assert int(told["serializedlength"]) == len(ours.ask("dump", KEY)) - around
    assert ours.ask("debug", "object", "nothing") == "-ERR no such key"


def test_reload_keeps_everything(ours: Wire) -> None:
    for db in (0, 3):
        ours.ask("select", db)
        for number in range(200):
            assert ours.ask("set", f"filler {number}", number) == "+OK"
        for name, words in VALUES.items():
            assert ours.ask(words[0], name, *words[2:]) not in (None, "-ERR")
            ours.ask("pexpire", name, 100_000)
    ours.ask("hexpire", "large hash", 1000, "fields", 1, 6)
    encodings = {name: ours.ask("object", "encoding", name) for name in VALUES}
    before, sizes = ours.ask("debug", "digest"), ours.ask("dbsize")
    assert ours.ask("debug", "reload") == "+OK"
    assert (ours.ask("debug", "digest"), ours.ask("dbsize")) == (before, sizes)
    assert {name: ours.ask("object", "encoding", name) for name in VALUES} == encodings
    assert 90_000 < ours.ask("pttl", "set") <= 100_000
    assert ours.ask("httl", "large hash", "fields", 2, 6, 8) == [1000, -1]


def test_reload_gives_each_value_the_encoding_that_the_limits_ask_for(ours: Wire) -> None:
    was = ours.ask("config", "get", "hash-max-listpack-entries")[1]
    ours.ask("hset", KEY, "a", 1, "b", 2)
    assert ours.ask("object", "encoding", KEY) == b"listpack"
    ours.ask("config", "set", "hash-max-listpack-entries", 1)
    assert ours.ask("debug", "reload", "nosave", "noflush") == "+OK"
    assert ours.ask("object", "encoding", KEY) == b"hashtable"
    ours.ask("config", "set", "hash-max-listpack-entries", was)
    assert ours.ask("debug", "reload") == "+OK"
    assert ours.ask("object", "encoding", KEY) == b"listpack"


def test_a_step_of_a_reload_is_all_or_nothing_and_leaks_nothing(tmp_path: Path) -> None:
    arena = Arena.open(str(tmp_path / "arena"), 0, 1, capacity=64 << 20)
    shard = Executor(arena)
    for name, words in VALUES.items():
        shard.run(str(words[0]), name.encode(), *(str(word).encode() for word in words[2:]))
    shard.run("hexpire", b"large hash", b"9", b"fields", b"1", b"2")
    before = arena.fingerprint()
    assert shard.run("@debug-reload", b"0", keep=False).startswith(b"$")
    assert arena.fingerprint() == before
    digest = shard.run("@debug-digest")
    assert shard.run("@debug-reload", b"0", keep=True) != b"$2\r\n-1\r\n"  # the next database is its next position
    assert shard.run("@debug-digest") == digest
    more = True
    while more:
        a.begin(arena, 1, arena.commit_word(1) + 1)
        more = c.reap(shard.keyspace, 1000)
        a.commit(arena)
    arena.check()
    assert sorted(c.owned(shard.keyspace)) == [offset for offset, _ in arena.allocated()]
    arena.close()
