"""What counts as a change of a watched key, call by call as redis-server sees it."""
from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest
import redis
from hypothesis import Phase, given, settings

from tests.harness import Server
from tests.wire import Wire
from tests.workers.commands.arguments import SEEDS, Words
from tests.workers.commands.model.conversation import ask_all
from tests.workers.commands.model.replies import request_of, rule_of
from tests.workers.commands.model.sequences import FAMILIES, KEYS, Family

LONGEST = 40  # calls


class Watching:
    """A server, and one more connection to it that watches."""

    def __init__(self, wire: Wire, watcher: Wire) -> None:
        self.wire, self.watcher = wire, watcher

    def changed(self) -> bool:
        """Whether what was watched has changed; it is not watched any more."""
        _, executed = self.watcher.ask_all([[b"multi"], [b"exec"]])
        return executed is None

    def apart(self) -> bool:
        """Whether no two keys share a word in which changes are counted."""
        for key in KEYS:
            self.watcher.ask("watch", key)
            self.wire.ask_all([[b"set", other, b"1"] for other in KEYS if other != key])
            if self.changed():
                return False
        return True


@pytest.fixture(scope="module")
def both(oracle: redis.Redis) -> Iterator[tuple[Watching, Watching]]:
    """A server of three shards, and redis-server."""
    port = oracle.connection_pool.connection_kwargs["port"]
    with Wire(port) as wire, Wire(port) as watcher:
        theirs = Watching(wire, watcher)
        found = False
        while not found:  # the words depend on the instance's secret
            with Server("--workers", "3") as server, Wire(server.port) as wire, Wire(server.port) as watcher:
                ours = Watching(wire, watcher)
                found = ours.apart()
                if found:
                    yield ours, theirs


@pytest.mark.parametrize("family", FAMILIES)
def test_a_watched_key_has_changed_when_redis_says_so(family: str, both: tuple[Watching, Watching]) -> None:
    @settings(max_examples=30, phases=[Phase.generate], database=None)
    @given(seed=SEEDS)
    def same_changes(seed: bytes) -> None:
        chance = Random(seed)
        for server in both:
            server.wire.ask("flushall")
        for call in Family(family, seed).sequence(LONGEST):
            named = [word for word in call[1] if word in KEYS]
            difference = differ(both, call, chance.choice(named or KEYS))
            assert not difference, (call, difference)

    same_changes()


def differ(both: tuple[Watching, Watching], call: Words, key: bytes) -> str:
    """Executes a call on both servers while `key` is watched; says what is different."""
    ours, theirs = both
    for server in both:
        assert server.watcher.ask("watch", key) == "+OK"
    (mine,) = ask_all(ours.wire, [request_of(call)])
    for question in rule_of(call).questions(call, mine):
        ask_all(theirs.wire, [question])
    changed = ours.changed(), theirs.changed()
    # Redis does not count that a string grows, if nothing could be stored; nor, in 7.0, that a group is destroyed.
    if call[0] in ("bitfield", "xgroup|destroy") and changed[0]:
        return ""
    return "" if changed[0] == changed[1] else f"{key!r} changed: ours {changed[0]}, theirs {changed[1]}; {mine!r:.200}"
