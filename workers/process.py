"""A worker process. The supervisor forks it, gives it its shard, and decides when it ends."""
from __future__ import annotations

import os
import sys
from typing import Any

from setproctitle import setproctitle

from shardkv.commands.table import COMMANDS
from shardkv.control import Channel
from shardkv.errors import OutOfMemory
from shardkv.hashing import set_secret
from shardkv.ring import RingError
from shardkv.stats import ControlPage, ControlPageError
from workers.call import BadRecord
from workers.commands import MODULES
from workers.leases import take_home
from workers.loop import Worker
from workers.memory.arena import ArenaError
from workers.memory.databases import KeyspaceError
from workers.memory.dice import reseed_from_system
from workers.registry import load

EXIT_BAD_RECORD = 71  # a ring holds what no acceptor writes

HANDLERS = load(MODULES)  # before any fork: all workers share them


def take_shard(assignment: dict[str, Any], channel: Channel) -> Worker:
    """Opens the assigned shard's arena (an open journal is rolled back) and its rings.

    Raises ArenaError, KeyspaceError, RingError, ControlPageError, OutOfMemory, OSError, MemoryError.
    """
    set_secret(bytes.fromhex(assignment["secret"]))
    index = assignment["index"]
    databases = int(assignment["settings"].get("databases", "16"))
    keyspace = take_home(assignment["folder"], index, assignment["workers"], databases, assignment["fresh"])
    page = ControlPage.open(os.path.join(assignment["folder"], "control"))
    return Worker(assignment, keyspace.arena, keyspace, page, COMMANDS, HANDLERS, channel)


def main(assignment: dict[str, Any], channel: Channel) -> int:
    """Runs the worker of `assignment`; returns the exit status."""
    # Woken, it does not push the acceptor off its core in the middle of a batch; on a free core it starts at once.
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    setproctitle(f"shardkv: worker {assignment['index']}")
    reseed_from_system()
    try:
        worker = take_shard(assignment, channel)
    except (ArenaError, KeyspaceError) as error:
        channel.send({"type": "failed", "text": str(error)})
        return 1
    except (RingError, ControlPageError, OutOfMemory, OSError, MemoryError) as error:
        # May pass: one that takes over is replaced, but a first start is not to be tried again and again.
        text = str(error) or type(error).__name__
        if assignment["fresh"]:
            channel.send({"type": "failed", "text": text})
        print(f"shardkv: worker {assignment['index']} cannot take its shard over: {text}", file=sys.stderr)
        return 1
    return serve(worker)


def serve(worker: Worker) -> int:
    """Runs a worker to its end; returns the exit status."""
    try:
        worker.run()
    except EOFError:
        pass  # the supervisor is gone
    except BadRecord as error:
        worker.log.warning(f"the worker of shard {worker.index} stops: {error}")
        return EXIT_BAD_RECORD
    return 0
