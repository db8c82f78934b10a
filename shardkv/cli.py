"""The command line: `shardkv [file] [--name value …] [-]`, with the names and the grammar of redis.conf."""
from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence

from shardkv import __version__
from shardkv.config import ConfigFileError, Settings, parse_command_line, read_all
from shardkv.config.parser import Statement
from shardkv.log import Log
from shardkv.supervisor.checks import StartError
from shardkv.supervisor.daemon import Daemon, daemonize
from shardkv.supervisor.instance import Instance, prepare, remove_quietly
from shardkv.supervisor.notify import is_supervised
from shardkv.supervisor.supervisor import STOP_SIGNALS, Supervisor

EXIT_BAD_START = 1

USAGE = """\
Usage: shardkv [file] [--directive value …]… [-]

  file                  a configuration file; every directive of redis.conf is known
  --directive value …   as a line of the file would say it; wins over the file
  -                     read configuration from standard input, after the file
  --workers N|auto      worker processes, one shard each (auto: one for each core the acceptors leave)
  --acceptors N|auto    processes that own client connections (auto: 1)
  --arena-dir folder    where the data lives (default /dev/shm)
  --version, -v         print the version
  --help, -h            print this

Examples:
  shardkv
  shardkv redis.conf --port 7700
  shardkv --port 7700 --workers 4 --maxmemory 2gb --requirepass secret
  echo 'maxmemory 64mb' | shardkv -
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the server; returns the exit status."""
    open_streams()
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] in (["--version"], ["-v"]):
        print(f"shardkv {__version__}")
        return 0
    if words[:1] in (["--help"], ["-h"]):
        print(USAGE, end="")
        return 0
    try:
        os.getcwd()
    except OSError as error:
        return refuse(f"the working directory cannot be used: {error.strerror}")
    try:
        settings, warnings, config_file = load_settings(words)
        # Until the supervisor takes signals, one that stops the server waits: what is half made would be left behind.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        instance = prepare(settings, config_file)
    except (ConfigFileError, StartError) as error:
        return refuse(str(error))
    instance.warnings[:0] = warnings
    return serve(instance)


def refuse(text: str) -> int:
    """Tells why there is no start, in one line; returns the exit status."""
    print(f"shardkv: {text}", file=sys.stderr)
    return EXIT_BAD_START


def open_streams() -> None:
    """Opens /dev/null for each standard stream that is closed: else the first files we open would take its number."""
    closed = []
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number, which is this one
            closed.append(descriptor)
    if 0 in closed:
        sys.stdin = open(0, closefd=False)
    if 1 in closed:
        sys.stdout = open(1, "w", closefd=False)
    if 2 in closed:
        sys.stderr = open(2, "w", closefd=False)


def load_settings(words: Sequence[str]) -> tuple[Settings, list[str], str]:
    """Settings, warnings and the configuration file's path, out of command line arguments. Raises ConfigFileError."""
    line = parse_command_line(words)
    statements: list[Statement] = read_all(line)
    settings = Settings()
    return settings, settings.load(statements), line.file


def serve(instance: Instance) -> int:
    """Runs a prepared instance to its end; returns the exit status."""
    settings = instance.settings
    # A service manager watches the process that it started, so that one stays.
    background = settings.enabled("daemonize") and not is_supervised(settings.get("supervised"))
    daemon = daemonize() if background else Daemon(-1)
    instance.layout.sign()
    log = Log("M", settings.get("loglevel"), settings.get("logfile"))
    pidfile = settings.get("pidfile")
    if pidfile:
        write_pidfile(pidfile, log)
    supervisor = Supervisor(instance, log, daemon.ready)
    status = supervisor.run()
    if pidfile:
        remove_quietly(pidfile)
    if supervisor.failure:
        daemon.failed(supervisor.failure, status)
        if settings.get("logfile"):
            print(f"shardkv: {supervisor.failure}", file=sys.stderr)
    return status


def write_pidfile(path: str, log: Log) -> None:
    """Writes our process id; a file that cannot be written is a warning."""
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(f"{os.getpid()}\n")
    except OSError as error:
        log.warning(f"Failed to write PID file {path}: {error.strerror}")
