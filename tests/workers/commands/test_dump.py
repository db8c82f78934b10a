"""DUMP and RESTORE: values travel to and from redis-server, where it is installed; what is no dump does no harm."""
from __future__ import annotations

import random
import struct
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.wire import Wire, run_both

KEY, COPY = "{t}key", "{t}copy"
BAD_FOOTER = "-ERR DUMP payload version or checksum are wrong"
BAD_DATA = "-ERR Bad data format"
NOW = 1_000_000_000_000

Words = list[bytes | str | int]
NUMBERS = [0, 1, -1, 12, 63, 127, 128, -128, -129, 4095, -4096, 32767, -32769, 1 << 23, -(1 << 31), 1 << 40, -(1 << 63)]
TEXTS = [b"", b"a", b"01", b"-0", b"x" * 64, b"abc" * 30, b"\0\xff" * 9]
LONG = [b"x" * 300, bytes(range(256)) * 20, b"ab" * 9000, random.Random(1).randbytes(5000)]
ELEMENTS: list[bytes | int] = [*NUMBERS, *TEXTS]
VALUES: dict[str, Words] = {
    **{f"integer {number}": ["set", KEY, number] for number in NUMBERS},
    **{f"string of {len(text)}": ["set", KEY, text] for text in [*TEXTS, *LONG]},
    "list": ["rpush", KEY, *ELEMENTS],
    "list of many": ["rpush", KEY, *range(5000)],
    "list of long ones": ["rpush", KEY, *LONG, 1, *LONG],
    "intset": ["sadd", KEY, *NUMBERS],
    "small intset": ["sadd", KEY, 3, 1, 2],
    "set": ["sadd", KEY, *ELEMENTS],
    "set of many": ["sadd", KEY, *(f"member {number}" for number in range(1000))],
    "set of many integers": ["sadd", KEY, *range(1000)],
    "set of long ones": ["sadd", KEY, *LONG],
    "hash": ["hset", KEY, *ELEMENTS, *reversed(ELEMENTS)],
    "hash of many": ["hset", KEY, *range(2000)],
    "hash of long ones": ["hset", KEY, "a", LONG[0], "b", LONG[1], LONG[2], "c", LONG[3], 1],
    "sorted set": ["zadd", KEY, 1, "a", "-inf", "b", "inf", "c", "0.1", 5, "1e300", "", -3, "-3", "1e17", "d"],
    "sorted set of many": ["zadd", KEY, *(word for n in range(1000) for word in (str(n / 7), n))],
    "sorted set of long ones": ["zadd", KEY, "1.5", LONG[0], "inf", LONG[1], "-inf", LONG[3]],
    "hyperloglog": ["pfadd", KEY, *range(3000)],
}


def value_of(wire: Wire, key: str) -> tuple[Any, Any]:
    """A value in a form that can be compared, and its encoding."""
    kind = wire.ask("type", key)
    encoding = wire.ask("object", "encoding", key)
    if kind == "+string":
        return wire.ask("get", key), encoding
    if kind == "+list":
        return wire.ask("lrange", key, 0, -1), None
    if kind == "+set":
        return sorted(wire.ask("smembers", key)), None
    if kind == "+hash":
        words = wire.ask("hgetall", key)
        return dict(zip(words[::2], words[1::2], strict=True)), encoding
    words = wire.ask("zrange", key, 0, -1, "withscores")
    return [(member, float(score)) for member, score in zip(words[::2], words[1::2], strict=True)], encoding


