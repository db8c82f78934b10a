"""XGROUP HELP and XINFO HELP. The other subcommands belong to the worker that has the stream."""
from __future__ import annotations

from typing import TYPE_CHECKING

from shardkv.acceptor.local.replies import send_help
from shardkv.acceptor.registry import local

if TYPE_CHECKING:
    from shardkv.acceptor.registry import Request

GROUP_HELP = (
    (
        "CREATE <key> <groupname> <id|$> [option]",
        "Make a consumer group. Options are:",
        "* MKSTREAM",
        "  Make an empty stream if <key> does not exist.",
        "* ENTRIESREAD entries_read",
        "  Say how many entries the group has read.",
    ),
    ("CREATECONSUMER <key> <groupname> <consumer>", "Make a consumer of the group."),
    ("DELCONSUMER <key> <groupname> <consumer>", "Delete the consumer with its pending entries."),
    ("DESTROY <key> <groupname>", "Delete the group."),
    ("SETID <key> <groupname> <id|$> [ENTRIESREAD entries_read]", "Set the ID behind which the group goes on."),
)
INFO_HELP = (
    ("CONSUMERS <key> <groupname>", "Tell of the consumers of the group."),
    ("GROUPS <key>", "Tell of the consumer groups of the stream."),
    ("STREAM <key> [FULL [COUNT <count>]]", "Tell of the stream."),
)


@local("xgroup|help")
def group_help(request: Request) -> None:
    send_help(request, GROUP_HELP)


@local("xinfo|help")
def info_help(request: Request) -> None:
    send_help(request, INFO_HELP)
