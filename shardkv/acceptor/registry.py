"""What an acceptor replies to itself: LOCAL commands, and questions that acceptors ask each other, by name.

Handlers know the process they run in as a Host, and nothing of how it is put together.
"""
from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from shardkv.acceptor.connection import Connection
    from shardkv.config import Settings
    from shardkv.resp import Reply
    from shardkv.stats import ControlPage


class Host(Protocol):
    """The acceptor process as a handler sees it: shardkv.acceptor.server.Server."""

    settings: Settings
    page: ControlPage
    index: int
    workers: int
    loading: bool  # not every shard has been served yet
    run_id: str
    config_file: str

    def connections(self) -> AsyncIterator[Connection]:
        """Yields this acceptor's connections, and lets others go on after every few of them."""

    def pause(self, until_ms: int, writes_only: bool) -> None:
        """Lets commands wait until a unix time in milliseconds: all of them, or those that write."""

    def unblock(self, connection: Connection, with_error: bool) -> bool:
        """Ends the wait of a client that is blocked, as by its time-out or with an error; False: it is not."""

    def unpause(self) -> None:
        """Lets commands go on at once."""

    async def ask_workers(self, name: bytes, *args: bytes) -> list[Any]:
        """Has every worker run an internal command; returns their values in order. Raises CommandError."""

    async def ask_acceptors(self, kind: str, args: dict[str, Any]) -> list[Any]:
        """Puts question `kind` to every acceptor, this one too; returns their answers in order."""

    async def ask_supervisor(self, kind: str, args: dict[str, Any]) -> list[Any]:
        """Sends the supervisor a request of `kind` and waits for it. Raises CommandError when it is refused."""


@dataclass(slots=True)
class Request:
    """One request as a local handler sees it. `args` has the command's name, and a subcommand's, in front."""

    args: list[bytes]
    client: Connection
    reply: Reply  # speaks the client's RESP version
    server: Host


class Session(NamedTuple):
    """What a local command changes of its connection that matters to the commands behind it; None: nothing."""

    database: int | None = None
    resp: int | None = None
    no_touch: bool | None = None


Effect = Callable[["Host", list[bytes]], Session]
Handler = Callable[[Request], Awaitable[None] | None]
Question = Callable[[Host, Any], Any]  # an awaitable, if it takes more than a moment

handlers: dict[str, Handler] = {}
effects: dict[str, Effect] = {}
questions: dict[str, Question] = {}


def local(name: str) -> Callable[[Handler], Handler]:
    """Registers the handler of `name` (lower case, `container|sub`); it writes one reply or raises CommandError."""

    def register(handler: Handler) -> Handler:
        if name in handlers:
            raise ValueError(f"two local handlers of {name}")
        handlers[name] = handler
        return handler

    return register


def effect(name: str) -> Callable[[Effect], Effect]:
    """Registers what local command `name` will change of its connection. It raises CommandError if it will fail."""

    def register(foresee: Effect) -> Effect:
        if name in effects:
            raise ValueError(f"two effects of {name}")
        effects[name] = foresee
        return foresee

    return register


def question(kind: str) -> Callable[[Question], Question]:
    """Registers what answers a question of another acceptor; arguments and answer go through JSON."""

    def register(answer: Question) -> Question:
        if kind in questions:
            raise ValueError(f"two answers to {kind}")
        questions[kind] = answer
        return answer

    return register
