"""Every directive of a configuration file, as data: one list that the parser, CONFIG and the documentation read.

All directives of redis.conf 7.2 are known, so that users' files load, and those that Redis 8 and Valkey 9 have beside
them, which CONFIG GET shows to who asks by name. `readers` says which of our processes act on one; a directive without
readers is accepted and returned, and waits for its feature. One whose feature would be missed in silence names in `gap`
what is not there yet: any value but the default is a warning at start, and an error from CONFIG SET.
"""
from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Flag, auto

from shardkv.config.kinds import (
    INT_MAX,
    LONG_MAX,
    UINT_MAX,
    ULONG_MAX,
    Boolean,
    BufferLimits,
    Choice,
    Clamped,
    CountOrAuto,
    EventClasses,
    FileName,
    Flags,
    Integer,
    Kind,
    Memory,
    MemoryOrPercent,
    OomScores,
    Percentiles,
    Permissions,
    Primary,
    SavePoints,
    Text,
    Words,
)

ACCEPTORS_MAX = 61  # commit slots of an arena, less the worker's own three
WORKERS_MAX = 1024
DATABASES_MAX = 65536  # ring records have 16 bits for a database


class Reader(Flag):
    NONE = 0
    SUPERVISOR = auto()
    ACCEPTOR = auto()
    WORKER = auto()


@dataclass(frozen=True)
class Directive:
    name: str
    kind: Kind
    default: str
    alias: str = ""
    readers: Reader = Reader.NONE
    immutable: bool = False  # CONFIG SET refuses it
    hidden: bool = False     # CONFIG GET returns it for its full name only
    protected: bool = False  # CONFIG SET needs enable-protected-configs
    gap: str = ""            # what is not there yet, when another value than the default is asked for


YES_NO = Boolean()
TEXT = Text()
ANY_INT = Integer(-INT_MAX - 1)
COUNT = Integer()
SIZE = Integer(0, LONG_MAX)
POSITIVE = Integer(1)
PORT = Integer(0, 65535)
BYTES = Memory()
ACTION = Choice(("no", "yes", "local"))
LOG_TIMESTAMPS = Choice(("legacy", "iso8601", "milliseconds"))
FACILITIES = Choice(("user", *(f"local{number}" for number in range(8))))
SHUTDOWN_FLAGS = Flags(("default", "save", "nosave", "now", "force"))
POLICIES = Choice((
    "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl",
    "allkeys-lru", "allkeys-lfu", "allkeys-random", "noeviction",
))

S, A, W = Reader.SUPERVISOR, Reader.ACCEPTOR, Reader.WORKER
NO_EVICTION = "eviction is not there yet: only noeviction is"
NO_TLS = "TLS is not there yet"
NO_REPLICAS = "replication is not there yet"
NO_LOG_FORMATS = "other log formats are not there yet"
NO_MODULES = "modules are not supported: the line is ignored"

