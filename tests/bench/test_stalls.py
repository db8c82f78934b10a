"""The tool that finds stalls: it measures every kind of collection, and none of a thousand elements stalls anyone."""
from __future__ import annotations

from pathlib import Path

import pytest

from bench import stalls


@pytest.mark.parametrize("kind", stalls.known_growths())
def test_growing_and_freeing_a_few(tmp_path: Path, kind: str) -> None:
    worst = stalls.measure(str(tmp_path), kind, 1500, 2)
    assert worst.growing is not None and 0 < worst.growing < 50_000
    assert worst.freeing is not None and worst.freeing < 50_000
    assert (worst.expiring is None) == (kind not in stalls.EXPIRING)
    assert worst.steps >= 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("kind", stalls.MEETINGS)
def test_meeting_a_few(tmp_path: Path, kind: str) -> None:
    met = list(stalls.measure_meetings(str(tmp_path), kind, 1500, 1))
    assert [meeting for meeting, _ in met] == [*stalls.MEETINGS[kind]]
    assert all(0 < taken < 50_000 for _, taken in met)
    assert list(tmp_path.iterdir()) == []


def test_a_row_of_the_table() -> None:
    row = stalls.Worst(1.4, None, 12.6, 100.0, 7).row()
    assert [cell.strip() for cell in row.split("|")] == ["1", "", "13", "100", "7"]
    meeting = stalls.Meeting("xgroup|destroy key group", linear=True)
    assert [cell.strip() for cell in meeting.row(12.3).split("|")] == ["xgroup destroy key group", "12", "linear"]
