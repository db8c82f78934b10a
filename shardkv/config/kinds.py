"""Types of directives: how a text is read, and the canonical text and typed value it has.

A kind's `parse` takes the arguments as the user wrote them and returns the canonical text, the one CONFIG GET prints.
It raises ValueError with Redis's wording. `value` turns canonical text into what code works with.
"""
from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

Value = bool | int | str | list[str] | list[int] | list[float] | list[tuple[int, int]] | dict[str, tuple[int, int, int]]

INT_MAX = (1 << 31) - 1
UINT_MAX = (1 << 32) - 1
LONG_MAX = (1 << 63) - 1
ULONG_MAX = (1 << 64) - 1

_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,19}")
_DIGITS = re.compile(r"[0-9]{1,20}")
_MEMORY = re.compile(r"([0-9]{1,20})(b|k|kb|m|mb|g|gb)?", re.IGNORECASE)
_UNITS = {"": 1, "b": 1, "k": 1000, "kb": 1 << 10, "m": 1000**2, "mb": 1 << 20, "g": 1000**3, "gb": 1 << 30}


def parse_memory(text: str) -> int:
    """Bytes named by a text such as `100`, `64kb` (1024 each) or `2g` (1000 cubed); none is 0. Raises ValueError."""
    found = _MEMORY.fullmatch(text or "0")
    if found is None:
        raise ValueError("argument must be a memory value")
    return int(found[1]) * _UNITS[(found[2] or "").lower()]


def format_memory(size: int) -> str:
    """The shortest exact text of a size in bytes, as CONFIG REWRITE writes it: `2gb`, `64mb`, `100`."""
    for unit in ("gb", "mb", "kb"):
        if size and size % _UNITS[unit] == 0:
            return f"{size // _UNITS[unit]}{unit}"
    return str(size)


def quote(text: str) -> str:
    """Text as one argument of a configuration line, quoted when it must be."""
    if re.fullmatch(r"[!-~]+", text) and not re.search(r"[\"'\\#]", text):
        return text
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t", "\a": "\\a", "\b": "\\b"}
    return '"' + "".join(escapes.get(sign, sign if sign >= " " else f"\\x{ord(sign):02x}") for sign in text) + '"'


class Kind:
    """Base of all kinds. `multiple` kinds take several arguments on a line, or one argument that holds them all."""

    multiple = False

    def parse(self, arguments: Sequence[str], before: str) -> str:
        """The canonical text of `arguments`; `before` is the present one. Raises ValueError."""
        raise NotImplementedError

    def value(self, text: str) -> Value:
        """The typed value of a canonical text."""
        return text

    def load(self, arguments: Sequence[str], before: str, first: bool) -> str:
        """As `parse`, for a line of a configuration file; `first` tells that no line came before it."""
        return self.parse(arguments, before)

    def lines(self, text: str) -> list[str]:
        """What CONFIG REWRITE writes after the directive's name, one item for each line."""
        return [quote(text)]


class Text(Kind):
    """Any text."""

    def parse(self, arguments: Sequence[str], before: str) -> str:
        return arguments[0]


class FileName(Kind):
    """The name of a file in a folder, not a path."""

    def parse(self, arguments: Sequence[str], before: str) -> str:
        if "/" in arguments[0]:
            raise ValueError("it can't be a path, just a filename")
        return arguments[0]


class Boolean(Kind):
    def parse(self, arguments: Sequence[str], before: str) -> str:
        text = arguments[0].lower()
        if text not in ("yes", "no"):
            raise ValueError("argument must be 'yes' or 'no'")
        return text

    def value(self, text: str) -> bool:
        return text == "yes"


@dataclass(frozen=True)
class Integer(Kind):
    low: int = 0
    high: int = INT_MAX

    def parse(self, arguments: Sequence[str], before: str) -> str:
        if _INTEGER.fullmatch(arguments[0]) is None or not -LONG_MAX - 1 <= int(arguments[0]) <= LONG_MAX:
            raise ValueError("argument couldn't be parsed into an integer")
        return str(self.bounded(int(arguments[0])))

    def bounded(self, number: int) -> int:
        if not self.low <= number <= self.high:
            raise ValueError(f"argument must be between {self.low} and {self.high} inclusive")
        return number

    def value(self, text: str) -> int:
        return int(text)


class Clamped(Integer):
    """An integer that is moved into its bounds."""

    def bounded(self, number: int) -> int:
        return min(max(number, self.low), self.high)


