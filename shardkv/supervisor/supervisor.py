"""The supervisor's loop: starts children, replaces what dies, stops everything in order.

Invariants
 1. Signal handlers do nothing: the signal's number arrives through a descriptor, and the loop acts on it.
 2. The loop never waits for a child: channels queue, deaths come as SIGCHLD, and a slot that has to wait for its next
    process (the brake, a fork that failed) is in `_due` with the time.
 3. A slot (kind, index) has a child, or a time in `_due`, or everything is being stopped. No shard has two owners: its
    next worker is forked only after the last one has been reaped.
 4. A shard is assigned as `fresh` until a worker of this run has reported ready once; what a dead child sent is read
    before its slot is filled again.
 5. Clients are told that data is loading until every shard has been served once, and never again: deaths do not show.
    Before they are told otherwise it is noted that all arenas are there (identity.py, invariant 3).
 6. Before all is ready for the first time, a child that cannot start stops everything. After that no child does.
"""
from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator

from setproctitle import setproctitle

from shardkv import __version__
from shardkv.config.directives import DIRECTIVES, Reader
from shardkv.config.kinds import format_memory
from shardkv.control import Message
from shardkv.log import Log
from shardkv.supervisor.brake import Brake, backoff
from shardkv.supervisor.fork import fork, load_programs
from shardkv.supervisor.instance import Instance
from shardkv.supervisor.notify import notify
from shardkv.supervisor.process import Child
from shardkv.supervisor.router import Router
from shardkv.supervisor.watch import Watch

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)

EXIT_OK = 0
EXIT_INSISTED = 1       # a second SIGINT
EXIT_CHILD_FAILED = 3   # a child says that it cannot start
EXIT_CHILDREN_DIE = 4   # a child dies again and again before it is ready
EXIT_UNSETTLED = 5      # that all arenas are there cannot be noted

_CRASHES_AT_START = 5.0  # in short order, before readiness: they stop a server which has not been ready yet
_DEATHS_AT_START = 20    # before readiness, at whatever times and by whatever signal: they do so as well
_END_PATIENCE = 1.0      # seconds between the end of a child's channel and its being killed
_STOP_PATIENCE = 5.0     # seconds for the acceptors, and again for the workers, before they are killed

