"""CONFIG: reading, changing, resetting, rewriting."""
from __future__ import annotations

from typing import Any

import pytest

from shardkv.acceptor.client import error_counts
from shardkv.errors import CommandError


def test_get(ask: Any) -> None:
    assert ask("CONFIG GET maxmemory") == [b"maxmemory", b"0"]
    assert ask("CONFIG GET MaxMemory") == [b"MaxMemory", b"0"]
    assert ask("CONFIG GET nonsense") == []
    assert ask("CONFIG GET maxmemory", resp=3) == [(b"maxmemory", b"0")]


def test_get_with_several_patterns_answers_each_name_once(ask: Any) -> None:
    found = dict(ask("CONFIG GET maxm* *memory port", resp=3))
    assert len(found) == len(ask("CONFIG GET maxm* *memory port", resp=3))
    assert {b"maxmemory", b"maxmemory-policy", b"port"} <= set(found)
    assert len(ask("CONFIG GET *", resp=3)) > 100


def test_set_reaches_everyone(ask: Any, server: Any) -> None:
    assert ask("CONFIG SET maxmemory 10mb Timeout 30") == "OK"
    assert server.settings.get("timeout") == "30"
    assert server.asked == [
        ("config", {"changes": {"maxmemory": str(10 << 20), "timeout": "30"}}),
        (b"@settings",),
    ]


@pytest.mark.parametrize(
    ("pairs", "text"),
    [
        ("timeout 5 nonsense 1", "ERR Unknown option or number of arguments for CONFIG SET - 'nonsense'"),
        ("timeout 5 hz", "ERR wrong number of arguments for 'config|set' command"),
        (
            "timeout 5 port 1",
            "ERR CONFIG SET failed (possibly related to argument 'port') - can't set immutable config",
        ),
        ("timeout 5 timeout 6", "ERR CONFIG SET failed (possibly related to argument 'timeout') - duplicate parameter"),
        (
            "timeout 5 hz x",
            "ERR CONFIG SET failed (possibly related to argument 'hz') - argument couldn't be parsed into an integer",
        ),
    ],
)
def test_set_is_all_or_none(ask: Any, server: Any, pairs: str, text: str) -> None:
    assert ask(f"CONFIG SET {pairs}") == text
    assert server.settings.get("timeout") == "0"
    assert not server.asked


def test_resetstat(ask: Any, server: Any) -> None:
    server.page.set_counter("acceptor", 0, "commands_processed", 5)
    server.page.set_counter("worker", 0, "keyspace_hits", 5)
    error_counts[b"ERR"] = 1
    assert ask("CONFIG RESETSTAT") == "OK"
    assert server.page.acceptor_counters(0)["commands_processed"] == 0
    assert not error_counts
    assert server.page.worker_counters(0)["keyspace_hits"] == 5 and server.asked == [(b"@reset-statistics",)]


def test_rewrite(ask: Any, server: Any) -> None:
    assert ask("CONFIG REWRITE") == "ERR The server is running without a config file"
    server.config_file = "redis.conf"
    assert ask("CONFIG REWRITE") == "OK"
    assert server.asked == [("rewrite", {})]
    server.answers["rewrite"] = CommandError("ERR Rewriting config file: Permission denied")
    assert ask("CONFIG REWRITE") == "ERR Rewriting config file: Permission denied"
