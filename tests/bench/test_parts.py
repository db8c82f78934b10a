"""Each part of `make bench`, as short as it can be, against real servers: it finds figures for all that it names."""
from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bench import death, large, load, memory, processes, rates, rivals, run, servers, store, throughput, transactions
from bench.compare import OURS, Options

SMALL = Options(
    rounds=1, requests=200, seconds=0.02, keys=2000, clients=2, tests=("get", "set", "list"), workers=1,
    rivals=(rivals.DEBIAN,),
)
pytestmark = pytest.mark.skipif(rivals.program(rivals.DEBIAN) is None, reason="redis-server is not installed")


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    subprocess.run(["make", "--silent", "build/generator", "build/handover"], cwd=servers.ROOT, check=True)


def rows_of(steps: Any) -> dict[str, Any]:
    rows: dict[str, Any] = {}
    for step in steps:
        rows = store.merged(rows, step)
    return rows


def test_throughput() -> None:
    rows = rows_of(throughput.measure(SMALL))
    assert {depth: {*tests} for depth, tests in rows.items()} == {"1": {"get", "set"}, "16": {"get", "set"}}
    for kind in (OURS, rivals.DEBIAN):
        assert rows["16"]["get"][kind]["rps"] > 0
        assert len(rows["16"]["get"][kind]["rates"]) == SMALL.rounds


def test_rates_and_latency() -> None:
    for rows, groups in ((rows_of(rates.measure(SMALL)), ("1", "16")), (rows_of(rates.latency(SMALL)), rates.FEW)):
        assert {*rows} == {*groups}
        for tests in rows.values():
            assert all(tests[test][kind]["rps"] > 0 for test in ("get", "set") for kind in (OURS, rivals.DEBIAN))


def test_busy_cores_end_with_their_block() -> None:
    before = servers.descendants(os.getpid())
    with rates.busy_cores(2):
        assert len(servers.descendants(os.getpid())) == len(before) + 2
    assert servers.descendants(os.getpid()) == before


def test_busy_cores_end_by_themselves() -> None:
    assert subprocess.run([sys.executable, "-c", rates.BUSY_LOOP, "0.01"], timeout=60, check=True).returncode == 0


def test_transactions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transactions, "TIMES", 2)
    monkeypatch.setattr(transactions, "PAUSE_SECONDS", 0.001)
    tests = ("MGET of 10 keys on three shards", "MULTI of two INCR on two shards", "BLPOP", "XREADGROUP BLOCK")
    rows = rows_of(transactions.measure(replace(SMALL, tests=tests, workers=2)))
    for measured in (*rows["rates"].values(), *rows["handover"].values()):
        assert all(row[kind]["rps"] > 0 for row in measured.values() for kind in (OURS, rivals.DEBIAN))
    assert {*rows["rates"]} == {"1", "16"}
    with servers.running("shardkv", 2) as server:
        known = transactions.known(server)
        assert {*rows["handover"]} == ({"BLPOP", "XREADGROUP BLOCK"} if "blpop" in known else set())
        one, two = transactions.tags_of(server, 2)[:2]
        assert one != two
        assert transactions.words_of("A {0}:{random} ; B > {1}", [one, two, one])[1] == f"{one}:{{random}}"
        assert "exec" not in known or {*transactions.lease_us(server, [one, two, one])} == {"awake", "asleep"}


def test_memory() -> None:
    rows = rows_of(memory.measure(SMALL))
    assert {kind: {*row} for kind, row in rows.items()} == {kind: {OURS, rivals.DEBIAN} for kind in ("list", "set")}
    assert rows["set"][OURS]["counted"] > 20


def test_processes() -> None:
    with servers.running("shardkv", 1) as server:
        assert server.ready_seconds > 0
        assert processes.pss(server) > 1_000_000
        assert {*processes.idle_percent(server, 0.1)} >= {"acceptor", "worker"}


def test_large_values() -> None:
    with servers.running("shardkv", 1) as server, load.client(server) as connection:
        size = 3 * large.MEGABYTE + 17
        for what in ("set", "get"):
            assert large.transfer(server.port, what, size) > 0
            assert large.watched(server, what, size) >= 0
        assert connection.strlen(large.KEY) == size
        with pytest.raises(RuntimeError, match="answered by"):
            large.transfer(server.port, "get", size + 1)


def test_deaths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(death, "APART_SECONDS", death.SETTLE_SECONDS)
    with servers.running("shardkv", 2) as server:
        workers = death.worker_pids(server)
        deaths = death.kill_workers(server, 1, at_once=True)
        assert len(deaths.pauses) == 1
        assert deaths.wrong == 0
        assert not {*workers} & {*death.worker_pids(server)}
        acceptors = server.pids_by_role()["acceptor"]
        assert death.kill_acceptors(server) > 0
        assert not {*acceptors} & {*server.pids_by_role()["acceptor"]}


def test_a_run_cut_short_keeps_its_rows_and_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    line = ["--only", "rates", "--seconds", "0.02", "--keys", "2000", "--rounds", "500", "--rival", "redis"]
    with subprocess.Popen(
        [sys.executable, "-m", "bench.run", *line, "--test", "get", "--output", str(path)],
        cwd=servers.ROOT, stderr=subprocess.PIPE, text=True,
    ) as process:
        assert process.stderr is not None
        try:
            assert process.stderr.readline().startswith("rates: step 1")
            below = []
            for pid in servers.descendants(process.pid):
                with contextlib.suppress(ProcessLookupError):  # a load that ended meanwhile
                    below.append(os.pidfd_open(pid))
            process.terminate()
            assert process.wait(servers.STOP_SECONDS * 2) == 130
        finally:
            process.kill()
    assert "get" in store.load(path)["rates"]["rows"]["1"]
    for handle in below:
        assert select.select([handle], [], [], servers.STOP_SECONDS)[0]  # it has ended
        os.close(handle)


def test_a_part_alone_is_written_and_the_rest_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "results.json"
    store.Store(path).put("death", {"acceptor": {"pauses_ms": [1.0]}}, {})
    line = ["--only", "latency", "--test", "get", "--rival", "redis", "--rounds", "1", "--seconds", "0.02"]
    monkeypatch.setattr("sys.argv", ["bench", *line, "--keys", "2000", "--output", str(path)])
    assert run.main() == 0
    results = store.load(path)
    assert results["death"]["rows"]["acceptor"]["pauses_ms"] == [1.0]
    assert {*results["latency"]["rows"]["1"]["get"]} == {OURS, rivals.DEBIAN}
    assert {*results["latency"]["how"]["versions"]} == {OURS, rivals.DEBIAN}
    assert results["machine"]["cores"]
