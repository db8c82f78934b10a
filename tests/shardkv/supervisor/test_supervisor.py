"""The supervisor with stand-ins for its children: starts, replacements, routing, stops."""
from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shardkv.hashing import SECRET_BYTES
from shardkv.identity import read_identity
from shardkv.stats import ControlPage
from tests.harness import Server, children_of, environment, title_of, wait_gone, wait_until

MakeFake = Callable[..., Server]


def ask(server: Server, message: dict[str, Any]) -> dict[str, Any]:
    """Has an acceptor send `message` to the supervisor, and returns what comes back first."""
    with server.connect() as client:
        client.sendall(json.dumps(message).encode() + b"\n")
        answer: dict[str, Any] = json.loads(client.makefile().readline())
        return answer


def test_start_is_quick_and_tells_where_everything_is(fake: MakeFake) -> None:
    began = time.monotonic()
    server = fake("--workers", "3", "--maxmemory", "2gb")
    took = time.monotonic() - began
    output = wait_until(lambda: "Ready to accept" in server.output() and server.output(), "the banner")
    for part in (f"port {server.port}, pid {server.pid}", "acceptors: 1, workers: 3, memory limit: 2gb"):
        assert part in output
    assert str(server.data_folder) in output
    assert took < 5
    assert len(server.worker_pids()) == 3 and len(server.acceptor_pids()) == 1
    assert len(children_of(server.pid)) == 4


def test_assignment_is_complete(fake: MakeFake) -> None:
    server = fake("--workers", "2", "--acceptors", "2", "--requirepass", "secret")
    found = ask(server, {"type": "assignment"})
    assert (found["kind"], found["acceptors"], found["workers"]) == ("acceptor", 2, 2)
    assert (found["epoch"], found["fresh"]) == (1, True)
    assert found["folder"] == str(server.data_folder)
    assert len(found["worker_wake"]) == len(found["acceptor_wake"]) == 2
    assert found["settings"]["requirepass"] == "secret"
    assert len(found["run_id"]) == 40
    assert len(bytes.fromhex(found["secret"])) == SECRET_BYTES
    page = ControlPage.open(str(server.data_folder / "control"))
    assert (page.acceptors, page.workers) == (2, 2)
    assert len(list(server.data_folder.glob("ring-[01]-[01]"))) == len(list(server.data_folder.glob("ring-*"))) == 4


def test_dead_children_are_replaced_at_once_and_counted(fake: MakeFake) -> None:
    server = fake("--workers", "2")
    page = ControlPage.open(str(server.data_folder / "control"))
    for round_number in (1, 2, 3):
        dead = server.kill_worker(1)
        wait_until(lambda dead=dead: dead not in (pids := server.worker_pids()) and len(pids) == 2, "a new worker")
        assert page.worker_counters(1)["restarts"] == round_number
    assert page.worker_counters(0)["restarts"] == 0
    dead = server.kill_acceptor(0)
    wait_until(lambda: server.acceptor_pids() != [dead] and len(server.acceptor_pids()) == 1, "a new acceptor")
    found = ask(server, {"type": "assignment"})
    assert found["epoch"] == 2
    assert page.acceptor_counters(0)["restarts"] == 1


def test_clients_of_a_dead_acceptor_are_not_counted(fake: MakeFake) -> None:
    server = fake("--acceptors", "2")
    page = ControlPage.open(str(server.data_folder / "control"))
    levels = ("connected_clients", "blocked_clients", "client_memory", "watching_clients", "watched_keys")
    for index, name in ((index, name) for index in (0, 1) for name in levels):
        page.set_counter("acceptor", index, name, 7)
    dead = server.kill_acceptor(0)
    wait_until(lambda: dead not in server.acceptor_pids(), "a new acceptor")    # a stand-in, which counts nothing
    assert [page.acceptor_counters(0)[name] for name in levels] == [0] * 5
    assert [page.acceptor_counters(1)[name] for name in levels] == [7] * 5


