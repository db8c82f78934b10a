"""Glob matching: the grammar by example, and against a plain recursive reading of it."""
from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardkv.glob import matches


@pytest.mark.parametrize(
    ("pattern", "text", "answer"),
    [
        (b"", b"", True),
        (b"*", b"", False),
        (b"*", b"a", True),
        (b"a*", b"a", True),
        (b"**b**", b"abc", True),
        (b"h?llo", b"hello", True),
        (b"h?llo", b"hllo", False),
        (b"h[ae]llo", b"hallo", True),
        (b"h[^e]llo", b"hello", False),
        (b"h[a-b]llo", b"hbllo", True),
        (b"h[b-a]llo", b"hallo", True),
        (b"h[a-", b"h-", True),
        (b"h[", b"hx", False),
        (b"h[^", b"hx", True),
        (b"[]]", b"]", False),
        (b"[\\]]", b"]", True),
        (b"\\*x", b"*x", True),
        (b"\\*x", b"ax", False),
        (b"x\\", b"x\\", True),
        (b"*a*b*c", b"xxaxxbxxc", True),
        (b"*a*b*c", b"xxaxxcxxb", False),
        (b"a\x00*", b"a\x00b", True),
        (b"[\xf0-\xff]", b"\xf5", True),
        (b"Abc", b"aBC", False),
    ],
)
def test_grammar(pattern: bytes, text: bytes, answer: bool) -> None:
    assert matches(pattern, text) is answer


def test_case_is_ignored_on_request() -> None:
    assert matches(b"Ab[C-D]", b"aBd", nocase=True)
    assert not matches(b"a[\\B]", b"ab", nocase=True)
    assert matches(b"maxMEM*", b"maxmemory", True)


def _elements(pattern: bytes) -> list[bytes]:
    return [pattern[index : index + 1] for index in range(len(pattern))]


def _plain(pattern: list[bytes], text: bytes) -> bool:
    if not pattern:
        return not text
    if pattern[0] == b"*":
        return any(_plain(pattern[1:], text[index:]) for index in range(len(text) + 1))
    return bool(text) and pattern[0] in (b"?", text[:1]) and _plain(pattern[1:], text[1:])


@settings(max_examples=300, deadline=None)
@given(st.text("ab*?", max_size=7), st.text("ab", min_size=1, max_size=8))
def test_stars_against_a_plain_reading(pattern: str, text: str) -> None:
    assert matches(pattern.encode(), text.encode()) is _plain(_elements(pattern.encode()), text.encode())


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=12), st.binary(max_size=12), st.booleans())
def test_any_bytes_are_taken(pattern: bytes, text: bytes, nocase: bool) -> None:
    assert matches(pattern, text, nocase) in (True, False)


def test_many_stars_do_not_explode() -> None:
    started = time.monotonic()
    assert not matches(b"a*" * 60 + b"b", b"a" * 5000)
    assert time.monotonic() - started < 2