@dataclass(frozen=True)
class CountOrAuto(Kind):
    """A number of processes, or `auto`, whose value is 0."""

    high: int

    def parse(self, arguments: Sequence[str], before: str) -> str:
        text = arguments[0].lower()
        if text != "auto" and not (_DIGITS.fullmatch(text) and 1 <= int(text) <= self.high):
            raise ValueError(f"argument must be 'auto' or between 1 and {self.high} inclusive")
        return text if text == "auto" else str(int(text))

    def value(self, text: str) -> int:
        return 0 if text == "auto" else int(text)


@dataclass(frozen=True)
class Memory(Integer):
    high: int = LONG_MAX

    def parse(self, arguments: Sequence[str], before: str) -> str:
        return str(self.bounded(parse_memory(arguments[0])))

    def lines(self, text: str) -> list[str]:
        return [format_memory(int(text))]


@dataclass(frozen=True)
class MemoryOrPercent(Kind):
    """Bytes, or a percentage of `maxmemory`, whose value is negative."""

    def parse(self, arguments: Sequence[str], before: str) -> str:
        text = arguments[0]
        if text.endswith("%") and _DIGITS.fullmatch(text[:-1]):
            if int(text[:-1]) > 100:
                raise ValueError("percentage argument must be less or equal to 100")
            return f"{int(text[:-1])}%"
        try:
            return str(Integer(0, LONG_MAX).bounded(parse_memory(text)))
        except ValueError as error:
            raise ValueError(str(error).replace("a memory value", "a memory or percent value")) from None

    def value(self, text: str) -> int:
        return -int(text[:-1]) if text.endswith("%") else int(text)


class Permissions(Kind):
    """File permission bits in octal."""

    def parse(self, arguments: Sequence[str], before: str) -> str:
        if not re.fullmatch(r"[0-7]{1,20}", arguments[0]):
            raise ValueError("argument couldn't be parsed as an octal number")
        if int(arguments[0], 8) > 0o777:
            raise ValueError("argument must be between 0 and 777 inclusive")
        return f"{int(arguments[0], 8):o}"

    def value(self, text: str) -> int:
        return int(text, 8)


@dataclass(frozen=True)
class Choice(Kind):
    names: tuple[str, ...]

    def parse(self, arguments: Sequence[str], before: str) -> str:
        text = arguments[0].lower()
        if text not in self.names:
            raise ValueError(f"argument(s) must be one of the following: {', '.join(self.names)}")
        return text


@dataclass(frozen=True)
class Flags(Choice):
    """Several of some names; the first name stands for none of them."""

    multiple = True

    def parse(self, arguments: Sequence[str], before: str) -> str:
        chosen = {super(Flags, self).parse([argument], before) for argument in arguments}
        return " ".join(name for name in self.names[1:] if name in chosen) or self.names[0]

    def value(self, text: str) -> list[str]:
        return text.split()

    def lines(self, text: str) -> list[str]:
        return [text]


class Words(Kind):
    """Words on one line; a single empty argument means none."""

    multiple = True
    limit = 16

    def parse(self, arguments: Sequence[str], before: str) -> str:
        if len(arguments) > self.limit:
            raise ValueError("Too many bind addresses specified.")
        return " ".join(arguments)

    def value(self, text: str) -> list[str]:
        return text.split()

    def lines(self, text: str) -> list[str]:
        return [text or '""']


class SavePoints(Kind):
    """Pairs of seconds and changes; a single empty argument means none, lines of a file add up."""

    multiple = True

    def parse(self, arguments: Sequence[str], before: str) -> str:
        words = [] if list(arguments) == [""] else list(arguments)
        if len(words) % 2 or not all(_DIGITS.fullmatch(word) for word in words):
            raise ValueError("Invalid save parameters")
        numbers = [int(word) for word in words]
        if any(seconds < 1 for seconds in numbers[::2]) or any(number > LONG_MAX for number in numbers):
            raise ValueError("Invalid save parameters")
        return " ".join(map(str, numbers))

    def load(self, arguments: Sequence[str], before: str, first: bool) -> str:
        added = self.parse(arguments, before)
        return added if first or not added else f"{before} {added}".strip()

    def value(self, text: str) -> list[tuple[int, int]]:
        numbers = [int(word) for word in text.split()]
        return list(zip(numbers[::2], numbers[1::2], strict=True))

    def lines(self, text: str) -> list[str]:
        pairs = self.value(text)
        return [f"{seconds} {changes}" for seconds, changes in pairs] or ['""']


