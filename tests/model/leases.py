"""Leases as a model: requests of several shards, from the acceptor's tails to the reply, store by store.

A request is a number. Executing it adds the number to the value of each shard that takes part, so a shard's value tells
which requests it has executed, in order. `order` is a ghost: all requests in the order of the stores that decided them.
What is promised is then that each shard's value, once an undecided journal is undone, is `order` as far as it
concerns that shard: all or nothing, and one serial order, which is that of the commits.

What a process does is in leases_acceptor and leases_worker; here are the shared memory, and what must hold.

`without` names steps that are left out, to see that they are needed (STEPS).
"""
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from tests.model.explorer import Broken, Step

STEPS = {
    "intent": "the acceptor stores what all tails will be before it moves one",
    "tell all": "a successor, of an acceptor or a worker, wakes everybody",
    "examine": "who wants to sleep looks again after it has said so",
    "arrival": "the executor waits until all participants have come to their markers",
    "lock": "the owner of an arena takes its lock too",
    "give back": "an executor that has to wait for a lock gives those back that it has of others …",
    "upward": "… and takes them upward; either of the two is enough against deadlocks",
    "decide last": "the commit word is stored behind the last change",
    "close first": "a lent arena's journal is closed before its lock is given back",
    "settle": "a successor closes or undoes journals before it gives locks back",
    "settle all": "a successor settles every arena that its shard has locked, not only its own",
    "own lock": "a successor leaves its own arena alone while another has it",
    "want again": "who goes to sleep for a lock says once more that it wants it",
    "wake wanting": "who gives a lock back wakes who wants it",
    "ask once more": "who goes to sleep looks once more who wants its lock",
    "wake deciding": "who decided wakes everybody that sleeps for a lease: for the decision, or for an arrival",
    "wake executor": "who comes to a marker wakes the executor",
    "commit again": "a request refused moves the commit word too, so that its markers are void",
    "publishing": "a worker stores which replies it is about to publish",
}

Words = tuple[int, ...]
RECORDS, LEASE = 1, 2        # what a worker sleeps for


class Request(NamedTuple):
    """Of a client: the shards that it concerns; one that splits goes to each without a lease."""

    number: int
    shards: Words
    split: bool = False


class One(NamedTuple):
    """A record: a request of one shard, or a part of one that splits."""

    number: int


class Lease(NamedTuple):
    """A record: a request of several shards, and beside its executor's the participants: shard, place of its marker."""

    number: int
    participants: tuple[tuple[int, int], ...]


class Marker(NamedTuple):
    """A record: here the ring waits for the request that ends at `position` of the executor's ring."""

    executor: int
    position: int


Record = One | Lease | Marker


class Reply(NamedTuple):
    """A record of a reply ring, and the end of the request that it answers."""

    number: int
    again: bool
    position: int


class Journal(NamedTuple):
    """An arena's journal: the value that it restores, None when nothing was saved; who decides."""

    saved: Words | None
    shard: int
    slot: int
    position: int


class Worker(NamedTuple):
    """What a worker keeps to itself."""

    at: str                  # in its program, the functions of leases_worker
    next: Words              # record at hand, by ring
    written: Words           # end of its replies, by ring
    ring: int = 0
    todo: Words = ()         # shards that the step is still to be done for
    taken: Words = ()        # … whose locks it has, beside its own
    lent: bool = False       # it failed to take its own lock
    done: bool = False       # something in this ring
    worked: bool = False     # … in this turn
    successor: bool = False


class Acceptor(NamedTuple):
    """What an acceptor keeps to itself."""

    at: str
    script: int = 0          # batches of it that were sent
    again: Words = ()        # requests to send again
    wakes: Words = ()        # workers that the batch has more than markers for
    successor: bool = False


class State(NamedTuple):
    """Everything. Words of pair (a, s) are at place a * shards + s."""

    locks: Words                              # by shard: 0, or 1 + the shard whose worker has it
    journals: tuple[Journal, ...]
    values: tuple[Words, ...]
    commits: Words                            # of pair (a, s): commit[a] in arena s
    records: tuple[tuple[Record, ...], ...]   # request rings: positions are numbers of records
    tails: Words
    heads: Words
    replies: tuple[tuple[Reply, ...], ...]    # reply rings
    reply_tails: Words
    reply_heads: Words
    publishing: tuple[tuple[int, int], ...]   # of each reply ring: publishing_tail, publishing_position
    intents: tuple[Words | None, ...]         # by acceptor: what its tails will be
    wanted: tuple[Words, ...]                 # by shard: who waits for its lock
    sleeping: Words                           # by worker: RECORDS, LEASE, 0: awake
    events: Words                             # … whether its event descriptor was written
    workers: tuple[Worker, ...]
    acceptors: tuple[Acceptor, ...]
    order: Words
    replied: Words
    lost: frozenset[int]                      # of clients whose acceptor died
    deaths: int                               # still to come
    hangs: int                                # … refusals because of one


