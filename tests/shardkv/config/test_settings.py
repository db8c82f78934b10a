"""Settings: loading, CONFIG GET and SET with Redis's texts, and agreement with a real server where there is one."""
from __future__ import annotations

from typing import Any

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from shardkv.config import ConfigError, ConfigFileError, Settings, parse_command_line
from shardkv.config.directives import BY_NAME, DIRECTIVES, LATER_ALIASES, NO_EVICTION
from shardkv.config.kinds import format_memory, parse_memory
from shardkv.config.parser import parse_text

# Directives whose default is ours on purpose, or that 7.0 does not have.
OWN_DEFAULTS = {"bind", "dir", "port", "save"}
NEWER = {"set-max-listpack-entries", "set-max-listpack-value", "locale-collate", "cluster-announce-human-nodename"}
OURS = {"workers", "acceptors", "arena-dir", "busy-poll-us", "allow-missing-arenas"}
HIDDEN_SINCE = {"aof-disable-auto-gc"}
FAILED = "CONFIG SET failed (possibly related to argument"


# What redis-server 8.2 and valkey-server 9.1 have in CONFIG GET beside that of 7.0, with the values they start with.
LATER = """
active-defrag-cycle-us 500
aof-rewrite-cpulist ""
availability-zone ""
bgsave-cpulist ""
bio-cpulist ""
cluster-announce-client-ipv4 ""
cluster-announce-client-ipv6 ""
cluster-announce-client-port 0
cluster-announce-client-tls-port 0
cluster-announce-human-nodename ""
cluster-blacklist-ttl 60
cluster-compatibility-sample-ratio 0
cluster-config-save-behavior sync
cluster-databases 1
cluster-manual-failover-timeout 5000
cluster-slot-migration-log-max-len 1000
cluster-slot-stats-enabled no
commandlog-execution-slower-than 10000
commandlog-large-reply-max-len 128
commandlog-large-request-max-len 128
commandlog-reply-larger-than 1048576
commandlog-request-larger-than 1048576
commandlog-slow-execution-max-len 128
dual-channel-replication-enabled no
extended-redis-compatibility no
hash-seed ""
hide-user-data-from-log yes
import-mode no
locale-collate ""
log-format legacy
log-timestamp-format legacy
max-new-connections-per-cycle 10
max-new-tls-connections-per-cycle 1
mptcp no
prefetch-batch-max-size 16
primaryauth ""
primaryuser ""
rdb-version-check strict
rdma-bind ""
rdma-completion-vector -1
rdma-port 0
rdma-rx-size 1048576
repl-mptcp no
replica-full-sync-buffer-limit 0
server-cpulist ""
set-max-listpack-entries 128
set-max-listpack-value 64
slot-migration-max-failover-repl-bytes 0
tls-auth-clients-user off
tls-auto-reload-interval 0
unixsocketgroup ""
vset-force-single-threaded-execution no
"""


def load(text: str) -> tuple[Settings, list[str]]:
    found = Settings("/base")
    return found, found.load(parse_text(text, "redis.conf"))


def test_defaults_are_canonical() -> None:
    fresh = Settings("/base")
    for directive in DIRECTIVES:
        text = fresh.get(directive.name)
        arguments = text.split() if directive.kind.multiple and text else [text]
        if directive.name != "replicaof":
            assert directive.kind.parse(arguments, text) == text
        fresh.value(directive.name)


