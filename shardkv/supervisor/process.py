"""One child process as the supervisor sees it."""
from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass

import shardkv
from shardkv.control import CONTROL_VARIABLE, Channel, ControlError, Message

MODULES = {"acceptor": "shardkv.acceptor", "worker": "workers"}
SPARE = -1


@dataclass(eq=False)
class Child:
    """A running acceptor or worker; a worker whose index is SPARE waits for its assignment."""

    kind: str
    process: subprocess.Popen[bytes]
    channel: Channel
    index: int = SPARE
    ready: bool = False
    open: bool = True  # its end of the channel
    failure: str = ""  # why it says it cannot start
    kill_at: float | None = None  # monotonic time; its channel is gone, and a process without one is of no use

    @property
    def pid(self) -> int:
        """Process id."""
        return self.process.pid

    @property
    def title(self) -> str:
        """How log lines name it."""
        return f"{self.kind} {self.index}" if self.index != SPARE else f"spare {self.kind}"

    def receive(self) -> list[Message]:
        """The messages that are there. `open` becomes False when no more can come."""
        try:
            return self.channel.feed()
        except (EOFError, ControlError):
            self.open = False
            return []

    def kill(self) -> None:
        """Ends the process at once; SIGCHLD tells when it is gone."""
        self.process.kill()

    def describe_death(self) -> str:
        """How the process ended, for a log line."""
        status = self.process.returncode
        return f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"


def spawn(kind: str, descriptors: Iterable[int]) -> Child:
    """Starts a child that inherits `descriptors` beside its control socket and standard streams. Raises OSError.

    It has a process group of its own, so that Ctrl-C at a terminal reaches the supervisor alone.
    """
    channel, theirs = Channel.pair()
    with theirs:
        environment = os.environ | {CONTROL_VARIABLE: str(theirs.fileno())}
        root = os.path.dirname(os.path.dirname(os.path.abspath(shardkv.__file__)))
        if sys.path[0] == root:
            # We run out of a source tree that the interpreter found through the folder we were started in.
            inherited = os.environ.get("PYTHONPATH")
            environment["PYTHONPATH"] = os.pathsep.join([root, inherited] if inherited else [root])
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", MODULES[kind]],
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno(), *descriptors],
            env=environment,
            process_group=0,
        )
    return Child(kind, process, channel)
