"""Publishing to several rings is one step, wherever the acceptor dies; and a long request keeps its segments."""
from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from shardkv.acceptor._testing import publish
from shardkv.ring import RingPair
from shardkv.stats import ControlPage

WORKERS = 3


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for worker in range(WORKERS):
        RingPair.create(str(tmp_path / f"ring-0-{worker}"))
    ControlPage.create(str(tmp_path / "control"), 1, WORKERS)
    return tmp_path


def test_death_at_every_store_publishes_to_all_rings_or_to_none(folder: Path) -> None:
    published, outcomes, death = 0, set[bool](), 0
    while True:
        death += 1
        pid = os.fork()
        if pid == 0:
            publish(str(folder), WORKERS, death)
            os._exit(0)
        status = os.waitpid(pid, 0)[1]
        tails, named = publish(str(folder), WORKERS)
        assert len(set(tails)) == 1, f"death {death}: {tails}"
        outcomes.add(tails[0] > published)
        published = tails[0]
        assert {int(path.name[4:], 16) for path in folder.glob("seg-*")} == named, f"death {death}"
        if os.WIFEXITED(status):
            break
        assert os.WTERMSIG(status) == signal.SIGKILL
    assert outcomes == {False, True} and death > 2 * WORKERS


def test_a_successor_wakes_the_workers_that_a_death_left_asleep(folder: Path) -> None:
    wake_fds = [os.eventfd(0, os.EFD_NONBLOCK) for _ in range(WORKERS)]
    publish(str(folder), WORKERS, 0, wake_fds)
    for fd in wake_fds:
        assert os.eventfd_read(fd) == 1
        os.close(fd)
