"""Runs the calls of commands that stand in the tables of the documentation: check_docs.py does so."""

import os
import re
import shutil
import subprocess
import time


def tables(page):
    """The tables of a page: the cells of their rows, each without what stands behind the call, but for a number in brackets."""
    found = []
    for table in re.findall(r"^\|.*\|\n\|[-|]+\|\n((?:\|.*\|\n)+)", page.read_text(), re.M):
        rows = [re.split(r"(?<!\\)\|", row)[1:-1] for row in table.splitlines()]
        found.append([[re.match(r" `([^`]*)`(?: \((\d+)\b)?", cell) for cell in row] for row in rows])
    return found


def shell_calls(name, calls, lib, where):
    """One after the other in one directory, where what a call names is there. Each ends with 0, or with the number behind it."""
    where.mkdir()
    for program in ("COMMAND", "PROGRAM", "STRING"):
        (where / program).write_text("#!/bin/sh\n")
    (where / "app").write_text("#!/bin/sh\nexec sleep 60\n")
    for program in where.iterdir():
        program.chmod(0o755)
    environment = {**os.environ, "PATH": f"{where}:{lib}:{os.environ['PATH']}"}
    problems = []
    for call in calls:
        for left in where.glob("*.lock"):  # procmail's lockfile and dotlockfile leave it
            left.unlink()
        # Into a file: a daemon would keep a pipe open.
        with (where / "said").open("w+") as said:
            command = ("timeout", "20", "bash", "-c", call[1].replace("\\|", "|"))
            code = subprocess.run(command, cwd=where, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said).returncode
            said.seek(0)
            if code and str(code) != call[2]:
                problems.append(f"{call[1]}: exit code {code}: {said.read()}")
        daemon, end = call[1].endswith("&"), time.monotonic() + 10
        while daemon and not (where / "app.pid").exists() and time.monotonic() < end:
            time.sleep(0.01)
        if daemon and not (where / "app.pid").exists():
            problems.append(f"{call[1]}: no daemon came")
    return f"{name}: {len(calls)} calls", problems


def shell_tables(docs, lib, where):
    """The calls of commands in the tables, ours and those of the others that are installed: yields checks and what is wrong."""
    for page, least in (("moving.md", 15), ("pidfiles.md", 4)):
        rows = [row for table in tables(docs / page) for row in table if row[1] and re.match(r"(setsid )?steadfast ", row[1][1])]
        yield f"docs/{page} has calls of the command", None if len(rows) >= least else str(len(rows))
        yield shell_calls(f"docs/{page}, steadfast", [row[1] for row in rows], lib, where / page)
        theirs: dict[str, list[re.Match[str]]] = {}
        for row in rows:
            if row[0]:
                theirs.setdefault(re.findall(r"flock|sponge|lockfile|dotlockfile|start-stop-daemon|$", row[0][1])[0], []).append(row[0])
        for tool, calls in theirs.items():
            if shutil.which(tool):
                yield shell_calls(f"docs/{page}, {tool}", calls, lib, where / f"{page}-{tool}")
