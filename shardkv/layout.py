"""The files of an instance: names, the lock, what a crash leaves behind, and whether the data fits.

    <arena-dir>/shardkv-<name>/
        lock            held with flock by the supervisor and, through inheritance, by every child
        instance.json   format version, number of workers, the secret of the hashes (hashing.pxd)
        arena-<w>       data of shard w
        ring-<a>-<w>, control, seg-*    made anew at every start

Invariants
 1. Who holds the lock is the only instance in the folder. Children inherit it, so it is free only when the last process
    that might still write into an arena is gone.
 2. instance.json is written before the first arena exists, and replaced in one step. Its secret never changes.
 3. The folder belongs to us and is closed to others: what lies in it is trusted.
"""
from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
import shutil
import time
from dataclasses import dataclass

from shardkv.hashing import SECRET_BYTES

FORMAT_VERSION = 2
_PATIENCE = 3.0  # seconds for the children of a killed supervisor to be gone


class LayoutError(Exception):
    """The folder cannot be used; the text is one line for the operator."""


@dataclass(frozen=True)
class Identity:
    """What all data of an instance is made with: the number of shards, and the secret of its hashes."""

    workers: int
    secret: bytes

    @classmethod
    def new(cls, workers: int) -> Identity:
        """An instance's without data."""
        return cls(workers, os.urandom(SECRET_BYTES))


def instance_name(port: int, unixsocket: str) -> str:
    """The name of an instance: its port, or a hash of its Unix socket's path when it has none."""
    if port:
        return str(port)
    return hashlib.sha256(os.fsencode(os.path.abspath(unixsocket))).hexdigest()[:12]


def _lives(pid: str) -> bool:
    # A killed process that nobody has waited for yet still has its folder in /proc.
    try:
        with open(f"/proc/{int(pid)}/stat", encoding="utf-8", errors="replace") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except (OSError, ValueError):
        return False


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


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

    def take(self) -> int:
        """Makes the folder if need be, locks it, and returns the lock's descriptor for children to inherit.

        Raises LayoutError.
        """
        deadline = time.monotonic() + _PATIENCE
        try:
            while not self._try_lock(deadline):
                time.sleep(0.01)
            self.sign()
        except OSError as error:
            raise LayoutError(f"cannot use {self.folder}: {error.strerror}") from None
        return self._lock

    def _try_lock(self, deadline: float) -> bool:
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        if os.path.islink(self.folder) or os.lstat(self.folder).st_uid != os.geteuid():
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
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Gives the lock back; children that live still hold it."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def saved_identity(self) -> Identity | None:
        """What the data was made with, None when there is no data yet. Raises LayoutError."""
        if not os.path.exists(self._instance):
            if any(name.startswith("arena-") for name in os.listdir(self.folder)):
                raise LayoutError(f"{self.folder} holds arenas but no instance.json; remove the folder")
            return None
        try:
            with open(self._instance, encoding="utf-8") as file:
                found = json.loads(file.read(4096))
            version, workers, secret = found["version"], found["workers"], found.get("secret", "")
        except (OSError, ValueError, TypeError, KeyError, IndexError):
            raise LayoutError(f"{self._instance} cannot be read; remove {self.folder}") from None
        if version != FORMAT_VERSION:
            text = f"{self.folder} holds data of format {version!r}, this version reads {FORMAT_VERSION}"
            raise LayoutError(f"{text}; remove the folder")
        if not isinstance(workers, int) or isinstance(workers, bool) or workers < 1:
            raise LayoutError(f"{self._instance} names {workers!r} workers; remove {self.folder}")
        if not isinstance(secret, str) or len(secret) != 2 * SECRET_BYTES or not re.fullmatch("[0-9a-f]+", secret):
            raise LayoutError(f"{self._instance} has no secret that fits; restore it, or remove {self.folder}")
        return Identity(workers, bytes.fromhex(secret))

    def save_identity(self, identity: Identity) -> None:
        """Records what the data is made with. Raises OSError."""
        temporary = self._instance + ".new"
        found = {"version": FORMAT_VERSION, "workers": identity.workers, "secret": identity.secret.hex()}
        with open(temporary, "w", encoding="utf-8", opener=_private) as file:
            json.dump(found, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, self._instance)

    def remove_volatile(self) -> None:
        """Removes rings, segments and control page, of this run or of one that crashed. Raises OSError."""
        for name in os.listdir(self.folder):
            if name == "control" or name.startswith(("ring-", "seg-")):
                os.unlink(os.path.join(self.folder, name))

    def leave(self) -> None:
        """Gives the folder up: its data stays if there is any, everything else goes. Raises OSError."""
        if os.path.exists(self.folder):
            if any(name.startswith("arena-") for name in os.listdir(self.folder)):
                self.remove_volatile()
            else:
                self.remove_all()
        self.release()

    def remove_all(self) -> None:
        """Removes the folder with all data. Raises OSError."""
        shutil.rmtree(self.folder)
