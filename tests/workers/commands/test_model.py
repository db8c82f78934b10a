"""Random sequences of commands, family by family, against redis-server: replies and values are the same.

Hypothesis draws seeds, and a seed stands for a sequence (`model/sequences.py`), which goes to either server in a few
round trips (`model/conversation.py`); what must be equal is in `model/replies.py`. Sequences come in RESP2 and RESP3,
with the usual limits of small encodings and with such low ones that short sequences cross them; to a server with one
shard and to one with three, where a command's keys lie apart; and to that one in transactions, of a few calls each. A
difference is shown with the fewest calls that make it.

    SHARDKV_MODEL_EXAMPLES=3000 make test ARGS="tests/workers/commands/test_model.py -s"

runs so many sequences of each family with either limits, instead of 100, and tells the share of errors.
"""
from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import redis
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from shardkv.commands.table import COMMANDS
from tests.harness import Server
from tests.wire import Wire
from tests.workers.commands.arguments import SEEDS, Words
from tests.workers.commands.model.conversation import Pair, fewest
from tests.workers.commands.model.sequences import EXAMPLES, FAMILIES, HANDLED, Family

LONGEST = 60  # calls
LOW = {
    **dict.fromkeys(("hash-max-listpack-entries", "set-max-listpack-entries", "zset-max-listpack-entries"), 4),
    **dict.fromkeys(("set-max-intset-entries", "list-max-listpack-size", "stream-node-max-entries"), 4),
    **dict.fromkeys(("hash-max-listpack-value", "set-max-listpack-value", "zset-max-listpack-value"), 16),
    "hll-sparse-max-bytes": 40,
}


@pytest.fixture(scope="module", params=["usual", "low", "low, shards", "low, transactions"])
def pair(request: pytest.FixtureRequest, oracle: redis.Redis) -> Iterator[Pair]:
    """A server with one worker or three and redis-server, with the same limits."""
    limits = LOW if "low" in request.param else {}
    workers = "1" if request.param in ("usual", "low") else "3"
    before = {name: oracle.config_get(name).get(name) for name in limits}
    before = {name: value for name, value in before.items() if value is not None}  # 7.0 does not know them all
    port = oracle.connection_pool.connection_kwargs["port"]
    with Server("--workers", workers) as one, Wire(one.port) as ours, Wire(port) as theirs:
        for name, limit in limits.items():
            assert ours.ask("config", "set", name, limit) == "+OK"
        for name in before:
            assert theirs.ask("config", "set", name, limits[name]) == "+OK"
        yield (found := Pair(ours, theirs, "transactions" in request.param))
        for name, value in before.items():
            assert theirs.ask("config", "set", name, value) == "+OK"
    if "SHARDKV_MODEL_EXAMPLES" in os.environ:
        print(f"\n{request.param} limits: {found.calls} calls, {found.errors} of them errors")


@pytest.mark.timeout(120 + EXAMPLES)
@pytest.mark.parametrize("family", FAMILIES)
def test_replies_are_those_of_redis(family: str, pair: Pair) -> None:
    @settings(max_examples=EXAMPLES, phases=[Phase.generate], database=None)
    @given(seed=SEEDS, resp=st.sampled_from([2, 3]))
    def same_replies(seed: bytes, resp: int) -> None:
        calls = Family(family, seed).sequence(LONGEST)
        parts = [calls[: len(calls) // 2], calls[len(calls) // 2 :]]
        if pair.differ(resp, parts):
            parts = fewest(pair, resp, parts)
            pytest.fail(f"seed {seed!r}, RESP{resp}: {shown(parts)}\n{pair.differ(resp, parts)}", pytrace=False)

    same_replies()


def shown(parts: list[list[Words]]) -> str:
    """Calls as lines, long words cut; `crossing` is where values go from either server to the other."""
    calls = [call for part in parts for call in (*part, ("crossing", []))]
    return "".join(f"\n  {name} {' '.join(repr(word)[1:50] for word in words)}" for name, words in calls)


def test_every_family_is_there() -> None:
    groups = {c.group for c in COMMANDS if c.name in HANDLED}
    assert groups <= {*FAMILIES, "server", "connection", "transactions"}
