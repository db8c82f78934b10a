"""INFO's sections on what has happened: counts, commands, errors, latencies. sections.py has those on state."""
from __future__ import annotations

import math
from collections.abc import Iterator

from shardkv.acceptor.local.facts import Rates
from shardkv.acceptor.local.sections import Facts
from shardkv.commands import table

rates = Rates()


def stats(facts: Facts) -> Iterator[str]:
    counters = facts.counters
    rates.sample(facts.server.page)
    yield f"total_connections_received:{counters['connections_received']}"
    yield f"total_commands_processed:{counters['commands_processed']}"
    yield f"instantaneous_ops_per_sec:{rates.per_second('commands_processed'):.0f}"
    yield f"total_net_input_bytes:{counters['net_input_bytes']}"
    yield f"total_net_output_bytes:{counters['net_output_bytes']}"
    yield "total_net_repl_input_bytes:0"
    yield "total_net_repl_output_bytes:0"
    yield f"instantaneous_input_kbps:{rates.per_second('net_input_bytes') / 1024:.2f}"
    yield f"instantaneous_output_kbps:{rates.per_second('net_output_bytes') / 1024:.2f}"
    yield "instantaneous_input_repl_kbps:0.00"
    yield "instantaneous_output_repl_kbps:0.00"
    yield f"client_query_buffer_limit_disconnections:{counters['query_buffer_disconnects']}"
    yield f"client_output_buffer_limit_disconnections:{counters['output_buffer_disconnects']}"
    yield f"rejected_connections:{counters['rejected_connections']}"
    yield "sync_full:0"
    yield "sync_partial_ok:0"
    yield "sync_partial_err:0"
    yield f"expired_subkeys:{counters['expired_subkeys']}"
    yield f"expired_keys:{counters['expired_keys']}"
    yield f"expired_stale_perc:{counters['expired_stale_perc'] / facts.server.workers:.2f}"
    yield f"expired_time_cap_reached_count:{counters['expire_cycles_cut']}"
    yield f"expire_cycle_cpu_milliseconds:{counters['active_expire_us'] // 1000}"
    yield f"evicted_keys:{counters['evicted_keys']}"
    yield "evicted_clients:0"
    yield "total_eviction_exceeded_time:0"
    yield "current_eviction_exceeded_time:0"
    yield f"keyspace_hits:{counters['keyspace_hits']}"
    yield f"keyspace_misses:{counters['keyspace_misses']}"
    yield from _NOT_IN_USE
    yield f"total_error_replies:{counters['error_replies']}"
    yield f"leased_requests:{counters['leased_requests']}"
    yield f"leased_requests_sent_again:{counters['requests_again']}"
    yield from _AFTER_ERRORS


_NOT_IN_USE = (
    "pubsub_channels:0",
    "pubsub_patterns:0",
    "pubsubshard_channels:0",
    "latest_fork_usec:0",
    "total_forks:0",
    "migrate_cached_sockets:0",
    "slave_expires_tracked_keys:0",
    "active_defrag_hits:0",
    "active_defrag_misses:0",
    "active_defrag_key_hits:0",
    "active_defrag_key_misses:0",
    "total_active_defrag_time:0",
    "current_active_defrag_time:0",
    "tracking_total_keys:0",
    "tracking_total_items:0",
    "tracking_total_prefixes:0",
    "unexpected_error_replies:0",
)
_AFTER_ERRORS = (
    "dump_payload_sanitizations:0",
    "total_reads_processed:0",
    "total_writes_processed:0",
    "io_threaded_reads_processed:0",
    "io_threaded_writes_processed:0",
    "reply_buffer_shrinks:0",
    "reply_buffer_expands:0",
    "eventloop_cycles:0",
    "eventloop_duration_sum:0",
    "eventloop_duration_cmd_sum:0",
    "instantaneous_eventloop_cycles_per_sec:0",
    "instantaneous_eventloop_duration_usec:0",
    "acl_access_denied_auth:0",
    "acl_access_denied_cmd:0",
    "acl_access_denied_key:0",
    "acl_access_denied_channel:0",
)


def commandstats(facts: Facts) -> Iterator[str]:
    for command, (calls, nanoseconds, rejected, failed, _) in _commands(facts):
        microseconds = nanoseconds // 1000
        yield (
            f"cmdstat_{command}:calls={calls},usec={microseconds},usec_per_call={microseconds / max(1, calls):.2f},"
            f"rejected_calls={rejected},failed_calls={failed}"
        )


def errorstats(facts: Facts) -> Iterator[str]:
    for code in sorted(facts.errors):
        yield f"errorstat_{code}:count={facts.errors[code]}"


def latencystats(facts: Facts) -> Iterator[str]:
    settings = facts.server.settings
    if not settings.enabled("latency-tracking"):
        return
    wanted = [(text, float(text)) for text in settings.words("latency-tracking-info-percentiles")]
    for command, (calls, _, _, _, histogram) in _commands(facts):
        if calls:
            points = (f"p{text}={_percentile(facts, histogram, percent):.3f}" for text, percent in wanted)
            yield f"latency_percentiles_usec_{command}:{','.join(points)}"


Numbers = tuple[int, int, int, int, list[int]]  # calls, nanoseconds, rejected, failed, histogram


def _commands(facts: Facts) -> Iterator[tuple[str, Numbers]]:
    # Commands that were ever called.
    for command, numbers in zip(table.COMMANDS, facts.server.page.command_stats(), strict=False):
        if any(numbers[:4]):
            yield command.name, numbers


def _percentile(facts: Facts, histogram: list[int], percent: float) -> float:
    # Microseconds: the end of the bucket in which that part of the calls is reached.
    needed = max(1, math.ceil(sum(histogram) * percent / 100))
    seen = 0
    for bucket, count in enumerate(histogram):
        seen += count
        if seen >= needed:
            return float(facts.server.page.bucket_floor_ns(bucket + 1)) / 1000
    return 0.0
