"""The command: what it prints, its one-line refusals, and signals while it starts."""
from __future__ import annotations

import os
import resource
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from shardkv import __version__
from shardkv.cli import load_settings
from shardkv.identity import Identity
from shardkv.layout import Layout
from tests.harness import PATIENCE, environment, free_port, run_shardkv


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    return ["--port", str(free_port()), "--arena-dir", str(tmp_path), "--dir", str(tmp_path), "--workers", "1"]


def refusal(answer: subprocess.CompletedProcess[str]) -> str:
    """The one line that a refused start prints."""
    assert answer.returncode == 1, answer
    assert answer.stdout == "" and answer.stderr.count("\n") == 1 and answer.stderr.startswith("shardkv: ")
    return answer.stderr.strip()


def test_version_and_help() -> None:
    for flag in ("--version", "-v"):
        assert run_shardkv(flag).stdout == f"shardkv {__version__}\n"
    for flag in ("--help", "-h"):
        answer = run_shardkv(flag)
        assert answer.returncode == 0 and answer.stdout.startswith("Usage: shardkv")


def test_file_and_overrides(tmp_path: Path) -> None:
    config = tmp_path / "redis.conf"
    config.write_text("port 1\ntimeout 7\n")
    settings, warnings, path = load_settings([str(config), "--port", "7700", "--workers", "4"])
    assert (settings.number("port"), settings.number("timeout"), settings.number("workers")) == (7700, 7, 4)
    assert warnings == [] and path == str(config)


def test_real_redis_configuration_loads() -> None:
    path = "/etc/redis/redis.conf"
    if not os.access(path, os.R_OK):
        pytest.skip("no redis.conf on this machine")
    settings, _, _ = load_settings([path])
    assert settings.number("port") == 6379


def test_errors_in_a_file_name_file_and_line(tmp_path: Path) -> None:
    config = tmp_path / "redis.conf"
    config.write_text("# fine\nport 1\nmaxmemroy 1gb\n")
    assert refusal(run_shardkv(str(config))) == f"shardkv: {config}, line 3: unknown directive: maxmemroy 1gb"
    config.write_text('port "1\n')
    assert f"{config}, line 1: Unbalanced quotes" in refusal(run_shardkv(str(config)))
    assert "cannot read /no/such.conf: No such file" in refusal(run_shardkv("/no/such.conf"))


def test_errors_on_the_command_line() -> None:
    assert "command line: argument couldn't be parsed into an integer: port x" in refusal(run_shardkv("--port", "x"))
    assert "unknown directive: frobnicate 1" in refusal(run_shardkv("--frobnicate", "1"))
    assert "does not belong to an option" in refusal(run_shardkv("-x"))


def test_configuration_from_standard_input() -> None:
    assert "standard input, line 2: unknown directive" in refusal(run_shardkv("-", input="port 1\nfoo 1\n"))


@pytest.mark.parametrize("acceptors", ["1", "2"])
def test_port_in_use(words: list[str], tmp_path: Path, acceptors: str) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(("127.0.0.1", int(words[1])))
        other.listen()
        line = refusal(run_shardkv(*words, "--acceptors", acceptors))
    assert f"cannot listen on 127.0.0.1:{words[1]}: the port is in use" in line
    assert not list(tmp_path.iterdir())


def test_address_named_twice(words: list[str]) -> None:
    line = refusal(run_shardkv(*words, "--bind", "127.0.0.1", "127.0.0.1"))
    assert f"cannot listen on 127.0.0.1:{words[1]}: bind names this address twice" in line


def test_include_as_a_flag(words: list[str], tmp_path: Path) -> None:
    (tmp_path / "more.conf").write_text("timeout 7\nmaxmemory 1gb\n")
    settings, _, _ = load_settings([*words, "--include", f"{tmp_path}/more.conf", "--maxmemory", "2gb"])
    assert (settings.number("timeout"), settings.number("maxmemory")) == (7, 2 << 30)
    assert "cannot read /no/such.conf" in refusal(run_shardkv(*words, "--include", "/no/such.conf"))


