"""DUMP and RESTORE of streams, with their groups, to and from redis-server; in each RDB form; and spoilt ones."""
from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.wire import Wire
from tests.workers.commands.test_dump import BAD_DATA, COPY, KEY, sealed

MOST = (1 << 64) - 1
UNCHECKED = {b"radix-tree-keys", b"radix-tree-nodes"}

Id = tuple[int, int]
Words = tuple[bytes | str | int, ...]


def told(wire: Wire, key: str) -> dict[bytes, Any]:
    """All that XINFO STREAM FULL tells, but how it is stored."""
    words = wire.ask("xinfo", "stream", key, "full", "count", 0)
    return {name: value for name, value in zip(words[::2], words[1::2], strict=True) if name not in UNCHECKED}


IDS = st.tuples(st.integers(1, 40), st.integers(0, 3)).map("{0[0]}-{0[1]}".format)
NAMES = st.sampled_from([b"name", b"other", b"7", b"", b"n" * 70])
STRINGS = st.one_of(NAMES, st.integers(-(1 << 63), (1 << 63) - 1), st.binary(max_size=100), st.just(b"v" * 5000))
FIELDS = st.one_of(
    st.tuples(st.just("same"), STRINGS),
    st.lists(st.tuples(NAMES, STRINGS), min_size=1, max_size=4).map(lambda pairs: tuple(sum(pairs, ()))),
)
GROUPS, CONSUMERS = st.sampled_from(["g", "h", 12]), st.sampled_from(["c", "d", 345, "e" * 30])
COMMANDS: st.SearchStrategy[Words] = st.one_of(
    st.tuples(st.just("add"), st.integers(1, 80), FIELDS),
    st.tuples(st.just("xdel"), st.just(KEY), IDS),
    st.tuples(st.just("xtrim"), st.just(KEY), st.just("maxlen"), st.integers(0, 200)),
    st.tuples(st.just("xgroup"), st.just("create"), st.just(KEY), GROUPS, IDS, st.just("mkstream")),
    st.tuples(st.just("xgroup"), st.just("createconsumer"), st.just(KEY), GROUPS, CONSUMERS),
    st.tuples(
        st.just("xreadgroup"), st.just("group"), GROUPS, CONSUMERS, st.just("count"), st.integers(1, 150),
        st.just("streams"), st.just(KEY), st.just(">"),
    ),
    st.tuples(st.just("xack"), st.just(KEY), GROUPS, IDS, IDS),
    st.tuples(st.just("xsetid"), st.just(KEY), st.integers(50, 99)),
)


def perform(wire: Wire, commands: list[Words]) -> None:
    """Runs commands, of which some fail; `add` appends a number of entries."""
    ms = 0
    for name, *words in commands:
        if name != "add":
            wire.ask(name, *words)
            continue
        for index in range(words[0]):
            ms += index % 3 == 0
            wire.ask("xadd", KEY, f"{ms}-{index}", *words[1])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(commands=st.lists(COMMANDS, max_size=12))
def test_streams_travel(ours: Wire, theirs: Wire, commands: list[Words]) -> None:
    for wire in (ours, theirs):
        wire.ask("flushall")
    theirs.ask("xadd", KEY, "0-1", "first", "entry")
    perform(theirs, commands)
    assert ours.ask("restore", KEY, 0, theirs.ask("dump", KEY)) == "+OK"
    for wire in (ours, theirs):
        assert wire.ask("restore", COPY, 0, ours.ask("dump", KEY)) == "+OK"
    assert told(theirs, COPY) == told(theirs, KEY)
    assert ours.ask("dump", COPY) == ours.ask("dump", KEY)
    for words in (("xrange", "-", "+"), ("xrevrange", "+", "-"), ("xlen",)):
        assert ours.ask(words[0], KEY, *words[1:]) == theirs.ask(words[0], KEY, *words[1:])


def test_many_nodes_travel(ours: Wire, theirs: Wire) -> None:
    for number in range(1, 1500):
        ours.ask("xadd", KEY, number, *(["value", number] if number % 7 else [f"value{number}", "x", "y", "z" * 40]))
    for number in range(1, 1500, 5):
        ours.ask("xdel", KEY, number)
    assert theirs.ask("restore", KEY, 0, ours.ask("dump", KEY)) == "+OK"
    assert theirs.ask("xrange", KEY, "-", "+") == ours.ask("xrange", KEY, "-", "+")
    assert theirs.ask("xadd", KEY, "1499-*", "a", "b") == b"1499-1"


