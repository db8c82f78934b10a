"""INFO: the command, and which sections it shows. The sections themselves are in sections.py and statistics.py."""
from __future__ import annotations

from collections import Counter
from typing import Any

from shardkv.acceptor.client import error_counts
from shardkv.acceptor.local import sections, statistics
from shardkv.acceptor.local.facts import all_counters
from shardkv.acceptor.registry import Host, Request, local, question

# Name -> what writes its lines, in the order in which they are shown.
SECTIONS = {
    "server": sections.server,
    "clients": sections.clients,
    "memory": sections.memory,
    "persistence": sections.persistence,
    "stats": statistics.stats,
    "replication": sections.replication,
    "cpu": sections.cpu,
    "modules": sections.modules,
    "commandstats": statistics.commandstats,
    "errorstats": statistics.errorstats,
    "latencystats": statistics.latencystats,
    "cluster": sections.cluster,
    "keyspace": sections.keyspace,
    "shards": sections.shards,
}
TITLES = {"cpu": "CPU"}
BY_DEFAULT = frozenset(SECTIONS) - {"commandstats", "latencystats"}


@local("info")
async def info(request: Request) -> None:
    wanted = _wanted(request.args[1:])
    errors: Counter[str] = Counter()
    if "errorstats" in wanted:
        for counts in await request.server.ask_acceptors("error-counts", {}):
            errors.update(counts)
    facts = sections.Facts(request.server, all_counters(request.server.page), errors)
    shown = []
    for name, write in SECTIONS.items():
        if name in wanted:
            shown.append("".join(f"{line}\r\n" for line in (f"# {TITLES.get(name, name.capitalize())}", *write(facts))))
    request.reply.verbatim("txt", "\r\n".join(shown).encode("utf-8", "surrogateescape"))


def _wanted(args: list[bytes]) -> frozenset[str]:
    """The sections asked for. Unknown names show nothing."""
    names = {arg.lower().decode("utf-8", "replace") for arg in args} or {"default"}
    if names & {"all", "everything"}:
        return frozenset(SECTIONS)
    if "default" in names:
        names |= BY_DEFAULT
    return frozenset("modules" if name == "module_list" else name for name in names)


@question("error-counts")
def answer_error_counts(server: Host, args: dict[str, Any]) -> dict[str, int]:
    """How often this acceptor has sent each error code."""
    return {code.decode("utf-8", "replace"): count for code, count in error_counts.items()}
