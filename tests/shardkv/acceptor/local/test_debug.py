"""DEBUG: who may use it, its samples of every RESP type, and what is asked of the workers."""
from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from shardkv.acceptor.local.debug import NOT_ALLOWED, WRONG_TYPE_NAME


@pytest.fixture(autouse=True)
def allowed(server: Any) -> None:
    server.settings.apply({"enable-debug-command": "yes"})


@pytest.mark.parametrize(
    ("setting", "address", "unix", "may"),
    [
        ("no", "127.0.0.1:5", True, False),
        ("local", "127.0.0.1:5", False, True),
        ("local", "[::1]:5", False, True),
        ("local", "10.0.0.1:5", False, False),
        ("local", "/tmp/socket:0", True, True),
        ("yes", "10.0.0.1:5", False, True),
    ],
)
def test_who_may(ask: Any, server: Any, client: Any, setting: str, address: str, unix: bool, may: bool) -> None:
    server.settings.apply({"enable-debug-command": setting})
    client.addr, client.unix = address, unix
    assert ask("DEBUG SET-ACTIVE-EXPIRE 1") == ("OK" if may else NOT_ALLOWED)


@pytest.mark.parametrize("line", ["nonsense", "SLEEP", "SLEEP 1 2", "JMAP", "PROTOCOL"])
def test_unknown(ask: Any, line: str) -> None:
    word = line.split()[0]
    assert ask(f"DEBUG {line}") == f"ERR unknown subcommand or wrong number of arguments for '{word}'. Try DEBUG HELP."


@pytest.mark.parametrize(
    ("name", "resp2", "resp3"),
    [
        ("string", b"$11\r\nHello World\r\n", b"$11\r\nHello World\r\n"),
        ("integer", b":12345\r\n", b":12345\r\n"),
        ("double", b"$5\r\n3.141\r\n", b",3.141\r\n"),
        ("bignum", b"$37\r\n1234567999999999999999999999999999999\r\n", b"(1234567999999999999999999999999999999\r\n"),
        ("null", b"$-1\r\n", b"_\r\n"),
        ("array", b"*3\r\n:0\r\n:1\r\n:2\r\n", b"*3\r\n:0\r\n:1\r\n:2\r\n"),
        ("set", b"*3\r\n:0\r\n:1\r\n:2\r\n", b"~3\r\n:0\r\n:1\r\n:2\r\n"),
        ("map", b"*6\r\n:0\r\n:0\r\n:1\r\n:1\r\n:2\r\n:0\r\n", b"%3\r\n:0\r\n#f\r\n:1\r\n#t\r\n:2\r\n#f\r\n"),
        ("true", b":1\r\n", b"#t\r\n"),
        ("false", b":0\r\n", b"#f\r\n"),
        ("verbatim", b"$25\r\nThis is a verbatim\nstring\r\n", b"=29\r\ntxt:This is a verbatim\nstring\r\n"),
        (
            "attrib",
            b"$39\r\nSome real reply following the attribute\r\n",
            b"|1\r\n$14\r\nkey-popularity\r\n*2\r\n$7\r\nkey:123\r\n:90\r\n"
            b"$39\r\nSome real reply following the attribute\r\n",
        ),
        (
            "push",
            b"-ERR RESP2 is not supported by this command\r\n",
            b">2\r\n$16\r\nserver-cpu-usage\r\n:42\r\n$40\r\nSome real reply following the push reply\r\n",
        ),
    ],
)
def test_every_type(raw_ask: Any, name: str, resp2: bytes, resp3: bytes) -> None:
    assert raw_ask(f"DEBUG PROTOCOL {name}") == resp2
    assert raw_ask(f"DEBUG PROTOCOL {name.upper()}", resp=3) == resp3


def test_no_such_type(ask: Any) -> None:
    assert ask("DEBUG PROTOCOL nonsense") == WRONG_TYPE_NAME


def test_stringmatch(ask: Any) -> None:
    assert ask("DEBUG STRINGMATCH-LEN 30 a*a*a*b") == 0
    assert ask("DEBUG STRINGMATCH-LEN 30 a*a*a*") == 1
    assert ask("DEBUG STRINGMATCH-LEN 99999999999 a") == "ERR value is not an integer or out of range"


def test_replybuffer_is_taken(ask: Any) -> None:
    assert ask("DEBUG REPLYBUFFER PEAK-RESET-TIME 100") == ask("DEBUG REPLYBUFFER resizing 0") == "OK"
    assert ask("DEBUG REPLYBUFFER PEAK-RESET-TIME never") == "OK"
    assert ask("DEBUG REPLYBUFFER odd 0").startswith("ERR unknown subcommand")


def test_workers_are_asked(ask: Any, server: Any) -> None:
    assert ask("DEBUG SLEEP 0.5") == "OK"
    assert server.asked == [(b"@sleep", b"0.5")]


def test_active_expiry_is_switched_for_all_workers_there_will_be(ask: Any, server: Any) -> None:
    assert ask("DEBUG SET-ACTIVE-EXPIRE 0") == "OK" and not server.page.active_expiry
    assert ask("DEBUG SET-ACTIVE-EXPIRE 1") == "OK" and server.page.active_expiry


def test_object(ask: Any, server: Any, client: Any) -> None:
    client.db = 3
    server.answers[b"@debug-object"] = [None, b"Value at:0x10 refcount:1"]
    assert ask("DEBUG OBJECT k") == "Value at:0x10 refcount:1"
    assert server.asked == [(b"@debug-object", b"3", b"k")]
    server.answers[b"@debug-object"] = [None, None]
    assert ask("DEBUG OBJECT k") == "ERR no such key"


def test_reload_goes_on_until_all_are_through(ask: Any, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    rounds = iter([[b"5", b"-1"], [b"7", b"-1"], [b"-1", b"-1"]])
    asked: list[tuple[bytes, ...]] = []

    async def ask_workers(*words: bytes) -> list[bytes]:
        asked.append(words)
        return next(rounds)

    monkeypatch.setattr(server, "ask_workers", ask_workers)
    assert ask("DEBUG RELOAD NOFLUSH MERGE") == "OK"
    assert [words[1:] for words in asked] == [(b"0", b"0"), (b"5", b"-1"), (b"7", b"-1")]
    assert {words[0] for words in asked} == {b"@debug-reload"}


def test_digests_of_shards_are_joined(ask: Any, server: Any) -> None:
    server.answers[b"@debug-digest"] = [b"0" * 39 + b"5", b"f" * 39 + b"3"]
    assert ask("DEBUG DIGEST") == "f" * 39 + "6"
    assert ask("DEBUG DIGEST-VALUE a b") == ["f" * 39 + "6"] * 2


@pytest.mark.parametrize("word", ["SEGFAULT", "PANIC"])
def test_the_first_worker_is_killed(ask: Any, server: Any, monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: killed.append((pid, number)))
    assert ask(f"DEBUG {word}") == "ERR the worker is not running"
    server.page.set_counter("worker", 0, "pid", 4321)
    assert ask(f"DEBUG {word}") == "OK"
    assert killed == [(4321, signal.SIGKILL)]


def test_help(ask: Any) -> None:
    assert "PROTOCOL <type>" in ask("DEBUG HELP")
