"""Commands that wait, over real sockets: who is served, in which order, and what ends a wait otherwise."""
from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator

import pytest

from tests.harness import Server, wait_until
from tests.wire import Wire, encode

SHAPES = [(1, 1), (3, 1), (1, 3), (3, 3)]  # workers, acceptors
KEYS = [f"key{number}" for number in range(6)]  # of several shards, where there are several


class Crowd:
    """Connections to one server, by number, and its counters."""

    def __init__(self, server: Server) -> None:
        self.server, self.wires = server, {}
        self.main = Wire(server.port)
        assert self.main.ask("flushall") == "+OK"

    def __getitem__(self, number: int) -> Wire:
        if number not in self.wires:
            self.wires[number] = Wire(self.server.port)
        return self.wires[number]

    def info(self, field: str) -> int:
        lines = self.main.ask("info", "clients").decode().splitlines()
        return next(int(line.partition(":")[2]) for line in lines if line.startswith(f"{field}:"))

    def wait_blocked(self, count: int) -> None:
        """Waits until so many clients are blocked."""
        wait_until(lambda: self.info("blocked_clients") == count, f"{count} blocked clients")

    def block(self, number: int, *words: str | int) -> None:
        """Sends what will block, and waits until it does."""
        blocked = self.info("blocked_clients")
        self[number].send(*words)
        self.wait_blocked(blocked + 1)

    def line(self, number: int) -> dict[str, str]:
        """What CLIENT LIST says of a connection."""
        address = "{}:{}".format(*self[number].address)
        lines = [dict(word.split("=", 1) for word in line.split()) for line in self._list()]
        return next(line for line in lines if line["addr"] == address)

    def _list(self) -> list[str]:
        found: bytes = self.main.ask("client", "list")
        return found.decode().splitlines()

    def close(self) -> None:
        for wire in (self.main, *self.wires.values()):
            wire.__exit__()


@pytest.fixture(scope="module", params=SHAPES, ids=lambda shape: f"{shape[0]}w{shape[1]}a")
def shaped(request: pytest.FixtureRequest) -> Iterator[Server]:
    workers, acceptors = request.param
    with Server("--workers", str(workers), "--acceptors", str(acceptors)) as running:
        yield running


@pytest.fixture
def crowd(shaped: Server) -> Iterator[Crowd]:
    found = Crowd(shaped)
    yield found
    found.close()


# What wakes whom


@pytest.mark.parametrize(
    ("waiting", "write", "reply"),
    [
        ("blpop k 0", "rpush k a b", [b"k", b"a"]),
        ("brpop k 0", "rpush k a b", [b"k", b"b"]),
        ("blmpop 0 1 k right count 5", "rpush k a b", [b"k", [b"b", b"a"]]),
        ("bzpopmin k 0", "zadd k 2 b 1 a", [b"k", b"a", b"1"]),
        ("bzpopmax k 0", "zadd k 2 b 1 a", [b"k", b"b", b"2"]),
        ("bzmpop 0 1 k max count 2", "zadd k 2 b 1 a", [b"k", [[b"b", b"2"], [b"a", b"1"]]]),
        ("blmove k {k}2 left right 0", "rpush k a b", b"a"),
        ("brpoplpush k {k}2 0", "rpush k a b", b"b"),
        ("xread block 0 streams k $", "xadd k 5-0 f v", [[b"k", [[b"5-0", [b"f", b"v"]]]]]),
        ("xread count 1 block 0 streams k 0", "xadd k 5-0 f v", [[b"k", [[b"5-0", [b"f", b"v"]]]]]),
        ("blpop k 0", "linsert no before a b", None),
        ("blpop k 0", "rename {k}list k", [b"k", b"a"]),
        ("blpop k 0", "copy {k}list k", [b"k", b"a"]),
        ("blpop k 0", "lmove {k}list k left left", [b"k", b"a"]),
        ("blpop k 0", "sort {k}list alpha store k", [b"k", b"a"]),
        ("bzpopmin k 0", "zunionstore k 1 {k}zset", [b"k", b"m", b"1"]),
        ("bzpopmin k 0", "zrangestore k {k}zset 0 -1", [b"k", b"m", b"1"]),
        ("bzpopmin k 0", "zinterstore k 1 {k}zset", [b"k", b"m", b"1"]),
        ("bzpopmin k 0", "zincrby k 5 m", [b"k", b"m", b"5"]),
        ("bzpopmin k 0", "geoadd k 0 0 m", [b"k", b"m", b"3377699720527872"]),
    ],
)
def test_writes_that_wake(crowd: Crowd, waiting: str, write: str, reply: object) -> None:
    for line in ("rpush {k}list a", "zadd {k}zset 1 m", "geoadd {k}geo 13 38 g"):
        crowd.main.ask(*line.split())
    crowd.block(1, *waiting.split())
    assert not str(crowd.main.ask(*write.split())).startswith("-")
    if reply is None:
        assert crowd.info("blocked_clients") == 1
        crowd.main.ask("rpush", "k", "a")
        reply = [b"k", b"a"]
    assert crowd[1].receive() == reply
    crowd.wait_blocked(0)


