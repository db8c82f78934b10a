"""Commands on keys of any type, reply by reply against redis-server where it is installed."""
from __future__ import annotations

import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.harness import Server, wait_until
from tests.wire import Wire, run_both


def pass_time() -> None:
    """Outlives what expires after a millisecond."""
    time.sleep(0.003)


# Keys of a script that must lie together have the tag {t}.
SCRIPTS = {
    "counting": """
        mset {t}a 1 b 2 c 3
        exists {t}a b c d {t}a
        touch {t}a b d d
        del {t}a {t}a d
        unlink b b
        exists {t}a b c
        dbsize
        del
        exists
        touch
        unlink
    """,
    "type": """
        set n 1
        type n
        type none
        type
        type n n
    """,
    "rename": """
        rename {t}a {t}b
        renamenx {t}a {t}b
        set {t}a 1 px 100000000
        rename {t}a {t}a
        renamenx {t}a {t}a
        rename {t}a {t}b
        exists {t}a {t}b
        persist {t}b
        set {t}c 2
        renamenx {t}b {t}c
        rename {t}b {t}c
        get {t}c
        ttl {t}c
        rename {t}c
        dbsize
    """,
    "copy": """
        copy {t}a {t}b
        set {t}a value
        copy {t}a {t}a
        copy {t}none {t}none
        copy {t}a {t}a db 0
        copy {t}a {t}a db 1
        copy {t}a {t}a db 1
        copy {t}a {t}a db 1 replace
        copy {t}a {t}b
        copy {t}a {t}b
        copy {t}a {t}b REPLACE
        set {t}b other
        copy {t}a {t}b replace replace
        get {t}b
        copy {t}a {t}b db 16
        copy {t}a {t}b db -1
        copy {t}a {t}b db 99999999999
        copy {t}a {t}b db x
        copy {t}a {t}b db
        copy {t}a {t}b nonsense
        pexpireat {t}a 9999999999999
        copy {t}a {t}c
        pexpiretime {t}c
        get {t}c
        select 1
        get {t}a
        keys *
    """,
    "move": """
        move a 1
        set a 1 pxat 9999999999999
        move a 0
        move a 16
        move a -1
        move a x
        move a 99999999999
        move a 1
        exists a
        set a 2
        move a 1
        select 1
        get a
        pexpiretime a
        move a 0
        del a
        move a 0
    """,
    "expire": """
        expire k 10
        set k v
        expire k 10 nx xx
        expire k 10 nx gt
        expire k 10 lt nx
        expire k 10 gt lt
        expire k 10 foo
        expire k 10 nx foo\u00e9
        expire k ten
        expire k 1.5
        expire k 9223372036854775807
        expire k -9223372036854775808
        expire k 9223372036854775
        expire k 9223372036854776
        pexpire k 9223372036854775807
        expireat k 9223372036854775807
        pexpireat k 9223372036854775808
        ttl k
        expireat k 9999999999 xx
        expireat k 9999999999 gt
        expireat k 9999999999 nx
        expireat k 9999999999 NX
        expireat k 9999999999 gt
        expireat k 9999999998 gt
        expireat k 9999999998 lt
        expireat k 9999999998 lt
        expireat k 9999999999 xx gt
        expiretime k
        pexpiretime k
        persist k
        persist k
        persist none
        expireat k 9999999999 lt
        expireat k 9999999998 xx lt
        pexpireat k 9223372036854775807
        pexpiretime k
        expiretime k
        set k v
        ttl k
        pttl k
        expiretime k
        pexpiretime k
        ttl none
        pttl none
        expiretime none
        pexpiretime none
        expire k 0 xx
        exists k
        expire k 0
        exists k
        set k v
        pexpire k -1
        exists k
        set k v
        expireat k 1
        dbsize
        set k v
        pexpireat k -1 gt
        exists k
        pexpireat k -1 lt
        exists k
    """,
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS.keys())
def test_as_redis(ours: Wire, theirs: Wire, script: str) -> None:
    run_both(ours, theirs, script)


KEYS = st.sampled_from(["{t}a", "{t}b", "{t}c"])
TIMES = st.sampled_from(["-5", "0", "9999999998", "9999999999", "99999999999"])  # the two clocks must not matter
CONDITIONS = st.lists(st.sampled_from(["nx", "XX", "gt", "Lt", "no"]), max_size=2).map(tuple)
STEPS = st.one_of(
    st.tuples(st.just("set"), KEYS, st.sampled_from(["1", "short", "x" * 60, "y" * 3000])),
    st.tuples(st.sampled_from(["del", "unlink", "exists", "touch"]), KEYS, KEYS),
    st.tuples(st.sampled_from(["rename", "renamenx", "copy"]), KEYS, KEYS),
    st.tuples(st.just("copy"), KEYS, KEYS, st.just("db"), st.sampled_from("012"), st.just("replace")),
    st.tuples(st.just("move"), KEYS, st.sampled_from("012")),
    st.tuples(st.just("select"), st.sampled_from("012")),
    st.tuples(st.sampled_from(["persist", "type", "get", "expiretime"]), KEYS),
    st.tuples(st.just("expireat"), KEYS, TIMES, CONDITIONS).map(lambda step: (*step[:3], *step[3])),
    st.tuples(st.just("swapdb"), st.sampled_from("012"), st.sampled_from("012")),
    st.tuples(st.sampled_from(["flushdb", "dbsize", "randomkey"])),
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(STEPS, max_size=25))
def test_any_sequence_as_redis(ours: Wire, theirs: Wire, steps: list[tuple[str, ...]]) -> None:
    for step in [("flushall",), ("select", "0"), *steps]:
        answer, expected = ours.ask(*step), theirs.ask(*step)
        if step[0] == "randomkey":
            assert (answer is None) == (expected is None)
        else:
            assert answer == expected, step


