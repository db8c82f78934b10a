"""Control channel between the supervisor and one child: newline-delimited JSON objects over a Unix socketpair.

The two ends differ in one thing. The supervisor must never wait for a child, so its end queues what the socket does not
take and sends it when the socket is writable again. A child may wait for the supervisor, which always reads; its `send`
returns when all is written. No cycle of waiting can come of that.
"""
from __future__ import annotations

import json
import select
import socket
from typing import Any

Message = dict[str, Any]

MESSAGE_MAX = 256 << 20  # bytes; CLIENT LIST of every connection fits many times over
_READ_SIZE = 1 << 18


class ControlError(Exception):
    """The other side sent something that is not a message."""


def _decode(line: bytes | bytearray) -> Message:
    try:
        message = json.loads(line)
    except ValueError as error:
        raise ControlError(f"not a control message: {error}") from None
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise ControlError("a control message without a type")
    return message


class Channel:
    """One end of a control socket. `queueing` is for the supervisor's end, see the module's text."""

    def __init__(self, sock: socket.socket, queueing: bool = False) -> None:
        sock.setblocking(False)
        self._socket = sock
        self._queueing = queueing
        self._input = bytearray()
        self._output = bytearray()

    @staticmethod
    def pair() -> tuple[Channel, socket.socket]:
        """The supervisor's end, and the socket that becomes the child's. Raises OSError."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        return Channel(ours, queueing=True), theirs

    def fileno(self) -> int:
        """The descriptor, for a selector."""
        return self._socket.fileno()

    @property
    def pending(self) -> bool:
        """True while something waits for the socket to become writable."""
        return bool(self._output)

    def send(self, message: Message) -> None:
        """Sends one message. A peer that is gone is no error here: its end of file is noticed by the reading side."""
        self._output += json.dumps(message, separators=(",", ":")).encode() + b"\n"
        self.flush()
        while self._output and not self._queueing:
            self._wait(select.POLLOUT)
            self.flush()

    def flush(self) -> None:
        """Writes as much of what waits as the socket takes now."""
        try:
            while self._output:
                del self._output[: self._socket.send(self._output)]
        except BlockingIOError:
            return
        except OSError:
            self._output.clear()

    def feed(self) -> list[Message]:
        """Reads what is there, without waiting. Raises EOFError at end of file, ControlError for what is no message."""
        ended = False
        try:
            while not ended:
                data = self._socket.recv(_READ_SIZE)
                self._input += data
                ended = not data
                if len(data) < _READ_SIZE:
                    break
        except BlockingIOError:
            pass
        except ConnectionError:
            ended = True
        lines = self._input.split(b"\n")
        self._input = lines.pop()
        if len(self._input) > MESSAGE_MAX:
            raise ControlError("a control message above the limit")
        if ended and not lines:
            raise EOFError("the other side of the control socket is gone")
        return [_decode(line) for line in lines]

    def close(self) -> None:
        """Closes the socket; the other side sees end of file."""
        self._socket.close()

    def _wait(self, event: int) -> None:
        poll = select.poll()
        poll.register(self._socket, event)
        poll.poll()
