"""SORT and SORT_RO, reply by reply against redis-server where it is installed."""
from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.wire import Wire, run_both

# All keys have the tag {t}, as the shared server may have several shards.
SCRIPTS = {
    "of a list": """
        rpush {t}a 3 10 2 1 2.5 -7 1e2 -inf
        sort {t}a
        sort {t}a desc
        sort {t}a asc alpha
        sort {t}a alpha desc
        sort {t}a limit 2 3
        sort {t}a limit 0 0
        sort {t}a limit -5 2
        sort {t}a limit 2 -1
        sort {t}a limit 100 2
        sort {t}a limit 7 100
        sort {t}a DESC LIMIT 1 2
        sort {t}a by nosort
        sort {t}a by nosort desc
        sort {t}a by nosort limit 1 3
        sort {t}a by nosort desc limit 1 3
        sort {t}a by nosort desc limit 100 3
        sort_ro {t}a
        sort_ro {t}a desc limit 0 2
        sort {t}none
        sort_ro {t}none desc
    """,
    "errors": """
        sort
        sort {t}none nonsense
        sort {t}none limit 1
        sort {t}none limit x 1
        sort {t}none limit 1 x
        sort {t}none by
        sort {t}none get
        sort {t}none store
        sort_ro {t}none store {t}b
        set {t}s 1
        sort {t}s
        sort {t}s nonsense
        rpush {t}a 1 x 2
        sort {t}a
        sort {t}a alpha
        sort {t}a by nosort
        rpush {t}d 1 "" 0x10
        sort {t}d
        rpush {t}c 1 nan
        sort {t}c
    """,
    "of a set": """
        sadd {t}a 5 3 10 1
        sort {t}a
        sort {t}a desc limit 1 2
        sort {t}a alpha
        sort {t}a by nosort store {t}b
        lrange {t}b 0 -1
        sadd {t}w b a ccc bb
        sort {t}w
        sort {t}w alpha
        sort {t}w alpha desc get #
        sort {t}w by nosort desc store {t}b
        lrange {t}b 0 -1
    """,
    "of a sorted set": """
        zadd {t}a 1 9 2 8 3 7 4 10 5 x5
        sort {t}a
        zrem {t}a x5
        sort {t}a
        sort {t}a alpha
        sort {t}a by nosort
        sort {t}a by nosort desc
        sort {t}a by nosort limit 1 2
        sort {t}a by nosort desc limit 1 2
        sort {t}a by nosort desc limit 4 2
        sort {t}a by nosort store {t}b
        lrange {t}b 0 -1
    """,
    "by and get": """
        rpush {t}a 1 2 3 4
        mset {t}w1 40 {t}w2 10 {t}w3 30 {t}v1 one {t}v2 two {t}v3 three
        sort {t}a by {t}w*
        sort {t}a by {t}w* desc
        sort {t}a by {t}w* get {t}v*
        sort {t}a by {t}w* get # get {t}v* get {t}none* get constant
        sort {t}a by {t}w* alpha
        sort {t}a by {t}w* alpha desc limit 1 2
        sort {t}a by {t}v* alpha get #
        sort {t}a by {t}v*
        sort {t}a get {t}v* store {t}b
        lrange {t}b 0 -1
        hset {t}h1 weight 3 name one
        hset {t}h2 weight 2 name two
        hset {t}h3 weight 1 other x
        sort {t}a by {t}h*->weight
        sort {t}a by {t}h*->weight get {t}h*->name get #
        sort {t}a by {t}h*->name alpha
        sort {t}a get {t}h*->
        sort {t}a get {t}h*
        sort {t}a get {t}w*->field
        set {t}x1-> arrow
        sort {t}a get {t}x*->
        sort {t}a by nosort by {t}w* get #
        sort_ro {t}a by {t}w* get {t}v*
        incr {t}w2
        sort {t}a by {t}w* get {t}w*
    """,
    "store": """
        rpush {t}a 3 1 2
        set {t}b something ex 100
        sort {t}a store {t}b
        ttl {t}b
        type {t}b
        lrange {t}b 0 -1
        sort {t}a desc store {t}a
        lrange {t}a 0 -1
        sort {t}none store {t}a
        exists {t}a
        sort {t}none store {t}a
        sort {t}b limit 5 1 store {t}b
        exists {t}b
        rpush {t}c b a
        sort {t}c store {t}d
        exists {t}d
        sort {t}c alpha store {t}d store {t}e
        lrange {t}e 0 -1
        exists {t}d
    """,
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_script(name: str, ours: Wire, theirs: Wire) -> None:
    run_both(ours, theirs, SCRIPTS[name])


NUMBERS = st.one_of(st.integers(-50, 50), st.integers(-999, 999).map(lambda number: number / 8)).map(str)
OPTIONS = st.lists(
    st.sampled_from(
        [["desc"], ["asc"], ["alpha"], ["limit", "1", "3"], ["limit", "0", "-1"], ["by", "constant"], ["get", "#"],
         ["by", "{t}w*"], ["get", "{t}w*"], ["store", "{t}b"]]
    ),
    max_size=4,
)


@given(elements=st.lists(NUMBERS, min_size=1, max_size=30, unique=True), weights=st.lists(NUMBERS), options=OPTIONS)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_options_get_the_same_reply(
    ours: Wire, theirs: Wire, elements: list[str], weights: list[str], options: list[list[str]]
) -> None:
    alphabetic_by = ["alpha"] in options and ["by", "{t}w*"] in options  # ties are left as each pleases
    given_weights = dict(zip(elements, weights, strict=False))
    if alphabetic_by and len(set(given_weights.values())) < len(elements):
        return
    words = ["sort", "{t}a", *(word for option in options for word in option)]
    replies = []
    for wire in (ours, theirs):
        wire.ask("flushall")
        wire.ask("rpush", "{t}a", *elements)
        for element, weight in given_weights.items():
            wire.ask("set", "{t}w" + element, weight)
        replies.append((wire.ask(*words), wire.ask("lrange", "{t}b", 0, -1)))
    assert replies[0] == replies[1], words


@pytest.mark.parametrize("text", ["1e999", "-1e999", "1e-999", "1 ", "x"])
def test_what_is_no_number(ours: Wire, text: str) -> None:
    # (Not held against redis-server: it never forgets that it met a number out of range.)
    ours.ask("rpush", "{t}a", "1", text)
    assert ours.ask("sort", "{t}a") == "-ERR One or more scores can't be converted into double"
    ours.ask("set", "{t}w1", text)
    assert ours.ask("sort", "{t}a", "by", "{t}w*", "limit", 0, 1).startswith("-ERR One or more scores")
    assert ours.ask("sort", "{t}a", "by", "{t}none*") == sorted([b"1", text.encode()])


@pytest.mark.parametrize("options", [("by", "w*"), ("get", "v*->field"), ("by", "nosort", "get", "#", "get", "*")])
def test_patterns_that_lead_to_another_shard(ours: Wire, theirs: Wire, options: tuple[str, ...]) -> None:
    # The server has two shards: of so many keys some lie in the other one.
    for wire in (ours, theirs):
        wire.ask("rpush", "{t}a", *range(50))
        for number in range(0, 50, 3):
            wire.ask("set", f"w{number}", 7 * number % 50)
            wire.ask("hset", f"v{number}", "field", number)
            wire.ask("set", number, f"value {number}")
    assert ours.ask("sort", "{t}a", *options) == theirs.ask("sort", "{t}a", *options)
    for target in ("{t}b", "c", "d"):
        for wire in (ours, theirs):
            assert wire.ask("sort", "{t}a", *options, "store", target) > 0
        assert ours.ask("lrange", target, 0, -1) == theirs.ask("lrange", target, 0, -1)


def test_a_target_in_another_shard(ours: Wire) -> None:
    ours.ask("rpush", "{t}a", "1")
    for number in range(20):
        assert ours.ask("sort", "{t}a", "store", f"other{number}") == 1
        assert ours.ask("lrange", f"other{number}", 0, -1) == [b"1"]


def test_what_is_stored_takes_the_encoding_that_fits(ours: Wire) -> None:
    ours.ask("rpush", "{t}a", *range(3000))
    assert ours.ask("sort", "{t}a", "desc", "store", "{t}b") == 3000
    assert ours.ask("object", "encoding", "{t}b") == b"quicklist"
    assert ours.ask("lrange", "{t}b", 0, -1) == [b"%d" % number for number in range(2999, -1, -1)]
    assert ours.ask("sort", "{t}a", "limit", 0, 100, "store", "{t}b") == 100
    assert ours.ask("object", "encoding", "{t}b") == b"listpack"
