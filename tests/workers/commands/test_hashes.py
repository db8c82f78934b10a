"""Commands on hashes, reply by reply against redis-server where it is installed, and against Python's dictionaries."""
from __future__ import annotations

import socket
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.harness import Server
from tests.wire import Wire, run_both
from tests.workers.commands.executors import executor

# Keys of a script that must lie together have the tag {t}.
SCRIPTS = {
    "set": """
        hset
        hset a f
        hset a f 1 g
        hset a f 1
        hset a f 2 g x
        hset a g "" "" y
        hget a f
        hget a g
        hget a ""
        hget a none
        hget none f
        hgetall a
        hkeys a
        hvals a
        hlen a
        hgetall none
        hkeys none
        hvals none
        hlen none
        hmget a f none g f
        hmget none f g
        hmset a f 3 h 4
        hmset a f
        hmset a f 1 g
        hsetnx a f 9
        hsetnx a i 9
        hsetnx b i 9
        hgetall a
        hexists a f
        hexists a none
        hexists none f
        hstrlen a f
        hstrlen a i
        hstrlen a none
        hstrlen none f
        hset a n -1234567890123
        hstrlen a n
        hget a n
        hset a n 007
        hget a n
        hdel a f f none
        hdel none f
        hdel a
        hgetall a
        object encoding a
        type a
        hdel a g "" h i n
        exists a
        set s 1
        hset s f 1
        hmset s f 1
        hsetnx s f 1
        hget s f
        hmget s f
        hgetall s
        hkeys s
        hvals s
        hlen s
        hexists s f
        hstrlen s f
        hdel s f
        hincrby s f 1
        hincrbyfloat s f 1
        hrandfield s
        hrandfield s 1
        hscan s 0
    """,
    "numbers": """
        hincrby a n 5
        hincrby a n -7
        hincrby a n x
        hincrby a n 1.5
        hincrby a n
        hset a t x m 9223372036854775806 s " 1"
        hincrby a t 1
        hincrby a m 1
        hincrby a m 1
        hincrby a m -9223372036854775808
        hincrby a n -9223372036854775808
        hincrby a n -9223372036854775808
        hincrbyfloat a n 0.5
        hincrbyfloat a f 0.1
        hincrbyfloat a f 0.2
        hincrbyfloat a f 1e3
        hincrbyfloat a f -1000.3
        hincrbyfloat a f x
        hincrbyfloat a f inf
        hincrbyfloat a f nan
        hincrbyfloat a t 1
        hset a big 1e4900
        hincrbyfloat a big 1.5e4932
        hincrby a f 1
        hgetall a
        hincrbyfloat new f 1.5
        hincrby new g 1
        hgetall new
        hincrbyfloat none f x
        exists none
    """,
    "random": """
        hrandfield none
        hrandfield none 3
        hrandfield none -3 withvalues
        hset a f 1
        hrandfield a
        hrandfield a 5
        hrandfield a 5 withvalues
        hrandfield a -3
        hrandfield a -3 withvalues
        hrandfield a 0
        hrandfield a 0 withvalues
        hrandfield a x
        hrandfield a 1 what
        hrandfield a 1 withvalues 2
        hrandfield a -9223372036854775808
        hrandfield a -9223372036854775807 withvalues
        hrandfield a 9223372036854775807 withvalues
        hset a g 2 h 3
        hrandfield a 3 withvalues
        hrandfield a 10
    """,
    "scan": """
        hscan none 0
        hscan none x
        hset a f 1 g x h 12345
        hscan a 0
        hscan a 0 match [fg]
        hscan a 0 match * count 1
        hscan a 0 count 0
        hscan a 0 count x
        hscan a 0 match
        hscan a 0 what 1
        hscan a x
        hscan a
    """,
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_same_replies(ours: Wire, theirs: Wire, name: str) -> None:
    run_both(ours, theirs, SCRIPTS[name])


def test_scan_without_values(ours: Wire) -> None:
    ours.ask("hset", "a", "f", 1, "g", 2)
    assert ours.ask("hscan", "a", 0, "novalues") == [b"0", [b"f", b"g"]]
    assert ours.ask("hscan", "a", 0, "novalues", "match", "g") == [b"0", [b"g"]]
    ours.ask("sadd", "s", 1)
    assert ours.ask("sscan", "s", 0, "novalues") == "-ERR NOVALUES option can only be used in HSCAN"


@pytest.mark.parametrize(
    "make, packed",
    [
        (["hset a f 1 g 2 h 3"], True),
        (["hset a f 1 g 2 h 3", "hset a f 4"], True),
        (["hset a f 1 g 2 h 3", "hset a i 4"], False),
        (["hset a f 1 g 2 h 3 i 4"], False),
        (["hset a f 0123456789"], True),
        (["hset a f 0123456789a"], False),
        (["hset a 0123456789a f"], False),
        (["hset a f 1", "hsetnx a g 0123456789a"], False),
        (["hset a f 999999999", "hincrby a f 1"], True),
        (["hset a f 9999999999", "hincrby a f 1"], False),
        (["hset a f 1", "hincrbyfloat a f 0.1234567891"], False),
        (["hset a f 1", "hincrby a 0123456789a 1"], False),
        (["hset a f 1 g 2 h 3", "hset a i 4", "hdel a f g h i", "hset a f 1"], True),
    ],
)
def test_encodings_change_at_the_limits(ours: Wire, theirs: Wire, make: list[str], packed: bool) -> None:
    for wire in (ours, theirs):
        wire.ask("config", "set", "hash-max-listpack-entries", 3)
        wire.ask("config", "set", "hash-max-listpack-value", 10)
        for line in make:
            wire.ask(*line.split())
        assert wire.ask("object", "encoding", "a") == (b"listpack" if packed else b"hashtable")
    assert sorted(ours.ask("hgetall", "a")) == sorted(theirs.ask("hgetall", "a"))


def test_resp3_has_maps_and_pairs(ours: Wire, server: Server) -> None:
    ours.ask("hset", "a", "f", 1)
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as wire:
        wire.sendall(b"hello 3\r\nhgetall a\r\nhgetall none\r\nhrandfield a 1 withvalues\r\necho end\r\n")
        received = b""
        while not received.endswith(b"end\r\n"):
            received += wire.recv(4096)
    pair = b"$1\r\nf\r\n$1\r\n1\r\n"
    assert received.endswith(b"%1\r\n" + pair + b"%0\r\n*1\r\n*2\r\n" + pair + b"$3\r\nend\r\n")


def bulks(reply: bytes) -> list[bytes]:
    """The strings of a reply whose strings have no line ends."""
    lines = reply.split(b"\r\n")[1:-1]
    return lines[1::2]


NAME = st.sampled_from([*(b"%d" % n for n in range(8)), b"x", b"", b"z" * 70, b"w" * 2000])
# Of them some of 254 to 256 bytes: a compact entry's value has 255 at most, and its block some bytes more.
VALUE = st.sampled_from([
    b"", b"1", b"-0", b"c" * 254, b"d" * 255, b"e" * 256, b"long" * 20, b"longer" * 300, b"boxed" * 1000,
    b"boxed!" * 1000,
])
STEP: st.SearchStrategy[tuple[str, list[tuple[bytes, ...]]]] = st.one_of(
    st.tuples(st.just("hset"), st.lists(st.tuples(NAME, VALUE), min_size=1, max_size=6)),
    st.tuples(st.just("hdel"), st.lists(NAME.map(lambda name: (name,)), min_size=1, max_size=6)),
    st.tuples(st.sampled_from(["rename", "copy"]), st.just([])),
)


@settings(max_examples=60)
@given(st.lists(STEP, max_size=30))
def test_as_python_has_it(steps: list[tuple[str, list[tuple[bytes, ...]]]]) -> None:
    model: dict[bytes, bytes] = {}
    with executor() as shard:
        for name, words in steps:
            if words:
                shard.run(name, b"a", *(part for pair in words for part in pair))
            elif model:
                shard.run(name, b"a", b"b")
                shard.run("rename", b"b", b"a")
            for word in words:
                if name == "hset":
                    model[word[0]] = word[1]
                else:
                    model.pop(word[0], None)
            got = bulks(shard.run("hgetall", b"a"))
            assert dict(zip(got[::2], got[1::2], strict=True)) == model
            assert shard.run("hlen", b"a") == b":%d\r\n" % len(model)
            for field in (b"x", b"3", b"w" * 2000):
                assert shard.run("hget", b"a", field) == (
                    b"$%d\r\n%b\r\n" % (len(model[field]), model[field]) if field in model else b"$-1\r\n"
                )


@pytest.mark.parametrize("size", [6, 100, 3000])
def test_random_fields_are_even(size: int) -> None:
    with executor() as shard:
        shard.run("hset", b"a", *(part for n in range(size) for part in (b"field%d" % n, b"v")))
        shard.run("hdel", b"a", *(b"field%d" % n for n in range(size // 2, size)))
        left = size // 2
        counts = Counter(bulks(shard.run("hrandfield", b"a", b"-%d" % (60 * left))))
        chi_square = sum((counts[b"field%d" % n] - 60) ** 2 / 60 for n in range(left))
        assert chi_square < left + 6 * (2 * left) ** 0.5 + 10  # six standard deviations


@pytest.mark.parametrize("size", [6, 100, 3000])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 1.0])
def test_several_are_different(size: int, part: float) -> None:
    pairs = {b"field%d" % n: b"value%d" % n for n in range(size)}
    count = int(size * part)
    with executor() as shard:
        shard.run("hset", b"a", *(word for pair in pairs.items() for word in pair))
        some = bulks(shard.run("hrandfield", b"a", b"%d" % count, b"withvalues"))
        chosen = dict(zip(some[::2], some[1::2], strict=True))
        assert len(chosen) == count and chosen.items() <= pairs.items()


def test_a_scan_misses_nothing_while_the_hash_grows() -> None:
    with executor() as shard:
        shard.run("hset", b"a", *(word for n in range(2000) for word in (b"old%d" % n, b"v")))
        cursor, seen, rounds = b"0", set[bytes](), 0
        while True:
            cursor, *found = [
                line for line in shard.run("hscan", b"a", cursor, b"count", b"50").split(b"\r\n")
                if line and line[:1] not in b"*$"
            ]
            seen |= set(found)
            if rounds < 20:
                shard.run("hset", b"a", *(word for n in range(500) for word in (b"new%d.%d" % (rounds, n), b"v")))
            rounds += 1
            if cursor == b"0":
                break
        assert {b"old%d" % n for n in range(2000)} <= seen
