"""What clients saw: operations with their times, as the checkers take them."""
from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Operation:
    """Something that a client asked for: when it sent it, and when it had the reply.

    One whose connection was lost has `ended` infinite: it may have happened at any time since, or never.
    """

    name: str
    args: tuple[Any, ...]
    result: Any
    begun: float
    ended: float = math.inf
    client: str = ""

    @property
    def lost(self) -> bool:
        """Whether nobody knows if it happened."""
        return self.ended == math.inf


class Wrong(AssertionError):
    """A history that no correct server can have given."""
