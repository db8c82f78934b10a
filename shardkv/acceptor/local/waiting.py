"""WAIT and WAITAOF, as a master without replicas and without an append-only file answers them."""
from __future__ import annotations

import time

from shardkv.acceptor.local.replies import integer
from shardkv.acceptor.registry import Request, local
from shardkv.errors import CommandError

INT64_MAX = (1 << 63) - 1
NO_FILE = "ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled."


def _timeout(text: bytes) -> int:
    """Milliseconds, 0 for ever. Raises CommandError."""
    timeout = integer(text, "ERR timeout is not an integer or out of range")
    if timeout < 0:
        raise CommandError("ERR timeout is negative")
    if timeout > INT64_MAX - time.time_ns() // 1_000_000:
        raise CommandError("ERR timeout is out of range")
    return timeout


@local("wait")
def wait(request: Request) -> None:
    """No replica ever has anything."""
    replicas = integer(request.args[1])
    timeout = _timeout(request.args[2])
    if replicas > 0:
        request.client.wait_ms = timeout
    request.reply.number(0)


@local("waitaof")
def waitaof(request: Request) -> None:
    files = integer(request.args[1])
    if files not in (0, 1):
        raise CommandError("ERR value is out of range, value must between 0 and 1")
    replicas = integer(request.args[2])
    if replicas < 0:
        raise CommandError("ERR value is out of range, must be positive")
    timeout = _timeout(request.args[3])
    if files:
        raise CommandError(NO_FILE)
    if replicas:
        request.client.wait_ms = timeout
    request.reply.value([0, 0])