def crc64(data: bytes) -> int:
    """Bit by bit, as the checksum is defined."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _bit in range(8):
            crc = crc >> 1 ^ (0x95AC9329AC4BC9B5 if crc & 1 else 0)
    return crc


def sealed(value: bytes, version: int = 10) -> bytes:
    """A dump of these bytes."""
    value += struct.pack("<H", version)
    return value + struct.pack("<Q", crc64(value))


@pytest.mark.parametrize("words", VALUES.values(), ids=VALUES.keys())
def test_values_travel(ours: Wire, theirs: Wire, words: Words) -> None:
    assert ours.ask(*words) == theirs.ask(*words)
    for source, target in ((ours, theirs), (theirs, ours), (ours, ours)):
        dump = source.ask("dump", KEY)
        assert target.ask("restore", COPY, 0, dump) == "+OK"
        assert value_of(target, COPY) == value_of(source, KEY)
        target.ask("del", COPY)


@pytest.mark.parametrize("compression", ["yes", "no"])
def test_what_redis_compresses(ours: Wire, theirs: Wire, compression: str) -> None:
    assert theirs.ask("config", "set", "rdbcompression", compression) == "+OK"
    source = random.Random(5)
    for size in (20, 21, 100, 3000, 50000):
        text = bytes(source.choices(b"abcd", k=size))
        theirs.ask("set", KEY, text)
        assert ours.ask("restore", KEY, 0, theirs.ask("dump", KEY), "replace") == "+OK"
        assert ours.ask("get", KEY) == text


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(st.tuples(st.binary(max_size=40), st.integers(1, 40)), max_size=10))
def test_strings_come_back(ours: Wire, theirs: Wire, pieces: list[tuple[bytes, int]]) -> None:
    text = b"".join(piece * times for piece, times in pieces)
    ours.ask("set", KEY, text)
    dump = ours.ask("dump", KEY)
    for wire in (ours, theirs):
        assert wire.ask("restore", COPY, 0, dump, "replace") == "+OK"
        assert wire.ask("get", COPY) == text


def test_fields_that_expire(ours: Wire) -> None:
    ours.ask("hset", KEY, "a", 1, "b", 2, "c", 3)
    later = 9_999_999_999_999
    ours.ask("hpexpireat", KEY, later, "fields", 1, "a")
    ours.ask("hpexpireat", KEY, later + 5000, "fields", 1, "b")
    dump = ours.ask("dump", KEY)
    assert dump[0] == 24
    assert dump[-10:-8] == b"\x0c\0"
    assert ours.ask("restore", COPY, 0, dump) == "+OK"
    assert ours.ask("hpexpiretime", COPY, "fields", 3, "a", "b", "c") == [later, later + 5000, -1]
    assert value_of(ours, COPY) == value_of(ours, KEY)


# Forms that only other versions of Redis write.
OTHERS: dict[str, tuple[bytes, tuple[Any, Any]]] = {
    "plain list": (b"\x01\x02\x01a\xc0\x05", ([b"a", b"5"], None)),
    "listpack of a set": (b"\x14\x0d\x0d\0\0\0\x02\0\x81a\x02\x81b\x02\xff", ([b"a", b"b"], None)),
    "sorted set with scores as text": (
        b"\x03\x02\x01a\x031.5\x01b\xff", ([(b"b", float("-inf")), (b"a", 1.5)], b"listpack")
    ),
    "plain node": (b"\x12\x01\x01\x05hello", ([b"hello"], None)),
    "hash with absolute expiries": (
        b"\x19" + bytes(8) + b"\x0f\x0f\0\0\0\x03\0\x81a\x02\x81b\x02\x00\x01\xff", ({b"a": b"b"}, b"hashtable")
    ),
}


@pytest.mark.parametrize(("value", "expected"), OTHERS.values(), ids=OTHERS.keys())
def test_forms_of_other_versions(ours: Wire, value: bytes, expected: tuple[Any, Any]) -> None:
    assert ours.ask("restore", KEY, 0, sealed(value, 12)) == "+OK"
    found = value_of(ours, KEY)
    assert found[0] == expected[0]


def ziplist(*elements: bytes | bytearray) -> bytes:
    """A ziplist of short strings, or of what is encoded already (a bytearray)."""
    body, before = b"", 0
    for element in elements:
        head = b"" if isinstance(element, bytearray) else bytes([len(element)])
        entry = bytes([before]) + head + element
        body += entry
        last, before = 10 + len(body) - len(entry), len(entry)
    return struct.pack("<IIH", 11 + len(body), last, len(elements)) + body + b"\xff"


def test_ziplists(ours: Wire) -> None:
    blob = ziplist(
        b"a", bytearray(b"\xf3"), bytearray(b"\xc0\x2c\x01"), bytearray(b"\xfe\x85"), bytearray(b"\xd0\0\0\0\x80"),
        bytearray(b"\xf0\xff\xff\xff"), bytearray(b"\xe0" + b"\xff" * 7 + b"\x7f"), bytearray(b"\x40\x40" + b"x" * 64),
    )
    values = [b"a", b"2", b"300", b"-123", b"-2147483648", b"-1", b"9223372036854775807", b"x" * 64]
    length = bytes([0x40 | len(blob) >> 8, len(blob) & 255])
    assert ours.ask("restore", KEY, 0, sealed(b"\x0a" + length + blob)) == "+OK"
    assert ours.ask("lrange", KEY, 0, -1) == values
    assert ours.ask("restore", KEY, 0, sealed(b"\x0e\x02" + (length + blob) * 2), "replace") == "+OK"
    assert ours.ask("lrange", KEY, 0, -1) == values * 2
    assert ours.ask("restore", KEY, 0, sealed(b"\x0d" + length + blob), "replace") == "+OK"
    assert ours.ask("hget", KEY, "300") == b"-123"
    scores = ziplist(b"a", bytearray(b"\xf3"), b"b", b"2.5")
    assert ours.ask("restore", KEY, 0, sealed(b"\x0c" + bytes([len(scores)]) + scores), "replace") == "+OK"
    assert ours.ask("zrange", KEY, 0, -1, "withscores") == [b"a", b"2", b"b", b"2.5"]


SCRIPT = """
    dump {t}none
    dump
    restore {t}a 0
    restore {t}a 0 x nonsense
    restore {t}a 0 x idletime
    restore {t}a 0 x idletime -1
    restore {t}a 0 x idletime x
    restore {t}a 0 x freq 256
    restore {t}a 0 x freq -1
    restore {t}a 0 x freq 1 idletime 1
    restore {t}a 0 x idletime 1 freq 1
    restore {t}a 0 x
    restore {t}a -1 x
    restore {t}a z x
    set {t}a value
    restore {t}a -1 x
    restore {t}a 0 x replace
    get {t}a
