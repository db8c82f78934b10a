"""The same sequence of calls with two servers: how the calls are sent, and the first reply that is not the same."""
from __future__ import annotations

from typing import Any

from tests.wire import Wire
from tests.workers.commands.arguments import Words
from tests.workers.commands.model.replies import SCANS, Request, in_any_order, request_of, rule_of, same
from tests.workers.commands.model.sequences import KEYS

# What shows a whole value, by its type.
READING: dict[str, list[bytes]] = {
    "+string": [b"get"],
    "+list": [b"lrange", b"0", b"-1"],
    "+set": [b"smembers"],
    "+hash": [b"hgetall"],
    "+zset": [b"zrange", b"0", b"-1", b"WITHSCORES"],
    "+stream": [b"xrange", b"-", b"+"],
}
ROUNDS = 10_000  # of a cursor
TRANSACTION = 3  # calls


def ask_all(wire: Wire, requests: list[Request], transactions: bool = False) -> list[Any]:
    """All replies; what scans is followed to the end of its cursor, everything else takes one round trip together, or
    transactions of TRANSACTION calls."""
    replies: list[Any] = []
    waiting: list[Request] = []
    for request in requests:
        if request[0].decode() in SCANS:
            replies += [*wire.ask_all(waiting), _drain(wire, request)]
            waiting = []
            continue
        waiting.append(request)
        if transactions and len(waiting) == TRANSACTION:
            replies += _transact(wire, waiting)
            waiting = []
    return replies + wire.ask_all(waiting)


def _transact(wire: Wire, requests: list[Request]) -> list[Any]:
    """The replies to calls of one transaction; if not all of them can be in one, to calls one by one."""
    _, *queued, executed = wire.ask_all([[b"multi"], *requests, [b"exec"]])
    if all(reply == "+QUEUED" for reply in queued) and isinstance(executed, list):
        return executed
    assert str(executed).startswith("-EXECABORT")
    return wire.ask_all(requests)


def _drain(wire: Wire, request: Request) -> Any:
    """The last reply, with the elements of all."""
    place = 1 if request[0] == b"scan" else 2
    elements: list[Any] = []
    for _ in range(ROUNDS):
        reply = wire.ask(*request)
        if isinstance(reply, str):
            return reply
        elements += reply[1]
        if reply[0] == b"0":
            return [reply[0], elements]
        request = [*request[:place], reply[0], *request[place + 1 :]]
    raise AssertionError(f"{request} comes to no end")


class Pair:
    """shardkv, and the server that it is compared with."""

    def __init__(self, ours: Wire, theirs: Wire, transactions: bool = False) -> None:
        self.transactions = transactions  # with us; there it makes no difference
        self.ours = ours
        self.theirs = theirs
        self.calls = 0
        self.errors = 0

    def differ(self, resp: int, parts: list[list[Words]]) -> str:
        """Runs the parts of a sequence from empty servers, in RESP version `resp`; after each part every value crosses
        over to the other server. Answers the first difference, empty if there is none."""
        start = [[b"hello", b"%d" % resp], [b"flushall"]]
        self.ours.ask_all(start)
        self.theirs.ask_all(start)
        for calls in parts:
            found = self._calls(calls) or self._cross() or self._values(resp)
            if found:
                return found
        return ""

    def _calls(self, calls: list[Words]) -> str:
        mine = ask_all(self.ours, list(map(request_of, calls)), self.transactions)
        asked = [rule_of(call).questions(call, reply) for call, reply in zip(calls, mine, strict=True)]
        answers = iter(ask_all(self.theirs, sum(asked, [])))
        self.calls += len(calls)
        self.errors += sum(isinstance(reply, str) and reply.startswith("-") for reply in mine)
        for call, reply, questions in zip(calls, mine, asked, strict=True):
            theirs = [next(answers) for _ in questions]
            if not rule_of(call).agree(call, reply, theirs):
                return f"{call}\n  ours:   {reply!r:.2000}\n  theirs: {theirs!r:.2000}"
        return ""

    def _cross(self) -> str:
        """Each server's values become what the other one's DUMP says; both lose their expiry."""
        dumping = [[b"dump", key] for key in KEYS]
        dumps = self.ours.ask_all(dumping), self.theirs.ask_all(dumping)
        for name, wire, payloads in (("ours", self.ours, dumps[1]), ("theirs", self.theirs, dumps[0])):
            restoring = [
                [b"restore", key, b"0", payload, b"REPLACE"] if payload is not None else [b"del", key]
                for key, payload in zip(KEYS, payloads, strict=True)
            ]
            for request, reply in zip(restoring, wire.ask_all(restoring), strict=True):
                if reply not in ("+OK", 0):
                    return f"{name} answers {reply!r} to {request}"
        return ""

    def _values(self, resp: int) -> str:
        """Compares all that is there, and how streams are read."""
        types = self.ours.ask_all([[b"type", key] for key in KEYS])
        there = [(key, READING[kind]) for key, kind in zip(KEYS, types, strict=True) if kind in READING]
        reading = [[words[0], key, *words[1:]] for key, words in there]
        both = zip(reading, self.ours.ask_all(reading), self.theirs.ask_all(reading), strict=True)
        for request, mine, theirs in both:
            if mine != theirs and not same(in_any_order(mine), in_any_order(theirs)):
                return f"{request} at the end\n  ours:   {mine!r:.2000}\n  theirs: {theirs!r:.2000}"
        streams = [key for key, words in there if words[0] == b"xrange"]
        for key in streams:
            mine, theirs = (groups(wire, key) for wire in (self.ours, self.theirs))
            if mine != theirs:
                return f"groups of {key!r} at the end\n  ours:   {mine!r:.2000}\n  theirs: {theirs!r:.2000}"
        if streams:
            self.ours.ask("hello", resp)
            self.theirs.ask("hello", resp)
        return ""


def groups(wire: Wire, key: bytes) -> Any:
    """All that a stream's groups hold but times, which is not the same in 7.0 and 7.2, or is what the clock says."""
    _, told = wire.ask_all([[b"hello", b"3"], [b"xinfo", b"stream", key, b"full", b"count", b"0"]])
    found = []
    for _, pairs in dict(told[1])[b"groups"]:
        group = dict(pairs)
        group[b"pending"] = [(entry, owner, deliveries) for entry, owner, _, deliveries in group[b"pending"]]
        consumers = [dict(consumer[1]) for consumer in group.pop(b"consumers")]
        rows = [(one[b"name"], one[b"pel-count"], [(row[0], row[2]) for row in one[b"pending"]]) for one in consumers]
        found.append((group, rows))
    return found


def fewest(pair: Pair, resp: int, parts: list[list[Words]]) -> list[list[Words]]:
    """The parts without the calls that the difference does not need."""
    for number, calls in enumerate(parts):
        step = max(1, len(calls) // 4)
        while step:
            place = len(parts[number]) - step
            while place >= 0:
                kept = [*parts[number][:place], *parts[number][place + step :]]
                shorter = [*parts[:number], kept, *parts[number + 1 :]]
                if pair.differ(resp, shorter):
                    parts = shorter
                place -= step
            step //= 2
    return parts
