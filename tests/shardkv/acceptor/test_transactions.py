"""MULTI and what belongs to it, byte for byte as redis-server replies, on one shard and on several."""
from __future__ import annotations

import re
import socket
from collections.abc import Iterator

import pytest
import redis

from tests.harness import PATIENCE, Server, wait_until
from tests.wire import Wire, encode

SENTINEL = b"$8\r\nsentinel\r\n"
SHAPES = {"one": ("--workers", "1"), "three": ("--workers", "3"), "acceptors": ("--workers", "3", "--acceptors", "3")}

# Each is sent in one go. The keys a, b, c … lie in all shards.
SCRIPTS = {
    "outside": "EXEC | DISCARD | EXEC foo | UNWATCH foo | MULTI foo | DISCARD x | WATCH | UNWATCH | EXEC",
    "empty": "MULTI | EXEC | WATCH a | MULTI | EXEC | EXEC",
    "one key": "MULTI | SET a 1 | INCR a | GET a | DEL a | EXEC | GET a",
    "many keys": "MULTI | SET a 1 | SET b 2 | SET c 3 | LPUSH a x | MGET a b c d | EXISTS a b c | EXEC | MGET a b c",
    "errors inside": "SET s x | MULTI | LPUSH s 1 | SET t 1 | INCR s | SET u 2 | EXEC | MGET s t u",
    "wrong arguments inside": "MULTI | MSET a 1 b | PING a b c | LMPOP 2 a LEFT | SET a b c d | EXEC",
    "nested": "MULTI | MULTI | WATCH x | SET a 1 | EXEC | EXEC",
    "unknown": "MULTI | nosuch | SET a 1 | EXEC | GET a",
    "arity": "MULTI | GET | SET a 1 | EXEC | GET a",
    "subcommand": "MULTI | CLIENT NOSUCH | EXEC | MULTI | OBJECT | EXEC",
    "EXEC with arguments": "MULTI | EXEC foo | SET a 2 | EXEC",
    "DISCARD with arguments": "MULTI | DISCARD foo | SET a 3 | EXEC",
    "not behind MULTI": "MULTI | SHUTDOWN | EXEC",
    "discard": "SET a 1 | WATCH a | MULTI | SET a 2 | DISCARD | GET a | DISCARD | MULTI | GET a | EXEC",
    "reset": "MULTI | SET a 7 | RESET | EXEC | PING",
    "quit": "MULTI | SET a 1 | QUIT",
    "acceptor's own": "MULTI | PING | SET a 1 | ECHO x | GET a | PING hello | CLIENT GETNAME | "
    "CLIENT SETNAME n | GET a | "
    "CLIENT GETNAME | CONFIG GET appendonly | COMMAND COUNT x | LASTSAVE x | EXEC",
    "only the acceptor's own": "MULTI | PING | ECHO x | CLIENT NO-EVICT on | UNWATCH | EXEC | PING",
    "select": "SET a 0 | MULTI | SELECT 3 | SET a 3 | SELECT x | SELECT 99 | GET a | SELECT 0 | GET a | "
    "SELECT 4 | EXEC | "
    "DBSIZE | SELECT 3 | GET a",
    "protocol": "HSET h f v | MULTI | HGETALL h | GET none | HELLO 3 | HGETALL h | GET none | HELLO 2 | HGETALL h | "
    "HELLO 4 | HELLO 3 SETNAME | HELLO x | HGETALL h | HELLO 3 SETNAME n | HGETALL h | EXEC | HGETALL h | HELLO 2",
    "reply off": "MULTI | SET a 1 | CLIENT REPLY OFF | GET a | EXEC | PING | CLIENT REPLY ON",
    "reply off and on": "MULTI | SET a 1 | CLIENT REPLY OFF | GET a | CLIENT REPLY ON | GET a | ECHO x | EXEC | PING",
    "reply on": "CLIENT REPLY OFF | MULTI | SET a 1 | CLIENT REPLY ON | GET a | EXEC | PING",
    "reply skip": "MULTI | SET a 1 | CLIENT REPLY SKIP | GET a | ECHO x | EXEC | PING | ECHO y",
    "reply skipped": "CLIENT REPLY SKIP | MULTI | SET a 1 | SET b 2 | CLIENT REPLY SKIP | EXEC | PING | ECHO y",
    "EXEC skipped": "MULTI | SET a 1 | SET b 1 | CLIENT REPLY SKIP | EXEC | CLIENT REPLY SKIP | GET a | GET b",
    "watch": "SET a 1 | SET b 1 | WATCH a b nokey | GET a | MULTI | SET a 2 | EXEC | GET a",
    "watch, own change": "WATCH a b c | SET b 5 | MULTI | SET c 1 | PING | EXEC | MULTI | SET c 1 | EXEC",
    "watch, unwatch": "WATCH a b c | SET b 5 | UNWATCH | MULTI | SET c 1 | EXEC",
    "watch, discard": "WATCH a | SET a 5 | MULTI | DISCARD | MULTI | SET c 1 | EXEC",
    "watch, failed": "WATCH a | SET a 5 | MULTI | GET | EXEC | MULTI | SET c 1 | EXEC",
    "watch, databases": "SELECT 2 | WATCH k | SELECT 0 | SET k 0 | MULTI | GET k | EXEC | WATCH k | SELECT 2 | "
    "SET k 1 | MULTI | "
    "SET k 2 | SELECT 0 | GET k | EXEC | SELECT 0 | WATCH k | SELECT 2 | SELECT 0 | SET k 4 | SELECT 2 | "
    "MULTI | PING | EXEC",
    "watch, twice": "WATCH a a | SET a 1 | WATCH a | MULTI | EXEC | WATCH a | WATCH a | MULTI | EXEC",
    "watch only, touched": "WATCH a | SET a 1 | MULTI | EXEC",
    "watch, reply off": "CLIENT REPLY OFF | WATCH a b c | SET a 1 | MULTI | CLIENT REPLY ON | EXEC | "
    "CLIENT REPLY ON | GET a",
    "blocks of commands": "MULTI | RENAME a z | COPY z y | SMOVE s1 s2 m | EXEC | MULTI | MSETNX p 1 q 2 r 3 | "
    "MGET p q r | EXEC",
    "everything": "SET a 1 | SET b 1 | MULTI | SET c 1 | DBSIZE | FLUSHALL | DBSIZE | SET d 1 | SWAPDB 0 1 | "
    "DBSIZE | EXEC | "
    "DBSIZE | SELECT 1 | GET d",
    "no waiting": "MULTI | XREAD BLOCK 0 STREAMS s $ | EXEC",
    "resets the answer": "MULTI | HELLO 3 | RESET | HGETALL h | MULTI | HGETALL h | EXEC",
}


