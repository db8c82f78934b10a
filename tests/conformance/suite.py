"""Runs one unit of Redis's Tcl suite against a server that is already up, and reads what it prints.

The suite prints a line per test, `[ok]: name (12 ms)`, `[err]: name in tests/unit/x.tcl` and the reason below it,
`[skip]`, `[ignore]` and, when a unit breaks off, `[exception]`. Names may repeat, so results are counted.
"""
from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

ANSI = re.compile(r"\x1b\[[0-9;]*m")
LINE = re.compile(r"\[(ok|err|skip|ignore|exception|TIMEOUT)\]: ?(.*)")
ELAPSED = re.compile(r" \(\d+ ms\)$")
PLACE = re.compile(r" in tests/\S+\.tcl$")
REASON = re.compile(r"(?:^|: )(?:Tag: .*|Not supported .*|large memory flag not provided)$")

@dataclass
class Outcome:
    """What one unit did: tests by name, and `trouble`: what went wrong outside a test (broken off, timed out)."""

    passed: Counter[str] = field(default_factory=Counter)
    failed: dict[str, str] = field(default_factory=dict)
    skipped: Counter[str] = field(default_factory=Counter)
    trouble: list[str] = field(default_factory=list)


def tclsh() -> str | None:
    """The Tcl interpreter, None when there is none."""
    return next(filter(None, map(shutil.which, ("tclsh8.6", "tclsh8.7", "tclsh8.5", "tclsh"))), None)


class Suite:
    """The suite in `folder`; its units may run in several threads at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ended = False
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()  # of both

    def run_unit(
        self, unit: str, port: int, control_port: int, seconds: float, left_out: Sequence[str] = ()
    ) -> Outcome:
        """Runs `unit` (as unit/type/string) against 127.0.0.1:`port`, but for some tests.

        The suite's own two processes talk over one of 32 ports from `control_port` on. After `seconds` they are killed,
        and what was read until then is the outcome, with the time-out as trouble.
        """
        command = [
            tclsh() or "tclsh", "tests/test_helper.tcl", "--host", "127.0.0.1", "--port", str(port), "--single", unit,
            "--durable", "--tags", "-needs:repl", "--baseport", str(control_port + 32), "--timeout", str(int(seconds)),
        ]
        for name in left_out:
            command += ["--skiptest", name]
        process = self._start(command)
        if process is None:
            return Outcome(trouble=["not run any more"])
        late = False
        try:
            output, _ = process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            late = True
            kill_session(process.pid)
            output, _ = process.communicate()
        finally:
            with self._lock:
                self._running.discard(process)
        outcome = parse(output.decode(errors="replace"))
        if late:
            outcome.trouble.append(f"timed out after {seconds:.0f} s")
        elif process.returncode and not (outcome.failed or outcome.trouble):
            outcome.trouble.append(f"the suite ended with status {process.returncode}: {last_line(output)}")
        return outcome

    def _start(self, command: list[str]) -> subprocess.Popen[bytes] | None:
        with self._lock:
            if self.ended:
                return None
            process = subprocess.Popen(
                command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                env={**os.environ, "TERM": "dumb"}, start_new_session=True,
            )
            self._running.add(process)
            return process

    def end(self) -> None:
        """Kills every unit that runs, whose `run_unit` returns then; no other will start."""
        with self._lock:
            self.ended = True
            for process in self._running:
                kill_session(process.pid)


def kill_session(pid: int) -> None:
    """Kills a session that was started here: the suite and its client, nothing else."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def last_line(output: bytes) -> str:
    """The last line that says something."""
    lines = [line for line in output.decode(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip() if lines else "no output"


def parse(output: str) -> Outcome:
    """Reads the suite's output, coloured or not."""
    outcome = Outcome()
    reading = ""  # the failed test whose reason is being read
    for line in ANSI.sub("", output).replace("\r", "").split("\n"):
        match = LINE.fullmatch(line)
        if match is None:
            if line.startswith("[") or "The End" in line:
                reading = ""
            if reading and not outcome.failed[reading]:
                outcome.failed[reading] = line.strip()
            continue
        kind, text = match.groups()
        reading = ""
        if kind == "ok":
            outcome.passed[ELAPSED.sub("", text)] += 1
        elif kind == "err" and PLACE.search(text):
            reading = PLACE.sub("", text)
            outcome.failed.setdefault(reading, "")
        elif kind in ("skip", "ignore"):
            outcome.skipped[REASON.sub("", text) or text] += 1
        else:
            outcome.trouble.append(text or kind)
    return outcome
