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


def test_a_row_of_the_table() -> None:
    row = stalls.Worst(1.4, None, 12.6, 100.0, 7).row()
    assert [cell.strip() for cell in row.split("|")] == ["1", "", "13", "100", "7"]
