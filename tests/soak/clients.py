"""Clients of the soak: threads that ask, note what they asked and what they were told, and connect again when their
acceptor dies."""
from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable
from typing import Any

from tests.checkers.history import Operation
from tests.wire import Wire

PATIENCE = 20.0  # seconds until a connection must be had again
Words = tuple[bytes | str | int, ...]


class ErrorReply(Exception):
    """An error that no client should have seen."""


class Lost(Exception):
    """The connection was lost with requests under way: nobody knows whether they happened."""


class Connection:
    """A connection that is made again when it is lost."""

    def __init__(self, port: int) -> None:
        self.port, self.losses = port, 0
        self._wire: Wire | None = None

    def ask(self, *words: bytes | str | int) -> Any:
        """The reply to a command; raises Lost, and ErrorReply for an error."""
        return self.ask_all([words])[0]

    def insist(self, *words: bytes | str | int) -> Any:
        """The reply to a command that may be sent again."""
        while True:
            try:
                return self.ask(*words)
            except Lost:
                continue

    def ask_all(self, requests: list[Words]) -> list[Any]:
        """The replies to commands that are sent in one go."""
        encoded = [[word if isinstance(word, bytes) else str(word).encode() for word in words] for words in requests]
        if self._wire is None:
            self._wire = self._connect()
        try:
            replies = self._wire.ask_all(encoded)
        except (EOFError, ConnectionError) as error:
            self.losses += 1
            self.close()
            raise Lost(requests) from error
        for words, reply in zip(requests, replies, strict=True):
            for part in reply if isinstance(reply, list) else [reply]:
                if isinstance(part, str) and part.startswith("-"):
                    raise ErrorReply(f"{words}: {part}")
        return replies

    def transaction(self, steps: list[Words]) -> Any:
        """The reply to EXEC, None when a watched key was touched."""
        replies = self.ask_all([("MULTI",), *steps, ("EXEC",)])
        if any(reply != "+QUEUED" for reply in replies[1:-1]):
            raise ErrorReply(f"{steps}: {replies}")
        return replies[-1]

    def close(self) -> None:
        """Hangs up."""
        if self._wire is not None:
            self._wire.__exit__()
            self._wire = None

    def _connect(self) -> Wire:
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                wire = Wire(self.port)
                if wire.ask("PING") == "+PONG":
                    return wire
            except (EOFError, ConnectionError):
                pass
            if time.monotonic() > deadline:
                raise TimeoutError("no acceptor takes a connection")
            time.sleep(0.01)


class Client(threading.Thread):
    """Calls `turn` again and again until it is told to stop; keeps what goes wrong."""

    def __init__(self, name: str, port: int, turn: Callable[[Client], None], seed: int) -> None:
        super().__init__(name=name, daemon=True)
        self.connection = Connection(port)
        self.turn = turn
        self.dice = random.Random(seed)
        self.history: list[Operation] = []
        self.turns = 0
        self.failure: BaseException | None = None
        self.stop = threading.Event()

    def run(self) -> None:
        try:
            while not self.stop.is_set():
                self.turn(self)
                self.turns += 1
        except BaseException as failure:
            self.failure = failure
        finally:
            self.connection.close()

    def note(self, name: str, args: tuple[Any, ...], ask: Callable[[], Any]) -> Any:
        """Asks, and keeps it as an operation; None when the connection was lost."""
        begun = time.monotonic()
        try:
            result = ask()
        except BaseException as error:
            self.history.append(Operation(name, args, None, begun, math.inf, self.name))
            if isinstance(error, Lost):
                return None
            raise
        self.history.append(Operation(name, args, result, begun, time.monotonic(), self.name))
        return result

    def ask(self, *words: bytes | str | int) -> Any:
        """The reply, which is no part of the history; None when the connection was lost."""
        try:
            return self.connection.ask(*words)
        except Lost:
            return None
