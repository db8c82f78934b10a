"""MEMORY: figures about all shards. MEMORY USAGE belongs to the worker that has the key."""
from __future__ import annotations

from shardkv.acceptor.local.facts import Memory, gather_memory
from shardkv.acceptor.local.replies import send_help
from shardkv.acceptor.registry import Request, local

SMALL = 5 << 20  # bytes; below, ratios say nothing

HELP = (
    ("DOCTOR", "Return what is wrong with the use of memory, in words."),
    ("MALLOC-STATS", "Return the allocator's statistics of each shard."),
    ("PURGE", "Give free memory back to the system."),
    ("STATS", "Return what memory is used for."),
    (
        "USAGE <key> [SAMPLES <count>]",
        "Return the bytes that <key> and its value take. Nested values are sampled",
        "up to <count> times (default: 5, 0 means all).",
    ),
)


@local("memory|help")
def help_(request: Request) -> None:
    send_help(request, HELP)


@local("memory|stats")
def stats(request: Request) -> None:
    memory = gather_memory(request.server.page)
    databases = {
        f"db.{number}": {
            "overhead.hashtable.main": 0,
            "overhead.hashtable.expires": 0,
            "overhead.hashtable.slot-to-keys": 0,
        }
        for number, (keys, *_) in enumerate(request.server.page.database_counts())
        if keys
    }
    request.reply.value(
        {
            "peak.allocated": memory.peak,
            "total.allocated": memory.used,
            "startup.allocated": 0,
            "replication.backlog": 0,
            "clients.slaves": 0,
            "clients.normal": memory.clients,
            "cluster.links": 0,
            "aof.buffer": 0,
            "lua.caches": 0,
            "functions.caches": 0,
            **databases,
            "overhead.total": memory.clients,
            "keys.count": memory.keys,
            "keys.bytes-per-key": memory.used // memory.keys if memory.keys else 0,
            "dataset.bytes": memory.used,
            "dataset.percentage": 100.0 if memory.used else 0.0,
            "peak.percentage": 100.0 * memory.peak_share,
            "allocator.allocated": memory.used,
            "allocator.active": memory.arenas,
            "allocator.resident": memory.arenas,
            "allocator-fragmentation.ratio": memory.arena_ratio,
            "allocator-fragmentation.bytes": memory.arenas - memory.used,
            "allocator-rss.ratio": 1.0,
            "allocator-rss.bytes": 0,
            "rss-overhead.ratio": memory.rss_ratio,
            "rss-overhead.bytes": memory.rss - memory.arenas,
            "fragmentation": memory.fragmentation,
            "fragmentation.bytes": memory.arenas - memory.used,
        }
    )


@local("memory|doctor")
def doctor(request: Request) -> None:
    request.reply.verbatim("txt", "\n".join(_diagnosis(gather_memory(request.server.page))).encode())


def _diagnosis(memory: Memory) -> list[str]:
    if memory.used < SMALL:
        return ["Hi! There is next to no data here, so there is nothing to judge. Come back with more of it."]
    troubles = []
    if memory.peak > 1.5 * memory.used:
        troubles.append(" * Peak memory: the data once took more than one and a half times what it takes now.")
    if memory.arena_ratio > 1.4:
        troubles.append(
            " * Fragmentation: the arenas hold over 1.4 times the bytes in use. MEMORY PURGE gives free pages back."
        )
    if memory.clients > memory.used // 2:
        troubles.append(
            " * Client buffers: connections hold more than half as much as the data. See CLIENT LIST, field tot-mem."
        )
    if not troubles:
        return ["Hi! I looked at all shards and found nothing wrong with their use of memory."]
    return ["Hi! This is what I found:", "", *troubles]


@local("memory|malloc-stats")
def malloc_stats(request: Request) -> None:
    page = request.server.page
    lines = ["shard\tused\tpeak\tarena"]
    for shard in range(page.workers):
        counters = page.worker_counters(shard)
        lines.append(
            "\t".join(map(str, (shard, counters["used_memory"], counters["peak_memory"], counters["arena_bytes"])))
        )
    request.reply.verbatim("txt", ("\n".join(lines) + "\n").encode())


@local("memory|purge")
async def purge(request: Request) -> None:
    await request.server.ask_workers(b"@purge")
    request.reply.status("OK")
