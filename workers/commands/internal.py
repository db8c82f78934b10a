"""Internal commands: what acceptors ask of workers on their own account, or for CONFIG, DEBUG and MEMORY.

    @config name value …     directives that changed, as canonical texts
    @set-active-expire 0|1   whether expired keys are searched for
    @purge                   give free memory back to the system
    @sleep seconds           keep the worker busy
"""
from __future__ import annotations

import time

from workers.call import Call
from workers.registry import command


@command("@config")
def config(call: Call) -> None:
    """Takes changed directives."""
    words = [word.decode("utf-8", "surrogateescape") for word in call.args()[1:]]
    call.worker.configure(dict(zip(words[::2], words[1::2], strict=True)))
    call.reply.status("OK")


@command("@set-active-expire")
def set_active_expire(call: Call) -> None:
    """Switches active expiry on or off."""
    call.worker.housekeeping.active_expire = call.arg(1) != b"0"
    call.reply.status("OK")


@command("@purge")
def purge(call: Call) -> None:
    """Has nothing left to do: the arena gives free runs of pages back after the commit that freed them."""
    call.reply.status("OK")


@command("@sleep")
def sleep(call: Call) -> None:
    """Keeps the worker from doing anything else for some seconds."""
    time.sleep(float(call.arg(1)))
    call.reply.status("OK")
