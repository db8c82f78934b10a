"""Commands on streams."""
from __future__ import annotations

from functools import partial

from shardkv.commands.spec import (
    CHANGE,
    COUNT,
    EXTEND,
    FAST_READ,
    FAST_REMOVE,
    FAST_WRITE,
    KEY,
    KEYS,
    PEEK,
    READ,
    SHRINK,
    WRITE,
    Arg,
    Command,
    KeySpec,
    Route,
    block,
    integer,
    one_of,
    word,
)

stream = partial(Command, group="stream", acl=("stream",), since="5.0.0", complexity="O(1)", route=Route.KEYED)
helping = partial(
    stream, name="help", arity=2, flags=("loading", "stale"), route=Route.LOCAL,
    summary="Tells what the subcommands do.",
)
container = partial(
    Command, arity=-2, group="stream", since="5.0.0", complexity="That of the subcommand.", route=Route.LOCAL
)

GROUP = Arg("group")
CONSUMER = Arg("consumer")
IDS = Arg("ID", multiple=True)
GROUP_START = one_of("id-selector", Arg("id"), Arg("new-id", "pure-token", "$"))
TRIMMING = (
    one_of("strategy", word("MAXLEN"), word("MINID", since="6.2.0")),
    one_of(
        "operator", Arg("equal", "pure-token", "="), Arg("approximately", "pure-token", "~"), optional=True
    ),
    Arg("threshold"),
    integer("count", token="LIMIT", optional=True, since="6.2.0"),
)
STREAMS = block("streams", KEYS, IDS, token="STREAMS")
BLOCK = integer("milliseconds", token="BLOCK", optional=True)

EXCLUSIVE_CAME = (("6.2.0", "Ranges may be exclusive."),)
ANSWERING = "O(log(N)+M), N being the length of the stream and M the number of entries returned"
PER_ID = "O(log(N)) for each ID, N being the length of the stream"
UNSTEADY = ("nondeterministic_output",)


def behind_streams(start_from: int) -> KeySpec:
    """Returns the keys that are the first half of what follows STREAMS."""
    return KeySpec(("RO", "access"), index=None, keyword="STREAMS", start_from=start_from, last=-1, limit=2)


