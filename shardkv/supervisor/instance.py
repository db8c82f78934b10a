"""What an instance needs before its first child starts: folder, listening sockets, shared memory, event descriptors."""
from __future__ import annotations

import os
import socket
from contextlib import ExitStack
from dataclasses import dataclass, field

from shardkv.claims import Claims
from shardkv.config import Settings
from shardkv.descriptors import beside_clients
from shardkv.identity import Identity, LayoutError
from shardkv.layout import Layout, instance_name
from shardkv.ring import RingError, RingPair
from shardkv.stats import ControlPage, ControlPageError
from shardkv.supervisor import checks
from shardkv.supervisor.checks import StartError
from shardkv.supervisor.sockets import ListenError, listen_tcp, listen_unix


@dataclass
class Instance:
    """What the supervisor holds for its children. `unix` is shared by all acceptors."""

    settings: Settings
    config_file: str
    layout: Layout
    acceptors: int
    workers: int
    identity: Identity
    lock: int
    page: ControlPage
    listeners: list[list[socket.socket]]
    unix: socket.socket | None
    worker_wake: list[int]
    acceptor_wake: list[int]
    warnings: list[str] = field(default_factory=list)
    run_id: str = field(default_factory=lambda: os.urandom(20).hex())

    def listening(self, acceptor: int) -> list[int]:
        """Descriptors of an acceptor's listening sockets."""
        unix = [self.unix.fileno()] if self.unix else []
        return [listener.fileno() for listener in self.listeners[acceptor]] + unix

    def settle(self) -> None:
        """Notes that all workers have their arenas. Raises OSError."""
        self.identity = self.layout.settle(self.identity)

    def close(self, keep_data: bool) -> None:
        """Closes and removes everything but, with `keep_data`, the data and the room that the next start needs."""
        for listener in [listener for listeners in self.listeners for listener in listeners]:
            listener.close()
        if self.unix:
            remove_quietly(self.settings.get("unixsocket"))
            self.unix.close()
        for descriptor in self.worker_wake + self.acceptor_wake:
            os.close(descriptor)
        if not keep_data:
            self.layout.remove_all()
        self.layout.leave()


def remove_quietly(path: str) -> None:
    """Removes a file of ours that may be gone already."""
    try:
        os.unlink(path)
    except OSError:
        pass


def prepare(settings: Settings, config_file: str) -> Instance:
    """Checks what can be checked and makes what children need. Raises StartError with one line for the operator."""
    _enter_folder(settings)
    checks.check_arena_dir(settings.get("arena-dir"))
    name = instance_name(settings.number("port"), settings.get("unixsocket"))
    layout = Layout(settings.get("arena-dir"), name)
    undo = ExitStack()      # what a start that fails takes back, the last first
    try:
        lock = layout.take()
        undo.callback(layout.release)
        undo.callback(layout.withdraw, layout.names())
        instance = _prepare_locked(settings, config_file, layout, lock, undo)
        undo.pop_all()
        return instance
    except (LayoutError, ListenError, RingError, ControlPageError) as error:
        raise StartError(str(error)) from None
    except OSError as error:
        what = f"cannot use {error.filename}" if error.filename else "cannot start"
        raise StartError(f"{what}: {error.strerror or error}") from None
    except MemoryError:
        raise StartError("cannot start: no memory") from None
    finally:
        undo.close()


def _prepare_locked(
    settings: Settings, config_file: str, layout: Layout, lock: int, undo: ExitStack
) -> Instance:
    acceptors = settings.number("acceptors") or 1
    identity, missing = layout.examine(settings.enabled("allow-missing-arenas"))
    if identity is not None and (identity.removing or identity.never_made):
        layout.remove_data()    # what a first start that died leaves holds nothing, and says nothing about this one
        identity = None
    workers = _count_workers(settings, layout, acceptors, identity)
    layout.remove_leftovers(acceptors, workers)
    checks.check_room(
        layout.folder, checks.room_needed(layout, acceptors, workers, len(missing) if identity else workers)
    )
    warnings = [checks.backlog_warning(settings.number("tcp-backlog"))]
    warnings += checks.memory_warnings(settings.number("maxmemory"))
    if identity:
        lost = [worker for worker in missing if worker not in identity.to_make]
        warnings += [f"{layout.arena(worker)} is missing: that part of the data starts empty" for worker in lost]
    listeners, unix = _listen(settings, acceptors, undo)
    others = beside_clients(acceptors, workers, max(map(len, listeners)) + bool(unix))
    maxclients, warning = checks.fit_descriptors(settings.number("maxclients"), others)
    warnings.append(warning)
    settings.apply({"maxclients": str(maxclients)})
    page = ControlPage.create(layout.control, acceptors, workers)
    page.maxmemory = settings.number("maxmemory")
    for acceptor in range(acceptors):
        Claims.create(layout.claims(acceptor))
        for worker in range(workers):
            RingPair.create(layout.ring(acceptor, worker))
    worker_wake, acceptor_wake = _event_descriptors(workers, undo), _event_descriptors(acceptors, undo)
    identity = layout.begin(identity, missing) if identity else layout.describe(Identity.new(workers))
    return Instance(
        settings, config_file, layout, acceptors, workers, identity, lock, page, listeners, unix,
        worker_wake, acceptor_wake, list(filter(None, warnings)),
    )


def _event_descriptors(count: int, undo: ExitStack) -> list[int]:
    made = []
    for _ in range(count):
        made.append(os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK))
        undo.callback(os.close, made[-1])
    return made


def _enter_folder(settings: Settings) -> None:
    folder, logfile = settings.get("dir"), settings.get("logfile")
    try:
        os.chdir(folder)
    except OSError as error:
        raise StartError(f"dir {folder}: {error.strerror}") from None
    try:
        if logfile:
            with open(logfile, "a"):
                pass
    except OSError as error:
        raise StartError(f"logfile {logfile}: {error.strerror}") from None


def _count_workers(settings: Settings, layout: Layout, acceptors: int, identity: Identity | None) -> int:
    wanted = settings.number("workers")
    if identity is None:
        return wanted or max(1, len(os.sched_getaffinity(0)) - acceptors)
    if wanted not in (0, identity.workers):
        raise StartError(
            f"the data in {layout.folder} was made with {identity.workers} workers; "
            f"start with --workers {identity.workers}, or remove {layout.folder}"
        )
    return identity.workers


def _listen(
    settings: Settings, acceptors: int, undo: ExitStack
) -> tuple[list[list[socket.socket]], socket.socket | None]:
    backlog, path = settings.number("tcp-backlog"), settings.get("unixsocket")
    listeners = listen_tcp(settings.words("bind"), settings.number("port"), backlog, acceptors)
    for listener in [listener for each in listeners for listener in each]:
        undo.callback(listener.close)
    unix = listen_unix(path, settings.number("unixsocketperm"), backlog) if path else None
    if unix:
        undo.callback(unix.close)
        undo.callback(remove_quietly, path)
    if not unix and not any(listeners):
        raise StartError("nothing to listen on: port, bind and unixsocket name no usable address")
    return listeners, unix
