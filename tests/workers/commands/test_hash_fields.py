"""Hash fields that expire, which redis-server may not know, against a dict with deadlines; the clock is the test's."""
from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest
from hypothesis import Phase, given, settings

from tests.workers.commands.arguments import SEEDS
from tests.workers.commands.executors import executor
from tests.workers.commands.model.sequences import EXAMPLES
from workers._testing_commands import Executor

START = 1_000_000  # unix ms
KEYS = [b"h", b"h", b"i"]
# No more than are swept out when a hash is looked at, so that HLEN is exact.
FIELDS = [b"f%d" % number for number in range(40)] + [b"", b"x" * 100]
VALUES = [b"1", b"-7", b"2", b"40", b"", b"words", b"y" * 300]
TIMES = [0, 1, 5, 40, 1000, 1500, 3000, 100_000]  # ms from now
UNITS = {"": 1000, "p": 1}
CONDITIONS: dict[bytes, Callable[[int, int | None], bool]] = {
    b"": lambda _new, _old: True,
    b"NX": lambda _new, old: old is None,
    b"XX": lambda _new, old: old is not None,
    b"GT": lambda new, old: old is not None and new > old,
    b"LT": lambda new, old: old is None or new < old,
}
NOT_A_NUMBER = "ERR hash value is not an integer"

Reply = None | int | bytes | str | list["Reply"]


