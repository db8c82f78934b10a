"""Commands on the expiry of hash fields, as Redis 7.4 and 8.0 describe them; and that their memory comes back."""
from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.harness import wait_until
from tests.wire import Wire
from tests.workers.commands.executors import executor
from workers._testing_commands import Executor
from workers.memory import _testing as a
from workers.memory import _testing_keyspace as c

NOW = 1_000_000
LATEST = (1 << 46) - 1
MISSING = "-ERR Mandatory argument FIELDS is missing or not at the right position"
MISMATCH = "-ERR The `numfields` parameter must match the number of arguments"
ONE_TIME = "-ERR Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified"
WRONG_TYPE = "-WRONGTYPE Operation against a key holding the wrong kind of value"


def test_expiring_and_lifetimes(ours: Wire) -> None:
    ours.ask("hset", "h", "f", 1, "g", 2, "k", 3)
    assert ours.ask("object", "encoding", "h") == b"listpack"
    assert ours.ask("hexpire", "h", 100, "FIELDS", 3, "f", "g", "none") == [1, 1, -2]
    assert ours.ask("object", "encoding", "h") == b"hashtable"
    assert ours.ask("httl", "h", "FIELDS", 4, "f", "g", "k", "none") == [100, 100, -1, -2]
    assert 99_000 < ours.ask("hpttl", "h", "fields", 1, "f")[0] <= 100_000
    at = int(time.time()) + 1000
    assert ours.ask("hexpireat", "h", at, "FIELDS", 1, "f") == [1]
    assert ours.ask("hexpiretime", "h", "FIELDS", 1, "f") == [at]
    assert ours.ask("hpexpireat", "h", at * 1000 + 1, "FIELDS", 1, "f") == [1]
    assert ours.ask("hpexpiretime", "h", "FIELDS", 1, "f") == [at * 1000 + 1]
    assert ours.ask("hexpiretime", "h", "FIELDS", 1, "f") == [at + 1]
    assert ours.ask("hpersist", "h", "FIELDS", 3, "f", "k", "none") == [1, -1, -2]
    assert ours.ask("hpexpire", "h", 0, "FIELDS", 2, "f", "f") == [2, -2]
    assert sorted(ours.ask("hkeys", "h")) == [b"g", b"k"]
    assert ours.ask("hexpireat", "h", 1, "FIELDS", 2, "g", "k") == [2, 2]
    assert ours.ask("exists", "h") == 0
    for words in ("hexpire h 1", "hpexpireat h 1", "httl h", "hpersist h", "hpexpiretime h"):
        assert ours.ask(*words.split(), "FIELDS", 2, "f", "g") == [-2, -2]


def test_conditions(ours: Wire) -> None:
    ours.ask("hset", "h", "f", 1, "g", 2)
    for condition, answer in (("XX", 0), ("GT", 0), ("NX", 1), ("NX", 0), ("LT", 0), ("GT", 0), ("XX", 1)):
        assert ours.ask("hexpireat", "h", 9_000_000_000, condition, "FIELDS", 1, "f") == [answer], condition
    assert ours.ask("hexpireat", "h", 9_000_000_001, "gt", "FIELDS", 1, "f") == [1]
    assert ours.ask("hexpireat", "h", 9_000_000_000, "lt", "FIELDS", 2, "f", "g") == [1, 1]
    assert ours.ask("hexpiretime", "h", "FIELDS", 2, "f", "g") == [9_000_000_000] * 2


def test_values_that_change_keep_or_lose_the_expiry(ours: Wire) -> None:
    def expiry() -> int:
        answer: list[int] = ours.ask("hexpiretime", "h", "FIELDS", 1, "f")
        return answer[0]

    ours.ask("hset", "h", "f", 1)
    ours.ask("hexpireat", "h", 9_000_000_000, "FIELDS", 1, "f")
    ours.ask("hincrby", "h", "f", 1)
    ours.ask("hincrbyfloat", "h", "f", "0.5")
    ours.ask("hsetnx", "h", "f", 9)
    assert (ours.ask("hget", "h", "f"), expiry()) == (b"2.5", 9_000_000_000)
    ours.ask("copy", "h", "{h}i")
    ours.ask("rename", "{h}i", "h")
    assert expiry() == 9_000_000_000
    ours.ask("hset", "h", "f", 1)
    assert expiry() == -1


