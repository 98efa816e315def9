#!/usr/bin/env python3
"""compare.py EXPECTED FS RESULTS: are the failures those that are expected there?

EXPECTED has lines `FS[,FS] | PROGRAM | WHAT | REASON`; a `*` in WHAT stands for anything, and numbers are all the same. A failure
without a line fails, and so does a line without a failure, unless its reason begins with "sometimes". The last line is
`N passed, N failed`."""

import re
import sys
from fnmatch import fnmatchcase


def plain(text):
    return re.sub(r"\d+", "N", text.replace("[", "(").replace("]", ")")).strip()


def read_expected(path, fs):
    expected = []
    with open(path) as file:
        lines = file.read().splitlines()
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = [part.strip() for part in line.split(" | ")]
        if len(parts) != 4 or not all(parts):
            sys.exit(f"{path}:{number}: not FS | PROGRAM | WHAT | REASON")
        if fs in parts[0].split(","):
            where = f"{path.rsplit('/', 1)[-1]}:{number}"
            expected.append((parts[1], parts[2], parts[3].startswith("sometimes"), where))
    return expected


def main():
    expected_path, fs, results_path = sys.argv[1:]
    expected = read_expected(expected_path, fs)
    used, passed, failed = set(), 0, 0
    with open(results_path, errors="replace") as file:
        results = file.read().splitlines()
    for line in results:
        verdict, program, text = line.split("\t", 2)
        if verdict == "ok":
            passed += 1
            continue
        lines = [where for p, what, _, where in expected if p == program and fnmatchcase(plain(text), plain(what))]
        used.update(lines)
        if lines:
            passed += 1
            print(f"# expected: {fs}: {program}: {text} ({lines[0]})")
        else:
            failed += 1
            print(f"not ok - {fs}: {program}: {text}")
    for program, what, sometimes, where in expected:
        if where not in used and not sometimes:
            failed += 1
            print(f"not ok - {fs}: {program}: {what}: is expected to fail ({where}), and does not")
    print(f"{fs}: {passed} passed, {failed} failed")


main()
