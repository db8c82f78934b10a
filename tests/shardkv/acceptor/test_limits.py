"""Limits on what waits for a client: what counts against them, and what the log says of who is closed."""
from __future__ import annotations

import os
import re
import signal
import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.harness import Server, wait_until
from tests.wire import Wire

VALUE = b"v" * 100_000


def line_of(wire: Wire, name: str) -> dict[str, str]:
    """Returns the fields of a client's line in CLIENT LIST; empty: it is gone."""
    lines = wire.ask("client", "list").decode().splitlines()
    found = [line for line in lines if f" name={name} " in line]
    return dict(field.split("=", 1) for field in found[0].split()) if found else {}


@pytest.mark.parametrize("kind", ["held", "joined"])
def test_replies_held_behind_a_busy_shard_count(make_server: Callable[..., Server], kind: str) -> None:
    running = make_server(acceptors=1)
    with Wire(running.port) as other, Wire(running.port) as slow:
        for number in range(20):
            assert other.ask("set", f"k{number}", VALUE) == "+OK"
        assert slow.ask("client", "setname", "slow") == "+OK"
        assert other.ask("config", "set", "client-output-buffer-limit", "normal 3mb 0 0") == "+OK"
        worker = running.worker_pids()[0]
        os.kill(worker, signal.SIGSTOP)
        try:
            # What is first waits for the stopped one; of the others, about half do not.
            slow.send("dbsize")
            keys = [f"k{number}" for number in range(20)]
            requests = [["get", key] for key in keys] if kind == "held" else [["mget", *keys]]
            for request in requests:
                slow.send(*request)
            line = wait_until(lambda: (got := line_of(other, "slow")) and int(got["omem"]) > len(VALUE) and got, "omem")
            assert int(line["tot-mem"]) > int(line["omem"])
            for request in requests * 10:
                slow.send(*request)
            wait_until(lambda: not line_of(other, "slow"), "the client's end")
        finally:
            os.kill(worker, signal.SIGCONT)
        with pytest.raises((EOFError, ConnectionResetError)):
            slow.receive()
        with Wire(running.port) as late:
            assert late.ask("dbsize") == 20
    said = r"Client id=\d+ addr=127.0.0.1:\d+ .*name=slow .* omem=\d{6}.* closed for overcoming of output"
    assert re.search(said, running.output())


def test_what_is_held_is_given_back(make_server: Callable[..., Server]) -> None:
    running = make_server(acceptors=1)
    with Wire(running.port) as wire:
        assert wire.ask("client", "setname", "one") == "+OK"
        for number in range(20):
            assert wire.ask("set", f"k{number}", VALUE) == "+OK"
        keys = [f"k{number}".encode() for number in range(20)]
        for _ in range(5):
            requests = [[b"get", key] for key in keys] + [[b"mget", *keys], [b"dbsize"]]
            assert wire.ask_all(requests) == [VALUE] * 20 + [[VALUE] * 20, 20]
        assert line_of(wire, "one")["omem"] == "0"


def test_who_fills_the_query_buffer_is_logged(make_server: Callable[..., Server]) -> None:
    running = make_server()
    with Wire(running.port) as wire, running.connect() as greedy:
        assert wire.ask("config", "set", "client-query-buffer-limit", "1mb") == "+OK"
        address = "{}:{}".format(*greedy.getsockname())
        with pytest.raises(OSError):
            greedy.sendall(b"*2\r\n$4\r\nECHO\r\n$100000000\r\n" + b"x" * 50_000_000)
            greedy.sendall(b"x" * 50_000_000)
            while greedy.recv(1 << 16):
                pass
            raise OSError
        said = f"Closing client that reached max query buffer length: id=\\d+ addr={address} .*qbuf initial bytes: '"
        wait_until(lambda: re.search(said, running.output()), "the log's line")


def test_who_is_over_its_output_limit_is_logged(make_server: Callable[..., Server]) -> None:
    running = make_server()
    with Wire(running.port) as wire, running.connect() as sock:
        assert wire.ask("config", "set", "client-output-buffer-limit", "normal 2mb 0 0") == "+OK"
        assert wire.ask("set", "big", VALUE) == "+OK"
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        address = "{}:{}".format(*sock.getsockname())
        with pytest.raises(OSError):
            for _ in range(100_000):
                sock.sendall(b"GET big\r\n" * 20)
        said = f"Client id=\\d+ addr={address} .* closed for overcoming of output buffer limits\\."
        assert re.search(said, running.output())


def test_memory_of_those_who_left_goes_back(make_server: Callable[..., Server]) -> None:
    running = make_server(acceptors=1)
    [acceptor] = running.acceptor_pids()

    def resident_kb() -> int:
        [line] = [line for line in Path(f"/proc/{acceptor}/status").read_text().splitlines() if "RssAnon" in line]
        return int(line.split()[1])

    with Wire(running.port) as wire:
        assert wire.ask("ping") == "+PONG"
        before = resident_kb()
        with ExitStack() as stack:
            many = [stack.enter_context(running.connect()) for _ in range(1500)]
            for sock in many:
                sock.sendall(b"PING\r\n" * 100)
            for sock in many:
                assert sock.recv(7) == b"+PONG\r\n"
            assert wire.ask("client", "list").count(b"\n") == 1501
            most = resident_kb()
        wait_until(lambda: (resident_kb() - before) * 3 < most - before, "the memory to go back")
        with running.connect() as late:
            late.sendall(b"PING\r\n")
            assert late.recv(7) == b"+PONG\r\n"
