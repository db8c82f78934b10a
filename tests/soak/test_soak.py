"""A short run of the soak."""
from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.harness import Server
from tests.soak.run import soak

SECONDS = 4.0


@pytest.mark.parametrize(("acceptors", "delays"), [(1, False), (3, False), (3, True)])
def test_nothing_is_lost_doubled_or_out_of_order(
    make_server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch, acceptors: int, delays: bool
) -> None:
    monkeypatch.setenv("SHARDKV_TEST_DELAYS", "5" if delays else "0")
    server = make_server("--workers", "3", "--acceptors", str(acceptors))
    report = soak(server, SECONDS, seed=acceptors)
    assert not report.wrong, "\n".join([*report.wrong, *report.told, server.output()[-3000:]])
