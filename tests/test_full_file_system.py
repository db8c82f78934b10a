"""Where nothing more fits into the file system of the arenas: reading goes on, byte by byte right, whoever dies."""
from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis

from tests.harness import Server, wait_until
from tests.wire import Wire

SIZE_MB = 96
FULL = "OOM the arena cannot grow: its file system is full"
VALUES = {f"value:{number}": random.Random(number).randbytes(300_000 + 1000 * number) for number in range(6)}
LARGE = random.Random(99).randbytes(5_000_000)
MANY = {f"many:{number}": random.Random(number).randbytes(10_000) for number in range(1000)}
BRIEF = [f"brief:{number}" for number in range(20)]  # have expired, and are still there
ITEMS = [random.Random(number).randbytes(500) for number in range(2000)]


@pytest.fixture
def full(make_server: Callable[..., Server]) -> Iterator[Server]:
    """A server with large values, in a file system of its own that is full."""
    server = make_server("--workers", "2", "--acceptors", "2", start=False)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m", "none", str(server.folder)]
    if subprocess.run(mount, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("no right to mount a file system")
    try:
        server.start()
        with server.client() as client:
            client.mset(VALUES)
            client.mset(MANY)
            client.set("large", LARGE)
            client.rpush("list", *ITEMS)
            client.execute_command("debug", "set-active-expire", "0")
            for key in BRIEF:
                client.set(key, "x" * 1000, px=1)
        wait_until(lambda: not segments(server), "segments to go")
        fill(server.folder)
        yield server
    finally:
        server.close()
        subprocess.run(["umount", str(server.folder)])
        server.folder.rmdir()


def fill(folder: Path) -> None:
    with open(folder / "filler", "wb", buffering=0) as filler:
        try:
            while True:
                filler.write(b"x" * 4096)
        except OSError:
            pass


def segments(server: Server) -> list[Path]:
    return list(server.data_folder.glob("seg-*"))


class Reader(threading.Thread):
    """Reads large values, each of another kind, and compares every byte."""

    def __init__(self, server: Server, number: int) -> None:
        super().__init__()
        self.connection: redis.Redis = server.client(socket_timeout=60)
        self.random = random.Random(number)
        self.failure: BaseException | None = None
        self.rounds = 0
        self.stop = threading.Event()

    def run(self) -> None:
        try:
            while not self.stop.is_set():
                self.random.choice((self.get, self.get_large, self.mget, self.lrange, self.small))()
                self.rounds += 1
        except redis.ConnectionError:
            pass  # its acceptor was killed
        except BaseException as failure:
            self.failure = failure

    def get(self) -> None:
        key = self.random.choice(list(VALUES))
        assert self.connection.get(key) == VALUES[key]

    def get_large(self) -> None:
        assert self.connection.get("large") == LARGE

    def mget(self) -> None:
        assert self.connection.mget(list(MANY)) == list(MANY.values())

    def lrange(self) -> None:
        assert self.connection.lrange("list", 0, -1) == ITEMS

    def small(self) -> None:
        assert self.connection.strlen("large") == len(LARGE)
        assert self.connection.exists("nothing") == 0


def read_while(server: Server, disturb: Callable[[list[Reader]], None]) -> None:
    readers = [Reader(server, number) for number in range(4)]
    for reader in readers:
        reader.start()
    try:
        disturb(readers)
    finally:
        for reader in readers:
            reader.stop.set()
        for reader in readers:
            reader.join()
    assert [reader.failure for reader in readers] == [None] * len(readers)


def wait_for_rounds(readers: list[Reader], more: int) -> None:
    aim = sum(reader.rounds for reader in readers) + more

    def there() -> bool:
        return sum(reader.rounds for reader in readers) >= aim or not any(reader.is_alive() for reader in readers)

    wait_until(there, "progress")


def test_reading_goes_on(full: Server) -> None:
    read_while(full, lambda readers: wait_for_rounds(readers, 60))
    assert not segments(full)


def test_reading_goes_on_when_workers_die(full: Server) -> None:
    dice = random.Random(5)

    def kill(readers: list[Reader]) -> None:
        for _ in range(8):
            wait_for_rounds(readers, dice.randrange(1, 5))
            try:
                os.kill(dice.choice(full.worker_pids()), signal.SIGKILL)
            except ProcessLookupError:
                pass

    read_while(full, kill)
    assert not segments(full)


def test_an_acceptor_dies_in_the_middle_of_a_reply(full: Server) -> None:
    for round_number in range(4):
        with Wire(full.port) as wire:
            wire.send("get", "large")
            full.kill_acceptor(round_number % 2)
        full.acceptor_pids()
        read_while(full, lambda readers: wait_for_rounds(readers, 5))
    assert not segments(full)


def test_what_cannot_be_replied_to_has_not_happened(full: Server) -> None:
    with Wire(full.port) as wire:
        assert wire.ask("getdel", "large") == f"-{FULL}"
        assert wire.ask("set", "value:0", "x", "get") in (f"-{FULL}", VALUES["value:0"])
        assert wire.ask("get", "large") == LARGE
        assert wire.ask("ping") == "+PONG"


def test_a_long_request_gets_an_error_and_the_next_one_is_served(full: Server) -> None:
    with Wire(full.port) as wire:
        replies = wire.ask_all([[b"set", b"new", b"x" * 8_000_000], [b"ping"], [b"get", b"value:1"]])
        assert replies == [f"-{FULL}", "+PONG", VALUES["value:1"]]
        assert wire.ask("exists", "new") == 0
    assert not segments(full)


def test_expired_keys_do_not_keep_a_reply_from_being_sent(full: Server) -> None:
    with Wire(full.port) as wire:
        assert wire.ask("mget", *BRIEF, *MANY) == [None] * len(BRIEF) + list(MANY.values())


def test_what_finds_no_room_in_one_shard_changes_none(full: Server) -> None:
    with full.client() as client:
        small = [f"small:{number}" for number in range(40)]     # in all shards, where there is room for them
        large = dict.fromkeys((f"more:{number}" for number in range(4)), "x" * 20000)
        for number, key in enumerate(VALUES):                    # room for these
            if number < 3:
                client.delete(key)
        client.mset(dict.fromkeys(small, "0"))
        with client.pipeline(transaction=False) as pipeline:    # what the arenas have to spare
            for number in range(400):
                pipeline.set(f"spare:{number}", "x" * 20_000)
            assert pipeline.execute(raise_on_error=False).count(True) < 300
        with pytest.raises(redis.OutOfMemoryError, match=FULL[4:]):
            client.mset({**dict.fromkeys(small, "1"), **large})
        assert client.mget(small) == [b"0"] * len(small) and client.exists(*large) == 0
        with pytest.raises(redis.OutOfMemoryError, match=FULL[4:]):
            client.copy("large", "copied:0", replace=True)
        with client.pipeline() as pipeline:
            for key in small:
                pipeline.set(key, "2")
            for number in range(4):
                pipeline.copy("large", f"copied:{number}")
            replies = pipeline.execute(raise_on_error=False)    # as in Redis, a command that fails leaves the others
        assert replies[: len(small)] == [True] * len(small)
        assert {str(reply) for reply in replies[len(small) :]} == {FULL[4:]}
        assert client.mget(small) == [b"2"] * len(small)
        assert client.exists(*large, *(f"copied:{number}" for number in range(4))) == 0
        assert client.delete(*small) == len(small)
        assert client.mget(list(MANY)) == list(MANY.values())
