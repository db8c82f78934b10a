"""DEBUG: what tests of the server need, as far as an acceptor does it or passes it on to the workers.

DEBUG has no subcommands in the table, so each is looked up here. Where one concerns data, all workers are asked.
"""
from __future__ import annotations

import logging
import os
import signal
from collections.abc import Awaitable, Callable
from functools import reduce
from operator import xor
from typing import TYPE_CHECKING, Any

from shardkv.acceptor.local.replies import integer, is_local, send_help, shown, unknown_subcommand
from shardkv.acceptor.registry import Request, local
from shardkv.config.kinds import parse_memory
from shardkv.errors import NO_SUCH_KEY, NOT_INTEGER, CommandError
from shardkv.glob import matches

if TYPE_CHECKING:
    from shardkv.resp import Reply

NOT_ALLOWED = (
    'ERR DEBUG command not allowed. If the enable-debug-command option is set to "local", you can run it from a local '
    "connection, otherwise you need to set this option in the configuration file, and then restart the server."
)
WRONG_TYPE_NAME = (
    "ERR Wrong protocol type name. Please use one of the following: "
    "string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false"
)
SLEEP_MAX = 3600.0  # seconds
MATCH_MAX = 1 << 20  # letters
PACKED_THRESHOLD_MAX = (1 << 32) - (1 << 20)  # bytes

HELP = (
    ("DIGEST", "Return a hexadecimal signature of all data."),
    ("DIGEST-VALUE <key> [<key> ...]", "Return the signatures of the values of keys."),
    ("LOG <message>", "Write <message> into the server's log."),
    ("OBJECT <key>", "Return how <key> and its value are stored."),
    ("PANIC", "Kill the first shard's worker."),
    ("PROTOCOL <type>", "Return a test value of the given type."),
    (
        "QUICKLIST-PACKED-THRESHOLD <size>",
        "Give elements of lists that are no shorter a node of their own, whatever else asks for that. 0 restores.",
    ),
    ("RELOAD [option ...]", "Write each value as DUMP does and read it back. Options are taken, without effect."),
    (
        "REPLYBUFFER (PEAK-RESET-TIME (NEVER|RESET|<time>)|RESIZING <0|1>)",
        "Taken, without effect: no buffer is resized on a timer.",
    ),
    ("SEGFAULT", "Kill the first shard's worker."),
    ("SET-ACTIVE-EXPIRE <0|1>", "Switch the search for expired keys off or on."),
    ("SLEEP <seconds>", "Keep all shards busy for <seconds>. Decimals allowed."),
    ("STRINGMATCH-LEN <len> <pattern>", "Match a string of <len> letters a against <pattern>."),
)


@local("debug")
async def debug(request: Request) -> None:
    _check_allowed(request)
    subcommand = request.args[1].lower().decode("utf-8", "replace")
    if subcommand == "help" and len(request.args) == 2:
        send_help(request, HELP)
        return
    known = _SUBCOMMANDS.get(subcommand)
    if known is None or not known[0] <= len(request.args) - 2 <= known[1]:
        raise unknown_subcommand(request.args)
    pending = known[2](request, request.args[2:])
    if pending is not None:
        await pending


def _check_allowed(request: Request) -> None:
    allowed = request.server.settings.get("enable-debug-command")
    if allowed != "yes" and not (allowed == "local" and is_local(request.client)):
        raise CommandError(NOT_ALLOWED)


Handler = Callable[[Request, list[bytes]], Awaitable[None] | None]


# What the acceptor does itself


def _log(request: Request, args: list[bytes]) -> None:
    logging.getLogger("shardkv").warning("DEBUG LOG: %s", shown(args[0]))
    request.reply.status("OK")


def _kill_worker(request: Request, args: list[bytes]) -> None:
    pid = request.server.page.worker_counters(0)["pid"]
    if pid <= 0:
        raise CommandError("ERR the worker is not running")
    os.kill(pid, signal.SIGKILL)
    request.reply.status("OK")


def _stringmatch(request: Request, args: list[bytes]) -> None:
    length = integer(args[0])
    if not 0 <= length <= MATCH_MAX:
        raise CommandError(NOT_INTEGER)
    request.reply.number(matches(args[1], b"a" * length))


def _replybuffer(request: Request, args: list[bytes]) -> None:
    option = args[0].lower()
    if option == b"peak-reset-time":
        if args[1].lower() not in (b"never", b"reset"):
            integer(args[1])
    elif option != b"resizing":
        raise unknown_subcommand(request.args)
    request.reply.status("OK")


def _protocol(request: Request, args: list[bytes]) -> None:
    sample = _SAMPLES.get(args[0].lower())
    if sample is None:
        raise CommandError(WRONG_TYPE_NAME)
    sample(request.reply)


