"""Server: the acceptor process as its local handlers see it; settings, questions to workers and other processes."""
from __future__ import annotations

import asyncio
import inspect
import itertools
import logging
import os
import time
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import uvloop

from shardkv.acceptor.calls import LocalCalls, load_handlers
from shardkv.acceptor.connection import Connection
from shardkv.acceptor.decode import decode
from shardkv.acceptor.reactor import Reactor
from shardkv.acceptor.registry import questions
from shardkv.acceptor.specs import CommandTable
from shardkv.commands import table
from shardkv.config import Settings
from shardkv.control import Channel, Message
from shardkv.descriptors import beside_clients, raise_limit
from shardkv.errors import CommandError
from shardkv.hashing import set_secret
from shardkv.log import Log
from shardkv.stats import ControlPage

# Made before any fork: all acceptors share them.
SPECS = CommandTable(table.COMMANDS)
HANDLERS = load_handlers(table.COMMANDS)

TICK_SECONDS = 0.1
STOP_SECONDS = 0.5  # for replies on their way when the supervisor says stop
STEP = 128  # connections looked at in one turn of the loop, which takes some milliseconds
RETRY_SECONDS = 0.001  # until a question that found a full ring is tried again

# Directives that the hot path has copies of.
WATCHED = (
    "busy-poll-us", "client-output-buffer-limit", "client-query-buffer-limit", "maxclients", "proto-max-bulk-len",
    "protected-mode", "requirepass", "tcp-keepalive", "timeout",
)


