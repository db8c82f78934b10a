"""Commands on streams, reply by reply against redis-server where it is installed."""
from __future__ import annotations

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.wire import Wire, run_both

SCRIPTS = {
    "xadd": """
        xadd
        xadd s
        xadd s 1-1
        xadd s 1-1 a
        xadd s 1-1 a b c
        xadd s 0-0 a b
        xadd s 0 a b
        xadd s x a b
        xadd s 1-x a b
        xadd s 18446744073709551616-1 a b
        xadd s nomkstream 1-1 a b
        exists s
        xadd s 0-* a b
        xadd s 0-* a b
        xadd s 1-1 a b c d
        xadd s 1-1 a b
        xadd s 1-0 a b
        xadd s 1-* a b
        xadd s 2 a b
        xadd s 2-18446744073709551615 a b
        xadd s nomkstream 3-1 a 12345
        xlen s
        xrange s - +
        xadd s maxlen 2 4-1 a b
        xadd s maxlen = 0 5-1 a b
        xlen s
        type s
        xadd s maxlen ~ 10 limit 5 6-1 a b
        xadd s maxlen 10 limit 5 7-1 a b
        xadd s limit 5 7-1 a b
        xadd s limit 0 7-1 a b
        xadd s maxlen 5 limit 0 7-1 a b
        xadd s maxlen ~ 5 limit 0 7-1 a b
        xadd s maxlen 1 minid 1 7-1 a b
        xadd s maxlen -1 7-1 a b
        xadd s maxlen ~ 1 limit -1 7-1 a b
        xadd s 18446744073709551615-18446744073709551615 a b
        xadd s 1-1 a b
        xadd s * a
        set string x
        xadd string 1-1 a b
        object encoding s
    """,
    "ranges": """
        xadd s 1-1 a 1
        xadd s 1-2 b 2
        xadd s 2-0 c 3
        xadd s 3-7 d 4 e 5
        xrange s - + count 2
        xrange s - + count 0
        xrange s - + count -3
        xrange s - + count x
        xrange s - + nonsense 1
        xrange s - + count
        xrange s 1 1
        xrange s 1-2 +
        xrange s (1-2 +
        xrange s (1-1 (2-0
        xrange s - (1-1
        xrange s ( +
        xrange s (- +
        xrange s (18446744073709551615-18446744073709551615 +
        xrange s - (0-0
        xrange s 9 1
        xrange none - +
        xrevrange s + -
        xrevrange s + - count 1
        xrevrange s 2 1-2
        xrevrange s (2-0 (1-1
        xrevrange none + -
        xlen none
        set string x
        xlen string
        xrange string - +
    """,
    "xdel": """
        xadd s 1-1 a 1
        xadd s 2-1 b 2
        xadd s 3-1 c 3
        xdel s 2-1 9-9
        xdel s 2-1
        xdel s x
        xdel s 1-1 x
        xdel none 1-1
        xdel none x
        xrange s - +
        xrevrange s + -
        xdel s 1-1 3-1
        xlen s
        exists s
        xsetid s 3-1
        xsetid s 5-1 entriesadded 10 maxdeletedid 4-1
        xsetid s 5-1 maxdeletedid 6-1
        xsetid s 5-1 entriesadded -1
        xsetid s 5-1 nonsense
        xsetid none 1-1
        xadd s 5-1 a b
        xadd s 5-2 a b
        xsetid s 5-1
        xsetid s 5-2 entriesadded 0
        xsetid s 5-2 entriesadded 7
    """,
    "xtrim": """
        xadd s 1-1 a 1
        xadd s 2-1 b 2
        xadd s 3-1 c 3
        xadd s 4-1 d 4
        xtrim s maxlen 9
        xtrim s maxlen ~ 2
        xtrim s maxlen 3
        xtrim s minid 3
        xtrim s minid = 3-2
        xrange s - +
        xtrim s limit 1
        xtrim s limit 1 limit 2
        xtrim s limit 0
        xtrim s maxlen 3 minid 1
        xtrim s maxlen
        xtrim s maxlen ~
        xtrim s maxlen = 3 limit 0
        xtrim s minid ~ 3 limit -1
        xtrim s nonsense 1
        xtrim s maxlen x
        xtrim s minid x
        xtrim s maxlen = 2 limit 1
        xtrim none maxlen 2
        xtrim s maxlen 0
        xlen s
    """,
    "xread": """
        xadd {t}a 1-1 a 1
        xadd {t}a 2-1 b 2
        xadd {t}b 1-5 c 3
        xread streams {t}a {t}b 0 0
        xread count 1 streams {t}a {t}b 1-1 1-4
        xread count 0 streams {t}a 0
        xread streams {t}a {t}b $ 1
        xread streams {t}a $
        xread streams {t}a 2-1
        xread streams {t}a 18446744073709551615-18446744073709551615
        xread streams {t}a >
        xread streams {t}a x
        xread count x streams {t}a 0
        xread block x streams {t}a 0
        xread block -1 streams {t}a 0
        xread group g c streams {t}a 0
        xread nonsense streams {t}a 0
        set {t}string x
        xread streams {t}string 0
        xread streams {t}none 0
    """,
}


@pytest.mark.parametrize("script", SCRIPTS.values(), ids=SCRIPTS.keys())
@pytest.mark.parametrize("resp", [2, 3])
def test_replies_are_those_of_redis(ours: Wire, theirs: Wire, script: str, resp: int) -> None:
    for wire in (ours, theirs):
        wire.ask("hello", resp)
    run_both(ours, theirs, script)


