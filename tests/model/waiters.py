"""Clients that wait for an element, as a model: who ends the wait, and how the element gets there.

Clients of one acceptor ask for an element of any of several lists, one in each shard. What comes too late for the first
try is given to them by the workers: a worker that has an element claims the waiter, takes the element and writes the
reply to its outbox in one commit, puts the reply into the acceptor's ring, and marks the claim done. Workers keep who
waits in private memory; the acceptor tells a successor again.

What is promised: every element is given out once at most, and none is lost but with a client that is gone; every client
has one reply; nobody waits beside an element.

`without` names steps that are left out, to see that they are needed (STEPS).
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tests.model.explorer import Broken, Step

STEPS = {
    "claim": "a worker takes an element for a waiter only when it has the waiter's claim",
    "outbox": "the reply is kept in the arena, in the commit that takes the element, until it was sent",
    "claim first": "the claim is taken before the commit",
    "look when told": "a worker that is told of a waiter looks whether it has something",
    "tell again": "an acceptor tells a successor who waits",
    "keep claimed": "a worker keeps a waiter that another has claimed, as the claim may be given back, and looks again",
    "give back": "a successor gives back the claims of its shard that were not committed",
    "keep committed": "… and none that were",
    "ask the claim": "a time-out ends the wait only if nobody has the claim",
    "drop second": "an acceptor drops the reply to a client that has none to come",
}
NONE, WAITING, DONE, SHARD = 0, 1, 2, 3


class Client(NamedTuple):
    """What its acceptor knows of it: `told` has the epoch of each shard's worker when that was told, -1 before."""

    at: str = "new"          # asked, blocked, served, timed out, gone
    told: tuple[int, ...] = ()
    got: int | None = None


class Worker(NamedTuple):
    """What a worker keeps to itself: who waits, whether its list was touched since it looked, whom it serves."""

    at: str = "idle"
    waiters: tuple[int, ...] = ()
    touched: bool = False
    serves: int = -1


class State(NamedTuple):
    """Everything. Pushes are numbered, and are their elements."""

    lists: tuple[tuple[int, ...], ...]                # by shard
    outboxes: tuple[tuple[tuple[int, int], ...], ...]  # client, element
    claims: tuple[int, ...]                           # by client
    epochs: tuple[int, ...]                           # of each shard's worker
    requests: tuple[tuple[tuple[str, int], ...], ...]  # rings to each shard
    replies: tuple[tuple[tuple[int, int], ...], ...]  # rings from it: client, element; -1 for one that has to wait
    clients: tuple[Client, ...]
    workers: tuple[Worker, ...]
    pushes: tuple[int, ...]                           # of each shard, still to come
    lost: frozenset[int]                              # ghost: elements that went to clients that are gone, or by a pop
    deaths: int
    time_outs: int
    pops: int


def put(words: tuple, place: int, word: object) -> tuple:  # type: ignore[type-arg]
    """A tuple with one item replaced."""
    return words[:place] + (word,) + words[place + 1:]


