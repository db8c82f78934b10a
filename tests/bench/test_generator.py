"""The load generator: it counts exactly, sees what is wrong, and ends."""
from __future__ import annotations

import contextlib
import re
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from bench import generator, load, servers

Script = Callable[[socket.socket], None]


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    """`make test` compiles it; whoever runs pytest alone gets it here."""
    subprocess.run(["make", "--silent", "build/generator"], cwd=servers.ROOT, check=True)


@contextlib.contextmanager
def fake(script: Script) -> Iterator[int]:
    """A server that treats each connection by `script`, in a thread; its port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threading.Thread(target=converse, args=(listener.accept()[0],), daemon=True).start()

        def converse(connection: socket.socket) -> None:
            with connection, contextlib.suppress(OSError):
                script(connection)

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)


def replying(reply: bytes, part: int = 1 << 20) -> Script:
    """Answers each PING by `reply`, sent in parts of so many bytes."""

    def script(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := connection.recv(1 << 16):
            replies = reply * data.count(b"PING")
            for first in range(0, len(replies), part):
                connection.sendall(replies[first:first + part])

    return script


def ping(port: int, clients: int = 1, depth: int = 1, requests: int = 10, patience: float = 5) -> generator.Figures:
    return generator.run(port, ("PING",), clients, depth, requests=requests, patience=patience)


REPLIES = {
    b"+PONG\r\n": 0, b":12345\r\n": 0, b"$3\r\nabc\r\n": 0, b"$0\r\n\r\n": 0, b"$-1\r\n": 1, b"*-1\r\n": 1,
    b"*0\r\n": 0, b"$7\r\n-ERR\r\n+\r\n": 0, b"*2\r\n$1\r\n-\r\n:1\r\n": 0, b"*3\r\n:1\r\n*2\r\n$-1\r\n+a\r\n*0\r\n": 1,
    b"*1\r\n*1\r\n*1\r\n*2\r\n:1\r\n$2\r\n\r\n\r\n": 0, b"$700\r\n" + b"x" * 700 + b"\r\n": 0,
}


@pytest.mark.parametrize("part", [1, 2, 3, 7, 1 << 20])
@pytest.mark.parametrize("reply", REPLIES)
def test_replies_are_counted_however_they_arrive(reply: bytes, part: int) -> None:
    with fake(replying(reply, part)) as port:
        figures = ping(port, depth=4, requests=21)
        assert figures.requests == 21
        assert figures.nulls == 21 * REPLIES[reply]


def test_replies_of_changing_size() -> None:
    def script(connection: socket.socket) -> None:
        number = 0
        while data := connection.recv(1 << 16):
            for _ in range(data.count(b"PING")):
                number += 1
                connection.sendall([b":%d\r\n" % number, b"$%d\r\n%b\r\n" % (number, b"-" * number)][number % 2])

    with fake(script) as port:
        assert ping(port, depth=16, requests=500).requests == 500


@pytest.mark.parametrize(("reply", "complaint"), [
    (b"-ERR nonsense\r\n", "error reply: -ERR nonsense"),
    (b"*2\r\n:1\r\n-ERR inside\r\n", "error reply: -ERR inside"),
    (b"+PONG\r\n+PONG\r\n", "more replies than requests"),
    (b"HTTP/1.1 400\r\n", "no RESP"),
    (b"\0\r\n", "no RESP"),
    (b"$abc\r\n", "no RESP"),
    (b"$-7\r\n", "no RESP"),
    (b"+PONG\n", "without CR"),
    (b"+" + b"x" * 5000, "more than"),
])
def test_what_is_wrong_fails(reply: bytes, complaint: str) -> None:
    with fake(replying(reply)) as port, pytest.raises(generator.LoadError, match=re.escape(complaint)):
        ping(port)


def test_an_error_among_many_good_replies_fails() -> None:
    def script(connection: socket.socket) -> None:
        served = 0
        while data := connection.recv(1 << 16):
            count = data.count(b"PING")
            served += count
            good = b"+PONG\r\n" * (count - 1)
            connection.sendall(good + (b"-OOM\r\n" if served >= 160 else b"+PONG\r\n"))

    with fake(script) as port, pytest.raises(generator.LoadError, match="error reply: -OOM"):
        ping(port, depth=16, requests=1000)


def test_a_closed_connection_and_silence_fail() -> None:
    with fake(lambda connection: None) as port, pytest.raises(generator.LoadError, match=r"closed|recv|send"):
        ping(port)
    with fake(lambda connection: connection.recv(1) and time.sleep(30)) as port:
        begun = time.monotonic()
        with pytest.raises(generator.LoadError, match="no reply for 1 s"):
            ping(port, patience=1)
        assert time.monotonic() - begun < 20  # not for ever


def test_nobody_listening_fails() -> None:
    with pytest.raises(generator.LoadError, match="connect to port"):
        ping(servers.free_port())


def test_a_run_of_seconds_ends() -> None:
    with fake(replying(b"+PONG\r\n")) as port:
        figures = generator.run(port, ("PING",), 3, 2, seconds=0.2)
        assert figures.requests > 0
        assert 0.2 <= figures.seconds < 20
        assert 0 < figures.p50_us <= figures.p99_us <= figures.p999_us * 1.02
        assert figures.p50_us <= figures.longest_us * 1.02


def test_batches_larger_than_the_sockets_hold() -> None:
    with servers.running("shardkv", 1) as server, load.client(server) as connection:
        value = "v" * 100_000
        words = ("APPEND", "key:{random}", value)
        assert generator.run(server.port, words, 2, 50, requests=250, keys=5).requests == 250
        assert sum(connection.strlen(f"key:{number:012}") for number in range(5)) == 250 * len(value)


@pytest.mark.parametrize(("clients", "depth", "requests"), [(1, 1, 50), (4, 1, 333), (50, 16, 5003), (3, 1000, 2500)])
def test_a_real_server_gets_exactly_so_many(clients: int, depth: int, requests: int) -> None:
    with servers.running("shardkv", 2) as server, load.client(server) as connection:
        words = ("INCR", "counter:{random}")
        assert generator.run(server.port, words, clients, depth, requests=requests, keys=20).requests == requests
        counters = [connection.get(f"counter:{number:012}") for number in range(20)]
        assert sum(int(counter or 0) for counter in counters) == requests
        assert connection.dbsize() <= 20
        assert requests < 300 or sum(counter is not None for counter in counters) == 20


def test_every_load_runs_and_finds_its_keys() -> None:
    with servers.running("shardkv", 1) as server:
        for name in generator.LOADS:
            assert generator.load(server, name, 2, 4, 0.02, 100).requests > 0


def test_a_missing_key_and_a_wrong_type_are_told() -> None:
    with servers.running("shardkv", 1) as server, load.client(server) as connection:
        assert generator.run(server.port, ("GET", "missing"), 1, 1, requests=7).nulls == 7
        connection.lpush("mylist", "element")
        with pytest.raises(generator.LoadError, match="WRONGTYPE"):
            generator.run(server.port, ("GET", "mylist"), 1, 1, requests=7)


@pytest.mark.parametrize("line", [["-p", "1"], ["-p", "1", "-n", "0", "PING"], ["-p", "1", "PING"], ["-x", "PING"]])
def test_a_wrong_command_line_is_told(line: list[str]) -> None:
    done = subprocess.run([generator.program(), *line], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "generator -p PORT" in done.stderr


def test_a_request_of_several_commands() -> None:
    with fake(replying(b"+PONG\r\n")) as port:
        figures = generator.run(port, ("PING", ";", "PING", "x", ";", "PING"), 2, 3, requests=12, patience=5)
    assert figures.requests == 12
