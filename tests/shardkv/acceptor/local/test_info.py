"""INFO: which sections, which fields, and figures that are real."""
from __future__ import annotations

import os
from typing import Any

import pytest
import redis

from shardkv import REDIS_VERSION, __version__
from shardkv.acceptor.client import error_counts
from shardkv.acceptor.local.info import BY_DEFAULT, SECTIONS, TITLES
from shardkv.commands import table


def sections(text: bytes) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for block in text.decode().split("\r\n\r\n"):
        title, *lines = block.strip().split("\r\n")
        assert title.startswith("# ")
        found[title[2:]] = dict(line.split(":", 1) for line in lines)  # type: ignore[misc]
    return found


def titles(*names: str) -> list[str]:
    return [TITLES.get(name, name.capitalize()) for name in SECTIONS if name in names]


def test_shape(raw_ask: Any) -> None:
    text = raw_ask("INFO server", resp=3)
    assert text.startswith(b"=")
    assert b"txt:# Server\r\nredis_version:" in text
    assert raw_ask("INFO nonsense") == b"$0\r\n\r\n"


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ("", tuple(BY_DEFAULT)),
        ("default", tuple(BY_DEFAULT)),
        ("all", tuple(SECTIONS)),
        ("EVERYTHING", tuple(SECTIONS)),
        ("Memory", ("memory",)),
        ("keyspace memory nonsense", ("memory", "keyspace")),
        ("default commandstats", (*BY_DEFAULT, "commandstats")),
        ("shards", ("shards",)),
        ("module_list", ("modules",)),
    ],
)
def test_sections(ask: Any, arguments: str, names: tuple[str, ...]) -> None:
    assert list(sections(ask(f"INFO {arguments}"))) == titles(*names)


def test_fields_of_redis_are_all_there(ask: Any, oracle: redis.Redis) -> None:
    connection = oracle.connection_pool.get_connection()
    connection.send_command("INFO", "default")
    theirs = sections(connection.read_response())
    oracle.connection_pool.release(connection)
    ours = sections(ask("INFO"))
    assert set(theirs) <= set(ours)
    skipped = {"Keyspace", "Errorstats", "Modules"}
    missing = {title: set(theirs[title]) - set(ours[title]) for title in theirs if title not in skipped}
    assert not {title: fields for title, fields in missing.items() if fields}


def test_versions_and_processes(ask: Any, server: Any) -> None:
    found = sections(ask("INFO server"))["Server"]
    assert (found["redis_version"], found["shardkv_version"]) == (REDIS_VERSION, __version__)
    assert found["run_id"] == server.run_id
    assert found["process_id"] == str(os.getppid())
    assert found["listener0"] == "name=tcp,bind=127.0.0.1,bind=-::1,port=6379"


def test_figures_come_from_the_control_page(ask: Any, server: Any) -> None:
    page = server.page
    for shard in range(2):
        for name, value in {
            "keys": 3,
            "used_memory": 2048,
            "keyspace_hits": 7,
            "pid": os.getpid(),
            "arena_bytes": 8192,
        }.items():
            page.set_counter("worker", shard, name, value)
    page.set_counter("worker", 1, "restarts", 4)
    page.set_counter("worker", 1, "paused_work", 3)
    page.set_counter("acceptor", 0, "connected_clients", 5)
    page.maxmemory = 1 << 20
    found = sections(ask("INFO all"))
    same = f"pid={os.getpid()},keys=3,used_memory=2048"
    assert found["Shards"] == {
        "shard0": f"{same},restarts=0,subexpiry=0,busy_ms=0,paused_work=none",
        "shard1": f"{same},restarts=4,subexpiry=0,busy_ms=0,paused_work=freeing+expiry",
    }
    memory = found["Memory"]
    assert (memory["used_memory"], memory["used_memory_human"], memory["maxmemory_human"]) == ("4096", "4.00K", "1.00M")
    assert memory["allocator_frag_ratio"] == "4.00"
    assert int(memory["used_memory_rss"]) > 1 << 20
    assert found["Stats"]["keyspace_hits"] == "14"
    assert found["Clients"]["connected_clients"] == "5"


def test_error_counts(ask: Any) -> None:
    error_counts.clear()
    error_counts.update({b"WRONGTYPE": 2, b"ERR": 1})
    assert sections(ask("INFO errorstats"))["Errorstats"] == {
        "errorstat_ERR": "count=1",
        "errorstat_WRONGTYPE": "count=2",
    }
    error_counts.clear()


def test_commands_and_latencies(ask: Any, server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    number = table.command_id("config|get")
    idle = (0, 0, 0, 0, [])
    stats = [idle] * len(table.COMMANDS)
    stats[number] = (100, 250_000, 1, 2, [0] * 10 + [99, 0, 1])

    class Page:
        """The control page, but for two answers."""

        command_stats = staticmethod(lambda: stats)
        bucket_floor_ns = staticmethod(lambda bucket: bucket * 1000)

        def __getattr__(self, name: str) -> Any:
            return getattr(page, name)

    page = server.page
    monkeypatch.setattr(server, "page", Page())
    found = sections(ask("INFO commandstats latencystats"))
    line = "calls=100,usec=250,usec_per_call=2.50,rejected_calls=1,failed_calls=2"
    assert found["Commandstats"] == {"cmdstat_config|get": line}
    assert found["Latencystats"] == {"latency_percentiles_usec_config|get": "p50=11.000,p99=11.000,p99.9=13.000"}
    server.settings.set({"latency-tracking": "no"})
    assert sections(ask("INFO latencystats"))["Latencystats"] == {}
