"""Commands on sets, reply by reply against redis-server where it is installed, and against Python's sets."""
from __future__ import annotations

import socket
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.harness import Server
from tests.wire import Wire
from tests.workers.commands.executors import executor
from workers._testing_commands import Executor

UNORDERED = ("smembers", "sinter", "sunion", "sdiff", "srandmember", "spop", "sscan")
# Keys of a script that must lie together have the tag {t}.
SCRIPTS = {
    "add": """
        sadd
        sadd a
        sadd a 1 2 3 2
        sadd a 3 4
        object encoding a
        scard a
        smembers a
        sismember a 1
        sismember a 01
        sismember a x
        sadd a 9223372036854775807 -9223372036854775808
        object encoding a
        smembers a
        sadd a ""
        sadd a x 01 -0
        smembers a
        smismember a 1 01 x y ""
        smismember none 1 2
        sismember none 1
        scard none
        smembers none
        srem a 1 1 x none
        srem none 1
        srem a
        scard a
        type a
        srem a 2 3 4 9223372036854775807 -9223372036854775808 01 -0 ""
        exists a
        set s 1
        sadd s 1
        srem s 1
        scard s
        smembers s
        sismember s 1
        smismember s 1
    """,
    "move": """
        sadd {t}a 1 2 x
        sadd {t}b 1 y
        smove {t}a {t}b 2
        smove {t}a {t}b 1
        smove {t}a {t}b none
        smove {t}none {t}b 1
        smove {t}a {t}c x
        exists {t}a
        smembers {t}b
        smembers {t}c
        smove {t}b {t}b 1
        smove {t}b {t}b 9
        set {t}s 1
        smove {t}b {t}s 1
        smove {t}s {t}b 1
        smove {t}none {t}s 1
        smove {t}a {t}b
        smembers {t}b
    """,
    "combine": """
        sadd {t}a 1 2 3 4 5
        sadd {t}b 3 4 5 6 x
        sadd {t}c 5 x y
        sinter {t}a {t}b {t}c
        sinter {t}a
        sinter {t}a {t}none
        sunion {t}a {t}b {t}c {t}none
        sunion {t}none
        sdiff {t}a {t}b {t}c
        sdiff {t}a {t}none
        sdiff {t}none {t}a
        sdiff {t}b {t}b
        sintercard 2 {t}a {t}b
        sintercard 2 {t}a {t}b limit 2
        sintercard 2 {t}a {t}b limit 0
        sintercard 2 {t}a {t}none
        sintercard 0 {t}a
        sintercard x {t}a
        sintercard 3 {t}a {t}b
        sintercard 1 {t}a limit
        sintercard 1 {t}a limit -1
        sintercard 1 {t}a limit x
        sintercard 1 {t}a what 1
        sinterstore {t}d {t}a {t}b
        smembers {t}d
        object encoding {t}d
        expire {t}d 100
        sunionstore {t}d {t}a {t}b
        smembers {t}d
        ttl {t}d
        sdiffstore {t}d {t}a {t}b
        smembers {t}d
        sdiffstore {t}a {t}a {t}b
        smembers {t}a
        sinterstore {t}d {t}a {t}none
        exists {t}d
        set {t}s 1
        sunionstore {t}s {t}b
        smembers {t}s
        set {t}s 1
        sinter {t}s {t}none
        sinter {t}none {t}s
        sunion {t}b {t}s
        sdiff {t}none {t}s
        sinterstore {t}d {t}b {t}s
        sintercard 1 {t}s
        sinter
        sunionstore {t}d
    """,
    "random": """
        spop none
        spop none 3
        srandmember none
        srandmember none 3
        srandmember none -3
        sadd a 7
        srandmember a
        srandmember a 5
        srandmember a -3
        srandmember a 0
        srandmember a x
        srandmember a -9223372036854775808
        srandmember a 1 2
        spop a 0
        spop a -1
        spop a x
        spop a 1 2
        spop a
        exists a
        sadd a 1 2 3 x
        spop a 10
        exists a
        set s 1
        spop s
        spop s 1
        srandmember s
        srandmember s 1
    """,
    "scan": """
        sscan none 0
        sscan none x
        sscan none 0 count x
        sadd a 1 2 3 11 12
        sscan a 0
        sscan a 0 match 1*
        sscan a 0 match * count 2
        sscan a 0 count 0
        sscan a 0 count x
        sscan a 0 match
        sscan a 0 what 1
        sscan a x
        sscan a
        set s 1
        sscan s 0
    """,
}