"""


def test_errors(ours: Wire, theirs: Wire) -> None:
    run_both(ours, theirs, SCRIPT)


def test_options(ours: Wire, theirs: Wire) -> None:
    for wire in (ours, theirs):
        wire.ask("set", KEY, "value")
        dump = wire.ask("dump", KEY)
        assert wire.ask("restore", KEY, 0, dump) == "-BUSYKEY Target key name already exists."
        assert wire.ask("restore", KEY, 50000, dump, "REPLACE") == "+OK"
        assert 40000 < wire.ask("pttl", KEY) <= 50000
        assert wire.ask("restore", KEY, 9 * NOW, dump, "replace", "absttl") == "+OK"
        assert wire.ask("pexpiretime", KEY) == 9 * NOW
        assert wire.ask("restore", KEY, 0, dump, "replace", "idletime", 1000) == "+OK"
        assert 1000 <= wire.ask("object", "idletime", KEY) < 1020
        assert wire.ask("restore", KEY, 1, dump, "absttl") == "-BUSYKEY Target key name already exists."
        assert wire.ask("restore", KEY, 1, dump, "replace", "absttl", "freq", 3) == "+OK"
        assert wire.ask("exists", KEY) == 0
        assert wire.ask("restore", KEY, 1, dump, "absttl") == "+OK"
        assert wire.ask("dbsize") == 0


def test_footer(ours: Wire) -> None:
    assert ours.ask("restore", KEY, 0, sealed(b"\0\x01a", 12)) == "+OK"
    for payload in (b"", b"x" * 9, b"x" * 10, sealed(b"\0\x01a", 13), sealed(b"\0\x01a")[:-1] + b"\0"):
        assert ours.ask("restore", COPY, 0, payload) == BAD_FOOTER


REFUSED = [
    b"", b"\0", b"\0\x05abc", b"\0\xc4", b"\0\x82", b"\x06\0", b"\x09\0", b"\xff", b"\x01\0", b"\x02\0", b"\x04\0",
    b"\x02\x02\x01a\x01a",                                          # twice the same
    b"\x04\x02\x01a\x01b\x01a\x01c",
    b"\x05\x02\x01a" + bytes(8) + b"\x01a" + bytes(8),
    b"\x05\x01\x01a" + struct.pack("<d", float("nan")),
    b"\x03\x01\x01a\xfd",
    b"\x01\x81" + b"\xff" * 8,                                      # too many
    b"\0\xc3\x01\x81" + b"\x7f" * 8 + b"\0",
    b"\0\xc3\x02\x05\x20\0",                                        # a match before the start
    b"\x10\x07\x07\0\0\0\0\0\xff",                                  # nothing in it
    b"\x10\x0a\x0a\0\0\0\x01\0\x81a\x02\xff",                       # not in pairs
    b"\x11\x0d\x0d\0\0\0\x02\0\x81a\x02\x81b\x02\xff",              # no score
    b"\x0b\x0a\x02\0\0\0\x02\0\0\0\x01\0",                          # too short
    b"\x12\x01\x03\x01a",
    b"\x0a\x0b\x0b\0\0\0\x0a\0\0\0\0\0\xff",                        # an empty ziplist, a cut one, one with a wrong step
    b"\x0a\x0c\x0d\0\0\0\x0a\0\0\0\x01\0\0\x01",
    b"\x0a\x0e\x0e\0\0\0\x0a\0\0\0\x01\0\x07\x01a\xff",
]


@pytest.mark.parametrize("value", REFUSED)
def test_what_is_no_value_is_refused(ours: Wire, value: bytes) -> None:
    ours.ask("set", KEY, "before")
    assert ours.ask("restore", KEY, 0, sealed(value, 11), "replace") == BAD_DATA
    assert ours.ask("get", KEY) == b"before"


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    type_=st.sampled_from([0, 1, 2, 3, 4, 5, *range(10, 22), 24, 25]),
    value=st.binary(max_size=60),
)
def test_any_bytes_do_no_harm(ours: Wire, type_: int, value: bytes) -> None:
    reply = ours.ask("restore", KEY, 0, sealed(bytes([type_]) + value, 12), "replace")
    assert reply in ("+OK", BAD_DATA)
    if reply == "+OK":
        value_of(ours, KEY)
        ours.ask("dump", KEY)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.sampled_from(["list", "intset", "set", "hash", "sorted set"]), data=st.data())
def test_spoilt_dumps_do_no_harm(ours: Wire, words: str, data: st.DataObject) -> None:
    ours.ask("del", KEY)
    ours.ask(*VALUES[words])
    value = bytearray(ours.ask("dump", KEY)[:-10])
    for _change in range(data.draw(st.integers(1, 3))):
        value[data.draw(st.integers(0, len(value) - 1))] = data.draw(st.integers(0, 255))
    reply = ours.ask("restore", COPY, 0, sealed(bytes(value), 11), "replace")
    assert reply in ("+OK", BAD_DATA)
    if reply == "+OK" and ours.ask("exists", COPY):
        ours.ask("dump", COPY)
