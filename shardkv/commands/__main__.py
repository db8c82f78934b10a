"""Prints docs/commands.md, made of the command table: `python -m shardkv.commands > docs/commands.md`."""
from __future__ import annotations

from shardkv.commands.spec import Command, Route
from shardkv.commands.table import COMMANDS

WHERE = {
    Route.LOCAL: "the acceptor",
    Route.KEYED: "the shard of its keys",
    Route.SPLIT: "the shards of its keys",
    Route.ALL: "every shard",
    Route.CURSOR: "one shard after another",
    Route.TRANSACTION: "the acceptor",
}

HEADING = """\
# Commands

What this version knows, made of the command table (`shardkv/commands/`) by `python -m shardkv.commands`. Keys may lie
in any shards. A command that runs in "the shard of its keys" and finds them in several has all of these on lease in one
worker; keys with one hash tag, as in `{tag}key`, lie in one shard, which is faster. A command that runs in "the shards
of its keys" is done in parts side by side. "Since" is the version of Redis that brought the command.
"""


TABLE_HEAD = ("| command | what it does | since | runs in | complexity |", "|---|---|---|---|---|")


def _only_contains(command: Command) -> bool:
    # COMMAND does something without a subcommand too.
    return bool(command.subcommands) and command.arity != -1


def _cell(text: str) -> str:
    return text.replace("|", "\\|").removesuffix(".")


def _row(command: Command) -> str:
    name = command.name.replace("|", " ").upper()
    where = "the shards of its commands' keys" if command.name == "exec" else WHERE[command.route]
    cells = (f"`{name}`", command.summary, command.since, where, command.complexity)
    return "| " + " | ".join(map(_cell, cells)) + " |"


def page() -> str:
    """Returns the text of docs/commands.md."""
    lines = [HEADING]
    for group in dict.fromkeys(command.group for command in COMMANDS):
        lines += [f"## {group.capitalize()}", "", *TABLE_HEAD]
        lines += [_row(c) for c in COMMANDS if c.group == group and not _only_contains(c)]
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    print(page(), end="")
