"""RESP3 into Python values: what workers reply to an acceptor's own questions."""
from __future__ import annotations

from typing import Any

from shardkv.errors import CommandError


def decode(data: bytes) -> Any:
    """The value that `data` is. Raises CommandError with the text of an error reply, ValueError when it is no RESP."""
    value, end = _value(data, 0)
    if end != len(data):
        raise ValueError("bytes behind a RESP value")
    return value


def _value(data: bytes, at: int) -> tuple[Any, int]:
    end = data.index(b"\r\n", at)
    kind, text = data[at : at + 1], data[at + 1 : end]
    at = end + 2
    if kind in b"$=!":
        return _bulk(kind, data, at, int(text))
    if kind in b"*~>":
        items = []
        for _ in range(max(int(text), 0)):
            item, at = _value(data, at)
            items.append(item)
        return (None if text == b"-1" else items), at
    if kind == b"%":
        pairs = {}
        for _ in range(int(text)):
            key, at = _value(data, at)
            pairs[key], at = _value(data, at)
        return pairs, at
    return _line(kind, text), at


def _bulk(kind: bytes, data: bytes, at: int, length: int) -> tuple[Any, int]:
    if length < 0:
        return None, at
    if len(data) < at + length + 2:
        raise ValueError("a RESP string is cut off")
    value = data[at : at + length]
    if kind == b"!":
        raise CommandError(value.decode("utf-8", "replace"))
    return (value[4:] if kind == b"=" else value), at + length + 2


def _line(kind: bytes, text: bytes) -> Any:
    match kind:
        case b"+":
            return text.decode("utf-8", "replace")
        case b"-":
            raise CommandError(text.decode("utf-8", "replace"))
        case b":" | b"(":
            return int(text)
        case b",":
            return float(text)
        case b"#":
            return text == b"t"
        case b"_":
            return None
    raise ValueError(f"no RESP value begins with {kind!r}")
