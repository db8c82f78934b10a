"""Figures of the whole instance."""
from __future__ import annotations

from typing import Any

import pytest

from shardkv.acceptor.local import facts
from shardkv.acceptor.local.facts import Rates, human


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


def test_a_process_that_is_gone_counts_nothing(server: Any) -> None:
    server.page.set_counter("worker", 0, "pid", 1 << 30)
    assert facts.resident_bytes(server.page) == 0