def test_getting_with_expiry(ours: Wire) -> None:
    ours.ask("hset", "h", "f", 1, "g", 2)
    assert ours.ask("hgetex", "h", "FIELDS", 2, "f", "none") == [b"1", None]
    assert ours.ask("hgetex", "h", "EX", 100, "FIELDS", 1, "f") == [b"1"]
    assert ours.ask("httl", "h", "FIELDS", 2, "f", "g") == [100, -1]
    assert ours.ask("hgetex", "h", "persist", "FIELDS", 2, "f", "g") == [b"1", b"2"]
    assert ours.ask("httl", "h", "FIELDS", 1, "f") == [-1]
    assert ours.ask("hgetex", "h", "pxat", 9_000_000_000_000, "FIELDS", 1, "f") == [b"1"]
    assert ours.ask("hpexpiretime", "h", "FIELDS", 1, "f") == [9_000_000_000_000]
    assert ours.ask("hgetex", "h", "EXAT", 1, "FIELDS", 2, "f", "g") == [b"1", b"2"]
    assert ours.ask("exists", "h") == 0
    assert ours.ask("hgetex", "h", "EX", 1, "FIELDS", 1, "f") == [None]


def test_getting_and_deleting(ours: Wire) -> None:
    ours.ask("hset", "h", "f", 1, "g", 2)
    assert ours.ask("hgetdel", "h", "FIELDS", 3, "f", "f", "none") == [b"1", None, None]
    assert ours.ask("hgetdel", "h", "FIELDS", 2, "g", "f") == [b"2", None]
    assert ours.ask("exists", "h") == 0
    assert ours.ask("hgetdel", "h", "FIELDS", 1, "g") == [None]


def test_setting_with_expiry(ours: Wire) -> None:
    assert ours.ask("hsetex", "h", "FXX", "FIELDS", 1, "f", 1) == 0
    assert ours.ask("exists", "h") == 0
    assert ours.ask("hsetex", "h", "FNX", "EX", 100, "FIELDS", 2, "f", 1, "g", 2) == 1
    assert ours.ask("hsetex", "h", "FNX", "FIELDS", 2, "new", 1, "g", 3) == 0
    assert ours.ask("hsetex", "h", "FXX", "FIELDS", 2, "new", 1, "g", 3) == 0
    assert ours.ask("hmget", "h", "f", "g", "new") == [b"1", b"2", None]
    assert ours.ask("hsetex", "h", "FXX", "keepttl", "FIELDS", 1, "f", 5) == 1
    assert ours.ask("hsetex", "h", "FIELDS", 2, "g", 6, "new", 7) == 1
    assert ours.ask("httl", "h", "FIELDS", 3, "f", "g", "new") == [100, -1, -1]
    assert ours.ask("hsetex", "h", "PXAT", 1, "FIELDS", 3, "f", 1, "g", 1, "new", 1) == 1
    assert ours.ask("exists", "h") == 0
    assert ours.ask("hsetex", "h", "PXAT", 1, "FIELDS", 1, "f", 1) == 1
    assert ours.ask("exists", "h") == 0


