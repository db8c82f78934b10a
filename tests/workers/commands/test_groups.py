"""Commands on consumer groups, reply by reply against redis-server where it is installed."""
from __future__ import annotations

import time

import pytest
import redis

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


def test_what_redis_7_0_answers_otherwise(ours: Wire) -> None:
    assert ours.ask("xreadgroup", "group", "g", "c", "streams", "s", "s", ">") == (
        "-ERR Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must be specified."
    )
    ours.ask("xgroup", "create", "s", "g", "$", "mkstream")
    ours.ask("xreadgroup", "group", "g", "reads", "streams", "s", ">")
    ours.ask("xclaim", "s", "g", "claims", 0, "1-1")
    ours.ask("xautoclaim", "s", "g", "autoclaims", 0, 0)
    names = [consumer[1] for consumer in ours.ask("xinfo", "consumers", "s", "g")]
    assert names == [b"autoclaims", b"claims", b"reads"]  # though there was nothing for them


def test_a_group_in_full(ours: Wire) -> None:
    ours.ask("hello", 3)
    before = time.time_ns() // 1_000_000
    ours.ask("xgroup", "create", "s", "g", 0, "mkstream")
    for number in range(1, 13):
        ours.ask("xadd", "s", f"{number}-1", "field", "value")
    ours.ask("xreadgroup", "group", "g", "c", "streams", "s", ">")
    ours.ask("xgroup", "createconsumer", "s", "g", "b")
    ours.ask("xreadgroup", "group", "g", "c", "streams", "s", "12-0")
    told = dict(ours.ask("xinfo", "stream", "s", "full")[1])
    assert list(told) == [
        b"length", b"radix-tree-keys", b"radix-tree-nodes", b"last-generated-id", b"max-deleted-entry-id",
        b"entries-added", b"recorded-first-entry-id", b"entries", b"groups",
    ]
    assert told[b"entries"] == [[b"%d-1" % number, [b"field", b"value"]] for number in range(1, 11)]
    ((kind, pairs),) = told[b"groups"]
    group = dict(pairs)
    assert kind == "%" and list(group) == [
        b"name", b"last-delivered-id", b"entries-read", b"lag", b"pel-count", b"pending", b"consumers"
    ]
    assert list(group.values())[:5] == [b"g", b"12-1", 12, 0, 12]
    after = time.time_ns() // 1_000_000
    assert [row[:2] + row[3:] for row in group[b"pending"]] == [[b"%d-1" % number, b"c", 1] for number in range(1, 11)]
    assert all(before <= row[2] <= after for row in group[b"pending"])
    idle, busy = (dict(consumer[1]) for consumer in group[b"consumers"])
    assert list(busy) == [b"name", b"seen-time", b"active-time", b"pel-count", b"pending"]
    assert (idle[b"name"], idle[b"active-time"], idle[b"pel-count"], idle[b"pending"]) == (b"b", -1, 0, [])
    assert (busy[b"name"], busy[b"pel-count"]) == (b"c", 12)
    assert before <= busy[b"active-time"] <= busy[b"seen-time"] <= after
    assert [row[0] for row in busy[b"pending"]] == [b"%d-1" % number for number in range(1, 11)]
    for count, shown in ((3, 3), (0, 12), (-1, 10)):
        told = dict(ours.ask("xinfo", "stream", "s", "full", "count", count)[1])
        consumer = dict(dict(told[b"groups"][0][1])[b"consumers"][1][1])
        assert len(told[b"entries"]) == len(consumer[b"pending"]) == shown
    assert dict(consumer)[b"pending"][9][2] == 1
    full = dict(dict(ours.ask("xinfo", "stream", "s", "full", "count", 0)[1])[b"groups"][0][1])
    assert full[b"pending"][11][3] == 2  # read again