COMMANDS: tuple[Command, ...] = (
    stream(
        name="xack", arity=-4, flags=FAST_REMOVE, keys=(CHANGE,), args=(KEY, GROUP, IDS),
        summary="Marks entries as done by their consumers.",
        complexity="O(log(N)) for each ID, N being the number of pending entries of the group",
    ),
    stream(
        name="xadd", arity=-5, flags=FAST_WRITE,
        keys=(KeySpec(("RW", "update"), notes="trimming may delete entries"),),
        args=(
            KEY,
            word("NOMKSTREAM", optional=True, since="6.2.0"),
            block("trim", *TRIMMING, optional=True),
            one_of("id-selector", Arg("auto-id", "pure-token", "*"), Arg("id")),
            block("data", Arg("field"), Arg("value"), multiple=True),
        ),
        summary="Appends an entry to a stream, which is created if the key does not exist.",
        complexity="O(1); O(N) when trimming, N being the number of entries removed",
        history=(
            ("6.2.0", "The options `NOMKSTREAM`, `MINID` and `LIMIT` came."),
            ("7.0.0", "An ID may be given as `<ms>-*`."),
        ),
        tips=UNSTEADY,
    ),
    stream(
        name="xautoclaim", arity=-6, since="6.2.0", flags=FAST_REMOVE, keys=(SHRINK,),
        args=(KEY, GROUP, CONSUMER, Arg("min-idle-time"), Arg("start"), COUNT, word("JUSTID", optional=True)),
        summary="Gives a consumer the entries that others have left pending for long.",
        complexity="O(N), N being the number of pending entries looked at",
        history=(("7.0.0", "The IDs of deleted entries, which are no longer pending, joined the reply."),),
        tips=UNSTEADY,
    ),
    stream(
        name="xclaim", arity=-6, flags=FAST_REMOVE, keys=(CHANGE,),
        args=(
            KEY,
            GROUP,
            CONSUMER,
            Arg("min-idle-time"),
            IDS,
            integer("ms", token="IDLE", optional=True),
            Arg("unix-time-milliseconds", "unix-time", "TIME", optional=True),
            integer("count", token="RETRYCOUNT", optional=True),
            word("FORCE", optional=True),
            word("JUSTID", optional=True),
            Arg("lastid", token="LASTID", optional=True),
        ),
        summary="Gives a consumer entries that are pending for another.",
        complexity="O(log(N)) for each ID, N being the number of pending entries of the group",
        tips=UNSTEADY,
    ),
    stream(
        name="xdel", arity=-3, flags=FAST_REMOVE, keys=(SHRINK,), args=(KEY, IDS),
        summary="Deletes entries of a stream.",
        complexity=PER_ID,
    ),
    container(
        name="xgroup", summary="Subcommands that make, change and delete consumer groups.",
        subcommands=(
            stream(
                name="create", arity=-5, flags=WRITE, keys=(EXTEND.at(2),),
                args=(
                    KEY,
                    GROUP,
                    GROUP_START,
                    word("MKSTREAM", optional=True),
                    integer("entries-read", token="ENTRIESREAD", optional=True),
                ),
                summary="Makes a consumer group.",
                history=(("7.0.0", "The option `ENTRIESREAD` came."),),
            ),
            stream(
                name="createconsumer", arity=5, since="6.2.0", flags=WRITE, keys=(EXTEND.at(2),),
                args=(KEY, GROUP, CONSUMER),
                summary="Makes a consumer of a group.",
            ),
            stream(
                name="delconsumer", arity=5, flags=("write",), keys=(SHRINK.at(2),), args=(KEY, GROUP, CONSUMER),
                summary="Deletes a consumer with its pending entries.",
                complexity="O(N), N being the number of its pending entries",
            ),
            stream(
                name="destroy", arity=4, flags=("write",), keys=(SHRINK.at(2),), args=(KEY, GROUP),
                summary="Deletes a consumer group.",
                complexity="O(1); what was pending is freed in steps",
            ),
            helping(),
            stream(
                name="setid", arity=-5, flags=("write",), keys=(CHANGE.at(2),),
                args=(
                    KEY,
                    GROUP,
                    GROUP_START,
                    integer("entriesread", token="ENTRIESREAD", display="entries-read", optional=True),
                ),
                summary="Sets the ID behind which a group goes on.",
                history=(("7.0.0", "The option `ENTRIESREAD` came."),),
            ),
        ),
    ),
    container(
        name="xinfo", summary="Subcommands that tell of streams, groups and consumers.",
        subcommands=(
            stream(
                name="consumers", arity=4, flags=("readonly",), keys=(READ.at(2),), args=(KEY, GROUP),
                summary="Tells of the consumers of a group.",
                complexity="O(N), N being the number of consumers",
                history=(("7.2.0", "The field `inactive` came."),),
                tips=UNSTEADY,
            ),
            stream(
                name="groups", arity=3, flags=("readonly",), keys=(READ.at(2),), args=(KEY,),
                summary="Tells of the consumer groups of a stream.",
                complexity="O(N), N being the number of groups",
                history=(("7.0.0", "The fields `entries-read` and `lag` came."),),
            ),
            helping(),
            stream(
                name="stream", arity=-3, flags=("readonly",), keys=(READ.at(2),),
                args=(KEY, block("full-block", word("FULL"), COUNT, optional=True)),
                summary="Tells of a stream.",
                complexity="O(1); with `FULL` O(N), N being the number of entries and pending entries returned",
                history=(
                    ("6.0.0", "The option `FULL` came."),
                    (
                        "7.0.0",
                        "The fields `max-deleted-entry-id`, `entries-added`, `recorded-first-entry-id`, "
                        "`entries-read` and `lag` came.",
                    ),
                    ("7.2.0", "The field `active-time` came; `seen-time` tells of any attempt to read."),
                ),
            ),
        ),
    ),
    stream(
        name="xlen", arity=2, flags=FAST_READ, keys=(PEEK,), args=(KEY,),
        summary="Returns the number of entries of a stream.",
    ),
    stream(
        name="xpending", arity=-3, flags=("readonly",), keys=(READ,),
        args=(
            KEY,
            GROUP,
            block(
                "filters",
                integer("min-idle-time", token="IDLE", optional=True, since="6.2.0"),
                Arg("start"),
                Arg("end"),
                integer("count"),
                Arg("consumer", optional=True),
                optional=True,
            ),
        ),
        summary="Tells of the pending entries of a group.",
        complexity="O(N), N being the number of pending entries looked at, or for the overview that of consumers",
        history=(("6.2.0", "The option `IDLE` and exclusive ranges came."),),
        tips=UNSTEADY,
    ),
    stream(
        name="xrange", arity=-4, flags=("readonly",), keys=(READ,), args=(KEY, Arg("start"), Arg("end"), COUNT),
        summary="Returns the entries in a range of IDs.",
        complexity=ANSWERING,
        history=EXCLUSIVE_CAME,
    ),
    stream(
        name="xread", arity=-4, flags=("readonly", "blocking"), keys=(behind_streams(1),), args=(COUNT, BLOCK, STREAMS),
        summary="Returns the entries of streams behind given IDs.",
        complexity=ANSWERING,
    ),
    stream(
        name="xreadgroup", arity=-7, flags=("write", "blocking"), keys=(behind_streams(4),),
        args=(
            block("group-block", GROUP, CONSUMER, token="GROUP"), COUNT, BLOCK, word("NOACK", optional=True), STREAMS,
        ),
        summary="Returns entries of streams to a consumer of a group, new ones or those pending.",
        complexity=ANSWERING,
    ),
    stream(
        name="xrevrange", arity=-4, flags=("readonly",), keys=(READ,), args=(KEY, Arg("end"), Arg("start"), COUNT),
        summary="Returns the entries in a range of IDs, the last being first.",
        complexity=ANSWERING,
        history=EXCLUSIVE_CAME,
    ),
    stream(
        name="xsetid", arity=-3, flags=FAST_WRITE, keys=(CHANGE,),
        args=(
            KEY,
            Arg("last-id"),
            integer("entries-added", token="ENTRIESADDED", optional=True, since="7.0.0"),
            Arg("max-deleted-id", token="MAXDELETEDID", optional=True, since="7.0.0"),
        ),
        summary="Sets the last ID of a stream.",
        history=(("7.0.0", "The options `ENTRIESADDED` and `MAXDELETEDID` came."),),
    ),
    stream(
        name="xtrim", arity=-4, flags=("write",), keys=(SHRINK,), args=(KEY, block("trim", *TRIMMING)),
        summary="Removes the oldest entries of a stream.",
        complexity="O(N), N being the number of entries removed",
        history=(("6.2.0", "The options `MINID` and `LIMIT` came."),),
        tips=UNSTEADY,
    ),
)
