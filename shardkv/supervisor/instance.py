"""What an instance needs before its first child starts: folder, listening sockets, shared memory, event descriptors."""
from __future__ import annotations

import os
import socket
from dataclasses import dataclass, field

from shardkv.config import Settings
from shardkv.descriptors import beside_clients
from shardkv.layout import Identity, Layout, LayoutError, instance_name
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
    secret: bytes
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

    def close(self, keep_data: bool) -> None:
        """Closes and removes everything but, with `keep_data`, the arenas."""
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
    try:
        lock = layout.take()
        try:
            return _prepare_locked(settings, config_file, layout, lock)
        except BaseException:
            layout.leave()
            raise
    except (LayoutError, ListenError, RingError, ControlPageError) as error:
        raise StartError(str(error)) from None
    except OSError as error:
        raise StartError(f"{error.strerror}: {error.filename}" if error.filename else str(error)) from None


def _prepare_locked(settings: Settings, config_file: str, layout: Layout, lock: int) -> Instance:
    acceptors = settings.number("acceptors") or 1
    identity = _identity(settings, layout, acceptors)
    workers = identity.workers
    layout.remove_volatile()
    missing = sum(not os.path.exists(layout.arena(worker)) for worker in range(workers))
    checks.check_room(layout.folder, checks.room_needed(acceptors, workers, missing))
    warnings = [checks.backlog_warning(settings.number("tcp-backlog"))]
    warnings += checks.memory_warnings(settings.number("maxmemory"))
    listeners, unix = _listen(settings, acceptors)
    others = beside_clients(acceptors, workers, max(map(len, listeners)))
    maxclients, warning = checks.fit_descriptors(settings.number("maxclients"), others)
    warnings.append(warning)
    settings.apply({"maxclients": str(maxclients)})
    layout.save_identity(identity)
    page = ControlPage.create(layout.control, acceptors, workers)
    page.maxmemory = settings.number("maxmemory")
    for acceptor in range(acceptors):
        for worker in range(workers):
            RingPair.create(layout.ring(acceptor, worker))
    flags = os.EFD_CLOEXEC | os.EFD_NONBLOCK
    return Instance(
        settings, config_file, layout, acceptors, workers, identity.secret, lock, page, listeners, unix,
        [os.eventfd(0, flags) for _ in range(workers)], [os.eventfd(0, flags) for _ in range(acceptors)],
        list(filter(None, warnings)),
    )


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


def _identity(settings: Settings, layout: Layout, acceptors: int) -> Identity:
    wanted, saved = settings.number("workers"), layout.saved_identity()
    if saved is None:
        return Identity.new(wanted or max(1, len(os.sched_getaffinity(0)) - acceptors))
    if wanted not in (0, saved.workers):
        raise StartError(
            f"the data in {layout.folder} was made with {saved.workers} workers; start with --workers {saved.workers}, "
            f"or remove {layout.folder}"
        )
    return saved


def _listen(settings: Settings, acceptors: int) -> tuple[list[list[socket.socket]], socket.socket | None]:
    backlog, path = settings.number("tcp-backlog"), settings.get("unixsocket")
    listeners = listen_tcp(settings.words("bind"), settings.number("port"), backlog, acceptors)
    unix = listen_unix(path, settings.number("unixsocketperm"), backlog) if path else None
    if not unix and not any(listeners):
        raise StartError("nothing to listen on: port, bind and unixsocket name no usable address")
    return listeners, unix
