"""A worker process. It starts unassigned, imports what it will need, and waits for a shard from the supervisor."""
from __future__ import annotations

import os
import signal
import sys
from typing import Any

from setproctitle import setproctitle

from shardkv.commands.table import COMMANDS
from shardkv.control import Channel, child_channel
from shardkv.hashing import set_secret
from shardkv.stats import ControlPage
from workers.commands import MODULES
from workers.loop import Worker
from workers.memory.arena import Arena, ArenaError
from workers.memory.databases import KeyspaceError
from workers.memory.keyspace import Keyspace
from workers.registry import load


def take_shard(assignment: dict[str, Any], channel: Channel) -> Worker:
    """Opens the assigned shard's arena (an open journal is rolled back) and its rings.

    Raises ArenaError, KeyspaceError, OSError.
    """
    set_secret(bytes.fromhex(assignment["secret"]))
    index = assignment["index"]
    path = os.path.join(assignment["folder"], f"arena-{index}")
    arena = Arena.open(path, index, assignment["workers"], fresh=assignment["fresh"])
    keyspace = Keyspace(arena, int(assignment["settings"].get("databases", "16")))
    page = ControlPage.open(os.path.join(assignment["folder"], "control"))
    return Worker(assignment, arena, keyspace, page, COMMANDS, load(MODULES), channel)


def main() -> int:
    """Runs a worker; answers the exit status."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    channel = child_channel()
    # Woken, it does not push the acceptor off its core in the middle of a batch; on a free core it starts at once.
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    setproctitle("shardkv: worker (spare)")
    load(MODULES)
    while (message := channel.receive_blocking()) is not None:
        if message["type"] == "stop":
            return 0
        if message["type"] != "assign":
            continue
        setproctitle(f"shardkv: worker {message['index']}")
        try:
            worker = take_shard(message, channel)
        except (ArenaError, KeyspaceError) as error:
            channel.send({"type": "failed", "text": str(error)})
            return 1
        try:
            worker.run()
        except EOFError:
            pass
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
