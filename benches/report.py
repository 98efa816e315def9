"""Draws what `make bench` measured, and writes its table.

report.py RESULTS.TSV DOCS    writes DOCS/benchmark.md, and the plots DOCS/bench-*.svg where matplotlib is there
"""

import os
import sys
from typing import NamedTuple


class Row(NamedTuple):
    part: str
    what: str
    place: str
    size: int
    us: float
    other: float
    value: float
    low: float
    high: float
    unit: str
    target: str
    met: str
    rounds: int


NO_NEW_NAME = ("SQLite WAL FULL", "LMDB", "LevelDB", "RocksDB", "steadfast, ALTERNATE")  # they sync a file that has had its name all along
OURS, OTHERS, BARE = "#1a6fb3", "#b8b8b8", "#444444"


def read(path):
    about, rows = [], []
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("#"):
                about.append(line[1:].strip())
                continue
            f = line.rstrip("\n").split("\t")
            us, other, value, low, high = map(float, f[4:9])
            rows.append(Row(f[0], f[1], f[2], int(f[3]), us, other, value, low, high, f[9], f[10], f[11], int(f[12])))
    return about[-1], [row for row in rows if row.met != "skipped"]


def size_text(size):
    for name, unit in ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10):
        if size >= unit and size % unit == 0:
            return f"{size // unit} {name}"
    return str(size) if size else ""


def value_text(row):
    return f"{row.value:.2f}x" if row.unit == "x" else f"{row.value:,.2f} {row.unit}"


