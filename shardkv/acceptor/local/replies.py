"""What local handlers share: strict numbers, choices, help texts, the error for a subcommand that is none."""
from __future__ import annotations

import ipaddress
import re
from typing import TYPE_CHECKING

from shardkv.errors import NOT_INTEGER, SYNTAX, CommandError

if TYPE_CHECKING:
    from shardkv.acceptor.connection import Connection
    from shardkv.acceptor.registry import Request

_INTEGER = re.compile(rb"0|-?[1-9][0-9]{0,18}")
_INT64_MAX = (1 << 63) - 1


def integer(text: bytes, error: str = NOT_INTEGER) -> int:
    """The 64-bit integer `text` stands for, in Redis's canonical form. Raises CommandError with `error`."""
    if _INTEGER.fullmatch(text) is None or not -_INT64_MAX - 1 <= int(text) <= _INT64_MAX:
        raise CommandError(error)
    return int(text)


def on_or_off(text: bytes) -> bool:
    """Reads ON or OFF. Raises CommandError for anything else."""
    if text.lower() not in (b"on", b"off"):
        raise CommandError(SYNTAX)
    return text.lower() == b"on"


def is_local(client: Connection) -> bool:
    """Whether the client is on this host: on the unix socket or a loopback address."""
    try:
        return client.unix or ipaddress.ip_address(client.addr.rpartition(":")[0].strip("[]")).is_loopback
    except ValueError:
        return False


def shown(text: bytes) -> str:
    """A client's bytes as they may stand in an error text."""
    return text[:128].decode("utf-8", "surrogateescape")


def unknown_subcommand(args: list[bytes]) -> CommandError:
    """The error for a subcommand that its container knows, but not with these arguments (or not at all)."""
    container = shown(args[0]).upper()
    return CommandError(
        f"ERR unknown subcommand or wrong number of arguments for '{shown(args[1])}'. Try {container} HELP."
    )


def send_help(request: Request, usage: tuple[tuple[str, ...], ...]) -> None:
    """Writes a container's help: for each subcommand its usage and, indented, what it does."""
    lines = [f"{shown(request.args[0]).upper()} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"]
    for head, *description in (*usage, ("HELP", "Print this help.")):
        lines += [head, *(f"    {line}" for line in description)]
    request.reply.array(len(lines))
    for line in lines:
        request.reply.status(line)