def put(words: tuple[Any, ...], place: int, word: Any) -> tuple[Any, ...]:
    """A tuple with one item replaced."""
    return words[:place] + (word,) + words[place + 1:]


@dataclass(frozen=True)
class Leases:
    """The model: shards, what each acceptor sends, batch by batch, and how much luck there is."""

    shards: int
    scripts: tuple[tuple[tuple[Request, ...], ...], ...]
    deaths: int = 0
    hangs: int = 0
    without: frozenset[str] = frozenset()
    acceptors_die: bool = True
    workers_die: bool = True

    @property
    def requests(self) -> list[Request]:
        """All that are sent."""
        return [request for script in self.scripts for batch in script for request in batch]

    def has(self, step: str) -> bool:
        """Whether a step is done."""
        assert step in STEPS
        return step not in self.without

    def pair(self, acceptor: int, shard: int) -> int:
        """The place of a pair's words."""
        return acceptor * self.shards + shard

    def start(self) -> State:
        """Nothing was sent; workers sleep."""
        count, pairs = len(self.scripts), len(self.scripts) * self.shards
        none, nobody = (0,) * pairs, (0,) * self.shards
        return State(
            locks=nobody, journals=tuple(Journal(None, shard, 0, 0) for shard in range(self.shards)),
            values=((),) * self.shards, commits=none, records=((),) * pairs, tails=none, heads=none,
            replies=((),) * pairs, reply_tails=none, reply_heads=none, publishing=((0, 0),) * pairs,
            intents=(None,) * count, wanted=((),) * self.shards, sleeping=(RECORDS,) * self.shards, events=nobody,
            workers=(Worker("asleep", (0,) * count, (0,) * count),) * self.shards,
            acceptors=(Acceptor("ready"),) * count,
            order=(), replied=(), lost=frozenset(), deaths=self.deaths, hangs=self.hangs,
        )

    def steps(self, state: State) -> Iterator[Step]:
        """What each process may do next."""
        from tests.model import leases_acceptor, leases_worker
        for acceptor in range(len(self.scripts)):
            yield from leases_acceptor.steps(self, state, acceptor)
        for shard in range(self.shards):
            yield from leases_worker.steps(self, state, shard)

    # -- what must hold

    def is_open(self, state: State, journal: Journal) -> bool:
        """Whether what a journal has saved is to be restored, were its worker to die now."""
        return journal.saved is not None and (
            state.commits[self.pair(journal.slot, journal.shard)] != journal.position
        )

    def concerns(self) -> dict[int, Words]:
        """Shards by the number that is executed: a part of a request that splits has one of its own."""
        found = {}
        for request in self.requests:
            if request.split:
                found.update({part_number(request, shard): (shard,) for shard in request.shards})
            else:
                found[request.number] = request.shards
        return found

    def check(self, state: State) -> None:
        """Every shard's value is the order of commits."""
        concerns = _concerns(self)
        for shard in range(self.shards):
            journal = state.journals[shard]
            value = journal.saved if self.is_open(state, journal) else state.values[shard]
            if value != tuple(number for number in state.order if shard in concerns[number]):
                raise Broken(f"shard {shard} is {value}, while the commits were {state.order}")

    def done(self, state: State) -> bool:
        """Everyone has come to rest: every request of a client that is still there has one reply, and has happened."""
        if any(a.at != "ready" or a.again or a.script < len(self.scripts[number])
               for number, a in enumerate(state.acceptors)):
            return False
        if any(state.locks) or state.reply_heads != state.reply_tails or any(w.at != "asleep" for w in state.workers):
            return False
        for request in self.requests:
            parts = [part_number(request, shard) for shard in request.shards] if request.split else [request.number]
            happened = [state.order.count(part) for part in parts]
            if len(set(happened)) != 1 or happened[0] > 1:
                return False
            if request.number not in state.lost and (not happened[0] or any(p not in state.replied for p in parts)):
                return False
        return all(journal.saved is None for journal in state.journals) and self.read(state)

    def read(self, state: State) -> bool:
        """Whether nothing is left in the request rings but markers that need not be passed."""
        for acceptor in range(len(self.scripts)):
            for shard in range(self.shards):
                pair = self.pair(acceptor, shard)
                for record in state.records[pair][state.heads[pair]:state.tails[pair]]:
                    if not isinstance(record, Marker):
                        return False
                    if state.commits[self.pair(acceptor, record.executor)] < record.position:
                        return False
        return True


def part_number(request: Request, shard: int) -> int:
    """The number of a part of a request that splits."""
    return request.number * 10 + shard


_known: dict[int, dict[int, Words]] = {}


def _concerns(model: Leases) -> dict[int, Words]:
    return _known.setdefault(id(model.scripts), model.concerns())