LIMITS = ["", "", "limit 0", "limit 1", "limit 25"]
IDS = st.integers(1, 300)
STEPS = st.lists(st.tuples(st.sampled_from(["add", "add", "del", "trim", "minid"]), IDS), max_size=60)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_entries_are_those_of_redis(ours: Wire, theirs: Wire, steps: list[tuple[str, int]]) -> None:
    lines, last = ["flushall"], 0
    for step, number in steps:
        if step == "add":
            for _ in range(number // 2):
                last += 1
                lines.append(f"xadd s {last}-{number} field {'x' * (number % 50 + 1)} {number} {last}")
        elif step == "del":
            lines.append(f"xdel s {number} {number}-{number} {last}-{number}")
        elif step == "minid":
            lines.append(f"xtrim s minid {last - number}" if last > number else "xlen s")
        else:
            lines.append(f"xtrim s maxlen = {number}")
        lines.append(f"xrange s {number} + count 3")
        lines.append(f"xrevrange s {number} - count 3")
    lines += ["xlen s", "xrange s - +", "xrevrange s + -", "xread streams s 7"]
    run_both(ours, theirs, "\n".join(lines))


NODE_STEPS = st.lists(
    st.tuples(st.sampled_from(["add", "add", "del", "maxlen", "minid"]), st.integers(0, 70), st.sampled_from(LIMITS)),
    max_size=40,
)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(entries=st.integers(1, 12), steps=NODE_STEPS)
@example(entries=5, steps=[("add", 46, ""), ("del", 18, ""), ("minid", 5, "")])  # the last of its node was deleted
def test_nodes_are_trimmed_as_those_of_redis(
    ours: Wire, theirs: Wire, entries: int, steps: list[tuple[str, int, str]]
) -> None:
    lines, last = ["flushall", f"config set stream-node-max-entries {entries}"], 0
    for step, number, limit in steps:
        if step == "add":
            lines += [f"xadd s {last + index} {'f' if index % 5 else index} v" for index in range(1, number // 2)]
            last += number // 2
        elif step == "del":
            lines.append(f"xdel s {number} {last - number if last > number else 0} {number + 1} {last}")
        elif step == "maxlen":
            adding = f"xadd s maxlen ~ {number} {limit} {last + 1} f v"
            lines.append(adding if number % 2 else f"xtrim s maxlen ~ {number}")
            last += number % 2
        else:
            lines.append(f"xtrim s minid ~ {number} {limit}")
        lines.append("xlen s")
    lines += ["xrange s - +", "xrevrange s + -", "config set stream-node-max-entries 100"]
    run_both(ours, theirs, "\n".join(lines))


@pytest.mark.parametrize(
    "fields", [["myfield", "VXK"], ["temperature", "21.5", "humidity", "60"], ["a", "1", "b", "2", "c", "3"]]
)
def test_entries_need_less_memory_than_those_of_redis(ours: Wire, theirs: Wire, fields: list[str]) -> None:
    needed = []
    for wire in (ours, theirs):
        for number in range(1, 6001):
            wire.send("xadd", "s", f"{number // 64 + 1}-{number}", *fields)
        assert [wire.receive() for _ in range(6000)][-1] == b"94-6000"
        needed.append(wire.ask("memory", "usage", "s", "samples", 0))
    assert needed[0] < 0.9 * needed[1]


def test_large_entries(ours: Wire, theirs: Wire) -> None:
    words = ["field", "x" * 5000, "y" * 70_000, "z", "f" * 200, "g" * 3000]
    for wire in (ours, theirs):
        for number in range(1, 8):
            wire.ask("xadd", "s", number, *(words if number % 2 else words[::-1]))
        wire.ask("xdel", "s", 3)
    for asked in (["xrange", "s", "-", "+"], ["xrevrange", "s", "+", "-"], ["xrange", "s", "2", "4", "count", "1"]):
        assert ours.ask(*asked) == theirs.ask(*asked)


def test_what_redis_7_0_answers_otherwise(ours: Wire) -> None:
    ours.ask("xadd", "s", "2-18446744073709551615", "a", "b")
    assert str(ours.ask("xadd", "s", "2-*", "a", "b")).startswith("-ERR The ID specified in XADD is equal or smaller")
    ours.ask("xdel", "s", "2-18446744073709551615")
    assert str(ours.ask("xsetid", "s", "2-1")).endswith("is smaller than current max_deleted_entry_id")
    assert ours.ask("xread", "block", (1 << 63) - 1, "streams", "s", "0") == "-ERR timeout is out of range"
    assert ours.ask("xread", "streams", "s", "s", "0") == (
        "-ERR Unbalanced 'xread' list of streams: for each stream key an ID or '$' must be specified."
    )


def test_the_clock_gives_ids(ours: Wire) -> None:
    first, second = ours.ask("xadd", "s", "*", "a", "b"), ours.ask("xadd", "s", "*", "a", "b")
    assert tuple(map(int, first.split(b"-"))) < tuple(map(int, second.split(b"-")))
    ours.ask("xadd", "far", "18446744073709551614-18446744073709551615", "a", "b")
    assert ours.ask("xadd", "far", "*", "a", "b") == b"18446744073709551615-0"


def test_copies_are_streams_of_their_own(ours: Wire) -> None:
    for number in range(1, 500):
        ours.ask("xadd", "{t}s", number, "field", "value")
    entries = ours.ask("xrange", "{t}s", "-", "+")
    assert len(entries) == 499
    ours.ask("copy", "{t}s", "{t}copy")
    ours.ask("xtrim", "{t}s", "maxlen", 0)
    assert ours.ask("xlen", "{t}s") == 0
    assert ours.ask("xrange", "{t}copy", "-", "+") == entries
    assert ours.ask("memory", "usage", "{t}copy") > 499 * len("fieldvalue")
    assert ours.ask("xadd", "{t}copy", "499-*", "a", "b") == b"499-1"
