"""How long a slot waits for its next process: not at all, unless its processes die again and again.

Each crash fills the slot's bucket, which leaks with time. SIGKILL does not: it comes from outside and says nothing
about the next process. Up to CALM crashes in short order cost nothing; each one more doubles the wait.
"""
from __future__ import annotations

from dataclasses import dataclass

LEAK = 0.1  # crashes a second that are forgotten
CALM = 3.0
FIRST_WAIT = 0.1  # seconds
LONGEST_WAIT = 5.0
FULL = 10.0  # what the bucket holds: a minute and a half later all is forgotten


@dataclass
class _Bucket:
    level: float = 0.0
    time: float = 0.0


def backoff(times: float) -> float:
    """Returns how many seconds to wait after having waited so many times already."""
    return float(min(FIRST_WAIT * 2 ** min(times, FULL), LONGEST_WAIT))


class Brake:
    """The buckets of all slots. Times are of one clock, in seconds."""

    def __init__(self) -> None:
        self._buckets: dict[tuple[str, int], _Bucket] = {}

    def note(self, slot: tuple[str, int], crashed: bool, now: float) -> float:
        """Counts a death, unless it was by SIGKILL; returns how many seconds the next process has to wait."""
        bucket = self._buckets.setdefault(slot, _Bucket(time=now))
        bucket.level = min(max(bucket.level - (now - bucket.time) * LEAK, 0.0) + crashed, FULL)
        bucket.time = now
        return backoff(bucket.level - CALM - 1) if bucket.level > CALM else 0.0

    def level(self, slot: tuple[str, int]) -> float:
        """How many crashes it remembers, as of the last death."""
        bucket = self._buckets.get(slot)
        return bucket.level if bucket else 0.0
