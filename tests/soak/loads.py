"""What the clients of the soak do, and how it is checked.

Each load has its keys spread over all shards. `needs` are the commands that the server must have; `probe` says whether
it can do the rest. Histories are cut in rounds (`epoch`), each with keys of its own, so that checking them stays cheap.
"""
from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from tests.checkers.appends import Append, Read, check_appends
from tests.checkers.bank import check_bank
from tests.checkers.history import Operation, Wrong
from tests.checkers.linear import check_linear, counter, register
from tests.checkers.queues import check_queue
from tests.soak.clients import Client, Connection, ErrorReply, Lost, Words

EPOCH_SECONDS = 1.0
ACCOUNTS, BALANCE = 9, 1000


class Load:
    """A load: `turns` are what its clients do, one client each."""

    needs: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.numbers = itertools.count(1)
        self.histories: list[list[Operation]] = []

    def prepare(self, connection: Connection) -> None:
        """Makes what must be there."""

    def probe(self, connection: Connection) -> None:
        """Raises ErrorReply when the server cannot do it yet."""

    def turns(self) -> Iterable[Callable[[Client], None]]:
        """One for each client."""
        raise NotImplementedError

    def check(self, connection: Connection) -> str:
        """Checks everything when all clients have stopped; raises Wrong. Returns what was done, in words."""
        raise NotImplementedError

    @property
    def name(self) -> str:
        """For what is told."""
        return type(self).__name__.lower()

    def operations(self) -> list[Operation]:
        """Those of all clients."""
        return [operation for history in self.histories for operation in history]


def epoch() -> int:
    """The round of now."""
    return int(time.monotonic() / EPOCH_SECONDS)


class Bank(Load):
    """Transfers by MULTI and by WATCH; readers by MULTI and by MGET."""

    needs = ("multi", "exec", "watch", "mget")
    keys = [f"account:{number}" for number in range(ACCOUNTS)]

    def __init__(self) -> None:
        super().__init__()
        self.reads: list[list[int]] = []
        self.moved = self.touched = 0

    def prepare(self, connection: Connection) -> None:
        for key in self.keys:
            connection.ask("SET", key, BALANCE)

    def probe(self, connection: Connection) -> None:
        connection.transaction([("GET", key) for key in self.keys])

    def turns(self) -> Iterable[Callable[[Client], None]]:
        return (self.transfer, self.transfer, self.transfer_watching, self.transfer_watching, self.read, self.read_all)

    def transfer(self, client: Client) -> None:
        """By MULTI."""
        giver, taker = client.dice.sample(self.keys, 2)
        amount = client.dice.randrange(1, 10)
        try:
            client.connection.transaction([("DECRBY", giver, amount), ("INCRBY", taker, amount)])
            self.moved += 1
        except Lost:
            pass

    def transfer_watching(self, client: Client) -> None:
        """By WATCH."""
        giver, taker = client.dice.sample(self.keys, 2)
        amount = client.dice.randrange(1, 10)
        try:
            client.connection.ask("WATCH", giver, taker)
            had, has = (int(client.connection.ask("GET", key)) for key in (giver, taker))
            steps: list[Words] = [("SET", giver, had - amount), ("SET", taker, has + amount)]
            if client.connection.transaction(steps) is None:
                self.touched += 1
            else:
                self.moved += 1
        except Lost:
            pass

    def read(self, client: Client) -> None:
        """By MULTI."""
        try:
            read = client.connection.transaction([("GET", key) for key in self.keys])
        except Lost:
            return
        self.note(read)

    def read_all(self, client: Client) -> None:
        """By MGET."""
        read = client.ask("MGET", *self.keys)
        if read is not None:
            self.note(read)

    def note(self, read: list[bytes]) -> None:
        """Checks at once."""
        check_bank([[int(balance) for balance in read]], ACCOUNTS * BALANCE)
        self.reads.append([])

    def check(self, connection: Connection) -> str:
        self.note(connection.insist("MGET", *self.keys))
        return f"{self.moved} transfers, {self.touched} not made as a key was touched, {len(self.reads)} reads"


