"""The control page: geometry, counters, reset."""
from __future__ import annotations

from pathlib import Path

import pytest

from shardkv.stats import COUNTER_NAMES, ControlPage, ControlPageError


def test_counters_are_kept_apart_and_seen_by_another_mapping(tmp_path: Path) -> None:
    path = str(tmp_path / "control")
    page = ControlPage.create(path, 2, 3)
    page.set_counter("acceptor", 1, "connected_clients", 7)
    page.set_counter("worker", 2, "used_memory", 100)
    page.set_counter("worker", 0, "used_memory", 11)
    page.maxmemory = 1 << 30
    other = ControlPage.open(path)
    assert other.acceptor_counters(1)["connected_clients"] == 7
    assert other.acceptor_counters(0)["connected_clients"] == 0
    assert other.used_memory() == 111
    assert other.maxmemory == 1 << 30
    assert [page.next_client_id(), other.next_client_id()] == [1, 2]
    assert len(COUNTER_NAMES) < 64


def test_reset_keeps_levels(tmp_path: Path) -> None:
    page = ControlPage.create(str(tmp_path / "control"), 1, 2)
    for worker in range(2):
        page.set_counter("worker", worker, "keys", 5)
        page.set_counter("worker", worker, "keyspace_hits", 5)
    page.reset("worker", 1)
    counters = page.worker_counters(1)
    assert (counters["keys"], counters["keyspace_hits"]) == (5, 0)
    assert page.worker_counters(0)["keyspace_hits"] == 5  # a block has one writer


def test_settings_are_those_published_last(tmp_path: Path) -> None:
    page = ControlPage.create(str(tmp_path / "control"), 1, 1)
    other = ControlPage.open(str(tmp_path / "control"))
    assert other.settings() == (0, b"")
    for version, text in enumerate((b"{}", b"x" * 4088, b"", b"three"), 1):
        page.publish_settings(text)
        assert other.settings() == (version, text)
    with pytest.raises(ControlPageError):
        page.publish_settings(b"x" * 4089)
    assert other.settings() == (4, b"three")


def test_active_expiry_is_on_unless_told(tmp_path: Path) -> None:
    page = ControlPage.create(str(tmp_path / "control"), 1, 1)
    assert page.active_expiry
    page.active_expiry = False
    assert not ControlPage.open(str(tmp_path / "control")).active_expiry


def test_bad_index_and_foreign_file(tmp_path: Path) -> None:
    page = ControlPage.create(str(tmp_path / "control"), 1, 1)
    with pytest.raises(IndexError):
        page.worker_counters(1)
    with pytest.raises(ValueError):
        page.set_counter("worker", 0, "nonsense", 1)
    (tmp_path / "other").write_bytes(b"x" * 9000)
    with pytest.raises(ControlPageError):
        ControlPage.open(str(tmp_path / "other"))
