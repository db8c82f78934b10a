"""Commands on strings, reply by reply against redis-server where it is installed."""

from __future__ import annotations

import itertools
import time

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.wire import Wire, run_both

LATE = 9999999999999  # unix ms, some centuries ahead

# Keys of a script that must lie together have the tag {t}.
SCRIPTS = {
    "get": """
        get
        get a b
        get a
        set a 1
        get a
        set a hello
        GET a
        set a ""
        get a
        strlen a
        strlen none
        strlen
        set n -12
        strlen n
    """,
    "set": """
        set
        set a
        set a 1 nonsense
        set a 1 nx
        set a 2 nx
        get a
        set b 1 xx
        get b
        set a 3 xx
        get a
        set a 4 nx xx
        set a 4 xx nx
        set a 4 NX NX
        set a 5 get
        set a 6 nx get
        get a
        set c 1 nx get
        get c
        set d 1 xx get
        get d
        set c 2 get get xx
        get c
        set a 1 ex
        set a 1 ex 10 px
        set a 1 ex 10 px 10
        set a 1 ex 10 ex 20
        ttl a
        set a 1 keepttl
        ttl a
        set a 1 keepttl ex 10
        set a 1 ex 10 keepttl
        set a 1 keepttl keepttl
        set a 1
        ttl a
        set a 1 persist
        set a 1 ex 0
        set a 1 ex -1
        set a 1 px 0
        set a 1 px -5
        set a 1 exat 0
        set a 1 pxat -1
        set a 1 ex x
        set a 1 ex 1.5
        set a 1 ex 9223372036854775807
        set a 1 ex 9223372036854775
        set a 1 ex 9223372036854776
        set a 1 px 9223372036854775807
        set a 1 exat 9223372036854775807
        set a 1 exat 9223372036854775
        pexpiretime a
        set a 1 pxat 9223372036854775807
        pexpiretime a
        set a 1 EXAT 9999999999
        pexpiretime a
        set a 2 PxAt 9999999999999 XX GET
        pexpiretime a
        set e 1 px 1000 xx
        exists e
        set a 1 exat 1
        get a
        set a 1 pxat 1 get
        exists a
        set a 1 nx ex 100 get
        ttl a
        set a 1 nx ex x get
    """,
    "set with times": """
        setex a 100 v
        ttl a
        get a
        setex a 0 v
        setex a -1 v
        setex a x v
        setex a 9223372036854775807 v
        psetex a 100000 v
        ttl a
        psetex a 0 v
        psetex a x v
        psetex a 9223372036854775807 v
        setex a 10
        psetex a 10
        setnx a 1
        get a
        setnx b 1
        setnx b 2
        get b
        setnx b
        getset b 7
        getset c 8
        get c
        setex c 100 9
        getset c 10
        ttl c
        getset c
    """,
    "getex": """
        getex a
        getex
        getex a nonsense
        getex a ex
        getex none ex x
        set a 1
        getex a ex x
        getex a ex 0
        getex a px -1
        getex a exat 9223372036854775807
        getex a
        getex a ex 100
        ttl a
        getex a
        ttl a
        getex a persist
        ttl a
        getex a persist
        getex a persist ex 10
        getex a ex 10 persist
        getex a keepttl
        getex a get
        getex a nx
        getex a PXAT 9999999999999
        pexpiretime a
        getex a exat 9999999999
        pexpiretime a
        getex a px 100000 px 200000
        ttl a
        getex a exat 1
        exists a
        set a 1
        getex a pxat 1
        get a
    """,
    "getdel": """
        getdel a
        getdel
        set a hello px 100000
        getdel a
        exists a
        getdel a
        set a 17
        getdel a
    """,
    "several": """
        mget
        mget a
        mset a 1 b 2 c hello
        mget a b c d a
        mset a
        mset a 1 b
        mset a x a y
        get a
        setex a 100 v
        mset a 2
        ttl a
        msetnx {t}a 1 {t}b 2
        msetnx {t}c 1 {t}b 3
        mget {t}a {t}b {t}c
        msetnx {t}x 1 {t}x 2
        get {t}x
        msetnx {t}y
        msetnx {t}y 1 {t}z
    """,
    "integers": """
        incr a
        incr a
        decr a
        decrby a 10
        incrby a 100
        get a
        incrby a x
        incrby a 1.5
        incrby a
        incr a 1
        decrby a x
        set a hello
        incr a
        decr a
        set a 1.0
        incr a
        set a 9223372036854775807
        incr a
        incrby a 1
        decr a
        set a -9223372036854775808
        decr a
        incrby a -1
        incr a
        decrby a 9223372036854775807
        set b 0
        decrby b -9223372036854775808
        incrby b -9223372036854775808
        incrby b -1
        decrby b 1
        incrby b 9223372036854775807
        set a 007
        incr a
        set a +7
        incr a
        set a 9223372036854775808
        incr a
        set a 1
        append a 2
        incr a
        get a
        set a 5 pxat 9999999999999
        incr a
        pexpiretime a
        object encoding a
        set a ""
        incr a
    """,
    "floats": """
        incrbyfloat a 1
        incrbyfloat a 0.1
        incrbyfloat a -1.1
        get a
        incrbyfloat a 3.0e3
        incrbyfloat a x
        incrbyfloat a
        incrbyfloat a inf
        incrbyfloat a -inf
        incrbyfloat a nan
        incrbyfloat a 0x10
        incrbyfloat a 1e5000
        incrbyfloat a 1e-4000
        incrbyfloat a 1e4000
        strlen a
        set a hello
        incrbyfloat a 1
        set a 10.50
        incrbyfloat a 0.1
        incrbyfloat a -5
        set b 9223372036854775807
        incrbyfloat b 1
        set b 5.0e3
        incrbyfloat b 2.0e2
        set b 3
        incrbyfloat b 0.00000000000000001
        incrbyfloat b 1e-20
        incrbyfloat b 123456789.123456789
        set c 1 pxat 9999999999999
        incrbyfloat c 1.5
        pexpiretime c
        object encoding c
        incrbyfloat c 0.5
        incr c
        set d -1
        incrbyfloat d 1
        incrbyfloat d -0.000000000000000000001
    """,
    "append": """
        append a 1
        object encoding a
        append a 2
        get a
        append a ""
        get a
        append none ""
        exists none
        append a
        append a b c
        object encoding a
        set b 1 pxat 9999999999999
        append b x
        pexpiretime b
        set n -5
        append n 5
        get n
        incr n
    """,
    "ranges": """
        setrange a 0 hello
        get a
        setrange a 6 world
        get a
        setrange a 3 XY
        get a
        setrange none 0 ""
        exists none
        setrange none 100 ""
        setrange a 1000 ""
        setrange a -1 x
        setrange none -1 ""
        setrange a x y
        setrange a 1
        setrange a 536870912 x
        setrange a 536870911 ""
        setrange none 536870912 x
        setrange a 9223372036854775807 x
        setrange a 9223372036854775807 ""
        set n 12345 pxat 9999999999999
        setrange n 2 x
        get n
        pexpiretime n
        set b hello
        getrange b 0 -1
        getrange b 0 0
        getrange b 1 3
        getrange b -3 -1
        getrange b -3 -2
        getrange b 3 1
        getrange b -1 -3
        getrange b -100 -200
        getrange b -200 -100
        getrange b 0 -100
        getrange b -100 100
        getrange b 5 10
        getrange b 4 10
        getrange b 9223372036854775807 9223372036854775807
        getrange b -9223372036854775808 9223372036854775807
        getrange b 0 -9223372036854775808
        getrange b x 1
        getrange b 1 x
        getrange b 1
        getrange none 0 -1
        getrange none x 1
        set e ""
        getrange e 0 -1
        getrange e -1 0
        substr b 1 3
        substr b 1
        getrange n 0 1
    """,
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_script(name: str, ours: Wire, theirs: Wire) -> None:
    run_both(ours, theirs, SCRIPTS[name])


KEYS = st.sampled_from([b"{t}a", b"{t}b", b"{t}c"])
NUMBERS = st.sampled_from([-1 << 63, -7, -1, 0, 1, 2, 5, 43, 3000, (1 << 63) - 1]).map(lambda number: b"%d" % number)
OFFSETS = st.integers(0, 80).map(lambda number: b"%d" % number) | st.sampled_from([b"2047", b"2048", b"5000", b"-1"])
TEXTS = (
    NUMBERS
    | st.sampled_from([b"", b"1.5", b"-0", b"x" * 44, b"x" * 45, b"y" * 2048, b"z" * 2049, b"w" * 20000])
    | st.binary(max_size=60)
)
TIMES = st.sampled_from(
    [[], [b"keepttl"], [b"pxat", b"%d" % LATE], [b"exat", b"9999999998"], [b"px", b"0"], [b"exat", b"1"]]
)
WAYS = st.sampled_from([[], [b"nx"], [b"xx"], [b"get"], [b"nx", b"get"], [b"xx", b"get"], [b"nx", b"xx"]])
GETEX_TIMES = TIMES | st.just([b"persist"])
RANGE = st.sampled_from([b"0", b"1", b"3", b"-1", b"-3", b"50", b"-50", b"2050", b"-2050"])


def command(name: str, *arguments: st.SearchStrategy[bytes]) -> st.SearchStrategy[list[bytes]]:
    return st.tuples(*arguments).map(lambda given_ones: [name.encode(), *given_ones])


def joined(*parts: st.SearchStrategy[list[bytes]]) -> st.SearchStrategy[list[bytes]]:
    return st.tuples(*parts).map(lambda words: list(itertools.chain.from_iterable(words)))


PAIRS = st.lists(st.tuples(KEYS, TEXTS), min_size=1, max_size=3).map(lambda pairs: list(itertools.chain(*pairs)))
COMMANDS = st.one_of(
    *(command(name, KEYS) for name in ("get", "getdel", "strlen", "incr", "decr", "pexpiretime", "exists", "persist")),
    *(command(name, KEYS, NUMBERS) for name in ("incrby", "decrby")),
    *(command(name, KEYS, TEXTS) for name in ("append", "getset", "set", "setnx")),
    *(command(name, KEYS, RANGE, RANGE) for name in ("getrange", "substr")),
    command("incrbyfloat", KEYS, NUMBERS | st.sampled_from([b"0.1", b"-2.5", b"1e10", b"x", b"inf"])),
    command("setrange", KEYS, OFFSETS, TEXTS),
    joined(command("set", KEYS, TEXTS), TIMES, WAYS),
    joined(command("getex", KEYS), GETEX_TIMES),
    *(joined(command(name), PAIRS) for name in ("mset", "msetnx")),
    command("mget", KEYS, KEYS, KEYS),
)


@given(st.lists(COMMANDS, max_size=40))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_any_sequence_gets_the_same_replies(ours: Wire, theirs: Wire, sequence: list[list[bytes]]) -> None:
    for words in [[b"flushall"], *sequence]:
        assert ours.ask(*words) == theirs.ask(*words), words
    for key in (b"{t}a", b"{t}b", b"{t}c"):
        assert ours.ask("get", key) == theirs.ask("get", key)


def test_null_in_resp3(client3: redis.Redis) -> None:
    assert client3.execute_command("GET", "none") is None
    assert client3.execute_command("MGET", "none", "none") == [None, None]


@pytest.mark.parametrize("set_it", [("ex", 100), ("px", 100_000)])
def test_relative_times_count_from_now(ours: Wire, set_it: tuple[str, int]) -> None:
    before = time.time_ns() // 1_000_000
    assert ours.ask("set", "a", "1", *set_it) == "+OK"
    after = time.time_ns() // 1_000_000
    assert before + 99_990 <= ours.ask("pexpiretime", "a") <= after + 100_010


def test_a_time_that_has_passed_ends_the_key(ours: Wire) -> None:
    assert ours.ask("set", "a", "1", "px", 1) == "+OK"
    time.sleep(0.003)
    assert ours.ask("set", "a", "2", "xx") is None
    assert ours.ask("set", "a", "3", "keepttl") == "+OK"
    assert ours.ask("ttl", "a") == -1


@pytest.mark.parametrize("size", [0, 1, 44, 45, 1000, 2048, 2049, 16_384, 70_000, 1_000_000])
def test_values_of_any_size_grow_and_shrink(ours: Wire, size: int) -> None:
    value = bytes(number * 7 & 255 for number in range(size))
    assert ours.ask("set", "a", value) == "+OK"
    assert ours.ask("get", "a") == value
    assert ours.ask("append", "a", value) == 2 * size
    assert ours.ask("setrange", "a", size, b"!") == max(2 * size, size + 1)
    assert ours.ask("get", "a") == value + b"!" + value[1:]
    assert ours.ask("getset", "a", "small") == value + b"!" + value[1:]
    assert ours.ask("set", "a", value, "get") == b"small"
    assert ours.ask("getdel", "a") == value


def test_a_failed_command_changes_nothing(ours: Wire) -> None:
    ours.ask("set", "a", "hello", "pxat", LATE)
    for words in (("incr", "a"), ("incrbyfloat", "a", "1"), ("setrange", "a", "-1", "x"), ("set", "a", "1", "ex", "0")):
        assert ours.ask(*words).startswith("-ERR ")
    assert ours.ask("get", "a") == b"hello"
    assert ours.ask("pexpiretime", "a") == LATE
