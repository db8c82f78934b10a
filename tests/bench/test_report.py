"""What the benchmark makes of its figures."""
from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench import chart, facts, fill, generator, load, memory, rates, report, rivals, transactions

VERSIONS = {"shardkv": "1.0", "redis": "7.0.15", "redis8": "8.2.3", "valkey": "9.1.2"}
HOW = {"rounds": 5, "clients": 50, "keys": 1_000_000, "seconds": 0.5, "workers": "auto", "versions": VERSIONS}
SERVERS = ("shardkv", *rivals.KINDS)


def figures(rate: float, cpu: float) -> dict[str, Any]:
    return {
        "rps": rate, "rates": [rate] * 3, "cpu_us": cpu, "cpu_us_by_role": {"worker": 1.0},
        "p50_us": 50.0, "p99_us": 100.0, "p999_us": 200.0, "longest_us": 300.0,
    }


def row(servers: tuple[str, ...]) -> dict[str, Any]:
    return {name: figures(60000, 2.0) if name == "shardkv" else figures(50000, 4.0) for name in servers}


def results() -> dict[str, Any]:
    two = SERVERS[:2]
    bytes_each = {name: {"counted": 30.0 + place, "real": 33.5} for place, name in enumerate(SERVERS)}
    few = {clients: {test: row(SERVERS) for test in rates.FEW_TESTS} for clients in rates.FEW}
    busy = {clients: {test: row(two) for test in rates.FEW_TESTS} for clients in rates.FEW}
    pauses = {"pauses_ms": [10.0, 30.0, 20.0], "undisturbed_ms": 1.0, "wrong_replies": 0}
    transfer = {name: {"seconds": 0.5, "ping_ms": 12.0, "quiet_ms": 0.2} for name in two}
    rows = {
        "throughput": {depth: {test: row(two) for test in load.TESTS} for depth in ("1", "16")},
        "latency": few,
        "busy": busy,
        "rates": {depth: {test: row(SERVERS) for test in generator.LOADS} for depth in ("1", "16")},
        "transactions": {
            "rates": {str(depth): {
                name: row(two) for name, test in transactions.TESTS.items() if depth in test.depths
            } for depth in transactions.DEPTHS},
            "handover": {
                command: dict.fromkeys(transactions.WAITERS, row(two)) for command in transactions.HANDOVERS
            },
            "lease": {"awake": {"shardkv": 5.2, "redis": 0.1}, "asleep": {"shardkv": 20.6, "redis": 0.1}},
        },
        "memory": dict.fromkeys(memory.KINDS, bytes_each),
        "large": {"set": transfer, "get": transfer},
        "start": {
            "ready": {"shardkv": {"ms": 200.4, "all_ms": [200.4]}, "redis": {"ms": 15.0, "all_ms": [15.0]}},
            "pss": {"shardkv": {"1": 20 << 20, "3": 30 << 20}, "redis": {"1": 5 << 20}},
        },
        "idle": {"shardkv": {"acceptor": 0.1, "worker": 0.25}, "redis": {"server": 0.2}},
        "death": {
            "worker": pauses, "workers": pauses, "acceptor": {"pauses_ms": [40.0, 50.0]},
            "restart": {"seconds": 0.5, "keys": 1000},
        },
    }
    parts = {name: {"how": HOW, "rows": part} for name, part in rows.items()}
    return {"machine": {"cores": 2, "cpu": "a core"}, **parts}


def test_ratios() -> None:
    assert report.ratio(row(SERVERS), "valkey") == 1.2
    assert report.quotient(row(SERVERS), "cpu_us") == 0.5


def test_a_round_is_compared_with_itself() -> None:
    measured = row(SERVERS)
    measured["shardkv"]["rates"] = [110, 11, 55]
    measured["redis"]["rates"] = [100, 10, 60]
    assert report.ratio(measured) == 1.1


