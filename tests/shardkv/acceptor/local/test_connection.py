"""PING, ECHO, QUIT, RESET, SELECT, AUTH, HELLO."""
from __future__ import annotations

from typing import Any

import pytest

from shardkv import REDIS_VERSION
from shardkv.acceptor.local.connection import HELLO_NEEDS_AUTH, NO_PASSWORD_SET, WRONG_PASSWORD


def test_ping_and_echo(ask: Any) -> None:
    assert ask("PING") == "PONG"
    assert ask("ping hello") == b"hello"
    assert ask("PING a b") == "ERR wrong number of arguments for 'ping' command"
    assert ask([b"ECHO", b"\x00\xff"]) == b"\x00\xff"


def test_quit_closes_when_it_is_answered(ask: Any, client: Any) -> None:
    assert ask("QUIT") == "OK"
    assert client.closing


@pytest.mark.parametrize(
    ("index", "answer"),
    [
        ("15", "OK"),
        ("16", "ERR DB index is out of range"),
        ("-1", "ERR DB index is out of range"),
        ("x", "ERR value is not an integer or out of range"),
        ("01", "ERR value is not an integer or out of range"),
        ("9999999999", "ERR value is out of range, value must between -2147483648 and 2147483647"),
        ("99999999999999999999", "ERR value is not an integer or out of range"),
    ],
)
def test_select(ask: Any, client: Any, index: str, answer: str) -> None:
    assert ask(f"SELECT {index}") == answer
    assert client.db == (15 if answer == "OK" else 0)


def test_auth_without_a_password_set(ask: Any) -> None:
    assert ask("AUTH x") == NO_PASSWORD_SET
    assert ask("AUTH default anything") == "OK"
    assert ask("AUTH nobody anything") == WRONG_PASSWORD
    assert ask("AUTH a b c") == "ERR syntax error"


def test_auth(ask: Any, server: Any, client: Any) -> None:
    server.settings.set({"requirepass": "sésame"})
    client.authenticated = False
    assert ask("AUTH wrong") == ask("AUTH default wrong") == ask([b"AUTH", b"\xff"]) == WRONG_PASSWORD
    assert not client.authenticated
    assert ask("AUTH sésame") == ask("AUTH default sésame") == "OK"
    assert client.authenticated


def test_hello_introduces_the_server(ask: Any, client: Any) -> None:
    facts = [
        (b"server", b"redis"),
        (b"version", REDIS_VERSION.encode()),
        (b"proto", 3),
        (b"id", client.id),
        (b"mode", b"standalone"),
        (b"role", b"master"),
        (b"modules", []),
    ]
    assert ask("HELLO 3") == facts
    assert client.resp == 3
    assert ask("HELLO", resp=3) == facts
    flat = ask("HELLO 2", resp=3)
    assert flat[:6] == [b"server", b"redis", b"version", REDIS_VERSION.encode(), b"proto", 2]


@pytest.mark.parametrize(
    ("line", "answer"),
    [
        ("HELLO 4", "NOPROTO unsupported protocol version"),
        ("HELLO x", "ERR Protocol version is not an integer or out of range"),
        ("HELLO 3 AUTH default", "ERR Syntax error in HELLO option 'AUTH'"),
        ("HELLO 3 nonsense", "ERR Syntax error in HELLO option 'nonsense'"),
        ("HELLO 3 SETNAME", "ERR Syntax error in HELLO option 'SETNAME'"),
        ("HELLO 3 AUTH nobody x", WRONG_PASSWORD),
    ],
)
def test_hello_that_fails_changes_nothing(ask: Any, client: Any, line: str, answer: str) -> None:
    assert ask(line) == answer
    assert client.resp == 2


def test_hello_names_and_authenticates(ask: Any, server: Any, client: Any) -> None:
    server.settings.set({"requirepass": "pw"})
    client.authenticated = False
    assert ask("HELLO 3") == HELLO_NEEDS_AUTH
    assert ask([b"HELLO", b"3", b"AUTH", b"default", b"pw", b"SETNAME", b"a b"]).startswith("ERR Client names cannot")
    assert not client.authenticated
    ask("HELLO 3 SETNAME me AUTH default pw")
    assert (client.authenticated, client.name, client.resp) == (True, b"me", 3)


def test_reset(ask: Any, server: Any, client: Any) -> None:
    client.db, client.name, client.no_touch, client.no_evict, client.reply_mode = 3, b"me", True, True, "off"
    assert ask("RESET", resp=3) == "RESET"
    assert (client.db, client.name, client.resp, client.reply_mode) == (0, b"", 2, "on")
    assert not client.no_touch and not client.no_evict and client.authenticated
    server.settings.set({"requirepass": "pw"})
    ask("RESET")
    assert not client.authenticated