class _LogHandler(logging.Handler):
    """Passes what is logged on to the server's log; each line of a traceback is a line of the log."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        write = self._log.warning if record.levelno >= logging.WARNING else self._log.notice
        write(record.getMessage())
        if record.exc_info:
            for line in logging.Formatter().formatException(record.exc_info).splitlines():
                write(line)


class Server:
    """One acceptor process; see docs/architecture.md, section 6, for the messages it exchanges with the supervisor."""

    def __init__(self, assignment: dict[str, Any], channel: Channel) -> None:
        """Takes over what `assignment` says. Raises OSError, RingError, ControlPageError."""
        set_secret(bytes.fromhex(assignment["secret"]))
        self.index: int = assignment["index"]
        self.acceptors: int = assignment["acceptors"]
        self.workers: int = assignment["workers"]
        self.epoch: int = assignment["epoch"]
        self.run_id: str = assignment["run_id"]
        self.config_file: str = assignment["config_file"]
        self.settings = Settings.from_wire(assignment["settings"])
        self.page = ControlPage.open(os.path.join(assignment["folder"], "control"))
        self.page.set_counter("acceptor", self.index, "pid", os.getpid())
        self.page.set_counter("acceptor", self.index, "started_ms", int(time.time() * 1000))
        self.loop = uvloop.new_event_loop()
        self._channel = channel
        self._numbers = itertools.count(1)
        self._asked_workers: dict[int, tuple[asyncio.Future[list[Any]], dict[int, bytes]]] = {}
        self._asked_supervisor: dict[int, asyncio.Future[list[Any]]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._pause_end: asyncio.TimerHandle | None = None
        self._start_logging()
        calls = LocalCalls(HANDLERS, self, self._complete)
        self.reactor = Reactor(self.loop, self, SPECS, assignment, self.page, calls)
        self._beside_clients = beside_clients(self.acceptors, self.workers, len(assignment["listen"]))
        self.settings.guard("maxclients", self._check_clients)
        self._set_loading(assignment["loading"])
        self._configure("")
        for name in WATCHED:
            self.settings.on_change(name, self._configure)

    def _start_logging(self) -> None:
        log = Log("A", self.settings.get("loglevel"), self.settings.get("logfile"))
        self.settings.on_change("loglevel", log.set_level)
        logger = logging.getLogger("shardkv")
        logger.addHandler(_LogHandler(log))
        logger.propagate = False
        logger.setLevel(logging.INFO)

    def _configure(self, text: str) -> None:
        raise_limit(self.settings.number("maxclients") + self._beside_clients)
        self.reactor.configure(self.settings)

    def _check_clients(self, count: int) -> None:
        # Raises ValueError when there cannot be descriptors for so many clients; what this process may, all may.
        possible = raise_limit(count + self._beside_clients) - self._beside_clients
        if possible < count:
            raise ValueError(
                "The operating system is not able to handle the specified number of clients, "
                f"try with {max(possible, 0)}"
            )

    def _set_loading(self, loading: bool) -> None:
        self.loading = loading
        self.reactor.set_loading(loading)

    def run(self) -> None:
        """Serves until the supervisor says stop or is gone."""
        asyncio.set_event_loop(self.loop)
        self.loop.add_reader(self.reactor.fileno(), self.reactor.turn)
        self.loop.add_reader(self._channel.fileno(), self._control)
        self.loop.call_later(TICK_SECONDS, self._tick)
        self.reactor.kick()  # a predecessor may have left replies that nobody will announce again
        self._channel.send({"type": "ready"})
        self.loop.run_forever()

    def _tick(self) -> None:
        self.reactor.tick()
        self.loop.call_later(TICK_SECONDS, self._tick)

    async def connections(self) -> AsyncIterator[Connection]:
        """Yields this acceptor's connections; after every STEP of them the loop serves who waits.

        One that is closed meanwhile is left out. One that comes meanwhile may be.
        """
        place = 1
        while place:
            connections, place = self.reactor.connections(place, STEP)
            for connection in connections:
                yield connection
            self.reactor.kick()  # what was done to them takes effect
            await asyncio.sleep(0)

    def _complete(self, client: Connection, sequence: int, reply: bytes) -> None:
        self.reactor.complete(client, sequence, reply)

    def unblock(self, connection: Connection, with_error: bool) -> bool:
        """Ends the wait of a client that is blocked, as by its time-out or with an error; False: it is not."""
        return self.reactor.unblock(connection, with_error)

    # -- CLIENT PAUSE

    def pause(self, until_ms: int, writes_only: bool) -> None:
        """Lets commands wait until a unix time in milliseconds: all of them, or those that write."""
        self._forget_pause_end()
        self.reactor.pause(writes_only)
        self._pause_end = self.loop.call_later(max(until_ms / 1000 - time.time(), 0), self.unpause)

    def unpause(self) -> None:
        """Lets commands go on at once."""
        self._forget_pause_end()
        self.reactor.unpause()

    def _forget_pause_end(self) -> None:
        if self._pause_end:
            self._pause_end.cancel()
            self._pause_end = None

    # -- questions to the workers

    async def ask_workers(self, name: bytes, *args: bytes) -> list[Any]:
        """Has every worker run an internal command, behind what was sent to it before; returns their values in order.

        Raises CommandError when one of them replies with an error.
        """
        number = next(self._numbers)
        future: asyncio.Future[list[Any]] = self.loop.create_future()
        self._asked_workers[number] = future, {}
        for worker in range(self.workers):
            while not self.reactor.ask(worker, number, [name, *args]):
                await asyncio.sleep(RETRY_SECONDS)
        return await future

    def answered(self, number: int, worker: int, reply: bytes) -> None:
        """Takes a worker's reply; the reactor calls it."""
        future, replies = self._asked_workers.get(number, (None, {}))
        replies[worker] = reply
        if future is None or len(replies) < self.workers:
            return
        del self._asked_workers[number]
        try:
            future.set_result([decode(replies[index]) for index in range(self.workers)])
        except CommandError as error:
            future.set_exception(error)
        except (ValueError, KeyError) as error:
            future.set_exception(CommandError(f"ERR internal error: {error}"))

    # -- questions to the supervisor, and through it to the acceptors

    async def ask_acceptors(self, kind: str, args: dict[str, Any]) -> list[Any]:
        """Has every acceptor, this one too, answer question `kind`; returns what those that live said, in order."""
        if self.acceptors == 1:
            return [await self._answer_to(kind, args)]
        return await self._ask({"type": "ask", "kind": kind, "args": args})

    async def ask_supervisor(self, kind: str, args: dict[str, Any]) -> list[Any]:
        """Sends a request of `kind` and waits for its answer. Raises CommandError when it is refused."""
        return await self._ask({"type": kind, **args})

    async def _answer_to(self, kind: str, args: dict[str, Any]) -> Any:
        answer = questions[kind](self, args) if kind in questions else None
        return await answer if inspect.isawaitable(answer) else answer

    async def _ask(self, message: Message) -> list[Any]:
        number = next(self._numbers)
        future: asyncio.Future[list[Any]] = self.loop.create_future()
        self._asked_supervisor[number] = future
        self._channel.send({**message, "id": number})
        return await future

    def _control(self) -> None:
        try:
            messages = self._channel.feed()
        except EOFError:
            os._exit(0)  # the supervisor is gone: nothing here is worth saving
        for message in messages:
            self._handle(message)

    def _handle(self, message: Message) -> None:
        match message["type"]:
            case "config":
                self.settings.apply(message["changes"])
                self._channel.send({"type": "answer", "id": message["id"]})
            case "ask":
                self._start(self._answer_question(message))
            case "answer":
                self._take_answer(message)
            case "loaded":
                self._set_loading(False)
            case "stop":
                self._stop()

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = self.loop.create_task(work)
        self._tasks.add(task)  # the loop itself holds only a weak reference
        task.add_done_callback(self._tasks.discard)

    async def _answer_question(self, message: Message) -> None:
        value = await self._answer_to(message["kind"], message["args"])
        self._channel.send({"type": "answer", "id": message["id"], "value": value})

    def _take_answer(self, message: Message) -> None:
        future = self._asked_supervisor.pop(message["id"], None)
        if future is None or future.done():
            return
        if "error" in message:
            future.set_exception(CommandError(message["error"]))
        else:
            future.set_result(message["values"])

    def _stop(self) -> None:
        self.reactor.stop_accepting()
        self._end_when_idle(self.loop.time() + STOP_SECONDS)

    def _end_when_idle(self, deadline: float) -> None:
        if self.reactor.idle() or self.loop.time() > deadline:
            self.loop.stop()
        else:
            self.loop.call_later(RETRY_SECONDS, self._end_when_idle, deadline)