def test_connections_wait_while_the_acceptor_is_replaced(fake: MakeFake) -> None:
    server = fake()
    server.kill_acceptor(0)
    with server.connect() as client:
        client.sendall(b"PING\r\n")
        assert client.recv(16) == b"+PONG\r\n"


def test_kills_do_not_delay_the_next_process(fake: MakeFake) -> None:
    server = fake("--workers", "1")
    for number in range(300):
        dead = server.kill_worker(0)
        wait_until(lambda dead=dead: server._titled("shardkv: worker ").get(0, dead) != dead, f"worker {number}")
    assert "again and again" not in server.output() and server.output().count("killed by signal 9: replacing") == 300


@pytest.mark.parametrize("kind", ["worker", "acceptor"])
@pytest.mark.parametrize(("death", "told"), [("crash", "ended with status 7"), ("kill", "was killed by signal 9")])
def test_children_that_die_at_their_start_stop_the_server(
    fake: MakeFake, monkeypatch: pytest.MonkeyPatch, kind: str, death: str, told: str
) -> None:
    monkeypatch.setenv(f"FAKE_{kind.upper()}", death)
    server = fake(start=False)
    assert server.spawn().wait(20) == 4
    assert f"{told} again and again at its start: giving up" in server.output()
    if (kind, death) == ("worker", "crash"):    # then there are no data
        assert not server.data_folder.exists()


