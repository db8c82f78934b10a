"""CLIENT LIST, INFO, KILL, PAUSE."""
from __future__ import annotations

import time
from typing import Any

import pytest

from shardkv.commands import table

FIELDS = (
    "id addr laddr fd name age idle flags db sub psub ssub multi qbuf qbuf-free argv-mem multi-mem rbs rbp obl oll "
    "omem tot-mem events cmd user redir resp lib-name lib-ver"
).split()


def parse(text: bytes) -> list[dict[str, str]]:
    return [dict(field.split("=", 1) for field in line.split(" ")) for line in text.decode().splitlines()]  # type: ignore[misc]


def test_fields_and_their_order(ask: Any, client: Any, server: Any) -> None:
    client.name, client.lib_name, client.db, client.no_touch = b"me", b"lib", 3, True
    client.last_command = table.command_id("client|info")
    text = ask("CLIENT INFO")
    [line] = parse(text)
    assert list(line) == FIELDS
    assert text.endswith(b"\n")
    wanted = {
        "id": "1",
        "addr": client.addr,
        "name": "me",
        "db": "3",
        "flags": "T",
        "cmd": "client|info",
        "lib-name": "lib",
    }
    assert line.items() >= (wanted | {"user": "default", "redir": "-1", "multi": "-1", "resp": "2"}).items()


def test_list_is_verbatim_and_in_order_of_age(raw_ask: Any, ask: Any, server: Any) -> None:
    server.clients.reverse()
    assert raw_ask("CLIENT LIST", resp=3).startswith(b"=")
    assert [line["id"] for line in parse(ask("CLIENT LIST"))] == ["1", "2", "3"]
    assert parse(ask("CLIENT LIST"))[2]["cmd"] == "NULL"


def test_list_of_some(ask: Any) -> None:
    assert [line["id"] for line in parse(ask("CLIENT LIST ID 3 9 1"))] == ["3", "1"]
    assert len(parse(ask("CLIENT LIST TYPE normal"))) == 3
    assert ask("CLIENT LIST TYPE pubsub") == b""
    assert ask("CLIENT LIST TYPE odd") == "ERR Unknown client type 'odd'"
    assert ask("CLIENT LIST ID x") == "ERR Invalid client ID"
    assert ask("CLIENT LIST ID") == ask("CLIENT LIST odd") == ask("CLIENT LIST TYPE normal x") == "ERR syntax error"


def killed(server: Any) -> list[int]:
    return [client.id for client in server.clients if client.killed or client.closing]


def test_kill_by_address(ask: Any, server: Any) -> None:
    assert ask("CLIENT KILL 1.2.3.4:5") == "ERR No such client"
    assert ask(f"CLIENT KILL {server.clients[1].addr}") == "OK"
    assert killed(server) == [2]


def test_the_old_form_may_kill_its_own_connection(ask: Any, server: Any, client: Any) -> None:
    assert ask(f"CLIENT KILL {client.addr}") == "OK"
    assert client.closing and not client.killed


@pytest.mark.parametrize(
    ("filters", "ids"),
    [
        ("ID 2", [2]),
        ("ID 1", []),
        ("ID 1 SKIPME no", [1]),
        ("TYPE normal", [2, 3]),
        ("TYPE normal SKIPME YES", [2, 3]),
        ("TYPE normal SKIPME no", [1, 2, 3]),
        ("TYPE pubsub", []),
        ("USER default", [2, 3]),
        ("LADDR 127.0.0.1:6379", [2, 3]),
        ("LADDR 127.0.0.1:6379 ADDR 127.0.0.1:40003", [3]),
        ("ADDR 127.0.0.1:40003 ID 2", []),
    ],
)
def test_kill_by_filters(ask: Any, server: Any, filters: str, ids: list[int]) -> None:
    assert ask(f"CLIENT KILL {filters}") == len(ids)
    assert killed(server) == ids


@pytest.mark.parametrize(
    ("filters", "text"),
    [
        ("ID 0", "ERR client-id should be greater than 0"),
        ("ID x", "ERR client-id should be greater than 0"),
        ("TYPE odd", "ERR Unknown client type 'odd'"),
        ("USER nobody", "ERR No such user 'nobody'"),
        ("SKIPME maybe", "ERR syntax error"),
        ("ID 2 SKIPME", "ERR syntax error"),
        ("MAXAGE 5", "ERR syntax error"),
    ],
)
def test_bad_filters_kill_nobody(ask: Any, server: Any, filters: str, text: str) -> None:
    assert ask(f"CLIENT KILL {filters}") == text
    assert killed(server) == []


def test_pause(ask: Any, server: Any) -> None:
    before = time.time() * 1000
    assert ask("CLIENT PAUSE 5000 WRITE") == "OK"
    until, writes_only = server.paused
    assert before + 4000 < until < before + 60_000 and writes_only
    ask("CLIENT PAUSE 100")
    assert not server.paused[1]
    assert ask("CLIENT UNPAUSE") == "OK"
    assert server.paused is None


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ("x", "ERR timeout is not an integer or out of range"),
        ("-1", "ERR timeout is negative"),
        ("9223372036854775807", "ERR timeout is out of range"),
        ("10 SOME", "ERR CLIENT PAUSE mode must be WRITE or ALL"),
        ("10 ALL x", "ERR unknown subcommand or wrong number of arguments for 'PAUSE'. Try CLIENT HELP."),
    ],
)
def test_bad_pauses(ask: Any, server: Any, arguments: str, text: str) -> None:
    assert ask(f"CLIENT PAUSE {arguments}") == text
    assert server.paused is None
