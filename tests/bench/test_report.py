"""What the benchmark makes of its figures."""
from __future__ import annotations

from typing import Any

from bench import fill, load, report


def row(ours: float, theirs: float) -> dict[str, Any]:
    figures = {"p50_ms": 0.5, "p99_ms": 1.0, "p999_ms": 2.0, "cpu_us_by_role": {"worker": 1.0}}
    return {
        "shardkv": figures | {"rps": ours, "rates": [ours] * 3, "cpu_us": 2.0},
        "redis": figures | {"rps": theirs, "rates": [theirs] * 3, "cpu_us": 4.0},
    }


def results() -> dict[str, Any]:
    memory = {"shardkv": {"counted": 30.0, "real": 33.0}, "redis": {"counted": 40.0, "real": 44.0}}
    return {
        "machine": {"cores": 2, "cpu": "a core"},
        "settings": {
            "rounds": 5, "clients": 50, "keys": 1_000_000, "requests": {"1": 1000, "16": 8000},
            "versions": {"redis": "7.0.15", "shardkv": "1.0"},
        },
        "throughput": {depth: {test: row(60000, 50000) for test in load.TESTS} for depth in ("1", "16")},
        "memory": memory,
        "collections": dict.fromkeys((fill.SMALL_HASHES, *fill.COLLECTIONS), memory),
        "missing": ["xadd"],
        "death": {"pauses_ms": [10.0, 30.0, 20.0], "undisturbed_ms": 1.0, "wrong_replies": 0},
        "restart_seconds": 0.5,
    }


def test_ratios() -> None:
    assert report.ratio(results(), "16", "get") == 1.2
    assert report.cpu_ratio(results(), "16", "get") == 0.5


def test_a_round_is_compared_with_itself() -> None:
    measured = results()
    measured["throughput"]["1"]["set"]["shardkv"]["rates"] = [110, 11, 55]
    measured["throughput"]["1"]["set"]["redis"]["rates"] = [100, 10, 60]
    assert report.ratio(measured, "1", "set") == 1.1


def test_markdown_has_a_row_for_each_test_and_each_kind_of_memory() -> None:
    lines = report.markdown(results()).splitlines()
    assert "| LRANGE_100 | 60,000 | 50,000 | 1.20 | 0.50 | 60,000 | 50,000 | 1.20 | 0.50 |" in lines
    assert "| 1,000,000 members of 20 bytes in a sorted set | 30.0 | 40.0 | 0.75 | 33.0 | 44.0 | 0.75 |" in lines
    rows = [line for line in lines if line.startswith("| ")]
    assert len(rows) == 2 * 2 + len(load.TESTS) + 2 + len(fill.COLLECTIONS)  # two heads of two lines each
    assert {line.count("|") for line in rows[:2 + len(load.TESTS)]} == {10}
    assert "- not measured, as shardkv has no such command yet: xadd" in lines


def test_table_has_the_same_rows() -> None:
    lines = report.table(results()).splitlines()
    assert sum(line.startswith("lrange_100 ") for line in lines) == 2
    assert sum(line.startswith("1,000,000 ") for line in lines) == 2 + len(fill.COLLECTIONS)
    assert any("median 20.0 ms, longest 30.0 ms" in line for line in lines)


def test_slow_commands_take_fewer_requests_and_pipelines_more() -> None:
    assert load.requests_of("get", 1, 40_000) == 40_000
    assert load.requests_of("get", 16, 40_000) == 40_000 * load.PIPELINED_MORE
    assert load.requests_of("lrange_600", 16, 40_000) < load.requests_of("lrange_100", 16, 40_000) < 40_000 * 8
    assert load.requests_of("lrange_600", 16, 1) == 16 * load.CLIENTS
