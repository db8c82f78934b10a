"""One child process as the supervisor sees it."""
from __future__ import annotations

import os
import signal
from dataclasses import dataclass

from shardkv.control import Channel, ControlError, Message


@dataclass(eq=False)
class Child:
    """An acceptor or a worker, running or just ended."""

    kind: str
    index: int
    pid: int
    channel: Channel
    status: int | None = None  # once it has ended: its exit status, or the negative number of the signal
    ready: bool = False
    open: bool = True  # its end of the channel
    failure: str = ""  # why it says it cannot start
    kill_at: float | None = None  # monotonic time; its channel is gone, and a process without one is of no use

    @property
    def title(self) -> str:
        """How log lines name it."""
        return f"{self.kind} {self.index}"

    def receive(self) -> list[Message]:
        """The messages that are there. `open` becomes False when no more can come."""
        try:
            return self.channel.feed()
        except (EOFError, ControlError):
            self.open = False
            return []

    def kill(self) -> None:
        """Ends the process at once; SIGCHLD tells when it is gone."""
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)

    def has_ended(self) -> bool:
        """Whether the process is gone, without waiting for it. From then on `status` is set."""
        if self.status is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.status = os.waitstatus_to_exitcode(status)
        return self.status is not None

    def describe_death(self) -> str:
        """How the process ended, for a log line."""
        status = self.status or 0
        return f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
