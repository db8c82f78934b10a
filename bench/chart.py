"""Draws docs/bench.png: shardkv's throughput as multiples of redis-server's, a bar a test and depth."""
from __future__ import annotations

from pathlib import Path
from typing import Any

from bench.report import ratio

COLOURS = {"1": "#9db4c8", "16": "#1f5f8b"}
INK, FAINT = "#22303a", "#d7dde2"


def draw(results: dict[str, Any], path: Path) -> None:
    """Writes the chart to `path` as PNG."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figures, how = results["throughput"]["rows"], results["throughput"]["how"]
    depths = list(figures)
    tests = list(figures[depths[0]])
    height = 0.8 / len(depths)
    figure, axes = pyplot.subplots(figsize=(8, 1.7 + 0.4 * len(tests)), dpi=160)
    widest = 1.0
    for place, depth in enumerate(depths):
        values = [ratio(figures[depth][test]) for test in tests]
        widest = max(widest, *values)
        rows = [row + (place - (len(depths) - 1) / 2) * height for row in range(len(tests))]
        axes.barh(rows, values, height * 0.9, color=COLOURS[depth], label=label(depth), zorder=2)
        for row, value in zip(rows, values, strict=True):
            # On white, and above the line at 1: a value just below it would be struck out.
            axes.text(
                value + 0.012 * widest, row, f"{value:.2f}", va="center", fontsize=7.5, color=INK, zorder=4,
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5},
            )
    axes.axvline(1.0, color=INK, linewidth=1.2, linestyle=(0, (4, 3)), zorder=3)
    axes.text(1.0, -0.62, "redis-server", ha="center", va="bottom", fontsize=8.5, color=INK)
    axes.set_xlim(0, widest * 1.12)
    axes.set_ylim(len(tests) - 0.45, -0.6)
    axes.set_yticks(range(len(tests)), [test.upper().replace("_", " ") for test in tests], fontsize=9.5, color=INK)
    axes.tick_params(axis="both", length=0, colors=INK)
    axes.xaxis.grid(True, color=FAINT, linewidth=0.8, zorder=0)
    axes.spines[:].set_visible(False)
    axes.legend(
        loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=len(depths), frameon=False, fontsize=9, labelcolor=INK
    )
    versions, machine = how["versions"], results["machine"]
    figure.suptitle("Requests a second, as multiples of redis-server", fontsize=13, color=INK, y=0.985)
    figure.text(
        0.5, 0.005, ha="center", fontsize=7.5, color="#66747f",
        s=f"shardkv {versions['shardkv']}, redis-server {versions['redis']}; {machine['cores']} cores shared with "
        f"redis-benchmark, {how['clients']} clients; medians of {how['rounds']} rounds",
    )
    figure.tight_layout(rect=(0, 0.02, 1, 1))
    figure.savefig(path)
    pyplot.close(figure)


def label(depth: str) -> str:
    """A depth in words."""
    return "one request at a time" if depth == "1" else f"{depth} requests pipelined"
