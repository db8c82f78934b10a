"""Brings Redis 7.0's source package here, through apt as the machine has it configured, and makes its suite ready.

Nothing outside `.conformance/` is written: apt gets folders of its own for its lists and cache, and a list of source
entries derived from the entries the machine already has. No privileges are needed.
"""
from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / ".conformance"
APT = WORK / "apt"
SUITE = WORK / "redis"
ADJUSTED = SUITE / "adjusted"  # which adjustments were made
VERSION = "7.0."
FETCH_SECONDS = 300

# What the suite takes for granted of an external server and this version of shardkv has not: file, text, replacement.
ADJUSTMENTS = (
    # FUNCTION comes with scripting; every unit begins with it.
    ("tests/support/server.tcl", "    r function flush\n", "    catch {r function flush}\n"),
    # There is no append-only file yet: the tests that ask for a server with one are passed over.
    (
        "tests/support/server.tcl", "proc run_external_server_test {code overrides} {\n",
        "proc run_external_server_test {code overrides} {\n    if {[dict exists $overrides appendonly]} {return}\n",
    ),
    # Small lists, and small sets of strings, are packed since Redis 7.2.
    (
        "tests/support/test.tcl", "    set val [r object encoding $key]\n    assert_match $enc $val\n",
        "    set val [r object encoding $key]\n"
        "    if {$enc eq {quicklist} && $val eq {listpack}} {set val $enc}\n"
        "    if {$enc eq {hashtable} && $val eq {listpack} && [r type $key] eq {set}} {set val $enc}\n"
        "    assert_match $enc $val\n",
    ),
    # Kept from external servers because of its maxclients, which CONFIG SET can change as well.
    ("tests/unit/limits.tcl", '"limits network external:skip"', '"limits network"'),
    # Servers with an append-only file.
    (
        "tests/unit/type/stream-cgroups.tcl", 'needs:debug"} overrides {appendonly yes aof-use-rdb-preamble no append',
        'needs:debug external:skip"} overrides {appendonly yes aof-use-rdb-preamble no append',
    ),
    (
        "tests/unit/type/stream-cgroups.tcl", 'needs:debug"} overrides {appendonly yes aof-use-rdb-preamble no}',
        'needs:debug external:skip"} overrides {appendonly yes aof-use-rdb-preamble no}',
    ),
    # It looks into Redis's own table, and leaves its settings behind when it cannot.
    ("tests/unit/type/set.tcl", "    } {OK} {needs:debug slow}", "    } {OK} {needs:debug slow external:skip}"),
    # Small sets of strings are packed since Redis 7.2; with a limit of 0 they are what 7.0 expects.
    (
        "tests/unit/type/set.tcl", '        "set-max-intset-entries" 512\n    }\n} {\n    proc create_set',
        '        "set-max-intset-entries" 512\n        "set-max-listpack-entries" 0\n    }\n} {\n    proc create_set',
    ),
    # What it asks of memory, it can ask of any server.
    ("tests/unit/memefficiency.tcl", '"memefficiency external:skip"', '"memefficiency"'),
)


class SourceError(Exception):
    """The suite could not be had; the text is for the user."""


def suite() -> Path:
    """Folder of Redis's source, ready for the suite to be run in; fetches it the first time. Raises SourceError."""
    if not ADJUSTED.exists() or ADJUSTED.read_text() != repr(ADJUSTMENTS):
        _unpack(_archive() or _download())
    link_programs(SUITE)
    return SUITE


def _archive() -> Path | None:
    found = [path for path in APT.glob(f"redis_*{VERSION}*.orig.tar.*") if path.suffix != ".asc"]
    return max(found, default=None)


def _download() -> Path:
    for folder in ("lists/partial", "cache/archives/partial", "parts"):
        (APT / folder).mkdir(parents=True, exist_ok=True)
    entries = source_entries(Path("/etc/apt"))
    if not entries:
        raise SourceError("apt has no package sources here, so Redis's source cannot be fetched")
    for old in APT.glob("sources.*"):
        old.unlink()
    for ending, text in entries.items():
        (APT / "parts" / f"shardkv{ending}").write_text(text)
    options = [
        f"-oDir::Etc::sourcelist={APT}/none", f"-oDir::Etc::sourceparts={APT}/parts",
        f"-oDir::State::lists={APT}/lists", f"-oDir::Cache={APT}/cache", "-oAcquire::Languages=none",
        "-oAPT::Sandbox::User=root", "-qq",
    ]
    _run(["apt-get", *options, "update"], APT, check=False)  # one entry without sources does not matter
    _run(["apt-get", *options, "--download-only", "source", "redis"], APT)
    found = _archive()
    if found is None:
        got = ", ".join(path.name for path in APT.glob("redis_*.dsc")) or "nothing"
        raise SourceError(f"apt's source package of redis is not {VERSION}x but {got}")
    return found


def _run(command: list[str], folder: Path, check: bool = True) -> None:
    try:
        done = subprocess.run(
            command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=FETCH_SECONDS
        )
    except FileNotFoundError:
        raise SourceError(f"{command[0]} is missing: the suite comes as a Debian source package") from None
    except subprocess.TimeoutExpired:
        raise SourceError(f"{command[0]} did not end within {FETCH_SECONDS} seconds") from None
    if check and done.returncode:
        raise SourceError(f"{command[0]} failed: {' | '.join((done.stderr or done.stdout).splitlines()[-3:])}")


def source_entries(folder: Path) -> dict[str, str]:
    """apt's entries below `folder`, asking for sources instead of packages: texts by ending (.list, .sources)."""
    texts: dict[str, list[str]] = {".list": [], ".sources": []}
    for path in [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))]:
        if not path.is_file():
            continue
        text = path.read_text(errors="replace")
        if path.suffix == ".list":
            entries = (re.fullmatch(r"\s*deb(?:-src)?(\s+.*)", line) for line in text.splitlines())
            texts[".list"] += [f"deb-src{entry[1]}" for entry in entries if entry]
        elif path.suffix == ".sources":
            for stanza in re.split(r"\n\s*\n", text):
                changed, count = re.subn(r"(?im)^types:.*$", "Types: deb-src", stanza)
                if count and not re.search(r"(?im)^enabled:\s*no", stanza):
                    texts[".sources"].append(changed.strip("\n") + "\n")
    unique = {ending: list(dict.fromkeys(entries)) for ending, entries in texts.items()}
    return {ending: "\n".join(entries) + "\n" for ending, entries in unique.items() if entries}


def _unpack(archive: Path) -> None:
    fresh = WORK / "unpacked"
    shutil.rmtree(fresh, ignore_errors=True)
    shutil.rmtree(SUITE, ignore_errors=True)
    fresh.mkdir(parents=True)
    _run(["tar", "-xf", str(archive)], fresh)
    (inside,) = fresh.iterdir()
    for name, old, new in ADJUSTMENTS:
        path = inside / name
        text = path.read_text()
        if text.count(old) != 1:
            raise SourceError(f"{name} of {archive.name} is not as expected: {old.strip()!r} is not there once")
        path.write_text(text.replace(old, new))
    (inside / ADJUSTED.name).write_text(repr(ADJUSTMENTS))
    inside.rename(SUITE)
    fresh.rmdir()


def link_programs(suite_folder: Path) -> None:
    """Puts the machine's Redis programs where the suite looks for them; tests that need one that is missing fail."""
    for name in ("redis-cli", "redis-benchmark", "redis-server"):
        link, program = suite_folder / "src" / name, shutil.which(name)
        if program and not link.exists():
            link.symlink_to(program)