def test_other_databases(crowd: Crowd) -> None:
    assert crowd[1].ask("select", 3) == "+OK"
    crowd.block(1, "blpop", "k", 0)
    assert crowd.main.ask("rpush", "k", "zero") == 1
    assert crowd.main.ask("move", "k", 3) == 1
    assert crowd[1].receive() == [b"k", b"zero"]
    crowd.block(1, "blpop", "k", 0)
    assert crowd.main.ask("rpush", "k", "swapped") == 1
    assert crowd.main.ask("swapdb", 0, 3) == "+OK"
    assert crowd[1].receive() == [b"k", b"swapped"]


def test_restore_wakes(crowd: Crowd) -> None:
    crowd.main.ask("rpush", "k", "a")
    dump = crowd.main.ask("dump", "k")
    crowd.main.ask("del", "k")
    crowd.block(1, "blpop", "k", 0)
    assert crowd.main.ask("restore", "k", 0, dump) == "+OK"
    assert crowd[1].receive() == [b"k", b"a"]


def test_groups(crowd: Crowd) -> None:
    assert crowd.main.ask("xgroup", "create", "s", "g", "$", "mkstream") == "+OK"
    for number in (1, 2):
        crowd.block(number, *f"xreadgroup group g c{number} block 0 streams s >".split())
    assert crowd.main.ask("xadd", "s", "1-1", "f", "v") == b"1-1"
    assert crowd[1].receive() == [[b"s", [[b"1-1", [b"f", b"v"]]]]]
    assert crowd.info("blocked_clients") == 1
    assert crowd.info("total_blocking_keys_on_nokey") == 1
    assert crowd.main.ask("xadd", "s", "1-2", "f", "v") == b"1-2"
    assert crowd[2].receive() == [[b"s", [[b"1-2", [b"f", b"v"]]]]]
    assert [line[1] for line in crowd.main.ask("xpending", "s", "g", "-", "+", 9)] == [b"c1", b"c2"]


@pytest.mark.parametrize(
    ("write", "error"),
    [
        ("del s", "-NOGROUP"),
        ("xgroup destroy s g", "-NOGROUP"),
        ("set s x", "-WRONGTYPE"),
        ("rename s {s}t", "-NOGROUP"),
        ("flushall", "-NOGROUP"),
        ("swapdb 0 1", "-NOGROUP"),
        ("pexpire s 30", "-NOGROUP"),
    ],
)
def test_what_a_group_reader_cannot_wait_for(crowd: Crowd, write: str, error: str) -> None:
    crowd.main.ask("xgroup", "create", "s", "g", "$", "mkstream")
    crowd.block(1, *"xreadgroup group g c block 0 streams s >".split())
    crowd.main.ask(*write.split())
    assert crowd[1].receive().startswith(error)
    crowd.wait_blocked(0)


