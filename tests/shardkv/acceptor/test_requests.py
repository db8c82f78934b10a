"""Publishing to several rings is one step, wherever the acceptor dies; and who waits for room is served in turn."""
from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from shardkv.acceptor._testing import Waiting, publish
from shardkv.ring import RingPair
from shardkv.stats import ControlPage

WORKERS = 3
CAPACITY = 4096
LENGTH = 3000  # of a request: the ring has room for one


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for worker in range(WORKERS):
        RingPair.create(str(tmp_path / f"ring-0-{worker}"), CAPACITY)
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


def test_a_request_for_several_rings_is_served_by_the_time_it_has_waited(folder: Path) -> None:
    waiting = Waiting(str(folder), WORKERS)
    assert waiting.send(0, [0], LENGTH) and waiting.send(1, [1], LENGTH)
    assert not waiting.send(2, [0, 1], LENGTH)
    assert not waiting.send(3, [0], LENGTH)
    assert not waiting.send(4, [1], LENGTH)
    waiting.take(0)
    assert waiting.retry(0) == [3]  # 2 found room in the first ring, but not in the second, and waits there …
    assert not waiting.send(5, [0], LENGTH)
    waiting.take(0)
    waiting.take(1)
    assert waiting.retry(1) == [2]  # … before 4, and passes 5
    waiting.take(0)
    waiting.take(1)
    assert waiting.retry(0) + waiting.retry(1) == [5, 4]


def test_a_request_keeps_its_place_and_the_next_one_has_none(folder: Path) -> None:
    waiting = Waiting(str(folder), WORKERS)
    assert waiting.send(0, [0], LENGTH)
    for number in (1, 2, 3):
        assert not waiting.send(number, [0], LENGTH)
    assert waiting.retry(0) == []
    waiting.take(0)
    assert waiting.retry(0) == [1]
    assert not waiting.send(1, [0], LENGTH)
    waiting.take(0)
    assert waiting.retry(0) == [2]
    waiting.take(0)
    assert waiting.retry(0) == [3]
    waiting.take(0)
    assert waiting.retry(0) == [1]
