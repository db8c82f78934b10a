"""Internal commands: what acceptors ask of workers on their own account, or for CONFIG, DEBUG and MEMORY.

    @settings                take those in the control page: whoever gets the reply knows that they are in force
    @reset-statistics        count from zero
    @purge                   give free memory back to the system
    @sleep seconds           keep the worker busy
"""
from __future__ import annotations

import time

from workers.call import Call
from workers.registry import command


@command("@settings")
def settings(call: Call) -> None:
    """Takes the settings that the supervisor has published."""
    call.worker.take_settings()
    call.reply.status("OK")


@command("@reset-statistics")
def reset_statistics(call: Call) -> None:
    """Counts from zero."""
    call.worker.page.reset("worker", call.worker.index)
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
