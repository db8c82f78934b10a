"""What is checked while commands are queued, what the queue takes, who sees it, and what ends it."""
from __future__ import annotations

import time
from collections.abc import Callable

import pytest
import redis

from tests.harness import Server, wait_until
from tests.wire import Wire, encode

MANY = 1_000_000


def fields(wire: Wire, client_id: int) -> dict[str, str]:
    """What CLIENT LIST tells of a client."""
    line = wire.ask("CLIENT", "LIST", "ID", client_id).decode().strip()
    return dict(word.partition("=")[::2] for word in line.split())


def test_client_list_and_info_show_what_is_queued_and_watched(server: Server) -> None:
    with Wire(server.port) as wire, Wire(server.port) as other:
        number = wire.ask("CLIENT", "ID")
        before = other.ask("INFO", "clients").decode()
        assert "watching_clients:0" in before and "total_watched_keys:0" in before
        assert wire.ask("WATCH", "a", "b", "a") == "+OK"
        found = other.ask("INFO", "clients").decode()
        assert "watching_clients:1" in found and "total_watched_keys:2" in found
        assert fields(other, number)["multi"] == "-1" and fields(other, number)["flags"] == "N"
        wire.ask("MULTI")
        assert fields(other, number)["multi"] == "0" and fields(other, number)["flags"] == "x"
        for _ in range(3):
            wire.ask("SET", "a", "x" * 1000)
        found = fields(other, number)
        assert found["multi"] == "3" and 3000 < int(found["multi-mem"]) < 10_000 < int(found["tot-mem"])
        assert wire.ask("DISCARD") == "+OK"
        found = fields(other, number)
        assert (found["multi"], found["multi-mem"], found["flags"]) == ("-1", "0", "N")
        assert "watching_clients:0" in other.ask("INFO", "clients").decode()


def test_a_client_that_leaves_watches_no_longer(server: Server) -> None:
    with Wire(server.port) as other:
        with Wire(server.port) as wire:
            wire.ask("WATCH", "a", "b", "c")
            wire.ask("MULTI")
            wire.ask("SET", "left", "1")
        wait_until(lambda: "watching_clients:0\r\n" in other.ask("INFO", "clients").decode(), "its end to be seen")
        assert other.ask("GET", "left") is None


def test_flags_of_a_client_whose_watched_key_was_changed(server: Server) -> None:
    with Wire(server.port) as wire, Wire(server.port) as other:
        number = wire.ask("CLIENT", "ID")
        wire.ask("WATCH", "watched")
        assert fields(other, number)["flags"] == "N"
        other.ask("SET", "watched", "1")
        assert fields(other, number)["flags"] == "d"
        wire.ask("MULTI")
        assert fields(other, number)["flags"] == "xd"
        assert wire.ask("EXEC") is None
        assert fields(other, number)["flags"] == "N"