def test_xinfo_in_other_forms(ours: Wire) -> None:
    ours.ask("xadd", "s", "1-1", "a", "b")
    unknown = "-ERR unknown subcommand or wrong number of arguments for 'STREAM'. Try XINFO HELP."
    for words in (["part"], ["full", "count"], ["full", "number", 1], ["full", "count", 1, 2]):
        assert ours.ask("xinfo", "STREAM", "s", *words) == unknown
    assert str(ours.ask("xinfo", "stream", "s", "full", "count", "x")).startswith("-ERR value is not an integer")
    assert ours.ask("xinfo", "stream", "none", "full") == "-ERR no such key"
    flat = ours.ask("xinfo", "stream", "s", "full")
    assert flat[0::2][-2:] == [b"entries", b"groups"] and flat[-1] == []


def test_times_of_consumers(ours: Wire) -> None:
    def times(name: bytes) -> tuple[int, int]:
        """When it was seen and active; the next call comes at a later ms."""
        (group,) = dict(ours.ask("xinfo", "stream", "s", "full")[1])[b"groups"]
        consumers = [dict(pairs) for _, pairs in dict(group[1])[b"consumers"]]
        (found,) = (one for one in consumers if one[b"name"] == name)
        while time.time_ns() // 1_000_000 <= found[b"seen-time"]:
            pass
        return found[b"seen-time"], found[b"active-time"]

    ours.ask("hello", 3)
    ours.ask("xgroup", "create", "s", "g", 0, "mkstream")
    ours.ask("xgroup", "createconsumer", "s", "g", "c")
    seen, active = times(b"c")
    assert active == -1
    ours.ask("xgroup", "createconsumer", "s", "g", "c")
    assert times(b"c") == (seen, -1)
    ours.ask("xreadgroup", "group", "g", "c", "streams", "s", ">")  # of nothing
    before, seen = seen, times(b"c")[0]
    assert seen > before and times(b"c")[1] == -1
    ours.ask("xadd", "s", "1-1", "a", "b")
    ours.ask("xadd", "s", "2-1", "a", "b")
    ours.ask("xreadgroup", "group", "g", "c", "noack", "count", 1, "streams", "s", ">")
    assert times(b"c")[0] > seen and times(b"c")[1] == -1
    ours.ask("xreadgroup", "group", "g", "c", "streams", "s", ">")
    seen, active = times(b"c")
    assert seen == active
    ours.ask("xreadgroup", "group", "g", "c", "streams", "s", "0")  # of what it has already
    assert times(b"c")[0] > seen and times(b"c")[1] == active
    ours.ask("xclaim", "s", "g", "d", 100_000, "2-1")
    assert times(b"d")[1] == -1
    ours.ask("xclaim", "s", "g", "d", 0, "2-1")
    seen, active = times(b"d")
    assert seen == active > 0
    ours.ask("xautoclaim", "s", "g", "d", 100_000, 0)
    assert times(b"d")[0] > seen and times(b"d")[1] == active
    ours.ask("xautoclaim", "s", "g", "c", 0, 0)
    assert times(b"c")[1] > active
    (told, _) = (dict(pairs) for _, pairs in ours.ask("xinfo", "consumers", "s", "g"))
    assert list(told) == [b"name", b"pending", b"idle", b"inactive"]
    assert told[b"pending"] == 1 and told[b"idle"] == told[b"inactive"] >= 0


def test_how_long_entries_are_idle(ours: Wire) -> None:
    ours.ask("xgroup", "create", "s", "g", 0, "mkstream")
    for number in (1, 2, 3):
        ours.ask("xadd", "s", number, "a", "b")
    ours.ask("xreadgroup", "group", "g", "c", "streams", "s", ">")
    ours.ask("xclaim", "s", "g", "d", 0, 1, "idle", 50_000)
    ours.ask("xclaim", "s", "g", "d", 0, 2, "time", int(time.time() * 1000) - 90_000, "retrycount", 7)
    ours.ask("xclaim", "s", "g", "d", 0, 3, "time", int(time.time() * 1000) + 90_000, "justid")
    first, second, third = ours.ask("xpending", "s", "g", "-", "+", 10)
    assert first[:2] + first[3:] == [b"1-0", b"d", 2] and 50_000 <= first[2] < 80_000
    assert second[:2] + second[3:] == [b"2-0", b"d", 7] and 90_000 <= second[2] < 120_000
    assert third[:2] + third[3:] == [b"3-0", b"d", 1] and third[2] < 30_000
    assert [row[0] for row in ours.ask("xpending", "s", "g", "idle", 40_000, "-", "+", 10)] == [b"1-0", b"2-0"]
    assert [row[0] for row in ours.ask("xpending", "s", "g", "idle", 40_000, "-", "+", 1)] == [b"1-0"]
    assert [row[0] for row in ours.ask("xpending", "s", "g", "idle", 85_000, "(1-0", "+", 10, "d")] == [b"2-0"]
    assert ours.ask("xpending", "s", "g", "-", "+", 10, "c") == []
    assert ours.ask("xclaim", "s", "g", "c", 85_000, 1, 2, 3, "justid") == [b"2-0"]
    assert ours.ask("xautoclaim", "s", "g", "c", 45_000, 0, "justid") == [b"0-0", [b"1-0"], []]


