"""MEMORY: figures and words about all shards."""
from __future__ import annotations

from typing import Any

import redis


def fill(server: Any, **counters: int) -> None:
    for name, value in counters.items():
        server.page.set_counter("worker", 0, name, value)


def test_stats(ask: Any, server: Any) -> None:
    fill(server, used_memory=1000, peak_memory=2000, arena_bytes=4000, keys=10)
    found = dict(ask("MEMORY STATS", resp=3))
    assert (found[b"total.allocated"], found[b"peak.allocated"], found[b"keys.count"]) == (1000, 2000, 10)
    assert found[b"keys.bytes-per-key"] == 100
    assert found[b"peak.percentage"] == 50.0
    assert found[b"allocator-fragmentation.ratio"] == 4.0


def test_stats_have_the_fields_of_redis(ask: Any, oracle: redis.Redis) -> None:
    assert set(oracle.memory_stats()) - {"db.0", "db.9"} <= {name.decode() for name in ask("MEMORY STATS")[::2]}


def test_stats_of_nothing(ask: Any) -> None:
    assert dict(ask("MEMORY STATS", resp=3))[b"keys.bytes-per-key"] == 0


def test_doctor(ask: Any, server: Any) -> None:
    assert b"next to no data" in ask("MEMORY DOCTOR")
    fill(server, used_memory=10 << 20, peak_memory=10 << 20, arena_bytes=11 << 20)
    assert b"nothing wrong" in ask("MEMORY DOCTOR")
    fill(server, peak_memory=100 << 20, arena_bytes=50 << 20, client_memory=10 << 20)
    found = ask("MEMORY DOCTOR", resp=3)
    assert all(word in found for word in (b"Peak memory", b"Fragmentation", b"Client buffers"))


def test_malloc_stats_and_purge(ask: Any, server: Any) -> None:
    assert len(ask("MEMORY MALLOC-STATS").splitlines()) == 1 + server.workers
    assert ask("MEMORY PURGE") == "OK"
    assert server.asked == [(b"@purge",)]


def test_help(ask: Any) -> None:
    assert "STATS" in ask("MEMORY HELP")
