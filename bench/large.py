"""Large values: how long a SET and a GET of 512 MB take, and the longest PING of another client meanwhile."""
from __future__ import annotations

import multiprocessing
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection

from bench import rivals
from bench.compare import OURS, Options, Rows
from bench.servers import Server

MEGABYTE = 1 << 20
VALUE_BYTES = 512 * MEGABYTE  # the most that a server takes
SECONDS_MOST = 120
PING_PAUSE_SECONDS = 0.001
QUIET_SECONDS = 1.0
KEY = b"large"
ROUNDS_MOST = 3


def measure(options: Options) -> Iterator[Rows]:
    """{"set" or "get": {server: {"seconds": median, "ping_ms": longest meanwhile, "quiet_ms": longest without}}}.

    Seconds are of a transfer that has the machine to itself; a second one is watched.
    """
    for name in (OURS, rivals.DEBIAN):
        taken: dict[str, list[float]] = {"set": [], "get": []}
        waits: dict[str, float] = {"set": 0.0, "get": 0.0}
        with options.server(name) as server:
            ends = time.monotonic() + QUIET_SECONDS
            quiet = longest_ping(server, lambda ends=ends: time.monotonic() < ends)  # type: ignore[misc]
            for _ in range(min(options.rounds, ROUNDS_MOST)):
                for what in taken:
                    taken[what].append(transfer(server.port, what, VALUE_BYTES))
                    waits[what] = max(waits[what], watched(server, what))
                yield {
                    what: {name: {
                        "seconds": statistics.median(seconds), "ping_ms": waits[what] * 1e3, "quiet_ms": quiet * 1e3,
                    }} for what, seconds in taken.items()
                }


def transfer(port: int, what: str, size: int) -> float:
    """Sends or reads the value; seconds. Raises RuntimeError when the reply is another one."""
    with socket.create_connection(("127.0.0.1", port), timeout=SECONDS_MOST) as connection:
        if what == "set":
            part = memoryview(b"v" * MEGABYTE)
            begun = time.perf_counter()
            connection.sendall(b"*3\r\n$3\r\nSET\r\n$%d\r\n%b\r\n$%d\r\n" % (len(KEY), KEY, size))
            for left in range(size, 0, -len(part)):
                connection.sendall(part[:left])
            connection.sendall(b"\r\n")
            check(connection.recv(100), b"+OK\r\n")
        else:
            begun = time.perf_counter()
            connection.sendall(b"*2\r\n$3\r\nGET\r\n$%d\r\n%b\r\n" % (len(KEY), KEY))
            receive(connection, size)
        return time.perf_counter() - begun


def receive(connection: socket.socket, size: int) -> None:
    """Reads a bulk string of this size, and no more."""
    head = b"$%d\r\n" % size
    room = memoryview(bytearray(MEGABYTE))
    wanted, got = len(head) + size + 2, 0
    while got < wanted:
        count = connection.recv_into(room)
        if got == 0:
            check(bytes(room[:len(head)]), head)
        if count == 0:
            raise RuntimeError(f"connection closed after {got} of {wanted} bytes")
        got += count
    check(bytes(room[count - 2:count]) if count > 1 else b"\r\n", b"\r\n")


def check(found: bytes, wanted: bytes) -> None:
    """Raises RuntimeError unless the reply is what it should be."""
    if found != wanted:
        raise RuntimeError(f"a large value was answered by {found[:80]!r}")


def watched(server: Server, what: str, size: int = VALUE_BYTES) -> float:
    """The longest PING (seconds) of another client while a process of its own transfers the value."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=transfer_when_told, args=(server.port, what, size, theirs))
    process.start()
    try:
        if not ours.poll(SECONDS_MOST) or not ours.recv():
            raise RuntimeError("no process for a transfer")
        ours.send(True)
        longest = longest_ping(server, process.is_alive)
        process.join(SECONDS_MOST)
    finally:
        process.kill()
        process.join()
    if process.exitcode:
        raise RuntimeError(f"{what} of a large value failed, status {process.exitcode}")
    return longest


def transfer_when_told(port: int, what: str, size: int, told: Connection) -> None:
    """In a process of its own, whose start is over when the transfer begins."""
    told.send(True)
    told.recv()
    transfer(port, what, size)


def longest_ping(server: Server, going: Callable[[], bool]) -> float:
    """The longest that a PING takes (seconds), one after the other with a pause between them."""
    longest = 0.0
    with socket.create_connection(("127.0.0.1", server.port), timeout=SECONDS_MOST) as connection:
        while going():
            begun = time.perf_counter()
            connection.sendall(b"PING\r\n")
            check(connection.recv(100), b"+PONG\r\n")
            longest = max(longest, time.perf_counter() - begun)
            time.sleep(PING_PAUSE_SECONDS)
    return longest
