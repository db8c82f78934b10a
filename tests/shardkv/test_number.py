import math
import re
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardkv import _testing

INT64 = st.integers(-(1 << 63), (1 << 63) - 1)


@given(INT64)
def test_integers_travel_both_ways(value: int) -> None:
    text = _testing.text_of_int(value)
    assert text == str(value).encode()
    assert _testing.int_of(text) == value


@pytest.mark.parametrize("value", [0, 9, 10, -1, (1 << 63) - 1, -(1 << 63), 10**18, -(10**18)])
def test_edges_of_integers(value: int) -> None:
    assert _testing.int_of(_testing.text_of_int(value)) == value


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"-",
        b"+1",
        b" 1",
        b"1 ",
        b"01",
        b"-0",
        b"00",
        b"-01",
        b"1.0",
        b"0x1",
        b"1\0",
        b"9223372036854775808",
        b"-9223372036854775809",
        b"99999999999999999999",
        b"18446744073709551617",
        b"1" * 100,
        b"/",
        b":",
    ],
)
def test_what_is_no_integer(text: bytes) -> None:
    assert _testing.int_of(text) is None


@given(st.binary(max_size=22) | st.text("0123456789-+ .", max_size=22).map(str.encode))
def test_only_canonical_integers_are_taken(text: bytes) -> None:
    canonical = re.fullmatch(rb"0|-?[1-9][0-9]*", text) and -(1 << 63) <= int(text) < 1 << 63
    assert _testing.int_of(text) == (int(text) if canonical else None)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, b"0"),
        (-0.0, b"-0"),
        (1.0, b"1"),
        (-5.0, b"-5"),
        (0.1, b"0.1"),
        (3.5, b"3.5"),
        (1.1, b"1.1"),
        (-1.25, b"-1.25"),
        (1e15, b"1000000000000000"),
        (2.0**53 + 2, b"9007199254740994"),
        (2.0**62, b"4611686018427387904"),
        (1e19, b"1e+19"),
        (1e21, b"1e+21"),
        (-1e21, b"-1e+21"),
        (1.5e300, b"1.5e+300"),
        (1.234567891234567e21, b"1234567891234567000000"),
        (1e-6, b"0.000001"),
        (1e-7, b"1e-7"),
        (1.5e-7, b"1.5e-7"),
        (0.001, b"0.001"),
        (0.0012345678901234, b"0.0012345678901234"),
        (0.00012345678901234, b"1.2345678901234e-4"),
        (5e-324, b"5e-324"),
        (2.0**-24, b"5.960464477539063e-8"),
        (2.2250738585072014e-308, b"2.2250738585072014e-308"),
        (1.7976931348623157e308, b"1.7976931348623157e+308"),
        (math.inf, b"inf"),
        (-math.inf, b"-inf"),
        (math.nan, b"nan"),
        (0.30000000000000004, b"0.30000000000000004"),
        (1e22, b"1e+22"),
        (123456.789, b"123456.789"),
        (9.5367431640625e-07, b"9.5367431640625e-7"),
    ],
)
def test_doubles_look_as_in_redis(value: float, text: bytes) -> None:
    assert _testing.text_of_double(value) == text


@given(
    st.floats(allow_nan=False)
    | st.binary(min_size=8, max_size=8).map(lambda raw: struct.unpack("d", raw)[0]).filter(lambda x: x == x)
)
def test_doubles_travel_both_ways_in_fewest_digits(value: float) -> None:
    text = _testing.text_of_double(value)
    back = _testing.double_of(text)
    assert back == value and math.copysign(1, back) == math.copysign(1, value)
    if not (value.is_integer() and abs(value) <= 2**62) and not math.isinf(value):
        assert significant(text) <= significant(repr(value).encode())


def significant(text: bytes) -> int:
    mantissa = text.lstrip(b"-").split(b"e")[0].replace(b".", b"")
    return len(mantissa.strip(b"0"))


@pytest.mark.parametrize(
    "text", [b"", b" 1", b"1 ", b"1\0", b"abc", b"nan", b"NaN", b"1e400", b"-1e400", b"1e-400", b"1.5x", b"1" * 6000]
)
def test_what_is_no_double(text: bytes) -> None:
    assert _testing.double_of(text) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"1", 1.0),
        (b"+1.5", 1.5),
        (b"1e3", 1000.0),
        (b"0x10", 16.0),
        (b"-inf", -math.inf),
        (b"Infinity", math.inf),
        (b"5e-324", 5e-324),
    ],
)
def test_doubles_are_read_as_c_reads_them(text: bytes, value: float) -> None:
    assert _testing.double_of(text) == value


@pytest.mark.parametrize(
    ("one", "other", "total"),
    [
        (b"10.50", b"0.1", b"10.6"),
        (b"5.0e3", b"2.0e2", b"5200"),
        (b"0", b"1e-17", b"0.00000000000000001"),
        (b"0", b"1e-18", b"0"),
        (b"0", b"-1e-18", b"0"),
        (b"3", b"-3", b"0"),
        (b"1", b"1.1", b"2.1"),
        (b"9007199254740993", b"2", b"9007199254740995"),
        (b"0", b"1e20", b"100000000000000000000"),
        (b"inf", b"1", b"inf"),
        (b"-inf", b"1", b"-inf"),
        (b"inf", b"-inf", b"nan"),
        (b"0x10", b"0", b"16"),
        (b"1 ", b"1", None),
        (b" 1", b"1", None),
        (b"", b"1", None),
        (b"nan", b"1", None),
        (b"1e5000", b"1", None),
        (b"1e-5000", b"1", None),
        (b"1\0", b"1", None),
        (b"1" * 5120, b"1", None),
    ],
)
def test_long_doubles_add_up_as_incrbyfloat_prints(one: bytes, other: bytes, total: bytes | None) -> None:
    assert _testing.sum_of_long_doubles(one, other) == total


def test_a_long_double_that_does_not_fit_prints_nothing() -> None:
    assert _testing.text_of_long_double(b"1e300", 100) == b""
