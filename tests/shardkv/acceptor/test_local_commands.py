"""Commands the acceptor answers itself, through sockets: how clients start, and what reaches other processes."""
from __future__ import annotations

import subprocess
import time
from collections.abc import Callable

import pytest
import redis

from shardkv import REDIS_VERSION
from shardkv.commands import table
from tests.harness import Server, wait_until


def exchange(server: Server, *lines: str) -> bytes:
    """Sends lines in one piece, then QUIT, and answers all that comes back."""
    with server.connect() as sock:
        sock.sendall("".join(f"{line}\r\n" for line in (*lines, "QUIT")).encode())
        received = b""
        while data := sock.recv(1 << 16):
            received += data
    assert received.endswith(b"+OK\r\n")
    return received[:-5]


def test_what_a_client_library_sends_first(server: Server) -> None:
    with redis.Redis(port=server.port, client_name="me", protocol=3) as client:
        info = client.client_info()
        assert (info["name"], info["lib-name"], info["resp"]) == ("me", "redis-py", "3")
        with pytest.raises(redis.ResponseError, match="unknown subcommand 'maint_notifications'. Try CLIENT HELP."):
            client.execute_command("CLIENT", "maint_notifications", "on")
        assert client.client_getname() == b"me"


def test_both_protocols_say_the_same(client: redis.Redis, client3: redis.Redis) -> None:
    assert client.config_get("max*") == client3.config_get("max*")
    assert set(client.info("everything")) == set(client3.info("everything"))
    assert client.command_count() == len(client3.execute_command("COMMAND DOCS"))
    assert client.info("server")["redis_version"] == REDIS_VERSION


def test_redis_cli(server: Server) -> None:
    def run(*words: str) -> str:
        done = subprocess.run(["redis-cli", "-p", str(server.port), *words], capture_output=True, text=True, check=True)
        return done.stdout

    try:
        assert run("-3", "ping") == "PONG\n"
    except FileNotFoundError:
        pytest.skip("no redis-cli on this machine")
    assert "version" in run("hello", "3")
    assert "shard0:pid=" in run("info", "shards")


def test_errors_of_containers(server: Server) -> None:
    assert exchange(server, "client", "client id x", "config foo") == (
        b"-ERR wrong number of arguments for 'client' command\r\n"
        b"-ERR wrong number of arguments for 'client|id' command\r\n"
        b"-ERR unknown subcommand 'foo'. Try CONFIG HELP.\r\n"
    )


def test_replies_stay_in_order_behind_questions(server: Server) -> None:
    lines = [
        "SET local:k 1",
        "CONFIG SET timeout 0",
        "GET local:k",
        "DEBUG SLEEP 0.01",
        "INCR local:k",
        "CLIENT KILL ID 0",
        "PING",
    ]
    refused = b"-ERR client-id should be greater than 0\r\n"
    assert exchange(server, *lines) == b"+OK\r\n+OK\r\n$1\r\n1\r\n+OK\r\n:2\r\n" + refused + b"+PONG\r\n"


def test_muted_replies(server: Server) -> None:
    assert (
        exchange(server, "CLIENT REPLY OFF", "SET q 1", "CLIENT LIST", "CLIENT REPLY ON", "GET q")
        == b"+OK\r\n$1\r\n1\r\n"
    )
    assert exchange(server, "CLIENT REPLY SKIP", "CLIENT LIST", "GET q") == b"$1\r\n1\r\n"
    assert exchange(server, "CLIENT REPLY SKIP", "GET q", "GET q") == b"$1\r\n1\r\n"
    assert exchange(server, "CLIENT REPLY OFF", "RESET", "PING") == b"+RESET\r\n+PONG\r\n"


def test_own_line_is_written_while_the_request_is_there(server: Server) -> None:
    listed = exchange(server, "CLIENT LIST")
    assert b" qbuf=13 " in listed or b" qbuf=19 " in listed  # with or without the QUIT behind it
    assert b" cmd=client|list " in listed


