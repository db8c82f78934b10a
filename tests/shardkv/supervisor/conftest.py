"""Servers whose children are stand-ins."""
from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness import Server

FAKE = Path(__file__).with_name("fake_server.py")
MakeFake = Callable[..., Server]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeFake]:
    """Starts servers whose children are stand-ins."""
    monkeypatch.setenv("PYTHONPATH", str(FAKE.parent))
    servers: list[Server] = []

    def make(*flags: str, start: bool = True, **options: Any) -> Server:
        servers.append(Server(*flags, command=[str(FAKE)], **options))
        return servers[-1].start() if start else servers[-1]

    yield make
    for server in servers:
        server.close()
