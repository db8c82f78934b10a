"""Commands on bits, reply by reply against redis-server where it is installed; and against plain Python."""

from __future__ import annotations

import itertools

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.wire import Wire, run_both

# Keys of a script that must lie together have the tag {t}.
SCRIPTS = {
    "one bit": """
        setbit a 1 1
        getbit a 1
        getbit a 0
        getbit a 100
        setbit a 1 1
        setbit a 1 0
        strlen a
        setbit a 100 0
        strlen a
        setbit a 7 1
        get a
        setbit a 7 2
        setbit a 7 -1
        setbit a 7 x
        setbit a x 1
        setbit a -1 1
        setbit a 1.5 1
        setbit a #1 1
        setbit a 4294967296 1
        setbit a 9223372036854775807 1
        setbit a 1
        getbit a x
        getbit a -1
        getbit a #1
        getbit a 4294967295
        getbit a 4294967296
        getbit a
        getbit none 5
        set n 12345 pxat 9999999999999
        getbit n 2
        setbit n 2 0
        get n
        setbit n 100 1
        pexpiretime n
        strlen n
        object encoding n
        set b hello
        setbit b 5 1
        get b
    """,
    "bitcount": """
        bitcount
        bitcount none
        bitcount none 0
        bitcount none x y
        set a foobar
        bitcount a
        bitcount a 0 0
        bitcount a 1 1
        bitcount a 0 -1
        bitcount a -2 -1
        bitcount a -100 -200
        bitcount a -200 -100
        bitcount a 0 -100
        bitcount a 5 3
        bitcount a -1 -3
        bitcount a 5 100
        bitcount a 6 100
        bitcount a 5 30 BIT
        bitcount a 5 30 bit
        bitcount a 1 1 byte
        bitcount a 0 -1 bit
        bitcount a -1 -1 bit
        bitcount a -9 -2 bit
        bitcount a 3 3 bit
        bitcount a 8 7 bit
        bitcount a 47 48 bit
        bitcount a 48 49 bit
        bitcount a 0
        bitcount a 0 1 nonsense
        bitcount a -1 -3 nonsense
        bitcount a 0 1 bit bit
        bitcount a x 1
        bitcount a 1 x
        bitcount a -9223372036854775808 9223372036854775807
        bitcount a -9223372036854775808 9223372036854775807 bit
        set n 12345
        bitcount n
        bitcount n 1 2
        set e ""
        bitcount e
        bitcount e 0 -1
        bitcount e 0 -1 bit
    """,
    "bitpos": """
        bitpos
        bitpos none 0
        bitpos none 1
        bitpos none 2
        bitpos none x
        bitpos none 1 x
        bitpos none 0 5 6 7 8
        set a foobar
        bitpos a 0
        bitpos a 1
        bitpos a 2
        bitpos a -1
        bitpos a x
        bitpos a 1 1
        bitpos a 0 -1
        bitpos a 1 1 x
        bitpos a 1 x
        bitpos a 1 5 3
        bitpos a 0 5 3
        bitpos a 1 -100 -200
        bitpos a 1 10
        bitpos a 0 10
        bitpos a 1 10 20
        bitpos a 1 2 5 byte
        bitpos a 1 2 5 bit
        bitpos a 0 2 5 bit
        bitpos a 1 3 3 bit
        bitpos a 0 -3 -1 bit
        bitpos a 1 -30 -1 BIT
        bitpos a 1 47 100 bit
        bitpos a 1 48 100 bit
        bitpos a 1 2 5 nonsense
        bitpos a 1 x 5 nonsense
        bitpos a 1 2 x nonsense
        bitpos a 1 2 5 bit bit
        set e ""
        bitpos e 0
        bitpos e 1
        bitpos e 0 0
        bitpos e 0 0 -1
        set n 12345
        bitpos n 1
        bitpos n 0 3
        setbit z 1000 0
        bitpos z 1
        bitpos z 0 3
        bitpos z 1 0 -1 bit
    """,
    "bitop": """
        set {t}a foobar
        set {t}b abcdefghij
        bitop and {t}r {t}a {t}b
        get {t}r
        bitop or {t}r {t}a {t}b
        get {t}r
        bitop XOR {t}r {t}a {t}b {t}a
        get {t}r
        bitop not {t}r {t}a
        get {t}r
        bitop not {t}r {t}a {t}b
        bitop nonsense {t}r {t}a
        bitop and {t}r
        bitop and {t}r {t}a
        get {t}r
        bitop and {t}r {t}a {t}none
        get {t}r
        bitop or {t}r {t}none
        exists {t}r
        bitop not {t}r {t}none
        set {t}r keep pxat 9999999999999
        bitop or {t}r {t}a {t}r
        get {t}r
        pexpiretime {t}r
        set {t}n 12345
        set {t}m 678
        bitop xor {t}n {t}n {t}m
        get {t}n
        bitop not {t}a {t}a
        get {t}a
        bitop and {t}x {t}none1 {t}none2
        exists {t}x
    """,
    "bitfield": """
        bitfield
        bitfield a
        bitfield a get u8 0
        bitfield none get i64 100 get u63 1
        exists none
        bitfield a set u8 0 255 get u8 0 get i8 0
        bitfield a set u8 #1 97 get u8 #1 get u16 0
        bitfield a incrby u8 #1 1
        get a
        bitfield a set i5 13 -16 get i5 13 incrby i5 13 -1
        bitfield a overflow sat incrby i5 13 1000 incrby i5 13 -1000
        bitfield a overflow fail incrby i5 13 -1 set i5 13 100
        bitfield a overflow wrap incrby i5 13 -1
        bitfield a overflow nonsense incrby i5 13 -1
        bitfield a overflow
        bitfield a overflow fail
        bitfield a get u64 0
        bitfield a get u0 0
        bitfield a get i65 0
        bitfield a get x8 0
        bitfield a get u 0
        bitfield a get "" 0
        bitfield a get u08 0
        bitfield a get u8 -1
        bitfield a get u8 x
        bitfield a get u8 #x
        bitfield a get u8 #
        bitfield a get u8 #-1
        bitfield a get u8 4294967295
        bitfield a get u8 4294967296
        bitfield a get u8 #536870911
        bitfield a get u8 #536870912
        bitfield a get u8
        bitfield a set u8 0
        bitfield a set u8 0 x
        bitfield a incrby u8 0
        bitfield a nonsense
        bitfield a get u8 0 nonsense
        bitfield b overflow sat set u8 0 -1 get u8 0 incrby u8 0 -300 incrby u8 0 300
        bitfield b overflow fail set u8 0 256 set u8 0 -1 set u8 0 7
        bitfield b set i64 3 -9223372036854775808 get i64 3 get u63 3
        bitfield b overflow sat incrby i64 3 -1 incrby i64 3 9223372036854775807 incrby i64 3 9223372036854775807
        bitfield b overflow fail incrby i64 3 1
        bitfield b overflow wrap incrby i64 3 1
        bitfield b set u63 5 9223372036854775807 incrby u63 5 1 get u63 5
        bitfield b overflow sat incrby u63 5 -9223372036854775808
        bitfield b set u1 0 1 set u1 #5 1 incrby i1 3 1 get i1 3
        get b
        bitfield c overflow fail set u4 100 16
        strlen c
        set n 12345 pxat 9999999999999
        bitfield n get u8 0 set u8 8 65 get u8 8
        get n
        pexpiretime n
        bitfield_ro n get u8 0 get i3 5
        bitfield_ro n
        bitfield_ro n set u8 0 1
        bitfield_ro n incrby u8 0 1
        bitfield_ro n overflow fail get u8 0
        bitfield_ro n set u8 0 x
        bitfield_ro none get u8 0
    """,
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_script(name: str, ours: Wire, theirs: Wire) -> None:
    run_both(ours, theirs, SCRIPTS[name])


KEYS = st.sampled_from([b"{t}a", b"{t}b", b"{t}c"])
TEXTS = st.sampled_from([b"12345", b"\xff" * 3, b"\0" * 70, b"\xff" * 600, b"\x0f" * 3000]) | st.binary(max_size=40)
VALUES = st.integers(-3000, 3000) | st.sampled_from([-1 << 62, (1 << 63) - 1, 1 << 32])
INCREMENTS = VALUES | st.just(-1 << 63)  # as a value, redis-server makes of it the largest of a narrow signed field
PLACES = st.integers(0, 9) | st.integers(0, 600) | st.sampled_from([0, 7, 8, 63, 64, 24000, 30000])
ENDS = st.integers(-80, 80) | st.integers(-5000, 5000)
UNITS = st.sampled_from([b"bit", b"byte"])
TYPES = st.builds(lambda sign, bits: b"%b%d" % (sign, bits), st.sampled_from([b"i", b"u"]), st.integers(1, 64))
STEP = st.one_of(
    st.tuples(st.just(b"get"), TYPES, PLACES),
    st.tuples(st.just(b"set"), TYPES, PLACES, VALUES),
    st.tuples(st.just(b"incrby"), TYPES, PLACES, INCREMENTS),
    st.tuples(st.just(b"overflow"), st.sampled_from([b"wrap", b"sat", b"fail"])),
)
COMMANDS = st.one_of(
    st.tuples(st.just(b"set"), KEYS, TEXTS),
    st.tuples(st.just(b"get"), KEYS),
    st.tuples(st.just(b"getbit"), KEYS, PLACES),
    st.tuples(st.just(b"setbit"), KEYS, PLACES, st.integers(0, 1)),
    st.tuples(st.just(b"bitcount"), KEYS),
    st.tuples(st.just(b"bitcount"), KEYS, ENDS, ENDS, UNITS),
    st.tuples(st.just(b"bitpos"), KEYS, st.integers(0, 1)),
    st.tuples(st.just(b"bitpos"), KEYS, st.integers(0, 1), ENDS),
    st.tuples(st.just(b"bitpos"), KEYS, st.integers(0, 1), ENDS, ENDS, UNITS),
    st.tuples(st.just(b"bitop"), st.sampled_from([b"and", b"or", b"xor"]), KEYS, KEYS, KEYS),
    st.tuples(st.just(b"bitop"), st.just(b"not"), KEYS, KEYS),
    st.tuples(KEYS, st.lists(STEP, max_size=5)).map(lambda drawn: (b"bitfield", drawn[0], *itertools.chain(*drawn[1]))),
)


@given(st.lists(COMMANDS, max_size=40))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_any_sequence_gets_the_same_replies(ours: Wire, theirs: Wire, sequence: list[tuple[bytes | int, ...]]) -> None:
    for words in [(b"flushall",), *sequence]:
        assert ours.ask(*words) == theirs.ask(*words), words
    for key in (b"{t}a", b"{t}b", b"{t}c"):
        assert ours.ask("get", key) == theirs.ask("get", key)


@given(st.binary(max_size=1100), st.integers(0, 9000), st.integers(0, 9000))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bits_are_counted_and_found_as_by_hand(ours: Wire, value: bytes, first: int, last: int) -> None:
    bits = "".join(f"{byte:08b}" for byte in value)
    part = bits[first : last + 1]
    ours.ask("set", "a", value)
    assert ours.ask("bitcount", "a") == bits.count("1")
    assert ours.ask("bitcount", "a", first, last, "bit") == part.count("1")
    for bit in "01":
        found = part.find(bit)
        assert ours.ask("bitpos", "a", bit, first, last, "bit") == (first + found if found >= 0 else -1)


@given(st.sampled_from(["and", "or", "xor"]), st.lists(st.binary(max_size=200), min_size=1, max_size=20))
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_bitop_as_by_hand(ours: Wire, operation: str, values: list[bytes]) -> None:
    size = max(map(len, values))
    numbers = [int.from_bytes(value.ljust(size, b"\0"), "big") for value in values]
    expected = numbers[0]
    for number in numbers[1:]:
        expected = {"and": expected & number, "or": expected | number, "xor": expected ^ number}[operation]
    for index, value in enumerate(values):
        ours.ask("set", f"{{t}}{index}", value)
    assert ours.ask("bitop", operation, "{t}r", *(f"{{t}}{index}" for index in range(len(values)))) == size
    assert ours.ask("get", "{t}r") == (expected.to_bytes(size, "big") if size else None)


def test_fields_that_may_not_overflow_are_null_in_resp3(client3: redis.Redis) -> None:
    assert client3.execute_command("BITFIELD", "a", "OVERFLOW", "FAIL", "SET", "u2", "0", "4", "GET", "u2", "0") == [
        None,
        0,
    ]


def test_the_smallest_value_saturates_downwards(ours: Wire) -> None:
    assert ours.ask("bitfield", "a", "overflow", "sat", "set", "i8", 0, -1 << 63, "get", "i8", 0) == [0, -128]


def test_bits_of_a_large_string(ours: Wire) -> None:
    assert ours.ask("setbit", "a", 80_000_000, 1) == 0
    assert ours.ask("strlen", "a") == 10_000_001
    assert ours.ask("bitcount", "a") == 1
    assert ours.ask("bitpos", "a", 1) == 80_000_000
    assert ours.ask("setbit", "a", 80_000_000, 0) == 1
    assert ours.ask("bitpos", "a", 1) == -1
    assert ours.ask("bitfield", "a", "set", "u8", "#9999999", 255) == [0]
    assert ours.ask("bitcount", "a", 79_999_992, -1, "bit") == 8
