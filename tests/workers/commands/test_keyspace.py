"""Commands on whole databases and on what lies behind a key, against redis-server where it can tell."""
from __future__ import annotations

import time
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.harness import wait_until
from tests.wire import Wire, run_both

SCRIPTS = {
    "errors": """
        keys
        keys a b
        scan
        scan x
        scan 1x
        scan 1.0
        scan 99999999999999999999
        scan 0 count
        scan 0 count 0
        scan 0 count -1
        scan 0 count x
        scan 0 match
        scan 0 nonsense x
        scan 0 count 1 count
        flushall now
        flushdb async sync
        swapdb x 1
        swapdb 1 x
        swapdb 0 16
        swapdb -1 0
        swapdb 99999999999 0
        swapdb 0 99999999999
        swapdb 99 x
        swapdb 0
        object encoding
        object freq none
        object idletime none
        object refcount none
        object encoding none
        memory usage none
        memory usage none samples
        memory usage none samples x
        memory usage none samples -1
        memory usage none nonsense 1
        debug object none
        debug digest
        debug digest-value none
    """,
    "databases": """
        set a 0
        select 1
        dbsize
        set b 1
        set c 1
        swapdb 0 1
        dbsize
        get a
        select 0
        dbsize
        swapdb 0 0
        swapdb 2 2
        dbsize
        flushdb
        dbsize
        flushdb SYNC
        select 1
        dbsize
        flushdb async
        dbsize
        set x 1
        select 0
        flushall ASYNC
        select 1
        dbsize
    """,
    "encodings": """
        set a 1
        object encoding a
        set a 9223372036854775807
        object encoding a
        set a 9223372036854775808
        object encoding a
        set a 01
        object encoding a
        set a aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        object encoding a
        set a aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        object encoding a
        set a 1
        append a 2
        object encoding a
        set a 1.5
        object encoding a
        incrbyfloat a 1
        object encoding a
        setrange a 1 x
        object encoding a
        object freq a
        object encoding a b
    """,
    "references": """
        object refcount a
        set a 0
        object refcount a
        set a 9999
        object refcount a
        incr a
        object refcount a
        set a -1
        object refcount a
        set a value
        object refcount a
    """,
    "digests": """
        set a 1
        set b aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
        set c 1 px 100000000
        debug digest-value a
        debug digest-value a b c d
    """,
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS.keys())
def test_as_redis(ours: Wire, theirs: Wire, script: str) -> None:
    run_both(ours, theirs, script)


def fill(wire: Wire, count: int, prefix: str = "key:") -> set[bytes]:
    keys = [f"{prefix}{number}".encode() for number in range(count)]
    assert wire.ask("mset", *(word for key in keys for word in (key, "v"))) == "+OK"
    return set(keys)


def scan(wire: Wire, *options: str | int) -> list[bytes]:
    found: list[bytes] = []
    cursor = b"0"
    while True:
        cursor, keys = wire.ask("scan", cursor, *options)
        found += keys
        if cursor == b"0":
            return found


# -- KEYS

NAMES = st.lists(st.text("ab[]*?\\-^", max_size=4), max_size=8, unique=True)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=NAMES, pattern=st.text("ab[]*?\\-^", max_size=5))
def test_keys_of_any_pattern(ours: Wire, theirs: Wire, names: list[str], pattern: str) -> None:
    answers = []
    for wire in (ours, theirs):
        wire.ask("flushdb")
        for name in names:
            wire.ask("set", name, "v")
        answers.append(sorted(wire.ask("keys", pattern)))
    assert answers[0] == answers[1]
    assert set(scan(ours, "match", pattern)) == set(answers[0])


def test_keys_of_all_shards(ours: Wire) -> None:
    keys = fill(ours, 1000)
    assert sorted(ours.ask("keys", "*")) == sorted(keys)
    assert sorted(ours.ask("keys", "key:99*")) == sorted(key for key in keys if key.startswith(b"key:99"))
    ours.ask("select", 1)
    assert ours.ask("keys", "*") == []


# -- SCAN


@pytest.mark.parametrize("options", [(), ("count", 1), ("count", 5), ("COUNT", 1000), ("count", 1 << 62)])
def test_scan_meets_every_key(ours: Wire, options: tuple[str | int, ...]) -> None:
    keys = fill(ours, 1000)
    assert set(scan(ours, *options)) == keys


def test_scan_of_nothing(ours: Wire) -> None:
    assert scan(ours) == []


def test_scan_answers_about_count_keys(ours: Wire) -> None:
    fill(ours, 2000)
    _, keys = ours.ask("scan", 0, "count", 500)
    assert 500 <= len(keys) <= 1500
    _, keys = ours.ask("scan", 0)
    assert 10 <= len(keys) <= 1000


