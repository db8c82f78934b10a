"""The folder of an instance: names of its files, the lock, what a crash leaves behind, and whether all are there.

    <arena-dir>/shardkv-<name>/
        lock            held with flock by the supervisor and, through inheritance, by every child
        instance.json   what the data is: identity.py
        arena-<w>       data of shard w
        ring-<a>-<w>    \\ emptied at every start; kept by a stop, so that the next start
        claims-<a>      | finds the room that it needs
        control         /
        seg-*           large requests and replies under way: removed by a stop and by the next start

Invariants
 1. Who holds the lock is the only instance in the folder. Children inherit it, so it is free only when the last process
    that might still write into an arena is gone.
 2. A start looks at everything before it changes anything; one that is refused leaves the data as it was.
 3. What a running server needs a starting one finds: rings and control page stay, the lock and instance.json are
    written in place, the arenas have their reserves. So a full file system keeps no server from starting again.
 4. The folder belongs to us and is closed to others: what lies in it was written by us, or put there by the operator.
"""
from __future__ import annotations

import fcntl
import os
import re
import stat
import time
from contextlib import suppress
from dataclasses import replace

from shardkv.identity import (
    Identity,
    LayoutError,
    check_arena,
    read_identity,
    set_generation,
    write_identity,
)

_PATIENCE = 3.0  # seconds for the children of a killed supervisor to be gone
_SIGNATURE_BYTES = 32
_ARENA_NAME = re.compile(r"arena-(\d+)")
_RING_NAME = re.compile(r"ring-(\d+)-(\d+)")
_CLAIMS_NAME = re.compile(r"claims-(\d+)")


def instance_name(port: int, unixsocket: str) -> str:
    """The name of an instance: its port, or a hash of its Unix socket's path when it has none."""
    if port:
        return str(port)
    import hashlib  # takes long, and most instances have a port

    return hashlib.sha256(os.fsencode(os.path.abspath(unixsocket))).hexdigest()[:12]


