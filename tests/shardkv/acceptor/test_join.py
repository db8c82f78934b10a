"""Joins of parts' replies: each kind, errors, and replies that are no RESP."""
from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardkv.acceptor._testing import join
from shardkv.acceptor.decode import decode
from shardkv.commands.spec import Join
from shardkv.errors import CommandError


def bulk(data: bytes | None) -> bytes:
    return b"$-1\r\n" if data is None else b"$%d\r\n%b\r\n" % (len(data), data)


def array(elements: list[bytes]) -> bytes:
    return b"*%d\r\n%b" % (len(elements), b"".join(elements))


@given(st.lists(st.none() | st.integers(-(1 << 40), 1 << 40), max_size=8).map(lambda numbers: [1, *numbers]))
@settings(max_examples=100)
def test_sum(numbers: list[int | None]) -> None:
    replies = [None if number is None else b":%d\r\n" % number for number in numbers]
    assert join(Join.SUM, replies) == b":%d\r\n" % sum(number or 0 for number in numbers)


def test_ok_and_the_first_error() -> None:
    assert join(Join.OK, [b"+OK\r\n", None, b"+OK\r\n"]) == b"+OK\r\n"
    for kind in Join:
        assert join(kind, [b"+OK\r\n", b"-ERR one\r\n", b"-ERR two\r\n"]) == b"-ERR one\r\n"


def test_any_prefers_what_is_not_null() -> None:
    assert join(Join.ANY, [b"$-1\r\n", b"$1\r\na\r\n", None]) == b"$1\r\na\r\n"
    assert join(Join.ANY, [b"_\r\n", b"_\r\n"]) == b"_\r\n"


@given(st.lists(st.lists(st.binary(max_size=30), max_size=6), min_size=1, max_size=5))
@settings(max_examples=100)
def test_concat(parts: list[list[bytes]]) -> None:
    replies: list[bytes | None] = [array([bulk(element) for element in part]) for part in parts]
    assert decode(join(Join.CONCAT, replies)) == [element for part in parts for element in part]


@given(st.lists(st.tuples(st.integers(0, 3), st.none() | st.binary(max_size=30)), min_size=1, max_size=20))
@settings(max_examples=150)
def test_array_puts_elements_back_in_order(keys: list[tuple[int, bytes | None]]) -> None:
    parts = [[bulk(element) for owner, element in keys if owner == worker] for worker in range(4)]
    replies = [array(part) if part else None for part in parts]
    assert decode(join(Join.ARRAY, replies, tuple(owner for owner, _ in keys))) == [element for _, element in keys]


def test_array_of_nested_elements() -> None:
    nested = b"*2\r\n%1\r\n+a\r\n*1\r\n:1\r\n_\r\n"
    assert join(Join.ARRAY, [array([nested]), array([b",1.5\r\n"])], (1, 0)) == array([b",1.5\r\n", nested])


@pytest.mark.parametrize(
    "reply", [b"", b"*", b"*1\r\n", b"*2\r\n:1\r\n", b"*1\r\n$9\r\nabc\r\n", b"+OK\r\n", b"*-1\r\n"]
)
@pytest.mark.parametrize("kind", [Join.SUM, Join.ARRAY])
def test_what_is_no_resp_becomes_an_error(kind: Join, reply: bytes) -> None:
    with pytest.raises(CommandError):
        decode(join(kind, [reply, array([b":1\r\n"])], (0, 1)))


@given(st.binary(max_size=60), st.sampled_from(list(Join)))
@settings(max_examples=300)
def test_hostile_replies_do_no_harm(reply: bytes, kind: Join) -> None:
    assert isinstance(join(kind, [reply, array([b":1\r\n", reply])], (0, 1, 1, 0)), bytes)