def test_others_go_on_waiting(crowd: Crowd) -> None:
    crowd.block(1, "blpop", "k", 0)
    crowd.block(2, "bzpopmin", "k", 0)
    crowd.block(3, "xread", "block", 0, "streams", "k", "$")
    for line in ("set k v", "del k", "hset k f v", "del k", "sadd k m", "del k"):
        crowd.main.ask(*line.split())
    assert crowd.info("blocked_clients") == 3
    assert crowd.main.ask("zadd", "k", 1, "m") == 1
    assert crowd[2].receive() == [b"k", b"m", b"1"]
    assert crowd.main.ask("xadd", "k", "1-1", "f", "v") == b"1-1"
    assert crowd[3].receive() == [[b"k", [[b"1-1", [b"f", b"v"]]]]]
    crowd.main.ask("del", "k")
    assert crowd.main.ask("rpush", "k", "a") == 1
    assert crowd[1].receive() == [b"k", b"a"]


# In which order


def test_first_come_first_served(crowd: Crowd) -> None:
    for number in range(1, 8):
        crowd.block(number, "blpop", "k", 0)
    assert crowd.main.ask("rpush", "k", *range(1, 5)) == 4
    assert [crowd[number].receive() for number in range(1, 5)] == [[b"k", b"%d" % number] for number in range(1, 5)]
    assert crowd.main.ask("exists", "k") == 0
    assert crowd.info("blocked_clients") == 3
    assert crowd.main.ask("lpush", "k", "a", "b", "c", "d") == 4
    assert [crowd[number].receive() for number in (5, 6, 7)] == [[b"k", b"d"], [b"k", b"c"], [b"k", b"b"]]
    assert crowd.main.ask("lrange", "k", 0, -1) == [b"a"]


def test_chains(crowd: Crowd) -> None:
    crowd.block(1, "blmove", "{k}1", "{k}2", "left", "right", 0)
    crowd.block(2, "brpoplpush", "{k}2", "{k}3", 0)
    crowd.block(3, "blpop", "{k}3", 0)
    assert crowd.main.ask("rpush", "{k}1", "a") == 1
    assert [crowd[number].receive() for number in (1, 2, 3)] == [b"a", b"a", [b"{k}3", b"a"]]
    assert crowd.main.ask("dbsize") == 0


def test_circle(crowd: Crowd) -> None:
    crowd.block(1, "blmove", "{k}1", "{k}2", "left", "right", 0)
    crowd.block(2, "blmove", "{k}2", "{k}1", "left", "right", 0)
    assert crowd.main.ask("rpush", "{k}1", "a") == 1
    assert [crowd[1].receive(), crowd[2].receive()] == [b"a", b"a"]
    assert crowd.main.ask("lrange", "{k}1", 0, -1) == [b"a"]


def test_same_key_twice(crowd: Crowd) -> None:
    crowd.block(1, "blpop", "k", "k", 0)
    crowd.block(2, "blpop", "k", 0)
    assert crowd.info("total_blocking_keys") == 1
    assert crowd.main.ask("rpush", "k", "a", "b") == 2
    assert [crowd[1].receive(), crowd[2].receive()] == [[b"k", b"a"], [b"k", b"b"]]
    assert crowd.info("total_blocking_keys") == 0


def test_wrong_target(crowd: Crowd) -> None:
    crowd.main.ask("set", "{k}2", "string")
    crowd.block(1, "blmove", "{k}1", "{k}2", "left", "right", 0)
    crowd.block(2, "blpop", "{k}1", 0)
    assert crowd.main.ask("rpush", "{k}1", "a") == 1
    assert crowd[1].receive().startswith("-WRONGTYPE")
    assert crowd[2].receive() == [b"{k}1", b"a"]


def test_pipelined_behind_a_wait(crowd: Crowd) -> None:
    requests = [[b"blpop", b"k", b"0"], [b"ping"], [b"rpush", b"other", b"x"], [b"blpop", b"k", b"0"], [b"echo", b"e"]]
    crowd[1].send_raw(b"".join(map(encode, requests)))
    crowd.wait_blocked(1)
    assert crowd.main.ask("exists", "other") == 0
    assert crowd.main.ask("rpush", "k", "a", "b") == 2
    assert [crowd[1].receive() for _ in requests] == [[b"k", b"a"], "+PONG", 1, [b"k", b"b"], b"e"]


