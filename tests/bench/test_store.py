"""The file of results: merged row by row, replaced in one step, never half written."""
from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.store import FORMAT, Store, load, merged


def test_rows_are_merged_into_those_of_the_run_before(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    Store(path).put("rates", {"1": {"get": {"shardkv": {"rates": [1, 2, 3]}}}}, {"rounds": 3})
    Store(path).put("rates", {"1": {"get": {"shardkv": {"rates": [9]}}, "set": {"shardkv": {}}}}, {"rounds": 1})
    Store(path).put("idle", {"shardkv": {"worker": 0.1}}, {})
    results = load(path)
    assert results["rates"]["rows"] == {"1": {"get": {"shardkv": {"rates": [9]}}, "set": {"shardkv": {}}}}
    assert results["rates"]["how"] == {"rounds": 1}
    assert results["idle"]["rows"] == {"shardkv": {"worker": 0.1}}
    assert list(tmp_path.iterdir()) == [path]


def test_merging_changes_neither(tmp_path: Path) -> None:
    old, new = {"a": {"b": 1}, "c": 2}, {"a": {"d": 3}, "c": {"e": 4}}
    assert merged(old, new) == {"a": {"b": 1, "d": 3}, "c": {"e": 4}}
    assert (old, new) == ({"a": {"b": 1}, "c": 2}, {"a": {"d": 3}, "c": {"e": 4}})


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    store = Store(path)
    store.put("idle", {"shardkv": 1}, {})
    with pytest.raises(TypeError):
        store.put("idle", {"shardkv": object()}, {})
    assert load(path)["idle"]["rows"] == {"shardkv": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_figures_of_another_format_are_replaced(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps({"throughput": {"1": {}}}))
    store = Store(path)
    assert store.results == {}
    store.note("machine", {"cores": 2})
    assert json.loads(path.read_text()) == {"format": FORMAT, "machine": {"cores": 2}}


def test_without_a_path_nothing_is_written() -> None:
    store = Store(None)
    store.put("idle", {"shardkv": 1}, {})
    assert store.results["idle"]["rows"] == {"shardkv": 1}