def _three(begin: Callable[[int], object], reply: Reply) -> None:
    begin(3)
    for number in range(3):
        reply.number(number)


def _map(reply: Reply) -> None:
    reply.map(3)
    for number in range(3):
        reply.number(number)
        reply.boolean(number == 1)


def _attribute(reply: Reply) -> None:
    # An attribute is no reply of its own: one follows.
    if reply.resp == 3:
        reply.attribute(1)
        reply.string("key-popularity")
        reply.value(["key:123", 90])
    reply.string("Some real reply following the attribute")


def _push(reply: Reply) -> None:
    if reply.resp == 2:
        raise CommandError("ERR RESP2 is not supported by this command")
    reply.push(2)
    reply.string("server-cpu-usage")
    reply.number(42)
    reply.string("Some real reply following the push reply")


_SAMPLES: dict[bytes, Callable[[Reply], object]] = {
    b"string": lambda reply: reply.string("Hello World"),
    b"integer": lambda reply: reply.number(12345),
    b"double": lambda reply: reply.double(3.141),
    b"bignum": lambda reply: reply.big_number("1234567999999999999999999999999999999"),
    b"null": lambda reply: reply.null(),
    b"array": lambda reply: _three(reply.array, reply),
    b"set": lambda reply: _three(reply.set, reply),
    b"map": _map,
    b"attrib": _attribute,
    b"push": _push,
    b"verbatim": lambda reply: reply.verbatim("txt", b"This is a verbatim\nstring"),
    b"true": lambda reply: reply.boolean(True),
    b"false": lambda reply: reply.boolean(False),
}


# What the workers do


async def _sleep(request: Request, args: list[bytes]) -> None:
    try:
        seconds = float(args[0])
    except ValueError:
        seconds = 0.0
    await request.server.ask_workers(b"@sleep", str(min(max(seconds, 0.0), SLEEP_MAX)).encode())
    request.reply.status("OK")


def _set_active_expire(request: Request, args: list[bytes]) -> None:
    request.server.page.active_expiry = args[0] != b"0"
    request.reply.status("OK")


async def _packed_threshold(request: Request, args: list[bytes]) -> None:
    try:
        size = parse_memory(args[0].decode("utf-8", "replace"))
    except ValueError:
        size = -1
    if not 0 <= size <= PACKED_THRESHOLD_MAX:
        raise CommandError("ERR argument must be a memory value bigger than 1 and smaller than 4gb")
    await request.server.ask_workers(b"@packed-threshold", str(size).encode())
    request.reply.status("OK")


async def _reload(request: Request, args: list[bytes]) -> None:
    # In steps: other requests go on meanwhile, and find each value as it was or as it was read back.
    positions = [b"0"] * request.server.workers
    while any(position != b"-1" for position in positions):
        positions = await request.server.ask_workers(b"@debug-reload", *positions)
    request.reply.status("OK")


async def _object(request: Request, args: list[bytes]) -> None:
    # Only the key's owner finds it.
    answers = await request.server.ask_workers(b"@debug-object", str(request.client.db).encode(), args[0])
    found = next((answer for answer in answers if answer is not None), None)
    if found is None:
        raise CommandError(NO_SUCH_KEY)
    request.reply.status(found.decode())


async def _digest(request: Request, args: list[bytes]) -> None:
    request.reply.status(_combined(await request.server.ask_workers(b"@debug-digest")))


async def _digest_value(request: Request, args: list[bytes]) -> None:
    # A worker that has not the key returns zeros, the digest of a key that does not exist.
    digests = [await request.server.ask_workers(b"@debug-digest", str(request.client.db).encode(), key) for key in args]
    request.reply.array(len(digests))
    for answers in digests:
        request.reply.status(_combined(answers))


def _combined(answers: list[Any]) -> str:
    """Digests of parts are joined by exclusive or, so the order of keys and the number of shards do not matter."""
    return f"{reduce(xor, (int(answer, 16) for answer in answers), 0):040x}"


# Name -> least and most arguments, handler.
_SUBCOMMANDS: dict[str, tuple[int, int, Handler]] = {
    "digest": (0, 0, _digest),
    "digest-value": (1, 1 << 20, _digest_value),
    "log": (1, 1, _log),
    "object": (1, 2, _object),
    "panic": (0, 0, _kill_worker),
    "protocol": (1, 1, _protocol),
    "quicklist-packed-threshold": (1, 1, _packed_threshold),
    "reload": (0, 8, _reload),
    "replybuffer": (2, 2, _replybuffer),
    "segfault": (0, 0, _kill_worker),
    "set-active-expire": (1, 1, _set_active_expire),
    "sleep": (1, 1, _sleep),
    "stringmatch-len": (2, 2, _stringmatch),
}