@pytest.mark.parametrize(
    "line, error",
    [
        ("hexpire h 10 FIELDS 2 f", MISMATCH),
        ("hexpire h 10 FIELDS 0 f", "-ERR Parameter `numFields` should be greater than 0"),
        ("hexpire h 10 FIELDS x f", "-ERR Parameter `numFields` should be greater than 0"),
        ("hexpire h 10 what 1 f", MISSING),
        ("hexpire h x FIELDS 1 f", "-ERR value is not an integer or out of range"),
        ("hexpire h -1 FIELDS 1 f", "-ERR invalid expire time, must be >= 0"),
        (f"hpexpireat h {LATEST + 1} FIELDS 1 f", "-ERR invalid expire time in 'hpexpireat' command"),
        (f"hexpire h {LATEST // 1000} FIELDS 1 f", "-ERR invalid expire time in 'hexpire' command"),
        ("hexpire h 10 FIELDS 1", "-ERR wrong number of arguments for 'hexpire' command"),
        ("httl h FIELDS 1", "-ERR wrong number of arguments for 'httl' command"),
        ("httl h FIELDS 2 f", MISMATCH),
        ("httl h FIELDS 0 f", "-ERR Number of fields must be a positive integer"),
        ("hpersist h what 1 f", MISSING),
        ("httl s FIELDS 1 f", WRONG_TYPE),
        ("hexpire s x FIELDS 1 f", WRONG_TYPE),
        ("hpersist s FIELDS 1 f", WRONG_TYPE),
        ("hgetex s FIELDS 1 f", WRONG_TYPE),
        ("hgetdel s FIELDS 1 f", WRONG_TYPE),
        ("hsetex s FIELDS 1 f v", WRONG_TYPE),
        ("hgetex h EX 10 FIELDS 2 f", MISMATCH),
        ("hgetex h EX 10 what 1 f", MISSING),
        ("hgetex h EX 10 FIELDS", "-ERR wrong number of arguments for 'hgetex' command"),
        ("hgetdel h FIELDS 2 f", MISMATCH),
        ("hsetex h FIELDS 2 f v", "-ERR wrong number of arguments for 'hsetex' command"),
        ("hsetex h FIELDS x f v", "-ERR invalid number of fields"),
        ("hsetex h EX 10 PX 10 FIELDS 1 f v", ONE_TIME),
        ("hsetex h FNX FXX FIELDS 1 f v", "-ERR Only one of FXX or FNX arguments can be specified"),
        ("hsetex h what FIELDS 1 f v", "-ERR unknown argument: what"),
        ("hsetex h FNX FXX1 FNX EX", "-ERR unknown argument: FXX1"),
        ("hsetex h FNX KEEPTTL KEEPTTL EX", ONE_TIME),
    ],
)
def test_refusals(ours: Wire, line: str, error: str) -> None:
    ours.ask("hset", "h", "f", 1)
    ours.ask("set", "s", 1)
    assert ours.ask(*line.split()) == error
    assert ours.ask("hgetall", "h") == [b"f", b"1"]


def test_memory_comes_back_with_no_one_reading(ours: Wire) -> None:
    names = [f"field{n}" for n in range(5000)]
    ours.ask("hset", "h", *(word for name in names for word in (name, "v" * 100)))
    ours.ask("hpexpire", "h", 5, "FIELDS", len(names), *names)
    wait_until(lambda: ours.ask("dbsize") == 0, "the hash's end")


def test_expired_fields_are_not_there(ours: Wire, lazy: None) -> None:
    names = [f"field{n}" for n in range(300)]
    ours.ask("hset", "h", "stays", 1, *(word for name in names for word in (name, "v")))
    ours.ask("hpexpire", "h", 1, "FIELDS", len(names), *names)
    time.sleep(0.01)
    assert ours.ask("hget", "h", "field7") is None
    assert ours.ask("hkeys", "h") == [b"stays"]
    assert ours.ask("hrandfield", "h", -2) == [b"stays", b"stays"]
    assert ours.ask("hset", "h", "field7", 2) == 1
    assert ours.ask("hdel", "h", "field8") == 0
    assert ours.ask("hpersist", "h", "FIELDS", 1, "field9") == [-2]


def test_sort_and_dump_do_not_see_expired_fields(ours: Wire, lazy: None) -> None:
    many = [f"field{n}" for n in range(200)]     # more than are swept out by looking at the hash
    for key, weight in (("{t}a", 2), ("{t}b", 1)):
        ours.ask("hset", key, "weight", weight, "stays", weight, *(word for name in many for word in (name, 0)))
        ours.ask("hpexpire", key, 1, "FIELDS", len(many) + 1, "weight", *many)
    ours.ask("rpush", "{t}", "{t}a", "{t}b")
    time.sleep(0.01)
    assert ours.ask("sort", "{t}", "by", "*->weight", "alpha", "get", "*->weight", "get", "*->stays") == [
        None, b"2", None, b"1",
    ]
    assert ours.ask("restore", "{t}copy", 0, ours.ask("dump", "{t}a")) == "+OK"
    assert ours.ask("hgetall", "{t}copy") == [b"stays", b"2"]
    assert ours.ask("debug", "reload") == "+OK"
    assert ours.ask("hlen", "{t}a") == 1
    ours.ask("hpexpire", "{t}a", 1, "FIELDS", 1, "stays")
    time.sleep(0.01)
    assert ours.ask("dump", "{t}a") is None


