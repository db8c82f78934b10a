"""The rivals: those whose wheels are installed are found and start; the others are left out."""
from __future__ import annotations

from importlib import metadata
from pathlib import Path

import pytest

from bench import load, rivals, servers


@pytest.mark.parametrize("kind", rivals.KINDS)
def test_a_rival_that_is_there_starts(kind: str) -> None:
    version = rivals.version(kind)
    if version is None:
        pytest.skip(f"{kind} is not installed")
    with servers.running(kind) as server, load.client(server) as connection:
        info = connection.info("server")
        assert version in (info["redis_version"], info.get("valkey_version"))
        assert version in rivals.title(kind, version)
        assert server.pids_by_role() == {"server": [server.process.pid]}


@pytest.mark.parametrize("kind", rivals.WHEELS)
def test_without_its_wheel_it_is_left_out(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str) -> list[metadata.PackagePath]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "files", none)
    rivals.version.cache_clear()
    try:
        assert rivals.program(kind) is None
        assert rivals.version(kind) is None
        assert kind not in rivals.available()
        with pytest.raises(servers.ServerError, match="wheel"):
            servers.rival(kind)
    finally:
        rivals.version.cache_clear()


@pytest.mark.parametrize("script", ["echo no version", "exit 127"])
def test_a_program_that_does_not_run_here_is_left_out(
    script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "redis-server"
    broken.write_text(f"#!/bin/sh\n{script}\n")
    broken.chmod(0o755)
    monkeypatch.setattr(rivals, "program", lambda kind: broken)
    rivals.version.cache_clear()
    try:
        assert rivals.version("redis8") is None
    finally:
        rivals.version.cache_clear()