def test_a_child_that_says_why_it_cannot_start_is_believed(fake: MakeFake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_WORKER", "failed")
    server = fake(start=False)
    assert server.spawn().wait(20) == 3
    assert "cannot start: no such luck" in server.output()


def test_that_arenas_are_there_is_noted_before_clients_are_served(
    fake: MakeFake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    flag = tmp_path / "flag"
    flag.touch()
    monkeypatch.setenv("FAKE_FLAG", str(flag))
    monkeypatch.setenv("FAKE_ACCEPTOR", "late")     # one that is late does not hold up those that serve already
    server = fake(start=False)
    server.spawn()
    description = server.data_folder / "instance.json"
    wait_until(lambda: description.exists() and not read_identity(str(description)).to_make, "the note")
    server.stop(signal.SIGKILL)
    (server.data_folder / "arena-1").unlink()
    assert server.spawn().wait(20) == 1
    assert "arena-1 is missing" in server.output()


def test_a_server_that_cannot_note_its_arenas_serves_nobody(fake: MakeFake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_WORKER", "arenaless")
    server = fake(start=False)
    assert server.spawn().wait(20) == 5
    assert server.output().count("cannot note that all arenas are there: No such file or directory") == 1
    assert "Ready to accept" not in server.output()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_clean_stop(fake: MakeFake, number: int) -> None:
    server = fake()
    (server.data_folder / "arena-0").write_bytes(b"data")
    (server.data_folder / "seg-0001").write_bytes(b"left over")
    assert server.stop(number) == 0  # waits for all children
    names = {path.name for path in server.data_folder.iterdir()}
    assert {"arena-0", "control", "instance.json", "lock", "ring-0-0"} <= names and "seg-0001" not in names


def test_children_that_do_not_stop_are_killed_when_asked_twice(fake: MakeFake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_WORKER", "deaf")
    server = fake("--workers", "1")
    assert server.process is not None
    server.process.send_signal(signal.SIGTERM)
    wait_until(lambda: not server._titled("shardkv: acceptor "), "the acceptor's end")
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(4) == 0


def test_a_second_sigint_is_believed(fake: MakeFake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_WORKER", "deaf")
    server = fake("--workers", "1")
    assert server.process is not None
    server.process.send_signal(signal.SIGINT)
    wait_until(lambda: not server._titled("shardkv: acceptor "), "the acceptor's end")
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(4) == 1
    assert "You insist... exiting now." in server.output()


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT])
def test_signals_that_end_redis_end_everything(fake: MakeFake, number: signal.Signals) -> None:
    server = fake()
    children = children_of(server.pid)
    os.kill(server.pid, number)
    assert server.process is not None and server.process.wait(20) == -number
    for child in children:
        wait_gone(child)
    server.start()


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_closed_standard_streams(fake: MakeFake, tmp_path: Path, closed: tuple[int, ...]) -> None:
    server = fake(start=False)
    redirections = " ".join(f"{descriptor}>&-" for descriptor in closed)
    server.command[:0] = ["sh", "-c", f'exec "$@" {redirections}', "sh"]
    server.start()
    for pid in [server.pid, *children_of(server.pid)]:
        for descriptor in closed:
            assert os.readlink(f"/proc/{pid}/fd/{descriptor}") == "/dev/null"
    assert server.stop() == 0


def test_a_supervised_server_stays_in_the_foreground(
    fake: MakeFake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        server = fake("--supervised", "systemd", "--daemonize", "yes")
        assert server.process is not None and server.process.poll() is None
        assert title_of(server.pid) == "shardkv: supervisor"


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGALRM, signal.SIGPIPE])
def test_signals_that_redis_ignores_are_harmless(fake: MakeFake, number: signal.Signals) -> None:
    server = fake()
    before = server.worker_pids()
    os.kill(server.pid, number)
    assert ask(server, {"type": "ask", "id": 1, "kind": "none-knows", "args": {}})["type"] == "ask"
    assert server.worker_pids() == before


def test_killed_supervisor_takes_its_children_along_and_the_next_start_cleans_up(fake: MakeFake) -> None:
    server = fake()
    (server.data_folder / "seg-0001").write_bytes(b"left over")
    control = (server.data_folder / "control").stat().st_ino
    server.restart(signal.SIGKILL)
    assert (server.data_folder / "control").stat().st_ino == control
    assert not (server.data_folder / "seg-0001").exists()


def test_config_changes_reach_every_acceptor_and_restarts(fake: MakeFake) -> None:
    server = fake("--acceptors", "2")
    clients = [server.connect() for _ in range(12)]  # spread over both acceptors by the kernel
    try:
        owners = {}
        for client in clients:
            client.sendall(b'{"type": "assignment"}\n')
            owners[json.loads(client.recv(1 << 16))["index"]] = client
        assert sorted(owners) == [0, 1]
        owners[0].sendall(b'{"type": "config", "id": 5, "changes": {"maxmemory": "1048576", "timeout": "9"}}\n')
        for index in (0, 1):
            told = json.loads(owners[index].makefile().readline())
            assert told == {"type": "config", "id": 1, "changes": {"maxmemory": "1048576", "timeout": "9"}}
    finally:
        for client in clients:
            client.close()
    assert ControlPage.open(str(server.data_folder / "control")).maxmemory == 1 << 20
    dead = server.kill_acceptor(0)
    wait_until(lambda: dead not in server.acceptor_pids() and len(server.acceptor_pids()) == 2, "a new acceptor")
    for _ in range(12):
        found = ask(server, {"type": "assignment"})
        if found["index"] == 0:
            assert found["settings"]["timeout"] == "9"


def test_questions_gather_the_answers_of_all_acceptors(fake: MakeFake) -> None:
    server = fake("--acceptors", "3")
    with server.connect() as client:
        client.sendall(b'{"type": "ask", "id": 77, "kind": "index", "args": {}}\n')
        lines = client.makefile()
        answer = next(message for message in map(json.loads, lines) if message["type"] == "answer")
    assert answer == {"type": "answer", "id": 77, "values": [0, 1, 2]}


def test_dead_acceptor_is_left_out_of_the_answer(fake: MakeFake) -> None:
    server = fake("--acceptors", "2")
    # Nobody answers this kind: only deaths complete it.
    client = server.connect()
    client.sendall(b'{"type": "assignment"}\n')
    mine = json.loads(client.recv(1 << 16))["index"]
    client.sendall(b'{"type": "ask", "id": 3, "kind": "silence", "args": {}}\n')
    lines = client.makefile()
    number = json.loads(lines.readline())["id"]
    server.kill_acceptor(1 - mine)
    client.sendall(json.dumps({"type": "answer", "id": number, "value": "here"}).encode() + b"\n")
    assert json.loads(lines.readline()) == {"type": "answer", "id": 3, "values": ["here"]}
    client.close()


def test_rewrite(fake: MakeFake, tmp_path: Path) -> None:
    assert "without a config file" in ask(fake(), {"type": "rewrite", "id": 1})["error"]
    config = tmp_path / "redis.conf"
    config.write_text("# mine\nworkers 1\ntimeout 5\n")
    server = fake(config=str(config))
    with server.connect() as client:
        lines = client.makefile()
        client.sendall(b'{"type": "config", "id": 1, "changes": {"timeout": "60"}}\n')
        assert [json.loads(lines.readline())["type"] for _ in range(2)] == ["config", "answer"]
        client.sendall(b'{"type": "rewrite", "id": 2}\n')
        assert json.loads(lines.readline()) == {"type": "answer", "id": 2, "values": []}
    text = config.read_text()
    assert text.startswith("# mine\nworkers 1\ntimeout 60\n# Generated by CONFIG REWRITE\n")
    assert f"port {server.port}\n" in text


@pytest.mark.parametrize("nosave", [False, True])
def test_shutdown_message(fake: MakeFake, nosave: bool) -> None:
    server = fake()
    (server.data_folder / "arena-0").write_bytes(b"data")
    with server.connect() as client:
        client.sendall(json.dumps({"type": "shutdown", "id": 1, "nosave": nosave}).encode() + b"\n")
        assert client.recv(16) == b""
    assert server.process is not None
    assert server.process.wait(20) == 0
    assert server.data_folder.exists() is not nosave


def test_unknown_messages_are_dropped(fake: MakeFake) -> None:
    server = fake()
    with server.connect() as client:
        client.sendall(b'{"type": "nonsense"}\n')
        wait_until(lambda: "unknown message 'nonsense'" in server.output(), "the log line")


def test_service_manager_is_told(fake: MakeFake, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(20)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        server = fake("--supervised", "auto")
        assert b"READY=1" in manager.recv(4096)
        server.stop()
        assert b"STOPPING=1" in manager.recv(4096)


def test_daemonize(fake: MakeFake, tmp_path: Path) -> None:
    pidfile, log = tmp_path / "pid", tmp_path / "log"
    server = fake("--daemonize", "yes", "--pidfile", str(pidfile), "--logfile", str(log), start=False)
    assert server.spawn().wait(20) == 0  # it is ready when the foreground process ends
    pid = int(pidfile.read_text())
    assert os.getsid(pid) != os.getsid(0)
    with server.connect() as client:
        client.sendall(b"PING\r\n")
        assert client.recv(16) == b"+PONG\r\n"
    os.kill(pid, signal.SIGTERM)
    wait_gone(pid)
    assert not pidfile.exists()
    assert f"{pid}:M " in log.read_text() and "bye bye" in log.read_text()


def test_daemon_that_cannot_start_says_so_in_the_foreground(fake: MakeFake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAKE_WORKER", "failed")
    server = fake("--daemonize", "yes", start=False)
    assert server.spawn().wait(20) == 3
    assert "no such luck" in server.output()


def test_two_instances_do_not_share_a_folder(fake: MakeFake) -> None:
    server = fake()
    second = subprocess.run(server.command, capture_output=True, text=True, timeout=20, env=environment())
    assert second.returncode == 1
    assert second.stderr.count("\n") == 1 and f"in use by another shardkv (pid {server.pid})" in second.stderr
    assert ask(server, {"type": "assignment"})["kind"] == "acceptor"
