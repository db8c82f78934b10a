"""CLIENT LIST, INFO, KILL, PAUSE: connections of all acceptors. Those of others are reached by questions."""
from __future__ import annotations

import time
from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any

from shardkv.acceptor.describe import describe, text_of
from shardkv.acceptor.local.replies import integer, shown, unknown_subcommand
from shardkv.acceptor.registry import Host, Request, local, question
from shardkv.errors import SYNTAX, CommandError

if TYPE_CHECKING:
    from shardkv.acceptor.connection import Connection

BAD_REASON = "ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"
BAD_MODE = "ERR CLIENT PAUSE mode must be WRITE or ALL"
TYPES = {b"normal": "normal", b"master": "master", b"replica": "replica", b"slave": "replica", b"pubsub": "pubsub"}
INT64_MAX = (1 << 63) - 1

Filters = dict[str, Any]  # id, ids, type, user, addr, laddr, except (an id): all that are given must fit


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@local("client|info")
def info(request: Request) -> None:
    line = describe(request.client, _now_ms()) + "\n"
    request.reply.verbatim("txt", line.encode("utf-8", "surrogateescape"))


@local("client|list")
def list_(request: Request) -> Awaitable[None]:
    """Describes its own connection at once, while the request still lies in the input, as Redis does."""
    option = request.args[2].lower() if len(request.args) > 2 else b""
    filters: Filters = {}
    if option == b"type" and len(request.args) == 4:
        filters["type"] = _type(request.args[3])
    elif option == b"id" and len(request.args) > 3:
        filters["ids"] = [integer(text, "ERR Invalid client ID") for text in request.args[3:]]
    elif len(request.args) != 2:
        raise CommandError(SYNTAX)
    return _send_list(request, filters, describe(request.client, _now_ms()))


async def _send_list(request: Request, filters: Filters, own: str) -> None:
    found: dict[int, str] = {}
    for lines in await request.server.ask_acceptors("client-list", filters):
        found.update(lines)
    if request.client.id in found:
        found[request.client.id] = own
    wanted = filters.get("ids") or sorted(found)
    text = "".join(f"{found[number]}\n" for number in wanted if number in found)
    request.reply.verbatim("txt", text.encode("utf-8", "surrogateescape"))


@question("client-list")
async def answer_list(server: Host, filters: Filters) -> list[tuple[int, str]]:
    """Returns (id, line) of each of this acceptor's connections that fit."""
    now_ms = _now_ms()
    return [
        (client.id, describe(client, now_ms)) async for client in server.connections() if _fits(client, filters)
    ]


def _fits(client: Connection, filters: Filters) -> bool:
    if not filters:
        return True
    facts = {"id": client.id, "addr": client.addr, "laddr": client.laddr, "type": "normal"}
    facts["user"] = text_of(client.user)
    same = all(facts[name] == filters[name] for name in facts if name in filters)
    return same and client.id in filters.get("ids", (client.id,)) and client.id != filters.get("except")


def _type(text: bytes) -> str:
    if text.lower() not in TYPES:
        raise CommandError(f"ERR Unknown client type '{shown(text)}'")
    return TYPES[text.lower()]


# What is done to connections


@local("client|kill")
async def kill(request: Request) -> None:
    """The old form takes an address, its own too; the new one takes filters, and spares its own unless told."""
    old_form = len(request.args) == 3
    filters, spare_self = _kill_filters([b"addr", request.args[2]] if old_form else request.args[2:])
    spare_self = spare_self and not old_form
    closes_self = not spare_self and _fits(request.client, filters)
    filters["except"] = request.client.id
    killed: int = sum(await request.server.ask_acceptors("client-kill", filters)) + closes_self
    if closes_self:
        request.client.close_after_reply()
    if not old_form:
        request.reply.number(killed)
    elif killed:
        request.reply.status("OK")
    else:
        raise CommandError("ERR No such client")


@question("client-kill")
async def answer_kill(server: Host, filters: Filters) -> int:
    """Closes this acceptor's connections that fit; returns how many."""
    killed = 0
    async for client in server.connections():
        if _fits(client, filters):
            client.kill()
            killed += 1
    return killed


def _kill_filters(options: list[bytes]) -> tuple[Filters, bool]:
    # The filters, and whether the caller is spared.
    filters: Filters = {}
    spare_self = True
    if len(options) % 2:
        raise CommandError(SYNTAX)
    for option, value in zip(options[::2], options[1::2], strict=True):
        match option.lower():
            case b"id":
                filters["id"] = integer(value, "ERR client-id should be greater than 0")
                if filters["id"] < 1:
                    raise CommandError("ERR client-id should be greater than 0")
            case b"type":
                filters["type"] = _type(value)
            case b"addr":
                filters["addr"] = _address(value)
            case b"laddr":
                filters["laddr"] = _address(value)
            case b"user":
                if value != b"default":
                    raise CommandError(f"ERR No such user '{shown(value)}'")
                filters["user"] = "default"
            case b"skipme" if value.lower() in (b"yes", b"no"):
                spare_self = value.lower() == b"yes"
            case _:
                raise CommandError(SYNTAX)
    return filters, spare_self


def _address(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")


@local("client|unblock")
async def unblock(request: Request) -> None:
    """Ends another client's wait, as by its time-out or with an error."""
    reason = request.args[3].lower() if len(request.args) > 3 else b"timeout"
    if len(request.args) > 4:
        raise unknown_subcommand(request.args)
    if reason not in (b"timeout", b"error"):
        raise CommandError(BAD_REASON)
    wanted = {"id": integer(request.args[2]), "with_error": reason == b"error"}
    request.reply.number(int(any(await request.server.ask_acceptors("client-unblock", wanted))))


@question("client-unblock")
async def answer_unblock(server: Host, args: dict[str, Any]) -> bool:
    """Whether one of this acceptor's clients has that id, was blocked, and is not any more."""
    async for client in server.connections():
        if client.id == args["id"]:
            return server.unblock(client, args["with_error"])
    return False


@local("client|pause")
async def pause(request: Request) -> None:
    mode = request.args[3].lower() if len(request.args) > 3 else b"all"
    if len(request.args) > 4:
        raise unknown_subcommand(request.args)
    if mode not in (b"write", b"all"):
        raise CommandError(BAD_MODE)
    timeout = integer(request.args[2], "ERR timeout is not an integer or out of range")
    if timeout < 0:
        raise CommandError("ERR timeout is negative")
    until = _now_ms() + timeout
    if until > INT64_MAX:
        raise CommandError("ERR timeout is out of range")
    await request.server.ask_acceptors("client-pause", {"until_ms": until, "writes_only": mode == b"write"})
    request.reply.status("OK")


@question("client-pause")
def answer_pause(server: Host, args: dict[str, Any]) -> None:
    """Holds back this acceptor's clients."""
    server.pause(args["until_ms"], args["writes_only"])


@local("client|unpause")
async def unpause(request: Request) -> None:
    await request.server.ask_acceptors("client-unpause", {})
    request.reply.status("OK")


@question("client-unpause")
def answer_unpause(server: Host, args: dict[str, Any]) -> None:
    """Lets this acceptor's clients go on."""
    server.unpause()
