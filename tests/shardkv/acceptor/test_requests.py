"""Publishing to several rings is one step, wherever the acceptor dies."""
from __future__ import annotations

import os
import signal
from pathlib import Path

from shardkv.acceptor._testing import publish
from shardkv.ring import RingPair
from shardkv.stats import ControlPage

WORKERS = 3


def test_death_at_every_store_publishes_to_all_rings_or_to_none(tmp_path: Path) -> None:
    for worker in range(WORKERS):
        RingPair.create(str(tmp_path / f"ring-0-{worker}"))
    ControlPage.create(str(tmp_path / "control"), 1, WORKERS)
    published, outcomes, death = 0, set[bool](), 0
    while True:
        death += 1
        pid = os.fork()
        if pid == 0:
            publish(str(tmp_path), WORKERS, death)
            os._exit(0)
        status = os.waitpid(pid, 0)[1]
        tails = publish(str(tmp_path), WORKERS)
        assert len(set(tails)) == 1, f"death {death}: {tails}"
        outcomes.add(tails[0] > published)
        published = tails[0]
        if os.WIFEXITED(status):
            break
        assert os.WTERMSIG(status) == signal.SIGKILL
    assert outcomes == {False, True} and death > 2 * WORKERS
