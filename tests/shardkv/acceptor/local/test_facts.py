"""Figures of the whole instance."""
from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from shardkv.acceptor.local import facts
from shardkv.acceptor.local.facts import Memory, Rates, human
from tests.harness import Server


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0B"),
        (1023, "1023B"),
        (1024, "1.00K"),
        (1536, "1.50K"),
        (1 << 20, "1.00M"),
        (5 << 30, "5.00G"),
        (1 << 62, "4096.00P"),
    ],
)
def test_human(size: int, text: str) -> None:
    assert human(size) == text


def test_rates(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(facts.time, "monotonic", lambda: now)
    rates = Rates()
    assert rates.per_second("commands_processed") == 0
    rates.sample(server.page)
    for second in range(1, 6):
        now = 100.0 + second
        server.page.set_counter("acceptor", 0, "commands_processed", 50 * second)
        rates.sample(server.page)
        assert rates.per_second("commands_processed") == 50
    server.page.reset("acceptor", 0)
    rates.sample(server.page)
    assert rates.per_second("commands_processed") == 0


@pytest.mark.parametrize(
    ("used", "arenas", "private", "ratio"),
    [(0, 0, 0, 1.0), (0, 4 << 20, 60 << 20, 1.067), (10 << 20, 40 << 20, 60 << 20, 1.429), (1 << 40, 2 << 40, 0, 2.0)],
)
def test_fragmentation_is_near_one_while_there_is_nothing_to_waste(
    used: int, arenas: int, private: int, ratio: float
) -> None:
    found = Memory(used=used, peak=used, arenas=arenas, private=private, clients=0, keys=0)
    assert round(found.fragmentation, 3) == ratio
    assert found.rss == arenas + private


def test_fragmentation_of_an_empty_server(make_server: Callable[..., Server]) -> None:
    memory = make_server().client().info("memory")
    assert 1.0 <= memory["mem_fragmentation_ratio"] < 1.5
    assert memory["used_memory_rss"] >= memory["allocator_active"]


def test_pages_that_forks_share_count_once(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    size = 64 << 20
    held = bytearray(os.urandom(1 << 20) * 64)
    ours, theirs = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(theirs)
        os.read(ours, 1)        # until the test is over
        os._exit(0)
    os.close(ours)
    try:
        server.page.set_counter("acceptor", 0, "pid", os.getpid())
        server.page.set_counter("worker", 0, "pid", pid)
        monkeypatch.setattr(facts, "WALKED", 1 << 40)
        counted = facts.private_bytes(server.page)
        monkeypatch.setattr(facts, "WALKED", 0)     # as for a large arena
        assert len(held) == size and counted + size // 2 < facts.private_bytes(server.page)
    finally:
        os.close(theirs)
        os.waitpid(pid, 0)


def test_a_process_that_is_gone_counts_nothing(server: Any) -> None:
    server.page.set_counter("worker", 0, "pid", 1 << 30)
    assert facts.private_bytes(server.page) == 0
