"""The grammar of redis.conf, and of the command line, which is appended to it.

    file       line { newline line }
    line       blank | "#" comment | directive { argument }
    argument   word | '"' text with \\n \\r \\t \\b \\a \\xHH \\any '"' | "'" text with \\' "'"

A closing quote is followed by a blank or the end of the line. `include PATTERN` reads other files in its place.
"""
from __future__ import annotations

import glob
import os
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from shardkv.config.kinds import quote

INCLUDE_DEPTH_MAX = 16
_BLANKS = " \t\n\v\f\r"
_HEX = re.compile(r"x([0-9a-fA-F]{2})")
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "a": "\a"}


class ConfigFileError(Exception):
    """A configuration that cannot be used; the text is one line that names file and line number."""


@dataclass(frozen=True)
class Statement:
    """One directive with its arguments, and where it stands."""

    name: str  # lower case
    arguments: list[str]
    origin: str  # file's path, or "command line"
    line: int

    def error(self, reason: str) -> ConfigFileError:
        """The error to raise for this line."""
        place = self.origin if self.origin == COMMAND_LINE else f"{self.origin}, line {self.line}"
        shown = " ".join([self.name, *map(quote, self.arguments)])
        return ConfigFileError(f"{place}: {reason}: {shown if len(shown) <= 200 else shown[:200] + '…'}")


COMMAND_LINE = "command line"


def split_arguments(line: str) -> list[str]:
    """The arguments of one line. Raises ValueError for unbalanced quotes."""
    arguments: list[str] = []
    at = 0
    while True:
        while at < len(line) and line[at] in _BLANKS:
            at += 1
        if at >= len(line):
            return arguments
        text, at = _argument(line, at)
        arguments.append(text)


def _argument(line: str, at: int) -> tuple[str, int]:
    # A quote may open inside a word, as in `a"b c"`; it ends the argument when it closes.
    text: list[str] = []
    while at < len(line) and line[at] not in _BLANKS and line[at] not in "\"'":
        text.append(line[at])
        at += 1
    if at >= len(line) or line[at] in _BLANKS:
        return "".join(text), at
    sign, at = line[at], at + 1
    while at < len(line) and line[at] != sign:
        if line[at] == "\\" and at + 1 < len(line) and (sign == '"' or line[at + 1] == "'"):
            piece, at = _escape(line, at + 1) if sign == '"' else ("'", at + 2)
            text.append(piece)
        else:
            text.append(line[at])
            at += 1
    if at >= len(line) or (at + 1 < len(line) and line[at + 1] not in _BLANKS):
        raise ValueError("Unbalanced quotes in configuration line")
    return "".join(text), at + 1


def _escape(line: str, at: int) -> tuple[str, int]:
    found = _HEX.match(line, at)
    if found:
        # The file is read with surrogateescape, so a byte above 0x7f is the same here as when it stands there itself.
        return bytes([int(found[1], 16)]).decode(errors="surrogateescape"), found.end()
    return _ESCAPES.get(line[at], line[at]), at + 1


def parse_text(text: str, origin: str, depth: int = 0) -> list[Statement]:
    """The statements of a configuration's text, with those of included files in their place. Raises ConfigFileError."""
    statements: list[Statement] = []
    for number, line in enumerate(text.split("\n"), 1):
        line = line.strip(" \t\r\n")
        if not line or line.startswith("#"):
            continue
        try:
            words = split_arguments(line)
        except ValueError as error:
            raise Statement(line, [], origin, number).error(str(error)) from None
        statement = Statement(words[0].lower(), words[1:], origin, number)
        if statement.name == "include":
            statements += _include(statement, depth)
        else:
            statements.append(statement)
    return statements


def _include(statement: Statement, depth: int) -> list[Statement]:
    if len(statement.arguments) != 1:
        raise statement.error("wrong number of arguments")
    if depth >= INCLUDE_DEPTH_MAX:
        raise statement.error("files include each other too deeply")
    pattern = statement.arguments[0]
    paths = sorted(glob.glob(pattern)) if glob.has_magic(pattern) else [pattern]
    return [found for path in paths for found in parse_file(path, depth + 1, statement)]


def parse_file(path: str, depth: int = 0, included_by: Statement | None = None) -> list[Statement]:
    """The statements of a configuration file. Raises ConfigFileError."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            text = file.read()
    except OSError as error:
        reason = f"cannot read {path}: {error.strerror}"
        raise included_by.error(reason) if included_by else ConfigFileError(reason) from None
    return parse_text(text, path, depth)


@dataclass(frozen=True)
class CommandLine:
    """What the arguments of the command say: a file, whether standard input is read after it, and overrides."""

    file: str  # absolute path, or ""
    standard_input: bool
    overrides: list[Statement]


def parse_command_line(arguments: Sequence[str]) -> CommandLine:
    """Reads `[file] [--name value …]… [-]`. Raises ConfigFileError."""
    words = list(arguments)
    file = os.path.abspath(words.pop(0)) if words and not words[0].startswith("-") else ""
    standard_input = False
    overrides: list[Statement] = []
    for position, word in enumerate(words):
        if word == "-" and position in (0, len(words) - 1):
            standard_input = True
        elif word.startswith("--") and (not overrides or overrides[-1].arguments or _may_be_empty(overrides[-1].name)):
            overrides.append(_override(word))
        elif overrides:
            overrides[-1].arguments.append(word)
        else:
            raise ConfigFileError(f"{COMMAND_LINE}: {quote(word)} does not belong to an option; see shardkv --help")
    for statement in overrides:
        if not statement.arguments and _may_be_empty(statement.name):
            statement.arguments.append("")
    return CommandLine(file, standard_input, overrides)


def _override(word: str) -> Statement:
    # `--port 7700` as one word, or as `--port=7700`, holds name and value.
    try:
        words = split_arguments(word[2:])
    except ValueError as error:
        raise ConfigFileError(f"{COMMAND_LINE}: {error}: {word}") from None
    if not words:
        raise ConfigFileError(f"{COMMAND_LINE}: an option without a name; see shardkv --help")
    name, sign, value = words[0].partition("=")
    return Statement(name.lower(), [value, *words[1:]] if sign else words[1:], COMMAND_LINE, 0)


def _may_be_empty(name: str) -> bool:
    # `--save --port 1` comes from scripts that build a command line out of an empty list.
    return name == "save"


def read_all(line: CommandLine, read_standard_input: Callable[[], str] = lambda: sys.stdin.read()) -> list[Statement]:
    """All statements in order of precedence: file, standard input, command line. Raises ConfigFileError."""
    statements = parse_file(line.file) if line.file else []
    if line.standard_input:
        statements += parse_text(read_standard_input(), "standard input")
    for statement in line.overrides:
        statements += _include(statement, 0) if statement.name == "include" else [statement]
    return statements
