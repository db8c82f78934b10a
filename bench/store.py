"""bench/results.json: a part of it for each part of `make bench`, with how it was measured.

A part is merged into what is there, row by row, as soon as there is anything new of it; the file is replaced in one
step. So a run that is cut short keeps what it had, and one of a few rows leaves the others as they were.
"""
from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

FORMAT = 2
HOW, ROWS = "how", "rows"


class Store:
    """The results in memory and, with a path, in its file. One of another format is not read, but replaced."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.results: dict[str, Any] = {}
        if path is not None and path.exists():
            self.results = load(path)

    def put(self, part: str, rows: dict[str, Any], how: dict[str, Any]) -> None:
        """Merges rows of a part and writes the file."""
        before = self.results.get(part, {}).get(ROWS, {})
        self.results[part] = {HOW: how, ROWS: merged(before, rows)}
        self.save()

    def note(self, name: str, value: Any) -> None:
        """Sets what is no part, as the machine."""
        self.results[name] = value
        self.save()

    def save(self) -> None:
        """Replaces the file: whoever reads it, or is killed meanwhile, finds the old results or the new."""
        if self.path is None:
            return
        beside = self.path.with_name(f"{self.path.name}.{os.getpid()}")
        try:
            beside.write_text(json.dumps({"format": FORMAT, **self.results}, indent=1) + "\n")
            os.replace(beside, self.path)
        finally:
            beside.unlink(missing_ok=True)


def load(path: Path) -> dict[str, Any]:
    """The results in a file; nothing of one in another format. Raises OSError and ValueError."""
    results = json.loads(path.read_text())
    if not isinstance(results, dict) or results.pop("format", None) != FORMAT:
        return {}
    return results


def merged(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """`old` with what `new` has, dictionary by dictionary; everything else is replaced whole."""
    both = dict(old)
    for name, value in new.items():
        before = both.get(name)
        both[name] = merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return both