def test_names_are_bytes(ours: Wire) -> None:
    ours.ask("xgroup", "create", "s", b"\xff\0g", "0", "mkstream")
    ours.ask("xadd", "s", "1-1", "a", "b")
    ours.ask("xreadgroup", "group", b"\xff\0g", b"c\0" * 600, "streams", "s", ">")
    assert ours.ask("xpending", "s", b"\xff\0g") == [1, b"1-1", b"1-1", [[b"c\0" * 600, b"1"]]]
    assert ours.ask("xpending", "s", b"\xfe") == "-NOGROUP No such key 's' or consumer group '\udcfe'"


@pytest.mark.parametrize("protocol", [2, 3])
def test_workers_of_a_queue(server: Server, protocol: int) -> None:
    """As programs use groups: several consumers, one of which dies with its work."""
    with server.client(protocol=protocol, decode_responses=True) as client:
        client.flushall()
        client.xgroup_create("jobs", "crew", id="0", mkstream=True)
        with pytest.raises(redis.ResponseError, match="BUSYGROUP"):
            client.xgroup_create("jobs", "crew", id="0", mkstream=True)
        ids = [client.xadd("jobs", {"number": number}) for number in range(10)]
        taken = {}
        for consumer, count in (("ann", 4), ("bob", 5)):
            reply = client.xreadgroup("crew", consumer, {"jobs": ">"}, count=count)
            entries = reply["jobs"][0] if isinstance(reply, dict) else reply[0][1]
            taken[consumer] = [entry for entry, _ in entries]
        assert taken == {"ann": ids[:4], "bob": ids[4:9]}
        assert client.xack("jobs", "crew", *ids[:4]) == 4
        waiting = client.xpending("jobs", "crew")
        assert (waiting["pending"], waiting["min"], waiting["max"]) == (5, ids[4], ids[8])
        assert waiting["consumers"] == [{"name": "bob", "pending": 5}]
        client.xdel("jobs", ids[5])
        cursor, claimed, deleted = client.xautoclaim("jobs", "crew", "ann", min_idle_time=0, count=3)
        assert ([entry for entry, _ in claimed], deleted, cursor) == ([ids[4], ids[6]], [ids[5]], ids[7])
        assert client.xclaim("jobs", "crew", "ann", 0, [ids[7]]) == [(ids[7], {"number": "7"})]
        rows = client.xpending_range("jobs", "crew", "-", "+", 10)
        assert [(row["message_id"], row["consumer"], row["times_delivered"]) for row in rows] == [
            (ids[4], "ann", 2), (ids[6], "ann", 2), (ids[7], "ann", 2), (ids[8], "bob", 1)
        ]
        (crew,) = client.xinfo_groups("jobs")
        assert (crew["consumers"], crew["pending"], crew["entries-read"], crew["lag"]) == (2, 4, 9, 1)
        assert client.xgroup_delconsumer("jobs", "crew", "bob") == 1
        assert [consumer["name"] for consumer in client.xinfo_consumers("jobs", "crew")] == ["ann"]
        assert client.xgroup_destroy("jobs", "crew") == 1
        assert client.xinfo_groups("jobs") == []
