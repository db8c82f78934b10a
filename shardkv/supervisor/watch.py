"""Watch: says in the log when a worker has stopped turning, and when it turns again."""
from __future__ import annotations

import time
from dataclasses import dataclass

from shardkv.log import Log
from shardkv.stats import ControlPage

PERIOD = 1.0  # seconds between two looks; what has not moved from one to the next hangs


@dataclass
class _Seen:
    turned_ms: int       # as it stood at the last look
    since: float         # monotonic time of the look that saw it first
    told: bool = False


class Watch:
    """Compares each worker's `turned_ms` with what it was before. `deadline` is the monotonic time of the next look."""

    def __init__(self, page: ControlPage, log: Log) -> None:
        self._page = page
        self._log = log
        self._seen = [_Seen(0, time.monotonic()) for _ in range(page.workers)]
        self.deadline = time.monotonic() + PERIOD

    def look(self) -> None:
        """Looks at all workers, if it is time. One that has never turned is the business of who starts it."""
        now = time.monotonic()
        if now < self.deadline:
            return
        self.deadline = now + PERIOD
        for index, seen in enumerate(self._seen):
            turned_ms = self._page.turned_ms(index)
            if turned_ms != seen.turned_ms:
                if seen.told:
                    self._log.warning(f"worker {index} goes on after {now - seen.since:.0f} seconds")
                self._seen[index] = _Seen(turned_ms, now)
            elif turned_ms and not seen.told:
                seen.told = True
                pid = self._page.worker_counters(index)["pid"]
                self._log.warning(
                    f"worker {index} (pid {pid}) has been at one thing for more than a second: "
                    "its shard's clients wait for a long command, or it hangs"
                )
