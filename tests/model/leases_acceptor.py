"""An acceptor of the model of leases: appends a batch of requests, publishes it, wakes workers, takes replies.

    ready    append the batch behind the tails; store what all tails will be (publishing_tail, publishing_position)
    tails    one tail after the other, that of the lowest shard first
    look     publishing_position is 0 again; wake the workers whose rings got more than markers
    tell     a successor, when it has stored the tails that its predecessor has not: wake everybody
"""
from __future__ import annotations

from collections.abc import Iterator

from tests.model.explorer import Broken, Step
from tests.model.leases import Acceptor, Lease, Leases, Marker, One, Request, State, part_number, put


def steps(model: Leases, state: State, me: int) -> Iterator[Step]:
    """What acceptor `me` may do next."""
    mine = state.acceptors[me]
    name = f"acceptor {me}: "
    if state.deaths and model.acceptors_die:
        yield Step(name + "dies", _dead(model, state, me), luck=True)
    if mine.at == "ready":
        yield from _take_replies(model, state, me)
        batch = _next_batch(model, state, me)
        if batch is not None:
            numbers = [request.number for request in batch]
            yield Step(f"{name}appends {numbers}", _append(model, state, me, batch))
    elif mine.at == "tails":
        tails, moved = _intent(state, me), _moved(model, state, me)
        pair = model.pair(me, moved[0])
        behind = mine if len(moved) > 1 else mine._replace(at="tell" if mine.successor else "look")
        yield Step(f"{name}stores the tail of ring {moved[0]}", state._replace(
            tails=put(state.tails, pair, tails[moved[0]]), acceptors=put(state.acceptors, me, behind),
        ))
    elif mine.at == "look":
        yield Step(name + "looks whom to wake", _woken(state, me, set(mine.wakes)))
    elif mine.at == "tell":
        everybody = set(range(model.shards)) if model.has("tell all") else set()
        yield Step(name + "tells everybody that it has taken over", _woken(state, me, everybody))


def _intent(state: State, me: int) -> tuple[int, ...]:
    tails = state.intents[me]
    assert tails is not None
    return tails


def _moved(model: Leases, state: State, me: int) -> list[int]:
    """Rings whose tails are still to be stored."""
    tails = _intent(state, me)
    return [shard for shard in range(model.shards) if tails[shard] != state.tails[model.pair(me, shard)]]


def _next_batch(model: Leases, state: State, me: int) -> tuple[Request, ...] | None:
    mine = state.acceptors[me]
    if mine.again:
        return tuple(request for request in model.requests if request.number == mine.again[0])
    return model.scripts[me][mine.script] if mine.script < len(model.scripts[me]) else None


def _append(model: Leases, state: State, me: int, batch: tuple[Request, ...]) -> State:
    rings = [list(state.records[model.pair(me, shard)]) for shard in range(model.shards)]
    for request in batch:
        if request.split or len(request.shards) == 1:
            for shard in request.shards:
                rings[shard].append(One(part_number(request, shard) if request.split else request.number))
            continue
        executor, *others = request.shards
        position = len(rings[executor]) + 1
        table = tuple((shard, len(rings[shard])) for shard in others)
        for shard in others:
            rings[shard].append(Marker(executor, position))
        rings[executor].append(Lease(request.number, table))
    first = model.pair(me, 0)
    wakes = tuple(
        shard for shard, ring in enumerate(rings)
        if any(not isinstance(record, Marker) for record in ring[state.tails[first + shard]:])
    )
    records = state.records
    for shard, ring in enumerate(rings):
        records = put(records, first + shard, tuple(ring))
    mine = state.acceptors[me]
    behind = mine._replace(again=mine.again[1:]) if mine.again else mine._replace(script=mine.script + 1)
    return state._replace(
        records=records, intents=put(state.intents, me, tuple(map(len, rings))),
        acceptors=put(state.acceptors, me, behind._replace(at="tails", wakes=wakes)),
    )


def _woken(state: State, me: int, whom: set[int]) -> State:
    mine = state.acceptors[me]
    return state._replace(
        events=tuple(
            event or int(shard in whom and state.sleeping[shard] != 0) for shard, event in enumerate(state.events)
        ),
        intents=put(state.intents, me, None),
        acceptors=put(state.acceptors, me, mine._replace(at="ready", wakes=(), successor=False)),
    )


def _take_replies(model: Leases, state: State, me: int) -> Iterator[Step]:
    for shard in range(model.shards):
        pair = model.pair(me, shard)
        at = state.reply_heads[pair]
        if at == state.reply_tails[pair]:
            continue
        reply = state.replies[pair][at]
        taken = state._replace(reply_heads=put(state.reply_heads, pair, at + 1))
        whole = reply.number if reply.number < 10 else reply.number // 10
        if whole not in state.lost:
            if reply.number in state.replied:
                raise Broken(f"request {reply.number} is replied to twice")
            mine = state.acceptors[me]
            if reply.again:
                mine = mine._replace(again=(*mine.again, reply.number))
                taken = taken._replace(acceptors=put(state.acceptors, me, mine))
            elif reply.number not in state.order:
                raise Broken(f"request {reply.number} is replied to and was not committed")
            else:
                taken = taken._replace(replied=tuple(sorted((*state.replied, reply.number))))
        yield Step(f"acceptor {me}: takes the reply to {reply.number}{' (again)' * reply.again}", taken)


def _dead(model: Leases, state: State, me: int) -> State:
    """Its clients are gone, and so is what it had appended, but for what it had said that it would publish."""
    mine = state.acceptors[me]
    sent = {request.number for batch in model.scripts[me][:mine.script] for request in batch}
    done = {request.number for request in model.requests if {
        part_number(request, shard) if request.split else request.number for shard in request.shards
    } <= set(state.replied)}
    finish = mine.at == "tails" and model.has("intent") and bool(_moved(model, state, me))
    records = state.records
    if not finish:
        for pair in range(model.pair(me, 0), model.pair(me + 1, 0)):
            records = put(records, pair, records[pair][:state.tails[pair]])
    behind = Acceptor("tails" if finish else "tell", mine.script, successor=True)
    return state._replace(
        records=records, lost=state.lost | (sent - done), deaths=state.deaths - 1,
        intents=state.intents if finish else put(state.intents, me, None),
        acceptors=put(state.acceptors, me, behind),
    )