def test_a_queue_of_a_million_commands(make_server: Callable[..., Server]) -> None:
    running = make_server(workers=3)
    chunk = encode([b"INCR", b"a"]) + encode([b"INCR", b"b"])
    with Wire(running.port) as wire, Wire(running.port) as other:
        number = wire.ask("CLIENT", "ID")
        begun = time.monotonic()
        wire.ask("MULTI")
        longest = 0.0
        for _ in range(MANY // 2 // 10_000):
            wire.ask_raw(chunk * 10_000, b"+QUEUED\r\n" * 20_000)
            asked = time.monotonic()
            other.ask("PING")
            longest = max(longest, time.monotonic() - asked)
        found = fields(other, number)
        assert found["multi"] == str(MANY)
        assert 20 * MANY < int(found["multi-mem"]) < 120 * MANY
        assert int(found["tot-mem"]) >= int(found["multi-mem"])
        replies = wire.ask("EXEC")
        assert replies[-2:] == [MANY // 2] * 2 and len(replies) == MANY
        assert time.monotonic() - begun < 60 and longest < 5
        assert int(fields(other, number)["multi-mem"]) == 0


def test_a_queue_of_many_commands_that_the_acceptor_runs(server: Server) -> None:
    count = 20_000
    with Wire(server.port) as wire, Wire(server.port) as other:
        wire.ask("MULTI")
        wire.ask_raw(encode([b"ECHO", b"x"]) * count, b"+QUEUED\r\n" * count)
        wire.send("EXEC")
        assert other.ask("PING") == "+PONG"
        assert wire.receive() == [b"x"] * count


def test_the_queue_counts_as_query_buffer(make_server: Callable[..., Server]) -> None:
    running = make_server(client_query_buffer_limit="1mb")
    with Wire(running.port) as wire:
        wire.ask("MULTI")
        with pytest.raises((EOFError, ConnectionError)):
            for _ in range(100):
                assert wire.ask("SET", "a", "x" * 50_000) == "+QUEUED"
    assert "reached max query buffer length" in running.output()


def test_without_memory_nothing_is_queued(make_server: Callable[..., Server]) -> None:
    running = make_server()
    oom = "-OOM command not allowed when used memory > 'maxmemory'."
    with Wire(running.port) as wire, Wire(running.port) as other:
        for _ in range(20):
            other.ask("SET", "filling", "x" * 10_000)
        wire.ask("MULTI")
        assert wire.ask("SET", "a", "1") == "+QUEUED"
        other.ask("CONFIG", "SET", "maxmemory", "1")
        assert wire.ask("EXEC") == f"-EXECABORT Transaction discarded because of: {oom[1:]}"
        assert wire.ask("EXEC") == "-ERR EXEC without MULTI"
        wire.ask("MULTI")
        assert wire.ask("GET", "a") == oom
        assert wire.ask("EXEC") == "-EXECABORT Transaction discarded because of previous errors."
        wire.ask("MULTI")
        assert wire.ask("PING") == oom and wire.ask("DISCARD") == "+OK"
        other.ask("CONFIG", "SET", "maxmemory", "0")
        wire.ask("MULTI")
        assert wire.ask("GET", "a") == "+QUEUED"
        other.ask("CONFIG", "SET", "maxmemory", "1")
        assert wire.ask("EXEC") == [None], "what only reads goes on"


def test_a_pause_of_writes_holds_an_exec_that_writes(server: Server) -> None:
    with Wire(server.port) as writer, Wire(server.port) as reader, Wire(server.port) as other:
        other.ask("SET", "paused", "0")
        for wire, command in ((writer, "INCR"), (reader, "GET")):
            wire.ask("MULTI")
            assert wire.ask(command, "paused") == "+QUEUED"
        assert other.ask("CLIENT", "PAUSE", "20000", "WRITE") == "+OK"
        writer.send("EXEC")
        wait_until(lambda: "blocked_clients:1" in other.ask("INFO", "clients").decode(), "the writer to wait")
        assert reader.ask("EXEC") == [b"0"]
        assert other.ask("CLIENT", "UNPAUSE") == "+OK"
        assert writer.receive() == [1]


def test_a_pause_inside_takes_effect(server: Server) -> None:
    with Wire(server.port) as wire, Wire(server.port) as other:
        wire.ask("MULTI")
        wire.ask("CLIENT", "PAUSE", "20000", "WRITE")
        wire.ask("SET", "a", "1")
        assert wire.ask("EXEC") == ["+OK", "+OK"]
        other.send("SET", "a", "2")
        wait_until(lambda: "blocked_clients:1" in wire.ask("INFO", "clients").decode(), "the other to wait")
        assert wire.ask("CLIENT", "UNPAUSE") == "+OK" and other.receive() == "+OK"


def test_without_the_password_nothing_is_queued(make_server: Callable[..., Server]) -> None:
    running = make_server(requirepass="secret")
    with Wire(running.port) as wire:
        for word in ("MULTI", "DISCARD"):
            assert wire.ask(word) == "-NOAUTH Authentication required."
        assert wire.ask("EXEC") == "-EXECABORT Transaction discarded because of: NOAUTH Authentication required."


def test_commands_inside_change_settings_and_are_counted(client: redis.Redis, server: Server) -> None:
    client.config_resetstat()
    with Wire(server.port) as wire:
        wire.ask("MULTI")
        for line in ("CONFIG SET timeout 77", "CONFIG GET timeout", "SET a 1", "AUTH a"):
            assert wire.ask(*line.split()) == "+QUEUED"
        replies = wire.ask("EXEC")
        assert replies[:3] == ["+OK", [b"timeout", b"77"], "+OK"] and replies[3].startswith("-ERR AUTH")
        wire.ask("CONFIG", "SET", "timeout", "0")
    info = client.info("everything")
    for name, failed in (("multi", 0), ("exec", 0), ("set", 0), ("auth", 1)):
        assert (info[f"cmdstat_{name}"]["calls"], info[f"cmdstat_{name}"]["failed_calls"]) == (1, failed), name
    assert info["errorstat_ERR"]["count"] == 1


def test_a_client_is_killed_by_its_own_transaction(server: Server) -> None:
    with Wire(server.port) as wire:
        number = wire.ask("CLIENT", "ID")
        wire.ask("MULTI")
        wire.ask("CLIENT", "KILL", "ID", number, "SKIPME", "no")
        wire.ask("SET", "a", "1")
        assert wire.ask("EXEC") == [1, "+OK"]
        with pytest.raises(EOFError):
            wire.receive()
