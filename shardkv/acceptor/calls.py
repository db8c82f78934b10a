"""Runs local handlers: finds the one of a command, gives it a Request, and turns what it does into one reply."""
from __future__ import annotations

import asyncio
import importlib
import logging
import pkgutil
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

import shardkv.acceptor.local as local_package
from shardkv.acceptor.registry import Handler, Host, Request, Session, effects, handlers
from shardkv.commands import table
from shardkv.commands.spec import Command, Route
from shardkv.errors import CommandError
from shardkv.resp import Reply

if TYPE_CHECKING:
    from shardkv.acceptor.connection import Connection

Complete = Callable[["Connection", int, bytes], None]  # takes the reply of a request by its number in its connection

INTERNAL_ERROR = "ERR internal error, see the server's log"

log = logging.getLogger("shardkv")


def load_handlers(commands: Sequence[Command]) -> list[Handler | None]:
    """Imports every module of local handlers, which registers them; returns them by command id.

    Raises LookupError when a local command has none.
    """
    for module in pkgutil.iter_modules(local_package.__path__):
        importlib.import_module(f"{local_package.__name__}.{module.name}")
    missing = [c.name for c in commands if c.route is Route.LOCAL and not c.subcommands and c.name not in handlers]
    if missing:
        raise LookupError(f"no local handler of {', '.join(missing)}")
    return [handlers.get(command.name) for command in commands]


class LocalCalls:
    """The local handlers by command id, run for a process that they see as `host`."""

    def __init__(self, local_handlers: Sequence[Handler | None], host: Host, complete: Complete) -> None:
        """`local_handlers` are by command id; `complete` takes replies that come later."""
        self._handlers, self._host, self._complete = local_handlers, host, complete
        self._names = [command.name for command in table.COMMANDS]
        self._tasks: set[asyncio.Task[None]] = set()

    def call(self, number: int, client: Connection, args: list[bytes], sequence: int) -> bytes | None:
        """Runs the handler of command `number`. Returns RESP, or None when the reply comes later, by `complete`."""
        reply = Reply()
        reply.resp = client.resp
        request = Request(args, client, reply, self._host)
        handler = self._handlers[number]
        try:
            if handler is None:
                raise CommandError(f"ERR no handler of '{args[0].decode('latin-1')}'")
            waiting = handler(request)
        except CommandError as error:
            return self._failed(client, error.text)
        except Exception:
            log.exception("a local command failed")
            return self._failed(client, INTERNAL_ERROR)
        if waiting is None:
            return reply.getvalue()
        task = asyncio.ensure_future(self._finish(waiting, request, sequence))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return None

    def foresee(self, number: int, args: list[bytes]) -> Session:
        """What local command `number` will have changed of its connection once it is run."""
        try:
            return effects[self._names[number]](self._host, args)
        except CommandError:
            return Session()

    async def _finish(self, waiting: Awaitable[None], request: Request, sequence: int) -> None:
        try:
            await waiting
            reply = request.reply.getvalue()
        except CommandError as error:
            reply = self._failed(request.client, error.text)
        except Exception:
            log.exception("a local command failed")
            reply = self._failed(request.client, INTERNAL_ERROR)
        self._complete(request.client, sequence, reply)

    @staticmethod
    def _failed(client: Connection, text: str) -> bytes:
        reply = Reply()
        reply.resp = client.resp
        reply.error(text)
        return reply.getvalue()
