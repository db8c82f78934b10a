"""Figures of the whole instance, summed over its processes: what INFO and MEMORY show."""
from __future__ import annotations

import os
import time
from collections import Counter, deque
from contextlib import suppress
from dataclasses import dataclass

from shardkv.stats import ControlPage

PAGE_SIZE = os.sysconf("SC_PAGE_SIZE")
WALKED = 64 << 20  # resident bytes of a process that the kernel may walk for us, which takes time and locks its memory
RATE_WINDOW = 1.6  # seconds over which INFO's instantaneous figures are averaged, as in Redis


def all_counters(page: ControlPage) -> Counter[str]:
    """Every counter, summed over acceptors and workers."""
    total: Counter[str] = Counter()
    for index in range(page.acceptors):
        total.update(page.acceptor_counters(index))
    for index in range(page.workers):
        total.update(page.worker_counters(index))
    return total


def process_ids(page: ControlPage) -> list[int]:
    """Process ids of acceptors and workers, as far as they run."""
    blocks = [page.acceptor_counters(index) for index in range(page.acceptors)]
    blocks += [page.worker_counters(index) for index in range(page.workers)]
    return [block["pid"] for block in blocks if block["pid"]]


def private_bytes(page: ControlPage) -> int:
    """Returns the resident memory that acceptors and workers have beside arenas, rings and libraries, in bytes.

    Pages that they share since the fork count once, except in a process that has much of an arena mapped.
    """
    return sum(map(_private, process_ids(page)))


def _private(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/statm", encoding="ascii") as file:
            _, resident, shared = (int(word) * PAGE_SIZE for word in file.read().split()[:3])
    except OSError:
        return 0  # it has just ended
    if resident <= WALKED:
        with suppress(OSError, StopIteration, ValueError):
            with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
                return next(int(line.split()[1]) << 10 for line in file if line.startswith(b"Pss_Anon:"))
    return resident - shared


@dataclass(frozen=True)
class Memory:
    """Bytes, and keys. `used` is live data in the arenas, `arenas` what their files hold, `private` the processes'."""

    used: int
    peak: int
    arenas: int
    private: int
    clients: int
    keys: int

    @property
    def rss(self) -> int:
        """All that is resident: the arenas, wherever they are mapped, and the processes."""
        return self.arenas + self.private

    @property
    def arena_ratio(self) -> float:
        """Bytes of the arenas for each byte in use."""
        return self.arenas / self.used if self.used else 1.0

    @property
    def rss_ratio(self) -> float:
        """Resident bytes for each byte of the arenas."""
        return self.rss / self.arenas if self.arenas else 1.0

    @property
    def fragmentation(self) -> float:
        """Resident bytes for each byte in use, what the processes take for themselves being in use.

        So it is near 1 for an empty server, and tends to `arena_ratio` as data grows: an alert on it means lost memory.
        """
        needed = self.used + self.private
        return self.rss / needed if needed else 1.0

    @property
    def peak_share(self) -> float:
        """The bytes in use as a part of the most there ever were."""
        return self.used / self.peak if self.peak else 0.0


def gather_memory(page: ControlPage) -> Memory:
    """Sums what all processes last told of their memory."""
    counters = all_counters(page)
    used = page.used_memory()
    return Memory(
        used=used,
        peak=max(used, counters["peak_memory"]),
        arenas=max(used, counters["arena_bytes"]),
        private=private_bytes(page),
        clients=counters["client_memory"],
        keys=counters["keys"],
    )


def human(size: int) -> str:
    """A size as INFO's *_human fields print it."""
    amount = float(size)
    for unit in "BKMGTP":
        if amount < 1024 or unit == "P":
            break
        amount /= 1024
    return f"{size}B" if unit == "B" else f"{amount:.2f}{unit}"


class Rates:
    """How fast counts grew lately: over the last RATE_WINDOW, or since the sample before it where samples are rarer."""

    NAMES = ("commands_processed", "net_input_bytes", "net_output_bytes")

    def __init__(self) -> None:
        self._samples: deque[tuple[float, Counter[str]]] = deque()

    def sample(self, page: ControlPage) -> None:
        """Notes the counts of this moment, and forgets those before the window."""
        now = time.monotonic()
        counters = all_counters(page)
        self._samples.append((now, Counter({name: counters[name] for name in self.NAMES})))
        while len(self._samples) > 2 and self._samples[1][0] < now - RATE_WINDOW:
            self._samples.popleft()

    def per_second(self, name: str) -> float:
        """How fast the counter `name` grew; 0 before there are two samples, or after CONFIG RESETSTAT."""
        if len(self._samples) < 2:
            return 0.0
        (begin, first), (end, last) = self._samples[0], self._samples[-1]
        return max(0, last[name] - first[name]) / max(end - begin, 1e-3)