@pytest.mark.parametrize(
    ("line", "name", "text", "value"),
    [
        ("maxmemory 2gb", "maxmemory", "2147483648", 2 << 30),
        ("maxmemory 1K", "maxmemory", "1000", 1000),
        ("maxmemory 100", "maxmemory", "100", 100),
        ("maxmemory 5b", "maxmemory", "5", 5),
        ("maxmemory-clients 5%", "maxmemory-clients", "5%", -5),
        ("maxmemory-clients 1mb", "maxmemory-clients", "1048576", 1 << 20),
        ("daemonize YES", "daemonize", "yes", True),
        ("unixsocketperm 0770", "unixsocketperm", "770", 0o770),
        ("bind * -::*", "bind", "* -::*", ["*", "-::*"]),
        ('bind "127.0.0.1 ::1"', "bind", "127.0.0.1 ::1", ["127.0.0.1", "::1"]),
        ('bind ""', "bind", "", []),
        ("save 60 1\nsave 10 2", "save", "60 1 10 2", [(60, 1), (10, 2)]),
        ('save 60 1\nsave ""', "save", "", []),
        ("save 60 1 30 2", "save", "60 1 30 2", [(60, 1), (30, 2)]),
        ("workers auto", "workers", "auto", 0),
        ("workers 4", "workers", "4", 4),
        ("hz 0", "hz", "1", 1),
        ("hz 5000", "hz", "500", 500),
        ("lua-time-limit 1", "busy-reply-threshold", "1", 1),
        ("notify-keyspace-events KEA", "notify-keyspace-events", "AKE", "AKE"),
        ("notify-keyspace-events Elg", "notify-keyspace-events", "glE", "glE"),
        ("shutdown-on-sigterm nosave now", "shutdown-on-sigterm", "nosave now", ["nosave", "now"]),
        ("latency-tracking-info-percentiles 50 99.90", "latency-tracking-info-percentiles", "50 99.9", [50.0, 99.9]),
        ("oom-score-adj-values 1 2 3", "oom-score-adj-values", "1 2 3", [1, 2, 3]),
        ("dir sub/folder", "dir", "/base/sub/folder", "/base/sub/folder"),
        ("list-max-ziplist-size -1", "list-max-listpack-size", "-1", -1),
        ("REQUIREPASS Secret", "requirepass", "Secret", "Secret"),
    ],
)
def test_loaded_values(line: str, name: str, text: str, value: Any) -> None:
    found, warnings = load(line)
    assert warnings == []
    assert (found.get(name), found.value(name)) == (text, value)


def test_output_buffer_limits_change_only_named_classes() -> None:
    found, _ = load("client-output-buffer-limit replica 1mb 1k 5\nclient-output-buffer-limit normal 1 2 3")
    assert found.get("client-output-buffer-limit") == "normal 1 2 3 slave 1048576 1000 5 pubsub 33554432 8388608 60"
    limits = found.value("client-output-buffer-limit")
    assert isinstance(limits, dict) and limits["slave"] == (1048576, 1000, 5)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("no-such-thing 1", "unknown directive"),
        ("port", "wrong number of arguments"),
        ("port 1 2", "wrong number of arguments"),
        ("port x", "argument couldn't be parsed into an integer"),
        ("port 65536", "argument must be between 0 and 65535 inclusive"),
        ("databases 65537", "argument must be between 1 and 65536 inclusive"),
        ("port 01", "couldn't be parsed"),
        ("maxmemory 1tb", "argument must be a memory value"),
        ("maxmemory -1", "argument must be a memory value"),
        ("maxmemory-clients 101%", "percentage argument must be less or equal to 100"),
        ("maxmemory-clients x", "argument must be a memory or percent value"),
        ("daemonize maybe", "argument must be 'yes' or 'no'"),
        ("loglevel loud", "argument\\(s\\) must be one of the following: debug, verbose, notice, warning, nothing"),
        ("unixsocketperm 888", "octal"),
        ("unixsocketperm 1777", "between 0 and 777"),
        ("workers 0", "'auto' or between 1 and"),
        ("acceptors 64", "'auto' or between 1 and 61"),
        ("save 1", "Invalid save parameters"),
        ("save 0 1", "Invalid save parameters"),
        ("client-output-buffer-limit normal 1 2", "Wrong number of arguments in buffer limit configuration."),
        ("client-output-buffer-limit other 1 2 3", "Invalid client class"),
        ("client-output-buffer-limit normal x 2 3", "Error in hard, soft or soft_seconds"),
        ("oom-score-adj-values 1 2", "wrong number of arguments"),
        ("oom-score-adj-values 1 2 3000", "between -2000 and 2000"),
        ("notify-keyspace-events Q", "Invalid event class character"),
        ("latency-tracking-info-percentiles 101", "should sit between"),
        ("latency-tracking-info-percentiles nan", "Invalid latency-tracking-info-percentiles parameters"),
        ("replicaof a", "wrong number of arguments"),
        ("replicaof a 99999", "Invalid master port"),
        ("dbfilename a/b", "just a filename"),
        ("bind " + "a " * 17, "Too many bind addresses"),
        ('dir "a', "Unbalanced quotes"),
        ('logfile "\\x00"', "zero byte"),
        ("rename-command a", "wrong number of arguments"),
    ],
)
def test_errors_are_one_line_with_file_and_number(line: str, reason: str) -> None:
    with pytest.raises(ConfigFileError, match=reason) as caught:
        load(f"# first\n{line}\n")
    assert str(caught.value).startswith("redis.conf, line 2: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("line", "name", "stays"),
    [
        ("maxmemory-policy allkeys-lru", "maxmemory-policy", "noeviction"),
        ("appendonly yes", "appendonly", "no"),
        ("replicaof 10.0.0.1 6379", "replicaof", ""),
        ("slaveof 10.0.0.1 6379", "replicaof", ""),
        ("cluster-enabled yes", "cluster-enabled", "no"),
        ("tls-port 6380", "tls-port", "0"),
        ("log-format json", "log-format", "legacy"),
        ("unixsocketgroup redis", "unixsocketgroup", ""),
    ],
)
def test_features_to_come_are_warned_of(line: str, name: str, stays: str) -> None:
    found, warnings = load(line)
    assert len(warnings) == 1 and "not there yet" in warnings[0]
    assert found.get(name) == stays