def test_info_counts_hashes_with_expiring_fields(ours: Wire) -> None:
    def counted() -> int:
        return sum(map(int, re.findall(rb"subexpiry=(\d+)", ours.ask("info", "shards"))))

    def swept() -> int:
        (line,) = [line for line in ours.ask("info", "stats").split() if line.startswith(b"expired_subkeys:")]
        return int(line.split(b":")[1])

    for number, key in enumerate(("h", "i", "j", "k", "m"), 1):
        ours.ask("hset", key, "f", 1, "g", 2, "stays", 3)
        assert ours.ask("hexpire", key, 100, "FIELDS", 2, "f", "g") == [1, 1]
        assert counted() == number
    ours.ask("hpersist", "h", "FIELDS", 1, "f")
    ours.ask("hdel", "i", "f")
    assert counted() == 5
    ours.ask("hpersist", "h", "FIELDS", 1, "g")
    ours.ask("hdel", "i", "g")
    ours.ask("hset", "j", "f", 1, "g", "longer than it was before")
    ours.ask("del", "k")
    assert counted() == 1
    before = swept()
    ours.ask("hpexpire", "m", 1, "FIELDS", 2, "f", "g")
    wait_until(lambda: counted() == 0, "the end of all fields that expire")
    assert swept() == before + 2 and ours.ask("hkeys", "m") == [b"stays"]


def in_background(shard: Executor, work: str, budget: int) -> int:
    """A slice of the worker's own work; answers what it answers."""
    a.begin(shard.arena, 1, shard.arena.commit_word(1) + 1)
    done: int = getattr(c, work)(shard.keyspace, budget)
    a.commit(shard.arena)
    return done


def number(reply: bytes) -> int:
    return int(reply[1:-2])


@pytest.mark.parametrize("budget", [40, 1000])
def test_sweeping_takes_bounded_steps_and_ends(budget: int) -> None:
    names = [b"field%d" % n for n in range(4000)]
    with executor() as shard:
        for key in (b"h", b"i"):
            shard.run("hset", key, b"stays", b"1", *(word for name in names for word in (name, b"v" * 50)), now_ms=NOW)
            for first in range(0, 4000, 1000):
                some = names[first : first + 1000]
                shard.run("hpexpireat", key, b"%d" % (NOW + 1 + first), b"FIELDS", b"1000", *some, now_ms=NOW)
        shard.run("dbsize", now_ms=NOW + 1)
        assert in_background(shard, "expire_some", budget) == 0
        for step, left in ((500, 3001), (1500, 2001), (5000, 1)):
            shard.run("dbsize", now_ms=NOW + step)
            slices, swept = 0, 0
            while done := in_background(shard, "expire_some", budget):
                assert done <= budget + 300  # a bucket's expired fields, in portions
                swept += done
                slices += 1
            assert slices >= swept // (budget + 300)
            assert [number(shard.run("hlen", key, now_ms=NOW + step)) for key in (b"h", b"i")] == [left, left]


@pytest.mark.parametrize(
    "name, words",
    [
        ("del", [b"h"]), ("unlink", [b"h"]), ("set", [b"h", b"1"]), ("set", [b"h", b"x" * 5000]), ("flushdb", []),
        ("flushall", []), ("rename", [b"h", b"other"]), ("rename", [b"other", b"h"]), ("pexpireat", [b"h", b"1"]),
        ("move", [b"h", b"1"]), ("sunionstore", [b"h", b"set"]), ("hdel", [b"h", b"f", b"g"]),
        ("hpersist", [b"h", b"FIELDS", b"1", b"f"]),
    ],
)
def test_nothing_is_left_of_a_hash_that_goes(name: str, words: list[bytes]) -> None:
    with executor() as shard:
        shard.run("set", b"other", b"1", now_ms=NOW)
        shard.run("sadd", b"set", b"1", now_ms=NOW)
        shard.run("hset", b"h", b"f", b"1", b"g", b"2", now_ms=NOW)
        shard.run("hpexpireat", b"h", b"%d" % (NOW + 50), b"FIELDS", b"1", b"f", now_ms=NOW)
        shard.run(name, *words, now_ms=NOW)
        shard.arena.check()
        for later in (NOW + 40, NOW + 60):
            shard.run("dbsize", now_ms=later)
            while in_background(shard, "expire_some", 1000):
                pass
        while in_background(shard, "reap", 1000):
            pass
        if words == [b"h", b"other"]:
            assert number(shard.run("hlen", b"other", now_ms=NOW + 60)) == 1


