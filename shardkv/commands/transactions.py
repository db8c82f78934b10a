"""Commands that make several into one."""
from __future__ import annotations

from functools import partial

from shardkv.commands.spec import KEYS, PEEK, Command, Join, Route

transaction = partial(Command, group="transactions", acl=("transaction",), route=Route.TRANSACTION)

AT_ANY_TIME = ("noscript", "loading", "stale", "fast", "allow_busy")

COMMANDS: tuple[Command, ...] = (
    transaction(
        name="discard", arity=1, since="2.0.0", flags=AT_ANY_TIME,
        summary="Forgets the commands queued and the keys watched.",
        complexity="O(N), N being the number of commands queued",
    ),
    transaction(
        name="exec", arity=1, since="1.2.0", flags=("noscript", "loading", "stale", "skip_slowlog"),
        summary="Executes the commands queued, all at once, unless a key watched was changed.",
        complexity="That of the commands queued.",
    ),
    transaction(
        name="multi", arity=1, since="1.2.0", flags=AT_ANY_TIME,
        summary="Has the commands that follow queued until `EXEC`.",
        complexity="O(1)",
    ),
    transaction(
        name="unwatch", arity=1, since="2.2.0", flags=AT_ANY_TIME,
        summary="Forgets the keys watched.",
        complexity="O(1)",
    ),
    transaction(
        name="watch", arity=-2, since="2.2.0", flags=AT_ANY_TIME, keys=(PEEK.to_end(),), args=(KEYS,),
        route=Route.SPLIT, join=Join.ARRAY,
        summary="Watches keys: `EXEC` does nothing if one of them was changed meanwhile.",
        complexity="O(1) for each key",
    ),
)
