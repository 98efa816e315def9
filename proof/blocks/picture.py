#!/usr/bin/env python3
"""Draws docs/crash-states.svg from the results of a run: picture.py RESULTS.jsonl OUT.svg

Every square is a crash state of one save. It stands in the column of the last call that had begun when a crash could
first leave it."""

import collections
import json
import sys
from xml.sax.saxutils import escape

COLOURS = {"old": "#9db8d9", "new": "#2f6db3", "bad": "#d1242f"}
CALLS = {
    "create": "create\ntemp",
    "write": "write",
    "fsync": "fsync\nfile",
    "rename": "rename",
    "fsync directory": "fsync\ndirectory",
    "end": "after the\nsave",
}
SQUARE, GAP, ACROSS = 4, 1, 18
WIDTH_OF_NAMES, LEFT = 186, 16
COLUMN = ACROSS * (SQUARE + GAP) + 14


def column_of(calls, number):
    """Calls with the same name that follow each other share a column."""
    if number == 0:
        return "before"
    return calls[number - 1]


def main(results, out):
    with open(results, encoding="utf-8") as lines:
        all_rows = [json.loads(line) for line in lines]
    rows = [row for row in all_rows if row["kind"] == "picture"]
    if not rows:
        sys.exit(f"{results}: no states of one save in it")
    file_system, seed = rows[0]["file_system"], rows[0]["seed"]
    columns = ["before"] + list(dict.fromkeys(rows[0]["calls"]))
    counted = []
    for row in rows:
        cells: dict[str, collections.Counter] = collections.defaultdict(collections.Counter)
        for number, verdict in row["states"]:
            cells[column_of(row["calls"], number)][verdict] += 1
        counted.append((row, cells))

    columns = [name for name in columns if any(cells[name] for _, cells in counted)]
    width = LEFT + WIDTH_OF_NAMES + COLUMN * len(columns) + 8
    parts, y = [], 112

    def text(x, at, words, size=12, weight="normal", fill="#1f2328", anchor="start"):
        parts.append(f'<text x="{x}" y="{at}" font-size="{size}" font-weight="{weight}" fill="{fill}" text-anchor="{anchor}">{escape(words)}</text>')

    text(LEFT, 26, f"What a power cut leaves of one save on {file_system}", 17, "bold")
    text(
        LEFT,
        46,
        "Each square is one crash state of the disk: mounted, and read by the real loader. It stands under the last call that "
        "had begun when a crash could first leave it.",
        11.5,
        fill="#57606a",
    )
    x: float = LEFT
    for verdict, words in (
        ("old", "the old state, whole"),
        ("new", "the new state, whole"),
        ("bad", "damaged, missing, or old after the save was acknowledged"),
    ):
        parts.append(f'<rect x="{x}" y="57" width="11" height="11" fill="{COLOURS[verdict]}"/>')
        text(x + 16, 67, words, 11.5)
        x += 26 + 6.4 * len(words)
    for number, name in enumerate(columns):
        at = LEFT + WIDTH_OF_NAMES + COLUMN * number
        for line, words in enumerate(CALLS.get(name, name).split("\n")):
            text(at, 90 + 12 * line, words, 11, "bold", "#57606a")

    for row, cells in counted:
        total = collections.Counter(verdict for _, verdict in row["states"])
        tall = max(-(-sum(cell.values()) // ACROSS) for cell in cells.values()) * (SQUARE + GAP)
        height = max(tall, 42) + 16
        good = total["bad"] == 0
        parts.append(f'<rect x="0" y="{y}" width="{width}" height="{height}" fill="{"#eef6ee" if good else "#fff5f5"}"/>')
        text(LEFT, y + 20, row["name"], 13, "bold")
        verdict = f"{len(row['states']):,} states, all good" if good else f"{total['bad']:,} of {len(row['states']):,} states bad"
        text(LEFT, y + 36, verdict, 11.5, fill="#1a7f37" if good else COLOURS["bad"])
        for number, name in enumerate(columns):
            at = LEFT + WIDTH_OF_NAMES + COLUMN * number
            squares = [v for v in ("bad", "old", "new") for _ in range(cells[name][v])]
            for n, v in enumerate(squares):
                parts.append(
                    f'<rect x="{at + n % ACROSS * (SQUARE + GAP)}" y="{y + 9 + n // ACROSS * (SQUARE + GAP)}" '
                    f'width="{SQUARE}" height="{SQUARE}" fill="{COLOURS[v]}"/>'
                )
        y += height + 3

    explored = [row for row in all_rows if row["kind"] in ("explored", "faults")]
    states, bad = sum(row["states"] for row in explored), sum(row["violations"] for row in explored)
    systems = ", ".join(dict.fromkeys(row["file_system"] for row in explored))
    caught = len({row["name"] for row in all_rows if row["kind"] == "mutant" and row["violations"]})
    text(
        LEFT,
        y + 18,
        f"The whole run, seed {seed}: {states:,} states of all routines on {systems}: {bad} bad; {caught} spoilt routines, each caught.",
        11.5,
        fill="#57606a",
    )
    y += 32
    with open(out, "w", encoding="utf-8") as file:
        file.write(
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {y}" width="{width}" height="{y}" '
            f'font-family="system-ui, sans-serif" role="img" aria-label="Crash states of one save">\n'
            f'<rect width="{width}" height="{y}" fill="#ffffff"/>\n' + "\n".join(parts) + "\n</svg>\n"
        )


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(sys.argv[1], sys.argv[2])
