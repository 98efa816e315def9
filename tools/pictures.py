#!/usr/bin/env python3
"""Draws save-sequence.svg and lock-protocol.svg: python3 tools/pictures.py [DIRECTORY]. Plain Python, the same bytes every time."""

import html
import pathlib
import sys

# A drawing is read by its lines.
# fmt: off
INK, SOFT, PAPER = "#1b1f24", "#57606a", "#ffffff"
BLUE, GREEN, AMBER, RED, GREY = "#ddf4ff", "#dafbe1", "#fff8c5", "#ffebe9", "#f6f8fa"


class Picture:
    def __init__(self, width, height, title, text):
        self.size, self.parts = (width, height), []
        self.parts.append(
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
            f'role="img" aria-labelledby="t d" font-family="Helvetica, Arial, sans-serif" font-size="14" fill="{INK}">\n'
            f'<title id="t">{html.escape(title)}</title>\n<desc id="d">{html.escape(text)}</desc>\n'
            '<defs><marker id="a" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" orient="auto">'
            f'<path d="M0 0 10 5 0 10z" fill="{SOFT}"/></marker></defs>\n'
            f'<rect width="{width}" height="{height}" fill="{PAPER}"/>'
        )
        self.text(24, 36, title, size=20, bold=True)

    def text(self, x, y, text, size=14, bold=False, color=INK, anchor="start", mono=False):
        self.parts.append(
            f'<text x="{x}" y="{y}" font-size="{size}" fill="{color}" text-anchor="{anchor}"'
            + (' font-weight="bold"' if bold else "")
            + (' font-family="DejaVu Sans Mono, Menlo, monospace"' if mono else "")
            + f">{html.escape(text)}</text>"
        )

    def box(self, x, y, width, height, lines, fill=GREY, bold_first=True, dashed=False):
        self.parts.append(
            f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="6" fill="{fill}" stroke="{SOFT}"'
            + (' stroke-dasharray="5 4"' if dashed else "")
            + "/>"
        )
        top = y + height / 2 - (len(lines) - 1) * 9 + 5
        for i, line in enumerate(lines):
            self.text(x + width / 2, top + 18 * i, line, bold=bold_first and i == 0, anchor="middle",
                      size=14 if i == 0 else 12.5, color=INK if i == 0 else SOFT)

    def arrow(self, *points, label="", at=(0, 0), anchor="start"):
        path = " ".join(f"{x},{y}" for x, y in points)
        self.parts.append(f'<polyline points="{path}" fill="none" stroke="{SOFT}" stroke-width="1.5" marker-end="url(#a)"/>')
        if label:
            self.text(at[0], at[1], label, size=12.5, color=SOFT, anchor=anchor)

    def line(self, x1, y1, x2, y2, dashed=False):
        self.parts.append(f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" stroke="#d0d7de"' + (' stroke-dasharray="4 4"' if dashed else "") + "/>")

    def __str__(self):
        return "\n".join(self.parts) + "\n</svg>\n"


def save_sequence():
    p = Picture(1000, 836, "How a state is saved",
                "The steps of steadfast_state_save from top to bottom, and beside each what a reader finds then, what a power cut leaves, "
                "and what happens when the step fails.")
    p.text(24, 72, "step", bold=True, color=SOFT)
    for x, what in ((400, "a reader finds"), (535, "a power cut leaves"), (725, "when it fails")):
        p.text(x, 72, what, bold=True, color=SOFT)
    steps = [
        ("1  open the directory", "before anything is changed", "old", "old", ["nothing was done"]),
        ("2  look at the target", "never following a link", "old", "old", ["a link, a directory, a mount", "point: refused, each by its code"]),
        ("3  read what is there", "its generation; verified if asked to", "old", "old", ["IF_GENERATION: conflict,", "busy, or the damage's code"]),
        ("4  create the temporary file", ".NAME.0.tmp, O_EXCL, and flock it", "old", "old", ["an orphan of a killed writer is", "removed; one in use passed over"]),
        ("5  write header and payload", "SHA-256 in the first line", "old", "old", ["temporary file removed,", "ENOSPC, EFBIG, ... returned"]),
        ("6  owner, ACL and mode", "of the file that is replaced, never wider", "old", "old", ["temporary file removed"]),
        ("7  fsync the file", "the content is on the disk", "old", "old", ["never again on that inode: a fresh", "one is written once; see below"]),
        ("8  keep the previous", "PATH.prev, by link and exchange, if asked", "old", "old", ["temporary file removed"]),
        ("9  rename over PATH", "the one moment at which it changes", "new", "old or new", ["nothing replaced, PATH.prev put back", "(if it happened, the inode tells)"]),
        ("10  fsync the directory", "the name is on the disk", "new", "new", ["NOT_DURABLE; with STRICT", "E_SAVED_NOT_DURABLE"]),
    ]
    y = 86
    for i, (name, detail, reader, cut, fails) in enumerate(steps):
        p.box(24, y, 340, 46, [name, detail], fill=BLUE if i in (6, 9) else GREEN if i == 8 else GREY)
        p.text(400, y + 28, reader, bold=reader == "new")
        p.text(535, y + 28, cut + (", whole" if " " in cut else ""), bold=cut != "old")
        for k, part in enumerate(fails):
            p.text(725, y + (19 if len(fails) > 1 else 28) + 17 * k, part, size=12.5, color=SOFT)
        if i < len(steps) - 1:
            p.arrow((194, y + 46), (194, y + 60))
            p.line(384, y + 53, 976, y + 53)
        y += 60
    p.box(24, y + 8, 952, 88, [
        "When the sync of the file (7) fails on the fresh inode too",
        "STRICT: E_NOT_SAVED_DURABLY; the old state stands and the temporary file is removed.",
        "Else: the old state is verified and kept as PATH.prev, the new one renamed in, the directory is not synced: NOT_DURABLE.",
        "A name that is durable before its content is worse than none.",
    ], fill=AMBER)
    p.text(24, y + 122, "A state that was not synced is marked, and never takes the place of a durable PATH.prev. A power cut may leave none whole where "
           "on_disk says UNKNOWN.", size=12.5, color=SOFT)
    return p


def lock_protocol():
    p = Picture(1000, 840, "How a lock is taken, cleaned and released",
                "Left: taking a lock, from the nameless locked record to linking it. Right: cleaning a stale lock in five steps whose order is "
                "the proof. Below: releasing.")
    # Taking, on the left.
    p.text(24, 72, "take", bold=True, color=SOFT)
    p.box(24, 86, 400, 56, ["make the record, nameless", "O_TMPFILE, PID and newline, attribute, flock"])
    p.arrow((224, 142), (224, 170))
    p.box(24, 170, 400, 56, ["link it to the name, look", "complete, locked, and seen to be so by the name"], fill=GREEN)
    p.arrow((224, 226), (224, 282), label="it exists", at=(234, 258))
    p.arrow((60, 226), (60, 560), label="done", at=(68, 258))
    p.box(104, 282, 320, 56, ["clean it, once", "the five steps on the right"], fill=BLUE)
    p.arrow((424, 296), (452, 296), (452, 198), (424, 198), label="removed", at=(444, 250), anchor="end")
    p.arrow((264, 338), (264, 400), label="held", at=(274, 374))
    p.box(104, 400, 320, 74, ["wait", "for the name to go (inotify) or the holder", "to die (pidfd); first come, first served"])
    p.arrow((424, 437), (472, 437), (472, 186), (424, 186), label="try again", at=(464, 356), anchor="end")
    p.arrow((264, 474), (264, 512), label="no time left", at=(274, 498))
    p.box(154, 512, 220, 40, ["E_LOCKED, and who holds it"], fill=AMBER, bold_first=False)
    p.box(24, 560, 110, 50, ["held", "by a mapping"], fill=GREEN)

    # Cleaning, on the right.
    p.text(510, 72, "clean: the order is the proof", bold=True, color=SOFT)
    x, width = 510, 306
    steps = [
        ("1  open the file and read it", "not following links, 64 bytes", ["link, device: IGNORED", "no number: UNDECIDED"]),
        ("2  is that process dead, provably?", "pidfd, /proc, boot and start time", ["lives: HELD, and its file", "is not even locked"]),
        ("3  flock the inode, without waiting", "nobody can come into it any more", ["taken: HELD (its owner,", "or a cleaner at work)"]),
        ("4  is it still the inode of this name?", "with the same content", ["no: CHANGED,", "nothing is done"]),
        ("5  unlink the name", "then close: the flock goes last", ["cannot be removed:", "the errno"]),
    ]
    y = 86
    for i, (name, detail, out) in enumerate(steps):
        p.box(x, y, width, 56, [name, detail], fill=BLUE if i in (1, 3) else RED if i == 4 else GREY)
        p.arrow((x + width, y + 28), (x + width + 20, y + 28))
        for k, part in enumerate(out):
            p.text(x + width + 26, y + 24 + 17 * k, part, size=12.5, color=SOFT)
        if i < len(steps) - 1:
            p.arrow((x + width / 2, y + 56), (x + width / 2, y + 84))
        y += 84
    p.arrow((x + width / 2, y - 28), (x + width / 2, y - 2))
    p.box(x, y - 2, width, 40, ["REMOVED: told to exactly one caller"], fill=GREEN, bold_first=False)

    # Why.
    p.box(510, 568, 466, 82, [
        "Why 4 comes after 2",
        "Compared first, a live owner can unlink and exit before it is",
        "looked at: then it is dead, and the name is already another's.",
        "A dead owner can do neither, and no one else may while we flock it.",
    ], fill=AMBER)

    # Releasing, below.
    p.text(24, 688, "release", bold=True, color=SOFT)
    boxes = [(24, 200, ["this process?", "or the child that adopted it"]), (262, 226, ["the name is still ours?", "the inode that we locked"]),
             (526, 180, ["unlink the name"]), (744, 232, ["unmap, or close", "only now the flock goes"])]
    for i, (bx, bw, lines) in enumerate(boxes):
        p.box(bx, 702, bw, 56, lines, fill=RED if i == 2 else BLUE if i == 1 else GREY)
        if i:
            previous = boxes[i - 1]
            p.arrow((previous[0] + previous[1], 730), (bx, 730))
    p.arrow((124, 758), (124, 792))
    p.text(24, 812, "no: close only, E_WRONG_PROCESS", size=12.5, color=SOFT)
    p.arrow((375, 758), (375, 792))
    p.text(290, 812, "no: E_LOCK_LOST; what is there is not touched", size=12.5, color=SOFT)
    return p


if __name__ == "__main__":
    where = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parents[1] / "docs")
    (where / "save-sequence.svg").write_text(str(save_sequence()))
    (where / "lock-protocol.svg").write_text(str(lock_protocol()))
