"""TIME, SHUTDOWN, ROLE, LASTSAVE, LOLWUT, OBJECT HELP."""
from __future__ import annotations

import time
from typing import Any

import pytest

from shardkv import REDIS_VERSION


def test_time(ask: Any) -> None:
    seconds, microseconds = map(int, ask("TIME"))
    assert abs(time.time() - seconds - microseconds / 1e6) < 5
    assert 0 <= microseconds < 1_000_000


def test_role_and_lastsave(ask: Any, server: Any) -> None:
    assert ask("ROLE") == [b"master", 0, []]
    assert ask("LASTSAVE") == server.page.started_ms // 1000


@pytest.mark.parametrize(
    ("words", "nosave"), [("", False), ("NOSAVE", True), ("save now force", False), ("nosave NOW", True)]
)
def test_shutdown(raw_ask: Any, server: Any, words: str, nosave: bool) -> None:
    assert raw_ask(f"SHUTDOWN {words}") == b""
    assert server.asked == [("shutdown", {"nosave": nosave})]


@pytest.mark.parametrize(
    ("words", "text"),
    [
        ("odd", "ERR syntax error"),
        ("SAVE NOSAVE", "ERR syntax error"),
        ("ABORT NOW", "ERR syntax error"),
        ("ABORT", "ERR No shutdown in progress."),
    ],
)
def test_shutdown_refused(ask: Any, server: Any, words: str, text: str) -> None:
    assert ask(f"SHUTDOWN {words}") == text
    assert not server.asked


def test_lolwut(ask: Any) -> None:
    assert f"Redis ver. {REDIS_VERSION}" in ask("LOLWUT").decode()
    assert ask("LOLWUT VERSION 5", resp=3)
    assert ask("LOLWUT VERSION x") == "ERR value is not an integer or out of range"


def test_object_help(ask: Any) -> None:
    assert "ENCODING <key>" in ask("OBJECT HELP")
