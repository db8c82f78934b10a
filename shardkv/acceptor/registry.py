"""What an acceptor answers itself: LOCAL commands, and questions that acceptors ask each other, by name."""
from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from shardkv.acceptor.connection import Connection
    from shardkv.acceptor.server import Server
    from shardkv.resp import Reply


@dataclass(slots=True)
class Request:
    """One request as a local handler sees it. `args` has the command's name, and a subcommand's, in front."""

    args: list[bytes]
    client: Connection
    reply: Reply  # speaks the client's RESP version
    server: Server


Handler = Callable[[Request], Awaitable[None] | None]
Question = Callable[["Server", Any], Any]

handlers: dict[str, Handler] = {}
questions: dict[str, Question] = {}


def local(name: str) -> Callable[[Handler], Handler]:
    """Registers the handler of `name` (lower case, `container|sub`); it writes one reply or raises CommandError."""

    def register(handler: Handler) -> Handler:
        if name in handlers:
            raise ValueError(f"two local handlers of {name}")
        handlers[name] = handler
        return handler

    return register


def question(kind: str) -> Callable[[Question], Question]:
    """Registers what answers a question of another acceptor; arguments and answer go through JSON."""

    def register(answer: Question) -> Question:
        if kind in questions:
            raise ValueError(f"two answers to {kind}")
        questions[kind] = answer
        return answer

    return register