def _sorted(reply: Any) -> Any:
    if isinstance(reply, list):
        return [_sorted(part) for part in reply] if None in reply else sorted(map(_sorted, reply), key=repr)
    return reply


@pytest.mark.parametrize("name", SCRIPTS)
def test_same_replies(ours: Wire, theirs: Wire, name: str) -> None:
    for line in filter(None, map(str.strip, SCRIPTS[name].splitlines())):
        words = ["" if word == '""' else word for word in line.split()]
        mine, other = ours.ask(*words), theirs.ask(*words)
        if words[0] in UNORDERED:
            mine, other = _sorted(mine), _sorted(other)
        assert mine == other, line


def _encoding(ours: Wire, key: str = "a") -> bytes:
    answer: bytes = ours.ask("object", "encoding", key)
    return answer


def test_encodings_change_at_the_limits(ours: Wire) -> None:
    for directive, value in (("intset-entries", 4), ("listpack-entries", 6), ("listpack-value", 10)):
        assert ours.ask("config", "set", f"set-max-{directive}", value) == "+OK"
    ours.ask("sadd", "a", 1, 2, 3)
    ours.ask("sadd", "a", 4)
    assert _encoding(ours) == b"intset"
    ours.ask("sadd", "a", 5)
    assert _encoding(ours) == b"hashtable"
    ours.ask("del", "a")
    ours.ask("sadd", "a", 1, 2, 3, "x")
    assert _encoding(ours) == b"listpack"
    ours.ask("sadd", "a", "y", "z")
    assert _encoding(ours) == b"listpack"
    ours.ask("sadd", "a", "z")
    assert _encoding(ours) == b"listpack"
    ours.ask("sadd", "a", "w")
    assert _encoding(ours) == b"hashtable"
    assert sorted(ours.ask("smembers", "a")) == [b"1", b"2", b"3", b"w", b"x", b"y", b"z"]
    ours.ask("del", "a")
    ours.ask("sadd", "a", 1, "0123456789x")
    assert _encoding(ours) == b"hashtable"
    ours.ask("del", "a")
    ours.ask("sadd", "a", *range(5))
    assert _encoding(ours) == b"listpack"
    ours.ask("del", "a")
    ours.ask("sadd", "a", *range(7))
    assert _encoding(ours) == b"hashtable"


def test_a_store_packs_what_fits(ours: Wire) -> None:
    ours.ask("sadd", "{t}a", *range(200), "x")
    ours.ask("sadd", "{t}b", *range(100, 300))
    assert [_encoding(ours, key) for key in ("{t}a", "{t}b")] == [b"hashtable", b"intset"]
    assert ours.ask("sinterstore", "{t}c", "{t}a", "{t}b") == 100
    assert _encoding(ours, "{t}c") == b"intset"


def test_resp3_has_sets(ours: Wire, server: Server) -> None:
    ours.ask("sadd", "a", 1)
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as wire:
        wire.sendall(b"hello 3\r\nsmembers a\r\nsmembers none\r\nsrandmember a 1\r\nspop a 5\r\necho end\r\n")
        received = b""
        while not received.endswith(b"end\r\n"):
            received += wire.recv(4096)
    assert received.endswith(b"~1\r\n$1\r\n1\r\n~0\r\n*1\r\n$1\r\n1\r\n~1\r\n$1\r\n1\r\n$3\r\nend\r\n")


def bulks(reply: bytes) -> list[bytes]:
    """The strings of a reply whose strings have no line ends."""
    return [line for line in reply.split(b"\r\n") if line and line[:1] not in b"$*"]


MEMBER = st.sampled_from([*(b"%d" % n for n in range(12)), b"x", b"y", b"", b"-0", b"z" * 70, b"w" * 2000])


@settings(max_examples=40)
@given(st.lists(st.tuples(st.sampled_from(["sadd", "sadd", "srem"]), st.lists(MEMBER, min_size=1)), max_size=30))
def test_as_python_has_it(steps: list[tuple[str, list[bytes]]]) -> None:
    model: set[bytes] = set()
    with executor() as shard:
        for name, members in steps:
            after = model | set(members) if name == "sadd" else model - set(members)
            assert shard.run(name, b"a", *members) == b":%d\r\n" % abs(len(after) - len(model))
            model = after
            assert shard.run("scard", b"a") == b":%d\r\n" % len(model)
            assert {m for m in (b"x", b"3", b"-0") if shard.run("sismember", b"a", m) == b":1\r\n"} == model & {
                b"x", b"3", b"-0"
            }
            shard.arena.check()
        assert shard.run("exists", b"a") == (b":1\r\n" if model else b":0\r\n")


