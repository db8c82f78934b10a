"""A request whose segment its worker cannot open: an error that says why, and no file that stays."""
from __future__ import annotations

import resource
from collections.abc import Callable

from shardkv.errors import NO_DESCRIPTORS
from tests.harness import Server, wait_until
from tests.wire import Wire

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
