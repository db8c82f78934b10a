"""Going to the background, with the outcome of the start told to whoever started us."""
from __future__ import annotations

import os
import signal
from typing import NoReturn

READY = b"ready"


class Daemon:
    """The background side's way to tell how the start went. Telling twice is harmless."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def ready(self) -> None:
        """The server serves clients: the foreground process ends with status 0."""
        self._tell(READY)

    def failed(self, text: str, status: int) -> None:
        """The server could not start: the foreground process prints `text` and ends with `status`."""
        self._tell(f"{status} {text}".encode(errors="backslashreplace"))

    def _tell(self, message: bytes) -> None:
        if self._descriptor >= 0:
            os.write(self._descriptor, message)
            os.close(self._descriptor)
            self._descriptor = -1


def daemonize() -> Daemon:
    """Continues in a session of its own, without terminal. The process that called waits for the outcome and ends."""
    reading, writing = os.pipe()
    if os.fork():
        os.close(writing)
        _report(reading)
    os.close(reading)
    os.setsid()
    if os.fork():
        # A session's leader could get a terminal by opening one; its child cannot.
        os._exit(0)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)
    return Daemon(writing)


def _report(reading: int) -> NoReturn:
    # os._exit: what was prepared belongs to the daemon now. Signals end this process alone.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    with open(reading, "rb") as pipe:
        message = pipe.read()
    if message == READY:
        os._exit(0)
    status, _, text = message.decode(errors="replace").partition(" ")
    os.write(2, f"shardkv: {text or 'the server died while it started'}\n".encode())
    os._exit(int(status) if status.isdigit() else 1)