def table(about, rows):
    """Each row with a target, then the peers."""
    out = [
        f"<!-- Written by benches/report.py; do not edit. {about} -->",
        "",
        "| what | on | size | measured | quartiles | target | met |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        if row.met not in ("yes", "NO"):
            continue
        quartiles = f"{row.low:.2f}–{row.high:.2f}" if row.low else ""
        out.append(
            f"| {row.part}: {row.what.strip()} | {row.place} | {size_text(row.size)} | {value_text(row)} | {quartiles} | "
            f"{row.target} | {'yes' if row.met == 'yes' else '**no**'} |"
        )
    syncs = {row.what: row for row in rows if row.part == "syncs"}
    flushes = {(row.what, row.place): row for row in rows if row.part == "flushes"}
    peers = [row for row in rows if row.part == "peers" and row.size == 1024]
    places = list(dict.fromkeys(row.place for row in peers))
    if peers:
        out += [
            "",
            "One save of 1 KiB: times of the bare C sequence; in brackets the device flushes counted.",
            "",
            "| | syncs the file | the directory | " + " | ".join(places) + " |",
            "|---|---|---|" + "---|" * len(places),
        ]
        for name in dict.fromkeys(row.what for row in peers):
            known = syncs.get({"bare C": "bare C, as a worker", "steadfast": "steadfast, as a worker"}.get(name, name))
            cells = []
            for place in places:
                row = next((r for r in peers if r.what == name and r.place == place), None)
                counted = flushes.get((name, place))
                cells.append((f"{row.value:.2f}x" if row else "") + (f" ({counted.us:g})" if counted else ""))
            file = directory = ""
            if known:
                file, directory = (
                    ("yes" if known.us + known.other else "**no**"),
                    ("yes" if known.value else "no need" if name in NO_NEW_NAME else "**no**"),
                )
            elif name.startswith("steadfast"):
                file, directory = "yes", "no need" if name in NO_NEW_NAME else "yes"
            out.append(f"| {name} | {file} | {directory} | " + " | ".join(cells) + " |")
    return "\n".join(out) + "\n"


def style(ax, title):
    ax.set_title(title, fontsize=10, loc="left")
    ax.spines[["top", "right"]].set_visible(False)
    ax.grid(axis="both", color="#e4e4e4", linewidth=0.7)
    ax.set_axisbelow(True)


LINES = {"bare C": (BARE, "--"), "steadfast": (OURS, "-"), "steadfast, ALTERNATE": ("#d9730d", "-")}


def plot_peers(plt, rows):
    places = [p for p in dict.fromkeys(r.place for r in rows) if any(r.place == p and r.part == "peers" for r in rows)]
    disk = [p for p in places if "tmpfs" not in p][:2]
    figure, axes = plt.subplots(1, len(disk), figsize=(4.6 * len(disk) + 1.4, 4.2), sharey=True, squeeze=False)
    syncs = {r.what: r for r in rows if r.part == "syncs"}
    for ax, place in zip(axes[0], disk):
        these = [r for r in rows if r.part == "peers" and r.place == place and r.size == 1024 and "worker" not in r.what][::-1]
        names = [r.what + (" *" if r.what in syncs and not syncs[r.what].value and r.what not in NO_NEW_NAME else "") for r in these]
        colours = [OURS if r.what.startswith("steadfast") else BARE if r.what == "bare C" else OTHERS for r in these]
        ax.barh(names, [r.value for r in these], color=colours, height=0.7)
        for i, r in enumerate(these):
            ax.text(r.value, i, f" {r.value:.2f}", va="center", fontsize=8)
        style(ax, f"{place} (bare C: {these[-1].us:,.0f} us)")
        ax.set_xlabel("one save of 1 KiB, in times of the bare sequence")
        ax.margins(x=0.18)
    figure.text(0.01, 0.01, "* does not sync the directory: after a power cut the old state may be back", fontsize=8, color="#555555")
    figure.tight_layout(rect=(0, 0.03, 1, 1))
    return figure


def plot_flushes(plt, rows):
    these = [r for r in rows if r.part == "flushes" and "worker" not in r.what and r.place.startswith("ext4")][::-1]
    figure, ax = plt.subplots(figsize=(7.4, 4.4))
    colours = [OURS if r.what.startswith("steadfast") else BARE if r.what == "bare C" else OTHERS for r in these]
    ax.barh([r.what for r in these], [r.us for r in these], color=colours, height=0.7)
    for i, r in enumerate(these):
        ax.text(r.us, i, f" {r.us:.2f}" if r.us < 1.5 else f" {r.us:g}", va="center", fontsize=8)
    style(ax, "Device flushes for each state of 1 KiB, journaled ext4")
    ax.set_xlabel("flushes")
    ax.margins(x=0.1)
    figure.tight_layout()
    return figure


def plot_lines(plt, rows, part, value, xlabel, ylabel, log_y=True):
    places = list(dict.fromkeys(r.place for r in rows if r.part == part))
    figure, axes = plt.subplots(1, len(places), figsize=(3.4 * len(places) + 0.6, 3.4), sharey=log_y, squeeze=False)
    for ax, place in zip(axes[0], places):
        for name, (colour, dash) in LINES.items():
            these = [r for r in rows if r.part == part and r.place == place and r.what == name]
            if these:
                ax.plot([r.size for r in these], [value(r) for r in these], dash, color=colour, marker="o", markersize=3, label=name)
        ax.set_xscale("log", base=2)
        sizes = sorted({r.size for r in rows if r.part == part and r.place == place})
        ticks = sizes if len(sizes) <= 5 else sizes[::2]
        ax.set_xticks(ticks, [size_text(s) for s in ticks], fontsize=8, rotation=0 if len(sizes) <= 5 else 45)
        ax.minorticks_off()
        if log_y:
            ax.set_yscale("log")
        else:
            ax.set_ylim(bottom=0)
        style(ax, place)
        ax.set_xlabel(xlabel)
    axes[0][0].set_ylabel(ylabel)
    axes[0][0].legend(fontsize=8, frameon=False)
    figure.tight_layout()
    return figure


def plot_batch(plt, rows):
    part = "count" if any(r.part == "count" for r in rows) else "batch"
    these = [r for r in rows if r.part == part]
    places = [p for p in dict.fromkeys(r.place for r in these) if "tmpfs" not in p]
    figure, axes = plt.subplots(1, len(places), figsize=(3.2 * len(places) + 0.8, 3.4), sharey=True, squeeze=False)
    lines = {"one by one": (BARE, "--"), "batch": (OURS, "-"), "batch, SYNCFS": ("#d9730d", "-")}
    for ax, place in zip(axes[0], places):
        for name, (colour, dash) in lines.items():
            mine = [r for r in these if r.place == place and r.what == name]
            ax.plot([r.size // 1024 for r in mine], [r.us / (r.size // 1024) for r in mine], dash, color=colour, marker="o", markersize=3, label=name)
        ax.set_xscale("log")
        ax.set_yscale("log")
        style(ax, place)
        ax.set_xlabel("states of 1 KiB in one call")
    axes[0][0].set_ylabel("microseconds for each state")
    axes[0][0].legend(fontsize=8, frameon=False)
    figure.tight_layout()
    return figure


def main():
    source, docs = sys.argv[1:3]
    about, rows = read(source)
    with open(os.path.join(docs, "benchmark.md"), "w", encoding="utf-8") as file:
        file.write(table(about, rows))
    try:
        import matplotlib
    except ImportError:
        print("SKIPPED: plots: no matplotlib (benches/setup --plots)")
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    matplotlib.rcParams["svg.hashsalt"] = "steadfast"
    parts = {row.part for row in rows}
    plots = {
        "peers": ("peers", lambda: plot_peers(plt, rows)),
        "flushes": ("flushes", lambda: plot_flushes(plt, rows)),
        "size": ("size", lambda: plot_lines(plt, rows, "size", lambda r: r.us / 1e3, "payload", "milliseconds for one save")),
        "writers": ("writers", lambda: plot_lines(plt, rows, "writers", lambda r: r.value, "writers at once", "saves a second, together", False)),
        "count": ("batch", lambda: plot_batch(plt, rows)),
    }
    for name, (part, draw) in plots.items():
        if part not in parts:
            continue
        figure = draw()
        figure.savefig(os.path.join(docs, f"bench-{name}.svg"), metadata={"Date": None})
        if len(sys.argv) > 3:  # to look at
            figure.savefig(os.path.join(sys.argv[3], f"bench-{name}.png"), dpi=80)
        print(os.path.join(docs, f"bench-{name}.svg"))


main()