@dataclass(frozen=True)
class Waiters:
    """The model: clients, pushes to each shard, and how much luck there is."""

    clients: int
    pushes: tuple[int, ...]
    deaths: int = 0
    time_outs: int = 0
    pops: int = 0            # by others, who do not wait, from shard 0
    without: frozenset[str] = frozenset()

    @property
    def shards(self) -> int:
        """One list in each."""
        return len(self.pushes)

    def has(self, step: str) -> bool:
        """Whether a step is done."""
        assert step in STEPS
        return step not in self.without

    def start(self) -> State:
        """Clients are about to ask; the lists are empty."""
        empty, zero = ((),) * self.shards, (0,) * self.shards
        return State(
            empty, empty, (NONE,) * self.clients, zero, empty, empty,
            (Client(told=(-1,) * self.shards),) * self.clients, (Worker(),) * self.shards,
            self.pushes, frozenset(), self.deaths, self.time_outs, self.pops,
        )

    def check(self, state: State) -> None:
        """No element is in two places."""
        held = [element for words in state.lists for element in words]
        kept = [client.got for client in state.clients if client.got is not None]
        places = held + kept + list(state.lost)
        if len(places) != len(set(places)):
            raise Broken(f"an element is given out twice: {places}")

    def done(self, state: State) -> bool:
        """All clients have their replies, no element is lost, nothing is under way."""
        if any(state.pushes) or any(state.requests) or any(state.replies) or any(state.outboxes):
            return False
        if any(worker.at != "idle" for worker in state.workers):
            return False
        waiting = [client for client in state.clients if client.at not in ("served", "timed out", "gone")]
        there = sum(map(len, state.lists)) + len(state.lost)
        there += sum(client.got is not None for client in state.clients)
        return there == sum(self.pushes) and (not waiting or not any(state.lists) and self._all_blocked(state))

    def _all_blocked(self, state: State) -> bool:
        return all(
            client.at != "blocked"
            or client.told == state.epochs and state.claims[number] == WAITING
            for number, client in enumerate(state.clients)
        )

    def steps(self, state: State) -> Iterator[Step]:
        """What may happen next."""
        yield from self._acceptor(state)
        for shard in range(self.shards):
            if state.pushes[shard] and state.workers[shard].at == "idle":
                element = 10 * shard + state.pushes[shard]
                yield Step(f"worker {shard}: executes a push of {element}", state._replace(
                    pushes=put(state.pushes, shard, state.pushes[shard] - 1),
                    lists=put(state.lists, shard, (*state.lists[shard], element)),
                    workers=put(state.workers, shard, state.workers[shard]._replace(touched=True)),
                ))
            yield from self._worker(state, shard, state.workers[shard])
            if shard == 0 and state.pops and state.lists[0] and state.workers[0].at == "idle":
                yield Step("worker 0: executes a pop", state._replace(
                    pops=state.pops - 1, lists=put(state.lists, 0, state.lists[0][1:]),
                    lost=state.lost | {state.lists[0][0]},
                ))
            if state.deaths:
                yield Step(f"worker {shard} dies", state._replace(
                    deaths=state.deaths - 1, workers=put(state.workers, shard, Worker("take over")),
                ), luck=True)
        if state.deaths:
            yield Step("the acceptor dies", self._acceptor_dead(state), luck=True)

    # -- acceptor

    def _acceptor(self, state: State) -> Iterator[Step]:
        for number, client in enumerate(state.clients):
            if client.at == "new":
                yield Step(f"client {number} asks", state._replace(
                    claims=put(state.claims, number, WAITING),
                    requests=put(state.requests, 0, (*state.requests[0], ("try", number))),
                    clients=put(state.clients, number, client._replace(at="asked")),
                ))
            if client.at == "blocked":
                yield from self._tell(state, number, client)
                if state.time_outs and (state.claims[number] == WAITING or not self.has("ask the claim")):
                    claims = put(state.claims, number, DONE) if self.has("ask the claim") else state.claims
                    yield Step(f"acceptor: client {number} has waited long enough", state._replace(
                        time_outs=state.time_outs - 1, claims=claims,
                        clients=put(state.clients, number, client._replace(at="timed out")),
                    ), luck=True)
        for shard, replies in enumerate(state.replies):
            if replies:
                rest = state._replace(replies=put(state.replies, shard, replies[1:]))
                yield Step(f"acceptor: takes a reply of worker {shard}", self._take(rest, *replies[0]))

    def _tell(self, state: State, number: int, client: Client) -> Iterator[Step]:
        for shard in range(self.shards):
            known = client.told[shard]
            if known == -1 or self.has("tell again") and known != state.epochs[shard]:
                told = client._replace(told=put(client.told, shard, state.epochs[shard]))
                yield Step(f"acceptor: tells worker {shard} that client {number} waits", state._replace(
                    requests=put(state.requests, shard, (*state.requests[shard], ("wait", number))),
                    clients=put(state.clients, number, told),
                ))

    def _take(self, state: State, number: int, element: int) -> State:
        client = state.clients[number]
        if element == -1:
            if client.at != "asked":
                return state
            return state._replace(clients=put(state.clients, number, client._replace(at="blocked")))
        if client.at == "gone":
            return state._replace(lost=state.lost | {element})
        if client.at not in ("asked", "blocked"):
            if self.has("drop second") and element == client.got:
                return state
            raise Broken(f"client {number} has its reply, and gets {element} too")
        return state._replace(
            claims=put(state.claims, number, DONE),
            clients=put(state.clients, number, client._replace(at="served", got=element)),
        )

    def _acceptor_dead(self, state: State) -> State:
        """Clients that had not their replies are gone; so is what was claimed for them, sooner or later."""
        clients = tuple(
            client if client.at in ("served", "timed out", "new") else client._replace(at="gone")
            for client in state.clients
        )
        claims = tuple(
            NONE if client.at == "gone" else claim
            for claim, client in zip(state.claims, clients, strict=True)
        )
        return state._replace(deaths=state.deaths - 1, clients=clients, claims=claims)

    # -- worker

    def _worker(self, state: State, me: int, mine: Worker) -> Iterator[Step]:
        name = f"worker {me}: "
        if mine.at == "take over":
            yield self._recover(state, me, mine._replace(at="recover"))
        elif mine.at == "recover":
            yield self._recover(state, me, mine)
        elif mine.at == "idle":
            yield from self._requests(state, me, mine)
            yield from self._serve(state, me, mine)
        elif mine.at == "claimed":
            yield Step(name + "commits", self._commit(state, me, mine))
        elif mine.at == "claim late":
            got = state.claims[mine.serves] == WAITING
            claims = put(state.claims, mine.serves, SHARD + me) if got else state.claims
            behind = mine._replace(at="send" if got else "idle")
            yield Step(name + "claims", self._with(state, me, behind, claims=claims))
        elif mine.at == "send":
            entry = state.outboxes[me][0]
            yield Step(name + "sends the reply", self._with(
                state, me, mine._replace(at="mark"), replies=put(state.replies, me, (*state.replies[me], entry)),
                outboxes=state.outboxes if self.has("outbox") else put(state.outboxes, me, ()),
            ))
        elif mine.at == "mark":
            number = mine.serves
            claims = put(state.claims, number, DONE) if state.claims[number] == SHARD + me else state.claims
            yield Step(name + "marks the claim done", self._with(state, me, mine._replace(at="clear"), claims=claims))
        elif mine.at == "clear":
            yield Step(name + "clears its outbox", self._with(
                state, me, mine._replace(at="idle", serves=-1), outboxes=put(state.outboxes, me, ()),
            ))

    def _with(self, state: State, me: int, mine: Worker, **words: object) -> State:
        return state._replace(workers=put(state.workers, me, mine), **words)  # type: ignore[arg-type]

    def _requests(self, state: State, me: int, mine: Worker) -> Iterator[Step]:
        if not state.requests[me]:
            return
        what, number = state.requests[me][0]
        rest = state._replace(requests=put(state.requests, me, state.requests[me][1:]))
        if what == "wait":
            told = mine._replace(
                waiters=(*mine.waiters, number) if number not in mine.waiters else mine.waiters,
                touched=mine.touched or self.has("look when told"),
            )
            yield Step(f"worker {me}: is told that client {number} waits", self._with(rest, me, told))
            return
        holders = [shard for shard, words in enumerate(state.lists) if words]
        if not holders:  # the try is a leased request: it sees all lists at once
            yield Step(f"worker {me}: finds nothing for client {number}", rest._replace(
                replies=put(state.replies, me, (*state.replies[me], (number, -1))),
            ))
        elif all(state.workers[shard].at == "idle" for shard in holders):
            first = holders[0]
            element, *others = state.lists[first]
            yield Step(f"worker {me}: serves client {number} at once", rest._replace(
                lists=put(state.lists, first, tuple(others)),
                replies=put(state.replies, me, (*state.replies[me], (number, element))),
            ))

    def _serve(self, state: State, me: int, mine: Worker) -> Iterator[Step]:
        if not mine.touched:
            return
        if not state.lists[me] or not mine.waiters:
            yield Step(f"worker {me}: serves nobody", self._with(state, me, mine._replace(touched=False)))
            return
        passed = [n for n in mine.waiters if self.has("keep claimed") and state.claims[n] >= SHARD]
        if len(passed) == len(mine.waiters):
            return  # until the next tick
        number = next(n for n in mine.waiters if n not in passed)
        serving = mine._replace(waiters=tuple(n for n in mine.waiters if n != number), serves=number)
        if not self.has("claim") or not self.has("claim first"):
            yield Step(f"worker {me}: serves client {number}", self._commit(state, me, serving))
        elif state.claims[number] == WAITING:
            yield Step(f"worker {me}: claims client {number}", self._with(
                state, me, serving._replace(at="claimed"), claims=put(state.claims, number, SHARD + me),
            ))
        else:
            yield Step(f"worker {me}: forgets client {number}", self._with(state, me, serving._replace(serves=-1)))

    def _commit(self, state: State, me: int, mine: Worker) -> State:
        element, *rest = state.lists[me]
        return self._with(
            state, me, mine._replace(at="claim late" if not self.has("claim first") else "send"),
            lists=put(state.lists, me, tuple(rest)),
            outboxes=put(state.outboxes, me, (*state.outboxes[me], (mine.serves, element))),
        )

    def _recover(self, state: State, me: int, mine: Worker) -> Step:
        """What was committed is sent, what was not is given back."""
        if state.outboxes[me] and not self.has("outbox"):
            return Step(f"worker {me}: has forgotten its reply", state._replace(
                outboxes=put(state.outboxes, me, ()),
            ))
        kept = {number for number, _ in state.outboxes[me]} if self.has("keep committed") else set()
        for number, claim in enumerate(state.claims):
            if claim == SHARD + me and number not in kept and self.has("give back"):
                return Step(f"worker {me}: gives back the claim of client {number}", state._replace(
                    claims=put(state.claims, number, WAITING),
                ))
        if state.outboxes[me]:
            number, element = state.outboxes[me][0]
            if state.claims[number] == SHARD + me:
                behind = mine._replace(at="send", serves=number)
                return Step(f"worker {me}: has a reply to send", self._with(state, me, behind))
            lost = state.lost | {element} if state.clients[number].at == "gone" else state.lost
            return Step(f"worker {me}: has sent its reply", self._with(
                state, me, mine, outboxes=put(state.outboxes, me, ()), lost=lost,
            ))
        return Step(f"worker {me}: has taken over", self._with(
            state, me, mine._replace(at="idle"), epochs=put(state.epochs, me, state.epochs[me] + 1),
        ))
