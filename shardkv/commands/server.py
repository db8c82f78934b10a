"""Commands on the server as a whole."""
from __future__ import annotations

from functools import partial

from shardkv.commands.spec import KEY, PEEK, Arg, Command, Join, Route, block, integer, one_of, word

server = partial(Command, group="server", complexity="O(1)")
about_commands = partial(server, acl=("connection",), flags=("loading", "stale"))
config = partial(server, flags=("admin", "noscript", "loading", "stale"))
keyspace_wide = partial(server, acl=("keyspace", "dangerous"), route=Route.ALL, join=Join.OK)

HELP = server(name="help", arity=2, since="5.0.0", flags=("loading", "stale"), summary="Tells what the subcommands do.")
SUBCOMMANDS_COST = "That of the subcommand."
COMMANDS_COST = "O(N), N being the number of commands"
NAMED_COST = "O(N), N being the number of commands named"
ARGUMENTS_COST = "O(N), N being the number of arguments"
NAMES = (Arg("command-name", optional=True, multiple=True),)
SOME_COMMAND = (Arg("command"), Arg("arg", optional=True, multiple=True))
ANY_ORDER = ("nondeterministic_output_order",)
EVERY_NODE = ("request_policy:all_nodes", "response_policy:all_succeeded")
EVERY_SHARD = ("request_policy:all_shards", "response_policy:all_succeeded")
SPECIAL = ("nondeterministic_output", "request_policy:all_shards", "response_policy:special")
FLUSH = (one_of("flush-type", word("ASYNC", since="4.0.0"), word("SYNC", since="6.2.0"), optional=True),)
FLUSH_HISTORY = (("4.0.0", "The word `ASYNC` came."), ("6.2.0", "The word `SYNC` came."))

COMMAND_SUBCOMMANDS: tuple[Command, ...] = (
    about_commands(name="count", arity=2, since="2.8.13", summary="Counts the commands."),
    about_commands(
        name="docs", arity=-2, since="7.0.0", args=NAMES, tips=ANY_ORDER, complexity=NAMED_COST,
        summary="Returns the documentation of all commands, or of some.",
    ),
    about_commands(
        name="getkeys", arity=-3, since="2.8.13", args=SOME_COMMAND, complexity=ARGUMENTS_COST,
        summary="Returns which arguments of a command are keys.",
    ),
    about_commands(
        name="getkeysandflags", arity=-3, since="7.0.0", args=SOME_COMMAND, complexity=ARGUMENTS_COST,
        summary="Returns which arguments of a command are keys, and what becomes of them.",
    ),
    about_commands(name="help", arity=2, since="5.0.0", summary="Tells what the subcommands do."),
    about_commands(
        name="info", arity=-2, since="2.8.13", args=NAMES, tips=ANY_ORDER, complexity=NAMED_COST,
        summary="Returns the table's entries of all commands, or of some.",
        history=(("7.0.0", "Without a name it tells of all commands."),),
    ),
    about_commands(
        name="list", arity=-2, since="7.0.0", tips=ANY_ORDER, complexity=COMMANDS_COST,
        summary="Returns the names of commands.",
        args=(
            one_of(
                "filterby",
                Arg("module-name", token="MODULE"),
                Arg("category", token="ACLCAT"),
                Arg("pattern", "pattern", "PATTERN"),
                token="FILTERBY", optional=True,
            ),
        ),
    ),
)

CONFIG_SUBCOMMANDS: tuple[Command, ...] = (
    config(
        name="get", arity=-3, since="2.0.0", args=(Arg("parameter", multiple=True),),
        summary="Returns settings by name or pattern.",
        complexity="O(N), N being the number of names given",
        history=(("7.0.0", "More than one name may be given."),),
    ),
    HELP,
    config(
        name="resetstat", arity=2, since="2.0.0", tips=EVERY_NODE,
        summary="Starts the statistics of `INFO` from zero.",
    ),
    config(
        name="rewrite", arity=2, since="2.8.0", tips=EVERY_NODE,
        summary="Writes the settings in force into the configuration file.",
    ),
    config(
        name="set", arity=-4, since="2.0.0", tips=EVERY_NODE,
        summary="Changes settings, all or none.",
        complexity="O(N), N being the number of settings given",
        args=(block("data", Arg("parameter"), Arg("value"), multiple=True),),
        history=(("7.0.0", "More than one setting may be given."),),
    ),
)

