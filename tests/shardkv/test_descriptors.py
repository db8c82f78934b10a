"""The limit on open files: raised as far as may be, by whoever may."""
from __future__ import annotations

import resource

import pytest

from shardkv.descriptors import beside_clients, raise_limit

INFINITY = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("limits", "privileged", "needed", "reached", "after"),
    [
        ((100, 1000), False, 100, 100, (100, 1000)),
        ((100, 1000), False, 500, 500, (500, 1000)),
        ((100, 1000), False, 2000, 1000, (1000, 1000)),
        ((100, 1000), True, 2000, 2000, (2000, 2000)),
        ((100, INFINITY), False, 2000, 2000, (2000, INFINITY)),
        ((INFINITY, INFINITY), False, 2000, 2000, (INFINITY, INFINITY)),
    ],
)
def test_raise_limit(
    monkeypatch: pytest.MonkeyPatch, limits: tuple[int, int], privileged: bool, needed: int, reached: int,
    after: tuple[int, int],
) -> None:
    pretended = list(limits)

    def change(kind: int, values: tuple[int, int]) -> None:
        if not privileged and pretended[1] != INFINITY and values[1] > pretended[1]:
            raise ValueError("not allowed to raise maximum limit")
        pretended[:] = values

    monkeypatch.setattr(resource, "getrlimit", lambda kind: tuple(pretended))
    monkeypatch.setattr(resource, "setrlimit", change)
    assert raise_limit(needed) == reached
    assert tuple(pretended) == after


def test_who_may_not_change_it_at_all(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(kind: int, values: tuple[int, int]) -> None:
        raise OSError("no")

    monkeypatch.setattr(resource, "getrlimit", lambda kind: (100, 1000))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert raise_limit(500) == 100


def test_each_acceptor_worker_and_listener_takes_one() -> None:
    assert beside_clients(2, 3, 4) - beside_clients(1, 1, 1) == 1 + 2 + 3
