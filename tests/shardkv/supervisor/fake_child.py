"""Stands in for acceptors and workers, so that the supervisor is tested alone.

An acceptor answers PING, and serves its sockets with lines of JSON: each line from a client goes to the supervisor as a
message, and each message from the supervisor goes to all clients. `FAKE_<KIND>` in the environment makes a kind
misbehave: `crash`, `kill`, `raise`, `failed`, `deaf` (does not stop), `arenaless` (makes no arena), and as long as the
file FAKE_FLAG is there, `late` (is not ready) or `loop` (the first of its kind dies once it is ready).
"""
from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import time
from pathlib import Path
from typing import Any

from setproctitle import setproctitle

from shardkv.control import Channel
from shardkv.identity import ARENA_MAGIC, ARENA_VERSION, HEAD


def serve(channel: Channel, assignment: dict[str, Any]) -> None:
    selector = selectors.DefaultSelector()
    selector.register(channel, selectors.EVENT_READ)
    for descriptor in assignment["listen"]:
        selector.register(socket.socket(fileno=descriptor), selectors.EVENT_READ, "listener")
    clients: list[socket.socket] = []
    while True:
        for key, _ in selector.select():
            if key.data == "listener":
                try:
                    client, _ = key.fileobj.accept()  # type: ignore[union-attr]
                except BlockingIOError:
                    continue
                clients.append(client)
                selector.register(client, selectors.EVENT_READ, client)
            elif key.data is not None:
                line = key.data.recv(1 << 16)
                if not line:
                    selector.unregister(key.data)
                    clients.remove(key.data)
                    continue
                if line.startswith(b"PING"):
                    key.data.sendall(b"-LOADING\r\n" if assignment["loading"] else b"+PONG\r\n")
                    continue
                message = json.loads(line)
                if message["type"] == "assignment":
                    key.data.sendall(json.dumps(assignment | {"pid": os.getpid()}).encode() + b"\n")
                else:
                    channel.send(message)
            else:
                for message in channel.feed():
                    if message["type"] == "stop":
                        return
                    if message["type"] == "loaded":
                        assignment["loading"] = False
                        continue
                    if message["type"] == "config":
                        channel.send({"type": "answer", "id": message["id"]})
                    if message["type"] == "ask" and message["kind"] == "index":
                        channel.send({"type": "answer", "id": message["id"], "value": assignment["index"]})
                    for client in clients:
                        client.sendall(json.dumps(message).encode() + b"\n")


def make_arena(assignment: dict[str, Any]) -> None:
    path, index = Path(assignment["folder"], f"arena-{assignment['index']}"), assignment["index"]
    if not path.exists():
        head = (ARENA_MAGIC, ARENA_VERSION, index, assignment["workers"], 4096, bytes.fromhex(assignment["secret"]), 0)
        unfinished = path.with_suffix(".new")
        unfinished.write_bytes(HEAD.pack(*head).ljust(4096, b"\0"))
        unfinished.rename(path)


def main(assignment: dict[str, Any], channel: Channel) -> int:
    behaviour = os.environ.get(f"FAKE_{assignment['kind'].upper()}", "")
    if behaviour == "crash":
        return 7
    if behaviour == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if behaviour == "failed":
        channel.send({"type": "failed", "text": "no such luck"})
        return 1
    if behaviour == "raise":
        raise RuntimeError("what nobody expected")
    flag = os.environ.get("FAKE_FLAG", "")
    while behaviour == "late" and os.path.exists(flag):
        time.sleep(0.005)
    if assignment["kind"] == "worker" and behaviour != "arenaless":
        make_arena(assignment)
    setproctitle(f"shardkv: {assignment['kind']} {assignment['index']}")
    channel.send({"type": "ready"})
    if behaviour == "loop" and assignment["index"] == 0 and os.path.exists(flag):
        return 7
    try:
        serve(channel, assignment)
    except EOFError:
        return 0
    while behaviour == "deaf":
        signal.pause()
    return 0
