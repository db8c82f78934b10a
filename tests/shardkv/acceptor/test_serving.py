"""Connections end to end: order, limits, clients that misbehave; several acceptors, many workers."""
from __future__ import annotations

import resource
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from tests.harness import Server, wait_until
from tests.wire import Wire

INVALID = sorted((Path(__file__).resolve().parents[2] / "resp" / "invalid").glob("*.resp"))


def read_to_end(sock: socket.socket) -> bytes:
    data = b""
    try:
        while piece := sock.recv(65536):
            data += piece
    except ConnectionResetError:
        pass  # closed with bytes of ours unread
    return data


@pytest.mark.parametrize("path", INVALID, ids=lambda path: path.stem)
def test_bad_input_is_answered_and_closed(server: Server, path: Path) -> None:
    error = path.with_suffix(".txt").read_text().strip().encode()
    with server.connect() as sock, Wire(server.port) as other:
        sock.sendall(b"PING\r\nGET nothing\r\n" + path.read_bytes())
        answer = read_to_end(sock)
        assert answer.startswith(b"+PONG\r\n$-1\r\n-ERR Protocol error: ") and error in answer
        assert other.ask("ping") == "+PONG"


def test_requests_byte_by_byte(server: Server) -> None:
    with server.connect() as sock:
        for byte in b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$3\r\nabc\r\n*2\r\n$3\r\nGET\r\n$1\r\na\r\nPING\r\n":
            sock.sendall(bytes([byte]))
        sock.shutdown(socket.SHUT_WR)
        assert read_to_end(sock) == b"+OK\r\n$3\r\nabc\r\n+PONG\r\n"


def test_half_closed_connections_get_all_their_replies(server: Server) -> None:
    with server.connect() as sock:
        sock.sendall(b"SET half 1\r\n" + b"INCR half\r\n" * 5000)
        sock.shutdown(socket.SHUT_WR)
        assert read_to_end(sock) == b"+OK\r\n" + b"".join(b":%d\r\n" % number for number in range(2, 5002))


def test_a_pipeline_sent_before_anything_is_read(client: redis.Redis, server: Server) -> None:
    count = 100_000
    with server.connect() as sock:
        sock.sendall(b"".join(b"SET p:%d %d\r\nGET p:%d\r\n" % (n, n, n) for n in range(count)) + b"PING\r\n")
        sock.shutdown(socket.SHUT_WR)
        replies = (b"+OK\r\n$%d\r\n%d\r\n" % (len(str(number)), number) for number in range(count))
        assert read_to_end(sock) == b"".join(replies) + b"+PONG\r\n"


def test_order_over_many_workers(make_server: Callable[..., Server]) -> None:
    running = make_server("--workers", "5")
    with running.client() as client, client.pipeline(transaction=False) as pipe:
        expected: list[object] = []
        for number in range(3000):
            pipe.set(f"k{number}", number)
            pipe.mget(f"k{number}", f"k{number - 1}", f"k{number + 1}")
            pipe.echo(str(number))
            before = str(number - 1).encode() if number else None
            expected += [True, [str(number).encode(), before, None], str(number).encode()]
        assert pipe.execute() == expected


def test_several_acceptors(make_server: Callable[..., Server]) -> None:
    running = make_server("--acceptors", "3", "--workers", "2")
    wires = [Wire(running.port) for _ in range(24)]
    for number, wire in enumerate(wires):
        assert wire.ask("client", "setname", f"name{number}") == "+OK"
        assert wire.ask("incr", "shared") == number + 1
    names = {line.split(b" name=")[1].split()[0] for line in wires[0].ask("client", "list").splitlines()}
    assert names == {b"name%d" % number for number in range(24)}
    assert wires[5].ask("config", "set", "timeout", "300") == "+OK"
    for wire in wires:
        assert wire.ask("config", "get", "timeout") == [b"timeout", b"300"]
        wire.__exit__()


def test_maxclients(make_server: Callable[..., Server]) -> None:
    running = make_server(maxclients="5")
    with Wire(running.port) as first:
        wait_until(lambda: b"connected_clients:1\r" in first.ask("info", "clients"), "the end of the one that probed")
        more = [Wire(running.port) for _ in range(4)]
        assert [wire.ask("ping") for wire in more] == ["+PONG"] * 4
        with Wire(running.port) as refused:
            assert refused.receive() == "-ERR max number of clients reached"
        more.pop().__exit__()
        wait_until(lambda: b"connected_clients:4" in first.ask("info", "clients"), "one client less")
        with Wire(running.port) as late:
            assert late.ask("ping") == "+PONG"
        for wire in more:
            wire.__exit__()


def test_without_descriptors_connections_wait_and_the_others_are_served(make_server: Callable[..., Server]) -> None:
    running = make_server()
    [acceptor] = running.acceptor_pids()
    limits = resource.prlimit(acceptor, resource.RLIMIT_NOFILE)
    complaint = "cannot accept connections for now: Too many open files"
    with Wire(running.port) as first:
        assert first.ask("ping") == "+PONG"  # it has its descriptor
        highest = max(int(path.name) for path in Path(f"/proc/{acceptor}/fd").iterdir())
        resource.prlimit(acceptor, resource.RLIMIT_NOFILE, (highest + 1, limits[1]))
        late = [Wire(running.port) for _ in range(3)]
        wait_until(lambda: complaint in running.output(), "the complaint")
        assert [first.ask("ping") for _ in range(500)] == ["+PONG"] * 500
        assert running.output().count(complaint) == 1, "a minute has not gone by"
        resource.prlimit(acceptor, resource.RLIMIT_NOFILE, limits)
        for wire in late:
            assert wire.ask("ping") == "+PONG"
            wire.__exit__()


