"""Segments: content, hostile names and sizes, a full disk."""
from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest

from shardkv._testing_ring import Segments
from shardkv.segment import SegmentError


def test_content_travels_and_the_file_goes(tmp_path: Path) -> None:
    writer, reader = Segments(str(tmp_path)), Segments(str(tmp_path))
    content = os.urandom(300_000)
    number, empty = writer.write(content), writer.write(b"")
    assert number != empty
    assert reader.read(number, len(content)) == content
    assert reader.read(empty, 0) == b""
    assert list(tmp_path.iterdir()) == []


def test_a_name_or_size_that_does_not_fit_is_an_error(tmp_path: Path) -> None:
    segments = Segments(str(tmp_path))
    with pytest.raises(SegmentError):
        segments.read(12345, 10)
    number = segments.write(b"short")
    with pytest.raises(SegmentError):
        segments.read(number, 1 << 40)


def test_no_room_is_an_error_and_leaves_no_file(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with pytest.raises(SegmentError):
            Segments(str(tmp_path)).write(b"x" * (2 << 20))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def test_ids_of_two_incarnations_differ_and_a_successor_removes_what_nothing_names(tmp_path: Path) -> None:
    first, other = Segments(str(tmp_path), 3, 1), Segments(str(tmp_path), 0x8003, 1)
    named, left, theirs = first.write(b"named"), first.write(b"left"), other.write(b"another owner's")
    second = Segments(str(tmp_path), 3, 2)
    second.sweep({named})
    assert {path.name for path in tmp_path.iterdir()} == {f"seg-{named:016x}", f"seg-{theirs:016x}"}
    assert second.write(b"new") not in (named, left, theirs)
    assert second.read(named, 5) == b"named"


def test_a_name_that_is_taken_is_passed_over(tmp_path: Path) -> None:
    once, again = Segments(str(tmp_path)), Segments(str(tmp_path))
    first = once.write(b"a")
    assert again.write(b"b") == first + 1
    assert once.write(b"c") == first + 2