# What ends a wait otherwise


@pytest.mark.parametrize("seconds", [0.02, 0.1, 0.25])
@pytest.mark.parametrize("words", ["blpop k", "bzpopmax k", "brpoplpush k {k}2"])
def test_time_outs(crowd: Crowd, words: str, seconds: float) -> None:
    started = time.monotonic()
    crowd[1].send(*words.split(), str(seconds))
    assert crowd[1].receive_line() == b"*-1\r\n"
    taken = time.monotonic() - started
    assert seconds <= taken < seconds + 2  # the machine may be busy
    assert crowd.info("blocked_clients") == crowd.info("clients_in_timeout_table") == 0
    assert crowd.main.ask("rpush", "k", "a") == 1
    assert crowd.main.ask("llen", "k") == 1


def test_many_time_outs_in_their_order(crowd: Crowd) -> None:
    ends = []
    for number, seconds in enumerate((0.3, 0.1, 0.2, 0.15, 0.25), 1):
        crowd[number].send("blpop", f"key{number}", seconds)
    crowd.wait_blocked(5)
    assert crowd.info("clients_in_timeout_table") == 5
    for number in (2, 4, 3, 5, 1):
        assert crowd[number].receive() is None
        ends.append(time.monotonic())
    assert ends == sorted(ends)


def test_unblock(crowd: Crowd) -> None:
    client_id = crowd[1].ask("client", "id")
    assert crowd.main.ask("client", "unblock", client_id) == 0
    crowd.block(1, "blpop", "k", 0)
    line = crowd.line(1)
    assert (line["flags"], line["cmd"]) == ("b", "blpop")
    assert crowd.main.ask("client", "unblock", client_id) == 1
    assert crowd[1].receive() is None
    crowd.block(1, "blpop", "k", 0)
    assert crowd.main.ask("client", "unblock", client_id, "error") == 1
    assert crowd[1].receive() == "-UNBLOCKED client unblocked via CLIENT UNBLOCK"
    assert crowd.line(1)["flags"] == "N"
    assert crowd.main.ask("client", "unblock", client_id, "timeout") == 0
    assert crowd.main.ask("client", "unblock", client_id, "x").startswith("-ERR CLIENT UNBLOCK reason")
    assert crowd.main.ask("rpush", "k", "a") == 1
    assert crowd[1].ask("blpop", "k", 0) == [b"k", b"a"]


@pytest.mark.parametrize("end", ["kill", "close", "half", "reset"])
def test_a_client_that_goes_takes_nothing(crowd: Crowd, end: str) -> None:
    client_id = crowd[1].ask("client", "id")
    crowd.block(1, "blpop", *KEYS[:1], 0)
    crowd.block(2, "blpop", *KEYS[:1], 0)
    if end == "kill":
        assert crowd.main.ask("client", "kill", "id", client_id) == 1
    elif end == "half":
        crowd[1].shut_down(socket.SHUT_WR)
    elif end == "reset":
        crowd[1].abort()
    else:
        crowd[1].__exit__()
    crowd.wait_blocked(1)
    assert crowd.main.ask("rpush", KEYS[0], "a") == 1
    assert crowd[2].receive() == [KEYS[0].encode(), b"a"]


def test_a_request_and_the_end_of_input(crowd: Crowd) -> None:
    crowd.main.ask("rpush", "k", "a")
    crowd[1].send("blpop", "k", 0)
    crowd[1].shut_down(socket.SHUT_WR)
    assert crowd[1].receive() == [b"k", b"a"]
    crowd[2].send("blpop", "k", 0)
    crowd[2].shut_down(socket.SHUT_WR)
    with pytest.raises(EOFError):
        crowd[2].receive()