@pytest.fixture(scope="module", params=SHAPES)
def shape(request: pytest.FixtureRequest) -> Iterator[Server]:
    with Server(*SHAPES[request.param]) as running:
        yield running


def transcript(port: int, script: str, prelude: str = "") -> bytes:
    """All that comes back for a script sent in one go; what no two servers have alike is left out."""
    lines = ["FLUSHALL", prelude, *script.split("|")]
    if not script.endswith("QUIT"):
        lines.append("ECHO sentinel")
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(b"".join(encode(line.encode().split()) for line in lines if line))
        while not received.endswith(SENTINEL) and (more := connection.recv(1 << 16)):
            received += more
    return re.sub(rb"\$\d\r\n7\.\d\.\d+\r\n|:\d+\r\n(?=\$4\r\nmode)", b"", received)


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize("prelude", ["", "HELLO 3"], ids=["resp2", "resp3"])
def test_replies_as_redis_does(shape: Server, oracle: redis.Redis, name: str, prelude: str) -> None:
    theirs = oracle.connection_pool.connection_kwargs["port"]
    assert transcript(shape.port, SCRIPTS[name], prelude) == transcript(theirs, SCRIPTS[name], prelude)


# What happens to a watched key `k`, in database 0, between WATCH and EXEC; before WATCH `first` was done.
CHANGES = [
    ("SET k 1", "SET k 1"), ("SET k 1", "GET k"), ("SET k 1", "DEL k"), ("", "DEL k"), ("", "SET k 1"),
    ("SET k 1", "APPEND k x"), ("SET k 1", "EXPIRE k 100"), ("SET k 1", "PERSIST k"), ("SET k 1 EX 100", "PERSIST k"),
    ("SET k 1", "TOUCH k"), ("SADD k m", "SADD k m"), ("SADD k m", "SREM k m"), ("SADD k m", "SREM k n"),
    ("SET o 1", "RENAME o k"), ("SET k 1", "RENAME k o"), ("SET k 1", "COPY k o"), ("SET o 1", "COPY o k"),
    ("SET k 1", "FLUSHALL"), ("", "FLUSHALL"), ("SET k 1", "FLUSHDB"), ("SET k 1", "SWAPDB 0 1"), ("", "SWAPDB 0 1"),
    ("SET k 1", "SWAPDB 2 1"), ("SET k 1", "MOVE k 5"), ("RPUSH k a b", "LPOP k"), ("RPUSH k a", "LPOP k"),
    ("RPUSH o a", "LMOVE o k LEFT LEFT"), ("SET k 1", "SELECT 1 | SET k 2"), ("SET k 1", "MULTI | SET k 2 | EXEC"),
    ("SET k 1", "MULTI | SET k 2 | SET o 2 | DISCARD"), ("SET k x", "INCR k"), ("ZADD k 1 m", "ZADD k 1 m"),
    ("ZADD k 1 m", "ZADD k 2 m"), ("HSET k f v", "HSET k f v"), ("SET k 1", "SETNX k 2"),
    ("SADD o m", "SUNIONSTORE k o o"), ("", "SUNIONSTORE k o o"), ("SADD k m", "SUNIONSTORE k o o"),
    ("PFADD k a", "PFADD k a"), ("RPUSH o 2 1", "SORT o STORE k"), ("SET k 1", "UNLINK k"), ("SET k 1", "GETDEL k"),
    ("SET k 1", "GETEX k EX 100"),
]