DIRECTIVES = (
    # Processes and where the data lives
    Directive("workers", CountOrAuto(WORKERS_MAX), "auto", readers=S, immutable=True),
    Directive("acceptors", CountOrAuto(ACCEPTORS_MAX), "auto", readers=S, immutable=True),
    Directive("arena-dir", TEXT, "/dev/shm", readers=S, immutable=True),
    Directive("busy-poll-us", Integer(0, 1000), "50", readers=A | W),
    Directive("allow-missing-arenas", YES_NO, "no", readers=S, immutable=True),

    # Network
    Directive("bind", Words(), "127.0.0.1 -::1", readers=S, immutable=True),
    Directive("port", PORT, "6379", readers=S, immutable=True),
    Directive("unixsocket", TEXT, "", readers=S, immutable=True),
    Directive("unixsocketperm", Permissions(), "0", readers=S, immutable=True),
    Directive("tcp-backlog", COUNT, "511", readers=S, immutable=True),
    Directive("socket-mark-id", Integer(0, UINT_MAX), "0", immutable=True),
    Directive("bind-source-addr", TEXT, ""),
    Directive("protected-mode", YES_NO, "yes", readers=A),
    Directive("tcp-keepalive", COUNT, "300", readers=A),
    Directive("timeout", COUNT, "0", readers=A),
    Directive("maxclients", Integer(1, UINT_MAX), "10000", readers=S | A),
    Directive("requirepass", TEXT, "", readers=A),
    Directive("proto-max-bulk-len", Memory(1 << 20), str(512 << 20), readers=A | W),
    Directive("client-query-buffer-limit", Memory(1 << 20), str(1 << 30), readers=A),
    Directive("client-output-buffer-limit", BufferLimits(),
              "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60", readers=A),
    Directive("maxmemory-clients", MemoryOrPercent(), "0", readers=A),

    # The server as a process
    Directive("daemonize", YES_NO, "no", readers=S, immutable=True),
    Directive("supervised", Choice(("upstart", "systemd", "auto", "no")), "no", readers=S, immutable=True),
    Directive("pidfile", TEXT, "", readers=S, immutable=True),
    Directive("loglevel", Choice(("debug", "verbose", "notice", "warning", "nothing")), "notice", readers=S | A | W),
    Directive("logfile", TEXT, "", readers=S | A | W, immutable=True),
    Directive("syslog-enabled", YES_NO, "no", immutable=True, gap="logging to syslog is not there yet"),
    Directive("syslog-ident", TEXT, "redis", immutable=True),
    Directive("syslog-facility", FACILITIES, "local0", immutable=True),
    Directive("dir", TEXT, "", readers=S, protected=True),
    Directive("databases", Integer(1, DATABASES_MAX), "16", readers=S | A | W, immutable=True),
    Directive("always-show-logo", YES_NO, "no", immutable=True),
    Directive("set-proc-title", YES_NO, "yes", readers=S | A | W, immutable=True),
    Directive("proc-title-template", TEXT, "{title} {listen-addr} {server-mode}"),
    Directive("hz", Clamped(1, 500), "10", readers=A | W),
    Directive("dynamic-hz", YES_NO, "yes"),
    Directive("enable-debug-command", ACTION, "no", readers=A, immutable=True),
    Directive("enable-protected-configs", ACTION, "no", readers=A, immutable=True),
    Directive("enable-module-command", ACTION, "no", readers=A, immutable=True),
    Directive("shutdown-timeout", COUNT, "10"),
    Directive("shutdown-on-sigint", SHUTDOWN_FLAGS, "default", readers=S),
    Directive("shutdown-on-sigterm", SHUTDOWN_FLAGS, "default", readers=S),
    Directive("crash-log-enabled", YES_NO, "yes"),
    Directive("crash-memcheck-enabled", YES_NO, "yes"),
    Directive("use-exit-on-panic", YES_NO, "no", hidden=True),
    Directive("disable-thp", YES_NO, "yes", immutable=True),
    Directive("oom-score-adj", Choice(("no", "yes", "relative", "absolute")), "no"),
    Directive("oom-score-adj-values", OomScores(), "0 200 800"),
    Directive("io-threads", Integer(1, 128), "1", immutable=True),
    Directive("io-threads-do-reads", YES_NO, "no", immutable=True),
    Directive("server_cpulist", TEXT, "", immutable=True),
    Directive("bio_cpulist", TEXT, "", immutable=True),
    Directive("aof_rewrite_cpulist", TEXT, "", immutable=True),
    Directive("bgsave_cpulist", TEXT, "", immutable=True),
    Directive("ignore-warnings", TEXT, ""),
    Directive("locale-collate", TEXT, ""),
    Directive("watchdog-period", COUNT, "0", hidden=True),

    # Memory, expiry, freeing
    Directive("maxmemory", Memory(0, ULONG_MAX), "0", readers=S | A | W),
    Directive("maxmemory-policy", POLICIES, "noeviction", readers=W, gap=NO_EVICTION),
    Directive("maxmemory-samples", POSITIVE, "5"),
    Directive("maxmemory-eviction-tenacity", Integer(0, 100), "10"),
    Directive("active-expire-effort", Integer(1, 10), "1", readers=W),
    Directive("lazyfree-lazy-eviction", YES_NO, "no", readers=W),
    Directive("lazyfree-lazy-expire", YES_NO, "no", readers=W),
    Directive("lazyfree-lazy-server-del", YES_NO, "no", readers=W),
    Directive("lazyfree-lazy-user-del", YES_NO, "no", readers=W),
    Directive("lazyfree-lazy-user-flush", YES_NO, "no", readers=W),
    Directive("activerehashing", YES_NO, "yes"),
    Directive("lfu-log-factor", COUNT, "10", readers=W),
    Directive("lfu-decay-time", COUNT, "1", readers=W),
    Directive("jemalloc-bg-thread", YES_NO, "yes"),
    Directive("activedefrag", YES_NO, "no"),
    Directive("active-defrag-cycle-min", Integer(1, 99), "1"),
    Directive("active-defrag-cycle-max", Integer(1, 99), "25"),
    Directive("active-defrag-threshold-lower", Integer(0, 1000), "10"),
    Directive("active-defrag-threshold-upper", Integer(0, 1000), "100"),
    Directive("active-defrag-max-scan-fields", Integer(1, LONG_MAX), "1000"),
    Directive("active-defrag-ignore-bytes", Memory(1), str(100 << 20)),

    # Encodings
    Directive("list-max-listpack-size", ANY_INT, "-2", "list-max-ziplist-size", W),
    Directive("list-compress-depth", COUNT, "0", readers=W),
    Directive("hash-max-listpack-entries", SIZE, "512", "hash-max-ziplist-entries", W),
    Directive("hash-max-listpack-value", BYTES, "64", "hash-max-ziplist-value", W),
    Directive("set-max-intset-entries", SIZE, "512", readers=W),
    Directive("set-max-listpack-entries", SIZE, "128", readers=W),
    Directive("set-max-listpack-value", SIZE, "64", readers=W),
    Directive("zset-max-listpack-entries", SIZE, "128", "zset-max-ziplist-entries", W),
    Directive("zset-max-listpack-value", BYTES, "64", "zset-max-ziplist-value", W),
    Directive("hll-sparse-max-bytes", BYTES, "3000", readers=W),
    Directive("stream-node-max-bytes", BYTES, "4096", readers=W),
    Directive("stream-node-max-entries", SIZE, "100", readers=W),
    Directive("sanitize-dump-payload", Choice(("no", "yes", "clients")), "no"),

    # What the server tells about itself
    Directive("slowlog-log-slower-than", Integer(-1, LONG_MAX), "10000"),
    Directive("slowlog-max-len", SIZE, "128"),
    Directive("latency-monitor-threshold", SIZE, "0"),
    Directive("latency-tracking", YES_NO, "yes", readers=A),
    Directive("latency-tracking-info-percentiles", Percentiles(), "50 99 99.9", readers=A),
    Directive("notify-keyspace-events", EventClasses(), ""),
    Directive("tracking-table-max-keys", SIZE, "1000000"),
    Directive("busy-reply-threshold", SIZE, "5000", "lua-time-limit"),
    Directive("acllog-max-len", SIZE, "128"),
    Directive("acl-pubsub-default", Choice(("allchannels", "resetchannels")), "resetchannels"),
    Directive("aclfile", TEXT, "", immutable=True, gap="access control lists are not there yet"),

    # Persistence
    Directive("save", SavePoints(), "3600 1 300 100 60 10000"),
    Directive("dbfilename", FileName(), "dump.rdb", protected=True),
    Directive("rdbchecksum", YES_NO, "yes", immutable=True),
    Directive("rdbcompression", YES_NO, "yes"),
    Directive("rdb-del-sync-files", YES_NO, "no"),
    Directive("rdb-save-incremental-fsync", YES_NO, "yes"),
    Directive("rdb-key-save-delay", ANY_INT, "0", hidden=True),
    Directive("key-load-delay", ANY_INT, "0", hidden=True),
    Directive("loading-process-events-interval-bytes", Integer(1024), str(2 << 20), hidden=True),
    Directive("stop-writes-on-bgsave-error", YES_NO, "yes"),
    Directive("appendonly", YES_NO, "no", gap="the append-only file is not there yet"),
    Directive("appendfilename", FileName(), "appendonly.aof", immutable=True),
    Directive("appenddirname", FileName(), "appendonlydir", immutable=True),
    Directive("appendfsync", Choice(("everysec", "always", "no")), "everysec"),
    Directive("no-appendfsync-on-rewrite", YES_NO, "no"),
    Directive("auto-aof-rewrite-percentage", COUNT, "100"),
    Directive("auto-aof-rewrite-min-size", BYTES, str(64 << 20)),
    Directive("aof-load-truncated", YES_NO, "yes"),
    Directive("aof-use-rdb-preamble", YES_NO, "yes"),
    Directive("aof-timestamp-enabled", YES_NO, "no"),
    Directive("aof-rewrite-incremental-fsync", YES_NO, "yes"),
    Directive("aof-disable-auto-gc", YES_NO, "no", hidden=True),

    # Replication
    Directive("replicaof", Primary(), "", "slaveof", immutable=True, gap=NO_REPLICAS),
    Directive("masterauth", TEXT, ""),
    Directive("masteruser", TEXT, ""),
    Directive("replica-serve-stale-data", YES_NO, "yes", "slave-serve-stale-data"),
    Directive("replica-read-only", YES_NO, "yes", "slave-read-only"),
    Directive("replica-lazy-flush", YES_NO, "no", "slave-lazy-flush"),
    Directive("replica-ignore-maxmemory", YES_NO, "yes", "slave-ignore-maxmemory"),
    Directive("replica-ignore-disk-write-errors", YES_NO, "no"),
    Directive("replica-announced", YES_NO, "yes"),
    Directive("replica-announce-ip", TEXT, "", "slave-announce-ip"),
    Directive("replica-announce-port", PORT, "0", "slave-announce-port"),
    Directive("replica-priority", COUNT, "100", "slave-priority"),
    Directive("repl-disable-tcp-nodelay", YES_NO, "no"),
    Directive("repl-diskless-sync", YES_NO, "yes"),
    Directive("repl-diskless-sync-delay", COUNT, "5"),
    Directive("repl-diskless-sync-max-replicas", COUNT, "0"),
    Directive("repl-diskless-load", Choice(("disabled", "on-empty-db", "swapdb")), "disabled"),
    Directive("repl-backlog-size", Memory(1), str(1 << 20)),
    Directive("repl-backlog-ttl", SIZE, "3600"),
    Directive("repl-timeout", POSITIVE, "60"),
    Directive("repl-ping-replica-period", POSITIVE, "10", "repl-ping-slave-period"),
    Directive("min-replicas-to-write", COUNT, "0", "min-slaves-to-write"),
    Directive("min-replicas-max-lag", COUNT, "10", "min-slaves-max-lag"),
    Directive("propagation-error-behavior", Choice(("ignore", "panic", "panic-on-replicas")), "ignore"),

    # Cluster
    Directive("cluster-enabled", YES_NO, "no", immutable=True, gap="cluster mode is not there yet"),
    Directive("cluster-config-file", TEXT, "nodes.conf", immutable=True),
    Directive("cluster-node-timeout", SIZE, "15000"),
    Directive("cluster-ping-interval", SIZE, "0", hidden=True),
    Directive("cluster-port", PORT, "0", immutable=True),
    Directive("cluster-announce-ip", TEXT, ""),
    Directive("cluster-announce-hostname", TEXT, ""),
    Directive("cluster-announce-human-nodename", TEXT, ""),
    Directive("cluster-announce-port", PORT, "0"),
    Directive("cluster-announce-bus-port", PORT, "0"),
    Directive("cluster-announce-tls-port", PORT, "0"),
    Directive("cluster-preferred-endpoint-type", Choice(("ip", "hostname", "unknown-endpoint")), "ip"),
    Directive("cluster-link-sendbuf-limit", Memory(0, ULONG_MAX), "0"),
    Directive("cluster-migration-barrier", COUNT, "1"),
    Directive("cluster-allow-replica-migration", YES_NO, "yes"),
    Directive("cluster-allow-reads-when-down", YES_NO, "no"),
    Directive("cluster-allow-pubsubshard-when-down", YES_NO, "yes"),
    Directive("cluster-require-full-coverage", YES_NO, "yes"),
    Directive("cluster-replica-no-failover", YES_NO, "no", "cluster-slave-no-failover"),
    Directive("cluster-replica-validity-factor", COUNT, "10", "cluster-slave-validity-factor"),

    # TLS
    Directive("tls-port", PORT, "0", gap=NO_TLS),
    Directive("tls-cluster", YES_NO, "no"),
    Directive("tls-replication", YES_NO, "no"),
    Directive("tls-auth-clients", Choice(("no", "yes", "optional")), "yes"),
    Directive("tls-prefer-server-ciphers", YES_NO, "no"),
    Directive("tls-session-caching", YES_NO, "yes"),
    Directive("tls-session-cache-size", COUNT, str(20 << 10)),
    Directive("tls-session-cache-timeout", COUNT, "300"),
    *(
        Directive(f"tls-{name}", TEXT, "")
        for name in (
            "cert-file", "key-file", "key-file-pass", "client-cert-file", "client-key-file", "client-key-file-pass",
            "dh-params-file", "ca-cert-file", "ca-cert-dir", "protocols", "ciphers", "ciphersuites",
        )
    ),

    # Of Redis 8 and Valkey 9
    *(
        replace(directive, hidden=True)
        for directive in (
            Directive("active-defrag-cycle-us", Integer(0, 100_000), "500"),
            Directive("availability-zone", TEXT, ""),
            Directive("client-default-resp", Integer(2, 3), "2", immutable=True, gap="connections begin with RESP2"),
            Directive("cluster-announce-client-ipv4", TEXT, ""),
            Directive("cluster-announce-client-ipv6", TEXT, ""),
            Directive("cluster-announce-client-port", PORT, "0"),
            Directive("cluster-announce-client-tls-port", PORT, "0"),
            Directive("cluster-blacklist-ttl", Integer(0, ULONG_MAX), "60"),
            Directive("cluster-compatibility-sample-ratio", Integer(0, 100), "0"),
            Directive("cluster-config-save-behavior", Choice(("sync", "best-effort")), "sync"),
            Directive("cluster-databases", Integer(1, DATABASES_MAX), "1", immutable=True),
            Directive("cluster-manual-failover-timeout", POSITIVE, "5000"),
            Directive("cluster-slot-migration-log-max-len", SIZE, "1000"),
            Directive("cluster-slot-stats-enabled", YES_NO, "no"),
            Directive("commandlog-large-reply-max-len", SIZE, "128"),
            Directive("commandlog-large-request-max-len", SIZE, "128"),
            Directive("commandlog-reply-larger-than", Integer(-1, LONG_MAX), str(1 << 20)),
            Directive("commandlog-request-larger-than", Integer(-1, LONG_MAX), str(1 << 20)),
            Directive("dual-channel-replication-enabled", YES_NO, "no"),
            Directive("events-per-io-thread", COUNT, "2"),
            Directive("extended-redis-compatibility", YES_NO, "no"),
            Directive("hash-seed", TEXT, "", immutable=True),
            Directive("hide-user-data-from-log", YES_NO, "yes"),
            Directive("import-mode", YES_NO, "no", gap="import mode is not there yet"),
            Directive("log-format", Choice(("legacy", "logfmt", "json")), "legacy", gap=NO_LOG_FORMATS),
            Directive("log-timestamp-format", LOG_TIMESTAMPS, "legacy", gap=NO_LOG_FORMATS),
            Directive("max-new-connections-per-cycle", Integer(1, 1000), "10"),
            Directive("max-new-tls-connections-per-cycle", Integer(1, 1000), "1"),
            Directive("mptcp", YES_NO, "no", immutable=True),
            Directive("prefetch-batch-max-size", Integer(0, 128), "16"),
            Directive("rdb-version-check", Choice(("strict", "relaxed")), "strict"),
            Directive("rdma-bind", Words(), "", immutable=True),
            Directive("rdma-completion-vector", Integer(-1, 1024), "-1", immutable=True),
            Directive("rdma-port", PORT, "0", immutable=True, gap="RDMA is not there yet"),
            Directive("rdma-rx-size", Memory(64 << 10), str(1 << 20), immutable=True),
            Directive("repl-mptcp", YES_NO, "no", immutable=True),
            Directive("replica-full-sync-buffer-limit", Memory(0, ULONG_MAX), "0"),
            Directive("slot-migration-max-failover-repl-bytes", Integer(-1, LONG_MAX), "0"),
            Directive("tls-auth-clients-user", TEXT, "off"),
            Directive("tls-auto-reload-interval", COUNT, "0"),
            Directive("unixsocketgroup", TEXT, "", immutable=True, gap="a group of the unix socket is not there yet"),
            Directive("vset-force-single-threaded-execution", YES_NO, "no"),
        )
    ),
)

