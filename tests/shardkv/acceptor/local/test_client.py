"""CLIENT: the subcommands about the connection itself."""
from __future__ import annotations

from typing import Any

import pytest

from shardkv.acceptor.local.client import BAD_NAME
from shardkv.acceptor.local.clients import BAD_REASON


def test_id(ask: Any, client: Any) -> None:
    assert ask("CLIENT ID") == client.id


def test_names(ask: Any) -> None:
    assert ask("CLIENT GETNAME") is None
    assert ask("CLIENT GETNAME", resp=3) is None
    assert ask("CLIENT SETNAME me") == "OK"
    assert ask("CLIENT GETNAME") == b"me"
    for bad in (b"a b", b"a\n", b"\xff"):
        assert ask([b"CLIENT", b"SETNAME", bad]) == BAD_NAME
    assert ask([b"CLIENT", b"SETNAME", b""]) == "OK"
    assert ask("CLIENT GETNAME") is None


def test_setinfo(ask: Any, client: Any) -> None:
    assert ask("CLIENT SETINFO lib-name redis-py") == ask("CLIENT SETINFO LIB-VER 1.2.3") == "OK"
    assert (client.lib_name, client.lib_ver) == (b"redis-py", b"1.2.3")
    assert ask("CLIENT SETINFO color red") == "ERR Unrecognized option 'color'"
    refused = ask([b"CLIENT", b"SETINFO", b"lib-name", b"a b"])
    assert refused == "ERR lib-name cannot contain spaces, newlines or special characters."
    assert client.lib_name == b"redis-py"


@pytest.mark.parametrize("name", ["no-evict", "no-touch"])
def test_switches(ask: Any, client: Any, name: str) -> None:
    attribute = name.replace("-", "_")
    assert ask(f"CLIENT {name} on") == "OK"
    assert getattr(client, attribute)
    assert ask(f"CLIENT {name} OFF") == "OK"
    assert not getattr(client, attribute)
    assert ask(f"CLIENT {name} maybe") == "ERR syntax error"


def test_reply_modes(ask: Any, client: Any) -> None:
    ask("CLIENT REPLY SKIP")
    assert client.reply_mode == "skip"
    ask("CLIENT REPLY OFF")
    ask("CLIENT REPLY SKIP")
    assert client.reply_mode == "off"
    assert ask("CLIENT REPLY ON") == "OK"
    assert client.reply_mode == "on"
    assert ask("CLIENT REPLY perhaps") == "ERR syntax error"


def test_unblock_finds_nobody(ask: Any) -> None:
    assert ask("CLIENT UNBLOCK 1") == ask("CLIENT UNBLOCK 1 TIMEOUT") == ask("CLIENT UNBLOCK 1 error") == 0
    assert ask("CLIENT UNBLOCK x") == "ERR value is not an integer or out of range"
    assert ask("CLIENT UNBLOCK 1 why") == BAD_REASON
    unknown = "ERR unknown subcommand or wrong number of arguments for 'UNBLOCK'. Try CLIENT HELP."
    assert ask("CLIENT UNBLOCK 1 ERROR more") == unknown


def test_help(ask: Any) -> None:
    lines = ask("CLIENT HELP")
    assert lines[0] == "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"
    assert lines[-2:] == ["HELP", "    Print this help."]
    assert {"ID", "GETNAME", "SETNAME <name>", "PAUSE <timeout> [WRITE|ALL]"} <= set(lines)
