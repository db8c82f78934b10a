"""Commands on consumer groups, reply by reply against redis-server where it is installed."""
from __future__ import annotations

import time
from typing import Any

import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.harness import Server
from tests.wire import Wire, run_both

SCRIPTS = {
    "xgroup": """
        xgroup create s g
        xgroup create s g $
        xgroup create s g x mkstream
        exists s
        xgroup create s g $ nonsense
        xgroup create s g $ entriesread
        xgroup create s g $ entriesread x
        xgroup create s g $ entriesread -2
        xgroup create s g $ mkstream
        xgroup create s g $ mkstream
        xgroup create s g 0
        xgroup create s h 7 entriesread 3 mkstream
        xgroup create s i 7 entriesread 3 mkstream entriesread 4 mkstream
        xgroup create s "" 0-5 entriesread -1
        xinfo groups s
        xlen s
        xadd s 1-1 a b
        xgroup create s new $
        xinfo groups s
        xgroup setid s none $
        xgroup setid none g $
        xgroup setid s g x
        xgroup setid s g (1-1
        xgroup setid s g $ mkstream
        xgroup setid s g $ entriesread 5
        xinfo groups s
        xgroup setid s g - entriesread
        xgroup setid s g - entriesread 5 entriesread 6
        xgroup setid s g -
        xgroup setid s h +
        xgroup setid s i 3-4
        xinfo groups s
        xgroup createconsumer s none c
        xgroup createconsumer none g c
        xgroup createconsumer s g c
        xgroup createconsumer s g c
        xgroup createconsumer s g b
        xgroup createconsumer s g ""
        xinfo groups s
        xgroup delconsumer s none c
        xgroup delconsumer s g none
        xgroup delconsumer s g c
        xinfo groups s
        xgroup destroy none g
        xgroup destroy s none
        xgroup destroy s g
        xgroup destroy s g
        xinfo groups s
        xinfo groups none
        xinfo groups s x
        xinfo consumers none g
        xinfo consumers s none
        xinfo nonsense s
        xgroup nonsense s g
        set string x
        xgroup create string g $ mkstream
        xgroup destroy string g
        xinfo groups string
        xinfo consumers string g
    """,
    "xreadgroup": """
        xgroup create {t}s g $ mkstream
        xgroup create {t}r g $ mkstream
        xgroup createconsumer {t}s g c
        xgroup createconsumer {t}r g c
        xreadgroup group g c streams {t}s >
        xreadgroup group g c streams {t}s 0
        xadd {t}s 1-1 a 1
        xadd {t}s 2-1 b 2 c 3
        xadd {t}s 3-1 d 4
        xreadgroup group g c count 1 streams {t}s >
        xreadgroup group g c count 0 streams {t}s {t}r > >
        xreadgroup group g c streams {t}s {t}r > >
        xreadgroup group g c streams {t}s {t}r > 0
        xreadgroup group g c streams {t}s {t}r 0 0
        xreadgroup group g c count 2 streams {t}s 0
        xreadgroup group g c count 2 streams {t}s 1-1
        xreadgroup group g c streams {t}s 3-1
        xpending {t}s g
        xdel {t}s 2-1
        xreadgroup group g c streams {t}s 0
        xinfo groups {t}s
        xgroup setid {t}s g 1-1
        xgroup createconsumer {t}s g d
        xreadgroup group g d streams {t}s >
        xpending {t}s g
        xadd {t}s 4-1 e 5
        xreadgroup group g d noack streams {t}s >
        xreadgroup noack group g d streams {t}s >
        xpending {t}s g
        xadd {t}s 5-1 e 5
        xadd {t}r 5-1 e 5
        xreadgroup group g d streams {t}s {t}s {t}s 0 > >
        xreadgroup group g c block 5 streams {t}s {t}r > >
        xreadgroup group g c streams {t}s 18446744073709551615-18446744073709551615
        xreadgroup group g c streams {t}s 18446744073709551615-18446744073709551614
        xgroup setid {t}s g 18446744073709551615-18446744073709551615
        xreadgroup group g c streams {t}s >
        xreadgroup group none c streams {t}s >
        xreadgroup group g c streams {t}none >
        xreadgroup group g c streams {t}s {t}none > >
        xreadgroup group g c streams {t}s $
        xreadgroup group g c streams {t}s x
        xreadgroup group g c streams {t}s -
        xreadgroup group g c count x streams {t}s >
        xreadgroup group g c block -1 streams {t}s >
        xreadgroup group g c block x streams {t}s >
        xreadgroup group g c nonsense {t}s >
        xreadgroup group g c count 1 noack noack
        xreadgroup count 1 noack noack streams {t}s >
        xread group g c streams {t}s 0
        xread noack streams {t}s 0
        set {t}string x
        xreadgroup group g c streams {t}string >
        xinfo groups {t}s
    """,
    "xack": """
        xgroup create s g 0 mkstream
        xadd s 1-1 a 1
        xadd s 2-1 b 2
        xadd s 3-1 c 3
        xack s g 1-1
        xreadgroup group g c streams s >
        xpending s g
        xack s g 1-1 x
        xpending s g
        xack s g 1-1 1-1 9-9 2-1
        xpending s g
        xack s none x
        xack none g x
        xack s g 3
        xack s g 3-1
        xpending s g
        set string x
        xack string g 1-1
    """,
    "xpending": """
        xpending none g
        xgroup create s g 0 mkstream
        xpending s none
        xpending s g
        xpending s g - + 10
        xadd s 1-1 a 1
        xadd s 2-1 b 2
        xreadgroup group g c count 1 streams s >
        xreadgroup group g a streams s >
        xpending s g
        xpending s g -
        xpending s g - +
        xpending s g - + x
        xpending s g - + 0
        xpending s g - + -1
        xpending s g x + 1
        xpending s g - x 1
        xpending s g (18446744073709551615-18446744073709551615 + 1
        xpending s g - (0-0 1
        xpending s g idle 1 - +
        xpending s g idle x - + 1
        xpending s g idle 1000000 - + 10
        xpending s g idle 1000000 - + 10 c
        xpending s g - + 10 none
        xpending s g 3 + 10
        xpending s g idle 1 - + 10 c extra
        set string x
        xpending string g
    """,
    "xclaim": """
        xgroup create s g 0 mkstream
        xgroup createconsumer s g d
        xadd s 1-1 a 1
        xadd s 2-1 b 2
        xadd s 3-1 c 3
        xreadgroup group g c count 2 streams s >
        xclaim s g d 0 1-1 3-1 9-9
        xclaim s g d 0 1-1 justid
        xpending s g
        xclaim s g d 1000000 2-1
        xclaim s g d 0 2-1 idle 5000000
        xclaim s g c 1000000 2-1 3-1 retrycount 7
        xclaim s g c 0 3-1 force justid
        xclaim s g d 0 3-1 force retrycount -5
        xclaim s g d -1 1 2 3
        xclaim s g d 0 9-9 lastid 2-5
        xinfo groups s
        xclaim s g d 0 9-9 lastid 1-5
        xclaim s g d 0 justid
        xinfo groups s
        xdel s 2-1
        xclaim s g c 0 2-1
        xpending s g
        xclaim s g c 0 1-1 time 1 force lastid 3-1
        xclaim s g c 0 1-1 time -1
        xclaim s g c 0 1-1 idle -9223372036854775808
        xclaim s g c x 1-1
        xclaim s g c 0 1-1 idle
        xclaim s g c 0 1-1 idle x
        xclaim s g c 0 1-1 time x
        xclaim s g c 0 1-1 retrycount x
        xclaim s g c 0 1-1 lastid x
        xclaim s g c 0 1-1 nonsense
        xclaim s g c 0 x 1-1
        xclaim s none c 0 1-1
        xclaim none g c 0 1-1
        xpending s g
        xinfo groups s
        set string x
        xclaim string g c x 1-1
    """,
    "xautoclaim": """
        xgroup create s g 0 mkstream
        xgroup createconsumer s g d
        xautoclaim s g d 0 0
        xadd s 1-1 a 1
        xadd s 2-1 b 2
        xadd s 3-1 c 3
        xadd s 4-1 c 3
        xreadgroup group g c streams s >
        xautoclaim s g d 1000000 0
        xautoclaim s g d 0 0 count 2
        xautoclaim s g d 0 (2-1 count 1 justid
        xpending s g
        xdel s 2-1 4-1
        xautoclaim s g d 0 - count 2
        xautoclaim s g d 0 3-1 justid
        xpending s g
        xautoclaim s g d 0 +
        xautoclaim s g d -5 0
        xautoclaim s g d x 0
        xautoclaim s g d 0 x
        xautoclaim s g d 0 (18446744073709551615-18446744073709551615
        xautoclaim s g d 0 0 count
        xautoclaim s g d 0 0 count 0
        xautoclaim s g d 0 0 count x
        xautoclaim s g d 0 0 count 576460752303423488
        xautoclaim s g d 0 0 nonsense
        xautoclaim s none d 0 0
        xautoclaim none g d 0 0
        set string x
        xautoclaim string g d 0 0
    """,
    "lag": """
        xgroup create s g 0 mkstream
        xgroup create s future 9-9
        xinfo groups s
        xadd s 1-1 a 1
        xadd s 2-1 a 1
        xadd s 3-1 a 1
        xadd s 4-1 a 1
        xadd s 5-1 a 1
        xgroup create s g1 1-1
        xgroup create s g2 2-1
        xgroup create s g5 5-1
        xinfo groups s
        xreadgroup group g c count 1 streams s >
        xreadgroup group g1 c count 1 streams s >
        xreadgroup group g2 c count 1 streams s >
        xinfo groups s
        xdel s 4-1
        xinfo groups s
        xreadgroup group g c count 1 streams s >
        xreadgroup group g2 c count 1 streams s >
        xinfo groups s
        xdel s 1-1
        xinfo groups s
        xtrim s maxlen 1
        xinfo groups s
        xreadgroup group g c noack streams s >
        xinfo groups s
        xgroup setid s g 1 entriesread 99
        xinfo groups s
        xdel s 5-1
        xinfo groups s
        xgroup setid s g 5-1
        xgroup setid s g1 5-2
        xinfo groups s
        xsetid s 9-1 entriesadded 20 maxdeletedid 7-1
        xadd s 9-2 a 1
        xinfo groups s
        xreadgroup group g1 c streams s >
        xinfo groups s
    """,
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS.keys())
@pytest.mark.parametrize("resp", [2, 3])
def test_replies_are_those_of_redis(ours: Wire, theirs: Wire, script: str, resp: int) -> None:
    for wire in (ours, theirs):
        wire.ask("hello", resp)
    run_both(ours, theirs, script)
