"""What holds for every file of the tree: files are short, packages are whole, and nothing of one machine is in them."""
from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
MOST_LINES = 500
CODE = {".py", ".pyx", ".pxd", ".h", ".pyi", ".tcl", ".sh"}
HOME = re.compile(r"(?<![\w.])/(?:home|root|work|Users)/\w")


def tracked() -> list[Path]:
    """Text files under version control; without git, those of the packages and tests."""
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    names = [ROOT / name for name in done.stdout.split("\0") if name]
    if not names:
        folders = ("shardkv", "workers", "tests", "bench", "docs")
        names = [path for folder in folders for path in (ROOT / folder).rglob("*")]
    return [path for path in names if path.is_file() and path.suffix not in (".png", ".so", ".pyc")]


def test_files_are_short() -> None:
    lengths = {path: len(path.read_text().splitlines()) for path in tracked() if path.suffix in CODE}
    too_long = {str(path.relative_to(ROOT)): lines for path, lines in lengths.items() if lines > MOST_LINES}
    assert not too_long, f"longer than {MOST_LINES} lines: {too_long}"


def test_no_paths_of_one_machine() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in tracked()
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if HOME.search(line) and path != Path(__file__).resolve()
    ]
    assert not found


@pytest.mark.parametrize("package", ["shardkv", "workers"])
def test_every_folder_of_code_is_a_package(package: str) -> None:
    folders = {path.parent for path in (ROOT / package).rglob("*.py*") if path.suffix in CODE}
    missing = sorted(str(folder.relative_to(ROOT)) for folder in folders if not (folder / "__init__.py").exists())
    assert not missing, "folders without __init__.py are left out of the wheel"
    assert (ROOT / package / "py.typed").exists()


def test_setup_stays_small() -> None:
    assert len((ROOT / "setup.py").read_text().splitlines()) < 50
