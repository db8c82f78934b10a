"""The files of an instance: the lock, what a crash leaves, data that fits or does not."""
from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shardkv.layout import FORMAT_VERSION, Identity, Layout, LayoutError, instance_name
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


def test_saved_identity(layout: Layout) -> None:
    assert layout.saved_identity() is None
    identity = Identity.new(4)
    assert Identity.new(4).secret != identity.secret
    layout.save_identity(identity)
    assert layout.saved_identity() == identity
    assert Path(layout.folder, "instance.json").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "cannot be read"),
        ("{", "cannot be read"),
        ("[]", "cannot be read"),
        ("7", "cannot be read"),
        ('{"version": 1}', "cannot be read"),
        (json.dumps({"version": FORMAT_VERSION + 1, "workers": 4}), "holds data of format 3, this version reads 2"),
        (json.dumps({"version": FORMAT_VERSION, "workers": 4}), "has no secret that fits"),
        (json.dumps({"version": FORMAT_VERSION, "workers": 4, "secret": "00" * 191}), "has no secret that fits"),
        (json.dumps({"version": FORMAT_VERSION, "workers": 4, "secret": [0] * 384}), "has no secret that fits"),
        (json.dumps({"version": FORMAT_VERSION, "workers": 0}), "names 0 workers"),
        (json.dumps({"version": FORMAT_VERSION, "workers": "4"}), "names '4' workers"),
        (json.dumps({"version": FORMAT_VERSION, "workers": True}), "names True workers"),
    ],
)
def test_data_that_does_not_fit(layout: Layout, text: str, reason: str) -> None:
    Path(layout.folder, "instance.json").write_text(text)
    with pytest.raises(LayoutError, match=reason) as caught:
        layout.saved_identity()
    assert layout.folder in str(caught.value) and "remove" in str(caught.value)


def test_arenas_without_their_description(layout: Layout) -> None:
    Path(layout.arena(0)).touch()
    with pytest.raises(LayoutError, match="holds arenas but no instance.json"):
        layout.saved_identity()


def test_volatile_files_go_and_data_stays(layout: Layout) -> None:
    layout.save_identity(Identity.new(2))
    for path in (layout.arena(0), layout.ring(0, 1), layout.control, f"{layout.folder}/seg-000f"):
        Path(path).touch()
    layout.remove_volatile()
    assert sorted(os.listdir(layout.folder)) == ["arena-0", "instance.json", "lock"]
    layout.remove_all()
    assert not os.path.exists(layout.folder)


@pytest.mark.parametrize("data", [False, True])
def test_nothing_but_data_is_left(layout: Layout, data: bool) -> None:
    if data:
        Path(layout.arena(0)).touch()
    Path(layout.control).touch()
    layout.leave()
    assert os.path.exists(layout.folder) is data
    assert not os.path.exists(layout.control)


def test_link_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "shardkv-7000").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(LayoutError, match="belongs to another user"):
        Layout(str(tmp_path), "7000").take()
