"""The whole server from outside: starts, addresses, deaths of each kind of process, stops; every reply checked."""
from __future__ import annotations

import json
import os
import re
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from tests.harness import PATIENCE, Server, free_port, title_of, wait_gone, wait_until

MakeServer = Callable[..., Server]


def fill(client: redis.Redis, count: int = 200) -> None:
    client.mset({f"key:{number}": f"value:{number}" for number in range(count)})


def assert_filled(client: redis.Redis, count: int = 200) -> None:
    found = client.mget([f"key:{number}" for number in range(count)])
    assert found == [f"value:{number}".encode() for number in range(count)]


def test_titles_and_restart_counts(make_server: MakeServer) -> None:
    server = make_server("--workers", "3", "--acceptors", "2")
    assert title_of(server.pid) == "shardkv: supervisor"
    assert len(server.worker_pids()) == 3 and len(server.acceptor_pids()) == 2
    client = server.client()
    dead = server.kill_worker(1)
    assert client.mset({f"k{number}": number for number in range(20)})
    # What needs several shards need not wait for a dead worker: another one executes it.
    wait_until(lambda: client.info("shards")["shard1"]["pid"] != dead, "the successor")
    shards = client.info("shards")
    assert [shards[f"shard{index}"]["restarts"] for index in range(3)] == [0, 1, 0]


def described(server: Server) -> tuple[str, int]:
    """Secret and generation of a server's data."""
    found = json.loads((server.data_folder / "instance.json").read_text())
    return found["secret"], found["generation"]


def test_each_instance_has_a_secret_and_keeps_it(make_server: MakeServer) -> None:
    one, other = make_server(), make_server()
    fill(one.client())
    secret, generation = described(one)
    assert described(other)[0] != secret
    one.kill_worker(0)
    assert_filled(one.client())
    assert_filled(one.restart().client())
    assert described(one) == (secret, generation + 1)
    for server in (one, other):
        server.stop()
    os.replace(one.data_folder / "arena-0", other.data_folder / "arena-0")
    other.spawn()
    assert other.process is not None and other.process.wait(PATIENCE) != 0
    assert "arena-0 is of another instance" in other.output()


def test_a_worker_that_hangs_shows(make_server: MakeServer) -> None:
    server = make_server("--workers", "2")
    client = server.client()
    assert [client.info("shards")[f"shard{index}"]["busy_ms"] for index in range(2)] == [0, 0]
    stopped = server.worker_pids()[1]
    os.kill(stopped, signal.SIGSTOP)
    try:
        line = f"worker 1 (pid {stopped}) has been at one thing for more than a second"
        wait_until(lambda: line in server.output(), "the warning")
        assert client.info("shards")["shard1"]["busy_ms"] >= 1000
        assert client.info("shards")["shard0"]["busy_ms"] == 0
    finally:
        os.kill(stopped, signal.SIGCONT)
    wait_until(lambda: "worker 1 goes on after" in server.output(), "the end of it")
    wait_until(lambda: client.info("shards")["shard1"]["busy_ms"] == 0, "a worker that turns")


def test_a_worker_has_the_newest_settings(make_server: MakeServer) -> None:
    server = make_server("--workers", "1", "--acceptors", "2")
    client = server.client()
    for limit, encoding in ((1, b"hashtable"), (128, b"listpack")):
        assert client.config_set("hash-max-listpack-entries", limit)
        for _ in range(2):
            client.delete("h")
            client.hset("h", mapping={"a": 1, "b": 2})
            assert client.object("encoding", "h") == encoding
            server.kill_worker(0)


@pytest.mark.parametrize("workers", ["1", "5"])
def test_killed_workers_are_not_noticed(make_server: MakeServer, workers: str) -> None:
    server = make_server("--workers", workers)
    client = server.client(retry=None)
    fill(client)
    for round_number in range(1, 6):
        server.kill_worker(round_number % int(workers))
        assert [client.incr(f"counter:{number}") for number in range(20)] == [round_number] * 20
    assert_filled(client)