# -- forms written by hand

def pack(*elements: int | bytes) -> bytes:
    """A listpack; short strings and small integers only."""
    body = b""
    for element in elements:
        if isinstance(element, bytes):
            encoded = bytes([0x80 | len(element)]) + element
        else:
            encoded = bytes([element]) if 0 <= element < 128 else b"\xf1" + struct.pack("<h", element)
        body += encoded + bytes([len(encoded)])
    return struct.pack("<IH", len(body) + 7, len(elements)) + body + b"\xff"


def length(number: int) -> bytes:
    return bytes([number]) if number < 64 else b"\x81" + struct.pack(">Q", number)


def string(text: bytes) -> bytes:
    return length(len(text)) + text


def raw_id(ms: int, seq: int) -> bytes:
    return struct.pack(">QQ", ms, seq)


def id_of(ms: int, seq: int) -> bytes:
    return length(ms) + length(seq)


# Two entries, of 5-1 and of 4-9, whose sequence number is above the base's; one between them is deleted.
ENTRIES = (2, 1, 1, b"n", 0, 2, 0, 0, b"v", 4, 1, 1, 0, 1, b"m", b"w", 6, 0, 1, -8, 1, b"m", b"w", 6)
NODE = string(raw_id(4, 9)) + string(pack(*ENTRIES))
AFTER = length(2) + id_of(5, 2)
PENDING = raw_id(4, 9) + struct.pack("<q", 1000) + length(3)


def consumer(type_: int, name: bytes = b"c", pending: bytes = length(1) + raw_id(4, 9)) -> bytes:
    return string(name) + struct.pack("<q", 2000) + (struct.pack("<q", 3000) if type_ == 21 else b"") + pending


def group(type_: int, name: bytes = b"g", pending: bytes = length(1) + PENDING, consumers: bytes = b"") -> bytes:
    read = length(1) if type_ > 15 else b""
    return string(name) + id_of(4, 9) + read + pending + (consumers or length(1) + consumer(type_))


def stream(type_: int, nodes: bytes = length(1) + NODE, after: bytes = AFTER, groups: bytes = b"") -> bytes:
    more = id_of(4, 9) + id_of(5, 0) + length(7) if type_ > 15 else b""
    return bytes([type_]) + nodes + after + more + (groups or length(1) + group(type_))


@pytest.mark.parametrize("type_", [15, 19, 21])
def test_each_form(ours: Wire, theirs: Wire, type_: int) -> None:
    assert ours.ask("restore", KEY, 0, sealed(stream(type_), 11)) == "+OK"
    assert ours.ask("xrange", KEY, "-", "+") == [[b"4-9", [b"n", b"v"]], [b"5-1", [b"m", b"w"]]]
    assert theirs.ask("restore", KEY, 0, ours.ask("dump", KEY)) == "+OK"
    found = told(theirs, KEY)
    assert found[b"last-generated-id"] == b"5-2"
    assert found[b"max-deleted-entry-id"] == (b"0-0" if type_ == 15 else b"5-0")
    assert found[b"entries-added"] == (2 if type_ == 15 else 7)
    groups = [dict(zip(words[::2], words[1::2], strict=True)) for words in found[b"groups"]]
    assert [one[b"name"] for one in groups] == [b"g"]
    assert groups[0][b"pending"] == [[b"4-9", b"c", 1000, 3]]
    if type_ < 21:
        assert theirs.ask("restore", COPY, 0, sealed(stream(type_))) == "+OK"
        assert told(theirs, COPY) == found


def node(*elements: int | bytes, base: bytes = string(raw_id(4, 9))) -> bytes:
    return length(1) + base + string(pack(*elements))