FIELD = st.sampled_from([b"f", b"g", b"k", b"long" * 300, *(b"%d" % n for n in range(4))])
FIELD_LIST = st.lists(FIELD, min_size=1, max_size=4, unique=True)
Step = tuple[str, list[bytes], bytes | int]
STEP: st.SearchStrategy[Step] = st.one_of(
    st.tuples(st.just("hset"), FIELD_LIST, st.sampled_from([b"1", b"v" * 100, b"boxed" * 1000])),
    st.tuples(st.just("hpexpireat"), FIELD_LIST, st.integers(-20, 200)),
    st.tuples(st.sampled_from(["hpersist", "hdel", "hgetdel"]), FIELD_LIST, st.just(0)),
    st.tuples(st.sampled_from(["wait", "sweep"]), st.just([]), st.integers(1, 60)),
    st.tuples(st.sampled_from(["rename", "copy", "swap", "flush"]), st.just([]), st.just(0)),
)


class Model:
    """What the fields of the one hash should be."""

    def __init__(self) -> None:
        self.now = NOW
        self.fields: dict[bytes, tuple[bytes, int]] = {}

    def living(self) -> dict[bytes, tuple[bytes, int]]:
        return {name: (value, at) for name, (value, at) in self.fields.items() if at == -1 or at >= self.now}


@settings(max_examples=80)
@given(st.lists(STEP, max_size=30))
def test_as_python_has_it(steps: list[Step]) -> None:
    model = Model()
    with executor() as shard:
        for step in steps:
            _take(shard, model, *step)
            model.fields = model.living()
            names = sorted(model.fields)
            got = shard.run("hgetall", b"h", now_ms=model.now).split(b"\r\n")[2:-1:2]
            assert dict(zip(got[::2], got[1::2], strict=True)) == {n: model.fields[n][0] for n in names}
            if names:
                times = shard.run("hpexpiretime", b"h", b"FIELDS", b"%d" % len(names), *names, now_ms=model.now)
                assert [int(line[1:]) for line in times.split(b"\r\n")[1:-1]] == [model.fields[n][1] for n in names]
        model.now += 1000
        model.fields = model.living()
        shard.run("dbsize", now_ms=model.now)
        while in_background(shard, "expire_some", 100):
            pass
        assert number(shard.run("exists", b"h", now_ms=model.now)) == (1 if model.fields else 0)
        assert number(shard.run("hlen", b"h", now_ms=model.now)) == len(model.fields)


def _take(shard: Executor, model: Model, name: str, fields: list[bytes], argument: bytes | int) -> None:
    numbered = [b"FIELDS", b"%d" % len(fields), *fields]
    if isinstance(argument, bytes):
        shard.run("hset", b"h", *(word for field in fields for word in (field, argument)), now_ms=model.now)
        model.fields.update(dict.fromkeys(fields, (argument, -1)))
    elif name == "hpexpireat":
        at = max(model.now + argument, 0)
        shard.run(name, b"h", b"%d" % at, *numbered, now_ms=model.now)
        for field in set(fields) & set(model.fields):
            model.fields[field] = (model.fields[field][0], at)
        model.fields = {n: (v, t) for n, (v, t) in model.fields.items() if t == -1 or t > model.now or n not in fields}
    elif name == "hpersist":
        shard.run(name, b"h", *numbered, now_ms=model.now)
        model.fields.update({n: (model.fields[n][0], -1) for n in fields if n in model.fields})
    elif name in ("hdel", "hgetdel"):
        shard.run(name, b"h", *(fields if name == "hdel" else numbered), now_ms=model.now)
        model.fields = {n: pair for n, pair in model.fields.items() if n not in fields}
    else:
        _take_whole(shard, model, name, argument)


def _take_whole(shard: Executor, model: Model, name: str, argument: int) -> None:
    if name in ("wait", "sweep"):
        model.now += argument
        shard.run("dbsize", now_ms=model.now)
        if name == "sweep":
            in_background(shard, "expire_some", argument)
    elif name == "flush":
        shard.run("flushall", now_ms=model.now)
        model.fields.clear()
    elif name == "swap":
        shard.run("swapdb", b"0", b"1", now_ms=model.now)
        shard.run("swapdb", b"1", b"0", now_ms=model.now)
    elif model.fields:
        shard.run(name, b"h", b"other", now_ms=model.now)
        shard.run("rename", b"other", b"h", now_ms=model.now)
