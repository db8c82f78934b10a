"""Requests that cannot be taken or replied to, and a worker that never blocks."""
from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from pathlib import Path

from shardkv.commands.table import command_id
from shardkv.errors import ARENA_FULL, NO_DESCRIPTORS
from tests.harness import Server, wait_until
from tests.wire import Wire
from tests.workers.test_loop import instance

VALUE = b"x" * (1 << 20)  # travels in a segment


def test_a_worker_without_descriptors_refuses_long_requests(make_server: Callable[..., Server]) -> None:
    server = make_server("--workers", "1")
    worker = server.worker_pids()[0]
    before = resource.prlimit(worker, resource.RLIMIT_NOFILE)
    with Wire(server.port) as wire:
        assert wire.ask("set", "key", VALUE) == "+OK"
        resource.prlimit(worker, resource.RLIMIT_NOFILE, (0, before[1]))
        assert wire.ask("set", "key", "short") == "+OK"
        assert wire.ask("set", "key", VALUE) == f"-{NO_DESCRIPTORS}"
        wait_until(lambda: not list(server.data_folder.glob("seg-*")), "the refused request's segment to go")
        resource.prlimit(worker, resource.RLIMIT_NOFILE, before)
        assert wire.ask("set", "key", VALUE) == "+OK"
        assert wire.ask("strlen", "key") == len(VALUE)
    assert server.worker_pids() == [worker]
    assert "Traceback" not in server.output()


def test_what_is_undone_because_its_reply_has_no_room_counts_as_a_failed_call(tmp_path: Path) -> None:
    with instance(tmp_path) as made:
        for _ in range(3):
            made.send((b"append", b"{k}long", b"x" * 100_000))
        made.settle(3)
        made.file_limit = 65536
        made.start_over()
        made.send((b"getdel", b"{k}long"))
        made.settle(4)
        assert made.replies[3] == (3, b"-%b\r\n" % ARENA_FULL.encode())
        assert made.page.worker_counters(0)["changes"] == 3
        calls, _, _, failed, _ = made.page.command_stats()[command_id("getdel")]
        assert (calls, failed) == (1, 1)


def test_a_worker_that_never_blocks_stops_when_told(tmp_path: Path) -> None:
    with instance(tmp_path) as made:
        made.page.publish_settings(b'{"busy-poll-us": "1000000"}')
        made.send((b"@settings",))
        for number in range(200):  # it is woken again and again, so that looking seems to pay
            made.send((b"incr", b"{k}n"))
            made.settle(number + 2)
        made.channel.stop()
        made.send((b"incr", b"{k}n"))
        until = time.monotonic() + 20.0
        while os.waitpid(made.pid, os.WNOHANG)[0] == 0:
            assert time.monotonic() < until, "the worker goes on"
            if made.acceptor.replies():
                made.send((b"incr", b"{k}n"))
        made._start(0)