def test_killed_acceptor_drops_its_connections_and_nothing_else(make_server: MakeServer) -> None:
    server = make_server()
    fill(server.client())
    with server.connect() as dropped:
        dropped.sendall(b"PING\r\n")
        assert dropped.recv(16) == b"+PONG\r\n"
        server.kill_acceptor(0)
        assert dropped.recv(16) == b""
    assert_filled(server.client())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_data_outlives_the_supervisor(make_server: MakeServer, number: int) -> None:
    server = make_server("--workers", "3")
    fill(server.client())
    server.client().set("short", "lived", px=1)
    server.restart(number)
    assert_filled(server.client())
    assert server.client().get("short") is None
    assert server.client().incr("counter") == 1


def test_automatic_worker_count_is_that_of_the_data(make_server: MakeServer) -> None:
    server = make_server("--workers", "3")
    fill(server.client())
    server.stop()
    at = server.command.index("--workers")
    server.command[at + 1] = "auto"
    server.start()
    assert len(server.worker_pids()) == 3
    assert_filled(server.client())
    server.stop()
    server.command[at + 1] = "2"
    assert server.spawn().wait(PATIENCE) == 1
    assert "was made with 3 workers; start with --workers 3, or remove" in server.output()


def test_databases_with_keys_cannot_be_given_up(make_server: MakeServer) -> None:
    server = make_server("--databases", "16")
    with server.client(db=10) as client:
        client.set("kept", "yes")
    server.stop()
    at = server.command.index("--databases") + 1
    server.command[at] = "4"
    assert server.spawn().wait(PATIENCE) == 3
    assert "cannot start: database 10 holds keys, so 'databases' cannot be 4" in server.output()
    server.command[at] = "11"
    server.start()
    assert server.client(db=10).get("kept") == b"yes"


def test_shutdown_keeps_the_data_and_nosave_removes_it(make_server: MakeServer) -> None:
    server = make_server()
    fill(server.client())
    for arguments, stays in (([], True), (["NOSAVE"], False)):
        with pytest.raises(redis.ConnectionError):
            server.client(retry=None).execute_command("SHUTDOWN", *arguments)
        assert server.process is not None and server.process.wait(PATIENCE) == 0
        assert server.data_folder.exists() is stays
        server.start()
        assert (server.client().dbsize() > 0) is stays


def test_stop_leaves_the_data_and_the_room_for_the_next_start(make_server: MakeServer, tmp_path: Path) -> None:
    pidfile, path = tmp_path / "pid", tmp_path / "sock"
    server = make_server(pidfile=pidfile, unixsocket=path)
    assert int(pidfile.read_text()) == server.pid
    assert server.stop() == 0
    assert not pidfile.exists() and not path.exists()
    assert sorted(entry.name for entry in server.data_folder.iterdir()) == [
        "arena-0", "arena-1", "claims-0", "control", "instance.json", "lock", "ring-0-0", "ring-0-1"
    ]


def test_a_running_command_is_finished_before_the_stop(make_server: MakeServer) -> None:
    server = make_server()
    with server.connect() as client:
        client.sendall(b"SET key value\r\n" * 1000)
        assert client.recv(5, socket.MSG_WAITALL) == b"+OK\r\n"
        assert server.process is not None
        server.process.send_signal(signal.SIGTERM)
        received = b"+OK\r\n"
        try:
            while data := client.recv(1 << 16):
                received += data
        except ConnectionResetError:
            pass
    assert set(received.split(b"\r\n")) == {b"+OK", b""}
    assert server.process.wait(PATIENCE) == 0


def test_unix_socket_with_permissions(make_server: MakeServer, tmp_path: Path) -> None:
    path = tmp_path / "sock"
    server = make_server(unixsocket=path, unixsocketperm="700", acceptors="2")
    assert path.stat().st_mode & 0o777 == 0o700
    with redis.Redis(unix_socket_path=str(path), protocol=2) as client:
        assert client.set("key", "value")
    server.stop(signal.SIGKILL)
    assert path.exists()
    server.start()
    with redis.Redis(unix_socket_path=str(path), protocol=2) as client:
        assert client.get("key") == b"value"


