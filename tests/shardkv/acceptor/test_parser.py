"""Requests out of bytes: a corpus read whole, split at every byte, and byte by byte; round trips of anything."""
from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardkv.acceptor._testing import parse

CORPUS = Path(__file__).resolve().parents[2] / "resp"
VALID = sorted((CORPUS / "valid").glob("*.resp"))
INVALID = sorted((CORPUS / "invalid").glob("*.resp"))
LONG = 4096  # longer inputs are split at fewer places


def splits(data: bytes) -> list[list[bytes]]:
    """The input whole, in two pieces cut at every byte, and in single bytes."""
    step = 1 if len(data) <= LONG else len(data) // 50
    pieces = [[data[:at], data[at:]] for at in range(1, len(data), step)]
    single = [data[at : at + 1] for at in range(len(data))] if len(data) <= LONG else []
    return [[data], *pieces, *([single] if single else [])]


def encode(requests: list[list[bytes]]) -> bytes:
    return b"".join(
        b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words) for words in requests
    )


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.stem)
def test_valid(path: Path) -> None:
    texts = json.loads(path.with_suffix(".json").read_text())
    expected = [[word.encode("latin-1") for word in words] for words in texts]
    for chunks in splits(path.read_bytes()):
        assert parse(chunks) == (expected, "")
        assert parse(chunks, spill=True) == (expected, "")


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_invalid(path: Path) -> None:
    expected = path.with_suffix(".txt").read_text().strip()
    for chunks in splits(path.read_bytes()):
        assert parse(chunks) == ([], expected)


@given(st.lists(st.lists(st.binary(max_size=300), min_size=1, max_size=12), max_size=8), st.data())
@settings(max_examples=150)
def test_round_trip_in_any_pieces(requests: list[list[bytes]], data: st.DataObject) -> None:
    stream = encode(requests)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)), max_size=6)))
    chunks = [stream[one:other] for one, other in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert parse(chunks) == (requests, "")
    assert parse(chunks, spill=True) == (requests, "")


@given(st.binary(max_size=200), st.data())
@settings(max_examples=200)
def test_any_bytes_are_read_the_same_in_pieces(stream: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(stream)))
    assert parse([stream[:cut], stream[cut:]]) == parse([stream])


@pytest.mark.parametrize(
    ("stream", "error"),
    [
        (b"*11\r\n", "Protocol error: unauthenticated multibulk length"),
        (b"*2\r\n$4\r\nAUTH\r\n$16385\r\n", "Protocol error: unauthenticated bulk length"),
        (b"*10\r\n$16384\r\n", ""),
    ],
)
def test_limits_before_authentication(stream: bytes, error: str) -> None:
    assert parse([stream], authenticated=False) == ([], error)
    assert parse([stream]) == ([], "")


def test_limit_of_an_argument() -> None:
    assert parse([b"*1\r\n$101\r\n"], bulk_max=100) == ([], "Protocol error: invalid bulk length")
    assert parse([b"*1\r\n$100\r\n"], bulk_max=100) == ([], "")


def test_a_request_of_many_arguments() -> None:
    request = [b"%d" % number for number in range(100_000)]
    assert parse([encode([request])]) == ([request], "")