def test_keys_of_several_shards(ours: Wire, server: Server) -> None:
    keys = [f"key{number}" for number in range(40)]
    assert ours.ask("mset", *(word for key in keys for word in (key, "v"))) == "+OK"
    assert ours.ask("exists", *keys, "none") == 40
    assert ours.ask("touch", *keys, "none") == 40
    assert ours.ask("unlink", *keys[:20], "none") == 20
    assert ours.ask("del", *keys) == 20
    assert ours.ask("dbsize") == 0


@pytest.mark.parametrize("command", ["rename", "renamenx", "copy"])
def test_keys_that_share_no_shard(ours: Wire, command: str) -> None:
    for number in range(20):
        ours.ask("set", f"a{number}", "value", "px", 100_000)
        assert ours.ask(command, f"a{number}", f"b{number}") == ("+OK" if command == "rename" else 1)
        assert ours.ask("get", f"b{number}") == b"value"
        assert 0 < ours.ask("pttl", f"b{number}") <= 100_000
        assert ours.ask("exists", f"a{number}") == (command == "copy")


def test_a_key_that_moves_to_another_shard_was_used_when_it_was(ours: Wire) -> None:
    payload = ours.ask("set", "a", "value") and ours.ask("dump", "a")
    for number in range(10):
        assert ours.ask("restore", f"a{number}", 0, payload, "idletime", 1000) == "+OK"
        assert ours.ask("rename", f"a{number}", f"b{number}") == "+OK"
        assert 1000 <= ours.ask("object", "idletime", f"b{number}") < 1100


@pytest.mark.parametrize("command", ["del", "unlink", "exists", "touch", "type", "ttl", "persist", "rename", "expire"])
def test_an_expired_key_does_not_exist(ours: Wire, lazy: None, command: str) -> None:
    more = {"rename": ("{t}b",), "expire": ("10",)}.get(command, ())
    nothing = {"type": "+none", "ttl": -2, "rename": "-ERR no such key"}.get(command, 0)
    assert ours.ask("set", "{t}a", "v", "px", 1) == "+OK"
    pass_time()
    assert ours.ask(command, "{t}a", *more) == nothing
    assert ours.ask("exists", "{t}a") == 0
    assert ours.ask("dbsize") == 0


def test_expired_keys_are_deleted_with_no_one_reading(ours: Wire) -> None:
    for number in range(500):
        ours.send("set", number, "v", "px", 1)
    assert [ours.receive() for _ in range(500)] == ["+OK"] * 500
    wait_until(lambda: ours.ask("dbsize") == 0, "all expired keys to be deleted")


def test_rename_and_copy_over_an_expired_key(ours: Wire, lazy: None) -> None:
    for command in ("renamenx", "copy"):
        ours.ask("set", "{t}source", "v")
        ours.ask("set", "{t}target", "old", "px", 1)
        pass_time()
        assert ours.ask(command, "{t}source", "{t}target") == 1
        assert ours.ask("get", "{t}target") == b"v"
        assert ours.ask("ttl", "{t}target") == -1
        assert ours.ask("del", "{t}target") == 1


@pytest.mark.parametrize("size", [0, 1, 44, 45, 2048, 2049, 100_000])
def test_values_of_any_size_travel(ours: Wire, size: int) -> None:
    value = b"x" * size
    assert ours.ask("set", "{t}a", value, "pxat", 9999999999999) == "+OK"
    assert ours.ask("copy", "{t}a", "{t}b") == 1
    assert ours.ask("rename", "{t}a", "{t}c") == "+OK"
    assert ours.ask("append", "{t}c", "!") == size + 1
    assert ours.ask("get", "{t}b") == value
    assert ours.ask("get", "{t}c") == value + b"!"
    assert ours.ask("pexpiretime", "{t}b") == ours.ask("pexpiretime", "{t}c") == 9999999999999
    assert ours.ask("move", "{t}b", 3) == 1
    assert ours.ask("select", 3) == "+OK"
    assert ours.ask("get", "{t}b") == value


def test_a_key_of_any_size_is_renamed(ours: Wire) -> None:
    for length in (0, 1, 1022, 1023, 70_000):
        name = b"{t}" + b"k" * length
        assert ours.ask("set", "{t}", "v") == "+OK"
        assert ours.ask("rename", "{t}", name) == "+OK"
        assert ours.ask("rename", name, "{t}") == "+OK"
        assert ours.ask("get", "{t}") == b"v"
