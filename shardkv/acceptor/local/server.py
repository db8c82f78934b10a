"""Commands on the server as a whole that need no data: TIME, SHUTDOWN, ROLE, LASTSAVE, LOLWUT."""
from __future__ import annotations

import random
import time

from shardkv import REDIS_VERSION, __version__
from shardkv.acceptor.local.replies import integer
from shardkv.acceptor.registry import Request, local
from shardkv.errors import SYNTAX, CommandError

COLUMNS, ROWS = 66, 12


@local("time")
def time_(request: Request) -> None:
    """Unix time: whole seconds, and the microseconds beyond them."""
    request.reply.value([str(part) for part in divmod(time.time_ns() // 1000, 1_000_000)])


@local("role")
def role(request: Request) -> None:
    """A master without replicas, its replication offset zero."""
    request.reply.value(["master", 0, []])


@local("lastsave")
def lastsave(request: Request) -> None:
    """Unix time of the last save; as none is made yet, that of the start, which is what Redis says then."""
    request.reply.number(request.server.page.started_ms // 1000)


@local("shutdown")
async def shutdown(request: Request) -> None:
    """Stops all processes. A reply would mean that it failed: the connection closes when its acceptor ends."""
    words = {word.lower() for word in request.args[1:]}
    aborts = b"abort" in words
    if (
        words - {b"nosave", b"save", b"now", b"force", b"abort"}
        or {b"nosave", b"save"} <= words
        or (aborts and len(words) > 1)
    ):
        raise CommandError(SYNTAX)
    if aborts:
        raise CommandError("ERR No shutdown in progress.")
    await request.server.ask_supervisor("shutdown", {"nosave": b"nosave" in words})


@local("lolwut")
def lolwut(request: Request) -> None:
    """A skyline, its houses as different as shards should not be, and the version."""
    args = request.args[1:]
    if len(args) > 1 and args[0].lower() == b"version":
        integer(args[1])
    heights = [random.randint(1, ROWS - 2) for _ in range(COLUMNS // 3)]
    rows = ["".join("█▓ " if height > ROWS - row else "   " for height in heights).rstrip() for row in range(2, ROWS)]
    picture = "\n".join((*rows, "▀" * COLUMNS, f"shardkv ver. {__version__}, speaks as Redis ver. {REDIS_VERSION}", ""))
    request.reply.verbatim("txt", picture.encode())
