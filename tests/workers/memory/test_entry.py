"""Entries: what is written is read back, in the bytes the header promises."""
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.memory import _testing_keyspace as c


@given(
    type_=st.integers(0, 31), key=st.binary(max_size=40), value=st.binary(max_size=100), expiry=st.integers(-1, 2**62),
    clock=st.integers(0, 2**24 - 1),
)
def test_what_is_written_is_read_back(type_: int, key: bytes, value: bytes, expiry: int, clock: int) -> None:
    data = c.format_entry(type_, key, value, expiry, clock)
    assert len(data) == 8 + 8 * (expiry >= 0) + len(key) + len(value)
    assert c.parse_entry(data) == {
        "type": type_, "key": key, "value": value, "expiry": expiry, "clock": clock,
        "has_expiry": expiry >= 0, "long": False, "compact": False, "length": len(data),
    }
    assert c.has_key(data, key)
    assert not c.has_key(data, key + b"x")
    assert not key or not c.has_key(data, key[:-1]) and not c.has_key(data, key[:-1] + bytes([key[-1] ^ 1]))


@pytest.mark.parametrize("key_length", [0, 1022, 1023, 1024, 100_000])
@pytest.mark.parametrize("value_length", [0, (1 << 22) - 1, 1 << 22])
@pytest.mark.parametrize("expiry", [-1, 0, 2**62])
def test_long_keys_and_values_have_their_lengths_apart(key_length: int, value_length: int, expiry: int) -> None:
    key, value = b"k" * key_length, b"v" * value_length
    data = c.format_entry(2, key, value, expiry, 7)
    long_form = key_length > 1022 or value_length >= 1 << 22
    assert len(data) == 8 + 8 * (expiry >= 0) + 8 * long_form + key_length + value_length
    entry = c.parse_entry(data)
    assert (entry["key"], entry["value"], entry["expiry"], entry["long"]) == (key, value, expiry, long_form)
    assert entry["length"] == len(data)
    assert c.has_key(data, key) and not c.has_key(data, key + b"k")


LENGTHS = st.one_of(st.integers(0, 300), st.sampled_from([255, 256, 1022, 1023, 2048]))


@given(type_=st.integers(0, 31), key_length=LENGTHS, value_length=LENGTHS, expiry=st.sampled_from([-1, 0, 2**62]))
def test_an_item_without_expiry_is_compact_up_to_255_bytes_of_key_and_value(
    type_: int, key_length: int, value_length: int, expiry: int
) -> None:
    key, value = b"k" * key_length, b"v" * value_length
    data = c.format_item(type_, key, value, expiry)
    compact = expiry < 0 and max(key_length, value_length) <= 255
    assert data == c.format_entry(type_, key, value, expiry, 0) or compact
    assert not compact or len(data) == 3 + key_length + value_length
    assert c.parse_entry(data + bytes(8)) == {
        "type": type_, "key": key, "value": value, "expiry": expiry, "clock": 0,
        "has_expiry": expiry >= 0, "long": key_length > 1022, "compact": compact, "length": len(data),
    }
    assert c.has_key(data + bytes(8), key) and not c.has_key(data + bytes(8), key + b"k")
    assert not key or not c.has_key(data + bytes(8), key[:-1]) and not c.has_key(data + bytes(8), key[:-1] + b"x")
