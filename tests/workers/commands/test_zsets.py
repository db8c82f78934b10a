"""Commands on sorted sets, reply by reply against redis-server where it is installed.

Scores that are compared print alike in redis-server 7.0, which writes 17 digits in RESP2, and 7.2, which writes as few
as it can.
"""
from __future__ import annotations

import random
from collections.abc import Iterator

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.harness import Server
from tests.wire import Wire
from tests.workers.commands.zset_scripts import compare

# Keys of a script that must lie together have the tag {t}.
SCRIPTS = {
    "zadd": """
        zadd
        zadd z
        zadd z 1
        zadd z 1 a 2
        zadd z nx xx 1 a
        zadd z gt lt 1 a
        zadd z nx gt 1 a
        zadd z nonsense 1 a
        zadd z nan a
        zadd z 1 a nan b
        exists z
        zadd z xx 1 a
        exists z
        zadd z 1 a 2 b 3 c
        zadd z 1 a 5 b 4 d
        zadd z ch 1 a 6 b 7 e
        zadd z nx 9 a 9 f
        zadd z xx 3 a 9 g
        zadd z gt ch 1 a 10 b
        zadd z lt ch 1 a 11 b
        zadd z gt xx ch 5 a 5 h
        zrange z 0 -1 withscores
        zadd z incr 1 a 2 b
        zadd z incr 1.5 a
        zadd z incr gt -1 a
        zadd z incr nx 1 a
        zadd z incr xx 1 nobody
        zadd z incr 1 nobody
        zadd z inf i
        zadd z incr -inf i
        zadd z -inf m +inf p
        zrange z 0 -1 withscores
        zadd z 1 dup 2 dup 3 dup
        zscore z dup
        set s 1
        zadd s 1 a
        zadd s nonsense a
        zadd s incr 1 a
    """,
    "zincrby": """
        zincrby
        zincrby z 1
        zincrby z 1 a b
        zincrby z 1 a
        zincrby z 2 a
        zincrby z x a
        zincrby z inf a
        zincrby z -inf a
        zincrby z 1 a
        zscore z a
        zincrby z -5 b
        zrange z 0 -1 withscores
    """,
    "members": """
        zadd z 1 a 2 b 3 c 4 1 5 22 6 -3
        zcard z
        zcard none
        zscore z a
        zscore z 22
        zscore z none
        zscore none a
        zmscore z a none c 1
        zmscore none a b
        zmscore
        zrem z a none 22
        zrange z 0 -1
        zrem none a
        zrem z
        zrem z b c 1 -3
        exists z
        set s 1
        zcard s
        zscore s a
        zmscore s a
        zrem s a
    """,
    "ranks": """
        zadd z 1 a 2 b 2 c 2 bb 3 d
        zrank z a
        zrank z bb
        zrank z none
        zrank none a
        zrevrank z a
        zrevrank z bb
        zrevrank z none
        zrank z
        set s 1
        zrank s a
    """,
    "popping": """
        zadd z 1 a 2 b 3 c 4 d 5 e
        zpopmin z
        zpopmax z
        zpopmin z 2
        zpopmin z 0
        zpopmin z -1
        zpopmin z x
        zpopmin z 1 2
        zpopmax none
        zpopmax none 3
        zpopmax z 10
        exists z
        zadd {t}z 1 a 2 b 3 c
        zmpop 1 {t}none min
        zmpop 2 {t}none {t}z min
        zmpop 2 {t}none {t}z max count 10
        exists {t}z
        zmpop 0 {t}z min
        zmpop a {t}z min
        zmpop 2 {t}z min
        zmpop 1 {t}z nonsense
        zmpop 1 {t}z min count
        zmpop 1 {t}z min count 0
        zmpop 1 {t}z min count 1 count 2
        zmpop 1 {t}z min nonsense 1
        set {t}s 1
        zpopmin {t}s
        zpopmin {t}s x
        zmpop 1 {t}s min
        zmpop 2 {t}none {t}s min
    """,
    "several": """
        zadd {t}a 1 a 2 b 3 c
        zadd {t}b 10 b 20 c 30 d
        zadd {t}i inf a -inf b inf c
        sadd {t}s a d 5
        set {t}x 1
        zunion 2 {t}a {t}b
        zunion 2 {t}a {t}b withscores
        zunion 2 {t}a {t}b weights 2 3 withscores
        zunion 2 {t}a {t}b aggregate min withscores
        zunion 2 {t}a {t}b aggregate max weights 1 -1 withscores
        zunion 3 {t}a {t}b {t}s withscores
        zunion 2 {t}i {t}i weights 1 -1 withscores
        zunion 1 {t}i weights 0 withscores
        zunion 1 {t}none
        zunion 0 {t}a
        zunion x {t}a
        zunion 3 {t}a {t}b
        zunion 2 {t}a {t}b weights 1
        zunion 2 {t}a {t}b weights 1 x
        zunion 2 {t}a {t}b aggregate
        zunion 2 {t}a {t}b aggregate nonsense
        zunion 2 {t}a {t}x
        zunion 2 {t}a {t}b nonsense
        zinter 2 {t}a {t}b withscores
        zinter 2 {t}a {t}b weights 2 3 aggregate max withscores
        zinter 3 {t}a {t}b {t}none
        zinter 2 {t}a {t}s withscores
        zinter 2 {t}s {t}s withscores
        zinter 2 {t}i {t}a weights 0 1 withscores
        zdiff 2 {t}a {t}b withscores
        zdiff 2 {t}a {t}s
        zdiff 2 {t}s {t}a withscores
        zdiff 1 {t}a
        zdiff 2 {t}none {t}a
        zdiff 2 {t}a {t}a
        zdiff 2 {t}a {t}b weights 1 1
        zintercard 2 {t}a {t}b
        zintercard 2 {t}a {t}b limit 1
        zintercard 2 {t}a {t}b limit 0
        zintercard 2 {t}a {t}b limit -1
        zintercard 2 {t}a {t}b limit x
        zintercard 2 {t}a {t}b withscores
        zintercard 0 {t}a
        zintercard 2 {t}a {t}none
        zunionstore {t}d 2 {t}a {t}b
        zrange {t}d 0 -1 withscores
        zunionstore {t}d 2 {t}d {t}d weights 1 2
        zrange {t}d 0 -1 withscores
        zinterstore {t}d 2 {t}a {t}b aggregate min
        zrange {t}d 0 -1 withscores
        zdiffstore {t}d 2 {t}a {t}b
        zrange {t}d 0 -1 withscores
        zdiffstore {t}d 2 {t}a {t}a
        exists {t}d
        zunionstore {t}x 1 {t}none
        exists {t}x
        zunionstore {t}x 1 {t}s
        zrange {t}x 0 -1 withscores
        zunionstore {t}d 0 {t}a
        zinterstore {t}d 2 {t}a
        zunionstore {t}d 1 {t}a withscores
    """,
    "zrandmember": """
        zadd z 1 a
        zrandmember z
        zrandmember none
        zrandmember none 5
        zrandmember z 5
        zrandmember z 0
        zrandmember z -3
        zrandmember z -2 withscores
        zrandmember z 1 withscores
        zrandmember z x
        zrandmember z 1 nonsense
        zrandmember z 1 withscores 2
        zrandmember z -9223372036854775808
        zrandmember z -9223372036854775807 withscores
        set s 1
        zrandmember s
    """,
    "zscan": """
        zadd z 1 a 2 b 3 aa
        zscan z 0
        zscan z 0 match a*
        zscan z 0 count 1
        zscan z x
        zscan z 0 nonsense 1
        zscan z 0 count 0
        zscan z 0 match
        zscan none 0
        set s 1
        zscan s 0
    """,
}


