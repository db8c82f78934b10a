"""COMMAND: what the command table says, in the shapes clients read."""
from __future__ import annotations

from typing import TYPE_CHECKING

from shardkv.acceptor.local.replies import send_help
from shardkv.acceptor.registry import Request, local
from shardkv.commands import table
from shardkv.commands.keys import checked_keys
from shardkv.commands.spec import Arg, Command, KeySpec
from shardkv.errors import SYNTAX, CommandError
from shardkv.glob import matches

if TYPE_CHECKING:
    from shardkv.resp import Reply

HELP = (
    ("(no subcommand)", "Return the table's entries of all commands."),
    ("COUNT", "Return how many commands there are."),
    ("LIST", "Return the names of all commands."),
    ("INFO [<command-name> ...]", "Return the table's entries of the commands named, or of all."),
    ("DOCS [<command-name> ...]", "Return the documentation of the commands named, or of all."),
    ("GETKEYS <full-command>", "Return the keys of a command with its arguments."),
    ("GETKEYSANDFLAGS <full-command>", "Return the keys of a command with its arguments, and what becomes of each."),
)


def top_level() -> list[Command]:
    """The commands that are not subcommands."""
    return [command for command in table.COMMANDS if "|" not in command.name]


def find(name: bytes) -> Command | None:
    """The command called `name`, in any case; a subcommand's name is `container|sub`."""
    return table.by_name.get(name.lower().decode("utf-8", "replace"))


@local("command|help")
def help_(request: Request) -> None:
    send_help(request, HELP)


@local("command|count")
def count(request: Request) -> None:
    request.reply.number(len(top_level()))


# COMMAND INFO


@local("command")
def command(request: Request) -> None:
    _send_infos(request, list(top_level()))


@local("command|info")
def info(request: Request) -> None:
    names = request.args[2:]
    _send_infos(request, [find(name) for name in names] if names else list(top_level()))


def _send_infos(request: Request, commands: list[Command | None]) -> None:
    request.reply.array(len(commands))
    for entry in commands:
        if entry is None:
            request.reply.null()
        else:
            _send_info(request.reply, entry)


def _send_info(reply: Reply, entry: Command) -> None:
    reply.array(10)
    reply.string(entry.name)
    reply.number(entry.arity)
    _send_flags(reply, entry.flags)
    for number in (entry.first_key, entry.last_key, entry.key_step):
        reply.number(number)
    _send_flags(reply, tuple(f"@{category}" for category in entry.acl))
    reply.set(len(entry.tips))
    for tip in entry.tips:
        reply.string(tip)
    reply.set(len(entry.keys))
    for spec in entry.keys:
        _send_key_spec(reply, spec)
    if entry.subcommands:
        reply.array(len(entry.subcommands))
        for subcommand in entry.subcommands:
            _send_info(reply, subcommand)
    else:
        reply.set(0)


def _send_flags(reply: Reply, flags: tuple[str, ...]) -> None:
    reply.set(len(flags))
    for flag in flags:
        reply.status(flag)


def _send_key_spec(reply: Reply, spec: KeySpec) -> None:
    reply.map(4 if spec.notes else 3)
    if spec.notes:
        reply.string("notes")
        reply.string(spec.notes)
    reply.string("flags")
    _send_flags(reply, spec.flags)
    reply.string("begin_search")
    reply.value(_begin_search(spec))
    reply.string("find_keys")
    reply.value(_find_keys(spec))


def _begin_search(spec: KeySpec) -> dict[str, object]:
    if spec.unknown:
        return {"type": "unknown", "spec": {}}
    if spec.keyword is not None:
        return {"type": "keyword", "spec": {"keyword": spec.keyword, "startfrom": spec.start_from}}
    return {"type": "index", "spec": {"index": spec.index}}


def _find_keys(spec: KeySpec) -> dict[str, object]:
    if spec.unknown:
        return {"type": "unknown", "spec": {}}
    if spec.keynum is not None:
        return {"type": "keynum", "spec": dict(zip(("keynumidx", "firstkey", "keystep"), spec.keynum, strict=True))}
    return {"type": "range", "spec": {"lastkey": spec.last, "keystep": spec.step, "limit": spec.limit}}


# COMMAND DOCS


