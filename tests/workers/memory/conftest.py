"""Arenas in files of their own."""
from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.workers.memory.arenas import CAPACITY
from workers.memory.arena import Arena


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "arena-0")


@pytest.fixture
def arena(path: str) -> Iterator[Arena]:
    opened = Arena.open(path, 0, 1, capacity=CAPACITY)
    yield opened
    opened.close()
