"""The grammar of redis.conf and of the command line."""
from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardkv.config.kinds import quote
from shardkv.config.parser import (
    COMMAND_LINE,
    ConfigFileError,
    parse_command_line,
    parse_file,
    parse_text,
    read_all,
    split_arguments,
)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", []),
        (" \t ", []),
        ("port 6379", ["port", "6379"]),
        ("save  3600 1\t300 100", ["save", "3600", "1", "300", "100"]),
        ('save ""', ["save", ""]),
        ("requirepass 'a b'", ["requirepass", "a b"]),
        ('requirepass "a b"', ["requirepass", "a b"]),
        (r'x "\x41\x7a\n\r\t\b\a\"\\\q"', ["x", 'Az\n\r\t\b\a"\\q']),
        (r'x "\xZZ"', ["x", "xZZ"]),
        (r"x 'it\'s \n'", ["x", r"it's \n"]),
        ('x a"b c"', ["x", "ab c"]),
        ('"port" 1', ["port", "1"]),
        ("x a#b", ["x", "a#b"]),
        (r'x "\xff"', ["x", "\udcff"]),
    ],
)
def test_arguments_of_a_line(line: str, words: list[str]) -> None:
    assert split_arguments(line) == words


@pytest.mark.parametrize("line", ['x "', "x '", 'x "a', 'x "a"b', "x 'a'b", 'x "a""b"', 'x "\\', "x '\\'"])
def test_unbalanced_quotes(line: str) -> None:
    with pytest.raises(ValueError, match="Unbalanced quotes in configuration line"):
        split_arguments(line)


@settings(max_examples=200, deadline=None)
@given(st.text(st.characters(exclude_categories=("Cs",), max_codepoint=0x2FF)))
def test_quoted_text_reads_back(text: str) -> None:
    assert split_arguments(f"x {quote(text)} y") == ["x", text, "y"]


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("ab \t\"'\\x4#\udcff"), max_size=12))
def test_any_line_is_read_or_refused(line: str) -> None:
    try:
        words = split_arguments(line)
    except ValueError:
        return
    assert split_arguments(" ".join(map(quote, words))) == words


def test_comments_blank_lines_and_case() -> None:
    found = parse_text("# comment\r\n\n  PORT 1\r\n\t#x\nbind a b\n", "f")
    assert [(each.name, each.arguments, each.line) for each in found] == [("port", ["1"], 3), ("bind", ["a", "b"], 5)]


def test_include_stands_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "a.conf").write_text("timeout 2\n")
    (tmp_path / "b.conf").write_text("timeout 3\n")
    main = tmp_path / "main"
    main.write_text(f"timeout 1\ninclude {tmp_path}/*.conf\ntimeout 4\n")
    assert [each.arguments for each in parse_file(str(main))] == [["1"], ["2"], ["3"], ["4"]]


def test_include_errors_name_the_line(tmp_path: Path) -> None:
    main = tmp_path / "main"
    main.write_text("\ninclude /no/such/file\n")
    with pytest.raises(ConfigFileError, match=r"main, line 2: cannot read /no/such/file: No such file"):
        parse_file(str(main))
    main.write_text(f"include {main}\n")
    with pytest.raises(ConfigFileError, match="include each other too deeply"):
        parse_file(str(main))
    main.write_text("include a b\n")
    with pytest.raises(ConfigFileError, match="wrong number of arguments"):
        parse_file(str(main))


@pytest.mark.parametrize(
    ("words", "file", "overrides"),
    [
        ([], "", []),
        (["/etc/x.conf"], "/etc/x.conf", []),
        (["/x", "--port", "1", "--SAVE", "1", "2"], "/x", [("port", ["1"]), ("save", ["1", "2"])]),
        (["--port 7000"], "", [("port", ["7000"])]),
        (["--port=7000", "--timeout", "5"], "", [("port", ["7000"]), ("timeout", ["5"])]),
        (["--save", "--port", "1"], "", [("save", [""]), ("port", ["1"])]),
        (["--port", "1", "--save"], "", [("port", ["1"]), ("save", [""])]),
        (["--save", ""], "", [("save", [""])]),
        (["--requirepass", "--secret"], "", [("requirepass", ["--secret"])]),
        (["--bind", "a", "-b", "--port", "0"], "", [("bind", ["a", "-b"]), ("port", ["0"])]),
        (["--port"], "", [("port", [])]),
    ],
)
def test_command_line(words: list[str], file: str, overrides: list[tuple[str, list[str]]]) -> None:
    found = parse_command_line(words)
    assert (found.file, found.standard_input) == (file, False)
    assert [(each.name, each.arguments) for each in found.overrides] == overrides


@pytest.mark.parametrize("words", [["-"], ["-", "--port", "1"], ["/dev/null", "-"], ["--port", "1", "-"]])
def test_standard_input(words: list[str]) -> None:
    found = parse_command_line(words)
    assert found.standard_input
    assert [each.name for each in read_all(found, lambda: "timeout 9\n")][0] == "timeout"


@pytest.mark.parametrize("words", [["-x"], ["--"], ["--a 'b"], ["/file", "stray"]])
def test_command_line_errors(words: list[str]) -> None:
    with pytest.raises(ConfigFileError, match=f"^{COMMAND_LINE}: "):
        parse_command_line(words)


def test_file_standard_input_and_command_line_in_order(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("timeout 1\n")
    line = parse_command_line([str(tmp_path / "f"), "--timeout", "3", "-"])
    assert [each.arguments for each in read_all(line, lambda: "timeout 2")] == [["1"], ["2"], ["3"]]
