"""UNWATCH behind MULTI: by the time when it is run, EXEC has forgotten the keys. See transactions.pxd for the others."""
from __future__ import annotations

from shardkv.acceptor.registry import Request, local


@local("unwatch")
def unwatch(request: Request) -> None:
    request.reply.status("OK")