def test_files_of_later_servers_load() -> None:
    found, warnings = load(LATER)
    assert warnings == []
    shown = found.match("*")
    for name, value in (line.split(" ", 1) for line in LATER.strip().splitlines()):
        assert name in NEWER or name not in shown
        assert found.match(name) == {name: value.strip('"')}
    assert load("primaryauth x")[0].get("masterauth") == "x"
    assert load("server-cpulist 0-3")[0].get("server_cpulist") == "0-3"


@pytest.mark.parametrize(
    "line", ["loadmodule /x.so", "user default on", "rename-command GET x", "module.option 5", "search-timeout 500"]
)
def test_lines_that_are_no_settings_are_warned_of(line: str) -> None:
    assert len(load(line)[1]) == 1


def test_command_line_save_replaces_the_files() -> None:
    found, _ = load("save 60 1")
    found.load(parse_command_line(["--save", "5", "6"]).overrides)
    assert found.get("save") == "5 6"


# -- CONFIG GET and SET


def test_match() -> None:
    found = Settings("/base")
    assert found.match("MaxMemory") == {"maxmemory": "0"}
    assert found.match("nothing-like-it") == {}
    assert set(found.match("set-max-*-entries")) == {"set-max-intset-entries", "set-max-listpack-entries"}
    assert found.match("slave-priorit?") == {"slave-priority": "100"}
    assert found.match("watchdog-period") == {"watchdog-period": "0"}
    assert found.match("watchdog-perio*") == {}
    visible = {name for name, directive in BY_NAME.items() if not directive.hidden} - set(LATER_ALIASES)
    assert set(found.match("*")) == visible


