"""What the harness makes of the suite's output, of its lists, and of apt's package sources."""
from __future__ import annotations

import argparse
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conformance import run, source, suite

OUTPUT = """\
Cleanup: may take some time... OK
[ready]: 4242
\x1b[1;37;49mTesting unit/type/string\x1b[0m
[\x1b[0;32;49mok\x1b[0m]: SET and GET an item (0 ms)
[ok]: DEL all keys (DB 9) (12 ms)
[ok]: DEL all keys (DB 9) (3 ms)
[\x1b[0;31;49merr\x1b[0m]: APPEND grows in steps in tests/unit/type/string.tcl
Expected 'a' to equal or match 'b'
and a second line that is not a reason
[ignore]: SETBIT values larger than UINT32_MAX: large memory flag not provided
[ignore]: Tag: needs:repl denied
[skip]: GETEX twice
[1/1 \x1b[0;33;49mdone\x1b[0m]: unit/type/string (1 seconds)

                   The End

!!! WARNING The following tests failed:

*** [err]: APPEND grows in steps in tests/unit/type/string.tcl
Expected 'a' to equal or match 'b'
"""


def test_output_is_read_by_kind_and_counted() -> None:
    outcome = suite.parse(OUTPUT)
    assert outcome.passed == {"SET and GET an item": 1, "DEL all keys (DB 9)": 2}
    assert outcome.failed == {"APPEND grows in steps": "Expected 'a' to equal or match 'b'"}
    assert outcome.skipped.total() == 3
    assert outcome.skipped["SETBIT values larger than UINT32_MAX"] == 1
    assert outcome.trouble == []


def test_what_breaks_a_unit_off_is_trouble() -> None:
    text = "[ok]: one (1 ms)\n[exception]: Executing test client: I/O error reading reply.\n[err]: no name, no place\n"
    outcome = suite.parse(text)
    assert outcome.passed == {"one": 1}
    assert outcome.trouble == ["Executing test client: I/O error reading reply.", "no name, no place"]


def verdict(outcome: suite.Outcome, *expected: str) -> run.Verdict:
    return run.judge("unit/quit", outcome, Counter(expected), {("unit/quit", "later"): "lists"})


def test_a_listed_test_that_passes_is_fine_and_a_new_one_is_told() -> None:
    judged = verdict(suite.Outcome(passed=Counter({"one": 1, "two": 2})), "one", "two")
    assert (judged.passed, judged.failures, judged.new) == (3, [], Counter({"two": 1}))


def test_a_listed_test_fails_by_failing_or_by_vanishing() -> None:
    judged = verdict(suite.Outcome(failed={"one": "because"}), "one", "two")
    assert judged.failures == ["one: because", "two: did not run, though the list says it must pass"]


def test_of_two_tests_of_one_name_one_is_not_enough() -> None:
    judged = verdict(suite.Outcome(passed=Counter({"one": 1}), failed={"one": "because"}), "one", "one")
    assert judged.failures == ["one: because"]


def test_a_failing_test_must_be_accounted_for() -> None:
    judged = verdict(suite.Outcome(failed={"later": "unknown command", "stranger": "why"}))
    assert (judged.failures, judged.skipped) == (["stranger: why"], 1)


def test_trouble_is_a_failure() -> None:
    assert verdict(suite.Outcome(trouble=["timed out"])).failures == ["timed out"]


Runs = Callable[..., int]


