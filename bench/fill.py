"""Fills servers: with keys, and with collections of every type, one large or many small."""
from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import redis

from bench.servers import Server

REPLY_SECONDS = 300
KEY_BYTES, VALUE_BYTES = 16, 64
BENCHMARK_DATA = b"xxx"     # what redis-benchmark sends as value
BATCH = 2000    # requests on their way at a time
CHUNK = 50      # elements of one request


@dataclass(frozen=True)
class Collection:
    """A kind of collection: `key` is that of redis-benchmark's test; `adds` adds elements, `has` counts them.

    `many` is what many elements in one collection are called.
    """

    adds: str
    has: str
    key: str
    many: str


COLLECTIONS = {
    "list": Collection("RPUSH", "LLEN", "mylist", "elements of 20 bytes in a list"),
    "set": Collection("SADD", "SCARD", "myset", "members of 20 bytes in a set"),
    "sorted set": Collection("ZADD", "ZCARD", "myzset", "members of 20 bytes in a sorted set"),
    "stream": Collection("XADD", "XLEN", "mystream", "entries of two fields in a stream"),
}
SMALL_HASHES = "hashes of five fields f0 to f4, values of 8 bytes"


def known_commands(connection: redis.Redis, names: Iterable[str]) -> set[str]:
    """Those of the commands that the server has."""
    ask: Callable[..., Any] = connection.execute_command
    return {name for name in names if any(ask("COMMAND INFO", name))}


def known_collections(connection: redis.Redis) -> list[str]:
    """Names of what `collection` can fill on this server."""
    adds = {SMALL_HASHES: "HSET", **{name: kind.adds for name, kind in COLLECTIONS.items()}}
    known = known_commands(connection, set(adds.values()))
    return [name for name, command in adds.items() if command in known]


def strings(server: Server, keys: int, value: bytes = b"v" * VALUE_BYTES) -> None:
    """Sets the first `keys` of redis-benchmark's keys, of 16 bytes; raises RuntimeError when a reply is not OK."""
    send(server, (request(b"SET", b"key:%012d" % number, value) for number in range(keys)))


def empty(server: Server) -> None:
    """Removes everything, and waits until its memory is free."""
    with redis.Redis(port=server.port, protocol=2, socket_timeout=REPLY_SECONDS) as connection:
        connection.flushall()
        deadline = time.monotonic() + REPLY_SECONDS
        while connection.info("memory")["lazyfree_pending_objects"]:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{server.kind} does not get its memory free")
            time.sleep(0.01)


def collection(server: Server, name: str, elements: int, element: bytes = b"") -> None:
    """Adds elements to the collection until it has so many; makes as many small hashes. Raises RuntimeError.

    Each element is `element`, or of 20 bytes with a number of its own, as redis-benchmark's tests make them.
    """
    if name == SMALL_HASHES:
        send(server, map(small_hash, range(elements)))
        return
    kind = COLLECTIONS[name]
    with redis.Redis(port=server.port, protocol=2, socket_timeout=REPLY_SECONDS) as connection:
        if connection.execute_command(kind.has, kind.key) >= elements:
            return
    key, adds = kind.key.encode(), kind.adds.encode()
    if adds == b"XADD":
        send(server, (request(adds, key, b"*", *reading(number)) for number in range(elements)))
        return
    firsts = range(0, elements, CHUNK)
    chunks = (range(first, min(first + CHUNK, elements)) for first in firsts)
    send(server, (request(adds, key, *arguments(adds, chunk, element)) for chunk in chunks))


def arguments(adds: bytes, numbers: range, element: bytes) -> Iterator[bytes]:
    """Elements as the command takes them."""
    for number in numbers:
        if adds == b"ZADD":
            yield b"%d" % (number * 7919 % 1_000_003)  # scores come in no order
        yield element or b"element:%012d" % number


def small_hash(number: int) -> bytes:
    """A request for a hash of five fields: f0 to f4, values of 8 bytes."""
    fields = (word for field in range(5) for word in (b"f%d" % field, b"v%d:%05d" % (field, number % 100_000)))
    return request(b"HSET", b"hash:%012d" % number, *fields)


def reading(number: int) -> tuple[bytes, ...]:
    """Fields of a stream's entry, like a sensor's reading."""
    return b"sensor", b"%d" % (number % 100), b"temperature", b"%d.%d" % (number % 40, number % 10)


def request(*words: bytes) -> bytes:
    """A request in RESP."""
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%b\r\n" % (len(word), word) for word in words)


def send(server: Server, requests: Iterator[bytes]) -> None:
    """Sends the requests, some at a time; raises RuntimeError when one is answered by an error."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=REPLY_SECONDS) as connection:
        replies = connection.makefile("rb")
        while batch := list(islice(requests, BATCH)):
            connection.sendall(b"".join(batch))
            for _ in batch:
                line = replies.readline()
                if line.startswith(b"$"):
                    replies.readline()
                elif not line.startswith((b"+", b":")):
                    raise RuntimeError(f"{server.kind} did not take its elements: {line[:100]!r}")
