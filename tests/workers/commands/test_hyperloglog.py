"""HyperLogLogs, byte by byte against redis-server where it is installed."""
from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.wire import Wire, run_both

KEY = "{t}h"
HEADER = b"HYLL\x01\0\0\0" + bytes(8)
SCRIPTS = {
    "counting": """
        pfadd {t}a
        pfcount {t}a
        get {t}a
        pfadd {t}a a b c
        pfadd {t}a a b c
        pfadd {t}a ""
        pfcount {t}a
        get {t}a
        pfadd {t}b c d e f
        pfcount {t}a {t}b {t}none
        pfcount {t}none
        pfcount {t}none {t}none
        pfmerge {t}c {t}a {t}b {t}none
        get {t}c
        pfcount {t}c
        pfmerge {t}d
        get {t}d
        pfdebug decode {t}c
        pfdebug encoding {t}c
        pfdebug getreg {t}c
        pfdebug encoding {t}c
        pfdebug todense {t}b
        pfdebug todense {t}b
        pfdebug decode {t}b
        get {t}b
        pfadd {t}b c
        pfadd {t}b y z
        pfcount {t}b
        get {t}b
        pfmerge {t}a {t}b
        get {t}a
        pfcount {t}a {t}b
    """,
    "errors": """
        pfadd
        pfcount
        set {t}s value
        pfadd {t}s a
        pfcount {t}s
        pfcount {t}none {t}s
        pfmerge {t}none {t}s
        pfmerge {t}s {t}none
        pfdebug encoding {t}s
        pfdebug encoding {t}none
        set {t}i 12345678901234567
        pfadd {t}i a
        rpush {t}l a
        pfadd {t}l a
        pfcount {t}l
        pfmerge {t}m {t}l
        exists {t}m
        pfadd {t}a a b c
        append {t}a hello
        pfcount {t}a
        pfadd {t}b a b c
        setrange {t}b 4 x
        pfcount {t}b
        pfdebug nonsense {t}m
        pfadd {t}m a
        pfdebug nonsense {t}m
    """,
    "expiry stays": """
        pfadd {t}a a
        pexpireat {t}a 99999999999999
        pfadd {t}a b
        pfmerge {t}a {t}none
        pfdebug todense {t}a
        pfadd {t}a c
        pexpiretime {t}a
    """,
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS.keys())
def test_as_redis(ours: Wire, theirs: Wire, script: str) -> None:
    run_both(ours, theirs, script)


def test_the_same_bytes_at_any_size(ours: Wire, theirs: Wire) -> None:
    source = random.Random(3)
    for batch in range(60):
        elements = [b"%d" % source.getrandbits(40) for _ in range(1 + batch * 3)]
        assert ours.ask("pfadd", KEY, *elements) == theirs.ask("pfadd", KEY, *elements)
        if batch % 3 == 0:
            assert ours.ask("pfcount", KEY) == theirs.ask("pfcount", KEY)
        assert ours.ask("get", KEY) == theirs.ask("get", KEY)
    assert ours.ask("pfdebug", "encoding", KEY) == "+dense"


@pytest.mark.parametrize("limit", [0, 40, 16000])
def test_hll_sparse_max_bytes(ours: Wire, theirs: Wire, limit: int) -> None:
    servers = (ours, theirs)
    assert [server.ask("config", "set", "hll-sparse-max-bytes", limit) for server in servers] == ["+OK", "+OK"]
    try:
        for batch in range(20):
            words = ["pfadd", KEY, *(str(batch * 1000 + number) for number in range(batch * 20))]
            assert ours.ask(*words) == theirs.ask(*words)
            assert ours.ask("get", KEY) == theirs.ask("get", KEY)
    finally:
        assert [server.ask("config", "set", "hll-sparse-max-bytes", 3000) for server in servers] == ["+OK", "+OK"]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(runs=st.one_of(st.binary(max_size=40), st.lists(st.sampled_from([b"\x7f\xff", b"\x84", b"\x3f"])).map(b"".join)))
def test_corrupt_runs_are_refused_or_counted(ours: Wire, runs: bytes) -> None:
    stale = HEADER[:15] + b"\x80"
    for ask in (("pfcount", KEY), ("pfadd", KEY, "a", "b"), ("pfmerge", "{t}to", KEY), ("pfdebug", "todense", KEY)):
        assert ours.ask("set", KEY, stale + runs) == "+OK"
        reply = ours.ask(*ask)
        assert reply in (0, 1, "+OK", "-INVALIDOBJ Corrupted HLL object detected") or ask[0] == "pfcount"
    assert ours.ask("ping") == "+PONG"


def test_the_self_test_passes(ours: Wire) -> None:
    assert ours.ask("pfselftest") == "+OK"