@pytest.fixture
def run_units(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Runs:
    """Runs units that do what a function says, which is given the job and how often it has run before."""

    def run_units(do: Callable[[run.Job, int], list[str]], *units: str, jobs: int = 4) -> int:
        done: Counter[run.Job] = Counter()

        def run_one(tests: suite.Suite, job: run.Job, options: argparse.Namespace, beyond: object) -> run.Verdict:
            done[job] += 1
            return run.Verdict(1, 0, do(job, done[job] - 1))

        monkeypatch.setattr(source, "suite", lambda: tmp_path)
        monkeypatch.setattr(run, "run_one", run_one)
        return run.run(argparse.Namespace(unit=units, workers=(1,), jobs=jobs, update=False))

    return run_units


def lines(text: str) -> list[str]:
    """The first word of each line."""
    return [line.split()[0] for line in text.splitlines()]


def test_units_run_side_by_side_and_are_reported_in_order(run_units: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    together = threading.Barrier(3, timeout=20)

    def do(job: run.Job, before: int) -> list[str]:
        together.wait()
        time.sleep(0.01 * "cba".index(job.unit))
        return []

    assert run_units(do, "a", "b", "c") == 0
    assert lines(capsys.readouterr().out) == ["a", "b", "c", "3"]


def test_what_fails_beside_others_is_run_again_by_itself(run_units: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    running: list[str] = []
    others: list[int] = []

    def do(job: run.Job, before: int) -> list[str]:
        running.append(job.unit)
        if before:
            others.append(len(running) - 1)
        time.sleep(0.01)
        running.remove(job.unit)
        return ["late"] if job.unit == "broken" or (job.unit == "flaky" and not before) else []

    assert run_units(do, "flaky", "good", "broken", "fine") == 1
    printed = capsys.readouterr().out
    assert lines(printed) == ["flaky", "good", "broken", "failed:", "fine", "4"]
    assert others == [0, 0]
    assert printed.count("run again by itself after 1 failed beside other units") == 2
    assert run_units(do, "flaky", jobs=1) == 1


def test_many_failures_are_no_accident(run_units: Runs) -> None:
    again: list[str] = []

    def do(job: run.Job, before: int) -> list[str]:
        again.extend([job.unit] * before)
        return ["broken"]

    units = [str(number) for number in range(run.RERUNS + 3)]
    assert run_units(do, *units) == len(units)
    assert again == units[:run.RERUNS]


def test_ending_the_suite_ends_what_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests/test_helper.tcl").write_text("echo '[ok]: one (1 ms)'; echo begun >begun; sleep 600; true")
    monkeypatch.setattr(suite, "tclsh", lambda: "sh")
    tests = suite.Suite(tmp_path)
    outcomes: list[suite.Outcome] = []
    thread = threading.Thread(target=lambda: outcomes.append(tests.run_unit("unit/quit", 1, 2, 300)))
    thread.start()
    while not (tmp_path / "begun").exists():
        time.sleep(0.001)
    tests.end()
    thread.join(timeout=20)
    assert outcomes[0].passed == {"one": 1} and outcomes[0].trouble
    assert tests.run_unit("unit/quit", 1, 2, 300).trouble == ["not run any more"]


def test_update_adds_and_takes_out_of_the_rest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "HERE", tmp_path)
    monkeypatch.setattr(run, "BEYOND", tmp_path / "beyond.tsv")
    run.BEYOND.write_text("# unit, needs, name\nunit/quit\tlists\tlater\nunit/quit\tsets\tmuch later\n")
    run.update(run.Job("unit/quit", 1), Counter(["later"]))
    assert run.read_beyond() == {("unit/quit", "later"): "lists", ("unit/quit", "much later"): "sets"}
    run.update(run.Job("unit/quit", 3), Counter(["later", "later"]))
    assert run.read_beyond() == {("unit/quit", "much later"): "sets"}
    assert run.read_expected(3, "unit/quit") == {"later": 2}


def test_every_unit_has_its_lists_and_what_all_pass_waits_for_nothing() -> None:
    beyond = run.read_beyond()
    for unit in run.UNITS:
        lists = [run.read_expected(workers, unit) for workers in run.WORKERS]
        assert all(lists) or unit in run.NOTHING_YET, f"no list for {unit}"
        assert not [name for name in set.intersection(*map(set, lists)) if (unit, name) in beyond]
    assert {unit for unit, _ in beyond} <= set(run.UNITS)


def test_source_entries_come_from_the_machines_own(tmp_path: Path) -> None:
    (tmp_path / "sources.list.d").mkdir()
    (tmp_path / "sources.list").write_text("# nothing here any more\n")
    (tmp_path / "sources.list.d/old.list").write_text(
        "deb [signed-by=/k.gpg] http://mirror.invalid/debian stable main\n"
        "deb-src [signed-by=/k.gpg] http://mirror.invalid/debian stable main\n# deb http://off.invalid x main\n"
    )
    (tmp_path / "sources.list.d/new.sources").write_text(
        "Types: deb\nURIs: http://mirror.invalid/debian\nSuites: stable\nComponents: main\n\n"
        "Enabled: no\nTypes: deb\nURIs: http://off.invalid/\nSuites: stable\nComponents: main\n"
    )
    (tmp_path / "sources.list.d/ignored.list.off").write_text("deb http://off.invalid x main\n")
    entries = source.source_entries(tmp_path)
    assert entries[".list"] == "deb-src [signed-by=/k.gpg] http://mirror.invalid/debian stable main\n"
    assert "Types: deb-src\nURIs: http://mirror.invalid/debian\n" in entries[".sources"]
    assert "off.invalid" not in str(entries)


def test_the_suite_is_made_anew_when_its_adjustments_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "redis-7.0.1/tests").mkdir(parents=True)
    (tmp_path / "redis-7.0.1/src").mkdir()
    (tmp_path / "redis-7.0.1/tests/one.tcl").write_text("before\n")
    (tmp_path / "apt").mkdir()
    archive = shutil.make_archive(str(tmp_path / "apt/redis_7.0.1.orig"), "gztar", tmp_path, "redis-7.0.1")
    Path(f"{archive}.asc").write_text("a signature")
    for name, path in (("WORK", ""), ("APT", "apt"), ("SUITE", "redis"), ("ADJUSTED", "redis/adjusted")):
        monkeypatch.setattr(source, name, tmp_path / path)
    for after in ("after", "later"):
        monkeypatch.setattr(source, "ADJUSTMENTS", (("tests/one.tcl", "before", after),))
        for _ in range(2):
            one = source.suite() / "tests/one.tcl"
            assert one.read_text() == f"{after}\n"
            kept = one.stat().st_ino
        assert (source.suite() / "tests/one.tcl").stat().st_ino == kept
    monkeypatch.setattr(source, "ADJUSTMENTS", (("tests/one.tcl", "not there", ""),))
    with pytest.raises(source.SourceError, match="not as expected"):
        source.suite()
