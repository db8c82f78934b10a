"""Turns bench/results.json into text: the table `make bench` prints, and the figures in README.md (`--readme`)."""
from __future__ import annotations

import argparse
import json
import statistics
import sys
from typing import Any

from bench import fill
from bench.servers import ROOT

README = ROOT / "README.md"
BEGIN, END = "<!-- figures: made by `make docs` -->", "<!-- end of figures -->"


def ratio(results: dict[str, Any], depth: str, test: str) -> float:
    """shardkv's requests a second divided by redis-server's: the median of the rounds, in each of which both ran one
    after the other, so that what else the machine did at that time mostly cancels out."""
    row = results["throughput"][depth][test]
    rounds = zip(row["shardkv"]["rates"], row["redis"]["rates"], strict=True)
    return float(statistics.median(ours / theirs for ours, theirs in rounds))


def cpu_ratio(results: dict[str, Any], depth: str, test: str) -> float:
    """CPU time a request of all of shardkv's processes divided by redis-server's, medians."""
    row = results["throughput"][depth][test]
    return float(row["shardkv"]["cpu_us"]) / float(row["redis"]["cpu_us"])


def table(results: dict[str, Any]) -> str:
    """The whole of it for a terminal."""
    lines = [
        "",
        f"{'':<16}{'requests a second':>24}{'':>8}{'CPU µs a request':>22}{'':>8}{'p50/p99/p99.9 ms':>26}",
        f"{'test':<13}{'P':>3}{'shardkv':>12}{'redis':>12}{'ratio':>8}{'shardkv':>11}{'redis':>11}{'ratio':>8}"
        f"{'shardkv':>19}{'redis':>19}",
    ]
    for depth, tests in results["throughput"].items():
        for test, row in tests.items():
            ours, theirs = row["shardkv"], row["redis"]
            lines.append(
                f"{test:<13}{depth:>3}{ours['rps']:>12,.0f}{theirs['rps']:>12,.0f}{ratio(results, depth, test):>8.2f}"
                f"{ours['cpu_us']:>11.2f}{theirs['cpu_us']:>11.2f}{cpu_ratio(results, depth, test):>8.2f}"
                f"{latency(ours):>19}{latency(theirs):>19}"
            )
    width = max(len(what) for what, _, _ in memory(results)) + 2
    lines += ["", f"{'':<{width}}{'as the servers count':>29}{'as the system counts':>29}"]
    lines.append(f"{'bytes each of':<{width}}" + f"{'shardkv':>12}{'redis':>9}{'ratio':>8}" * 2)
    for what, ours, theirs in memory(results):
        pairs = [(ours[name], theirs[name]) for name in ("counted", "real")]
        lines.append(f"{what:<{width}}" + "".join(f"{a:>12.1f}{b:>9.1f}{a / b:>8.2f}" for a, b in pairs))
    return "\n".join([*lines, "", *(f"{name}: {value}" for name, value in facts(results))])


def latency(row: dict[str, Any]) -> str:
    """Three percentiles in few characters."""
    return "/".join(f"{row[name]:.2f}" for name in ("p50_ms", "p99_ms", "p999_ms"))


def facts(results: dict[str, Any]) -> list[tuple[str, str]]:
    """What is not a rate: name and text."""
    found = []
    for depth, tests in results["throughput"].items():
        for test in ("get", "set"):
            if test in tests:
                roles = ", ".join(f"{role} {us:.2f}" for role, us in tests[test]["shardkv"]["cpu_us_by_role"].items())
                found.append((f"CPU µs of a {test.upper()} at depth {depth}", roles))
    if missing := results.get("missing"):
        found.append(("not measured, as shardkv has no such command yet", ", ".join(missing)))
    if "death" in results:
        pauses = results["death"]["pauses_ms"]
        text = f"median {statistics.median(pauses):.1f} ms, longest {max(pauses):.1f} ms (without a kill "
        text += f"{results['death']['undisturbed_ms']:.1f} ms), {results['death']['wrong_replies']} wrong replies"
        found.append((f"longest pause of a client when a worker is killed under load, {len(pauses)} kills", text))
    if "restart_seconds" in results:
        keys = results["settings"]["keys"]
        found.append((f"from start to all of {keys:,} keys after a stop", f"{results['restart_seconds']:.2f} s"))
    return found


