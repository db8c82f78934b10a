"""LCS, reply by reply against redis-server where it is installed."""
from __future__ import annotations

import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.wire import Wire, run_both

# Keys of a script that must lie together have the tag {t}.
SCRIPT = """
    set {t}a ohmytext
    set {t}b mynewtext
    lcs {t}a {t}b
    lcs {t}a {t}b len
    lcs {t}a {t}b idx
    lcs {t}a {t}b idx minmatchlen 4
    lcs {t}a {t}b idx minmatchlen 4 withmatchlen
    lcs {t}a {t}b IDX WithMatchLen
    lcs {t}a {t}b withmatchlen
    lcs {t}a {t}b minmatchlen 4
    lcs {t}a {t}b idx minmatchlen -4
    lcs {t}a {t}b idx minmatchlen x
    lcs {t}a {t}b minmatchlen
    lcs {t}a {t}b idx len
    lcs {t}a {t}b nonsense
    lcs {t}a
    lcs {t}a {t}none
    lcs {t}none {t}none2
    lcs {t}none {t}b len
    lcs {t}none {t}b idx
    lcs {t}a {t}a idx
    set {t}n 12345
    set {t}m 2346
    lcs {t}n {t}m
    lcs {t}n {t}m idx withmatchlen
"""


def test_script(ours: Wire, theirs: Wire) -> None:
    run_both(ours, theirs, SCRIPT)


@given(
    st.binary(max_size=50),
    st.lists(st.tuples(st.integers(0, 50), st.binary(max_size=8)), max_size=8),
    st.integers(0, 4),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_lcs_of_kindred_strings(
    ours: Wire, theirs: Wire, text: bytes, edits: list[tuple[int, bytes]], shortest: int
) -> None:
    other = text
    for place, part in edits:
        other = other[:place] + part + other[place + 2 :]
    for words in (
        ("mset", "{t}a", text, "{t}b", other),
        ("lcs", "{t}a", "{t}b"),
        ("lcs", "{t}a", "{t}b", "len"),
        ("lcs", "{t}a", "{t}b", "idx", "minmatchlen", shortest, "withmatchlen"),
    ):
        assert ours.ask(*words) == theirs.ask(*words)


def test_lcs_refuses_a_table_that_is_too_large(ours: Wire) -> None:
    ours.ask("mset", "{t}a", b"a" * 12000, "{t}b", b"b" * 12000)
    refusal = "-ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len"
    assert ours.ask("lcs", "{t}a", "{t}b") == refusal


def test_lcs_in_resp3_is_a_map(client3: redis.Redis) -> None:
    client3.mset({"{t}a": "ohmytext", "{t}b": "mynewtext"})
    answer = client3.execute_command("LCS", "{t}a", "{t}b", "IDX", "WITHMATCHLEN")
    assert answer == {b"matches": [[[4, 7], [5, 8], 4], [[2, 3], [0, 1], 2]], b"len": 6}
