"""The supervisor's loop: starts children, gives workers their shards, replaces what dies, stops everything in order.

Invariants
 1. Signal handlers do nothing: the signal's number arrives through a descriptor, and the loop acts on it.
 2. The loop never waits for a child: channels queue, deaths come as SIGCHLD.
 3. All workers start as spares. One spare beyond the number of shards is kept, so a dead worker's shard has a new owner
    after one message. No shard has two owners: it is assigned again only after its worker's process has been reaped.
 4. A shard is assigned as `fresh` until a worker of this run has reported ready once; what a dead child sent is read
    before its shard is given on.
"""
from __future__ import annotations

import os
import selectors
import signal
import socket
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator

from setproctitle import setproctitle

from shardkv import __version__
from shardkv.config.kinds import format_memory
from shardkv.control import Message
from shardkv.log import Log
from shardkv.supervisor.instance import Instance
from shardkv.supervisor.notify import notify
from shardkv.supervisor.process import SPARE, Child, spawn
from shardkv.supervisor.router import Router

EXIT_OK = 0
EXIT_CHILD_FAILED = 3   # a child says that it cannot start
EXIT_CHILDREN_DIE = 4   # a child dies again and again before it is ready

# Deaths before readiness within the window stop the server. SIGKILL comes from outside and weighs less than a crash.
_FAILURE_WINDOW = 10.0  # seconds
_FAILURE_LIMIT = 50
_WEIGHT_CRASH = 10
_WEIGHT_KILL = 1
_END_PATIENCE = 1.0     # seconds between the end of a child's channel and its being killed
_STOP_PATIENCE = 5.0    # seconds for the acceptors, and again for the workers, before they are killed

Slot = tuple[str, int]


