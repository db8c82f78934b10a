"""UNWATCH behind MULTI: EXEC has forgotten the keys by then. See transactions.pxd for the other commands."""
from __future__ import annotations

from shardkv.acceptor.registry import Request, local


@local("unwatch")
def unwatch(request: Request) -> None:
    request.reply.status("OK")
