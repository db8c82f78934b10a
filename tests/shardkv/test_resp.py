import pytest
from hypothesis import given
from hypothesis import strategies as st

from shardkv._testing import LentReply
from shardkv.resp import Reply


def written(resp: int, method: str, *arguments: object) -> bytes:
    reply = Reply()
    reply.resp = resp
    getattr(reply, method)(*arguments)
    return reply.getvalue()


@pytest.mark.parametrize(
    ("method", "arguments", "resp2", "resp3"),
    [
        ("status", ("OK",), b"+OK\r\n", b"+OK\r\n"),
        ("error", ("ERR '\0\x1b[2J\x7f\tü'",), "-ERR '  [2J  ü'\r\n".encode(), "-ERR '  [2J  ü'\r\n".encode()),
        ("error", ("ERR two\r\nlines",), b"-ERR two  lines\r\n", b"-ERR two  lines\r\n"),
        ("null", (), b"$-1\r\n", b"_\r\n"),
        ("null_array", (), b"*-1\r\n", b"_\r\n"),
        ("array", (3,), b"*3\r\n", b"*3\r\n"),
        ("array", (12345,), b"*12345\r\n", b"*12345\r\n"),
        ("map", (2,), b"*4\r\n", b"%2\r\n"),
        ("set", (2,), b"*2\r\n", b"~2\r\n"),
        ("push", (2,), b"*2\r\n", b">2\r\n"),
        ("number", (-7,), b":-7\r\n", b":-7\r\n"),
        ("number", (-(1 << 63),), b":-9223372036854775808\r\n", b":-9223372036854775808\r\n"),
        ("double", (3.5,), b"$3\r\n3.5\r\n", b",3.5\r\n"),
        ("double", (float("-inf"),), b"$4\r\n-inf\r\n", b",-inf\r\n"),
        (
            "double",
            (-1.7976931348623157e308,),
            b"$24\r\n-1.7976931348623157e+308\r\n",
            b",-1.7976931348623157e+308\r\n",
        ),
        ("boolean", (True,), b":1\r\n", b"#t\r\n"),
        ("boolean", (False,), b":0\r\n", b"#f\r\n"),
        ("big_number", ("12345678901234567890",), b"$20\r\n12345678901234567890\r\n", b"(12345678901234567890\r\n"),
        ("verbatim", ("txt", b"text"), b"$4\r\ntext\r\n", b"=8\r\ntxt:text\r\n"),
        ("string", ("é",), b"$2\r\n\xc3\xa9\r\n", b"$2\r\n\xc3\xa9\r\n"),
        ("string", (b"a\r\nb",), b"$4\r\na\r\nb\r\n", b"$4\r\na\r\nb\r\n"),
        ("string", (b"",), b"$0\r\n\r\n", b"$0\r\n\r\n"),
        (
            "value",
            ([1, None, [b"x", "y"]],),
            b"*3\r\n:1\r\n$-1\r\n*2\r\n$1\r\nx\r\n$1\r\ny\r\n",
            b"*3\r\n:1\r\n_\r\n*2\r\n$1\r\nx\r\n$1\r\ny\r\n",
        ),
        (
            "value",
            ({"a": True, "b": 2.5},),
            b"*4\r\n$1\r\na\r\n:1\r\n$1\r\nb\r\n$3\r\n2.5\r\n",
            b"%2\r\n$1\r\na\r\n#t\r\n$1\r\nb\r\n,2.5\r\n",
        ),
        ("value", ({7},), b"*1\r\n:7\r\n", b"~1\r\n:7\r\n"),
        ("value", (1 << 64,), b"$20\r\n18446744073709551616\r\n", b"(18446744073709551616\r\n"),
    ],
)
def test_shapes(method: str, arguments: tuple[object, ...], resp2: bytes, resp3: bytes) -> None:
    assert written(2, method, *arguments) == resp2
    assert written(3, method, *arguments) == resp3


def test_a_tree_that_fails_leaves_nothing() -> None:
    reply = Reply()
    reply.status("OK")
    with pytest.raises(TypeError):
        reply.value([1, 2, object()])
    assert reply.getvalue() == b"+OK\r\n"


@given(st.lists(st.binary(max_size=200), max_size=20), st.integers(0, 300))
def test_a_lent_reply_moves_out_when_it_outgrows_its_memory(chunks: list[bytes], capacity: int) -> None:
    reply = LentReply(capacity)
    expected = b""
    for chunk in chunks:
        reply.write_bulk(chunk)
        reply.write_raw(chunk)
        expected += b"$%d\r\n%b\r\n%b" % (len(chunk), chunk, chunk)
    assert reply.getvalue() == expected
    assert reply.is_lent or len(expected) + 24 > capacity


def test_a_reply_starts_over() -> None:
    reply = LentReply(32)
    reply.write_raw(b"x" * 1000)
    assert not reply.is_lent
    reply.start_over(False)
    assert reply.getvalue() == b"" and not reply.is_lent
    reply.write_header(b"*", 2)
    assert reply.getvalue() == b"*2\r\n"
    reply.start_over(True)
    assert reply.getvalue() == b"" and reply.is_lent


@pytest.mark.parametrize("capacity", [64, 1 << 20])
def test_what_is_taken_back_leaves_what_was_before(capacity: int) -> None:
    reply, long = LentReply(capacity), b"x" * 200_000
    reply.write_bulk(b"before")
    assert reply.write_and_rewind(long, copies=False) == (len(long) if capacity < len(long) else 0)
    assert reply.write_and_rewind(long, copies=True) == 0
    assert reply.getvalue() == b"$6\r\nbefore\r\n"
    reply.write_bulk(b"after")
    assert reply.getvalue() == b"$6\r\nbefore\r\n$5\r\nafter\r\n"