def test_removed_working_folder(words: list[str], tmp_path: Path) -> None:
    folder = tmp_path / "removed"
    folder.mkdir()
    script = f"import os, sys; from shardkv.cli import main; os.rmdir({str(folder)!r}); sys.exit(main({words!r}))"
    command = [sys.executable, "-c", script]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=environment(), cwd=folder)
    assert "the working directory cannot be used: No such file or directory" in refusal(answer)


# Runs the command, and sends it a signal at one of its audit events: imports, files opened, folders made, forks.
SIGNALLED = """
import os, sys
from shardkv.__main__ import main
number, left, pid = int(sys.argv[1]), int(sys.argv[2]), os.getpid()
def count(event, arguments):
    global left
    left -= 1
    if left == 0 and os.getpid() == pid:
        os.kill(pid, number)
sys.argv[1:] = sys.argv[3:]
sys.addaudithook(count)
sys.exit(main())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_while_it_starts(words: list[str], number: signal.Signals) -> None:
    statuses = set()
    for event in (10, 100, 300, 400, 500, 600, 700, 800, 900, 1000, 1100):
        command = [sys.executable, "-c", SIGNALLED, str(int(number)), str(event), *words]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment()) as process:
            try:
                output, _ = process.communicate(timeout=PATIENCE)
            finally:
                process.kill()
        assert b"Traceback" not in output and b"KeyboardInterrupt" not in output, output.decode()
        statuses.add(process.returncode)
    assert statuses == {0, -number}  # gone at once, or when there is something to clean up in order


def test_missing_folders(words: list[str]) -> None:
    assert "dir /no/such: No such file" in refusal(run_shardkv(*words, "--dir", "/no/such"))
    assert "arena-dir /no/such is not a folder" in refusal(run_shardkv(*words, "--arena-dir", "/no/such"))
    assert "logfile /no/such/log: No such file" in refusal(run_shardkv(*words, "--logfile", "/no/such/log"))


def test_bad_addresses(words: list[str], tmp_path: Path) -> None:
    assert "cannot listen on 192.0.2.1:" in refusal(run_shardkv(*words, "--bind", "192.0.2.1"))
    assert "nothing to listen on" in refusal(run_shardkv(*words, "--bind", "-192.0.2.1"))
    assert "nothing to listen on" in refusal(run_shardkv(*words, "--port", "0"))
    (tmp_path / "file").touch()
    line = refusal(run_shardkv(*words, "--unixsocket", f"{tmp_path}/file"))
    assert "a file that is no socket is in its place" in line
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(f"{tmp_path}/sock")
        other.listen()
        assert "another server listens there" in refusal(run_shardkv(*words, "--unixsocket", f"{tmp_path}/sock"))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may do everything")
def test_no_permission(words: list[str]) -> None:
    assert "no permission to write to arena-dir /" in refusal(run_shardkv(*words, "--arena-dir", "/"))


def test_full_arena_folder(words: list[str], tmp_path: Path) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(tmp_path)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, stderr=subprocess.DEVNULL).returncode:
        pytest.skip("cannot mount a small file system here")
    try:
        line = refusal(run_shardkv(*words))
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)
    assert f"{tmp_path}/shardkv-{words[1]} is full: " in line and "MB needed to start" in line and "--arena-dir" in line


def test_file_size_limit(words: list[str]) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    line = refusal(run_shardkv(*words, preexec_fn=limit))
    assert "the limit on file sizes (ulimit -f, RLIMIT_FSIZE) is too low" in line


def test_descriptor_limit_below_a_single_client(words: list[str]) -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (30, 30))

    assert "the limit on open files is 30, too low" in refusal(run_shardkv(*words, preexec_fn=limit))


def test_other_number_of_workers_is_refused(words: list[str], tmp_path: Path) -> None:
    folder = tmp_path / f"shardkv-{words[1]}"
    folder.mkdir(mode=0o700)
    Layout(str(tmp_path), words[1]).describe(replace(Identity.new(4), generation=1))
    line = refusal(run_shardkv(*words))
    assert f"was made with 4 workers; start with --workers 4, or remove {folder}" in line
    assert (folder / "instance.json").exists()
