"""Runs one unit of Redis's Tcl suite against a server that is already up, and reads what it prints.

The suite prints a line per test, `[ok]: name (12 ms)`, `[err]: name in tests/unit/x.tcl` and the reason below it,
`[skip]`, `[ignore]` and, when a unit breaks off, `[exception]`. Names may repeat, so results are counted.
"""
from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
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


def run_unit(
    folder: Path, unit: str, port: int, control_port: int, seconds: float, left_out: Sequence[str] = ()
) -> Outcome:
    """Runs `unit` (as unit/type/string) of the suite in `folder` against 127.0.0.1:`port`, but for some tests.

    The suite's own two processes talk over one of 32 ports from `control_port` on. After `seconds` they are killed, and
    what was read until then is the outcome, with the time-out as trouble.
    """
    command = [
        tclsh() or "tclsh", "tests/test_helper.tcl", "--host", "127.0.0.1", "--port", str(port), "--single", unit,
        "--durable", "--tags", "-needs:repl", "--baseport", str(control_port + 32), "--timeout", str(int(seconds)),
    ]
    for name in left_out:
        command += ["--skiptest", name]
    process = subprocess.Popen(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        env={**os.environ, "TERM": "dumb"}, start_new_session=True,
    )
    late = False
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        late = True
        os.killpg(process.pid, signal.SIGKILL)  # the session is ours: the suite and its client, nothing else
        output, _ = process.communicate()
    outcome = parse(output.decode(errors="replace"))
    if late:
        outcome.trouble.append(f"timed out after {seconds:.0f} s")
    elif process.returncode and not (outcome.failed or outcome.trouble):
        outcome.trouble.append(f"the suite ended with status {process.returncode}: {last_line(output)}")
    return outcome


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
