"""Commands on HyperLogLogs: strings that estimate how many different elements were added to them."""
from __future__ import annotations

from functools import partial

from shardkv.commands.spec import EXTEND, FAST_WRITE, KEY, KEYS, READ, WRITE, Arg, Command, Join, KeySpec, Route

hyperloglog = partial(Command, group="hyperloglog", acl=("hyperloglog",), since="2.8.9", route=Route.KEYED)

COMMANDS: tuple[Command, ...] = (
    hyperloglog(
        name="pfadd", arity=-2, flags=FAST_WRITE, keys=(EXTEND,),
        args=(KEY, Arg("element", optional=True, multiple=True)),
        summary="Adds elements to a HyperLogLog, which is created if the key does not exist.",
        complexity="O(N), N being the number of elements named",
    ),
    hyperloglog(
        name="pfcount", arity=-2, flags=("readonly",), args=(KEYS,),
        keys=(KeySpec(("RW", "access"), last=-1, notes="the estimate is kept in the value of a single key"),),
        summary="Estimates the number of different elements of HyperLogLogs together.",
        complexity="O(1) for one key; O(N), with large constant times, for N keys",
    ),
    hyperloglog(
        name="pfdebug", arity=3, flags=(*WRITE, "admin"), keys=(KeySpec(("RW", "access"), index=2),),
        args=(Arg("subcommand"), KEY), doc_flags=("syscmd",),
        summary="Shows or changes how a HyperLogLog is kept.",
        complexity="O(N), N being the number of registers",
    ),
    hyperloglog(
        name="pfmerge", arity=-2, flags=WRITE, keys=(KeySpec(("RW", "access", "insert")), READ.at(2).to_end()),
        args=(
            Arg("destkey", "key", key_spec=0),
            Arg("sourcekey", "key", key_spec=1, optional=True, multiple=True),
        ),
        summary="Merges HyperLogLogs into one.",
        complexity="O(N), with large constant times, N being the number of HyperLogLogs",
    ),
    hyperloglog(
        name="pfselftest", arity=1, flags=("admin",), route=Route.ALL, join=Join.OK, doc_flags=("syscmd",),
        summary="Tests the registers and the estimates of HyperLogLogs.",
        complexity="O(1), with large constant times",
    ),
)