def memory(results: dict[str, Any]) -> list[tuple[str, dict[str, Any], dict[str, Any]]]:
    """What was filled, and what an element of it takes in shardkv and in redis-server."""
    count = f"{results['settings']['keys']:,}"
    rows = [(f"{count} strings of {fill.VALUE_BYTES} bytes", results["memory"]["shardkv"], results["memory"]["redis"])]
    for kind, row in results.get("collections", {}).items():
        many = kind if kind == fill.SMALL_HASHES else fill.COLLECTIONS[kind].many
        rows.append((f"{count} {many}", row["shardkv"], row["redis"]))
    return rows


def markdown(results: dict[str, Any]) -> str:
    """The figures for README.md."""
    machine, how = results["machine"], results["settings"]
    depths = list(results["throughput"])
    lines = [
        f"{machine['cores']} cores ({machine['cpu']}) shared with the load generator; medians of {how['rounds']} "
        f"rounds in alternation with redis-server {how['versions']['redis']}, {how['clients']} clients.",
        "",
        "| redis-benchmark |" + "".join(f" depth {depth}: shardkv | redis | ratio | CPU |" for depth in depths),
        "| --- |" + " --: | --: | --: | --: |" * len(depths),
    ]
    lines += [
        f"| {test.upper()} |" + "".join(throughput_cells(results, depth, test) for depth in depths)
        for test in results["throughput"][depths[0]]
    ]
    lines += [
        "",
        "Requests a second; ratio: shardkv's divided by redis-server's in the same round, the median of the rounds; "
        "CPU: CPU time a request, of all processes, the medians divided.",
        "",
        "| bytes each of | counted: shardkv | redis | ratio | resident: shardkv | redis | ratio |",
        "| --- | --: | --: | --: | --: | --: | --: |",
    ]
    for what, ours, theirs in memory(results):
        cells = (memory_cells(ours[name], theirs[name]) for name in ("counted", "real"))
        lines.append(f"| {what} |{''.join(cells)}")
    lines += ["", "Counted: `used_memory`; resident: as the system counts, anonymous pages and blocks of the arenas."]
    return "\n".join([*lines, "", *(f"- {name}: {value}" for name, value in facts(results))])


def throughput_cells(results: dict[str, Any], depth: str, test: str) -> str:
    """A test's figures at one depth, as cells of a table in Markdown."""
    row = results["throughput"][depth][test]
    shares = [ratio(results, depth, test), cpu_ratio(results, depth, test)]
    return f" {row['shardkv']['rps']:,.0f} | {row['redis']['rps']:,.0f} | {shares[0]:.2f} | {shares[1]:.2f} |"


def memory_cells(ours: float, theirs: float) -> str:
    """Bytes in both servers, as cells of a table in Markdown."""
    return f" {ours:.1f} | {theirs:.1f} | {ours / theirs:.2f} |"


def write_readme(results: dict[str, Any]) -> None:
    """Replaces what stands between the two marks in README.md."""
    before, begin, rest = README.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"README.md has no '{BEGIN}' … '{END}'")
    README.write_text(f"{before}{BEGIN}\n{markdown(results)}\n{END}{after}")


def main() -> int:
    """Prints the table of the last figures, or puts them into README.md."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--readme", action="store_true", help="write README.md's figures")
    options = parser.parse_args()
    path = ROOT / "bench/results.json"
    if not path.exists():
        print("no bench/results.json yet: make bench", file=sys.stderr)
        return 1
    results = json.loads(path.read_text())
    if options.readme:
        write_readme(results)
    else:
        print(table(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