@pytest.mark.parametrize("size", [5, 100, 3000])
def test_random_members_are_even(size: int) -> None:
    with executor() as shard:
        shard.run("sadd", b"a", *(b"member%d" % n for n in range(size)))
        shard.run("srem", b"a", *(b"member%d" % n for n in range(size // 2, size)))
        left, draws = size // 2, 60 * (size // 2)
        counts = Counter(bulks(shard.run("srandmember", b"a", b"-%d" % draws)))
        chi_square = sum((counts[b"member%d" % n] - 60) ** 2 / 60 for n in range(left))
        assert chi_square < left + 6 * (2 * left) ** 0.5 + 10  # six standard deviations


@pytest.mark.parametrize("size", [5, 100, 3000])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 1.0])
def test_several_are_different(size: int, part: float) -> None:
    everyone = {b"member%d" % n for n in range(size)}
    count = int(size * part)
    with executor() as shard:
        shard.run("sadd", b"a", *everyone)
        some = bulks(shard.run("srandmember", b"a", b"%d" % count))
        assert len(some) == len(set(some)) == count and everyone >= set(some)
        popped = bulks(shard.run("spop", b"a", b"%d" % count))
        assert len(popped) == len(set(popped)) == count
        assert set(bulks(shard.run("smembers", b"a"))) == everyone - set(popped)
        assert shard.run("exists", b"a") == (b":1\r\n" if count < size else b":0\r\n")


def first_scanned(shard: Executor, key: bytes, count: int) -> list[bytes]:
    """Members that anyone can find who can scan: in the order of their hashes, so they share their top bits."""
    cursor, found = b"0", list[bytes]()
    while len(found) < count:
        cursor, *more = bulks(shard.run("sscan", key, cursor, b"count", b"1000"))
        found += more
    return found[:count]


def test_members_chosen_by_scan_order_are_all_within_reach() -> None:
    with executor() as shard:
        for first in range(0, 160_000, 20_000):
            shard.run("sadd", b"all", *(b"member%d" % n for n in range(first, first + 20_000)))
        chosen = first_scanned(shard, b"all", 4000)
        shard.run("sadd", b"near", *chosen)
        drawn = Counter(bulks(shard.run("srandmember", b"near", b"-80000")))
        assert set(drawn) == set(chosen)
        some = bulks(shard.run("srandmember", b"near", b"1300"))
        assert len(some) == len(set(some)) == 1300 and set(some) <= set(chosen)
        popped = bulks(shard.run("spop", b"near", b"1300"))
        assert len(popped) == len(set(popped)) == 1300
        assert set(bulks(shard.run("smembers", b"near"))) == set(chosen) - set(popped)


def test_a_scan_misses_nothing_while_the_set_grows_and_shrinks() -> None:
    with executor() as shard:
        shard.run("sadd", b"a", *(b"old%d" % n for n in range(2000)))
        cursor, seen, rounds = b"0", set[bytes](), 0
        while True:
            cursor, *found = bulks(shard.run("sscan", b"a", cursor, b"count", b"50"))
            seen |= set(found)
            shard.run("sadd", b"a", *(b"new%d.%d" % (rounds, n) for n in range(500 if rounds < 20 else 0)), b"new")
            shard.run("srem", b"a", *(b"new%d.%d" % (rounds - 10, n) for n in range(500)))
            rounds += 1
            if cursor == b"0":
                break
        assert {b"old%d" % n for n in range(2000)} <= seen


@pytest.mark.parametrize(
    ("command", "value", "most"), [("sadd", None, 38), ("hset", b"value:01", 46), ("zadd", b"1.5", 56)]
)
def test_a_member_of_twenty_bytes_takes_little(command: str, value: bytes | None, most: int) -> None:
    with executor() as shard:
        before = shard.arena.used_bytes
        for number in range(150_000):
            member = b"element:%012d" % number
            words = [member] if value is None else [member, value] if command == "hset" else [value, member]
            shard.run(command, b"key", *words)
        assert (shard.arena.used_bytes - before) / 150_000 <= most