class Supervisor:
    """Runs one instance. `failure` is why it stopped by itself; `on_ready` is called when clients can be served."""

    def __init__(self, instance: Instance, log: Log, on_ready: Callable[[], None]) -> None:
        self._instance = instance
        self._settings = instance.settings
        self._log = log
        self._children: list[Child] = []
        self._epochs: Counter[Slot] = Counter()
        self._restarts: Counter[Slot] = Counter()
        self._failures: dict[Slot, deque[tuple[float, int]]] = {}
        self._served: set[int] = set()  # shards that a worker of this run has been ready for
        self._selector = selectors.DefaultSelector()
        self._signals, self._signal_sink = socket.socketpair()
        self._router = Router(self._settings, instance.config_file, log, self._acceptors, self._begin_stop)
        self._announced = False
        self._stopping = ""  # "", "acceptors" or "workers": who is being waited for
        self._keep_data = True
        self._deadline: float | None = None  # when the present step of the stop is enforced
        self._status = EXIT_OK
        self.failure = ""
        self._on_ready = on_ready
        self._settings.on_change("loglevel", log.set_level)
        self._settings.on_change("maxmemory", self._set_maxmemory)

    # -- start

    def run(self) -> int:
        """Serves until a signal, SHUTDOWN or a failure stops everything; answers the exit status.

        The data stays, unless SHUTDOWN NOSAVE or its like asked for the contrary.
        """
        if self._settings.enabled("set-proc-title"):
            setproctitle("shardkv: supervisor")
        self._watch_signals()
        for warning in self._instance.warnings:
            self._log.warning(f"WARNING: {warning}")
        for index in range(self._instance.acceptors):
            self._start_acceptor(index)
        for index in range(self._instance.workers):
            self._assign_worker(index)
        while self._children or not self._stopping:
            self._step()
        self._instance.close(self._keep_data)
        if not self.failure:
            self._log.notice("shardkv is now ready to exit, bye bye...")
        return self._status

    def _watch_signals(self) -> None:
        self._signals.setblocking(False)
        self._signal_sink.setblocking(False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(self._signal_sink.fileno(), warn_on_full_buffer=False)
        self._selector.register(self._signals, selectors.EVENT_READ)

    def _announce(self) -> None:
        instance, settings = self._instance, self._settings
        limit = settings.number("maxmemory")
        places = [f"port {settings.get('port')}"] if any(instance.listeners) else []
        places += [f"socket {settings.get('unixsocket')}"] if instance.unix else []
        self._log.notice(f"shardkv {__version__}, {' and '.join(places)}, pid {os.getpid()}")
        self._log.notice(
            f"acceptors: {instance.acceptors}, workers: {instance.workers}, "
            f"memory limit: {format_memory(limit) if limit else 'none'}, data in {instance.layout.folder}"
        )
        self._log.notice("Ready to accept connections")
        notify(settings.get("supervised"), f"READY=1\nSTATUS=Ready to accept connections\nMAINPID={os.getpid()}")

    def _set_maxmemory(self, text: str) -> None:
        self._instance.page.maxmemory = int(text)

    # -- children

    def _acceptors(self) -> Iterator[Child]:
        return (child for child in self._children if child.kind == "acceptor" and child.open)

    def _workers(self) -> Iterator[Child]:
        return (child for child in self._children if child.kind == "worker")

    def _start(self, kind: str, descriptors: list[int]) -> Child:
        instance = self._instance
        child = spawn(kind, [instance.lock, *instance.worker_wake, *instance.acceptor_wake, *descriptors])
        self._children.append(child)
        self._selector.register(child.channel, selectors.EVENT_READ, child)
        return child

    def _start_acceptor(self, index: int) -> None:
        self._assign(self._start("acceptor", self._instance.listening(index)), index)

    def _spare(self) -> Child:
        spare = next((child for child in self._workers() if child.index == SPARE and child.open), None)
        return spare or self._start("worker", [])

    def _assign_worker(self, index: int, died: int = 0) -> None:
        self._assign(self._spare(), index, died)

    def _assign(self, child: Child, index: int, died: int = 0) -> None:
        # `died`: how the last owner of a shard ended, a signal as a negative number (workers/recovery.pxd).
        instance = self._instance
        slot = child.kind, index
        child.index = index
        self._epochs[slot] += 1
        child.channel.send({
            "type": "assign",
            "kind": child.kind,
            "index": index,
            "acceptors": instance.acceptors,
            "workers": instance.workers,
            "epoch": self._epochs[slot],
            "folder": instance.layout.folder,
            "worker_wake": instance.worker_wake,
            "acceptor_wake": instance.acceptor_wake,
            "listen": instance.listening(index) if child.kind == "acceptor" else [],
            "settings": self._settings.to_wire(),
            "fresh": child.kind == "acceptor" or index not in self._served,
            "config_file": instance.config_file,
            "run_id": instance.run_id,
            "secret": instance.secret.hex(),
            "died": died,
        })

    # -- the loop

    def _step(self) -> None:
        ends = [child.kill_at for child in self._children]
        deadlines = [deadline for deadline in (self._deadline, self._router.deadline(), *ends) if deadline is not None]
        timeout = max(0.0, min(deadlines) - time.monotonic()) if deadlines else None
        for child in self._children:
            if child.open:
                waiting = selectors.EVENT_WRITE if child.channel.pending else 0
                self._selector.modify(child.channel, selectors.EVENT_READ | waiting, child)
        for key, events in self._selector.select(timeout):
            if key.data is None:
                self._take_signals()
            elif key.data in self._children:
                self._serve(key.data, events)
        self._router.expire()
        for child in self._children:
            if child.kill_at is not None and time.monotonic() >= child.kill_at:
                child.kill()
                child.kill_at = None
        if self._deadline is not None and time.monotonic() >= self._deadline:
            self._enforce_stop()

    def _take_signals(self) -> None:
        try:
            numbers = set(self._signals.recv(4096))
        except BlockingIOError:
            return
        if signal.SIGCHLD in numbers:
            self._reap()
        for number, name in ((signal.SIGTERM, "sigterm"), (signal.SIGINT, "sigint")):
            if number in numbers:
                self._log.notice(f"Received {name.upper()} scheduling shutdown...")
                self._begin_stop("nosave" not in self._settings.words(f"shutdown-on-{name}"))

    def _serve(self, child: Child, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            child.channel.flush()
        if not events & selectors.EVENT_READ:
            return
        for message in child.receive():
            self._handle(child, message)
        if not child.open:
            # Most likely it is about to end, and its exit status is worth waiting for.
            self._selector.unregister(child.channel)
            child.kill_at = time.monotonic() + _END_PATIENCE

    def _handle(self, child: Child, message: Message) -> None:
        match message["type"]:
            case "ready":
                self._note_ready(child)
            case "failed":
                child.failure = str(message.get("text", "no reason given"))
            case _ if child.kind == "acceptor":
                self._router.handle(child, message)

    def _note_ready(self, child: Child) -> None:
        child.ready = True
        self._failures.pop((child.kind, child.index), None)
        if child.kind == "worker":
            self._served.add(child.index)
        ready = sum(child.ready for child in self._children)
        if ready == self._instance.acceptors + self._instance.workers and not self._announced and not self._stopping:
            self._announced = True
            self._announce()
            self._on_ready()
            self._spare()  # not before: it would only delay the others

    # -- deaths

    def _reap(self) -> None:
        for child in [child for child in self._children if child.process.poll() is not None]:
            if child.open:
                for message in child.receive():
                    self._handle(child, message)
                self._selector.unregister(child.channel)
            child.open = False
            child.channel.close()
            self._children.remove(child)
            self._router.forget(child)
            if self._stopping:
                self._advance_stop()
            else:
                self._replace(child)

    def _replace(self, child: Child) -> None:
        if child.failure:
            self._fail(f"{child.title} cannot start: {child.failure}", EXIT_CHILD_FAILED)
        elif not child.ready and self._dies_too_often(child):
            text = f"{child.title} {child.describe_death()} again and again at its start: giving up"
            self._fail(text, EXIT_CHILDREN_DIE)
        elif child.index == SPARE:
            self._log.warning(f"{child.title} (pid {child.pid}) {child.describe_death()}: starting another")
            self._spare()
        else:
            self._log.warning(f"{child.title} (pid {child.pid}) {child.describe_death()}: replacing it")
            self._count_restart(child.kind, child.index)
            if child.kind == "acceptor":
                self._start_acceptor(child.index)
            else:
                self._assign_worker(child.index, child.process.returncode)
                self._spare()

    def _count_restart(self, kind: str, index: int) -> None:
        self._restarts[kind, index] += 1
        self._instance.page.set_counter(kind, index, "restarts", self._restarts[kind, index])

    def _dies_too_often(self, child: Child) -> bool:
        now = time.monotonic()
        failures = self._failures.setdefault((child.kind, child.index), deque())
        failures.append((now, _WEIGHT_KILL if child.process.returncode == -signal.SIGKILL else _WEIGHT_CRASH))
        while failures[0][0] < now - _FAILURE_WINDOW:
            failures.popleft()
        return sum(weight for _, weight in failures) >= _FAILURE_LIMIT

    def _fail(self, text: str, status: int) -> None:
        self._log.warning(text)
        self.failure, self._status = text, status
        self._begin_stop(True)

    # -- stop: acceptors first, so that nothing new comes; then workers finish what is in their rings

    def _begin_stop(self, keep_data: bool) -> None:
        if self._stopping:
            # Asked twice: at once. What is in the rings was not acknowledged, and arenas survive any death.
            for child in self._children:
                child.kill()
            return
        self._keep_data = keep_data
        self._log.notice("User requested shutdown..." if not self.failure else "Stopping.")
        notify(self._settings.get("supervised"), "STOPPING=1\nSTATUS=Stopping")
        self._stop("acceptors", list(self._acceptors()))
        self._advance_stop()

    def _stop(self, step: str, children: list[Child]) -> None:
        self._stopping = step
        self._deadline = time.monotonic() + _STOP_PATIENCE
        for child in children:
            child.channel.send({"type": "stop"})

    def _advance_stop(self) -> None:
        if self._stopping == "acceptors" and not any(child.kind == "acceptor" for child in self._children):
            self._stop("workers", list(self._workers()))

    def _enforce_stop(self) -> None:
        kind = "acceptor" if self._stopping == "acceptors" else "worker"
        for child in self._children:
            if child.kind == kind:
                self._log.warning(f"{child.title} (pid {child.pid}) does not stop: killing it")
                child.kill()
        self._deadline = None
