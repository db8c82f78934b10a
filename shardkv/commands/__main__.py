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

What this version knows, made of the command table (`shardkv/commands/`) by `python -m shardkv.commands`. A command that
runs in "the shard of its keys" needs all its keys in one shard: give them one hash tag, as in `{tag}key`. A command
that runs in "the shards of its keys" takes keys of any shards. "Since" is
the version of Redis that brought the command.
"""


TABLE_HEAD = ("| command | what it does | since | runs in | complexity |", "|---|---|---|---|---|")


def _only_contains(command: Command) -> bool:
    # COMMAND does something without a subcommand too.
    return bool(command.subcommands) and command.arity != -1


def _cell(text: str) -> str:
    return text.replace("|", "\\|").removesuffix(".")


def _row(command: Command) -> str:
    name = command.name.replace("|", " ").upper()
    cells = (f"`{name}`", command.summary, command.since, WHERE[command.route], command.complexity)
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
