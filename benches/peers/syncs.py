"""Which peers sync the file and the directory in one save: strace's word.

syncs.py TSV < NAME=COMMAND lines; appends to TSV, prints a table.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

CALLS = "fsync,fdatasync,sync_file_range,msync,syncfs,sync,write"


def syncs_of(command):
    """Of the save between the second answer and the third: fsync of files, of directories, fdatasync, others."""
    with tempfile.TemporaryDirectory() as directory:
        log = os.path.join(directory, "log")
        place = os.path.join(directory, "place")
        os.mkdir(place)
        questions = "1024 1\n1024 1\n1024 1\ncheck\n"
        done = subprocess.run(
            ["strace", "-f", "-y", "-o", log, "-e", "trace=" + CALLS, *shlex.split(command), place],
            input=questions,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        answers = done.stdout.split()
        if done.returncode != 0 or len(answers) != 4 or answers[3] != "ok":
            raise RuntimeError(f"{command}: exit code {done.returncode}, {done.stdout!r} {done.stderr[-300:]!r}")
        counts = {"files": 0, "directories": 0, "data": 0, "other": 0}
        answered = 0
        with open(log, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                if re.search(r"\bwrite\(1<", line):
                    answered += 1
                elif answered == 2 and (call := re.search(r"\b(\w+)\((?:\d+<([^>]*)>)?", line)):
                    name, path = call.groups()
                    if name == "write" or "resumed" in line.split("(")[0]:
                        continue
                    if name == "fsync":
                        counts["directories" if path and os.path.isdir(path) else "files"] += 1
                    elif name == "fdatasync":
                        counts["directories" if path and os.path.isdir(path) else "data"] += 1
                    else:
                        counts["other"] += 1
        return counts


def main():
    if shutil.which("strace") is None:
        print("SKIPPED: who syncs what: no strace (apt-get install strace)")
        return
    print(f"\nsyncs in one save of 1 KiB, seen by strace\n{'what':<34} {'fsync file':>11} {'fdatasync file':>15} {'directory':>10} {'other':>6}")
    with open(sys.argv[1], "a", encoding="utf-8") as tsv:
        for line in sys.stdin:
            name, _, command = line.rstrip("\n").partition("=")
            c = syncs_of(command)
            print(f"{name:<34} {c['files']:>11} {c['data']:>15} {c['directories']:>10} {c['other']:>6}")
            tsv.write(f"syncs\t{name}\t-\t1024\t{c['files']}\t{c['data']}\t{c['directories']}\t{c['other']}\t0\tsyncs\t-\t-\t1\n")


main()
