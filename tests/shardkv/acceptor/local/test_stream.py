"""XGROUP HELP and XINFO HELP."""
from __future__ import annotations

from typing import Any

import pytest


@pytest.mark.parametrize(("container", "first"), [("XGROUP", "CREATE <key>"), ("XINFO", "CONSUMERS <key>")])
def test_help(ask: Any, container: str, first: str) -> None:
    lines = ask(f"{container} HELP")
    assert lines[0].startswith(f"{container} <subcommand>")
    assert lines[1].startswith(first)
    assert lines[-2:] == ["HELP", "    Print this help."]
