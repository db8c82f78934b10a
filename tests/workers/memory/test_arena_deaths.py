"""Deaths at every store of a transaction, and of the recovery from one: all of it is there, or nothing."""
from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable

from tests.workers.memory.arenas import MIB, prepare
from workers.memory import _testing as c
from workers.memory.arena import Arena, crash_after


def scenario(arena: Arena) -> None:
    """One transaction on every path: new slabs, backed and unbacked runs, coalescing, sinking, giving back."""
    blocks = arena.allocated()
    small = [block for block, size in blocks if size == 104]
    unbacked = c.unbacked_runs(arena)
    c.put64(arena, c.root_offset(arena, 1), 42)
    c.write(arena, small[0], b"changed" * 3)
    for length in (50, 104, 2000, 40_000, 4 * MIB):
        c.poke(arena, c.alloc(arena, length), b"new")
    assert c.unbacked_runs(arena) != unbacked
    for block in small + [block for block, size in blocks if size in (MIB, 24576)]:
        c.free(arena, block)
    c.write(arena, small[0], b"again")
    while c.give_back(arena):           # first of all what earlier deaths left behind the top, which varies
        pass
    c.commit(arena)


def in_child(work: Callable[[], None]) -> bool:
    """Runs `work` in a forked process; returns whether it came to its end rather than be killed by a crash point."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            os._exit(1)
    status = os.waitpid(pid, 0)[1]
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return False
    assert os.WEXITSTATUS(status) == 0
    return True


def dies_in_scenario(path: str, point: int) -> bool:
    def work() -> None:
        arena = Arena.open(path, 0, 1)
        c.begin(arena, 0, 1 << 20)
        crash_after(point)
        scenario(arena)

    return not in_child(work)


def dies_in_recovery(path: str, point: int) -> bool:
    def work() -> None:
        crash_after(point)
        Arena.open(path, 0, 1)

    return not in_child(work)


def state(path: str) -> tuple[dict[str, object], int]:
    arena = Arena.open(path, 0, 1)
    arena.check()
    result = arena.fingerprint(), arena.commit_word(0)
    arena.close()
    return result


def test_death_at_any_store_is_all_or_nothing(path: str) -> None:
    base = path + "-base"
    prepare(base)
    shutil.copyfile(base, path)
    before, old_position = state(path)
    assert not dies_in_scenario(path, 0)
    after, new_position = state(path)
    assert before != after and new_position == 1 << 20
    shutil.copyfile(base, path)
    point, recoveries, outcomes = 1, 0, set()
    while dies_in_scenario(path, point):
        if point % 8 == 0:
            recoveries += dies_in_recovery(path, 1 + point // 8)
        found = state(path)
        assert found in ((before, old_position), (after, new_position)), f"crash point {point}"
        outcomes.add(found[1])
        if found[1] == new_position:
            shutil.copyfile(base, path)
        point += 1
    assert outcomes == {old_position, new_position}
    assert point > 100 and recoveries > 5
