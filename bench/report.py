"""Turns bench/results.json into text: what `make bench` prints, and the figures in README.md (`--readme`).

A part that was not measured has no table. Ratios are shardkv's figure divided by the rival's.
"""
from __future__ import annotations

import argparse
import statistics
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import facts, fill, memory, rivals, store
from bench.compare import OURS
from bench.servers import ROOT

README = ROOT / "README.md"
RESULTS = ROOT / "bench/results.json"
BEGIN, END = "<!-- figures: made by `make docs` -->", "<!-- end of figures -->"
THEIRS = rivals.DEBIAN
Results = dict[str, Any]


@dataclass
class Table:
    """A head, rows of as many cells, and a line below that says what they are."""

    head: list[str]
    rows: list[list[str]] = field(default_factory=list)
    note: str = ""

    def markdown(self) -> list[str]:
        """Lines for README.md."""
        lines = [f"| {' | '.join(self.head)} |", "| --- |" + " --: |" * (len(self.head) - 1)]
        return [*lines, *(f"| {' | '.join(row)} |" for row in self.rows), "", self.note, ""]

    def text(self) -> list[str]:
        """Lines for a terminal."""
        widths = [max(len(row[place]) for row in (self.head, *self.rows)) for place in range(len(self.head))]
        lines = [
            "  ".join(
                cell.rjust(width) if place else cell.ljust(width)
                for place, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
            for row in (self.head, *self.rows)
        ]
        return ["", *lines, *([self.note] if self.note else [])]


def tables(results: Results) -> list[Table]:
    """What was measured and makes a table."""
    makers = (
        throughput_table, latency_table, busy_table, rates_table, transactions_table, handover_table, memory_table,
    )
    return [table for make in makers if (table := make(results)) and table.rows]


def ratio(row: Results, theirs: str = THEIRS) -> float:
    """shardkv's requests a second divided by a rival's: the median of the rounds, in each of which both ran one after
    the other, so that what else the machine did at that time mostly cancels out."""
    rounds = zip(row[OURS]["rates"], row[theirs]["rates"], strict=False)  # rivals may be of another run, of more rounds
    return float(statistics.median(ours / others for ours, others in rounds))


def quotient(row: Results, name: str, theirs: str = THEIRS) -> float:
    """A figure of shardkv's divided by a rival's."""
    return float(row[OURS][name]) / float(row[theirs][name])


def part(results: Results, name: str) -> tuple[Results, Results]:
    """Rows of a part, and how it was measured; both empty when it was not."""
    found = results.get(name, {})
    return found.get(store.ROWS, {}), found.get(store.HOW, {})


def named(how: Results, kind: str) -> str:
    """A server's name with its version."""
    return rivals.title(kind, how["versions"].get(kind, ""))


def others(how: Results, rows: list[Results]) -> list[str]:
    """The rivals that took part in all of the rows, Debian's first."""
    return [kind for kind in rivals.KINDS if kind in how["versions"] and all(kind in row for row in rows)]


def throughput_table(results: Results) -> Table | None:
    """redis-benchmark's tests, at each depth."""
    rows, how = part(results, "throughput")
    if not rows:
        return None
    table = Table(["redis-benchmark"])
    for depth in rows:
        table.head += [f"depth {depth}: shardkv", "redis", "ratio", "CPU"]
    for test in next(iter(rows.values())):
        cells = [test.upper()]
        for depth in rows:
            row = rows[depth].get(test)
            cells += throughput_cells(row) if row else ["", "", "", ""]
        table.rows.append(cells)
    table.note = (
        f"Requests a second of {how['clients']} clients, {named(how, THEIRS)}; ratio: the median of those of "
        f"{how['rounds']} rounds; CPU: CPU time a request, of all processes, the medians divided."
    )
    return table


def throughput_cells(row: Results) -> list[str]:
    """A test's figures at one depth."""
    rates = [f"{row[kind]['rps']:,.0f}" for kind in (OURS, THEIRS)]
    return [*rates, f"{ratio(row):.2f}", f"{quotient(row, 'cpu_us'):.2f}"]


def latency_table(results: Results) -> Table | None:
    """Few clients, one request at a time."""
    return few_clients(results, "latency", "one request at a time", "")


def busy_table(results: Results) -> Table | None:
    """The same beside busy processes."""
    return few_clients(results, "busy", "beside four busy processes", ", while four processes want every core")


def few_clients(results: Results, name: str, title: str, where: str) -> Table | None:
    """Rates and percentiles by number of clients."""
    rows, how = part(results, name)
    flat = [(clients, test, row) for clients, tests in rows.items() for test, row in tests.items()]
    if not flat:
        return None
    kinds = others(how, [row for _, _, row in flat])
    table = Table([title, "shardkv: a second", "p50 µs", "p99 µs"])
    table.head += ["redis: a second", "p50 µs", "p99 µs"] if THEIRS in kinds else []
    table.head += [f"ratio to {how['versions'][kind]}" for kind in kinds]
    for clients, test, row in flat:
        cells = [f"{clients} client{'s' * (clients != '1')}, {test.upper()}"]
        for kind in (OURS, *([THEIRS] if THEIRS in kinds else [])):
            cells += [f"{row[kind]['rps']:,.0f}", *(f"{row[kind][share]:.0f}" for share in ("p50_us", "p99_us"))]
        table.rows.append([*cells, *(f"{ratio(row, kind):.2f}" for kind in kinds)])
    names = ", ".join(named(how, kind) for kind in kinds)
    table.note = f"Medians of {how['rounds']} rounds with {names}, under bench/generator.c{where}."
    return table


def rates_table(results: Results) -> Table | None:
    """All rivals under the generator of our own."""
    rows, how = part(results, "rates")
    if not rows:
        return None
    kinds = others(how, [row for tests in rows.values() for row in tests.values()])
    table = Table(["bench/generator.c"])
    for depth in rows:
        table.head += [f"depth {depth}: shardkv", *(f"to {how['versions'][kind]}" for kind in kinds)]
    for test in next(iter(rows.values())):
        cells = [test.upper()]
        for depth in rows:
            row = rows[depth].get(test)
            cells += [f"{row[OURS]['rps']:,.0f}", *(f"{ratio(row, kind):.2f}" for kind in kinds)] if row else (
                [""] * (1 + len(kinds))
            )
        table.rows.append(cells)
    costs = [row[OURS]["cpu_us"] for row in rows.get("16", {}).values()]
    costs_text = f", which takes {statistics.median(costs):.1f} µs a request itself at depth 16" if costs else ""
    table.note = (
        f"Requests a second of 50 clients under a generator that only counts replies{costs_text}; ratios to "
        f"{', '.join(named(how, kind) for kind in kinds)}, medians of {how['rounds']} rounds."
    )
    return table


def transactions_table(results: Results) -> Table | None:
    """Transactions, and commands on keys of several shards."""
    rows, how = part(results, "transactions")
    rows = rows.get("rates", {})
    if not rows:
        return None
    table = Table(["several keys"])
    for depth in rows:
        table.head += [f"depth {depth}: shardkv", "redis", "ratio"]
    for test in dict.fromkeys(test for tests in rows.values() for test in tests):
        cells = [test]
        for depth in rows:
            row = rows[depth].get(test)
            rates = [f"{row[kind]['rps']:,.0f}" for kind in (OURS, THEIRS)] if row else ["", ""]
            cells += [*rates, f"{ratio(row):.2f}" if row else ""]
        table.rows.append(cells)
    table.note = (
        f"A second, with three workers, {named(how, THEIRS)}; 50 clients (RENAME: one) under bench/generator.c; ratio: "
        f"the median of those of {how['rounds']} rounds."
    )
    return table


def handover_table(results: Results) -> Table | None:
    """Elements for clients that wait."""
    rows, how = part(results, "transactions")
    flat = [(command, waiters, row) for command, by_waiters in rows.get("handover", {}).items()
            for waiters, row in by_waiters.items()]
    if not flat:
        return None
    table = Table(["handed to who waits"])
    for name in (OURS, "redis"):
        table.head += [f"{name}: p50 µs", "p99 µs", "a second"]
    table.head += ["p50", "rate"]
    for command, waiters, row in flat:
        cells = [f"{command}, {int(waiters):,} waiting"]
        for kind in (OURS, THEIRS):
            cells += [f"{row[kind]['p50_us']:.0f}", f"{row[kind]['p99_us']:.0f}", f"{row[kind]['rps']:,.0f}"]
        table.rows.append([*cells, f"{quotient(row, 'p50_us'):.2f}", f"{ratio(row):.2f}"])
    table.note = (
        f"From a push's departure to the arrival of what a waiting client gets by it, {named(how, THEIRS)}: "
        f"percentiles of one push at a time, the rate of up to 16; p50: the medians divided; {how['rounds']} rounds."
    )
    return table


def memory_table(results: Results) -> Table | None:
    """Bytes a key and an element."""
    rows, how = part(results, "memory")
    rows = {kind: row for kind, row in rows.items() if OURS in row}
    if not rows:
        return None
    kinds = [OURS, *(kind for kind in rivals.KINDS if kind in how["versions"])]
    table = Table([f"bytes each of {how['keys']:,}"])
    for heading in ("counted", "resident"):
        table.head += [f"{heading}: shardkv", *(how["versions"][kind] for kind in kinds[1:])]
    for what in sorted(rows, key=memory.KINDS.index):
        cells = [(rows[what].get(kind, {}).get(name)) for name in ("counted", "real") for kind in kinds]
        table.rows.append([memory_of(what), *("" if value is None else f"{value:.1f}" for value in cells)])
    table.note = (
        "Counted: `used_memory`; resident: as the system counts, anonymous pages and blocks of the arenas. "
        f"{', '.join(named(how, kind) for kind in kinds[1:])}."
    )
    return table


def memory_of(kind: str) -> str:
    """What was filled in, in words."""
    if kind == memory.STRINGS:
        return f"strings of {fill.VALUE_BYTES} bytes"
    return fill.COLLECTIONS[kind].many if kind in fill.COLLECTIONS else kind


def text(results: Results) -> str:
    """The whole of it for a terminal."""
    lines = [line for table in tables(results) for line in table.text()]
    return "\n".join([*lines, "", *(f"{name}: {value}" for name, value in facts.facts(results))])


def markdown(results: Results) -> str:
    """The figures for README.md."""
    machine = results["machine"]
    lines = [f"{machine['cores']} cores ({machine['cpu']}) shared with the load generator.", ""]
    lines += [line for table in tables(results) for line in table.markdown()]
    return "\n".join([*lines, *(f"- {name}: {value}" for name, value in facts.facts(results))])


def write_readme(results: Results, readme: Path) -> None:
    """Replaces what stands between the two marks in README.md."""
    before, begin, rest = readme.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{readme.name} has no '{BEGIN}' … '{END}'")
    readme.write_text(f"{before}{BEGIN}\n{markdown(results)}\n{END}{after}")


def main() -> int:
    """Prints the tables of the last figures, or puts them into README.md."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--readme", nargs="?", type=Path, const=README, help="write the figures of README.md, or FILE")
    parser.add_argument("--results", type=Path, default=RESULTS, help="the figures (bench/results.json)")
    options = parser.parse_args()
    results = store.load(options.results) if options.results.exists() else {}
    if not results:
        print(f"no figures of this format in {options.results.name} yet: make bench", file=sys.stderr)
        return 1
    if options.readme:
        write_readme(results, options.readme)
    else:
        print(text(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