def test_reply_modes(crowd: Crowd) -> None:
    crowd[1].send("client", "reply", "off")
    crowd.block(1, "blpop", "k", 0)
    assert crowd.main.ask("rpush", "k", "a") == 1
    crowd.wait_blocked(0)
    assert crowd[1].ask("client", "reply", "on") == "+OK"
    assert crowd.main.ask("exists", "k") == 0


def test_resp3(crowd: Crowd) -> None:
    crowd[1].ask("hello", 3)
    crowd[1].send("blpop", "k", "0.02")
    assert crowd[1].receive_line() == b"_\r\n"
    crowd.block(1, "bzpopmin", "k", 0)
    crowd.main.ask("zadd", "k", "1.5", "m")
    assert crowd[1].receive() == [b"k", b"m", (",", "1.5")]
    crowd.block(1, "xread", "block", 0, "streams", "s", "$")
    crowd.main.ask("xadd", "s", "1-1", "f", "v")
    assert crowd[1].receive() == ("%", [(b"s", [[b"1-1", [b"f", b"v"]]])])


def test_wait(crowd: Crowd) -> None:
    assert crowd[1].ask("wait", 0, 0) == 0
    started = time.monotonic()
    assert crowd[1].ask("wait", 1, 50) == 0
    assert 0.05 <= time.monotonic() - started < 2
    client_id = crowd[1].ask("client", "id")
    crowd.block(1, "wait", 1, 0)
    assert crowd.main.ask("client", "unblock", client_id) == 1
    assert crowd[1].receive() == 0
    crowd.block(1, "waitaof", 0, 1, 0)
    assert crowd.main.ask("client", "unblock", client_id) == 1
    assert crowd[1].receive() == [0, 0]
    crowd.block(1, "wait", 2, 0)
    crowd[1].__exit__()
    crowd.wait_blocked(0)


def test_pause(crowd: Crowd) -> None:
    crowd.block(1, "blpop", "k", "0.1")
    crowd.block(2, "blpop", "k", 0)
    assert crowd.main.ask("client", "pause", 10_000, "write") == "+OK"
    assert crowd[1].receive() is None
    crowd[3].send("rpush", "k", "a")
    crowd.wait_blocked(2)
    assert crowd.main.ask("client", "unpause") == "+OK"
    assert (crowd[3].receive(), crowd[2].receive()) == (1, [b"k", b"a"])


# Deaths


def test_waits_survive_their_workers(make_server: Callable[..., Server]) -> None:
    crowd = Crowd(make_server("--workers", "2", "--acceptors", "2"))
    try:
        for number, key in enumerate(KEYS, 1):
            crowd.block(number, "blpop", key, 0)
        for worker in (0, 1):
            crowd.server.kill_worker(worker)
        for number, key in enumerate(KEYS, 1):
            assert crowd.main.ask("rpush", key, number) == 1
            assert crowd[number].receive() == [key.encode(), b"%d" % number]
        crowd.wait_blocked(0)
    finally:
        crowd.close()


def test_an_acceptor_takes_its_waiters_along(make_server: Callable[..., Server]) -> None:
    crowd = Crowd(make_server("--workers", "2", "--acceptors", "2"))
    try:
        for number in range(1, 9):
            crowd.block(number, "blpop", "k", 0)
        crowd.server.kill_acceptor(0)
        crowd.server.kill_acceptor(1)
        for number in range(1, 9):
            with pytest.raises((EOFError, ConnectionError)):
                crowd[number].receive()
        crowd.server.acceptor_pids()
        crowd.main = Wire(crowd.server.port)
        wait_until(lambda: crowd.info("blocked_clients") == 0, "nobody blocked")
        assert crowd.main.ask("rpush", "k", "a") == 1
        assert crowd.main.ask("lrange", "k", 0, -1) == [b"a"]
        wait_until(lambda: crowd.info("total_blocking_keys") == 0, "workers to forget")
    finally:
        crowd.close()


# Keys of several shards


