"""Requests and replies too large for a ring: in any pieces, beside other clients; and no death leaves a file."""
from __future__ import annotations

import os
import random
import signal
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from tests.harness import Server, wait_until
from tests.wire import Wire, encode

LONG = 131_072  # bytes of a request above which it is received into a segment
MIB = 1 << 20


def segments(server: Server) -> list[Path]:
    return list(server.data_folder.glob("seg-*"))


def wait_for_none(server: Server) -> None:
    wait_until(lambda: not segments(server), "the last segment's end")


def receive(sock: socket.socket, expected: bytes) -> None:
    got = b""
    while len(got) < len(expected):
        part = sock.recv(MIB)
        assert part, got[-100:]
        got += part
    assert got == expected


def bulk(text: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(text), text)


@pytest.mark.parametrize("cut", [1009, 4096, LONG - 3, LONG, 300_001])
def test_a_stream_of_long_and_short_requests_in_any_pieces(server: Server, client: redis.Redis, cut: int) -> None:
    dice = random.Random(cut)
    texts = [dice.randbytes(size) for size in (LONG - 60, LONG - 1, LONG, LONG + 1, 200_000, 400_000, 10)]
    stream = replies = b""
    for number, text in enumerate(texts):
        key, long_key = b"key:%d" % number, b"k" * 150_000
        stream += encode([b"set", key, text, b"px", b"1000000"]) + encode([b"get", key]) + b"PING\r\n"
        replies += b"+OK\r\n" + bulk(text) + b"+PONG\r\n"
        stream += encode([b"echo", text]) + encode([b"nonsense", b"w" * len(text)])
        stream += encode([b"mset", long_key, text, key, b"z"])
        replies += bulk(text) + b"-ERR unknown command 'nonsense', with args beginning with: "
        replies += b"'%b' \r\n+OK\r\n" % (b"w" * min(len(text), 128))
        stream += encode([b"mget", long_key, key]) + encode([b"append", long_key, text]) + encode([b"del", long_key])
        replies += b"*2\r\n" + bulk(text) + bulk(b"z") + b":%d\r\n:1\r\n" % (2 * len(text))
    stream += encode([b"set", b"k", b"v" * 150_000, b"bad", b"option"]) + encode([b"rpush", b"l", *[b"e" * 100] * 3000])
    replies += b"-ERR syntax error\r\n:3000\r\n"
    with server.connect() as sock:
        sender = threading.Thread(target=send_in_pieces, args=(sock, stream, cut))
        sender.start()
        receive(sock, replies)
        sender.join()
    wait_for_none(server)


def send_in_pieces(sock: socket.socket, stream: bytes, cut: int) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for at in range(0, len(stream), cut):
        sock.sendall(stream[at:at + cut])


def test_long_values_of_one_request_for_several_shards(server: Server, client: redis.Redis) -> None:
    values = {f"part:{number}": os.urandom(200_000 + number) for number in range(12)}
    assert client.mset(values)
    assert client.mget(list(values)) == list(values.values())
    wait_for_none(server)
    assert client.delete(*values) == 12
    huge = [b"k:%d" % number for number in range(40_000)]
    assert client.exists(*huge) == 0
    assert client.mset(dict.fromkeys(huge, b"x")) and client.exists(*huge) == 40_000
    assert client.flushall()
    wait_for_none(server)


def test_a_client_that_leaves_in_the_middle(server: Server, client: redis.Redis) -> None:
    with server.connect() as leaving:
        leaving.sendall(b"*3\r\n$3\r\nSET\r\n$4\r\ngone\r\n$50000000\r\n" + b"x" * 20_000_000)
        wait_until(lambda: segments(server), "a segment")
    wait_for_none(server)
    assert client.exists("gone") == 0


def test_limits_hold_for_what_is_received_into_a_segment(make_server: Callable[..., Server]) -> None:
    server = make_server("--requirepass", "secret", "--client-query-buffer-limit", "2mb")
    with Wire(server.port) as wire, pytest.raises((EOFError, OSError)):
        wire.ask("auth", "secret")
        wire.ask("set", "large", b"x" * (3 * MIB))
    with Wire(server.port) as wire:
        assert wire.ask("set", "large", b"x" * 200_000) == "-ERR Protocol error: unauthenticated bulk length"
    wait_for_none(server)


def test_no_file_is_left_by_deaths(make_server: Callable[..., Server]) -> None:
    server = make_server("--workers", "2", "--acceptors", "2")
    stop = threading.Event()
    threads = [threading.Thread(target=use_large_values, args=(server, number, stop)) for number in range(4)]
    for thread in threads:
        thread.start()
    dice = random.Random(11)
    try:
        for _ in range(12):
            wait_until(lambda: segments(server), "a segment")
            try:
                os.kill(dice.choice([*server.worker_pids(), *server.acceptor_pids()]), signal.SIGKILL)
            except ProcessLookupError:
                pass
            server.worker_pids()
            server.acceptor_pids()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    wait_for_none(server)


def use_large_values(server: Server, number: int, stop: threading.Event) -> None:
    value = random.Random(number).randbytes(3_000_000)
    while not stop.is_set():
        try:
            with Wire(server.port) as wire:
                while not stop.is_set():
                    wire.ask("mset", f"a{number}", value, f"b{number}", value)
                    assert wire.ask("mget", f"a{number}", f"b{number}") == [value] * 2
        except (OSError, EOFError, ValueError):
            pass  # its acceptor was killed
