"""An acceptor process. The supervisor forks it, gives it its index, and decides when it ends."""
from __future__ import annotations

import gc

from setproctitle import setproctitle

from shardkv.acceptor.server import Server
from shardkv.control import Channel, Message


def main(assignment: Message, channel: Channel) -> int:
    """Runs the acceptor of `assignment`; returns the exit status."""
    setproctitle(f"shardkv: acceptor {assignment['index']}")
    server = Server(assignment, channel)
    gc.freeze()  # what was made until now stays: it need not be looked at again
    server.run()
    return 0
