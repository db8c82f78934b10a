"""What a start makes, and what one that fails leaves: each system call in turn has no room, memory or descriptor."""
from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from shardkv.config import Settings
from shardkv.descriptors import beside_clients
from shardkv.hashing import set_secret
from shardkv.supervisor import checks
from shardkv.supervisor.checks import StartError
from shardkv.supervisor.instance import Instance, prepare
from tests.harness import free_port
from tests.room import small_file_system, take_all_room
from workers.memory.arena import Arena

CALLS = [
    (os, "open", errno.EMFILE), (os, "open", errno.ENOSPC), (os, "posix_fallocate", errno.ENOSPC),
    (os, "posix_fallocate", errno.ENOMEM), (os, "pwrite", errno.ENOSPC), (os, "ftruncate", errno.EFBIG),
    (os, "eventfd", errno.EMFILE), (os, "eventfd", errno.ENOMEM), (os, "fsync", errno.EIO), (os, "pwrite", errno.EIO),
    (os, "rename", errno.ENOSPC), (os, "makedirs", errno.ENOSPC),
    (os, "makedirs", errno.EACCES), (os, "pread", errno.EIO), (socket, "socket", errno.EMFILE),
    (socket.socket, "bind", errno.ENOBUFS), (socket.socket, "listen", errno.EADDRINUSE),
]


def settings(folder: Path, **changes: str) -> Settings:
    made = Settings()
    directives = {"arena-dir": str(folder), "dir": str(folder), "workers": "2"}
    made.apply(directives | {"unixsocket": str(folder / "socket")} | changes)
    if "port" not in changes:
        made.apply({"port": str(free_port())})
    return made


def descriptors() -> set[str]:
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):       # the list's own
            found.add(os.readlink(f"/proc/self/fd/{name}"))
    return found


@pytest.fixture(autouse=True)
def here() -> Any:
    before = os.getcwd()
    yield
    os.chdir(before)


class Failing:
    """Lets the `count`-th call of a function fail."""

    def __init__(self, patch: pytest.MonkeyPatch, owner: Any, name: str, error: int, count: int) -> None:
        self.left, self._error, self._call = count, error, getattr(owner, name)
        patch.setattr(owner, name, self._method() if isinstance(owner, type) else self)

    def __call__(self, *words: Any, **named: Any) -> Any:
        self.left -= 1
        if self.left == 0:
            raise OSError(self._error, os.strerror(self._error))
        return self._call(*words, **named)

    def _method(self) -> Any:
        return lambda *words, **named: self(*words, **named)


def make_arenas(instance: Instance) -> None:
    """As workers do."""
    set_secret(instance.identity.secret)
    for worker in range(instance.workers):
        Arena.open(instance.layout.arena(worker), worker, instance.workers, capacity=1 << 20).close()
    instance.settle()


def tree(folder: Path) -> dict[str, int]:
    return {str(path): path.lstat().st_size for path in folder.rglob("*")}


@pytest.mark.parametrize(
    ("owner", "name", "error"), CALLS, ids=[f"{name}-{errno.errorcode[error]}" for _, name, error in CALLS]
)
@pytest.mark.parametrize("again", [False, True], ids=["first", "again"])
def test_each_call_that_fails_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, error: int, again: bool
) -> None:
    port = str(free_port())
    if again:
        instance = prepare(settings(tmp_path, port=port), "")
        make_arenas(instance)
        instance.close(keep_data=True)
    before, opened, refused = tree(tmp_path), descriptors(), 0
    for count in range(1, 1000):
        instance = None
        with monkeypatch.context() as patch:
            failing = Failing(patch, owner, name, error, count)
            try:
                instance = prepare(settings(tmp_path, port=port), "")
            except StartError as problem:
                assert failing.left <= 0 and str(problem) and "\n" not in str(problem)
                refused += 1
        if instance is not None:
            instance.close(keep_data=True)
        if failing.left > 0:
            break
        assert tree(tmp_path) == before
        assert descriptors() == opened
    assert refused or again


