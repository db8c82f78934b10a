"""CONFIG: settings read, changed everywhere, and written back to the configuration file."""
from __future__ import annotations

from typing import Any

from shardkv.acceptor.client import error_counts
from shardkv.acceptor.local.replies import is_local, send_help
from shardkv.acceptor.registry import Host, Request, local, question
from shardkv.config.directives import BY_NAME
from shardkv.errors import CommandError, wrong_arity

NO_FILE = "ERR The server is running without a config file"

HELP = (
    ("GET <pattern>", "Return the settings whose names match the glob <pattern>, with their values."),
    ("SET <directive> <value>", "Change the setting <directive> to <value>."),
    ("RESETSTAT", "Start the statistics that INFO shows from zero."),
    ("REWRITE", "Write the settings in force into the configuration file."),
)


@local("config|help")
def help_(request: Request) -> None:
    send_help(request, HELP)


@local("config|get")
def get(request: Request) -> None:
    """A plain name is returned under the spelling the client used, names found by a pattern under their own."""
    settings = request.server.settings
    found: dict[str, str] = {}
    for pattern in map(_text, request.args[2:]):
        plain = not any(sign in pattern for sign in "[*?")
        found.update((pattern if plain else name, value) for name, value in settings.match(pattern).items())
    request.reply.map(len(found))
    for name, value in found.items():
        request.reply.string(name.encode("utf-8", "surrogateescape"))
        request.reply.string(value.encode("utf-8", "surrogateescape"))


@local("config|set")
async def set_(request: Request) -> None:
    """All or none. Put in force here, in the workers and, through the supervisor, in the other acceptors."""
    words = [_text(word) for word in request.args[2:]]
    names = words[::2]
    if len(words) % 2:
        raise CommandError(wrong_arity("config|set"))
    for place, name in enumerate(names):
        if name in names[:place]:
            raise CommandError(f"ERR CONFIG SET failed (possibly related to argument '{name}') - duplicate parameter")
    server = request.server
    server.settings.set(dict(zip(names, words[1::2], strict=True)), is_local(request.client))
    changes = {BY_NAME[name.lower()].name: server.settings.get(name) for name in names}
    await server.ask_supervisor("config", {"changes": changes})  # it puts what workers need into the control page …
    await server.ask_workers(b"@settings")  # … which they look into by themselves, but when they reply they have
    request.reply.status("OK")


@local("config|resetstat")
async def resetstat(request: Request) -> None:
    await request.server.ask_acceptors("reset-statistics", {})
    await request.server.ask_workers(b"@reset-statistics")
    request.reply.status("OK")


@question("reset-statistics")
def answer_reset(server: Host, args: dict[str, Any]) -> None:
    """Forgets what this acceptor has counted."""
    server.page.reset("acceptor", server.index)
    error_counts.clear()


@local("config|rewrite")
async def rewrite(request: Request) -> None:
    if not request.server.config_file:
        raise CommandError(NO_FILE)
    await request.server.ask_supervisor("rewrite", {})
    request.reply.status("OK")


def _text(word: bytes) -> str:
    return word.decode("utf-8", "surrogateescape")
