"""What the data of an instance is: instance.json, which describes it, and the heads of its arenas, which must fit.

instance.json is one JSON object, padded with spaces to RECORD_BYTES:

    version, workers, secret    of the format, number of shards, the secret of all hashes (hashing.pxd): never change
    generation                  of the data: each start raises it
    to_make                     the arenas that are to be made, a bit for each, in hexadecimal: any other that is
                                missing is lost
    removing                    the data is being given up: what is left of it is to be removed, not served

An arena begins with the words of HEAD; workers/memory/format.pxd has the whole header.

Invariants
 1. instance.json is there, and whole, before the first arena: it is written under another name, flushed, and renamed.
    After that it is overwritten by single writes of the same length, within one page: they need no room, and a kill
    leaves the old or the new.
 2. All arenas have the instance's generation. A start raises those of the arenas first, flushes them, and then raises
    the instance's. So one that was killed leaves arenas that are one ahead; one that is behind was copied earlier, and
    its keys are not of one time with the others'.
 3. `to_make` is emptied when all workers have reported ready, after every arena was made and before the first client
    is served; a start in which that fails stops. An arena that is made has generation 0 until then. One that is in
    `to_make` and missing is one not made yet: no client was ever told that something is in it. One that is lost is
    added when the operator allows for it, and the others stay as protected as they were.
 4. `removing` is set before the first arena is removed, and goes with the file itself, after the last.
"""
from __future__ import annotations

import json
import os
import re
import stat
import struct
from dataclasses import dataclass

from shardkv.hashing import SECRET_BYTES

FORMAT_VERSION = 4
RECORD_BYTES = 1024

ARENA_VERSION = 5
ARENA_MAGIC = 0x0076_6B64_7261_6873
# magic, version, shard, shards, file_size, secret, generation
HEAD = struct.Struct(f"<QIII4xQ40x{SECRET_BYTES}sQ")
_GENERATION_OFFSET = HEAD.size - 8


class LayoutError(Exception):
    """The folder cannot be used; the text is one line for the operator."""


@dataclass(frozen=True)
class Identity:
    """What all data of an instance is made with, and how far it has come."""

    workers: int
    secret: bytes
    generation: int = 0
    to_make: frozenset[int] = frozenset()
    removing: bool = False

    @classmethod
    def new(cls, workers: int) -> Identity:
        """An instance's without data. For tests that need each key in the same shard in every run, the environment may
        say the secret: SHARDKV_TEST_SECRET, in hexadecimal."""
        chosen = bytes.fromhex(os.environ.get("SHARDKV_TEST_SECRET", ""))
        return cls(workers, chosen or os.urandom(SECRET_BYTES), to_make=frozenset(range(workers)))

    @property
    def never_made(self) -> bool:
        """Whether no arena ever held data: it is still as its first start described it."""
        return self.generation == 0 and len(self.to_make) == self.workers


# -- instance.json


def read_identity(path: str) -> Identity:
    """What instance.json says. Raises LayoutError, FileNotFoundError."""
    advice = "put a copy of the whole folder back, or remove it"
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            text = os.read(descriptor, 4 * RECORD_BYTES)
        finally:
            os.close(descriptor)
        found = json.loads(text)
        version, workers = found["version"], found["workers"]
    except FileNotFoundError:
        raise
    except (OSError, ValueError, TypeError, KeyError, IndexError, RecursionError):
        raise LayoutError(f"{path} cannot be read: {advice}") from None
    if version != FORMAT_VERSION:
        raise LayoutError(
            f"{path} describes data of format {version!r}, this version reads {FORMAT_VERSION}: "
            "start the shardkv that wrote it, or remove the folder"
        )
    if not _is_count(workers) or workers < 1:
        raise LayoutError(f"{path} names {workers!r} workers: {advice}")
    secret, generation = found.get("secret"), found.get("generation")
    to_make, removing = found.get("to_make"), found.get("removing")
    if not isinstance(secret, str) or len(secret) != 2 * SECRET_BYTES or not re.fullmatch("[0-9a-f]+", secret):
        raise LayoutError(f"{path} has no secret that fits: {advice}")
    numbers = _numbers(to_make, workers)
    if not _is_count(generation) or numbers is None or not isinstance(removing, bool):
        raise LayoutError(f"{path} does not tell the state of the data: {advice}")
    return Identity(workers, bytes.fromhex(secret), generation, numbers, removing)


