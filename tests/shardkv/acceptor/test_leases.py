"""Leased requests as they lie in the rings, whom they wake, and what comes of one whose participant hangs."""
from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from shardkv.acceptor._testing import Leasing
from shardkv.hashing import key_shard
from shardkv.ring import RingPair
from shardkv.stats import ControlPage
from tests.harness import Server, wait_until
from tests.hashing import hashing_with
from tests.wire import Wire

WORKERS, CAPACITY = 3, 4096
COMMAND, MARKER, LEASED = 1, 3, 4


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for worker in range(WORKERS):
        RingPair.create(str(tmp_path / f"ring-0-{worker}"), CAPACITY)
    ControlPage.create(str(tmp_path / "control"), 1, WORKERS)
    return tmp_path


def test_the_lowest_shard_has_the_request_and_the_others_know_where(folder: Path) -> None:
    leasing = Leasing(str(folder), WORKERS)
    assert leasing.send([2, 1], 9, attempts=5) and leasing.send([0, 2], 0) and leasing.send([1], 1)
    leasing.publish()
    (own,), (first, alone), (before, behind) = (leasing.records(worker) for worker in range(WORKERS))
    assert (first["kind"], first["flags"], first["bytes"], first["part"]) == (COMMAND, LEASED, 13, 5)
    assert first["participants"] == [(2, before["begin"])]
    assert (before["kind"], before["marker"]) == (MARKER, (1, first["end"]))
    assert own["participants"] == [(2, behind["begin"])] and behind["marker"] == (0, own["end"])
    assert (alone["flags"], alone["participants"]) == (0, [])
    assert {record["sequence"] for record in (own, first, alone, before, behind)} == {3}


def test_death_at_every_store_publishes_the_request_and_its_markers_or_nothing(folder: Path) -> None:
    outcomes, death, before = set[int](), 0, [0] * WORKERS
    while True:
        death += 1
        pid = os.fork()
        if pid == 0:
            leasing = Leasing(str(folder), WORKERS)
            leasing.send([0, 1, 2], 5)
            leasing.publish(death)
            os._exit(0)
        status = os.waitpid(pid, 0)[1]
        leasing = Leasing(str(folder), WORKERS)
        records = [leasing.records(worker) for worker in range(WORKERS)]
        counts = {len(found) - past for found, past in zip(records, before, strict=True)}
        assert len(counts) == 1, f"death {death}"
        outcomes |= counts
        before = [len(found) for found in records]
        if counts == {1}:
            markers = [(worker, records[worker][-1]["begin"]) for worker in (1, 2)]
            assert records[0][-1]["participants"] == markers
        if os.WIFEXITED(status):
            break
        assert os.WTERMSIG(status) == signal.SIGKILL
    assert outcomes == {0, 1} and death > 2 * WORKERS


def woken(wake_fds: list[int]) -> list[int]:
    found = []
    for worker, fd in enumerate(wake_fds):
        try:
            os.eventfd_read(fd)
            found.append(worker)
        except BlockingIOError:
            pass
    return found


def test_markers_wake_nobody_until_they_take_half_a_ring(folder: Path) -> None:
    wake_fds = [os.eventfd(0, os.EFD_NONBLOCK) for _ in range(WORKERS)]
    leasing = Leasing(str(folder), WORKERS, wake_fds)
    woken(wake_fds)
    sent = 0
    while True:
        assert leasing.send([0, 1], 8)
        leasing.publish()
        sent += 1
        leasing.release(0, leasing.records(0)[-1]["end"])
        assert not leasing.awaiting(), "a marker that lies there is nothing that we wait for"
        if (found := woken(wake_fds)) != [0]:
            break
    assert found == [0, 1] and CAPACITY // 2 < sent * 64 <= CAPACITY // 2 + 64
    assert leasing.send([1], 1)
    leasing.publish()
    assert woken(wake_fds) == [1] and leasing.awaiting()


def test_a_full_ring_of_any_participant_holds_the_request_back(folder: Path) -> None:
    leasing = Leasing(str(folder), WORKERS)
    assert leasing.send([2], 3900)
    assert leasing.send([0, 1, 2], 8)
    leasing.publish()
    while leasing.send([2], 8):
        pass
    assert not leasing.send([0, 1, 2], 8)
    assert leasing.send([0, 1], 8)
    leasing.publish()
    assert [len(leasing.records(worker)) for worker in (0, 1)] == [2, 2], "nothing of the one that did not go"


# -- a server


