"""The limits of encodings are the directives of the same names."""
from __future__ import annotations

from shardkv.config.directives import DIRECTIVES
from workers.limits import Limits


def fields(limits: Limits) -> dict[str, int]:
    return {name: getattr(limits, name) for name in dir(limits) if "max" in name or "depth" in name}


def test_every_limit_is_taken_from_its_directive() -> None:
    limits = Limits()
    defaults = fields(limits)
    assert len(defaults) == 12
    texts = {directive.name: str(directive.default) for directive in DIRECTIVES}
    for name, value in defaults.items():
        assert texts[name.replace("_", "-")] == str(value)
    for number, name in enumerate(defaults):
        limits.take({name.replace("_", "-"): str(1000 + number), "maxmemory": "7"})
    assert list(fields(limits).values()) == list(range(1000, 1012))