BY_NAME = {directive.name: directive for directive in DIRECTIVES}
BY_NAME |= {directive.alias: directive for directive in DIRECTIVES if directive.alias}
LATER_ALIASES = {  # what Redis 8 and Valkey 9 call some of them
    "commandlog-execution-slower-than": "slowlog-log-slower-than",
    "commandlog-slow-execution-max-len": "slowlog-max-len",
    "primaryauth": "masterauth",
    "primaryuser": "masteruser",
    **{name.replace("_", "-"): name for name in BY_NAME if name.endswith("_cpulist")},
}
BY_NAME |= {alias: BY_NAME[name] for alias, name in LATER_ALIASES.items()}

# Settings of the modules that Redis 8 comes with have no dot in their names.
MODULE_PREFIXES = ("bf-", "cf-", "search-", "ts-")

# Lines of a configuration file that are no settings: how many arguments, and what to tell the user.
STATEMENTS = {
    "loadmodule": (1, LONG_MAX, NO_MODULES),
    "user": (1, LONG_MAX, "access control lists are not there yet: the line is ignored"),
    "rename-command": (2, 2, "commands cannot be renamed yet: the line is ignored"),
    "list-max-ziplist-entries": (1, 1, ""),
    "list-max-ziplist-value": (1, 1, ""),
    "lua-replicate-commands": (1, 1, ""),
}