def test_server_without_a_port(make_server: MakeServer, tmp_path: Path) -> None:
    path = tmp_path / "sock"
    server = make_server(unixsocket=path, port=0, start=False)
    server.spawn()

    def pongs() -> bool:
        with redis.Redis(unix_socket_path=str(path), protocol=2, retry=None) as client:
            try:
                return bool(client.ping())
            except redis.ConnectionError:
                return False

    wait_until(pongs, "an answer through the Unix socket")
    assert server.stop() == 0


def test_several_addresses(make_server: MakeServer) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 on this machine")
    server = make_server("--bind", "127.0.0.1", "::1", "-192.0.2.7", "--acceptors", "2")
    for host in ("127.0.0.1", "::1"):
        assert server.client(host=host).ping()


def test_configuration_file_and_rewrite(make_server: MakeServer, tmp_path: Path) -> None:
    config = tmp_path / "redis.conf"
    config.write_text("# my server\nworkers 2\nmaxmemory 1gb\n\ntimeout 0\n")
    server = make_server(config=str(config), acceptors="2")
    client = server.client()
    assert client.config_get("maxmemory") == {"maxmemory": str(1 << 30)}
    assert client.config_set("maxmemory", "2gb") and client.config_rewrite()
    assert config.read_text().startswith("# my server\nworkers 2\nmaxmemory 2gb\n\ntimeout 0\n")
    server.restart()
    assert server.client().config_get("maxmemory") == {"maxmemory": str(2 << 30)}


def test_config_set_holds_for_all_acceptors_and_outlives_them(make_server: MakeServer) -> None:
    server = make_server(acceptors="3")
    assert server.client().config_set("timeout", "77")
    for _ in range(10):
        assert server.client().config_get("timeout") == {"timeout": "77"}
    for index in range(3):
        dead = server.kill_acceptor(index)
        wait_gone(dead)
    assert server.client().config_get("timeout") == {"timeout": "77"}


def test_descriptor_limit_lowers_maxclients(make_server: MakeServer) -> None:
    server = make_server(start=False)
    server.command[:0] = ["prlimit", "--nofile=200:200"]
    try:
        server.start()
    except FileNotFoundError:
        pytest.skip("no prlimit on this machine")
    maxclients = int(server.client().config_get("maxclients")["maxclients"])
    assert 100 < maxclients < 200
    assert f"maxclients lowered from 10000 to {maxclients}" in server.output()


def test_log_lines_and_levels(make_server: MakeServer, tmp_path: Path) -> None:
    log = tmp_path / "log"
    server = make_server(logfile=log)
    wait_until(lambda: "Ready to accept" in log.read_text(), "the banner")
    assert server.output() == ""
    ready = rf"^{server.pid}:M \d\d \w{{3}} \d{{4}} \d\d:\d\d:\d\d\.\d{{3}} \* Ready to accept connections$"
    assert re.search(ready, log.read_text(), re.MULTILINE)
    server.client().config_set("loglevel", "nothing")
    server.kill_worker(0)
    assert server.client().mset({str(number): number for number in range(10)})
    server.stop()
    assert "replacing" not in log.read_text() and "bye bye" not in log.read_text()


def test_daemon_serves_and_stops(make_server: MakeServer, tmp_path: Path) -> None:
    pidfile = tmp_path / "pid"
    server = make_server(daemonize="yes", pidfile=pidfile, logfile=tmp_path / "log", start=False)
    assert server.spawn().wait(PATIENCE) == 0
    pid = int(pidfile.read_text())
    assert server.client().set("key", "value")
    os.kill(pid, signal.SIGTERM)
    wait_gone(pid)


def test_port_of_another_server_is_left_alone(server: Server, make_server: MakeServer) -> None:
    second = make_server(port=server.port, start=False)
    assert second.spawn().wait(PATIENCE) == 1
    assert f"127.0.0.1:{server.port}: the port is in use" in second.output()
    assert second.output().count("\n") == 1
    third = make_server(port=free_port())
    assert third.client().ping()