def test_arenas_survive_a_refusal(tmp_path: Path) -> None:
    """Of all that a start may not do when something looks strange, removing data is the first."""
    instance = prepare(settings(tmp_path), "")
    make_arenas(instance)
    instance.close(keep_data=True)
    description = Path(instance.layout.folder, "instance.json")
    description.unlink()
    before = tree(tmp_path)
    with pytest.raises(StartError, match="holds arenas but no instance.json"):
        prepare(settings(tmp_path, port=instance.settings.get("port")), "")
    assert tree(tmp_path) == before


def test_missing_arenas_are_named_in_the_log(tmp_path: Path) -> None:
    instance = prepare(settings(tmp_path), "")
    make_arenas(instance)
    instance.close(keep_data=True)
    os.unlink(instance.layout.arena(1))
    port = instance.settings.get("port")
    with pytest.raises(StartError, match="--allow-missing-arenas yes"):
        prepare(settings(tmp_path, port=port), "")
    again = prepare(settings(tmp_path, port=port, **{"allow-missing-arenas": "yes"}), "")
    assert any("arena-1 is missing: that part of the data starts empty" in line for line in again.warnings)
    again.close(keep_data=True)


def test_a_first_start_that_died_settles_nothing(tmp_path: Path) -> None:
    first = prepare(settings(tmp_path), "")
    set_secret(first.identity.secret)
    Arena.open(first.layout.arena(0), 0, 2, capacity=1 << 20).close()
    first.close(keep_data=True)
    port = first.settings.get("port")
    again = prepare(settings(tmp_path, port=port, workers="3"), "")
    assert again.workers == again.identity.workers == 3
    assert not os.path.exists(again.layout.arena(0))
    make_arenas(again)
    again.close(keep_data=True)
    with pytest.raises(StartError, match="was made with 3 workers"):
        prepare(settings(tmp_path, port=port), "")


def test_every_listening_socket_is_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[int] = []
    fit = checks.fit_descriptors

    def note(maxclients: int, others: int) -> tuple[int, str]:
        counted.append(others)
        return fit(maxclients, others)

    monkeypatch.setattr(checks, "fit_descriptors", note)
    instance = prepare(settings(tmp_path), "")
    assert counted == [beside_clients(1, 2, len(instance.listening(0)))]
    instance.close(keep_data=False)


def test_rings_and_control_page_are_used_again(tmp_path: Path) -> None:
    instance = prepare(settings(tmp_path), "")
    make_arenas(instance)
    instance.page.set_counter("worker", 1, "keys", 7)
    instance.close(keep_data=True)
    files = [Path(instance.layout.ring(0, 0)), Path(instance.layout.ring(0, 1)), Path(instance.layout.control)]
    before = [path.stat().st_ino for path in files]
    with open(files[0], "r+b") as ring:
        ring.seek(128)
        ring.write(b"\xff" * 2000)
    again = prepare(settings(tmp_path, port=instance.settings.get("port")), "")
    assert [path.stat().st_ino for path in files] == before
    assert again.page.worker_counters(1)["keys"] == 0
    assert not any(files[0].read_bytes()[16:4096])
    again.close(keep_data=False)
    assert not os.path.exists(again.layout.folder)


def test_a_full_file_system_is_started_in_again(tmp_path: Path) -> None:
    with small_file_system(tmp_path / "small", "16m") as folder:
        instance = prepare(settings(folder, dir=str(tmp_path), unixsocket=""), "")
        make_arenas(instance)
        instance.close(keep_data=True)
        filler = take_all_room(folder)
        port = instance.settings.get("port")
        again = prepare(settings(folder, port=port, dir=str(tmp_path), unixsocket=""), "")
        again.close(keep_data=True)
        with pytest.raises(StartError, match="is full: 0 MB free, 5 MB needed to start"):
            prepare(settings(folder, port=port, dir=str(tmp_path), unixsocket="", acceptors="2"), "")
        again = prepare(settings(folder, port=port, dir=str(tmp_path), unixsocket=""), "")
        again.close(keep_data=True)
        filler.unlink()
        prepare(settings(folder, port=port, dir=str(tmp_path), unixsocket="", acceptors="2"), "").close(keep_data=False)