@pytest.mark.parametrize(("first", "change"), CHANGES)
def test_changes_of_a_watched_key(shape: Server, oracle: redis.Redis, first: str, change: str) -> None:
    outcomes = []
    for port in (shape.port, oracle.connection_pool.connection_kwargs["port"]):
        with Wire(port) as watcher, Wire(port) as other:
            for line in filter(None, ("FLUSHALL", first)):
                other.ask(*line.split())
            assert watcher.ask("WATCH", "unused", "k") == "+OK"
            replies = [other.ask(*line.split()) for line in change.split("|")]
            assert watcher.ask("MULTI") == "+OK" and watcher.ask("PING") == "+QUEUED"
            assert watcher.ask("SET", "result", "1") == "+QUEUED"
            outcomes.append((replies, watcher.ask("EXEC"), watcher.ask("GET", "result")))
    assert outcomes[0] == outcomes[1]


def test_a_watched_key_that_expires(shape: Server, oracle: redis.Redis) -> None:
    for port in (shape.port, oracle.connection_pool.connection_kwargs["port"]):
        with Wire(port) as watcher:
            for line in ("FLUSHALL", "SET k 1 PX 30", "WATCH k"):
                assert watcher.ask(*line.split()) == "+OK"
            wait_until(lambda: watcher.ask("PTTL", "k") == -2, "the key's end")
            watcher.ask("MULTI")
            assert watcher.ask("EXEC") is None


def test_a_watched_key_that_had_expired_before(shape: Server, oracle: redis.Redis) -> None:
    for port in (shape.port, oracle.connection_pool.connection_kwargs["port"]):
        with Wire(port) as watcher:
            for line in ("FLUSHALL", "DEBUG SET-ACTIVE-EXPIRE 0", "SET k 1 PXAT 1", "WATCH k", "MULTI"):
                assert watcher.ask(*line.split()) == "+OK"
            assert watcher.ask("EXEC") == []
            watcher.ask("DEBUG", "SET-ACTIVE-EXPIRE", "1")


@pytest.mark.parametrize("beside", ["", "SET k 2 PXAT 1"])
def test_a_stale_key_that_comes_by_a_swap_is_no_change(shape: Server, oracle: redis.Redis, beside: str) -> None:
    for port in (shape.port, oracle.connection_pool.connection_kwargs["port"]):
        with Wire(port) as watcher:
            for line in ("FLUSHALL", "DEBUG SET-ACTIVE-EXPIRE 0", "SET k 1 PXAT 1", "SELECT 1", beside, "WATCH k",
                         "SWAPDB 0 1", "MULTI"):
                assert not line or watcher.ask(*line.split()) == "+OK"
            assert watcher.ask("EXEC") == []
            watcher.ask("DEBUG", "SET-ACTIVE-EXPIRE", "1")


def test_the_queue_is_cut_anywhere(shape: Server) -> None:
    words = [[b"MULTI"], [b"SET", b"a", b"1"], [b"PING"], [b"SET", b"b", b"x" * 300], [b"GET", b"b"], [b"EXEC"]]
    sent = b"".join(map(encode, words))
    expected = b"+OK\r\n" + b"+QUEUED\r\n" * 4 + b"*4\r\n+OK\r\n+PONG\r\n+OK\r\n$300\r\n" + b"x" * 300 + b"\r\n"
    with shape.connect() as connection:
        for cut in range(1, len(sent), 7):
            connection.sendall(sent[:cut])
            connection.sendall(sent[cut:])
            received = b""
            while len(received) < len(expected):
                received += connection.recv(1 << 16)
            assert received == expected


def test_requests_behind_a_transaction_wait_for_it(shape: Server) -> None:
    with Wire(shape.port) as wire:
        wire.ask("FLUSHALL")
        requests = []
        for number in range(50):
            requests += [[b"MULTI"], [b"INCR", b"a"], [b"INCR", b"b"], [b"INCR", b"c"], [b"EXEC"]]
            requests += [[b"MGET", b"a", b"b", b"c"]]
            requests += [[b"GET", b"b"], [b"MSET", b"x", b"%d" % number, b"y", b"%d" % number], [b"MGET", b"x", b"y"]]
        replies = wire.ask_all(requests)
        for number in range(50):
            *queued, executed, many, one, _, pair = replies[9 * number : 9 * number + 9]
            value = b"%d" % (number + 1)
            assert queued == ["+OK", *["+QUEUED"] * 3] and executed == [number + 1] * 3
            assert many == [value] * 3 and one == value and pair == [b"%d" % number] * 2
