"""instance.json and the heads of arenas: whatever else lies in their place is refused in one line, and left alone."""
from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shardkv.config.directives import WORKERS_MAX
from shardkv.hashing import set_secret
from shardkv.identity import (
    ARENA_VERSION,
    FORMAT_VERSION,
    HEAD,
    RECORD_BYTES,
    Identity,
    LayoutError,
    read_identity,
    set_generation,
    write_identity,
)
from shardkv.layout import Layout
from workers.memory import _testing as a
from workers.memory.arena import Arena

MIB = 1 << 20


def make(folder: Path, workers: int = 2) -> Layout:
    """An instance that has been started twice, with real arenas."""
    layout = Layout(str(folder), "7000")
    layout.take()
    identity = layout.describe(Identity.new(workers))
    set_secret(identity.secret)
    for worker in range(workers):
        Arena.open(layout.arena(worker), worker, workers, capacity=MIB).close()
    layout.begin(layout.settle(identity), [])
    return layout


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    return make(tmp_path)


def state(folder: str) -> dict[str, Any]:
    """All that can be seen of a folder's files."""
    found = {}
    for path in sorted(Path(folder).rglob("*")):
        content = path.read_bytes()[:65536] if path.is_file() else None
        found[str(path)] = (path.lstat().st_mode, path.lstat().st_size, content)
    return found


def refuse(layout: Layout) -> str:
    """The line with which the data is refused; nothing must have changed."""
    before = state(layout.folder)
    with pytest.raises(LayoutError) as caught:
        layout.examine(False)
    assert state(layout.folder) == before
    line = str(caught.value)
    assert "\n" not in line and layout.folder in line
    return line


def test_the_head_is_that_of_an_arena(layout: Layout) -> None:
    identity, missing = layout.examine(False)
    assert identity is not None and not missing
    set_secret(identity.secret)
    arena = Arena.open(layout.arena(1), 1, 2)
    offsets = a.offsets(arena)
    size = os.path.getsize(layout.arena(1))
    head = HEAD.unpack(Path(layout.arena(1)).read_bytes()[: HEAD.size])
    assert head[1:] == (ARENA_VERSION, 1, 2, size, identity.secret, 1)
    assert (offsets["shard"], offsets["file_size"]) == (12, 24)
    assert offsets["generation"] == HEAD.size - 8 and offsets["secret"] == HEAD.size - 8 - len(identity.secret)
    arena.close()


def test_an_arena_of_another_time_is_refused(layout: Layout, tmp_path: Path) -> None:
    shutil.copy(layout.arena(0), tmp_path / "copy")
    identity, _ = layout.examine(False)
    assert identity is not None
    layout.begin(identity, [])
    shutil.copy(tmp_path / "copy", layout.arena(0))
    assert "arena-0 is of generation 1, the others are of 2: they were not copied together" in refuse(layout)