class Appends(Load):
    """Transactions by MULTI that append to lists and read them, two to four keys each."""

    needs = ("multi", "exec", "rpush")
    lists = 5

    def probe(self, connection: Connection) -> None:
        connection.transaction([("LLEN", f"probe:{number}") for number in range(20)])

    def turns(self) -> Iterable[Callable[[Client], None]]:
        return [self.transact] * 6

    def transact(self, client: Client) -> None:
        """One transaction."""
        now = epoch()
        keys = client.dice.sample([f"list:{now}:{number}" for number in range(self.lists)], client.dice.randrange(2, 5))
        value = next(self.numbers)
        plan = [(key, client.dice.random() < 0.5) for key in keys]
        requests: list[Words] = [("RPUSH", key, value) if adds else ("LRANGE", key, 0, -1) for key, adds in plan]
        client.note("transaction", tuple(plan) + (value,), lambda: client.connection.transaction(requests))

    def steps(self, operation: Operation) -> Operation:
        """An operation as its checker takes it."""
        *plan, value = operation.args
        replies = operation.result or [None] * len(plan)
        steps: list[Append | Read] = []
        for (key, adds), reply in zip(plan, replies, strict=True):
            if adds:
                steps.append(Append(key, value))
            elif reply is not None:
                steps.append(Read(key, tuple(map(int, reply))))
        return Operation("done", tuple(steps), None, operation.begun, operation.ended, operation.client)

    def check(self, connection: Connection) -> str:
        rounds: dict[str, list[Operation]] = {}
        for operation in map(self.steps, self.operations()):
            for step in operation.args[:1]:
                rounds.setdefault(step.key.split(":")[1], []).append(operation)
        for number, operations in rounds.items():
            final = []
            begun = time.monotonic()
            for key in (f"list:{number}:{place}" for place in range(self.lists)):
                final.append(Read(key, tuple(map(int, connection.insist("LRANGE", key, 0, -1)))))
            check_appends([*operations, Operation("done", tuple(final), None, begun, time.monotonic())])
        lost = sum(operation.lost for operation in self.operations())
        return f"{len(self.operations())} transactions in {len(rounds)} rounds, {lost} lost"


class Registers(Load):
    """Single keys: SET and GET, INCR and GET."""

    needs = ("set", "incr")
    keys = 3

    def turns(self) -> Iterable[Callable[[Client], None]]:
        return [self.operate] * 3 + [self.count] * 3

    def operate(self, client: Client) -> None:
        """Reads or writes."""
        key, value = f"register:{epoch()}:{client.dice.randrange(self.keys)}", next(self.numbers)
        if client.dice.random() < 0.5:
            client.note("write", (value, key), lambda: client.connection.ask("SET", key, value))
        else:
            client.note("read", (None, key), lambda: client.connection.ask("GET", key))

    def count(self, client: Client) -> None:
        """Reads or adds one."""
        key = f"counter:{epoch()}:{client.dice.randrange(self.keys)}"
        if client.dice.random() < 0.5:
            client.note("add", (1, key), lambda: client.connection.ask("INCR", key))
        else:
            client.note("read", (None, key), lambda: client.connection.ask("GET", key))

    def check(self, connection: Connection) -> str:
        objects: dict[str, list[Operation]] = {}
        for operation in self.operations():
            objects.setdefault(operation.args[1], []).append(operation)
        for key, operations in objects.items():
            told = [replace(operation, args=operation.args[:1]) for operation in operations]
            if key.startswith("counter"):
                check_linear([replace(o, result=int(o.result or 0)) for o in told], counter, 0)
            else:
                check_linear([replace(o, result=o.result and int(o.result)) if o.name == "read" else o for o in told],
                             register, None)
        return f"{len(self.operations())} operations on {len(objects)} keys"