def test_keys_of_several_shards(crowd: Crowd) -> None:
    for number, key in enumerate(KEYS):
        crowd.block(1, "blpop", *KEYS, 0)
        crowd.block(2, "blpop", key, 0)
        assert crowd.main.ask("rpush", key, number, "second") == 2
        assert crowd[1].receive() == [key.encode(), b"%d" % number]
        assert crowd[2].receive() == [key.encode(), b"second"]
    crowd.wait_blocked(0)
    wait_until(lambda: crowd.info("total_blocking_keys") == 0, "workers to forget")
    crowd[1].send("bzmpop", "0.05", len(KEYS), *KEYS, "min")
    assert crowd[1].receive() is None
    wait_until(lambda: crowd.info("total_blocking_keys") == 0, "workers to forget")


def test_streams_of_several_shards(crowd: Crowd) -> None:
    crowd.main.ask("xadd", KEYS[0], "7-7", "f", "old")
    for key in KEYS:
        crowd.block(1, "xread", "block", 0, "streams", *KEYS, *["$"] * len(KEYS))
        entry = crowd.main.ask("xadd", key, "*", "f", "new")
        assert crowd[1].receive() == [[key.encode(), [[entry, [b"f", b"new"]]]]]


def test_moves_between_shards(crowd: Crowd) -> None:
    """A chain through every key; the last element is popped."""
    for number, (source, target) in enumerate(zip(KEYS, KEYS[1:], strict=False), 1):
        crowd.block(number, "blmove", source, target, "left", "right", 0)
    crowd.block(len(KEYS), "blpop", KEYS[-1], 0)
    assert crowd.main.ask("rpush", KEYS[0], "a") == 1
    for number in range(1, len(KEYS)):
        assert crowd[number].receive() == b"a"
    assert crowd[len(KEYS)].receive() == [KEYS[-1].encode(), b"a"]
    assert crowd.main.ask("dbsize") == 0


def test_leased_writes_wake(crowd: Crowd) -> None:
    for target in KEYS[1:]:
        crowd.main.ask("rpush", KEYS[0], "a", "b")
        crowd.block(1, "blpop", target, 0)
        assert crowd.main.ask("rename", KEYS[0], target) == "+OK"
        assert crowd[1].receive() == [target.encode(), b"a"]
        assert crowd.main.ask("lrange", target, 0, -1) == [b"b"]
        crowd.main.ask("del", target)


def test_transactions_wake_when_they_are_over(crowd: Crowd) -> None:
    for number, key in enumerate(KEYS, 1):
        crowd.block(number, "blpop", key, 0)
    assert crowd.main.ask("multi") == "+OK"
    for key in KEYS:
        for words in (("rpush", key, "a"), ("lpop", key), ("rpush", key, "b", "c"), ("llen", key)):
            assert crowd.main.ask(*words) == "+QUEUED"
    assert crowd.main.ask("exec") == [1, b"a", 2, 2] * len(KEYS)
    for number, key in enumerate(KEYS, 1):
        assert crowd[number].receive() == [key.encode(), b"b"]
    assert [crowd.main.ask("lrange", key, 0, -1) for key in KEYS] == [[b"c"]] * len(KEYS)


def test_nothing_waits_in_a_transaction(crowd: Crowd) -> None:
    assert crowd.main.ask("multi") == "+OK"
    lines = (
        "blpop k 0", "brpoplpush k d 0", "blmove k d left left 0", "blmpop 0 1 k left", "bzpopmin k 0",
        "xread block 0 streams k $", "wait 1 0",
    )
    for line in lines:
        assert crowd.main.ask(*line.split()) == "+QUEUED"
    assert crowd.main.ask("exec") == [None] * 6 + [0]


def test_watched_keys_and_blocked_pops(crowd: Crowd) -> None:
    crowd.block(1, "blpop", "k", 0)
    assert crowd[2].ask("watch", "k") == "+OK"
    assert crowd.main.ask("rpush", "k", "a") == 1
    assert crowd[1].receive() == [b"k", b"a"]
    assert crowd[2].ask("multi") == "+OK"
    assert crowd[2].ask("ping") == "+QUEUED"
    assert crowd[2].ask("exec") is None