def test_statistics_are_real(client: redis.Redis, server: Server) -> None:
    client.config_resetstat()
    client.mset({f"k{number}": number for number in range(20)})
    assert client.get("k1") and client.get("nothing") is None
    with pytest.raises(redis.ResponseError):
        client.execute_command("nonsense")
    info = client.info("everything")
    assert (info["keyspace_hits"], info["keyspace_misses"]) == (1, 1)
    assert info["cmdstat_get"]["calls"] == 2
    assert info["errorstat_ERR"]["count"] == info["total_error_replies"] == 1
    wait_until(lambda: client.info("keyspace").get("db0", {}).get("keys") == 20, "the workers' count of keys")
    shards = client.info("shards")
    assert [shards[f"shard{number}"]["pid"] for number in range(2)] == server.worker_pids()
    assert sum(shard["keys"] for shard in shards.values()) == 20
    assert client.info("server")["process_id"] == server.pid


def test_debug_reaches_the_workers(client: redis.Redis) -> None:
    client.set("a", "1")
    before = client.execute_command("DEBUG", "DIGEST")
    client.set("b", "2")
    assert client.execute_command("DEBUG", "DIGEST") != before
    client.delete("b")
    assert client.execute_command("DEBUG", "DIGEST") == before
    assert client.debug_object("a")["encoding"] == "int"
    started = time.monotonic()
    client.execute_command("DEBUG", "SLEEP", "0.1")
    assert time.monotonic() - started > 0.09


def test_a_crashed_worker_is_not_noticed(client: redis.Redis, server: Server) -> None:
    client.set("a", "1")
    first = server.worker_pids()[0]
    assert client.execute_command("DEBUG", "SEGFAULT") == b"OK"
    assert client.get("a") == b"1"
    wait_until(lambda: server.worker_pids()[0] != first, "the next worker")


def test_several_acceptors_are_one_server(make_server: Callable[..., Server]) -> None:
    server = make_server("--acceptors", "2")
    clients = [server.client(client_name=f"c{number}") for number in range(8)]
    ids = [client.client_id() for client in clients]
    listed = {int(line["id"]): line["name"] for line in clients[0].client_list()}
    assert [listed[number] for number in ids] == [f"c{number}" for number in range(8)]
    clients[3].config_set("timeout", "77")
    wait_until(
        lambda: all(client.config_get("timeout") == {"timeout": "77"} for client in clients),
        "the change in all acceptors",
    )
    clients[0].config_resetstat()
    clients[1].client_pause(60_000, all=False)
    clients[2].client_unpause()
    assert clients[5].set("x", "1")
    assert clients[0].client_kill_filter(_id=str(ids[7])) == 1
    assert clients[0].client_kill_filter(_type="normal") >= 6


def test_config_rewrite_and_password(make_server: Callable[..., Server], tmp_path: object) -> None:
    config = f"{tmp_path}/redis.conf"
    with open(config, "w", encoding="utf-8") as file:
        file.write("# kept\nrequirepass pw\n")
    server = make_server("--workers", "2", config=config)
    client = server.client(password="pw")
    client.config_set("timeout", "55")
    client.config_rewrite()
    with open(config, encoding="utf-8") as file:
        text = file.read()
    assert text.startswith("# kept\nrequirepass pw\n") and "timeout 55\n" in text
    refused = exchange(server, "PING", "AUTH wrong", "GET a").split(b"\r\n")
    assert [line.split(b" ")[0] for line in refused] == [b"-NOAUTH", b"-WRONGPASS", b"-NOAUTH", b""]
    assert exchange(server, "HELLO 3", "AUTH pw", "PING").endswith(b"+OK\r\n+PONG\r\n")


@pytest.mark.parametrize("words", [(), ("NOSAVE",)])
def test_shutdown(make_server: Callable[..., Server], words: tuple[str, ...]) -> None:
    server = make_server()
    server.client().set("a", "1")
    with server.connect() as sock:
        sock.sendall(" ".join(("SHUTDOWN", *words, "\r\n")).encode())
        assert sock.recv(100) == b""
    assert server.process is not None and server.process.wait(20) == 0
    assert (server.data_folder / "arena-0").exists() is not bool(words)


def test_every_local_command_of_the_table_answers(server: Server) -> None:
    helps = [command for command in table.COMMANDS if command.name.endswith("|help")]
    for command in helps:
        assert exchange(server, command.name.replace("|", " ")).startswith(b"*")
