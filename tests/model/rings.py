"""Sleeping and waking at a pair of rings, as a model: shardkv/sleep.pxd, store by store.

One acceptor with requests for one worker, rings of a few records, so that both are full now and then. Every request has
one reply. What is promised: all requests get there and all replies come back, with no clock to help.

`without` names steps that are left out, to see that they are needed (STEPS).
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from tests.model.explorer import Broken, Step

STEPS = {
    "examine": "who wants to block looks again behind the fence (invariant 2)",
    "all reasons": "the reasons name everything that is waited for (2)",
    "behind both": "who moves a tail and a head looks behind both stores (3)",
    "fresh": "whether there is room is known by a load behind the fence, not by what was seen before (4)",
    "tell all": "a successor's first publish is to everybody (7)",
}
RECORDS, ROOM = 1, 2


class Acceptor(NamedTuple):
    """What it keeps to itself: what it moved since it last looked, the head at which there was too little room."""

    at: str
    moved: int = 0
    tried: int = -1


class Worker(NamedTuple):
    """What it keeps to itself: the record at hand (each has one reply), the reply ring's head as last loaded."""

    at: str
    next: int = 0
    seen: int = 0
    told: bool = True        # False: a successor that has not published yet


class State(NamedTuple):
    """Everything; words are named by their ring."""

    tail: int
    head: int
    reply_tail: int
    reply_head: int
    committed: int
    sleeping: tuple[int, int]     # acceptor's, worker's
    events: tuple[int, int]
    acceptor: Acceptor
    worker: Worker
    deaths: int


def put(pair: tuple[int, int], place: int, word: int) -> tuple[int, int]:
    """A pair with one word replaced."""
    return (word, pair[1]) if place == 0 else (pair[0], word)


