"""A supervisor's end of a control channel, for workers that a test runs."""
from __future__ import annotations

import os
from typing import Any


class FakeChannel:
    """A control channel on which the supervisor says nothing but stop."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe2(os.O_NONBLOCK)

    def stop(self) -> None:
        os.write(self.write_end, b"s")

    def fileno(self) -> int:
        return self.read_end

    def send(self, message: dict[str, Any]) -> None:
        """Nobody listens."""

    def feed(self) -> list[dict[str, Any]]:
        try:
            return [{"type": "stop"} for _ in os.read(self.read_end, 1)]
        except BlockingIOError:
            return []
