"""An acceptor process. The supervisor starts it, assigns it its index, and decides when it ends."""
from __future__ import annotations

import gc
import signal
import sys

from setproctitle import setproctitle

from shardkv.acceptor.server import Server
from shardkv.control import child_channel


def main() -> int:
    """Runs an acceptor; returns the exit status."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    channel = child_channel()
    while (message := channel.receive_blocking()) is not None and message["type"] != "stop":
        if message["type"] != "assign":
            continue
        setproctitle(f"shardkv: acceptor {message['index']}")
        server = Server(message, channel)
        gc.freeze()  # what was made until now stays: it need not be looked at again
        server.run()
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
