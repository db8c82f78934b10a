"""What a fork carries along, and what it must not: descriptors, signals, random numbers, folders of the user's."""
from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from tests.harness import PATIENCE, Server, wait_until

MakeServer = Callable[..., Server]


def sockets_of(pid: int) -> set[str]:
    """The sockets of a process, by inode."""
    links = {os.readlink(entry) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    return {link for link in links if link.startswith("socket:")}


def test_no_child_has_a_socket_of_another(make_server: MakeServer) -> None:
    server = make_server(workers="2", acceptors="2")
    for _ in range(2):
        pids = server.worker_pids() + server.acceptor_pids()
        for number, pid in enumerate(pids):
            assert not any(sockets_of(pid) & sockets_of(other) for other in pids[number + 1 :])
        # A worker's channel; what else it has are files and event descriptors.
        assert [len(sockets_of(pid)) for pid in server.worker_pids()] == [1, 1]
        assert not any(sockets_of(pid) & sockets_of(server.pid) for pid in server.worker_pids())
        server.kill_worker(0)
        server.kill_acceptor(1)
        assert server.client().mset({str(number): number for number in range(20)})


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_to_a_child_is_not_the_supervisors(make_server: MakeServer, number: int) -> None:
    server = make_server()
    pids = server.worker_pids() + server.acceptor_pids()
    for pid in pids:
        os.kill(pid, number)
    assert server.client().config_set("timeout", "77")  # passes through the supervisor
    assert server.worker_pids() + server.acceptor_pids() == pids
    assert "Received" not in server.output()


def test_successors_roll_other_dice(make_server: MakeServer) -> None:
    server = make_server(workers="1")
    client = server.client()
    client.sadd("set", *range(1000))
    rolled = set()
    for _ in range(4):
        rolled.add(tuple(client.srandmember("set", -20)))
        server.kill_worker(0)
    assert len(rolled) == 4


def test_workers_are_those_beside_us(make_server: MakeServer) -> None:
    server = make_server(start=False)
    for name in ("workers", "shardkv/acceptor"):
        (server.folder / name).mkdir(parents=True)
    (server.folder / "workers/__init__.py").write_text("raise SystemExit('the wrong package')")
    assert server.start().client().set("key", "value")


def test_fork_that_fails_is_tried_again(fake: MakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_FORKS", "1,3,4,6")  # of the first three, and one after a death
    server = fake("--workers", "2")
    assert "cannot be started now: Resource temporarily unavailable" in server.output()
    pids = server.worker_pids() + server.acceptor_pids()
    dead = server.kill_worker(1)
    wait_until(lambda: dead not in server.worker_pids(), "a new worker")
    assert server.worker_pids()[0] in pids and server.acceptor_pids()[0] in pids


def test_forks_that_fail_are_no_crashes(fake: MakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_FORKS", "3,4,5,6")     # of the worker, after it died
    server = fake("--workers", "1")
    for number in (signal.SIGKILL, signal.SIGABRT):
        dead = server.kill_worker(0, number)
        wait_until(lambda dead=dead: dead not in server.worker_pids(), "a new worker")
    assert server.output().count("cannot be started now") == 4
    assert "again and again" not in server.output()


def test_what_nobody_expected_is_logged(fake: MakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_WORKER", "raise")
    server = fake(start=False)
    log = server.folder / "log"
    server.command += ["--logfile", str(log)]
    assert server.spawn().wait(PATIENCE) == 4
    text = log.read_text()
    assert ":W " in text and "RuntimeError: what nobody expected" in text
    assert "ended with status 70 again and again at its start" in text


def test_ping_is_refused_until_every_shard_is_served(
    fake: MakeServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    flag = tmp_path / "flag"
    flag.touch()
    monkeypatch.setenv("FAKE_ONLY", "worker")
    monkeypatch.setenv("FAKE_WORKER", "late")
    monkeypatch.setenv("FAKE_FLAG", str(flag))
    server = fake(start=False)
    server.spawn()

    def pong() -> str:
        try:
            with redis.Redis(port=server.port, protocol=2, retry=None) as client:
                return str(client.ping())
        except redis.BusyLoadingError as error:
            return str(error)
        except redis.ConnectionError:
            return ""

    assert wait_until(pong, "an answer") == "Redis is loading the dataset in memory"
    with server.client() as client:
        for words in ("SET key value", "DBSIZE", "MGET a b c"):
            with pytest.raises(redis.BusyLoadingError, match="^Redis is loading the dataset in memory$"):
                client.execute_command(words)
        assert client.client_id() and client.info("persistence")["loading"] == 1
        assert client.execute_command("ECHO", "hello") == b"hello"
        flag.unlink()
        wait_until(lambda: pong() == "True", "PONG")
        assert client.info("persistence")["loading"] == 0
        # A shard that is without its worker later on does not show.
        flag.touch()
        server.kill_worker(0)
        assert client.ping() and pong() == "True"
        flag.unlink()


def test_an_acceptor_that_dies_again_and_again_is_braked_and_stops_nobody(
    fake: MakeServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    flag = tmp_path / "flag"
    monkeypatch.setenv("FAKE_ACCEPTOR", "loop")
    monkeypatch.setenv("FAKE_FLAG", str(flag))
    server = fake("--acceptors", "2")
    others = server.worker_pids() + server.acceptor_pids()[1:]
    flag.touch()
    server.kill_acceptor(0)
    wait_until(lambda: "ended with status 7 again and again: the next one starts in 0.2 sec" in server.output(), "it")
    assert server.output().count("acceptor 0 (pid") >= 6  # the kill and five crashes
    flag.unlink()
    assert wait_until(server.acceptor_pids, "a new acceptor")[1:] + server.worker_pids() == others[2:] + others[:2]
