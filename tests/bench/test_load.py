"""What the benchmark reads out of redis-benchmark and /proc."""
from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench import load, servers

REPORT = """\
GET: rps=0.0 (overall: 0.0) avg_msec=nan\r====== GET ======
  100000 requests completed in 1.60 seconds

Latency by percentile distribution:
0.000% <= 0.127 milliseconds (cumulative count 1)
50.000% <= 0.383 milliseconds (cumulative count 51321)
98.438% <= 0.743 milliseconds (cumulative count 98500)
99.219% <= 0.879 milliseconds (cumulative count 99230)
99.902% <= 1.519 milliseconds (cumulative count 99903)
100.000% <= 2.007 milliseconds (cumulative count 100000)

Cumulative distribution of latencies:
0.000% <= 0.103 milliseconds (cumulative count 0)
100.000% <= 2.103 milliseconds (cumulative count 100000)

Summary:
  throughput summary: 62500.00 requests per second
"""


def test_report_is_read() -> None:
    assert load.parse(REPORT) == (62500.0, 0.383, 0.879, 1.519)


def test_the_last_of_several_reports_counts() -> None:
    assert load.parse(REPORT.replace("62500", "1").replace("0.383", "9.0") + REPORT)[:2] == (62500.0, 0.383)


def test_no_report_is_an_error() -> None:
    with pytest.raises(ValueError, match="reported nothing"):
        load.parse("Could not connect")


def test_descendants_are_found_and_counted() -> None:
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:  # lives until the test closes its end
        os.close(write)
        os.read(read, 1)
        os._exit(0)
    try:
        assert pid in servers.descendants(os.getpid())
        assert servers.role(pid) == "server"
    finally:
        os.close(write)
        os.waitpid(pid, 0)
        os.close(read)
    assert servers.role(pid) == ""


def test_processes_are_known_by_their_titles() -> None:
    with servers.running("shardkv", 2) as server:
        roles = server.pids_by_role()
        assert roles["supervisor"] == [server.process.pid]
        assert len(roles["worker"]) == 2
        assert roles["acceptor"]
        assert sorted(pid for pids in roles.values() for pid in pids) == sorted(server.pids())
        used = load.cpu_seconds(server)
        assert used.keys() == roles.keys()
        assert used["acceptor"] > 0


def test_slow_commands_take_fewer_requests_and_pipelines_more() -> None:
    assert load.requests_of("get", 1, 40_000) == 40_000
    assert load.requests_of("get", 16, 40_000) == 40_000 * load.PIPELINED_MORE
    assert load.requests_of("lrange_600", 16, 40_000) < load.requests_of("lrange_100", 16, 40_000) < 40_000 * 8
    assert load.requests_of("lrange_600", 16, 1) == 16 * load.CLIENTS
    assert load.requests_of("get", 16, 1, clients=2) == 32


def test_ports_in_a_row_are_free() -> None:
    port = servers.free_port(4)
    assert servers.FIRST_PORT <= port <= servers.LAST_PORT
    assert servers.answering(port) is None


def test_a_server_that_is_not_ours_does_not_count(tmp_path: Path) -> None:
    with servers.running("shardkv", 1) as first:
        assert servers.answering(first.port) == first.process.pid
        with pytest.raises(servers.ServerError, match="in use"):
            servers.start("shardkv", first.port, tmp_path, 1, [])