def test_set_is_all_or_nothing() -> None:
    found = Settings("/base")
    with pytest.raises(ConfigError):
        found.set({"timeout": "5", "maxclients": "0"})
    assert found.get("timeout") == "0"
    found.set({"TIMEOUT": "5", "maxmemory": "1mb"})
    assert (found.number("timeout"), found.number("maxmemory")) == (5, 1 << 20)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"nope": "1"}, "Unknown option or number of arguments for CONFIG SET - 'nope'"),
        ({"port": "1"}, f"{FAILED} 'port') - can't set immutable config"),
        ({"dir": "/"}, f"{FAILED} 'dir') - can't set protected config"),
        ({"timeout": "1", "Timeout": "2"}, f"{FAILED} 'Timeout') - duplicate parameter"),
        ({"maxclients": "0"}, f"{FAILED} 'maxclients') - argument must be between 1 and 4294967295 inclusive"),
        ({"maxmemory-policy": "volatile-ttl"}, f"{FAILED} 'maxmemory-policy') - {NO_EVICTION}"),
        ({"save": "1  2"}, f"{FAILED} 'save') - Invalid save parameters"),
    ],
)
def test_set_errors(changes: dict[str, str], text: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings("/base").set(changes)
    assert caught.value.text == f"ERR {text}"


def test_protected_directives() -> None:
    found, _ = load("enable-protected-configs local")
    with pytest.raises(ConfigError, match="can't set protected config"):
        found.set({"dbfilename": "x"})
    found.set({"dbfilename": "x", "dir": "/tmp"}, local=True)
    assert found.get("dir") == "/tmp"
    with pytest.raises(ConfigError, match="No such file or directory"):
        found.set({"dir": "/no/such/folder"}, local=True)


def test_callbacks_and_wire() -> None:
    found = Settings("/base")
    told: list[str] = []
    found.on_change("lua-time-limit", told.append)
    found.set({"busy-reply-threshold": "7"})
    found.set({"lua-time-limit": "7"})
    assert told == ["7"]
    copy = Settings.from_wire(found.to_wire() | {"from-the-future": "1"})
    assert copy.to_wire() == found.to_wire()


# -- against the real one


def test_defaults_agree_with_redis(oracle: redis.Redis) -> None:
    theirs = {str(name): text for name, text in oracle.config_get("*").items()}
    ours = Settings("/base").match("*")
    assert set(theirs) - set(ours) - HIDDEN_SINCE == set()
    assert set(ours) - set(theirs) - NEWER - OURS == set()
    skipped = OWN_DEFAULTS | NEWER | OURS | {"enable-debug-command"}
    assert {n: t for n, t in ours.items() if n not in skipped and t != theirs.get(n)} == {}


SETTABLE = [
    ("maxmemory", ["1k", "1KB", "2GB", "x", "-1", "", "12b", "1.5mb", " 1"]),
    ("maxmemory-clients", ["0", "5%", "101%", "-5%", "1mb", "%"]),
    ("timeout", ["0", "01", "+1", "-1", "1 ", "2147483647", "2147483648", "99999999999999999999"]),
    ("maxclients", ["0", "-1", "4294967296"]),
    ("loglevel", ["DEBUG", "loud", ""]),
    ("save", ["", "1 2", "1", "0 1", "1 -1", "a b", "1 2 3 4"]),
    ("client-output-buffer-limit", ["normal 1 2 3", "replica 1kb 1k 1", "x 1 2 3", "normal 1 2", "master 1 2 3", ""]),
    ("notify-keyspace-events", ["KEA", "g$", "Q", "", "Kn"]),
    ("latency-tracking-info-percentiles", ["", "50", "50 99.95", "101", "x"]),
    ("oom-score-adj-values", ["1 2 3", "1 2", "0 0 5000"]),
    ("shutdown-on-sigterm", ["nosave now", "default", "x", "save force"]),
    ("active-expire-effort", ["0", "10", "11"]),
    ("no-such-directive", ["1"]),
    ("databases", ["4"]),
    ("dir", ["/"]),
    ("lua-time-limit", ["5"]),
]


@pytest.mark.parametrize(("name", "values"), SETTABLE)
def test_set_agrees_with_redis(oracle: redis.Redis, name: str, values: list[str]) -> None:
    for value in values:
        found = Settings("/base")
        before = oracle.config_get(name)
        try:
            theirs = str(oracle.execute_command("CONFIG SET", name, value))
        except redis.ResponseError as error:
            theirs = str(error)
        try:
            found.set({name: value})
            ours = "OK"
        except ConfigError as error:
            ours = error.text.removeprefix("ERR ")
        # 7.2 knows one more level.
        assert ours.replace(", nothing", "") == theirs.replace("b'OK'", "OK").replace("True", "OK"), value
        if ours == "OK":
            assert oracle.config_get(name) == found.match(name), value
            oracle.config_set(name, next(iter(before.values())))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, (1 << 63) - 1))
def test_memory_texts_read_back(size: int) -> None:
    assert parse_memory(format_memory(size)) == size