def test_every_part_has_its_rows() -> None:
    lines = report.markdown(results()).splitlines()
    assert "| LRANGE_100 | 60,000 | 50,000 | 1.20 | 0.50 | 60,000 | 50,000 | 1.20 | 0.50 |" in lines
    assert "| 1 client, GET | 60,000 | 50 | 100 | 50,000 | 50 | 100 | 1.20 | 1.20 | 1.20 |" in lines
    assert "| 4 clients, SET | 60,000 | 50 | 100 | 50,000 | 50 | 100 | 1.20 |" in lines
    assert "| ZADD | 60,000 | 1.20 | 1.20 | 1.20 | 60,000 | 1.20 | 1.20 | 1.20 |" in lines
    assert "| MULTI of two INCR on two shards | 60,000 | 50,000 | 1.20 | 60,000 | 50,000 | 1.20 |" in lines
    assert "| SET and RENAME to another shard | 60,000 | 50,000 | 1.20 |  |  |  |" in lines
    assert "| BLPOP, 1,000 waiting | 50 | 100 | 60,000 | 50 | 100 | 50,000 | 1.00 | 1.20 |" in lines
    many = fill.COLLECTIONS["sorted set"].many
    assert f"| {many} | 30.0 | 31.0 | 32.0 | 33.0 | 33.5 | 33.5 | 33.5 | 33.5 |" in lines
    rows = [line for line in lines if line.startswith("| ")]
    tests = len(load.TESTS) + 2 * len(rates.FEW) * len(rates.FEW_TESTS) + len(generator.LOADS) + len(memory.KINDS)
    tests += len(transactions.TESTS) + len(transactions.HANDOVERS) * len(transactions.WAITERS)
    assert len(rows) == 7 * 2 + tests  # seven heads of two lines each


def test_every_row_is_as_wide_as_its_head() -> None:
    for table in report.tables(results()):
        assert {len(row) for row in table.rows} == {len(table.head)}


def test_facts_are_told() -> None:
    said = dict(facts.facts(results()))
    assert said["CPU µs of a GET at depth 16"] == "worker 1.00"
    assert said["from start to ready with 3 workers, warm"] == "200 ms (redis-server 15 ms)"
    pss = said["memory of all processes after the start (PSS)"]
    assert pss == "1 worker 20 MiB, 3 workers 30 MiB (redis-server 5 MiB)"
    pauses = "median 20.0 ms, longest 30.0 ms (without a kill 1.0 ms), 0 wrong replies"
    assert said["longest pause of a client when all workers are killed under load, 3 kills"] == pauses
    assert said["from an acceptor's death until new connections are served, 2 kills"].startswith("median 45.0 ms")
    assert said["SET of 512 MB"].startswith("shardkv 0.50 s, longest PING of another client 12.0 ms")
    assert said["a transaction's keys on two shards instead of one, one client"] == "5 µs awake, 21 µs asleep"
    assert said["CPU time of an idle server with fifty connections"].startswith("0.35 % of a core")


@pytest.mark.parametrize("name", [name for name in results() if name != "machine"])
def test_a_part_alone_can_be_told(name: str) -> None:
    alone = {"machine": results()["machine"], name: results()[name]}
    assert len(report.tables(alone)) + len(facts.facts(alone)) > 0
    assert report.markdown(alone) and report.text(alone)


def test_a_run_cut_short_can_be_told() -> None:
    cut = results()
    del cut["throughput"]["rows"]["16"]
    del cut["rates"]["rows"]["16"]
    del cut["transactions"]["rows"]["rates"]["16"], cut["transactions"]["rows"]["lease"]
    cut["transactions"]["rows"]["handover"] = {}
    cut["latency"]["rows"] = {"1": cut["latency"]["rows"]["1"]}
    cut["memory"]["rows"] = {"list": {"shardkv": {"counted": 5.8, "real": 8.5}}}
    cut["start"]["rows"] = {"ready": {"shardkv": {"ms": 200.0, "all_ms": [200.0]}}}
    cut["death"]["rows"] = {}
    lines = report.markdown(cut).splitlines()
    assert "| elements of 20 bytes in a list | 5.8 |  |  |  | 8.5 |  |  |  |" in lines
    assert "- from start to ready with 3 workers, warm: 200 ms" in lines
    assert report.text(cut)


def test_rivals_that_were_not_there_have_no_column() -> None:
    alone = results()
    alone["rates"] = {
        "how": HOW | {"versions": {"shardkv": "1.0", "redis": "7.0.15"}},
        "rows": {"1": {"get": row(SERVERS[:2])}},
    }
    assert "| GET | 60,000 | 1.20 |" in report.markdown(alone).splitlines()


def test_the_chart_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="make bench installs it")
    chart.draw(results(), tmp_path / "chart.png")
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")


def test_readme_gets_the_figures_between_its_marks(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{report.BEGIN}\nold\n{report.END}\nafter\n")
    report.write_readme(results(), readme)
    written = readme.read_text()
    assert written == f"before\n{report.BEGIN}\n{report.markdown(results())}\n{report.END}\nafter\n"
    readme.write_text("no marks")
    with pytest.raises(SystemExit, match=r"README\.md has no"):
        report.write_readme(results(), readme)
