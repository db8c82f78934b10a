"""The files of an instance: the lock, what a crash leaves, data that fits or does not."""
from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from shardkv.identity import ARENA_MAGIC, ARENA_VERSION, HEAD, Identity, LayoutError, set_generation
from shardkv.layout import Layout, instance_name
from tests.harness import environment


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    made = Layout(str(tmp_path), "7000")
    made.take()
    return made


def test_names(tmp_path: Path) -> None:
    found = Layout(str(tmp_path), "7000")
    assert found.folder == f"{tmp_path}/shardkv-7000"
    assert found.arena(3) == f"{tmp_path}/shardkv-7000/arena-3"
    assert found.ring(1, 2) == f"{tmp_path}/shardkv-7000/ring-1-2"
    assert instance_name(6379, "/x") == "6379"
    assert instance_name(0, "/x") != instance_name(0, "/y")


def test_folder_is_closed_to_others(layout: Layout) -> None:
    assert os.stat(layout.folder).st_mode & 0o777 == 0o700


def test_lock_is_exclusive_and_names_its_holder(layout: Layout, tmp_path: Path) -> None:
    with pytest.raises(LayoutError, match=rf"shardkv-7000 is in use by another shardkv \(pid {os.getpid()}\)"):
        Layout(str(tmp_path), "7000").take()
    layout.release()
    Layout(str(tmp_path), "7000").take()


def test_lock_of_a_dead_holder_is_waited_for(tmp_path: Path) -> None:
    # The holder dies; a child that inherited the lock outlives it by a moment.
    script = (
        "import os, subprocess, sys; from shardkv.layout import Layout\n"
        f"lock = Layout({str(tmp_path)!r}, '7000').take()\n"
        "subprocess.Popen(['sleep', '0.3'], pass_fds=[lock])\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True, env=environment())
    Layout(str(tmp_path), "7000").take()


def test_folder_that_vanishes_under_the_lock_is_made_again(layout: Layout, tmp_path: Path) -> None:
    layout.remove_all()
    other = Layout(str(tmp_path), "7000")
    other.take()
    assert os.path.exists(other.folder)


def arena(layout: Layout, worker: int, identity: Identity, generation: int = 0) -> None:
    """Makes what looks like an arena from outside."""
    head = HEAD.pack(ARENA_MAGIC, ARENA_VERSION, worker, identity.workers, 4096, identity.secret, generation)
    Path(layout.arena(worker)).write_bytes(head.ljust(4096, b"\0"))


def test_generations_rise_together(layout: Layout) -> None:
    assert layout.examine(False) == (None, [])
    identity = layout.describe(Identity.new(2))
    for worker in range(2):
        arena(layout, worker, identity)
    identity = layout.settle(identity)
    assert not identity.to_make and layout.examine(False) == (identity, [])
    for generation in (1, 2):
        identity = layout.begin(identity, [])
        assert identity.generation == generation and layout.examine(False) == (identity, [])
        assert layout.settle(identity) == identity


def test_a_start_killed_between_two_arenas_is_repeated(layout: Layout) -> None:
    identity = layout.settle(started(layout, 3))
    set_generation(layout.arena(0), identity.generation + 1)
    assert layout.examine(False) == (identity, [])
    identity = layout.begin(identity, [])
    assert layout.examine(False) == (identity, [])


def started(layout: Layout, workers: int) -> Identity:
    identity = layout.describe(Identity.new(workers))
    for worker in range(workers):
        arena(layout, worker, identity)
    return identity


def test_arenas_that_were_never_made_are_made(layout: Layout) -> None:
    identity = started(layout, 3)
    os.unlink(layout.arena(2))
    assert layout.examine(False) == (identity, [2])
    identity = layout.begin(identity, [2])
    arena(layout, 2, identity)
    assert layout.examine(False) == (identity, [])
    identity = layout.settle(identity)
    assert layout.examine(False) == (identity, [])


def test_arenas_that_are_missing_start_empty_only_when_asked(layout: Layout) -> None:
    identity = layout.begin(layout.settle(started(layout, 3)), [])
    os.unlink(layout.arena(1))
    with pytest.raises(LayoutError, match="arena-1 is missing: put it back, or start with --allow-missing-arenas yes"):
        layout.examine(False)
    assert layout.examine(True) == (identity, [1])
    identity = layout.begin(identity, [1])
    assert identity.to_make == {1}
    arena(layout, 1, identity)
    assert layout.examine(False) == (identity, [])
    identity = layout.settle(identity)
    assert layout.examine(False) == (identity, [])


def test_arenas_with_data_stay_protected_while_others_are_made(layout: Layout) -> None:
    identity = layout.begin(layout.settle(started(layout, 3)), [])
    os.unlink(layout.arena(1))
    identity = layout.begin(identity, [1])      # and is killed
    assert layout.examine(False) == (identity, [1])
    os.rename(layout.arena(2), layout.folder + "/kept")
    with pytest.raises(LayoutError, match="arena-2 is missing"):
        layout.examine(False)
    arena(layout, 2, identity)
    with pytest.raises(LayoutError, match="arena-2 is of generation 0, the others are of 2"):
        layout.examine(False)
    os.rename(layout.folder + "/kept", layout.arena(2))
    assert layout.examine(False) == (identity, [1])


def test_leftovers_go_and_data_and_room_stay(layout: Layout) -> None:
    started(layout, 2)
    kept = layout.names() | {"control", "ring-0-0", "ring-0-1"}
    for name in (*kept, "seg-000f", "ring-1-0", "ring-0-2", "arena-1.new", "instance.json.new"):
        Path(layout.folder, name).touch()
    layout.remove_leftovers(1, 2)
    assert layout.names() == kept
    layout.leave()
    assert layout.names() == kept
    layout.remove_all()
    assert not os.path.exists(layout.folder)


def test_nothing_is_left_where_there_never_were_data(layout: Layout) -> None:
    layout.describe(Identity.new(2))
    Path(layout.control).touch()
    layout.leave()
    assert not os.path.exists(layout.folder)


def test_arenas_lost_while_it_ran_are_not_forgotten(layout: Layout) -> None:
    layout.settle(started(layout, 1))
    os.unlink(layout.arena(0))
    layout.leave()
    with pytest.raises(LayoutError, match="arena-0 is missing"):
        layout.examine(False)


def test_a_removal_that_was_killed_is_completed(layout: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    layout.settle(started(layout, 2))
    remove = os.unlink

    def dies(path: str) -> None:
        if path == layout.arena(1):
            raise KeyboardInterrupt
        remove(path)

    monkeypatch.setattr(os, "unlink", dies)
    with pytest.raises(KeyboardInterrupt):
        layout.remove_all()
    monkeypatch.undo()
    identity, missing = layout.examine(False)
    assert identity is not None and identity.removing and not missing
    layout.remove_data()
    assert layout.names() == {"lock"}


def test_a_start_that_failed_leaves_what_was_there(layout: Layout) -> None:
    before = layout.names()
    layout.describe(Identity.new(1))
    layout.withdraw(before)
    assert not os.path.exists(layout.folder)
    layout.take()
    started(layout, 1)
    before = layout.names()
    Path(layout.ring(0, 0)).touch()
    layout.withdraw(before)
    assert layout.names() == before


def test_link_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "shardkv-7000").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LayoutError, match="belongs to another user"):
        Layout(str(tmp_path), "7000").take()