def test_a_client_that_never_reads_is_closed_at_its_limit(make_server: Callable[..., Server]) -> None:
    running = make_server()
    with running.client() as client, running.connect() as sock:
        client.config_set("client-output-buffer-limit", "normal 2mb 0 0")
        client.set("big", b"x" * 100_000)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        with pytest.raises(OSError):
            for _ in range(100_000):
                sock.sendall(b"GET big\r\n" * 20)
        assert client.ping()


def test_query_buffer_limit_and_idle_timeout(make_server: Callable[..., Server]) -> None:
    running = make_server(timeout="1")
    with Wire(running.port) as wire, running.connect() as greedy, running.connect() as idle:
        assert wire.ask("config", "set", "client-query-buffer-limit", "1mb") == "+OK"
        with pytest.raises(OSError):
            greedy.sendall(b"*2\r\n$4\r\nECHO\r\n$100000000\r\n" + b"x" * 50_000_000)
        idle.sendall(b"*1\r\n$4\r\nPI")
        wait_until(lambda: b"connected_clients:1\r" in wire.ask("info", "clients"), "the idle connection's end")
        assert idle.recv(1) == b""


@pytest.mark.parametrize("size", [131_000, 131_072, 140_000, 3_000_000])
def test_values_beyond_a_ring_record(client: redis.Redis, server: Server, size: int) -> None:
    value = bytes(range(256)) * (size // 256)
    assert client.set("large", value) and client.get("large") == value
    assert client.mset({f"large{n}": value for n in range(4)})
    assert client.mget([f"large{n}" for n in range(4)]) == [value] * 4
    with server.connect() as leaving:
        leaving.sendall(b"GET large\r\n" * 50)
    assert client.flushall()
    wait_until(lambda: not list(server.data_folder.glob("seg-*")), "the last segment's end")


def test_the_largest_value(client: redis.Redis, server: Server) -> None:
    size, piece = 512 << 20, bytes(range(256)) * 4096
    with server.connect() as sock, sock.makefile("rb") as stream:
        sock.sendall(b"*3\r\n$3\r\nSET\r\n$4\r\nhuge\r\n$%d\r\n" % size)
        for _ in range(size // len(piece)):
            sock.sendall(piece)
        sock.sendall(b"\r\nAPPEND huge x\r\n*1\r\n$%d\r\n" % (size + 1))
        assert stream.readline() == b"+OK\r\n"
        assert stream.readline().startswith(b"-ERR string exceeds maximum allowed size")
        assert stream.readline() == b"-ERR Protocol error: invalid bulk length\r\n"
    part = 50 << 20
    assert client.getrange("huge", size - part, size - 1) == piece * 50
    assert client.flushall()


def test_idle_connections_cost_little(make_server: Callable[..., Server]) -> None:
    running = make_server()
    with Wire(running.port) as wire:
        idle = [running.connect() for _ in range(300)]
        for sock in idle:
            sock.sendall(b"PING\r\n")
            assert sock.recv(16) == b"+PONG\r\n"

        def idle_memory() -> int:
            lines = wire.ask("client", "list").splitlines()
            return max(int(line.split(b" tot-mem=")[1].split()[0]) for line in lines if b"cmd=ping" in line)

        wait_until(lambda: idle_memory() < 2000, "buffers of idle connections to be given back")
        for sock in idle:
            sock.close()
        wait_until(lambda: b"connected_clients:1\r" in wire.ask("info", "clients"), "the connections' end")


def test_a_killed_worker_is_not_noticed(make_server: Callable[..., Server]) -> None:
    running = make_server("--workers", "2")
    with running.client() as client:
        for round_ in range(3):
            with client.pipeline(transaction=False) as pipe:
                for number in range(2000):
                    pipe.incr(f"c{number % 10}")
                running.kill_worker(round_ % 2)
                answers = pipe.execute()
            assert answers == [round_ * 200 + number // 10 + 1 for number in range(2000)]


@pytest.mark.parametrize(
    ("sent", "answered"),
    [
        (b"client reply skip\r\nclient reply on\r\nping\r\n", b"+OK\r\n+PONG\r\n"),
        (b"client reply skip\r\nget {k}none\r\nping\r\n", b"+PONG\r\n"),
        (b"client reply skip\r\nclient reply skip\r\nclient id\r\necho hi\r\n", b"$2\r\nhi\r\n"),
        (b"client reply off\r\nget {k}none\r\nping\r\nclient reply on\r\nping\r\n", b"+OK\r\n+PONG\r\n"),
    ],
)
def test_client_reply_drops_what_it_is_told_to(server: Server, sent: bytes, answered: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as client:
        client.sendall(sent + b"quit\r\n")
        with client.makefile("rb") as replies:
            assert replies.read() == answered + b"+OK\r\n"
