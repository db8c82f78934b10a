"""INFO's sections on state. Each function yields lines `field:value`, with Redis's names in Redis's order.

Features that are not there (replicas, the append-only file, …) show what Redis shows while they are not in use.
"""
from __future__ import annotations

import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from shardkv import REDIS_VERSION, __version__
from shardkv.acceptor.local.facts import gather_memory, human

if TYPE_CHECKING:
    from shardkv.acceptor.registry import Host

LRU_CLOCK_MASK = (1 << 24) - 1
BUSY_MS = 200  # since a worker's loop turned last; an idle one turns ten times a second


@dataclass(frozen=True)
class Facts:
    """What a section may draw on: the server, all its counters summed, and its errors by code."""

    server: Host
    counters: Counter[str]
    errors: Counter[str]


def server(facts: Facts) -> Iterator[str]:
    settings = facts.server.settings
    now = time.time_ns() // 1000
    uptime = max(0, now // 1000 - facts.server.page.started_ms) // 1000
    system = os.uname()
    yield f"redis_version:{REDIS_VERSION}"
    yield f"shardkv_version:{__version__}"
    yield "redis_git_sha1:00000000"
    yield "redis_git_dirty:0"
    yield "redis_build_id:0"
    yield "redis_mode:standalone"
    yield f"os:{system.sysname} {system.release} {system.machine}"
    yield f"arch_bits:{64 if sys.maxsize > 1 << 32 else 32}"
    yield "monotonic_clock:POSIX clock_gettime"
    yield "multiplexing_api:epoll"
    yield "atomicvar_api:c11-builtin"
    yield "gcc_version:0.0.0"
    yield f"process_id:{os.getppid()}"
    yield f"process_supervised:{'systemd' if 'NOTIFY_SOCKET' in os.environ else 'no'}"
    yield f"run_id:{facts.server.run_id}"
    yield f"tcp_port:{settings.get('port')}"
    yield f"server_time_usec:{now}"
    yield f"uptime_in_seconds:{uptime}"
    yield f"uptime_in_days:{uptime // 86400}"
    yield f"hz:{settings.get('hz')}"
    yield f"configured_hz:{settings.get('hz')}"
    yield f"lru_clock:{now // 1_000_000 & LRU_CLOCK_MASK}"
    yield f"executable:{sys.executable}"
    yield f"config_file:{facts.server.config_file}"
    yield "io_threads_active:0"
    yield from _listeners(facts)


def _listeners(facts: Facts) -> Iterator[str]:
    settings = facts.server.settings
    listeners = []
    if settings.number("port"):
        addresses = "".join(f",bind={address}" for address in settings.words("bind") or ["*"])
        listeners.append(f"name=tcp{addresses},port={settings.get('port')}")
    if settings.get("unixsocket"):
        listeners.append(f"name=unix,bind={settings.get('unixsocket')}")
    for number, text in enumerate(listeners):
        yield f"listener{number}:{text}"


def clients(facts: Facts) -> Iterator[str]:
    page = facts.server.page
    acceptors = [page.acceptor_counters(index) for index in range(page.acceptors)]
    yield f"connected_clients:{facts.counters['connected_clients']}"
    yield "cluster_connections:0"
    yield f"maxclients:{facts.server.settings.get('maxclients')}"
    yield f"client_recent_max_input_buffer:{max(block['largest_input'] for block in acceptors)}"
    yield f"client_recent_max_output_buffer:{max(block['largest_output'] for block in acceptors)}"
    yield f"blocked_clients:{facts.counters['blocked_clients']}"
    yield "tracking_clients:0"
    yield f"watching_clients:{facts.counters['watching_clients']}"
    yield f"clients_in_timeout_table:{facts.counters['clients_in_timeout_table']}"
    yield f"total_watched_keys:{facts.counters['watched_keys']}"
    yield f"total_blocking_keys:{facts.counters['blocking_keys']}"
    yield f"total_blocking_keys_on_nokey:{facts.counters['blocking_keys_on_nokey']}"


def memory(facts: Facts) -> Iterator[str]:
    page, settings = facts.server.page, facts.server.settings
    found = gather_memory(page)
    system = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    yield f"used_memory:{found.used}"
    yield f"used_memory_human:{human(found.used)}"
    yield f"used_memory_rss:{found.rss}"
    yield f"used_memory_rss_human:{human(found.rss)}"
    yield f"used_memory_peak:{found.peak}"
    yield f"used_memory_peak_human:{human(found.peak)}"
    yield f"used_memory_peak_perc:{100 * found.peak_share:.2f}%"
    yield "used_memory_overhead:0"
    yield "used_memory_startup:0"
    yield f"used_memory_dataset:{found.used}"
    yield f"used_memory_dataset_perc:{100 if found.used else 0:.2f}%"
    yield f"allocator_allocated:{found.used}"
    yield f"allocator_active:{found.arenas}"
    yield f"allocator_resident:{found.arenas}"
    yield f"total_system_memory:{system}"
    yield f"total_system_memory_human:{human(system)}"
    yield from _NO_SCRIPTS
    yield f"maxmemory:{page.maxmemory}"
    yield f"maxmemory_human:{human(page.maxmemory)}"
    yield f"maxmemory_policy:{settings.get('maxmemory-policy')}"
    yield f"allocator_frag_ratio:{found.arena_ratio:.2f}"
    yield f"allocator_frag_bytes:{found.arenas - found.used}"
    yield "allocator_rss_ratio:1.00"
    yield "allocator_rss_bytes:0"
    yield f"rss_overhead_ratio:{found.rss_ratio:.2f}"
    yield f"rss_overhead_bytes:{found.rss - found.arenas}"
    yield f"mem_fragmentation_ratio:{found.fragmentation:.2f}"
    yield f"mem_fragmentation_bytes:{found.arenas - found.used}"
    yield "mem_not_counted_for_evict:0"
    yield "mem_replication_backlog:0"
    yield "mem_total_replication_buffers:0"
    yield "mem_clients_slaves:0"
    yield f"mem_clients_normal:{found.clients}"
    yield "mem_cluster_links:0"
    yield "mem_aof_buffer:0"
    yield "mem_allocator:arena"
    yield "active_defrag_running:0"
    yield f"lazyfree_pending_objects:{facts.counters['lazyfree_pending']}"
    yield f"lazyfreed_objects:{facts.counters['lazyfreed_objects']}"


_NO_SCRIPTS = (
    "used_memory_lua:0",
    "used_memory_vm_eval:0",
    "used_memory_lua_human:0B",
    "used_memory_scripts_eval:0",
    "number_of_cached_scripts:0",
    "number_of_functions:0",
    "number_of_libraries:0",
    "used_memory_vm_functions:0",
    "used_memory_vm_total:0",
    "used_memory_vm_total_human:0B",
    "used_memory_functions:0",
    "used_memory_scripts:0",
    "used_memory_scripts_human:0B",
)


def persistence(facts: Facts) -> Iterator[str]:
    yield f"loading:{int(facts.server.loading)}"
    yield "async_loading:0"
    yield "current_cow_peak:0"
    yield "current_cow_size:0"
    yield "current_cow_size_age:0"
    yield "current_fork_perc:0.00"
    yield "current_save_keys_processed:0"
    yield "current_save_keys_total:0"
    yield f"rdb_changes_since_last_save:{facts.counters['changes']}"
    yield "rdb_bgsave_in_progress:0"
    yield f"rdb_last_save_time:{facts.server.page.started_ms // 1000}"
    yield "rdb_last_bgsave_status:ok"
    yield "rdb_last_bgsave_time_sec:-1"
    yield "rdb_current_bgsave_time_sec:-1"
    yield "rdb_saves:0"
    yield "rdb_last_cow_size:0"
    yield "rdb_last_load_keys_expired:0"
    yield "rdb_last_load_keys_loaded:0"
    yield "aof_enabled:0"
    yield "aof_rewrite_in_progress:0"
    yield "aof_rewrite_scheduled:0"
    yield "aof_last_rewrite_time_sec:-1"
    yield "aof_current_rewrite_time_sec:-1"
    yield "aof_last_bgrewrite_status:ok"
    yield "aof_rewrites:0"
    yield "aof_rewrites_consecutive_failures:0"
    yield "aof_last_write_status:ok"
    yield "aof_last_cow_size:0"
    yield "module_fork_in_progress:0"
    yield "module_fork_last_cow_size:0"


def replication(facts: Facts) -> Iterator[str]:
    yield "role:master"
    yield "connected_slaves:0"
    yield "master_failover_state:no-failover"
    yield f"master_replid:{facts.server.run_id}"
    yield f"master_replid2:{'0' * 40}"
    yield "master_repl_offset:0"
    yield "second_repl_offset:-1"
    yield "repl_backlog_active:0"
    yield f"repl_backlog_size:{facts.server.settings.get('repl-backlog-size')}"
    yield "repl_backlog_first_byte_offset:0"
    yield "repl_backlog_histlen:0"


def cpu(facts: Facts) -> Iterator[str]:
    """Acceptors and workers together; `main_thread` is this acceptor."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    yield f"used_cpu_sys:{facts.counters['cpu_sys_us'] / 1e6:.6f}"
    yield f"used_cpu_user:{facts.counters['cpu_user_us'] / 1e6:.6f}"
    yield f"used_cpu_sys_children:{children.ru_stime:.6f}"
    yield f"used_cpu_user_children:{children.ru_utime:.6f}"
    yield f"used_cpu_sys_main_thread:{own.ru_stime:.6f}"
    yield f"used_cpu_user_main_thread:{own.ru_utime:.6f}"


def modules(facts: Facts) -> Iterator[str]:
    yield from ()


def cluster(facts: Facts) -> Iterator[str]:
    yield "cluster_enabled:0"


def keyspace(facts: Facts) -> Iterator[str]:
    for number, (keys, expires, ttl) in enumerate(facts.server.page.database_counts()):
        if keys:
            yield f"db{number}:keys={keys},expires={expires},avg_ttl={ttl}"


def shards(facts: Facts) -> Iterator[str]:
    """A line for each worker: shardkv's own section.

    `subexpiry` are hashes with expiring fields; `busy_ms` is how long a worker has been at one thing, when that
    is long; `paused_work` is of its own work what has killed it too often.
    """
    page = facts.server.page
    now = time.time_ns() // 1_000_000
    for number in range(page.workers):
        shard = page.worker_counters(number)
        fields = ",".join(f"{name}={shard[name]}" for name in ("pid", "keys", "used_memory", "restarts", "subexpiry"))
        turned = page.turned_ms(number)
        busy = now - turned if turned else 0
        paused = "+".join(name for bit, name in enumerate(("freeing", "expiry")) if shard["paused_work"] >> bit & 1)
        yield f"shard{number}:{fields},busy_ms={busy if busy > BUSY_MS else 0},paused_work={paused or 'none'}"
