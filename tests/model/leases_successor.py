"""The successor of a worker of the model of leases (take_home in workers/leases.pyx, workers/recovery.pyx).

    wait       until the lock of its own arena is free, or its own
    settle     each other arena whose lock says its shard: restore what was not decided; close the journal; give the
               lock back. Then its own, but for the lock
    pass       ring by ring what was committed: to be published, as behind a batch
    tell all   wakes everybody that sleeps for a lease; then the loop
"""
from __future__ import annotations

from collections.abc import Callable

from tests.model.explorer import Broken
from tests.model.leases import LEASE, Leases, Marker, State, Worker, put
from tests.model.leases_worker import Steps, become


def dead(model: Leases, state: State, me: int) -> State:
    """What a worker kept to itself is gone."""
    return become(state, me, Worker("wait", (), (), successor=True), deaths=state.deaths - 1)


def _wait(model: Leases, state: State, me: int, mine: Worker) -> Steps:
    if not state.locks[me] or state.locks[me] == me + 1 or not model.has("own lock"):
        others = tuple(shard for shard in range(model.shards) if shard != me and state.locks[shard] == me + 1)
        todo = (*(others if model.has("settle all") else ()), me)
        locks = put(state.locks, me, me + 1) if model.has("own lock") else state.locks
        yield "has its own lock", become(state, me, mine._replace(at="settle", todo=todo), locks=locks)


def _settle(model: Leases, state: State, me: int, mine: Worker) -> Steps:
    shard, *others = mine.todo
    journal = state.journals[shard]
    behind = mine._replace(todo=tuple(others), at="settle" if others else "pass")
    if journal.saved is not None and (model.has("settle") or shard == me):
        if model.is_open(state, journal) and state.values[shard] != journal.saved:
            yield f"restores arena {shard}", become(state, me, mine, values=put(state.values, shard, journal.saved))
        else:
            closed = put(state.journals, shard, journal._replace(saved=None))
            yield f"closes the journal of {shard}", become(state, me, mine, journals=closed)
    elif shard == me:
        yield "has settled", become(state, me, behind)
    else:
        yield f"gives lock {shard} back", become(state, me, behind, locks=put(state.locks, shard, 0))


def _pass(model: Leases, state: State, me: int, mine: Worker) -> Steps:
    nexts, written = [], []
    for ring in range(len(model.scripts)):
        pair = model.pair(ring, me)
        at, end = state.heads[pair], state.reply_tails[pair]
        if state.publishing[pair][0] == end and model.has("publishing"):
            at = max(at, state.publishing[pair][1])
        while at < state.commits[pair]:
            if not isinstance(state.records[pair][at], Marker):
                if end == len(state.replies[pair]) or state.replies[pair][end].position != at + 1:
                    raise Broken(f"ring {ring} does not fit commit word {me}")
                end += 1
            at += 1
        nexts.append(at)
        written.append(end)
    passed = mine._replace(at="publish", next=tuple(nexts), written=tuple(written))
    yield "passes what was committed", become(state, me, passed, sleeping=put(state.sleeping, me, 0))


def _tell_all(model: Leases, state: State, me: int, mine: Worker) -> Steps:
    if model.has("tell all"):
        state = state._replace(events=tuple(
            event or int(shard != me and sleeping & LEASE != 0)
            for shard, (event, sleeping) in enumerate(zip(state.events, state.sleeping, strict=True))
        ))
    yield "tells everybody", become(state, me, mine._replace(at="release", successor=False))


PROGRAM: dict[str, Callable[[Leases, State, int, Worker], Steps]] = {
    "wait": _wait, "settle": _settle, "pass": _pass, "tell all": _tell_all,
}