@dataclass(frozen=True)
class Rings:
    """The model: how many requests, the rings' capacity, how many deaths."""

    requests: int
    capacity: int = 1
    reply_capacity: int = 1
    deaths: int = 0
    without: frozenset[str] = frozenset()

    def has(self, step: str) -> bool:
        """Whether a step is done."""
        assert step in STEPS
        return step not in self.without

    def start(self) -> State:
        """The requests are there; the worker sleeps."""
        return State(0, 0, 0, 0, 0, (0, RECORDS), (0, 0), Acceptor("turn"), Worker("asleep"), self.deaths)

    def check(self, state: State) -> None:
        """No ring holds more than it can; nothing is answered before it was asked."""
        if state.tail - state.head > self.capacity or state.reply_tail - state.reply_head > self.reply_capacity:
            raise Broken("a ring holds more than it can")
        if not state.reply_head <= state.reply_tail <= state.committed <= state.tail:
            raise Broken("positions are out of order")

    def done(self, state: State) -> bool:
        """Every reply was taken."""
        return state.reply_head == self.requests

    def steps(self, state: State) -> Iterator[Step]:
        """What either may do next."""
        yield from self._acceptor(state)
        yield from self._worker(state)
        if state.deaths:
            yield Step("the acceptor dies", state._replace(
                deaths=state.deaths - 1, events=put(state.events, 0, 0),
                acceptor=Acceptor("turn", RECORDS | ROOM if self.has("tell all") else 0),
            ), luck=True)
            yield Step("the worker dies", state._replace(
                deaths=state.deaths - 1, events=put(state.events, 1, 0),
                worker=Worker("publish", state.committed, state.reply_head, told=False),
            ), luck=True)

    # -- acceptor

    def _acceptor(self, state: State) -> Iterator[Step]:
        mine, left = state.acceptor, self.requests - state.tail
        if mine.at == "turn":
            taken = mine._replace(at="send", moved=mine.moved | ROOM * (state.reply_tail > state.reply_head))
            yield Step("acceptor: takes replies", state._replace(reply_head=state.reply_tail, acceptor=taken))
        elif mine.at == "send":
            count = min(left, self.capacity - (state.tail - state.head))
            tried = state.head if count < left else -1
            sent = Acceptor("look", mine.moved | RECORDS * (count > 0), tried)
            yield Step("acceptor: appends and publishes", state._replace(tail=state.tail + count, acceptor=sent))
        elif mine.at == "look":
            events = put(state.events, 1, 1) if state.sleeping[1] & mine.moved else state.events
            behind = mine._replace(at="turn" if mine.moved else "say", moved=0)
            yield Step("acceptor: looks whom to wake", state._replace(events=events, acceptor=behind))
        elif mine.at == "say":
            reasons = RECORDS | ROOM * (left > 0 and self.has("all reasons"))
            yield Step("acceptor: says for what it sleeps", state._replace(
                sleeping=put(state.sleeping, 0, reasons),
                acceptor=mine._replace(at="examine" if self.has("examine") else "asleep"),
            ))
        elif mine.at == "examine":
            moved = state.reply_tail != state.reply_head or left > 0 and state.head != mine.tried
            yield Step("acceptor: stays awake" if moved else "acceptor: blocks", state._replace(
                sleeping=put(state.sleeping, 0, 0 if moved else state.sleeping[0]),
                acceptor=mine._replace(at="turn" if moved else "asleep"),
            ))
        elif state.events[0]:
            yield Step("acceptor: wakes up", state._replace(
                sleeping=put(state.sleeping, 0, 0), events=put(state.events, 0, 0), acceptor=mine._replace(at="turn"),
            ))

    # -- worker

    def _room(self, state: State, head: int) -> bool:
        return state.worker.next - head < self.reply_capacity

    def _worker(self, state: State) -> Iterator[Step]:
        mine = state.worker
        there = state.tail > mine.next
        if mine.at == "serve":
            if there and self._room(state, state.reply_head):
                done = mine._replace(next=mine.next + 1, seen=state.reply_head)
                yield Step("worker: executes", state._replace(committed=done.next, worker=done))
            if mine.next > state.head:
                yield Step("worker: ends its batch", state._replace(worker=mine._replace(at="publish")))
            elif not there or not self._room(state, state.reply_head):
                yield Step("worker: has nothing to do", state._replace(
                    worker=mine._replace(at="say records", seen=state.reply_head),
                ))
        elif mine.at == "publish":
            behind = mine._replace(at="head" if self.has("behind both") else "look")
            yield Step("worker: stores the reply tail", state._replace(reply_tail=mine.next, worker=behind))
        elif mine.at == "head":
            behind = mine._replace(at="look" if self.has("behind both") else "serve")
            yield Step("worker: stores the request head", state._replace(head=mine.next, worker=behind))
        elif mine.at == "look":
            wakes = state.sleeping[0] & (RECORDS | ROOM) and (mine.told or self.has("tell all"))
            behind = mine._replace(at="serve" if self.has("behind both") else "head", told=True)
            events = put(state.events, 0, 1) if wakes else state.events
            yield Step("worker: looks whom to wake", state._replace(events=events, worker=behind))
        elif mine.at in ("say records", "say room"):
            reasons = RECORDS if mine.at == "say records" else RECORDS | ROOM
            at = "examine" if self.has("examine") else "asleep"
            yield Step("worker: says for what it sleeps", state._replace(
                sleeping=put(state.sleeping, 1, reasons), worker=mine._replace(at=at),
            ))
        elif mine.at == "examine":
            yield self._examine(state, there)
        elif state.events[1]:
            yield Step("worker: wakes up", state._replace(
                sleeping=put(state.sleeping, 1, 0), events=put(state.events, 1, 0), worker=mine._replace(at="serve"),
            ))

    def _examine(self, state: State, there: bool) -> Step:
        mine = state.worker
        if there and self._room(state, state.reply_head if self.has("fresh") else mine.seen):
            return Step("worker: stays awake", state._replace(
                sleeping=put(state.sleeping, 1, 0), worker=mine._replace(at="serve"),
            ))
        if there and not state.sleeping[1] & ROOM and self.has("all reasons"):
            return Step("worker: has to wait for room", state._replace(worker=mine._replace(at="say room")))
        return Step("worker: blocks", state._replace(worker=mine._replace(at="asleep")))