class Copies(Load):
    """MSET of all keys; MGET must show one value. RENAME to and fro, SMOVE: what is moved is in one place."""

    needs = ("mset", "rename", "smove", "multi", "exec")
    keys = [f"copy:{number}" for number in range(7)]

    def __init__(self) -> None:
        super().__init__()
        self.reads = self.moves = 0

    def prepare(self, connection: Connection) -> None:
        connection.ask("MSET", *itertools.chain(*((key, 0) for key in self.keys)))
        connection.ask("SET", "here:0", "value")
        connection.ask("SADD", "set:0", *range(10))

    def probe(self, connection: Connection) -> None:
        for number in (1, 2, 3, 0):
            connection.ask("SMOVE", f"set:{(number - 1) % 4}", f"set:{number}", 5)
            connection.ask("RENAME", f"here:{(number - 1) % 4}", f"here:{number}")

    def turns(self) -> Iterable[Callable[[Client], None]]:
        return (self.write, self.read, self.move, self.look)

    def write(self, client: Client) -> None:
        """The same to all."""
        value = next(self.numbers)
        client.ask("MSET", *itertools.chain(*((key, value) for key in self.keys)))

    def read(self, client: Client) -> None:
        """All at once."""
        values = client.ask("MGET", *self.keys)
        if values is not None and len(set(values)) != 1:
            raise Wrong(f"MGET sees parts of several MSETs: {values}")
        self.reads += 1

    def move(self, client: Client) -> None:
        """A member, and a key."""
        one, other = client.dice.sample(range(4), 2)
        client.ask("SMOVE", f"set:{one}", f"set:{other}", client.dice.randrange(10))
        for key in range(4):
            try:
                if client.connection.ask("EXISTS", f"here:{key}"):
                    client.connection.ask("RENAME", f"here:{key}", f"here:{client.dice.randrange(4)}")
            except Lost:
                pass
            except ErrorReply as error:
                if "no such key" not in str(error):
                    raise
        self.moves += 1

    def look(self, client: Client) -> None:
        """Where they are."""
        member = client.dice.randrange(10)
        steps: list[Words] = [("SISMEMBER", f"set:{number}", member) for number in range(4)]
        steps += [("EXISTS", f"here:{number}") for number in range(4)]
        try:
            there = client.connection.transaction(steps)
        except Lost:
            return
        if sum(there[:4]) != 1 or sum(there[4:]) != 1:
            raise Wrong(f"member {member} and the key are at {there}")

    def check(self, connection: Connection) -> str:
        return f"{self.reads} reads of copies, {self.moves} moves"


class Queues(Load):
    """Producers by LPUSH, consumers by BRPOP on several keys; a chain of BLMOVE between two queues."""

    needs = ("brpop", "blmove", "lpush")
    queues = ("queue:a", "queue:b", "queue:c")
    movers = 2
    PATIENCE = 0.2  # seconds that a consumer waits

    def __init__(self) -> None:
        super().__init__()
        self.producing = threading.Event()
        self.producing.set()

    def turns(self) -> Iterable[Callable[[Client], None]]:
        return (self.produce, self.produce, self.consume, self.consume, self.feed, self.move, self.move, self.take)

    def produce(self, client: Client) -> None:
        """An element at a time, now and then several by MULTI."""
        self.push(client, client.dice.choice(self.queues))

    def push(self, client: Client, key: str) -> None:
        """Pushes an element."""
        if not self.producing.is_set():
            time.sleep(0.01)
            return
        element = next(self.numbers)
        client.note("push", (element, key), lambda: client.connection.ask("LPUSH", key, element))
        if client.dice.random() < 0.3:
            time.sleep(client.dice.random() * 0.01)

    def consume(self, client: Client) -> None:
        """From any of the queues."""
        keys = client.dice.sample(self.queues, client.dice.randrange(1, 4))
        client.note("pop", tuple(keys), lambda: client.connection.ask("BRPOP", *keys, self.PATIENCE))

    def feed(self, client: Client) -> None:
        """The chain."""
        self.push(client, "chain:first")

    def move(self, client: Client) -> None:
        """From the first to the last."""
        client.ask("BLMOVE", "chain:first", "chain:last", "RIGHT", "LEFT", self.PATIENCE)

    def take(self, client: Client) -> None:
        """At its end."""
        client.note("pop", ("chain:last",), lambda: client.connection.ask("BRPOP", "chain:last", self.PATIENCE))

    def drained(self, connection: Connection) -> bool:
        """Whether nothing is left."""
        return not any(connection.insist("LLEN", key) for key in (*self.queues, "chain:first", "chain:last"))

    def check(self, connection: Connection) -> str:
        if not self.drained(connection):
            raise Wrong("clients that wait for elements have left some")
        by_queue: dict[str, list[Operation]] = {key: [] for key in (*self.queues, "chain:first")}
        lost: list[Operation] = []
        for operation in self.operations():
            if operation.name == "push":
                by_queue[operation.args[1]].append(operation)
            elif operation.lost:
                lost.append(operation)
            elif operation.result is not None:
                key, element = operation.result
                key = key.decode().replace("last", "first")
                by_queue[key].append(Operation("pop", (), int(element), operation.begun, operation.ended))
        for key, operations in by_queue.items():
            check_queue([*operations, *(o for o in lost if key in o.args or key[:5] == o.args[0][:5] == "chain")])
        popped = sum(operation.name == "pop" for operations in by_queue.values() for operation in operations)
        return f"{popped} elements through queues, {len(lost)} pops lost"