class Model:
    """Hashes as dicts of values and deadlines (unix ms, None for none), and the same calls on them and on a shard."""

    def __init__(self, random: Random, shard: Executor) -> None:
        self.random = random
        self.shard = shard
        self.now = START
        self.hashes: dict[bytes, dict[bytes, tuple[bytes, int | None]]] = {key: {} for key in KEYS}
        self.key = KEYS[0]

    @property
    def hash(self) -> dict[bytes, tuple[bytes, int | None]]:
        """The fields of the key that the step is about."""
        return self.hashes[self.key]

    def step(self) -> None:
        """Time passes, and one call is made."""
        self.now += self.random.choice([0, 0, 0, 1, 7, 700])
        self.key = self.random.choice(KEYS)
        for key, fields in self.hashes.items():
            self.hashes[key] = {
                name: (value, deadline)
                for name, (value, deadline) in fields.items()
                if deadline is None or deadline >= self.now  # it is the last moment of the field
            }
        self.random.choice(STEPS)(self)

    def ask(self, expected: Reply, name: str, *words: bytes) -> None:
        """The shard's reply is the expected one."""
        reply = self.shard.run(name, *words, now_ms=self.now)
        assert reply == encoded(expected), (self.now, name, words, reply, expected)

    def ask_words(self, expected: list[bytes], name: str, *words: bytes, pairs: bool = False) -> None:
        """The shard's reply has these words, or pairs of words, in some order."""
        lines = self.shard.run(name, *words, now_ms=self.now).split(b"\r\n")[:-1]
        found = lines[2::2]
        assert lines[0] == b"*%d" % len(expected) and arranged(found, pairs) == arranged(expected, pairs), (name, words)

    def names(self) -> list[bytes]:
        """Some fields; a field may be named twice."""
        return self.random.choices(FIELDS, k=self.random.choice([1, 1, 2, 3, 12]))

    def counted(self, names: list[bytes]) -> list[bytes]:
        """FIELDS, number, names."""
        return [b"FIELDS", b"%d" % len(names), *names]

    def give(self, name: bytes, deadline: int | None) -> bool:
        """A new deadline for a field that is there; answers whether it is gone by it."""
        if deadline is not None and deadline <= self.now:
            del self.hash[name]
            return True
        self.hash[name] = (self.hash[name][0], deadline)
        return False

    # -- one call each

    def hset(self) -> None:
        pairs = {name: self.random.choice(VALUES) for name in self.names()}
        self.ask(len(pairs.keys() - self.hash), "hset", self.key, *(word for pair in pairs.items() for word in pair))
        self.hash.update({name: (value, None) for name, value in pairs.items()})

    def hsetnx(self) -> None:
        name = self.random.choice(FIELDS)
        self.ask(int(name not in self.hash), "hsetnx", self.key, name, b"new")
        self.hash.setdefault(name, (b"new", None))

    def hincrby(self) -> None:
        name = self.random.choice(FIELDS)
        value, deadline = self.hash.get(name, (b"0", None))
        if not value.lstrip(b"-").isdigit():
            return self.ask(NOT_A_NUMBER, "hincrby", self.key, name, b"3")
        self.ask(int(value) + 3, "hincrby", self.key, name, b"3")
        self.hash[name] = (b"%d" % (int(value) + 3), deadline)
        return None

    def hdel(self) -> None:
        names = self.names()
        self.ask(len(self.hash.keys() & names), "hdel", self.key, *names)
        for name in names:
            self.hash.pop(name, None)

    def hexpire(self) -> None:
        prefix, unit = self.random.choice(list(UNITS.items()))
        absolute, condition = self.random.choice([b"", b"at"]), self.random.choice(list(CONDITIONS))
        time = (self.random.choice(TIMES) + (self.now if absolute else 0)) // unit
        deadline = time * unit + (0 if absolute else self.now)
        names, replies = self.names(), []
        for name in names:
            if name not in self.hash:
                replies.append(-2)
            elif not CONDITIONS[condition](deadline, self.hash[name][1]):
                replies.append(0)
            else:
                replies.append(1 + self.give(name, deadline))
        options = [condition] if condition else []
        command = f"h{prefix}expire{absolute.decode()}"
        self.ask([*replies], command, self.key, b"%d" % time, *options, *self.counted(names))

    def httl(self) -> None:
        prefix, unit = self.random.choice(list(UNITS.items()))
        word, base = self.random.choice([("ttl", self.now), ("expiretime", 0)])
        names, replies = self.names(), []
        for name in names:
            _, deadline = self.hash.get(name, (b"", -1))
            replies.append(-1 if deadline is None else -2 if deadline < 0 else -(-(deadline - base) // unit))
        self.ask([*replies], f"h{prefix}{word}", self.key, *self.counted(names))

    def hpersist(self) -> None:
        names, replies = self.names(), []
        for name in names:
            replies.append(-2 if name not in self.hash else -1 if self.hash[name][1] is None else 1)
            if replies[-1] == 1:
                self.give(name, None)
        self.ask([*replies], "hpersist", self.key, *self.counted(names))

    def lifetime(self) -> tuple[list[bytes], int]:
        """EX, PX, EXAT or PXAT with a time, and the deadline that they mean."""
        option, unit, base = self.random.choice(
            [(b"EX", 1000, self.now), (b"PX", 1, self.now), (b"EXAT", 1000, 0), (b"PXAT", 1, 0)]
        )
        time = (self.random.choice(TIMES) + self.now - base) // unit
        return [option, b"%d" % time], base + time * unit

    def hgetex(self) -> None:
        names, replies = self.names(), []
        words, deadline = self.random.choice([([], None), ([b"PERSIST"], None), self.lifetime(), self.lifetime()])
        for name in names:
            replies.append(self.hash[name][0] if name in self.hash else None)
            if words and name in self.hash:
                self.give(name, deadline)
        self.ask([*replies], "hgetex", self.key, *words, *self.counted(names))

    def hgetdel(self) -> None:
        names = self.names()
        replies = [self.hash.pop(name)[0] if name in self.hash else None for name in names]
        self.ask([*replies], "hgetdel", self.key, *self.counted(names))

    def hsetex(self) -> None:
        pairs = [(name, self.random.choice(VALUES)) for name in self.names()]
        condition = self.random.choice([b"", b"", b"FNX", b"FXX"])
        words, deadline = self.random.choice([([], None), ([b"KEEPTTL"], None), self.lifetime(), self.lifetime()])
        there = [name in self.hash for name, _ in pairs]
        met = not condition or (all(there) if condition == b"FXX" else not any(there))
        for name, value in pairs if met else ():
            kept = self.hash[name][1] if words == [b"KEEPTTL"] and name in self.hash else deadline
            self.hash[name] = (value, None)
            self.give(name, kept)
        options = [*([condition] if condition else []), *words, b"FIELDS", b"%d" % len(pairs)]
        self.ask(int(met), "hsetex", self.key, *options, *(word for pair in pairs for word in pair))

    def reads(self) -> None:
        names = self.names()
        self.ask(len(self.hash), "hlen", self.key)
        self.ask([self.hash[name][0] if name in self.hash else None for name in names], "hmget", self.key, *names)
        self.ask(int(names[0] in self.hash), "hexists", self.key, names[0])
        self.ask(len(self.hash.get(names[0], (b"", None))[0]), "hstrlen", self.key, names[0])
        both = [word for name, (value, _) in self.hash.items() for word in (name, value)]
        self.ask_words(both, "hgetall", self.key, pairs=True)
        self.ask_words(list(self.hash), "hrandfield", self.key, b"100")
        self.ask_words([value for value, _ in self.hash.values()], "hvals", self.key)

    def copied(self) -> None:
        other = b"i" if self.key == b"h" else b"h"
        self.shard.run("hlen", self.key, now_ms=self.now)  # an empty hash that nobody looked at is still there
        self.ask(int(bool(self.hash)), "copy", self.key, other, b"REPLACE")
        if self.hash:
            self.hashes[other] = dict(self.hash)

    def restored(self) -> None:
        payload = self.shard.run("dump", self.key, now_ms=self.now)
        assert (payload == encoded(None)) == (not self.hash)
        if self.hash:
            body = payload[payload.index(b"\r\n") + 2 : -2]
            self.ask("+OK", "restore", self.key, b"0", body, b"REPLACE")

    def swept(self) -> None:
        self.shard.time_slices(array("I"), expire_ms=self.now)
        self.ask(sum(map(bool, self.hashes.values())), "exists", *self.hashes)


STEPS = [
    Model.hset, Model.hset, Model.hsetnx, Model.hincrby, Model.hdel, Model.hexpire, Model.hexpire, Model.hexpire,
    Model.httl, Model.httl, Model.hpersist, Model.hgetex, Model.hgetdel, Model.hsetex, Model.hsetex, Model.reads,
    Model.copied, Model.restored, Model.swept,
]


def arranged(words: list[bytes], pairs: bool) -> list[Any]:
    """In an order of our own."""
    return sorted(zip(words[::2], words[1::2], strict=True)) if pairs else sorted(words)


def encoded(reply: Reply) -> bytes:
    """As it is sent in RESP2."""
    if reply is None:
        return b"$-1\r\n"
    if isinstance(reply, int):
        return b":%d\r\n" % reply
    if isinstance(reply, str):
        return (reply if reply.startswith("+") else f"-{reply}").encode() + b"\r\n"
    if isinstance(reply, list):
        return b"*%d\r\n" % len(reply) + b"".join(map(encoded, reply))
    return b"$%d\r\n%b\r\n" % (len(reply), reply)


@pytest.fixture(scope="module")
def shard() -> Iterator[Executor]:
    """An arena with commands to run on it."""
    with executor() as made:
        yield made


@settings(max_examples=EXAMPLES, phases=[Phase.explicit, Phase.generate], database=None)
@given(seed=SEEDS)
def test_fields_expire_as_in_a_dict(shard: Executor, seed: bytes) -> None:
    shard.run("flushall")
    model = Model(Random(seed), shard)
    for _ in range(80):
        model.step()
    shard.arena.check()
