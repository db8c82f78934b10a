"""A worker of the model of leases: its loop (workers/loop.pyx), executing, sleeping. What follows a death is in
leases_successor.

    hold       take home's lock; one look, then `wanted` is set, one look more: it is lent, and this turn is over
    serve      ring by ring: pass decided markers; execute requests of this shard; for one of several shards see whether
               all participants have come, and take their locks upward as `hold` does
    change     each arena: name who decides, save, change
    decide     the reply is written behind the reply tail; home.commit[a] = the request's end
    close      the journals, home's last
    give back  the locks taken; look whom to wake
    publish    publishing_tail and publishing_position; the reply tail; the request head; look whom to wake
    release    home's lock, behind the last ring; look who wants it: without a fence that may be overlooked
    say        for what it sleeps; then look who wants home's lock, set `wanted` again, look at everything once more
    asleep     until the event descriptor is written
"""
from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.model.explorer import Broken, Step
from tests.model.leases import LEASE, RECORDS, Journal, Lease, Leases, Marker, One, Record, Reply, State, Worker, put

Steps = Iterator[tuple[str, State]]


def steps(model: Leases, state: State, me: int) -> Iterator[Step]:
    """What worker `me` may do next."""
    from tests.model import leases_successor
    mine, name = state.workers[me], f"worker {me}: "
    if state.deaths and model.workers_die:
        yield Step(name + "dies", leases_successor.dead(model, state, me), luck=True)
    if mine.at == "serve" and state.hangs:
        for text, after in _refuse(model, state, me, mine):
            yield Step(name + text, after, luck=True)
    program = PROGRAM.get(mine.at) or leases_successor.PROGRAM[mine.at]
    for text, after in program(model, state, me, mine):
        yield Step(name + text, after)


def become(state: State, me: int, mine: Worker, **words: object) -> State:
    """The state in which the worker keeps something else to itself, and other words are stored."""
    return state._replace(workers=put(state.workers, me, mine), **words)  # type: ignore[arg-type]


# -- what can be gone on with

def _next_record(model: Leases, state: State, me: int, mine: Worker, ring: int) -> Record | None:
    pair = model.pair(ring, me)
    at = mine.next[ring]
    return state.records[pair][at] if at < state.tails[pair] else None


def _decided(model: Leases, state: State, ring: int, marker: Marker) -> bool:
    return state.commits[model.pair(ring, marker.executor)] >= marker.position


def _arrived(model: Leases, state: State, ring: int, lease: Lease) -> bool:
    """Whether the participants have nothing before their markers but decided markers."""
    if not model.has("arrival"):
        return True
    for shard, place in lease.participants:
        pair = model.pair(ring, shard)
        between = state.records[pair][state.heads[pair]:place]
        if not all(isinstance(record, Marker) and _decided(model, state, ring, record) for record in between):
            return False
    return True


def _shards_of(record: Record | None) -> tuple[int, ...]:
    return tuple(shard for shard, _ in record.participants) if isinstance(record, Lease) else ()


# -- the turn

def _hold(model: Leases, state: State, me: int, mine: Worker) -> Steps:
    begun = mine._replace(at="serve", ring=0, lent=False, done=False, worked=False)
    if not model.has("lock"):
        yield "begins its turn", become(state, me, begun)
    elif not state.locks[me]:
        yield "takes its own lock", become(state, me, begun, locks=put(state.locks, me, me + 1))
    elif mine.at == "hold":
        yield "wants its own lock", become(state, me, mine._replace(at="hold again"), wanted=_wanting(state, me, (me,)))
    else:
        yield "finds its arena lent", become(state, me, mine._replace(at="say", lent=True))


