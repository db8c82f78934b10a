"""The settings of a running instance: one canonical text for each directive, as CONFIG GET prints them.

Every process has a copy. A change goes through `set`, which checks all of it before it touches anything; the supervisor
passes accepted changes on as texts.
"""
from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping

from shardkv.config.directives import (
    BY_NAME,
    DIRECTIVES,
    LATER_ALIASES,
    MODULE_PREFIXES,
    NO_MODULES,
    STATEMENTS,
    Directive,
)
from shardkv.config.kinds import Value
from shardkv.config.parser import Statement, split_arguments
from shardkv.errors import CommandError
from shardkv.glob import matches as glob_matches

OnChange = Callable[[str], None]
Guard = Callable[[int], None]


class ConfigError(CommandError):
    """A change that CONFIG SET refuses; the text is the error reply."""


class Settings:
    """Values of all directives. `base` is the folder that a relative `dir` of a file is relative to."""

    def __init__(self, base: str | None = None) -> None:
        self.base = base if base is not None else os.getcwd()
        self._texts = {directive.name: directive.default for directive in DIRECTIVES}
        self._texts["dir"] = self.base
        self._values: dict[str, Value] = {}
        self._callbacks: dict[str, list[OnChange]] = {}
        self._guards: dict[str, Guard] = {}

    @staticmethod
    def from_wire(texts: Mapping[str, str]) -> Settings:
        """Settings out of another process's `to_wire`. Names unknown here are left out."""
        settings = Settings(texts.get("dir", ""))
        settings._texts.update((name, text) for name, text in texts.items() if name in settings._texts)
        return settings

    def to_wire(self) -> dict[str, str]:
        """All directives' canonical texts."""
        return dict(self._texts)

    def get(self, name: str) -> str:
        """The canonical text of a directive, by its name or alias. Raises KeyError."""
        return self._texts[BY_NAME[name.lower()].name]

    def value(self, name: str) -> Value:
        """The typed value of a directive: int (bytes, seconds), bool, str, or what its kind says. Raises KeyError."""
        if name not in self._values:
            directive = BY_NAME[name]
            self._values[name] = directive.kind.value(self._texts[directive.name])
        return self._values[name]

    def number(self, name: str) -> int:
        """The value of a directive that is a number."""
        value = self.value(name)
        assert isinstance(value, int)
        return value

    def enabled(self, name: str) -> bool:
        """The value of a yes-or-no directive."""
        return self.value(name) is True

    def words(self, name: str) -> list[str]:
        """The words of a directive's text."""
        return self._texts[BY_NAME[name].name].split()

    def match(self, pattern: str) -> dict[str, str]:
        """What CONFIG GET returns for one pattern: names, aliases included, with their texts."""
        lowered = pattern.lower()
        if not any(sign in pattern for sign in "[*?"):
            return {lowered: self.get(lowered)} if lowered in BY_NAME else {}
        glob = lowered.encode(errors="surrogateescape")
        shown = (name for name, known in BY_NAME.items() if not known.hidden and name not in LATER_ALIASES)
        return {name: self.get(name) for name in shown if glob_matches(glob, name.encode())}

    def set(self, changes: Mapping[str, str], local: bool = False) -> None:
        """CONFIG SET of several directives, all or nothing; `local` says that the client is on this host.

        Raises ConfigError with the reply's text.
        """
        directives: dict[str, Directive] = {}
        for name in changes:
            directive = BY_NAME.get(name.lower())
            if directive is None:
                raise ConfigError(f"ERR Unknown option or number of arguments for CONFIG SET - '{name}'")
            if directive.immutable:
                raise _refused(name, "can't set immutable config")
            if directive.protected and not self._permits("enable-protected-configs", local):
                raise _refused(name, "can't set protected config")
            if directive in directives.values():
                raise _refused(name, "duplicate parameter")
            directives[name] = directive
        texts = {}
        for name, directive in directives.items():
            try:
                texts[directive.name] = self._parse_change(directive, changes[name])
            except ValueError as error:
                raise _refused(directive.name, str(error)) from None
        self.apply(texts)

    def _permits(self, name: str, local: bool) -> bool:
        return self.get(name) == "yes" or (local and self.get(name) == "local")

    def _parse_change(self, directive: Directive, text: str) -> str:
        before = self._texts[directive.name]
        arguments = (text.split(" ") if text else []) if directive.kind.multiple else [text]
        parsed = directive.kind.parse(arguments, before)
        if directive.gap and parsed != directive.default:
            raise ValueError(directive.gap)
        if directive.name == "dir":
            parsed = os.path.normpath(os.path.join(before, parsed))
            if not os.path.isdir(parsed):
                raise ValueError("Not a directory" if os.path.exists(parsed) else "No such file or directory")
        if directive.name in self._guards:
            self._guards[directive.name](int(parsed))
        return parsed

    def apply(self, texts: Mapping[str, str]) -> None:
        """Takes canonical texts that another process has checked, and calls back for those that differ."""
        changed = [name for name, text in texts.items() if name in self._texts and self._texts[name] != text]
        for name in changed:
            self._texts[name] = texts[name]
            self._values.pop(name, None)
        for name in changed:
            for callback in self._callbacks.get(name, ()):
                callback(texts[name])

    def guard(self, name: str, check: Guard) -> None:
        """Has `check(value)` asked before `set` takes a number; it raises ValueError with the reason to refuse it."""
        self._guards[name] = check

    def on_change(self, name: str, callback: OnChange) -> None:
        """Calls `callback(text)` after each change of a directive. Raises KeyError."""
        self._callbacks.setdefault(BY_NAME[name].name, []).append(callback)

    def load(self, statements: Iterable[Statement]) -> list[str]:
        """Takes the statements of a configuration in order and returns warnings. Raises ConfigFileError."""
        warnings: list[str] = []
        seen: set[tuple[str, str]] = set()
        for statement in statements:
            directive = BY_NAME.get(statement.name)
            if directive is None:
                warnings += _other_statement(statement)
                continue
            # `save` lines of the command line replace those of the file.
            source = (directive.name, "" if statement.line else statement.origin)
            text = self._parse_statement(directive, statement, first=source not in seen)
            seen.add(source)
            if directive.gap and text != directive.default:
                warnings.append(f"{statement.name} {text}: {directive.gap}; going on with '{directive.default}'")
                text = directive.default
            self._texts[directive.name] = text
            self._values.pop(directive.name, None)
        return warnings

    def _parse_statement(self, directive: Directive, statement: Statement, first: bool) -> str:
        arguments = statement.arguments
        try:
            if not arguments or (len(arguments) != 1 and not directive.kind.multiple):
                raise ValueError("wrong number of arguments")
            if directive.kind.multiple and len(arguments) == 1 and arguments[0]:
                arguments = split_arguments(arguments[0])
            text = directive.kind.load(arguments, self._texts[directive.name], first)
        except ValueError as error:
            raise statement.error(str(error)) from None
        if "\0" in text:
            raise statement.error("a zero byte does not belong here")
        return os.path.normpath(os.path.join(self.base, text)) if directive.name == "dir" else text


def _refused(name: str, reason: str) -> ConfigError:
    return ConfigError(f"ERR CONFIG SET failed (possibly related to argument '{name}') - {reason}")


def _other_statement(statement: Statement) -> list[str]:
    if ("." in statement.name or statement.name.startswith(MODULE_PREFIXES)) and statement.arguments:
        return [f"{statement.name}: {NO_MODULES}"]
    if statement.name not in STATEMENTS:
        raise statement.error("unknown directive")
    low, high, warning = STATEMENTS[statement.name]
    if not low <= len(statement.arguments) <= high:
        raise statement.error("wrong number of arguments")
    return [f"{statement.name}: {warning}"] if warning else []