def _lives(pid: str) -> bool:
    # A killed process that nobody has waited for yet still has its folder in /proc.
    try:
        with open(f"/proc/{int(pid)}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except (OSError, ValueError):
        return False


class Layout:
    """The folder of one instance."""

    def __init__(self, arena_dir: str, name: str) -> None:
        self.arena_dir = os.path.abspath(arena_dir)
        self.folder = os.path.join(self.arena_dir, f"shardkv-{name}")
        self.control = os.path.join(self.folder, "control")
        self._instance = os.path.join(self.folder, "instance.json")
        self._lock_path = os.path.join(self.folder, "lock")
        self._lock = -1

    def arena(self, worker: int) -> str:
        """The path of a worker's arena."""
        return os.path.join(self.folder, f"arena-{worker}")

    def ring(self, acceptor: int, worker: int) -> str:
        """The path of the ring file of an (acceptor, worker) pair."""
        return os.path.join(self.folder, f"ring-{acceptor}-{worker}")

    def claims(self, acceptor: int) -> str:
        """The path of an acceptor's claims."""
        return os.path.join(self.folder, f"claims-{acceptor}")

    def take(self) -> int:
        """Makes the folder if need be, locks it, and returns the lock's descriptor for children to inherit.

        Raises LayoutError.
        """
        deadline = time.monotonic() + _PATIENCE
        existed = os.path.lexists(self.folder)
        try:
            while not self._try_lock(deadline):
                time.sleep(0.01)
            self.sign()
        except OSError as error:
            if not existed:
                self._unmake()
            self.release()
            raise LayoutError(f"cannot use {error.filename or self.folder}: {error.strerror}") from None
        return self._lock

    def _unmake(self) -> None:
        """Removes the folder again, which another start may just be using."""
        with suppress(OSError):
            if self._lock >= 0:
                os.unlink(self._lock_path)
            os.rmdir(self.folder)

    def _try_lock(self, deadline: float) -> bool:
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        status = os.lstat(self.folder)
        if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
            raise LayoutError(f"{self.folder} belongs to another user; use another port or --arena-dir")
        lock = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The holder before us may have removed the folder: then this lock is worth nothing.
            if os.path.exists(self._lock_path) and os.path.samestat(os.fstat(lock), os.stat(self._lock_path)):
                self._lock, lock = lock, -1
                return True
        except BlockingIOError:
            # A holder that lives is another instance. A dead one was killed, and its children are about to go.
            holder = os.pread(lock, 32, 0).decode(errors="replace").strip()
            if _lives(holder) or time.monotonic() > deadline:
                text = f"{self.folder} is in use by another shardkv (pid {holder or 'unknown'})"
                raise LayoutError(f"{text}; stop it, or choose another --port") from None
        finally:
            if lock >= 0:
                os.close(lock)
        return False

    def sign(self) -> None:
        """Writes our process id into the lock, for whoever finds it taken. Raises OSError."""
        os.pwrite(self._lock, f"{os.getpid()}\n".encode().ljust(_SIGNATURE_BYTES), 0)    # in place: needs no room
        os.ftruncate(self._lock, _SIGNATURE_BYTES)

    def release(self) -> None:
        """Gives the lock back; children that live still hold it."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    # -- the data

    def examine(self, allow_missing: bool) -> tuple[Identity | None, list[int]]:
        """What the data is, None when there is none yet, and the numbers of arenas that are to be made.

        An arena that was there and is not any more is one of them only with `allow_missing`. Changes nothing.
        Raises LayoutError, OSError.
        """
        arenas = sorted(int(found[1]) for name in os.listdir(self.folder) if (found := _ARENA_NAME.fullmatch(name)))
        try:
            identity = read_identity(self._instance)
        except FileNotFoundError:
            if arenas:
                raise LayoutError(
                    f"{self.folder} holds arenas but no instance.json: put it back, or remove the folder"
                ) from None
            return None, []
        if identity.removing:
            return identity, []
        if arenas and arenas[-1] >= identity.workers:
            raise LayoutError(
                f"{self.folder} holds arena-{arenas[-1]}, but its data was made with {identity.workers} workers: "
                "put a copy of the whole folder back, or move that file away"
            )
        missing = [
            worker for worker in range(identity.workers) if not check_arena(self.arena(worker), worker, identity)
        ]
        lost = [worker for worker in missing if worker not in identity.to_make]
        if lost and not allow_missing:
            raise LayoutError(
                f"{self.arena(lost[0])} is missing: put it back, or start with --allow-missing-arenas yes "
                "to begin with its part of the data empty"
            )
        return identity, missing

    def begin(self, identity: Identity, missing: list[int]) -> Identity:
        """Raises the generation of data that has been examined; returns what it is now. Raises OSError."""
        generation = identity.generation + 1
        if not identity.to_make.issuperset(missing):
            identity = self._save(replace(identity, to_make=identity.to_make.union(missing)))
        for worker in range(identity.workers):
            if worker not in missing:
                set_generation(self.arena(worker), generation)
        return self._save(replace(identity, generation=generation))

    def describe(self, identity: Identity) -> Identity:
        """Records what the data is that will be made. Raises OSError."""
        return self._save(identity)

    def settle(self, identity: Identity) -> Identity:
        """Notes that every arena is there; returns what the data is now. Raises OSError."""
        if not identity.to_make:
            return identity
        for worker in identity.to_make:
            set_generation(self.arena(worker), identity.generation)
        return self._save(replace(identity, to_make=frozenset()))

    def _save(self, identity: Identity) -> Identity:
        write_identity(self._instance, identity)
        return identity

    # -- what goes

    def remove_leftovers(self, acceptors: int, workers: int) -> None:
        """Removes what a crash left half made or under way, and rings of more processes than there are now.

        Raises OSError.
        """
        for name in os.listdir(self.folder):
            ring, claims = _RING_NAME.fullmatch(name), _CLAIMS_NAME.fullmatch(name)
            beyond = ring is not None and (int(ring[1]) >= acceptors or int(ring[2]) >= workers)
            beyond |= claims is not None and int(claims[1]) >= acceptors
            if beyond or name.startswith("seg-") or name.endswith(".new"):
                os.unlink(os.path.join(self.folder, name))

    def names(self) -> set[str]:
        """Names of the files that there are. Raises OSError."""
        return set(os.listdir(self.folder))

    def withdraw(self, names: set[str]) -> None:
        """Gives the folder up after a start that failed; what there is beside `names` was made by it, and goes.

        Raises OSError.
        """
        for name in self.names() - names:
            os.unlink(os.path.join(self.folder, name))
        if names <= {"lock"}:
            os.unlink(self._lock_path)
            os.rmdir(self.folder)
        self.release()

    def leave(self) -> None:
        """Gives the folder up after a stop: everything goes if there never were data. Raises OSError."""
        if os.path.exists(self.folder):
            if self._has_data():
                for name in self.names():
                    if name.startswith("seg-") or name.endswith(".new"):
                        os.unlink(os.path.join(self.folder, name))
            else:
                self.remove_all()
        self.release()

    def _has_data(self) -> bool:
        if any(_ARENA_NAME.fullmatch(name) for name in self.names()):
            return True
        try:
            # If they were made and are not there they were lost, and the next start is to say so.
            return not read_identity(self._instance).never_made
        except (FileNotFoundError, LayoutError):
            return False

    def remove_data(self) -> None:
        """Removes everything but the lock, so that a kill on the way leaves nothing that is taken for whole.

        Raises OSError.
        """
        try:
            self._save(replace(read_identity(self._instance), removing=True))
        except (FileNotFoundError, LayoutError):
            pass
        last = os.path.basename(self._instance)
        for name in sorted(self.names() - {"lock", last}) + [last]:
            path = os.path.join(self.folder, name)
            if os.path.isdir(path) and not os.path.islink(path):
                import shutil  # takes long, and none of ours is a folder

                shutil.rmtree(path)
            elif os.path.lexists(path):
                os.unlink(path)

    def remove_all(self) -> None:
        """Removes the folder with all data. Raises OSError."""
        self.remove_data()
        os.unlink(self._lock_path)
        os.rmdir(self.folder)