def test_an_arena_of_another_instance_is_refused(layout: Layout, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    shutil.copy(make(tmp_path / "other").arena(1), layout.arena(1))
    assert "arena-1 is of another instance" in refuse(layout)


def swap(layout: Layout) -> None:
    os.rename(layout.arena(0), layout.folder + "/kept")
    os.rename(layout.arena(1), layout.arena(0))
    os.rename(layout.folder + "/kept", layout.arena(1))


def into_folder(layout: Layout) -> None:
    os.unlink(layout.arena(1))
    os.mkdir(layout.arena(1))


def into_link(layout: Layout) -> None:
    os.rename(layout.arena(1), layout.folder + "/elsewhere")
    os.symlink("elsewhere", layout.arena(1))


def into_pipe(layout: Layout) -> None:
    os.unlink(layout.arena(1))
    os.mkfifo(layout.arena(1))


def garbage(layout: Layout) -> None:
    Path(layout.arena(1)).write_bytes(os.urandom(8192))


@pytest.mark.parametrize(
    ("harm", "reason"),
    [
        (lambda layout: os.unlink(layout.arena(1)), "arena-1 is missing"),
        (lambda layout: os.truncate(layout.arena(1), 0), "arena-1 is no arena, it has 0 bytes"),
        (lambda layout: os.truncate(layout.arena(1), 100), "arena-1 is no arena, it has 100 bytes"),
        (lambda layout: os.truncate(layout.arena(1), 70000), "arena-1 is 70000 bytes long instead of"),
        (lambda layout: os.truncate(layout.arena(1), 1 << 32), "arena-1 is 4294967296 bytes long instead of"),
        (lambda layout: shutil.copy(layout.arena(1), f"{layout.folder}/arena-5"), "holds arena-5, but its data"),
        (garbage, "arena-1 is no arena of shardkv"),
        (swap, "arena-0 holds shard 1 of 2, not 0 of 2"),
        (into_folder, "arena-1 is not a file"),
        (into_link, "arena-1 is not a file"),
        (into_pipe, "arena-1 is not a file"),
        (lambda layout: os.chown(layout.arena(1), 12345, -1), "arena-1 belongs to another user"),
        (lambda layout: os.unlink(f"{layout.folder}/instance.json"), "holds arenas but no instance.json"),
    ],
)
def test_arenas_that_do_not_fit(layout: Layout, harm: Callable[[Layout], object], reason: str) -> None:
    if "another user" in reason and os.geteuid() != 0:
        pytest.skip("may not change owners")
    harm(layout)
    assert reason in refuse(layout)


GOOD = {
    "version": FORMAT_VERSION, "workers": 2, "generation": 1, "to_make": "0", "removing": False, "secret": "0" * 384,
}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "cannot be read"),
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ("[" * 4096, "cannot be read"),
        ("7", "cannot be read"),
        (b"\xff\xfe\x00", "cannot be read"),
        (json.dumps(GOOD)[:200], "cannot be read"),
        (json.dumps(GOOD) + " " * 5000 + "x", None),
        ('{"version": 3}', "cannot be read"),
        (json.dumps(GOOD | {"version": FORMAT_VERSION + 1}), "describes data of format 5, this version reads 4"),
        (json.dumps(GOOD | {"secret": "00" * 191}), "has no secret that fits"),
        (json.dumps(GOOD | {"secret": [0] * 384}), "has no secret that fits"),
        (json.dumps(GOOD | {"workers": 0}), "names 0 workers"),
        (json.dumps(GOOD | {"workers": "2"}), "names '2' workers"),
        (json.dumps(GOOD | {"workers": True}), "names True workers"),
        (json.dumps(GOOD | {"generation": -1}), "does not tell the state"),
        (json.dumps(GOOD | {"to_make": True}), "does not tell the state"),
        (json.dumps(GOOD | {"to_make": "x"}), "does not tell the state"),
        (json.dumps(GOOD | {"to_make": "4"}), "does not tell the state"),
        (json.dumps(GOOD | {"removing": None}), "does not tell the state"),
        (json.dumps(GOOD), "is of another instance"),
    ],
)
def test_descriptions_that_do_not_fit(layout: Layout, text: str | bytes, reason: str | None) -> None:
    Path(layout.folder, "instance.json").write_bytes(text if isinstance(text, bytes) else text.encode())
    assert (reason or "is of another instance") in refuse(layout)


def test_something_else_in_place_of_the_description(layout: Layout) -> None:
    path = Path(layout.folder, "instance.json")
    path.rename(layout.folder + "/elsewhere")
    path.symlink_to("elsewhere")
    assert "cannot be read" in refuse(layout)
    path.unlink()
    path.mkdir()
    assert "cannot be read" in refuse(layout)


def test_a_generation_is_flushed_without_the_arena(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: dict[str, int] = {}
    real = os.open

    def note(path: str, flags: int, mode: int = 0o777) -> int:
        opened[path] = flags
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", note)
    monkeypatch.setattr(os, "fdatasync", lambda _: pytest.fail("flushes the whole file"))
    monkeypatch.setattr(os, "fsync", lambda _: pytest.fail("flushes the whole file"))
    set_generation(layout.arena(0), 1)
    assert opened[layout.arena(0)] & os.O_DSYNC == os.O_DSYNC


def test_the_longest_description_fits(layout: Layout) -> None:
    path = f"{layout.folder}/instance.json"
    identity = replace(Identity.new(WORKERS_MAX), generation=(1 << 63) - 1)
    write_identity(path, identity)
    assert read_identity(path) == identity and os.path.getsize(path) == RECORD_BYTES


def test_the_description_is_private_and_of_one_length(layout: Layout) -> None:
    path = Path(layout.folder, "instance.json")
    inode = path.stat().st_ino
    for _ in range(12):
        identity, missing = layout.examine(False)
        assert identity is not None
        assert path.stat().st_size == RECORD_BYTES and path.stat().st_mode & 0o077 == 0
        layout.begin(identity, missing)
    assert path.stat().st_ino == inode