def test_scan_by_type(ours: Wire) -> None:
    keys = fill(ours, 50)
    assert set(scan(ours, "type", "STRING")) == keys
    assert scan(ours, "type", "list") == []
    assert scan(ours, "type", "nonsense") == []
    some = {key for key in keys if key.startswith(b"key:1")}
    assert set(scan(ours, "count", 3, "match", "key:1*", "type", "string")) == some


def test_scan_while_the_table_grows_and_shrinks(ours: Wire) -> None:
    stay = fill(ours, 300, "stay:")
    found: set[bytes] = set()
    cursor, turn = b"0", 0
    while True:
        cursor, keys = ours.ask("scan", cursor, "count", 5)
        found.update(keys)
        if cursor == b"0":
            break
        turn += 1
        if turn < 30:
            fill(ours, 200, f"guest{turn}:")
        elif turn < 60:
            ours.ask("del", *(f"guest{turn - 29}:{number}" for number in range(200)))
    assert stay <= found


@pytest.mark.parametrize("cursor", [1, 12345, 1 << 47, 5 << 48, (1 << 63) + 1, (1 << 64) - 1])
def test_scan_from_a_cursor_of_nobody(ours: Wire, cursor: int) -> None:
    keys = fill(ours, 100)
    following, met = ours.ask("scan", cursor)
    assert following.isdigit()
    assert set(met) <= keys


def test_scan_leaves_expired_keys_out(ours: Wire, lazy: None) -> None:
    keys = fill(ours, 100)
    ours.ask("set", "gone", "v", "px", 1)
    time.sleep(0.003)  # outlives it
    assert set(scan(ours)) == keys
    assert b"gone" not in ours.ask("keys", "*")


# -- RANDOMKEY, FLUSHALL


def test_randomkey(ours: Wire) -> None:
    assert ours.ask("randomkey") is None
    ours.ask("set", "only", "v")
    assert {ours.ask("randomkey") for _ in range(10)} == {b"only"}
    keys = fill(ours, 20)
    ours.ask("del", "only")
    assert len({ours.ask("randomkey") for _ in range(200)} & keys) > 1


@pytest.mark.parametrize("mode", [(), ("sync",), ("ASYNC",)])
def test_memory_comes_back_after_a_flush(ours: Wire, client: redis.Redis, mode: tuple[str, ...]) -> None:
    def used() -> int:
        return int(client.info("memory")["used_memory"])

    before = used()
    for number in range(50):
        ours.ask("set", f"big{number}", b"x" * 100_000)
    assert used() > before + 4_000_000
    assert ours.ask("flushall", *mode) == "+OK"
    assert ours.ask("dbsize") == 0
    wait_until(lambda: used() < before + 1_000_000, "the flushed memory")


# -- behind a key


def test_idletime(ours: Wire) -> None:
    ours.ask("set", "a", "v")
    assert ours.ask("object", "idletime", "a") in (0, 1)
    wait_until(lambda: ours.ask("object", "idletime", "a") >= 1, "a second without access")
    assert ours.ask("exists", "a") == 1
    assert ours.ask("object", "idletime", "a") >= 1
    assert ours.ask("touch", "a") == 1
    assert ours.ask("object", "idletime", "a") == 0


def test_help(ours: Wire) -> None:
    lines = ours.ask("object", "help")
    assert any("ENCODING" in line for line in lines)


def usage(wire: Wire, value: Any) -> int:
    wire.ask("set", "a", value)
    return int(wire.ask("memory", "usage", "a", "samples", 5))


def test_memory_usage(ours: Wire) -> None:
    sizes = [usage(ours, b"x" * length) for length in (0, 100, 10_000, 1_000_000)]
    assert sizes == sorted(sizes)
    for length, size in zip((0, 100, 10_000, 1_000_000), sizes, strict=True):
        assert length < size < length * 1.3 + 64


def test_debug_object(ours: Wire) -> None:
    ours.ask("set", "a", 20_000)
    told = ours.ask("debug", "object", "a")
    assert told.startswith("+Value at:0x")
    assert " refcount:1 encoding:int " in told
    place = told.split()[1]
    assert ours.ask("incr", "a") == 20_001
    assert ours.ask("debug", "object", "a").split()[1] == place, "an increment is done in place"


def test_digest_is_of_the_data(ours: Wire) -> None:
    nothing = "+" + "0" * 40
    assert ours.ask("debug", "digest") == nothing
    fill(ours, 100)
    full = ours.ask("debug", "digest")
    assert full != nothing
    ours.ask("set", "more", "v")
    assert ours.ask("debug", "digest") != full
    ours.ask("move", "more", 1)
    assert ours.ask("debug", "digest") != full
    ours.ask("select", 1)
    ours.ask("del", "more")
    assert ours.ask("debug", "digest") == full
    assert ours.ask("debug", "reload") == "+OK"
    assert ours.ask("debug", "digest") == full
