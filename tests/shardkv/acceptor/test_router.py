"""What is refused before a request reaches its worker, in Redis's order and words; and which worker gets it."""
from __future__ import annotations

from collections.abc import Callable

import pytest
import redis

from tests.harness import Server, wait_until
from tests.wire import Wire


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["foo", "bar", "b\r\nz"], "-ERR unknown command 'foo', with args beginning with: 'bar' 'b  z' "),
        (["f\0o", "\x1b[2Jb", "\x7f\tü"], "-ERR unknown command 'f o', with args beginning with: ' [2Jb' '  ü' "),
        (["client", "\x1bno\r\n"], "-ERR unknown subcommand ' no  '. Try CLIENT HELP."),
        (["x" * 200], f"-ERR unknown command '{'x' * 128}', with args beginning with: "),
        (
            ["foo", "a" * 100, "b" * 100, "c"],
            f"-ERR unknown command 'foo', with args beginning with: '{'a' * 100}' '{'b' * 25}' ",
        ),
        (["config|get", "x"], "-ERR unknown command 'config|get', with args beginning with: 'x' "),
        (["client", "nope"], "-ERR unknown subcommand 'nope'. Try CLIENT HELP."),
        (["client"], "-ERR wrong number of arguments for 'client' command"),
        (["GET"], "-ERR wrong number of arguments for 'get' command"),
        (["get", "a", "b"], "-ERR wrong number of arguments for 'get' command"),
        (["object", "encoding"], "-ERR wrong number of arguments for 'object|encoding' command"),
        (["mset", "a", "1", "b"], "-ERR wrong number of arguments for 'mset' command"),
        (["rename", "{x}a", "{x}b"], "-ERR no such key"),
    ],
)
def test_refusals(server: Server, words: list[str], error: str) -> None:
    with Wire(server.port) as wire:
        assert wire.ask(*words) == error
        assert wire.ask("PING") == "+PONG"


def test_keys_of_two_shards_are_no_error_and_a_wrong_request_is(client: redis.Redis, server: Server) -> None:
    with Wire(server.port) as wire:
        assert {wire.ask("rename", "a", f"k{number}") for number in range(20)} == {"-ERR no such key"}
        refused = {wire.ask("lmpop", "2", f"k{number}", "left") for number in range(20)}
        assert refused == {"-ERR syntax error"}, "the word behind the keys is none"
        refused = {wire.ask("copy", "a", f"k{number}", "db", "99") for number in range(20)}
        assert refused == {"-ERR DB index is out of range"}
        assert {wire.ask("rename", "a", f"k{number}", "c") for number in range(20)} == {
            "-ERR wrong number of arguments for 'rename' command"
        }
        assert wire.ask("msetnx", "{t}a", "1", "b{t}", "2") == 1


def test_commands_that_split_answer_as_one(client: redis.Redis) -> None:
    keys = [f"key:{number}" for number in range(100)]
    assert client.mset({key: key for key in keys})
    assert client.mget([*keys, "none", keys[0]]) == [*(key.encode() for key in keys), None, keys[0].encode()]
    assert client.exists(*keys, "none", keys[0]) == 101
    assert client.dbsize() == 100
    assert sorted(client.keys("key:*")) == sorted(key.encode() for key in keys)
    assert sorted(client.scan_iter(count=7)) == sorted(key.encode() for key in keys)
    assert client.randomkey() in {key.encode() for key in keys}
    assert client.delete(*keys[:50], "none") == 50
    assert client.flushall() and client.dbsize() == 0 and client.randomkey() is None


def test_foreign_cursors(server: Server) -> None:
    with Wire(server.port) as wire:
        assert wire.ask("scan", "x") == "-ERR invalid cursor"
        assert wire.ask("scan", str(1 << 63)) == [b"0", []]


def test_authentication_comes_behind_arity(make_server: Callable[..., Server]) -> None:
    running = make_server(requirepass="secret")
    with Wire(running.port) as wire:
        assert wire.ask("get", "a") == "-NOAUTH Authentication required."
        assert wire.ask("get") == "-ERR wrong number of arguments for 'get' command"
        assert wire.ask("nope").startswith("-ERR unknown command")
        assert wire.ask("auth", "wrong").startswith("-WRONGPASS")
        assert wire.ask("auth", "secret") == "+OK"
        wait_until(lambda: wire.ask("get", "a") is None, "the workers, whom nobody without the password can see")
    with Wire(running.port) as wire:
        wire.send(*["x"] * 11)
        assert wire.receive() == "-ERR Protocol error: unauthenticated multibulk length"


def test_reply_modes(server: Server) -> None:
    with Wire(server.port) as wire:
        for line in ("client reply off", "set a 1", "get a", "nope", "mget a b c d", "ping"):
            wire.send(*line.split())
        assert wire.ask("client", "reply", "on") == "+OK"
        wire.send("client", "reply", "skip")
        wire.send("get", "a")
        assert wire.ask("echo", "next") == b"next"


def test_pause_holds_writes_and_lets_them_go(server: Server) -> None:
    with Wire(server.port) as wire, Wire(server.port) as other:
        assert wire.ask("set", "paused", "0") == "+OK"
        assert wire.ask("client", "pause", "20000", "write") == "+OK"
        other.send("incr", "paused")
        other.send("get", "paused")
        assert wire.ask("get", "paused") == b"0"
        assert wire.ask("client", "unpause") == "+OK"
        assert [other.receive(), other.receive()] == [1, b"1"]
