"""CONFIG REWRITE: what is current reads back, and everything else stays as it was written."""
from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shardkv.config import ConfigFileError, Settings
from shardkv.config.parser import parse_file, parse_text
from shardkv.config.rewrite import SIGNATURE, rewrite_file, rewrite_text


def rewritten(text: str, **changes: str) -> str:
    found = Settings("/base")
    found.load(parse_text(text, "f"))
    found.apply({name.replace("_", "-"): value for name, value in changes.items()})
    return rewrite_text(found, text, "f")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# only a comment\n",
        "port 6379\n\n\n# gaps   stay\n   timeout   5\n",
        "maxmemory 1gb\nsave 60 1\nsave 30 5\nuser default on\n",
        "maxmemory-policy allkeys-lru\n",
        "dir ./somewhere\n",
    ],
)
def test_nothing_changed_nothing_touched(text: str) -> None:
    assert rewritten(text) == text


def test_a_changed_line_keeps_its_place() -> None:
    text = "# a\nmaxmemory 1gb\n# b\ntimeout 5\n"
    assert rewritten(text, maxmemory=str(512 << 20)) == "# a\nmaxmemory 512mb\n# b\ntimeout 5\n"


def test_several_lines_become_those_that_are_needed() -> None:
    text = "save 60 1\n# middle\nsave 30 5\nslave-priority 5\n"
    assert rewritten(text, save="1 2") == "save 1 2\n# middle\nslave-priority 5\n"
    assert rewritten(text, save="") == 'save ""\n# middle\nslave-priority 5\n'
    assert rewritten(text, **{"replica-priority": "7"}) == "save 60 1\n# middle\nsave 30 5\nreplica-priority 7\n"


def test_what_has_no_line_is_appended_under_one_signature() -> None:
    once = rewritten("# mine", timeout="5")
    assert once == f"# mine\n{SIGNATURE}\ntimeout 5\n"
    assert rewritten(once, hz="20") == f"# mine\n{SIGNATURE}\ntimeout 5\nhz 20\n"


def test_back_to_the_default_keeps_the_line() -> None:
    assert rewritten("timeout 5\n", timeout="0") == "timeout 0\n"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(["# c", "", "timeout 5", "save 1 2", "save 3 4", "requirepass 'x'", "bind a b", "hz 20"])),
    st.dictionaries(
        st.sampled_from(["requirepass", "masterauth", "ignore-warnings"]),
        st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0")),
    ),
    st.fixed_dictionaries(
        {}, optional={"save": st.sampled_from(["", "5 6", "5 6 7 8"]), "bind": st.sampled_from(["", "c", "a b c"])}
    ),
)
def test_rewritten_files_read_back(lines: list[str], texts: dict[str, str], others: dict[str, str]) -> None:
    text = "\n".join(lines)
    found = Settings("/base")
    found.load(parse_text(text, "f"))
    found.apply(texts | others)
    again = Settings("/base")
    again.load(parse_text(rewrite_text(found, text, "f"), "f"))
    assert again.to_wire() == found.to_wire()


def test_the_file_is_replaced_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "redis.conf"
    path.write_text("timeout 5\n")
    path.chmod(0o600)
    found = Settings("/base")
    found.load(parse_file(str(path)))
    found.set({"timeout": "6", "requirepass": "a b"})
    rewrite_file(found, str(path))
    assert path.read_text() == f'timeout 6\n{SIGNATURE}\nrequirepass "a b"\n'
    assert path.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == ["redis.conf"]


def test_a_file_that_went_bad_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "redis.conf"
    path.write_text("no-such 1\n")
    with pytest.raises(ConfigFileError):
        rewrite_file(Settings("/base"), str(path))
    assert path.read_text() == "no-such 1\n"
    with pytest.raises(OSError):
        rewrite_file(Settings("/base"), str(tmp_path / "missing" / "redis.conf"))