def _wanting(state: State, me: int, shards: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    wanted = state.wanted
    for shard in shards:
        wanted = put(wanted, shard, tuple(sorted({*wanted[shard], me})))
    return wanted


def _serve(model: Leases, state: State, me: int, mine: Worker) -> Steps:
    ring, record = mine.ring, _next_record(model, state, me, mine, mine.ring)
    if isinstance(record, Marker) and _decided(model, state, ring, record):
        passed = mine._replace(next=put(mine.next, ring, mine.next[ring] + 1), done=True)
        yield "passes a marker", become(state, me, passed)
    elif isinstance(record, One):
        yield from _begin(model, state, me, mine, ())
    elif isinstance(record, Lease) and _arrived(model, state, ring, record):
        if mine.taken == _shards_of(record):
            yield from _begin(model, state, me, mine, mine.taken)
        elif mine.taken:
            yield from _give_back(model, state, me, mine._replace(at="give back, serve", todo=mine.taken))
        else:
            upward = _shards_of(record)
            todo = upward if model.has("upward") else upward[::-1]
            yield from _take(model, state, me, mine._replace(at="take", todo=todo))
    else:
        yield from _leave_ring(model, state, me, mine)


def _begin(model: Leases, state: State, me: int, mine: Worker, lent: tuple[int, ...]) -> Steps:
    if mine.taken != lent:
        yield from _give_back(model, state, me, mine._replace(at="give back, serve", todo=mine.taken))
    else:
        yield from _change(model, state, me, mine._replace(at="change", todo=(me, *lent)))


def _leave_ring(model: Leases, state: State, me: int, mine: Worker) -> Steps:
    """Behind the last request of a batch."""
    if mine.taken:
        yield from _give_back(model, state, me, mine._replace(at="give back, leave", todo=mine.taken))
    elif mine.done:
        yield from _publish(model, state, me, mine)
    elif mine.ring + 1 < len(model.scripts):
        yield "goes on to the next ring", become(state, me, mine._replace(at="serve", ring=mine.ring + 1))
    else:
        yield from _release(model, state, me, mine)


# -- the locks of others

def _take(model: Leases, state: State, me: int, mine: Worker) -> Steps:
    shard, *others = mine.todo
    if not state.locks[shard]:
        taken = mine._replace(at="take" if others else "serve", todo=tuple(others))
        taken = taken._replace(taken=tuple(sorted((*mine.taken, shard))))
        yield f"takes lock {shard}", become(state, me, taken, locks=put(state.locks, shard, me + 1))
    elif mine.at == "take":
        wanted = _wanting(state, me, (shard,))
        yield f"wants lock {shard}", become(state, me, mine._replace(at="take again"), wanted=wanted)
    elif model.has("give back"):
        after = become(state, me, mine._replace(at="leave", todo=()))
        yield f"finds lock {shard} taken", after


def _give_back(model: Leases, state: State, me: int, mine: Worker) -> Steps:
    """Lock by lock, and what was in `wanted` is forgotten, as everybody is woken; then `serve` again, or `leave`."""
    if mine.todo:
        shard = mine.todo[0]
        behind = mine._replace(at=mine.at.replace("give back", "unwant"))
        yield f"gives lock {shard} back", become(state, me, behind, locks=put(state.locks, shard, 0))
        return
    everybody = set(range(model.shards)) if model.has("wake deciding") else set()
    behind = mine._replace(at=mine.at.removeprefix("give back, "), taken=())
    yield "looks whom to wake", become(_wake(state, me, everybody, LEASE), me, behind)


def _unwant(model: Leases, state: State, me: int, mine: Worker) -> Steps:
    shard, *others = mine.todo
    behind = mine._replace(at=mine.at.replace("unwant", "give back"), todo=tuple(others))
    yield f"forgets who wants {shard}", become(state, me, behind, wanted=put(state.wanted, shard, ()))


def _wake_wanting(model: Leases, state: State, me: int, shards: tuple[int, ...]) -> State:
    for shard in shards:
        wanting = set(state.wanted[shard]) if model.has("wake wanting") else set()
        state = _wake(state._replace(wanted=put(state.wanted, shard, ())), me, wanting, LEASE)
    return state


def _wake(state: State, me: int, whom: set[int], moved: int) -> State:
    return state._replace(events=tuple(
        event or int(shard in whom and shard != me and sleeping & moved != 0)
        for shard, (event, sleeping) in enumerate(zip(state.events, state.sleeping, strict=True))
    ))


# -- a request

def _change(model: Leases, state: State, me: int, mine: Worker) -> Steps:
    shard, *others = mine.todo
    record = _next_record(model, state, me, mine, mine.ring)
    assert isinstance(record, (One, Lease))
    if model.is_open(state, state.journals[shard]):
        raise Broken(f"worker {me} changes arena {shard}, whose journal is open")
    journal = Journal(state.values[shard], me, mine.ring, mine.next[mine.ring] + 1)
    early = not model.has("decide last") and isinstance(record, Lease) and len(others) == 1
    behind = mine._replace(at="decide" if early or not others else "change", todo=tuple(others))
    yield f"changes arena {shard}", become(
        state, me, behind, journals=put(state.journals, shard, journal),
        values=put(state.values, shard, (*state.values[shard], record.number)),
    )


def _decide(model: Leases, state: State, me: int, mine: Worker) -> Steps:
    record = _next_record(model, state, me, mine, mine.ring)
    assert isinstance(record, (One, Lease))
    position = mine.next[mine.ring] + 1
    _check_order(model, state, me, mine, record)
    decided = _replied(model, state, me, mine, Reply(record.number, False, position))
    behind = decided.workers[me]._replace(at="change" if mine.todo else "close", todo=mine.todo or (*mine.taken, me))
    if not model.has("close first") and mine.taken and not mine.todo:
        behind = behind._replace(at="give back, close", todo=mine.taken)
    yield f"commits {record.number}", become(
        decided, me, behind, commits=put(state.commits, model.pair(mine.ring, me), position),
        order=(*state.order, record.number),
    )


def _check_order(model: Leases, state: State, me: int, mine: Worker, record: One | Lease) -> None:
    """Everything before it in its acceptor's rings, of shards that take part, has been decided."""
    ring = mine.ring
    for shard, end in ((me, mine.next[ring]), *(record.participants if isinstance(record, Lease) else ())):
        for place, earlier in enumerate(state.records[model.pair(ring, shard)][:end]):
            executor, position = earlier if isinstance(earlier, Marker) else (shard, place + 1)
            if state.commits[model.pair(ring, executor)] < position:
                raise Broken(f"request {record.number} is executed before an earlier one of its acceptor")


def _replied(model: Leases, state: State, me: int, mine: Worker, reply: Reply) -> State:
    """The reply is written behind the reply tail, and the record passed."""
    ring, pair = mine.ring, model.pair(mine.ring, me)
    end = mine.written[ring]
    mine = mine._replace(
        next=put(mine.next, ring, mine.next[ring] + 1), written=put(mine.written, ring, end + 1), done=True,
    )
    return become(state, me, mine, replies=put(state.replies, pair, (*state.replies[pair][:end], reply)))


def _close(model: Leases, state: State, me: int, mine: Worker) -> Steps:
    shards = mine.todo or (*_shards_of_last(model, state, me, mine), me)
    shard, *others = shards
    closed = put(state.journals, shard, state.journals[shard]._replace(saved=None))
    # A batch ends early for whoever wants home's lock.
    behind = "close" if others else "leave" if state.wanted[me] else "serve"
    yield f"closes the journal of {shard}", become(
        state, me, mine._replace(at=behind, todo=tuple(others)), journals=closed,
    )


def _shards_of_last(model: Leases, state: State, me: int, mine: Worker) -> tuple[int, ...]:
    return _shards_of(state.records[model.pair(mine.ring, me)][mine.next[mine.ring] - 1])


def _refuse(model: Leases, state: State, me: int, mine: Worker) -> Steps:
    """As another process seems to hang, while the request has to wait."""
    record = _next_record(model, state, me, mine, mine.ring)
    if not isinstance(record, Lease) or mine.taken:
        return
    if _arrived(model, state, mine.ring, record) and not any(state.locks[shard] for shard in _shards_of(record)):
        return
    position = mine.next[mine.ring] + 1
    refused = _replied(model, state, me, mine, Reply(record.number, True, position))
    if model.has("commit again"):
        refused = refused._replace(commits=put(refused.commits, model.pair(mine.ring, me), position))
    yield f"refuses {record.number}", refused._replace(hangs=state.hangs - 1)


# -- publishing, and home's lock

def _publish(model: Leases, state: State, me: int, mine: Worker) -> Steps:
    pair = model.pair(mine.ring, me)
    if mine.written[mine.ring] == state.reply_tails[pair]:
        yield from _head(model, state, me, mine)  # markers alone
    elif not model.has("publishing"):
        yield from _reply_tail(model, state, me, mine)
    else:
        publishing = put(state.publishing, pair, (mine.written[mine.ring], mine.next[mine.ring]))
        yield "says what it publishes", become(state, me, mine._replace(at="reply tail"), publishing=publishing)


def _reply_tail(model: Leases, state: State, me: int, mine: Worker) -> Steps:
    tails = put(state.reply_tails, model.pair(mine.ring, me), mine.written[mine.ring])
    yield "stores the reply tail", become(state, me, mine._replace(at="head"), reply_tails=tails)


def _head(model: Leases, state: State, me: int, mine: Worker) -> Steps:
    heads = put(state.heads, model.pair(mine.ring, me), mine.next[mine.ring])
    yield "stores the request head", become(state, me, mine._replace(at="tell"), heads=heads)


def _tell(model: Leases, state: State, me: int, mine: Worker) -> Steps:
    record = _next_record(model, state, me, mine, mine.ring)
    if isinstance(record, Marker) and model.has("wake executor"):
        state = _wake(state, me, {record.executor}, LEASE)
    if mine.ring + 1 < len(model.scripts):
        behind = mine._replace(at="serve", ring=mine.ring + 1, done=False, worked=True)
        if mine.successor:
            behind = behind._replace(at="publish")
    else:
        behind = mine._replace(at="tell all" if mine.successor else "release", done=False, worked=True)
    yield "looks whom to wake", become(state, me, behind)


def _release(model: Leases, state: State, me: int, mine: Worker) -> Steps:
    after = become(state, me, mine._replace(at="hold" if mine.worked else "say"))
    if state.locks[me] == me + 1:
        after = after._replace(locks=put(state.locks, me, 0))
    yield "gives its own lock back", after
    if state.wanted[me]:
        yield "gives its own lock back, and wakes", _wake_wanting(model, after, me, (me,))


# -- sleep

def _waits_for(model: Leases, state: State, me: int, mine: Worker) -> tuple[int, tuple[int, ...]]:
    """Reasons to sleep, 0: something can be gone on with; and the locks that are waited for."""
    if mine.lent:
        return (RECORDS | LEASE, (me,)) if state.locks[me] else (0, ())
    reasons, locks = RECORDS, []
    for ring in range(len(model.scripts)):
        record = _next_record(model, state, me, mine, ring)
        if isinstance(record, Marker):
            if _decided(model, state, ring, record):
                return 0, ()
            pair = model.pair(ring, me)
            if any(not isinstance(more, Marker) for more in state.records[pair][mine.next[ring]:state.tails[pair]]):
                reasons |= LEASE
        elif isinstance(record, Lease):
            taken = [shard for shard in _shards_of(record) if state.locks[shard]]
            if _arrived(model, state, ring, record) and not taken:
                return 0, ()
            reasons |= LEASE
            locks += taken
        elif record is not None:
            return 0, ()
    return reasons, tuple(locks)


def _say(model: Leases, state: State, me: int, mine: Worker) -> Steps:
    reasons = state.sleeping[me] or RECORDS
    if mine.lent:
        reasons |= LEASE
    if model.has("examine"):
        said = become(state, me, mine._replace(at="examine"), sleeping=put(state.sleeping, me, reasons))
        yield "says that it sleeps", said
    else:
        waits = _waits_for(model, state, me, mine)[0]
        yield "looks for the last time", become(state, me, mine._replace(at="blind" if waits else "hold"))


def _blind(model: Leases, state: State, me: int, mine: Worker) -> Steps:
    yield "says that it sleeps", become(
        state, me, mine._replace(at="asleep"), sleeping=put(state.sleeping, me, RECORDS | LEASE),
    )


def _examine(model: Leases, state: State, me: int, mine: Worker) -> Steps:
    if model.has("ask once more"):
        state = _wake_wanting(model, state, me, (me,))
    reasons, locks = _waits_for(model, state, me, mine)
    if not reasons:
        awake = become(state, me, mine._replace(at="hold"), sleeping=put(state.sleeping, me, 0))
        yield "stays awake", awake
    elif reasons & ~state.sleeping[me]:
        more = state.sleeping[me] | reasons
        yield "waits for more", become(state, me, mine._replace(at="examine"), sleeping=put(state.sleeping, me, more))
    elif locks and model.has("want again") and any(me not in state.wanted[shard] for shard in locks):
        yield "wants locks again", become(state, me, mine, wanted=_wanting(state, me, locks))
    else:
        yield "blocks", become(state, me, mine._replace(at="asleep"))


def _asleep(model: Leases, state: State, me: int, mine: Worker) -> Steps:
    if state.events[me]:
        yield "wakes up", become(
            state, me, mine._replace(at="hold"), sleeping=put(state.sleeping, me, 0), events=put(state.events, me, 0),
        )


PROGRAM: dict[str, Callable[[Leases, State, int, Worker], Steps]] = {
    "hold": _hold, "hold again": _hold, "serve": _serve, "take": _take, "take again": _take, "change": _change,
    "decide": _decide, "close": _close, "leave": _leave_ring, "publish": _publish, "reply tail": _reply_tail,
    "head": _head, "tell": _tell, "release": _release, "say": _say, "blind": _blind, "examine": _examine,
    "asleep": _asleep,
    "give back, serve": _give_back, "give back, leave": _give_back, "give back, close": _give_back,
    "unwant, serve": _unwant, "unwant, leave": _unwant, "unwant, close": _unwant,
}