def one_key_each(server: Server) -> list[str]:
    """A key of each shard."""
    secret = bytes.fromhex(json.loads((server.data_folder / "instance.json").read_text())["secret"])
    with hashing_with(secret):
        shards = {key_shard(b"key:%d" % number, WORKERS): f"key:{number}" for number in range(100)}
    return [shards[shard] for shard in range(WORKERS)]


def test_a_participant_that_is_stopped_holds_up_nobody_else(make_server: Callable[..., Server]) -> None:
    server = make_server(workers=WORKERS)
    names = one_key_each(server)
    stopped = server.worker_pids()[2]
    with Wire(server.port) as wire, Wire(server.port) as other, Wire(server.port) as third:
        number = wire.ask("CLIENT", "ID")
        os.kill(stopped, signal.SIGSTOP)
        try:
            third.send("SETNX", names[2], "1")  # so that it has not arrived
            wait_until(lambda: "cmd=setnx" in other.ask("CLIENT", "LIST").decode(), "the request to be sent")
            for words in (["MULTI"], ["INCR", names[0]], ["INCR", names[2]]):
                wire.ask(*words)
            wire.send("EXEC")
            wire.send("GET", names[0])
            refused = "leased_requests_sent_again:0\r\n"
            wait_until(lambda: refused not in other.ask("INFO", "stats").decode(), "the request to be refused")
            for _ in range(200):
                assert other.ask("INCR", names[1]) and other.ask("GET", names[0]) is None
            assert other.ask("MGET", names[0], names[1]) == [None, b"200"]
            assert f"id={number} " in other.ask("CLIENT", "LIST").decode()
            before = other.ask("INFO", "stats").decode()
            time.sleep(0.5)
            assert again_of(other.ask("INFO", "stats").decode()) - again_of(before) <= 2, "it does not spin"
        finally:
            os.kill(stopped, signal.SIGCONT)
        assert wire.receive() == [1, 2] and wire.receive() == b"1" and third.receive() == 1


def again_of(info: str) -> int:
    return int(info.split("leased_requests_sent_again:")[1].split("\r\n")[0])


def test_a_long_request_over_several_shards(make_server: Callable[..., Server]) -> None:
    server = make_server(workers=WORKERS)
    names = one_key_each(server)
    value = b"v" * 3_000_000
    with Wire(server.port) as wire:
        assert wire.ask("MSET", *(word for name in names for word in (name, value))) == "+OK"
        assert wire.ask("MGET", *names) == [value] * 3
        wire.ask("MULTI")
        for words in (["SET", names[0], value], ["ECHO", "x"], ["APPEND", names[1], value], ["GET", names[1]]):
            wire.ask(*words)
        assert wire.ask("EXEC") == ["+OK", b"x", 2 * len(value), 2 * value]
        assert wire.ask("WATCH", *names) == "+OK"
        wire.ask("MULTI")
        wire.ask("SET", names[0], value)
        assert wire.ask("EXEC") == ["+OK"]
    wait_until(lambda: not list(server.data_folder.glob("seg-*")), "the segments to be removed")


def test_full_rings_let_leased_requests_wait(make_server: Callable[..., Server]) -> None:
    server = make_server(workers=WORKERS)
    names = one_key_each(server)
    with Wire(server.port) as wire, Wire(server.port) as other, Wire(server.port) as sleeper:
        sleeper.send("DEBUG", "SLEEP", "0.5")
        clients = [Wire(server.port) for _ in range(20)]
        for client in clients:
            for _ in range(20):
                client.send("SET", names[1], "x" * 100_000)
        wire.send("MULTI")
        for name in names:
            wire.send("SET", name, "mine")
        wire.send("EXEC")
        other.send("MSET", *(word for name in names for word in (name, "other")))
        assert [wire.receive() for _ in range(4)] == ["+OK", *["+QUEUED"] * 3]
        assert wire.receive() == ["+OK"] * 3 and other.receive() == "+OK"
        for client in clients:
            assert [client.receive() for _ in range(20)] == ["+OK"] * 20
            client.__exit__()
        assert wire.ask("PING") == "+PONG"


def test_a_killed_acceptor_leaves_all_of_a_transaction_or_nothing(make_server: Callable[..., Server]) -> None:
    server = make_server(workers=WORKERS)
    names = one_key_each(server)
    for _ in range(12):
        with Wire(server.port) as wire:
            for _ in range(30):
                wire.send("MULTI")
                for name in names:
                    wire.send("INCR", name)
                wire.send("EXEC")
            server.kill_acceptor(0)
        server.acceptor_pids()
        with Wire(server.port) as wire:
            values = wire.ask("MGET", *names)
            assert len(set(values)) == 1, values
