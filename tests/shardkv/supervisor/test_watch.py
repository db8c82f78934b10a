"""What the log says of workers that do not turn."""
from __future__ import annotations

from typing import Any

import pytest

from shardkv.supervisor import watch
from shardkv.supervisor.watch import Watch


class FakePage:
    """A control page of two workers."""

    workers = 2

    def __init__(self) -> None:
        self.turns = [0, 0]

    def turned_ms(self, worker: int) -> int:
        return self.turns[worker]

    def worker_counters(self, worker: int) -> dict[str, int]:
        return {"pid": 100 + worker}


class FakeLog:
    """A log that keeps its lines."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def warning(self, text: str) -> None:
        self.lines.append(text)


def test_a_worker_that_does_not_turn_is_told_of_once_until_it_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 50.0
    monkeypatch.setattr(watch.time, "monotonic", lambda: now)
    page: Any = FakePage()
    log: Any = FakeLog()
    seen = Watch(page, log)
    for second in range(1, 10):
        now = 50.0 + second
        page.turns[1] += 1000
        if second in (1, 2, 8):
            page.turns[0] += 1000
        assert seen.deadline <= now
        seen.look()
        seen.look()  # too early, so nothing
        assert seen.deadline == now + 1
        if second == 2:
            assert log.lines == []
        if second == 7:
            assert len(log.lines) == 1 and log.lines[0].startswith("worker 0 (pid 100) has been at one thing")
    assert log.lines[1] == "worker 0 goes on after 6 seconds"
    assert log.lines[2:] == [log.lines[0]]


def test_a_worker_that_has_never_turned_is_not_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 50.0
    monkeypatch.setattr(watch.time, "monotonic", lambda: now)
    log: Any = FakeLog()
    page: Any = FakePage()
    seen = Watch(page, log)
    for _ in range(5):
        now += 1
        seen.look()
    assert log.lines == []
