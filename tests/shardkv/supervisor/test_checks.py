"""What is looked for at start: limits on descriptors and memory, room, listening sockets."""
from __future__ import annotations

import errno
import io
import os
import resource
import socket
from pathlib import Path
from typing import Any

import pytest

from shardkv.claims import Claims
from shardkv.layout import Layout
from shardkv.ring import PAIR_BYTES, RingPair
from shardkv.stats import ControlPage
from shardkv.supervisor import checks
from shardkv.supervisor.checks import StartError
from shardkv.supervisor.notify import notify
from shardkv.supervisor.sockets import ListenError, listen_tcp, listen_unix
from tests.harness import free_port


@pytest.fixture
def limits(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A pretended soft and hard limit on descriptors, which `setrlimit` changes."""
    pretended = [100, 1000]

    def change(kind: int, values: tuple[int, int]) -> None:
        if values[0] > pretended[1]:
            raise ValueError("not allowed to raise maximum limit")
        pretended[:] = values

    monkeypatch.setattr(resource, "getrlimit", lambda kind: tuple(pretended))
    monkeypatch.setattr(resource, "setrlimit", change)
    return pretended


@pytest.mark.parametrize(
    ("maxclients", "others", "fits", "soft"), [(50, 50, 50, 100), (51, 50, 51, 101), (950, 50, 950, 1000)]
)
def test_descriptors_that_suffice(limits: list[int], maxclients: int, others: int, fits: int, soft: int) -> None:
    assert checks.fit_descriptors(maxclients, others) == (fits, "")
    assert limits[0] == soft


def test_descriptors_that_do_not_suffice(limits: list[int]) -> None:
    fits, warning = checks.fit_descriptors(10000, 50)
    assert (fits, limits[0]) == (950, 1000)
    assert "maxclients lowered from 10000 to 950" in warning and "ulimit -n 10050" in warning
    with pytest.raises(StartError, match="too low for a single client"):
        checks.fit_descriptors(1, 1000)


def test_unlimited_descriptors(limits: list[int]) -> None:
    limits[:] = [resource.RLIM_INFINITY, resource.RLIM_INFINITY]
    assert checks.fit_descriptors(10000, 50) == (10000, "")


@pytest.mark.parametrize(
    ("groups", "files", "limit"),
    [
        ("0::/a/b\n", {"/sys/fs/cgroup/a/b/memory.max": "1048576\n"}, 1 << 20),
        ("0::/\n", {"/sys/fs/cgroup/memory.max": "1048576\n"}, 1 << 20),
        ("0::/a\n", {"/sys/fs/cgroup/a/memory.max": "max\n"}, None),
        ("5:cpu,memory:/x\n", {"/sys/fs/cgroup/memory/x/memory.limit_in_bytes": "4096\n"}, 4096),
        ("5:memory:/x\n", {"/sys/fs/cgroup/memory/x/memory.limit_in_bytes": "9223372036854771712\n"}, None),
        ("5:cpu:/x\n", {}, None),
        ("", {}, None),
    ],
)
def test_cgroup_memory_limit(
    monkeypatch: pytest.MonkeyPatch, groups: str, files: dict[str, str], limit: int | None
) -> None:
    known = files | {"/proc/self/cgroup": groups}

    def pretend(path: str, *_: Any, **__: Any) -> io.StringIO:
        if path not in known:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
        return io.StringIO(known[path])

    monkeypatch.setattr("builtins.open", pretend)
    assert checks.cgroup_memory_limit() == limit
    unlimited, above = list(checks.memory_warnings(0)), list(checks.memory_warnings(1 << 40))
    monkeypatch.undo()
    assert len(unlimited) == len(above) == (limit is not None)


def test_room_counts_only_what_is_missing(tmp_path: Path) -> None:
    layout = Layout(str(tmp_path), "7000")
    os.mkdir(layout.folder)
    assert checks.room_needed(layout, 1, 2, 2) - checks.room_needed(layout, 1, 2, 0) == 2 * checks.ROOM_PER_ARENA
    before = checks.room_needed(layout, 1, 2, 0)
    RingPair.create(layout.ring(0, 1))
    assert checks.room_needed(layout, 1, 2, 0) == before - PAIR_BYTES
    ControlPage.create(layout.control, 1, 2)
    Claims.create(layout.claims(0))
    assert checks.room_needed(layout, 1, 2, 0) == PAIR_BYTES
    files = sorted(tmp_path.iterdir())
    checks.check_room(str(tmp_path), 1 << 16)
    assert sorted(tmp_path.iterdir()) == files


def test_several_acceptors_share_a_port_among_themselves_only() -> None:
    port = free_port()
    sockets = listen_tcp(["127.0.0.1"], port, 16, 3)
    try:
        assert [len(listeners) for listeners in sockets] == [1, 1, 1]
        with pytest.raises(ListenError, match="the port is in use"):
            listen_tcp(["127.0.0.1"], port, 16, 3)
    finally:
        for listeners in sockets:
            listeners[0].close()


def test_any_address_and_names() -> None:
    port = free_port()
    for listeners in (*listen_tcp(["*", "-::*"], port, 16, 1), *listen_tcp(["localhost"], free_port(), 16, 1)):
        assert listeners
        for listener in listeners:
            listener.close()
    with pytest.raises(ListenError, match=r"cannot listen on no\.such\.host\.invalid:"):
        listen_tcp(["no.such.host.invalid"], port, 16, 1)
    assert listen_tcp(["127.0.0.1"], 0, 16, 2) == [[], []]


def test_stale_unix_socket_is_replaced(tmp_path: Path) -> None:
    path = str(tmp_path / "sock")
    listen_unix(path, 0o600, 16).close()
    assert os.path.exists(path)
    listener = listen_unix(path, 0o640, 16)
    assert os.stat(path).st_mode & 0o777 == 0o640
    listener.close()
    with pytest.raises(ListenError, match="cannot listen on unixsocket"):
        listen_unix(str(tmp_path / ("x" * 200)), 0, 16)


def test_notify_needs_mode_and_address(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind("\0shardkv-test-notify")
        manager.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", "@shardkv-test-notify")
        notify("no", "READY=1")
        with pytest.raises(BlockingIOError):
            manager.recv(64)
        notify("systemd", "READY=1")
        assert manager.recv(64) == b"READY=1"
    notify("systemd", "STOPPING=1")  # nobody listens any more
