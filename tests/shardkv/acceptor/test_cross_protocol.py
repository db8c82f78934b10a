"""Cross-protocol scripting: what a browser was made to send to the server's port is not executed."""
from __future__ import annotations

from collections.abc import Callable

import pytest
import redis

from tests.harness import Server
from tests.shardkv.acceptor.test_serving import read_to_end
from tests.wire import encode

BODY = b"Host: internal:6379\r\nContent-Type: text/plain\r\n\r\nSET pwned 1\r\nPING\r\n"


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        (b"POST / HTTP/1.1\r\n" + BODY, b""),
        (b"pOsT / HTTP/1.1\r\n" + BODY, b""),
        (b"GET / HTTP/1.1\r\n" + BODY, None),
        (b"hOST: internal\r\nSET pwned 1\r\n", b""),
        (encode([b"post", b"/"]) + encode([b"SET", b"pwned", b"1"]), b""),
        (encode([b"Host:"]) + encode([b"SET", b"pwned", b"1"]), b""),
    ],
)
def test_http_is_closed_and_nothing_behind_it_runs(
    client: redis.Redis, server: Server, sent: bytes, answered: bytes | None
) -> None:
    with server.connect() as sock:
        sock.sendall(sent)
        replies = read_to_end(sock)
    assert answered is None or replies == answered
    assert b"PONG" not in replies
    assert client.get("pwned") is None


def test_words_that_only_begin_like_http_are_unknown_commands(server: Server) -> None:
    with server.connect() as sock:
        sock.sendall(b"HOST:a\r\nPOSTS\r\nPING\r\nQUIT\r\n")
        replies = read_to_end(sock).splitlines()
    assert [reply.split()[:2] for reply in replies] == [[b"-ERR", b"unknown"]] * 2 + [[b"+PONG"], [b"+OK"]]


def test_before_authentication_too_and_logged_once_a_minute(make_server: Callable[..., Server]) -> None:
    running = make_server(requirepass="x")
    addresses = []
    for _ in range(3):
        with running.connect() as sock:
            addresses.append("{}:{}".format(*sock.getsockname()))
            sock.sendall(b"POST / HTTP/1.1\r\nAUTH x\r\nPING\r\n")
            assert read_to_end(sock) == b""
    lines = [line for line in running.output().splitlines() if "SECURITY ATTACK" in line]
    assert len(lines) == 1
    assert f"Connection from {addresses[0]} aborted." in lines[0]
