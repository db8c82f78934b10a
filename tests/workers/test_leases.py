"""Leased requests: all or nothing in every shard, once, whoever dies at which store."""
from __future__ import annotations

import itertools
import os
import signal
from pathlib import Path

import pytest

from tests.harness import wait_until
from tests.workers.shards import Shards, shards
from workers.memory._testing import journal_used
from workers.memory.arena import Arena

OK = b"+OK\r\n"
GROUPS = ([0, 1], [1, 2], [0, 2], [0, 1, 2])


def program(made: Shards, acceptor: int = 0) -> list[int]:
    """Leased and other requests, mixed; returns how many replies each shard owes."""
    owed = [0, 0, 0]
    for number, group in enumerate([*GROUPS, *GROUPS]):
        made.send_leased(group, "@everywhere", b"all", b"%d" % number, acceptor=acceptor)
        owed[group[0]] += 1
        for worker in range(3):
            made.send(worker, "incr", b"own", acceptor=acceptor)
            owed[worker] += 1
    return owed


def check_program(made: Shards, acceptor: int = 0, acceptors: int = 1) -> None:
    owed = [len(replies) for replies in made.replies[acceptor]]
    for worker in range(3):
        made.send(worker, "get", b"all", acceptor=acceptor)
        made.send(worker, "get", b"own", acceptor=acceptor)
    made.settle([count + 2 for count in owed], acceptor)
    times = [sum(2 for group in GROUPS if worker in group) * acceptors for worker in range(3)]
    for worker, replies in enumerate(made.replies[acceptor]):
        assert replies[:-2].count(OK) == owed[worker] - 8
        assert replies[-2:] == [b"$%d\r\n%d\r\n" % (len(b"%d" % n), n) for n in (times[worker], 8 * acceptors)]


def test_whoever_takes_part(tmp_path: Path) -> None:
    with shards(tmp_path, 3) as made:
        made.settle(program(made))
        check_program(made)


def test_with_two_acceptors(tmp_path: Path) -> None:
    with shards(tmp_path, 3, acceptors=2) as made:
        owed = [program(made, acceptor) for acceptor in range(2)]
        for acceptor in range(2):
            made.settle(owed[acceptor], acceptor)
        check_program(made, 0, 2)


@pytest.mark.parametrize("worker", [0, 1, 2])
def test_dies_at_every_store(tmp_path: Path, worker: int) -> None:
    crash, deaths = 0, 1
    while deaths:
        crash += 1 if crash < 25 else 9
        folder = tmp_path / str(crash)
        folder.mkdir()
        with shards(folder, 3, crashes={worker: [0, crash]}) as made:
            made.settle([0, 0, 0])
            os.kill(made.pids[worker], signal.SIGKILL)  # its successor counts stores from its first request on
            made.settle(program(made))
            check_program(made)
            deaths = made.deaths - 1
        check_arenas(folder)
    assert crash > 100


@pytest.mark.parametrize("pair", list(itertools.product(range(3), range(3))))
def test_two_die(tmp_path: Path, pair: tuple[int, int]) -> None:
    # Also the successor in its recovery.
    for crash, second in itertools.product((16, 31, 60), (1, 3, 8)):
        folder = tmp_path / f"{crash}-{second}"
        folder.mkdir()
        crashes = {pair[0]: [crash, second]} if pair[0] == pair[1] else {pair[0]: [crash], pair[1]: [crash + second]}
        with shards(folder, 3, crashes=crashes) as made:
            made.settle(program(made))
            check_program(made)
        check_arenas(folder)


def check_arenas(folder: Path) -> None:
    """No journal is open, no lock is held by who is not the owner, once all have been settled."""
    for worker in range(3):
        arena = Arena.open(str(folder / f"arena-{worker}"), worker, 3)
        arena.check()
        assert journal_used(arena) == 0
        arena.close()
        os.unlink(folder / f"arena-{worker}")


def test_that_kills_its_worker_again_and_again(tmp_path: Path) -> None:
    with shards(tmp_path, 3) as made:
        made.send_leased([0, 1, 2], "@everywhere", b"all", b"1")
        made.send_leased([0, 1, 2], "@everywhere", b"all", b"die")
        made.send_leased([0, 1, 2], "@everywhere", b"all", b"3")
        for worker in range(3):
            made.send(worker, "get", b"all")
        made.settle([4, 1, 1])
        assert made.replies[0][0][:3] == [OK, b"-ERR the worker died each time it executed this command\r\n", OK]
        assert [replies[-1] for replies in made.replies[0]] == [b"$1\r\n2\r\n"] * 3
        assert made.deaths == 3


def test_a_participant_that_hangs_holds_up_nobody_else(tmp_path: Path) -> None:
    with shards(tmp_path, 3, acceptors=2) as made:
        made.sends_again = False
        for worker in range(3):
            made.send(worker, "set", b"k", b"v")
        made.settle([1, 1, 1])
        os.kill(made.pids[1], signal.SIGSTOP)
        made.send(1, "incr", b"own")                        # so that it has not arrived
        made.send_leased([0, 1], "@everywhere", b"all", b"1")
        made.send_leased([0, 2], "@everywhere", b"all", b"2")
        made.send(0, "get", b"k")
        made.settle([4, 1, 2 - 1])
        assert made.replies[0][0][1:] == [b"again", OK, b"$1\r\nv\r\n"]
        os.kill(made.pids[1], signal.SIGCONT)
        made.send_leased([0, 1], "@everywhere", b"all", b"1")
        made.settle([5, 2, 1])
        assert made.replies[0][0][-1] == OK


def test_a_participant_that_sleeps_is_not_woken(tmp_path: Path) -> None:
    with shards(tmp_path, 2) as made:
        made.settle([0, 0])
        for number in range(3):
            made.send_leased([0, 1], "@everywhere", b"all", b"%d" % number)
        os.kill(made.pids[1], signal.SIGSTOP)
        made.send_leased([0, 1], "@everywhere", b"all", b"3")
        made.settle([4, 0])
        assert made.replies[0][0] == [OK] * 4
        os.kill(made.pids[1], signal.SIGCONT)
        wait_until(lambda: made.acceptors[0][1].head == made.acceptors[0][1].position, "the markers to be passed")