MEMORY_SUBCOMMANDS: tuple[Command, ...] = (
    server(
        name="doctor", arity=2, since="4.0.0", tips=SPECIAL,
        summary="Says in words what is wrong with the use of memory.",
    ),
    server(name="help", arity=2, since="4.0.0", flags=("loading", "stale"), summary="Tells what the subcommands do."),
    server(
        name="malloc-stats", arity=2, since="4.0.0", tips=SPECIAL,
        summary="Returns the allocator's own statistics.",
        complexity="That of the allocator's report.",
    ),
    server(
        name="purge", arity=2, since="4.0.0", tips=EVERY_SHARD,
        summary="Gives free memory back to the system.",
        complexity="O(N), N being the number of free blocks",
    ),
    server(name="stats", arity=2, since="4.0.0", tips=SPECIAL, summary="Returns what memory is used for."),
    server(
        name="usage", arity=-3, since="4.0.0", flags=("readonly",), keys=(PEEK.at(2),), route=Route.KEYED,
        summary="Returns the bytes a key and its value take.",
        complexity="O(N), N being the number of samples",
        args=(KEY, integer("count", token="SAMPLES", optional=True)),
    ),
)

COMMANDS: tuple[Command, ...] = (
    about_commands(
        name="command", arity=-1, since="2.8.13", tips=ANY_ORDER, complexity=COMMANDS_COST,
        summary="Returns the table's entries of all commands.",
        subcommands=COMMAND_SUBCOMMANDS,
    ),
    server(
        name="config", arity=-2, since="2.0.0", complexity=SUBCOMMANDS_COST,
        summary="Subcommands on the settings.",
        subcommands=CONFIG_SUBCOMMANDS,
    ),
    server(
        name="dbsize", arity=1, since="1.0.0", flags=("readonly", "fast"), acl=("keyspace",),
        summary="Counts the keys of the database.",
        tips=("request_policy:all_shards", "response_policy:agg_sum"), route=Route.ALL, join=Join.SUM,
    ),
    server(
        name="debug", arity=-2, since="1.0.0", flags=("admin", "noscript", "loading", "stale"), doc_flags=("syscmd",),
        summary="Subcommands for tests of the server.",
        complexity=SUBCOMMANDS_COST,
    ),
    keyspace_wide(
        name="flushall", arity=-1, since="1.0.0", flags=("write",), args=FLUSH, tips=EVERY_SHARD, history=FLUSH_HISTORY,
        summary="Deletes all keys of all databases.",
        complexity="O(1); the memory comes back in steps, N of them for N keys",
    ),
    keyspace_wide(
        name="flushdb", arity=-1, since="1.0.0", flags=("write",), args=FLUSH, tips=EVERY_SHARD, history=FLUSH_HISTORY,
        summary="Deletes all keys of the database.",
        complexity="O(1); the memory comes back in steps, N of them for N keys",
    ),
    server(
        name="info", arity=-1, since="1.0.0", flags=("loading", "stale"), acl=("dangerous",),
        summary="Returns facts and figures about the server.",
        args=(Arg("section", multiple=True, optional=True),),
        history=(("7.0.0", "More than one section may be given."),),
        tips=SPECIAL,
    ),
    server(
        name="lastsave", arity=1, since="1.0.0", flags=("loading", "stale", "fast"), acl=("admin", "dangerous"),
        summary="Returns the Unix time at which the data was last saved.",
        tips=("nondeterministic_output",),
    ),
    server(
        name="lolwut", arity=-1, since="5.0.0", flags=("readonly", "fast"), complexity="",
        summary="Draws a picture and tells the version.",
        args=(integer("version", token="VERSION", optional=True),),
    ),
    server(
        name="memory", arity=-2, since="4.0.0", complexity=SUBCOMMANDS_COST,
        summary="Subcommands on the use of memory.",
        subcommands=MEMORY_SUBCOMMANDS,
    ),
    server(
        name="role", arity=1, since="2.8.12", flags=("noscript", "loading", "stale", "fast"),
        acl=("admin", "dangerous"),
        summary="Returns the server's part in replication.",
    ),
    server(
        name="shutdown", arity=-1, since="1.0.0",
        flags=("admin", "noscript", "loading", "stale", "no_multi", "allow_busy"),
        summary="Stops the server.",
        complexity="O(N) where data is saved, N being the number of keys; else O(1)",
        args=(
            one_of("save-selector", word("NOSAVE"), word("SAVE"), optional=True),
            word("NOW", optional=True, since="7.0.0"),
            word("FORCE", optional=True, since="7.0.0"),
            word("ABORT", optional=True, since="7.0.0"),
        ),
        history=(("7.0.0", "The words `NOW`, `FORCE` and `ABORT` came."),),
    ),
    keyspace_wide(
        name="swapdb", arity=3, since="4.0.0", flags=("write", "fast"), args=(integer("index1"), integer("index2")),
        summary="Swaps two databases.",
    ),
    server(
        name="time", arity=1, since="2.6.0", flags=("loading", "stale", "fast"),
        summary="Returns the Unix time: seconds, and microseconds of the second.",
        tips=("nondeterministic_output",),
    ),
)
