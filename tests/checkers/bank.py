"""A bank: transfers between accounts never change the sum, and whoever reads all accounts at once sees it."""
from __future__ import annotations

from collections.abc import Iterable, Sequence

from tests.checkers.history import Wrong


def check_bank(reads: Iterable[Sequence[int]], total: int) -> None:
    """Raises Wrong when accounts that were read at once have another sum."""
    for read in reads:
        if sum(read) != total:
            raise Wrong(f"the accounts {list(read)} make {sum(read)}, not {total}")