class Streams(Load):
    """Producers by XADD, consumers of a group by XREADGROUP BLOCK on two streams at once."""

    needs = ("blpop", "xreadgroup")  # BLOCK came with the other commands that wait
    streams = ("stream:a", "stream:b")

    def prepare(self, connection: Connection) -> None:
        for key in self.streams:
            connection.ask("XGROUP", "CREATE", key, "group", "$", "MKSTREAM")

    def turns(self) -> Iterable[Callable[[Client], None]]:
        return (self.produce, self.consume, self.consume)

    def produce(self, client: Client) -> None:
        """An entry at a time."""
        element, key = next(self.numbers), client.dice.choice(self.streams)
        client.note("push", (element, key), lambda: client.connection.ask("XADD", key, "*", "element", element))
        time.sleep(client.dice.random() * 0.005)

    def consume(self, client: Client) -> None:
        """An entry of each at most."""
        client.note("pop", (), lambda: client.connection.ask(
            "XREADGROUP", "GROUP", "group", client.name, "COUNT", 1, "BLOCK", 100, "STREAMS", *self.streams, ">", ">",
        ))

    def check(self, connection: Connection) -> str:
        by_stream: dict[str, list[Operation]] = {key: [] for key in self.streams}
        lost = [operation for operation in self.operations() if operation.name == "pop" and operation.lost]
        for operation in self.operations():
            if operation.name == "push":
                by_stream[operation.args[1]].append(operation)
            for key, entries in operation.result or () if operation.name == "pop" else ():
                by_stream[key.decode()] += [replace(operation, result=int(fields[1])) for _, fields in entries]
        for key, operations in by_stream.items():
            now = time.monotonic()
            left = connection.insist("XREADGROUP", "GROUP", "group", "last", "STREAMS", key, ">") or [(key, [])]
            rest = [Operation("pop", (), int(fields[1]), now, now) for _, fields in left[0][1]]
            check_queue([*operations, *lost, *rest])
        popped = sum(operation.name == "pop" for operations in by_stream.values() for operation in operations)
        return f"{popped} entries of streams, {len(lost)} reads lost"


LOADS: tuple[type[Load], ...] = (Bank, Appends, Registers, Copies, Queues, Streams)


def supported(load: Load, connection: Connection) -> str:
    """Why the server cannot take a load; empty when it can."""
    facts: list[Any] = connection.insist("COMMAND", "INFO", *load.needs)
    missing = [name for name, fact in zip(load.needs, facts, strict=True) if not fact]
    if missing:
        return f"no {', '.join(missing)}"
    try:
        load.prepare(connection)
        load.probe(connection)
    except ErrorReply as error:
        connection.close()
        return str(error)[-80:]
    return ""
