"""OBJECT HELP. The other subcommands of OBJECT belong to the worker that has the key."""
from __future__ import annotations

from typing import TYPE_CHECKING

from shardkv.acceptor.local.replies import send_help
from shardkv.acceptor.registry import local

if TYPE_CHECKING:
    from shardkv.acceptor.registry import Request

HELP = (
    ("ENCODING <key>", "Return how the value of <key> is kept in memory."),
    ("FREQ <key>", "Return the logarithmic counter of accesses to <key>."),
    ("IDLETIME <key>", "Return the seconds since <key> was last accessed."),
    ("REFCOUNT <key>", "Return the number of references to the value of <key>."),
)


@local("object|help")
def help_(request: Request) -> None:
    send_help(request, HELP)
