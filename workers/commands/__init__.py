"""Command handlers. MODULES is the one list of modules that register handlers when imported."""

MODULES: tuple[str, ...] = (
    "workers.commands.bitfield",
    "workers.commands.bitmaps",
    "workers.commands.debug",
    "workers.commands.dump",
    "workers.commands.generic",
    "workers.commands.geo",
    "workers.commands.hash_expiry",
    "workers.commands.hashes",
    "workers.commands.hyperloglog",
    "workers.commands.internal",
    "workers.commands.keyspace",
    "workers.commands.lcs",
    "workers.commands.lists",
    "workers.commands.sets",
    "workers.commands.sort",
    "workers.commands.streams",
    "workers.commands.strings",
    "workers.commands.zset_ranges",
    "workers.commands.zset_sets",
    "workers.commands.zsets",
)
