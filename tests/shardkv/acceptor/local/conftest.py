"""An acceptor's handlers without its sockets: table, settings, control page and replies are real, peers are fakes."""
from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import pkgutil
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

import shardkv.acceptor.local as local_package
from shardkv.acceptor import registry
from shardkv.acceptor.registry import Request
from shardkv.config.settings import Settings
from shardkv.errors import CommandError
from shardkv.resp import Reply
from shardkv.stats import ControlPage

for module in pkgutil.iter_modules(local_package.__path__):
    importlib.import_module(f"{local_package.__name__}.{module.name}")


class Error(str):
    """An error reply's text."""


class Status(str):
    """A simple string."""


class Pairs(list):
    """A RESP3 map, in order."""


class Members(list):
    """A RESP3 set, in order."""


class Verbatim(bytes):
    """A RESP3 verbatim string's text."""


class FakeConnection:
    def __init__(self, number: int) -> None:
        self.id = number
        self.name = self.lib_name = self.lib_ver = b""
        self.user = "default"
        self.addr, self.laddr = f"127.0.0.1:{40000 + number}", "127.0.0.1:6379"
        self.fd, self.db, self.resp = 7 + number, 0, 2
        self.authenticated, self.unix = True, False
        self.created_ms = self.active_ms = time.time_ns() // 1_000_000
        self.last_command = -1
        self.no_touch = self.no_evict = self.closing = False
        self.reply_mode = "on"
        self.query_bytes = self.query_free = self.argument_bytes = self.output_bytes = 0
        self.output_list_length = self.output_memory = self.memory = 0
        self.multi, self.multi_memory = -1, 0
        self.killed = self.forgotten = self.touched = self.blocked = False

    def close_after_reply(self) -> None:
        self.closing = True

    def forget_transaction(self) -> None:
        self.forgotten = True

    def kill(self) -> None:
        self.killed = True


class FakeServer:
    """Answers of workers and of the supervisor are looked up in `answers`; what was asked is kept."""

    index, acceptors, workers, loading = 0, 1, 2, False
    run_id, config_file, epoch = "f" * 40, "", 1

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(str(folder))
        self.page = ControlPage.create(str(folder / "control"), self.acceptors, self.workers)
        self.clients = [FakeConnection(number) for number in (1, 2, 3)]
        self.asked: list[tuple[Any, ...]] = []
        self.answers: dict[Any, Any] = {}
        self.paused: tuple[int, bool] | None = None

    async def connections(self) -> AsyncIterator[FakeConnection]:
        for client in self.clients:
            yield client

    def pause(self, until_ms: int, writes_only: bool) -> None:
        self.paused = (until_ms, writes_only)

    def unpause(self) -> None:
        self.paused = None

    def unblock(self, connection: FakeConnection, with_error: bool) -> bool:
        return False

    async def ask_workers(self, *words: bytes) -> list[Any]:
        self.asked.append(words)
        return self.answers.get(words[0], [b"OK"] * self.workers)

    async def ask_acceptors(self, kind: str, args: dict[str, Any]) -> list[Any]:
        # Through JSON, as in life.
        answer = registry.questions[kind](self, json.loads(json.dumps(args)))
        if inspect.isawaitable(answer):
            answer = await answer
        return [json.loads(json.dumps(answer))]

    async def ask_supervisor(self, kind: str, args: dict[str, Any]) -> Any:
        self.asked.append((kind, args))
        answer = self.answers.get(kind)
        if isinstance(answer, CommandError):
            raise answer
        return answer


def decode(data: bytes) -> Any:
    """The one RESP value that `data` holds."""
    value, rest = _decode(data)
    assert rest == b""
    return value


def _decode(data: bytes) -> tuple[Any, bytes]:
    line, _, rest = data.partition(b"\r\n")
    kind, head = line[:1], line[1:].decode()
    if kind in b"$=":
        if head == "-1":
            return None, rest
        size = int(head)
        body = rest[:size]
        return (Verbatim(body[4:]) if kind == b"=" else body), rest[size + 2 :]
    if kind in b"*~%>":
        count = int(head) * (2 if kind == b"%" else 1)
        items = []
        for _ in range(count):
            item, rest = _decode(rest)
            items.append(item)
        if kind == b"%":
            return Pairs(zip(items[::2], items[1::2], strict=True)), rest
        return (Members(items) if kind == b"~" else items), rest
    plain = {
        b"+": Status,
        b"-": Error,
        b":": int,
        b",": float,
        b"(": int,
        b"_": lambda _: None,
        b"#": lambda text: text == "t",
    }
    return plain[kind](head), rest


@pytest.fixture
def server(tmp_path: Path) -> FakeServer:
    return FakeServer(tmp_path)


@pytest.fixture
def client(server: FakeServer) -> FakeConnection:
    """The connection that `ask` speaks for."""
    return server.clients[0]


Ask = Callable[..., Any]


@pytest.fixture
def raw_ask(server: FakeServer, client: FakeConnection) -> Callable[..., bytes]:
    """Runs a command line through its handler and answers the bytes of the reply."""

    def ask(line: str | list[bytes], resp: int = 2) -> bytes:
        args = line.encode().split() if isinstance(line, str) else line
        name = args[0].lower().decode("latin-1")
        subcommand = f"{name}|{args[1].lower().decode('latin-1')}" if len(args) > 1 else ""
        if subcommand in registry.handlers:
            name = subcommand
        reply = Reply()
        client.resp = reply.resp = resp
        try:
            result = registry.handlers[name](Request(args, client, reply, server))  # type: ignore[arg-type]
            if inspect.isawaitable(result):
                asyncio.run(result)
        except CommandError as error:
            return f"-{error.text}\r\n".encode()
        return bytes(reply.getvalue())

    return ask


@pytest.fixture
def ask(raw_ask: Callable[..., bytes]) -> Ask:
    """Like raw_ask, but answers the reply's value."""
    return lambda *args, **more: decode(raw_ask(*args, **more))