class BufferLimits(Kind):
    """Hard limit, soft limit and seconds above the soft limit, for some of the three classes of clients."""

    multiple = True
    CLASSES = {"normal": "normal", "slave": "slave", "replica": "slave", "pubsub": "pubsub"}

    def parse(self, arguments: Sequence[str], before: str) -> str:
        if len(arguments) % 4:
            raise ValueError("Wrong number of arguments in buffer limit configuration.")
        limits = self.value(before)
        for start in range(0, len(arguments), 4):
            name, hard, soft, seconds = arguments[start : start + 4]
            if name.lower() not in self.CLASSES:
                raise ValueError("Invalid client class specified in buffer limit configuration.")
            try:
                sizes = parse_memory(hard), parse_memory(soft)
            except ValueError:
                sizes = (-1, -1)
            if not _DIGITS.fullmatch(seconds) or not all(0 <= number <= LONG_MAX for number in (*sizes, int(seconds))):
                raise ValueError("Error in hard, soft or soft_seconds setting in buffer limit configuration.")
            limits[self.CLASSES[name.lower()]] = (*sizes, int(seconds))
        return " ".join(f"{name} {hard} {soft} {seconds}" for name, (hard, soft, seconds) in limits.items())

    def value(self, text: str) -> dict[str, tuple[int, int, int]]:
        words = text.split()
        return {
            words[at]: (int(words[at + 1]), int(words[at + 2]), int(words[at + 3])) for at in range(0, len(words), 4)
        }

    def lines(self, text: str) -> list[str]:
        return [
            f"{name} {format_memory(hard)} {format_memory(soft)} {seconds}"
            for name, (hard, soft, seconds) in self.value(text).items()
        ]


class Percentiles(Kind):
    multiple = True

    def parse(self, arguments: Sequence[str], before: str) -> str:
        words = [] if list(arguments) == [""] else list(arguments)
        try:
            numbers = [float(word) for word in words]
        except ValueError:
            numbers = [math.nan]
        if any(math.isnan(number) for number in numbers):
            raise ValueError("Invalid latency-tracking-info-percentiles parameters")
        if any(not 0 <= number <= 100 for number in numbers):
            raise ValueError("latency-tracking-info-percentiles parameters should sit between [0.0,100.0]")
        return " ".join(f"{number:f}".rstrip("0").rstrip(".") for number in numbers)

    def value(self, text: str) -> list[float]:
        return [float(word) for word in text.split()]

    def lines(self, text: str) -> list[str]:
        return [text or '""']


class OomScores(Kind):
    multiple = True

    def parse(self, arguments: Sequence[str], before: str) -> str:
        if len(arguments) != 3:
            raise ValueError("wrong number of arguments")
        if any(not _INTEGER.fullmatch(word) or not -2000 <= int(word) <= 2000 for word in arguments):
            raise ValueError("Invalid oom-score-adj-values, elements must be between -2000 and 2000.")
        return " ".join(arguments)

    def value(self, text: str) -> list[int]:
        return [int(word) for word in text.split()]

    def lines(self, text: str) -> list[str]:
        return [text]


class EventClasses(Kind):
    """Letters of keyspace event classes; `A` stands for all of the classes of data."""

    ALL = "g$lshzxetd"
    OTHERS = "nKEm"

    def parse(self, arguments: Sequence[str], before: str) -> str:
        letters = set(arguments[0])
        if letters - set(self.ALL + self.OTHERS + "A"):
            raise ValueError("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.")
        every = "A" in letters or letters >= set(self.ALL)
        data = "A" if every else "".join(letter for letter in self.ALL if letter in letters)
        return data + "".join(letter for letter in self.OTHERS if letter in letters)


class Primary(Kind):
    """Host and port of a primary, or `no one`."""

    multiple = True

    def parse(self, arguments: Sequence[str], before: str) -> str:
        if len(arguments) != 2:
            raise ValueError("wrong number of arguments")
        if [word.lower() for word in arguments] == ["no", "one"]:
            return ""
        if not _DIGITS.fullmatch(arguments[1]) or int(arguments[1]) > 65535:
            raise ValueError("Invalid master port")
        return " ".join(arguments)

    def lines(self, text: str) -> list[str]:
        return [text or "no one"]