@pytest.mark.parametrize("resp", [2, 3])
@pytest.mark.parametrize("encoding", ["listpack", "skiplist"])
@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS.keys())
def test_replies_are_those_of_redis(ours: Wire, theirs: Wire, script: str, encoding: str, resp: int) -> None:
    compare(ours, theirs, script, encoding, resp)


@pytest.fixture(scope="module")
def small_packs() -> Iterator[Server]:
    """A server whose sorted sets are trees from nine members on, or from a member of eleven bytes on."""
    with Server("--workers", "1", "--zset-max-listpack-entries", "8", "--zset-max-listpack-value", "10") as running:
        yield running


def test_encodings_change_at_the_limits(small_packs: Server) -> None:
    with Wire(small_packs.port) as wire:
        wire.ask("zadd", "z", *(word for n in range(8) for word in (n, f"m{n}")))
        assert wire.ask("object", "encoding", "z") == b"listpack"
        wire.ask("zadd", "z", 3, "m7")
        assert wire.ask("object", "encoding", "z") == b"listpack"
        wire.ask("zadd", "z", 8, "m8")
        assert wire.ask("object", "encoding", "z") == b"skiplist"
        wire.ask("zremrangebyrank", "z", 0, 7)
        assert wire.ask("object", "encoding", "z") == b"skiplist"
        wire.ask("zunionstore", "y", 1, "z")
        assert wire.ask("object", "encoding", "y") == b"listpack"
        wire.ask("zadd", "y", 1, "x" * 10)
        assert wire.ask("object", "encoding", "y") == b"listpack"
        wire.ask("zadd", "y", 1, "x" * 11)
        assert wire.ask("object", "encoding", "y") == b"skiplist"
        wire.ask("zadd", "x", 1, "x" * 11)
        assert wire.ask("object", "encoding", "x") == b"skiplist"
        assert wire.ask("zrange", "y", 0, -1) == [b"x" * 10, b"x" * 11, b"m8"]