def _numbers(text: object, workers: int) -> frozenset[int] | None:
    if not isinstance(text, str) or not re.fullmatch("[0-9a-f]+", text) or int(text, 16) >> workers:
        return None
    bits = int(text, 16)
    return frozenset(number for number in range(workers) if bits >> number & 1)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 63


def write_identity(path: str, identity: Identity) -> None:
    """Stores it (invariant 1). Raises OSError."""
    found = {
        "version": FORMAT_VERSION, "workers": identity.workers, "generation": identity.generation,
        "to_make": f"{sum(1 << number for number in identity.to_make):x}", "removing": identity.removing,
        "secret": identity.secret.hex(),
    }
    record = json.dumps(found).encode().ljust(RECORD_BYTES - 1) + b"\n"
    exists = os.path.exists(path)
    target = path if exists else f"{path}.new"
    flags = os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | (0 if exists else os.O_TRUNC)
    _write_through(target, flags, record, 0)
    if not exists:
        os.rename(target, path)
        _flush_folder(os.path.dirname(path))


def _write_through(path: str, flags: int, data: bytes, offset: int) -> None:
    # O_DSYNC flushes what is written; fdatasync would flush all that a server left in an arena.
    descriptor = os.open(path, flags | os.O_DSYNC, 0o600)
    try:
        os.pwrite(descriptor, data, offset)
    finally:
        os.close(descriptor)


def _flush_folder(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


# -- heads of arenas


def check_arena(path: str, shard: int, identity: Identity) -> bool:
    """Whether there is an arena. Raises LayoutError if it is not the instance's own, of that shard and generation."""
    advice = "put a copy of the whole folder back, or move it away and start with --allow-missing-arenas yes"
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return False
    if not stat.S_ISREG(status.st_mode):
        raise LayoutError(f"{path} is not a file: {advice}")
    if status.st_uid != os.geteuid():
        raise LayoutError(f"{path} belongs to another user: start as that user, or change its owner")
    magic, version, found, shards, size, secret, generation = _read_head(path, advice)
    if magic != ARENA_MAGIC:
        raise LayoutError(f"{path} is no arena of shardkv: {advice}")
    if version != ARENA_VERSION:
        raise LayoutError(
            f"arena {path} has format version {version}, not {ARENA_VERSION}: "
            "start the shardkv that wrote it, or remove the folder"
        )
    if secret != identity.secret:
        raise LayoutError(f"arena {path} is of another instance: {advice}")
    if (found, shards) != (shard, identity.workers):
        raise LayoutError(f"arena {path} holds shard {found} of {shards}, not {shard} of {identity.workers}: {advice}")
    if size != status.st_size:
        raise LayoutError(f"arena {path} is {status.st_size} bytes long instead of {size}: {advice}")
    expected = (identity.generation, identity.generation + 1, *([0] if shard in identity.to_make else []))
    if generation not in expected:
        raise LayoutError(
            f"arena {path} is of generation {generation}, the others are of {identity.generation}: they were not "
            f"copied together; {advice}"
        )
    return True


def _read_head(path: str, advice: str) -> tuple[int, int, int, int, int, bytes, int]:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            head = os.pread(descriptor, HEAD.size, 0)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise LayoutError(f"cannot open arena {path}: {error.strerror}") from None
    if len(head) < HEAD.size:
        raise LayoutError(f"{path} is no arena, it has {len(head)} bytes: {advice}")
    magic, version, shard, shards, size, secret, generation = HEAD.unpack(head)
    return magic, version, shard, shards, size, secret, generation


def set_generation(path: str, generation: int) -> None:
    """Stores an arena's generation. Raises OSError."""
    flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    _write_through(path, flags, generation.to_bytes(8, "little"), _GENERATION_OFFSET)