_OF_CLIENTS = ("connected_clients", "blocked_clients", "client_memory", "watching_clients", "watched_keys")
_OF_WORKERS = [d.name for d in DIRECTIVES if Reader.WORKER in d.readers and not d.immutable]

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
        self._brake = Brake()
        self._deaths_at_start: Counter[Slot] = Counter()  # of children that were never ready, while no server was
        self._failed_forks: Counter[Slot] = Counter()  # in a row
        self._ends: dict[Slot, int] = {}  # how the last child of a slot ended; a signal is a negative number
        self._due: dict[Slot, float] = {}  # slots without a child: the monotonic time at which they get one
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
        for directive in _OF_WORKERS:
            self._settings.on_change(directive, self._publish_settings)
        self._publish_settings()
        self._watch = Watch(instance.page, log)

    # -- start

    def run(self) -> int:
        """Serves until a signal, SHUTDOWN or a failure stops everything; returns the exit status.

        The data stays, unless SHUTDOWN NOSAVE or its like asked for the contrary.
        """
        if self._settings.enabled("set-proc-title"):
            setproctitle("shardkv: supervisor")
        self._watch_signals()
        for warning in self._instance.warnings:
            self._log.warning(f"WARNING: {warning}")
        load_programs()
        for index in range(self._instance.acceptors):
            self._start("acceptor", index)
        for index in range(self._instance.workers):
            self._start("worker", index)
        while self._children or not self._stopping:
            self._step()
        self._instance.close(self._keep_data)
        if not self.failure:
            self._log.notice("shardkv is now ready to exit, bye bye...")
        return self._status

    def _watch_signals(self) -> None:
        self._signals.setblocking(False)
        self._signal_sink.setblocking(False)
        for number in (signal.SIGHUP, signal.SIGALRM):
            signal.signal(number, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(self._signal_sink.fileno(), warn_on_full_buffer=False)
        self._selector.register(self._signals, selectors.EVENT_READ)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)

    def _settle(self) -> bool:
        try:
            self._instance.settle()
        except OSError as error:
            self._fail(f"cannot note that all arenas are there: {error.strerror}", EXIT_UNSETTLED)
            return False
        return True

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

    def _publish_settings(self, text: str = "") -> None:
        # Before the change is confirmed, and whatever becomes of who asked for it: workers see it (shardkv/stats.pxd).
        texts = {name: self._settings.get(name) for name in _OF_WORKERS}
        self._instance.page.publish_settings(json.dumps(texts).encode())

    # -- children

    def _acceptors(self) -> Iterator[Child]:
        return (child for child in self._children if child.kind == "acceptor" and child.open)

    def _workers(self) -> Iterator[Child]:
        return (child for child in self._children if child.kind == "worker")

    def _start(self, kind: str, index: int) -> None:
        try:
            pid, channel = fork(self._assignment(kind, index), self._descriptors(kind, index))
        except OSError as error:
            self._log.warning(f"{kind} {index} cannot be started now: {error.strerror}")
            self._due[kind, index] = time.monotonic() + backoff(self._failed_forks[kind, index])
            self._failed_forks[kind, index] += 1
            return
        self._failed_forks[kind, index] = 0
        child = Child(kind, index, pid, channel)
        self._children.append(child)
        self._selector.register(channel, selectors.EVENT_READ, child)

    def _descriptors(self, kind: str, index: int) -> list[int]:
        instance = self._instance
        listening = instance.listening(index) if kind == "acceptor" else []
        return [instance.lock, *instance.worker_wake, *instance.acceptor_wake, *listening]

    def _assignment(self, kind: str, index: int) -> Message:
        # All that a child needs to know.
        instance = self._instance
        self._epochs[kind, index] += 1
        return {
            "kind": kind,
            "index": index,
            "acceptors": instance.acceptors,
            "workers": instance.workers,
            "epoch": self._epochs[kind, index],
            "folder": instance.layout.folder,
            "worker_wake": instance.worker_wake,
            "acceptor_wake": instance.acceptor_wake,
            "listen": instance.listening(index) if kind == "acceptor" else [],
            "settings": self._settings.to_wire(),
            "fresh": kind == "acceptor" or index not in self._served,
            "loading": self._loading(),
            "config_file": instance.config_file,
            "run_id": instance.run_id,
            "secret": instance.identity.secret.hex(),
            "died": self._ends.get((kind, index), 0),
        }

    def _loading(self) -> bool:
        return len(self._served) < self._instance.workers

    def _start_due(self) -> None:
        now = time.monotonic()
        for slot in [slot for slot, due in self._due.items() if due <= now]:
            del self._due[slot]
            self._start(*slot)

    # -- the loop

    def _step(self) -> None:
        times = (self._deadline, self._watch.deadline, self._router.deadline(), *self._due.values())
        times += tuple(child.kill_at for child in self._children)
        deadlines = [deadline for deadline in times if deadline is not None]
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
        self._start_due()
        self._watch.look()
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
                if self._stopping and number == signal.SIGINT:
                    self._log.warning("You insist... exiting now.")
                    self._status = EXIT_INSISTED
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
        if child.kind == "worker" and self._loading():
            self._served.add(child.index)
            if not self._loading() and not self._stopping and self._settle():
                for acceptor in self._acceptors():
                    acceptor.channel.send({"type": "loaded"})
        ready = sum(child.ready for child in self._children)
        if ready == self._instance.acceptors + self._instance.workers and not self._announced and not self._stopping:
            self._announced = True
            self._announce()
            self._on_ready()

    # -- deaths

    def _reap(self) -> None:
        for child in [child for child in self._children if child.has_ended()]:
            if child.open:
                for message in child.receive():
                    self._handle(child, message)
                self._selector.unregister(child.channel)
            child.open = False
            child.channel.close()
            self._children.remove(child)
            self._router.forget(child)
            if child.kind == "acceptor":
                for counter in _OF_CLIENTS:     # its connections went with it
                    self._instance.page.set_counter("acceptor", child.index, counter, 0)
            if self._stopping:
                self._advance_stop()
            else:
                self._replace(child)

    def _replace(self, child: Child) -> None:
        slot, now = (child.kind, child.index), time.monotonic()
        self._ends[slot] = child.status or 0
        wait = self._brake.note(slot, child.status != -signal.SIGKILL, now)
        if child.failure and not self._announced:
            self._fail(f"{child.title} cannot start: {child.failure}", EXIT_CHILD_FAILED)
            return
        if not child.ready and not self._announced and self._gives_up(slot):
            text = f"{child.title} {child.describe_death()} again and again at its start: giving up"
            self._fail(text, EXIT_CHILDREN_DIE)
            return
        again = f" again and again: the next one starts in {wait:.1f} seconds" if wait else ": replacing it"
        reason = f" ({child.failure})" if child.failure else ""
        self._log.warning(f"{child.title} (pid {child.pid}) {child.describe_death()}{reason}{again}")
        self._restarts[slot] += 1
        self._instance.page.set_counter(*slot, "restarts", self._restarts[slot])
        if wait:
            self._due[slot] = now + wait
        else:
            self._start(*slot)

    def _gives_up(self, slot: Slot) -> bool:
        # Asked once for each death.
        self._deaths_at_start[slot] += 1
        return self._deaths_at_start[slot] >= _DEATHS_AT_START or self._brake.level(slot) >= _CRASHES_AT_START

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
        self._due.clear()
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