MEMBERS = st.integers(0, 30).map(lambda n: b"%d" % n if n % 3 else b"long member %d" % n)
SCORES = st.sampled_from([-7.25, -1.0, 0.0, 0.5, 1.0, 1.0, 2.0, 3e10, 1e300, float("inf"), float("-inf")])
STEPS = st.lists(st.tuples(st.sampled_from(["add", "add", "add", "incr", "rem", "pop"]), MEMBERS, SCORES), max_size=60)


@settings(max_examples=25)
@given(steps=STEPS)
def test_order_is_by_score_and_member(small_packs: Server, steps: list[tuple[str, bytes, float]]) -> None:
    model: dict[bytes, float] = {}
    with Wire(small_packs.port) as wire:
        wire.ask("flushall")
        for step, member, score in steps:
            if step == "add":
                assert wire.ask("zadd", "z", repr(score), member) == int(member not in model)
                model[member] = score
            elif step == "incr" and abs(score) < 1e9:
                model[member] = model.get(member, 0) + score
                assert float(wire.ask("zincrby", "z", repr(score), member)) == model[member]
            elif step == "rem":
                assert wire.ask("zrem", "z", member) == int(model.pop(member, None) is not None)
            elif step == "pop" and model:
                first = min(model, key=lambda name: (model[name], name))
                assert wire.ask("zpopmin", "z")[0] == first
                del model[first]
        expected = sorted(model, key=lambda name: (model[name], name))
        assert wire.ask("zrange", "z", 0, -1) == expected
        assert wire.ask("zrange", "z", 0, -1, "rev") == expected[::-1]
        assert [wire.ask("zrank", "z", member) for member in expected] == list(range(len(expected)))
        assert wire.ask("zcount", "z", 0, 2) == sum(0 <= score <= 2 for score in model.values())


def test_scores_print_in_shortest_form(ours: Wire) -> None:
    ours.ask("zadd", "z", "0.1", "a", "3.0000000000000001e3", "b", "1e22", "c", "-0.30000000000000004", "d")
    assert ours.ask("zmscore", "z", "a", "b", "c", "d") == [b"0.1", b"3000", b"1e+22", b"-0.30000000000000004"]


def test_rank_with_score(ours: Wire) -> None:
    ours.ask("zadd", "z", 1, "a", "2.5", "b")
    assert ours.ask("zrank", "z", "b", "withscore") == [1, b"2.5"]
    assert ours.ask("zrevrank", "z", "b", "WITHSCORE") == [0, b"2.5"]
    assert ours.ask("zrank", "z", "c", "withscore") is None
    assert ours.ask("zrank", "z", "b", "nonsense") == "-ERR syntax error"
    assert ours.ask("zrank", "z", "b", "withscore", "x") == "-ERR wrong number of arguments for 'zrank' command"


def test_random_members_are_members(ours: Wire) -> None:
    names = {b"m%d" % n for n in range(300)}
    ours.ask("zadd", "z", *(word for name in names for word in (1, name)))
    several = ours.ask("zrandmember", "z", 50)
    assert len(set(several)) == 50
    assert set(several) <= names
    assert set(ours.ask("zrandmember", "z", 1000)) == names
    assert len(ours.ask("zrandmember", "z", -1000)) == 1000
    assert len({ours.ask("zrandmember", "z") for _ in range(50)}) > 10


def test_scan_misses_nothing_while_the_set_changes(ours: Wire) -> None:
    kept = {b"m%d" % n for n in range(400)}
    ours.ask("zadd", "z", *(word for name in sorted(kept) for word in (1, name)))
    seen: set[bytes] = set()
    cursor, number = b"0", 0
    while True:
        cursor, elements = ours.ask("zscan", "z", cursor, "count", 20)
        seen |= set(elements[::2])
        if cursor == b"0":
            break
        ours.ask("zadd", "z", *(word for n in range(number, number + 50) for word in (n, f"new{n}")))
        number += 50
    assert kept <= seen


def test_large_sets_keep_their_order(ours: Wire, client: redis.Redis) -> None:
    chance = random.Random(5)
    scores = {b"m%d" % n: float(chance.randrange(5000)) for n in range(5000)}
    client.zadd("z", scores)
    for name in chance.sample(sorted(scores), 2000):
        scores[name] = float(chance.randrange(5000))
        client.zadd("z", {name: scores[name]})
    expected = sorted(scores, key=lambda name: (scores[name], name))
    assert ours.ask("zrange", "z", 0, -1) == expected
    assert ours.ask("zrangebyscore", "z", 1000, 2000) == [name for name in expected if 1000 <= scores[name] <= 2000]
    assert ours.ask("zremrangebyrank", "z", 100, 4099) == 4000
    rest = expected[:100] + expected[4100:]
    assert ours.ask("zpopmax", "z", 500)[::2] == rest[:-501:-1]
    assert ours.ask("zrange", "z", 0, -1) == rest[:-500]
