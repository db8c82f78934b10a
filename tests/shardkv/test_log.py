"""Log lines: one for each text, whatever it quotes; only those of the level asked for."""
from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from shardkv.log import Log

STAMP = r"\d\d \w{3} \d{4} \d\d:\d\d:\d\d\.\d{3}"


def test_a_line(tmp_path: Path) -> None:
    path = tmp_path / "log"
    Log("M", path=str(path)).notice("Ready to accept connections")
    assert re.fullmatch(rf"{os.getpid()}:M {STAMP} \* Ready to accept connections\n", path.read_text())


def test_only_what_is_of_the_level(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = Log("A", "warning", str(path))
    log.notice("one")
    log.warning("two")
    log.set_level("debug")
    log.debug("three")
    log.set_level("nothing")
    log.warning("four")
    assert [line[-7:].split()[-2:] for line in path.read_text().splitlines()] == [["#", "two"], [".", "three"]]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("name=x\n1:M 01 Jan 2024 # all is lost", "name=x\\n1:M 01 Jan 2024 # all is lost"),
        ("\r\0\t\x1b[2J\x7f", r"\r\x00\t\x1b[2J\x7f"),
        ("\x85\x9b\u2028", r"\x85\x9b\u2028"),
        ("Grüße, 鍵", "Grüße, 鍵"),
        ("\udcff", r"\udcff"),
    ],
)
def test_nothing_that_is_quoted_ends_a_line_or_commands_a_terminal(tmp_path: Path, text: str, shown: str) -> None:
    path = tmp_path / "log"
    Log("A", path=str(path)).warning(text)
    assert path.read_text(encoding="utf-8").split(" # ", 1)[1] == f"{shown}\n"


def test_nothing_that_is_quoted_does_so_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    Log("A").warning("a\nb")
    assert capsys.readouterr().out.endswith(" # a\\nb\n")
