"""The command table: every command of this version, complete, in one fixed order.

A command's place in COMMANDS is its id: it travels in ring records and indexes the statistics, so all processes of one
instance must run the same version. Commands that take subcommands are followed by them, under their full names
(`client|list`).
"""
from __future__ import annotations

from collections.abc import Iterator

from shardkv.commands import (
    bitmap,
    connection,
    generic,
    geo,
    hyperloglog,
    server,
    sorted_set,
    stream,
    string,
    transactions,
)
from shardkv.commands import hash as hashes
from shardkv.commands import list as lists
from shardkv.commands import set as sets
from shardkv.commands.spec import Command, KeySpec

FAMILIES = (
    string, bitmap, lists, sets, hashes, sorted_set, stream, hyperloglog, geo, generic, transactions, connection,
    server,
)
# In the order in which Redis lists them.
FLAGS = (
    "write", "readonly", "denyoom", "admin", "pubsub", "noscript", "blocking", "loading", "stale", "skip_monitor",
    "skip_slowlog", "fast", "no_auth", "no_mandatory_keys", "no_multi", "movablekeys", "allow_busy",
)
ACL_CATEGORIES = (
    "keyspace", "read", "write", "set", "sortedset", "list", "hash", "string", "bitmap", "hyperloglog", "geo", "stream",
    "pubsub", "admin", "fast", "slow", "blocking", "dangerous", "connection", "transaction", "scripting",
)
# Categories that a flag brings along.
IMPLIED = {
    "write": ("write",),
    "readonly": ("read",),
    "admin": ("admin", "dangerous"),
    "pubsub": ("pubsub",),
    "fast": ("fast",),
    "blocking": ("blocking",),
}


def _key_range(specs: tuple[KeySpec, ...]) -> tuple[int, int, int]:
    """Returns COMMAND INFO's first key, last key and step: one range, or ranges of step 1 that follow each other."""
    first, last, step = 0, 0, 0
    for spec in specs:
        if spec.index is None or spec.keynum is not None or (first and (spec.step != 1 or spec.index != last + 1)):
            continue
        first, step = first or spec.index, step or spec.step
        last = spec.last if spec.last < 0 else spec.index + spec.last
    return first, last, step


def _complete(command: Command, container: str = "") -> Command:
    """Returns `command` with all that its declaration implies."""
    name = f"{container}|{command.name}" if container else command.name
    moving = any(spec.index is None or spec.keynum is not None for spec in command.keys)
    flags = {*command.flags, "movablekeys"} if moving else command.flags
    implied = [category for flag in command.flags for category in IMPLIED.get(flag, ())]
    categories = {*command.acl, *implied, "fast" if "fast" in command.flags else "slow"}
    first, last, step = _key_range(command.keys)
    return command._replace(
        name=name,
        flags=tuple(sorted(flags, key=FLAGS.index)),
        acl=tuple(sorted(categories, key=ACL_CATEGORIES.index)),
        subcommands=tuple(_complete(subcommand, name) for subcommand in command.subcommands),
        first_key=first,
        last_key=last,
        key_step=step,
    )


def _all() -> Iterator[Command]:
    for family in FAMILIES:
        for declared in family.COMMANDS:
            command = _complete(declared)
            yield command
            yield from command.subcommands


COMMANDS: tuple[Command, ...] = tuple(_all())
by_name: dict[str, Command] = {command.name: command for command in COMMANDS}
# Commands that take a subcommand: its word -> the subcommand.
containers: dict[str, dict[str, Command]] = {
    command.name: {subcommand.name.partition("|")[2]: subcommand for subcommand in command.subcommands}
    for command in COMMANDS
    if command.subcommands
}
_ids: dict[str, int] = {command.name: place for place, command in enumerate(COMMANDS)}


def command_id(name: str) -> int:
    """Returns the id of the command with the full, lower-case name `name`; raises KeyError when there is none."""
    return _ids[name]