@local("command|docs")
def docs(request: Request) -> None:
    """Names that are no command's are left out."""
    names = request.args[2:]
    found = [find(name) for name in names] if names else list(top_level())
    entries = [entry for entry in found if entry is not None]
    request.reply.map(len(entries))
    for entry in entries:
        request.reply.string(entry.name)
        _send_docs(request.reply, entry)


def _send_docs(reply: Reply, entry: Command) -> None:
    before = {"summary": entry.summary, "since": entry.since, "group": entry.group, "complexity": entry.complexity}
    after = {"deprecated_since": entry.deprecated_since, "replaced_by": entry.replaced_by}
    lists = (entry.doc_flags, entry.history, entry.args, entry.subcommands)
    reply.map(sum(map(bool, (*before.values(), *after.values(), *lists))))
    _send_texts(reply, before)
    if entry.doc_flags:
        reply.string("doc_flags")
        _send_flags(reply, entry.doc_flags)
    _send_texts(reply, after)
    if entry.history:
        reply.string("history")
        reply.set(len(entry.history))
        for change in entry.history:
            reply.value(list(change))
    if entry.args:
        reply.string("arguments")
        _send_args(reply, entry.args)
    if entry.subcommands:
        reply.string("subcommands")
        reply.map(len(entry.subcommands))
        for subcommand in entry.subcommands:
            reply.string(subcommand.name)
            _send_docs(reply, subcommand)


def _send_texts(reply: Reply, texts: dict[str, str]) -> None:
    # Empty ones are not there.
    for name, text in texts.items():
        if text:
            reply.string(name)
            reply.string(text)


def _send_args(reply: Reply, args: tuple[Arg, ...]) -> None:
    reply.array(len(args))
    for arg in args:
        nested = arg.type in ("oneof", "block")
        texts = {"name": arg.name, "type": arg.type, "display_text": "" if nested else arg.display or arg.name}
        more = {
            "token": arg.token,
            "summary": arg.summary,
            "since": arg.since,
            "deprecated_since": arg.deprecated_since,
        }
        flags = tuple(name for name in ("optional", "multiple", "multiple_token") if getattr(arg, name))
        reply.map(sum(map(bool, (*texts.values(), arg.key_spec is not None, *more.values(), flags, nested))))
        _send_texts(reply, texts)
        if arg.key_spec is not None:
            reply.string("key_spec_index")
            reply.number(arg.key_spec)
        _send_texts(reply, more)
        if flags:
            reply.string("flags")
            _send_flags(reply, flags)
        if nested:
            reply.string("arguments")
            _send_args(reply, arg.args)


# COMMAND LIST, GETKEYS, GETKEYSANDFLAGS


@local("command|list")
def list_(request: Request) -> None:
    """All names, subcommands included; no command comes from a module."""
    entries = table.COMMANDS
    options = request.args[2:]
    if options:
        if len(options) != 3 or options[0].lower() != b"filterby":
            raise CommandError(SYNTAX)
        wanted = options[2]
        match options[1].lower():
            case b"module":
                entries = ()
            case b"aclcat":
                entries = tuple(entry for entry in entries if wanted.lower().decode("utf-8", "replace") in entry.acl)
            case b"pattern":
                entries = tuple(entry for entry in entries if matches(wanted, entry.name.encode(), True))
            case _:
                raise CommandError(SYNTAX)
    request.reply.array(len(entries))
    for entry in entries:
        request.reply.string(entry.name)


@local("command|getkeys")
def getkeys(request: Request) -> None:
    args = request.args[2:]
    keys = checked_keys(_named(args), args)
    request.reply.array(len(keys))
    for position, _ in keys:
        request.reply.string(args[position])


@local("command|getkeysandflags")
def getkeysandflags(request: Request) -> None:
    args = request.args[2:]
    keys = checked_keys(_named(args), args)
    request.reply.array(len(keys))
    for position, flags in keys:
        request.reply.array(2)
        request.reply.string(args[position])
        _send_flags(request.reply, flags)


def _named(args: list[bytes]) -> Command:
    entry = find(args[0]) if b"|" not in args[0] else None
    if entry is not None and entry.subcommands and len(args) > 1:
        entry = find(args[0] + b"|" + args[1])
    if entry is None:
        raise CommandError("ERR Invalid command specified")
    return entry
