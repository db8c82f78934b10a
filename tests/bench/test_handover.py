"""The program that hands elements over: it counts each, and sees what is wrong."""
from __future__ import annotations

import subprocess

import pytest

from bench import rivals, servers, transactions

WORDS = ("BLPOP", "queue", "0", ";", "LPUSH", "queue", "element")
pytestmark = pytest.mark.skipif(rivals.program(rivals.DEBIAN) is None, reason="redis-server is not installed")


@pytest.fixture(scope="module", autouse=True)
def compiled() -> None:
    subprocess.run(["make", "--silent", "build/handover"], cwd=servers.ROOT, check=True)


@pytest.mark.parametrize(("waiters", "depth"), [(1, 1), (5, 1), (5, 3), (2, 16)])
def test_every_element_arrives(waiters: int, depth: int) -> None:
    with servers.running(rivals.DEBIAN) as server:
        figures = transactions.run_handover(server.port, WORDS, waiters, depth, 50)
    assert figures["handovers"] == 50
    assert 0 < figures["p50_us"] <= figures["p99_us"] <= figures["longest_us"]


def test_an_error_ends_it() -> None:
    with servers.running(rivals.DEBIAN) as server:
        with pytest.raises(RuntimeError, match="error reply: -ERR unknown command"):
            transactions.run_handover(server.port, ("NOSUCH", ";", "LPUSH", "q", "e"), 1, 1, 1)


def test_a_command_line_without_a_push() -> None:
    done = subprocess.run([transactions.program(), "-p", "1", "BLPOP", "q", "0"], capture_output=True, check=False)
    assert done.returncode == 2