REFUSED = {
    "fewer entries than said": stream(19, after=length(3) + id_of(5, 2)),
    "last id below an entry's": stream(19, after=length(2) + id_of(5, 0)),
    "a node twice": stream(19, nodes=length(2) + NODE + NODE, after=length(4) + id_of(9, 9)),
    "more nodes than there are": stream(19, nodes=length(2) + NODE),
    "nodes without end": bytes([19]) + length(MOST) + NODE,
    "short id": stream(19, nodes=length(1) + string(b"123") + string(pack(*ENTRIES))),
    "id that is a number": stream(19, nodes=length(1) + b"\xc0\x01" + string(pack(*ENTRIES))),
    "pack that is a number": stream(19, nodes=length(1) + string(raw_id(4, 9)) + b"\xc0\x01"),
    "empty pack": stream(19, nodes=node()),
    "cut pack": stream(19, nodes=length(1) + string(raw_id(4, 9)) + string(pack(*ENTRIES)[:-2] + b"\xff")),
    "no fields": stream(19, nodes=node(1, 0, 0, 0, 2, 0, 0, 3), after=length(1) + id_of(5, 2)),
    "below no fields": stream(19, nodes=node(1, 0, -1, 0, 2, 0, 0, 2), after=length(1) + id_of(5, 2)),
    "many fields": stream(19, nodes=node(1, 0, 30000, b"n", 0, 2, 0, 0, b"v", 4), after=length(1) + id_of(5, 2)),
    "names that do not end": stream(19, nodes=node(1, 0, 1, b"n", 1, 2, 0, 0, b"v", 4), after=length(1) + id_of(5, 2)),
    "name for a number": stream(19, nodes=node(1, 0, b"x", b"n", 0, 2, 0, 0, b"v", 4), after=length(1) + id_of(5, 2)),
    "unknown flag": stream(19, nodes=node(1, 0, 1, b"n", 0, 6, 0, 0, b"v", 4), after=length(1) + id_of(5, 2)),
    "wrong length of an entry": stream(
        19, nodes=node(1, 0, 1, b"n", 0, 2, 0, 0, b"v", 5), after=length(1) + id_of(5, 2)
    ),
    "entry that is cut": stream(19, nodes=node(1, 0, 1, b"n", 0, 2, 0, 0), after=length(1) + id_of(5, 2)),
    "entry of no fields": stream(19, nodes=node(1, 0, 1, b"n", 0, 0, 0, 0, 0, 4), after=length(1) + id_of(5, 2)),
    "count of entries": stream(19, nodes=node(2, 0, 1, b"n", 0, 2, 0, 0, b"v", 4), after=length(1) + id_of(5, 2)),
    "id of zero": stream(
        19, nodes=node(1, 0, 1, b"n", 0, 2, 0, 0, b"v", 4, base=string(raw_id(0, 0))), after=length(1) + id_of(5, 2)
    ),
    "ids that do not ascend": stream(19, nodes=node(2, 0, 1, b"n", 0, 2, 0, 0, b"v", 4, 2, -1, 9, b"v", 4)),
    "a group twice": stream(19, groups=length(2) + group(19) + group(19)),
    "entries read": stream(
        19, groups=length(1) + string(b"g") + id_of(4, 9) + length(MOST - 1) + length(0) + length(0)
    ),
    "a consumer twice": stream(
        19, groups=length(1) + group(19, consumers=length(2) + consumer(19) + consumer(19, pending=length(0)))
    ),
    "pending for two": stream(
        19, groups=length(1) + group(19, consumers=length(2) + consumer(19) + consumer(19, b"d"))
    ),
    "pending for no one": stream(
        19, groups=length(1) + group(19, consumers=length(1) + consumer(19, pending=length(0)))
    ),
    "pending for a consumer alone": stream(19, groups=length(1) + group(19, pending=length(0))),
    "pending twice": stream(19, groups=length(1) + group(19, pending=length(2) + PENDING * 2)),
    "pending without end": stream(19, groups=length(1) + group(19, pending=length(MOST) + PENDING)),
    "no groups": stream(19)[:-1],
}


@pytest.mark.parametrize("value", REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_stream_is_refused(ours: Wire, value: bytes) -> None:
    ours.ask("set", KEY, "before")
    assert ours.ask("restore", KEY, 0, sealed(value, 11), "replace") == BAD_DATA
    assert ours.ask("get", KEY) == b"before"


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    type_=st.sampled_from([15, 19, 21]), cut=st.integers(0, 200),
    changes=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=3),
)
def test_spoilt_streams_do_no_harm(ours: Wire, type_: int, cut: int, changes: list[tuple[int, int]]) -> None:
    value = bytearray(stream(type_))
    for place, byte in changes:
        value[1 + place % (len(value) - 1)] = byte
    if not changes:
        del value[cut % len(value):]
    reply = ours.ask("restore", COPY, 0, sealed(bytes(value), 11), "replace")
    assert reply in ("+OK", BAD_DATA)
    if reply == "+OK":
        dump = ours.ask("dump", COPY)
        assert ours.ask("restore", COPY, 0, dump, "replace") == "+OK"
        assert ours.ask("dump", COPY) == dump
        assert len(ours.ask("xrange", COPY, "-", "+")) == ours.ask("xlen", COPY)
