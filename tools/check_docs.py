#!/usr/bin/env python3
"""Tests the documentation: check_docs.py --lib DIR (with the command steadfast and the library in it). Plain Python."""

import argparse
import functools
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

import doc_tables

ROOT = pathlib.Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
MAN = DOCS / "man"
HEADER = (ROOT / "include/steadfast.h").read_text()
CI = os.environ.get("CI") or os.environ.get("STEADFAST_CI")
# Which tested file the code blocks of a page are from.
PAGES = {"luajit": "demo.lua", "php": "demo.php", "perl": "demo.pl", "ruby": "demo.rb", "java": "Demo.java", "csharp": "Demo.cs", "c": "demo.c"}

LICENCE = "MIT OR Apache-2.0"

passed = failed = 0


def check(name, problems):
    """One test: `problems` is a list of what is wrong (or a string, or nothing)."""
    global passed, failed
    problems = [problems] if isinstance(problems, str) else list(problems or [])
    print("not ok" if problems else "ok", name)
    for line in problems[:20]:
        print("    # " + line.replace("\n", "\n    # "))
    if problems:
        failed += 1
    else:
        passed += 1


def lacks(tool):
    if shutil.which(tool):
        return False
    if CI:
        check(f"{tool} is installed", "it is missing")
    else:
        print(f"SKIPPED: {tool} is not installed")
    return True


def run(*command, **more):
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", **more)
    return done.returncode, done.stdout, done.stderr


def squeeze(text):
    return re.sub(r"\s*([(),*])\s*", r"\1", re.sub(r"\s+", " ", text)).strip()


# ---- man pages


def functions():
    """Name and declaration of what the library exports, and of the inline function of the header."""
    text = re.sub(r"/\*.*?\*/", "", HEADER, flags=re.S)
    found = {m[2]: squeeze(m[1]) for m in re.finditer(r"^((?:const )?\w+ \*?(steadfast_\w+)\([^;{}]*\));$", text, re.M)}
    found["steadfast_hooks_init"] = "static inline steadfast_hooks steadfast_hooks_init(void)"
    return found


def tree(where):
    """The pages as they are when installed: the aliases are looked for there."""
    for page in sorted(MAN.glob("*.[0-9]")):
        section = where / f"man{page.suffix[1:]}"
        section.mkdir(exist_ok=True)
        shutil.copy(page, section)
    return sorted(where.glob("man*/*"))


def man_pages(where):
    pages = tree(where)
    environment = {**os.environ, "LC_ALL": "C.UTF-8", "MANWIDTH": "80", "MANROFFOPT": ""}
    if not lacks("man"):
        for page in pages:
            name = str(page.relative_to(where))
            code, _, said = run("man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", name, cwd=where, env=environment)
            check(f"man --warnings {page.name}", said.splitlines() or (f"exit code {code}" if code else None))
    if not lacks("mandoc"):
        _, said, more = run("mandoc", "-Tlint", "-Wwarning", *(str(page.relative_to(where)) for page in pages), cwd=where)
        check("mandoc -Tlint", [line for line in (said + more).splitlines() if "WARNING: .so is fragile" not in line])
        declarations(where)
    aliases()


def declarations(where):
    found = functions()
    check("the header has functions", None if len(found) >= 15 else f"only {sorted(found)}")
    for name, declaration in sorted(found.items()):
        page = MAN / f"{name}.3"
        if not page.exists():
            check(f"man page of {name}", "there is none")
            continue
        _, text, _ = run("mandoc", "-Tutf8", "-Owidth=200", f"man3/{name}.3", cwd=where)
        text = re.sub(r".\x08", "", text)
        check(f"man page of {name} has its declaration", None if declaration in squeeze(text) else declaration)


def aliases():
    for page in sorted(MAN.glob("*.[0-9]")):
        text = page.read_text()
        target = re.fullmatch(r"\.so (man(\d)/(.+\.\2))\n", text)
        if target:
            real = MAN / target[3]
            names = re.search(r"^\.SH NAME\n(.*?)\\-", real.read_text(), re.M | re.S) if real.exists() else None
            listed = names and page.stem in re.split(r"[,\s]+", names[1])
            check(f"{page.name} is an alias", None if listed else f"{target[1]} does not list it under NAME")


def constants():
    text = "".join(page.read_text() for page in MAN.glob("*.3"))
    words = set(re.findall(r"STEADFAST_\w+", text))
    known = set(re.findall(r"^ *(STEADFAST_\w+) = -?\d+,?$", HEADER, re.M))
    check("every constant of the header is in a man page", sorted(known - words))
    check("every constant of the man pages is in the header", sorted(w for w in words - known if not w.endswith("_") and w != "STEADFAST_NO_INLINE"))
    codes = dict(re.findall(r"^ *(STEADFAST_(?:OK|NOT_DURABLE|RECOVERED|E_\w+)) = (-?\d+),?$", HEADER, re.M))
    page = (MAN / "steadfast_status_name.3").read_text().replace("\\-", "-")
    check("every code is in steadfast_status_name(3), with its number", [f"{n} ({v})" for n, v in codes.items() if f'{n} " ({v})"' not in page])


def command(lib):
    _, usage, _ = run(str(lib / "steadfast"), "--help")
    page = (MAN / "steadfast.1").read_text().replace("\\-", "-")
    body = re.sub(r"^\.[A-Z]+ |[\"]", "", page[page.index(".SH OPTIONS") :], flags=re.M)
    options = sorted(set(re.findall(r"--[a-z][a-z-]+", usage)))
    check("the command has options", None if len(options) >= 8 else usage)
    check("every option of the command is in steadfast(1)", [o for o in options if not re.search(re.escape(o) + r"(?![a-z-])", body)])
    check(
        "every option of steadfast(1) is one of the command",
        [o for o in sorted(set(re.findall(r"--[a-z][a-z-]+", body)) - {"--option"}) if o not in options],
    )
    commands = re.findall(r"^  ([a-z]+) (?:PATH|DIRECTORY)", usage, re.M)
    check("every command is in steadfast(1)", [c for c in commands if f".B {c}\n" not in page])
    check("the synopsis of steadfast(1) is that of the help", synopses(lib, page, commands) if len(commands) > 8 else usage)
    json = usage[usage.find("--json") : usage.find("Exit codes:")] if "--json" in usage else ""
    members = set(re.findall(r"(?<=[ ,])(\w+_\w+|status|message|verdict|pid|since|ran|source)(?=[,;.: \n])", json)) - {"exit_codes"}
    check("every member of its JSON is in steadfast(1)", [m for m in sorted(members) if not re.search(rf"\b{m}\b", body)])
    told = set(re.findall(r"^\.B (\d+)$", page[page.index(".SH EXIT STATUS") :], re.M))
    codes = set(re.findall(r"^  (\d+)  ", usage, re.M))
    check("the exit codes of the command are those of steadfast(1)", sorted(codes ^ told) if codes else usage)


def synopses(lib, page, commands):
    """Where the usage of a command differs from the man page's."""
    section = page[page.index(".SH SYNOPSIS\n") : page.index(".SH DESCRIPTION")]
    text = re.sub(r"\\&|\.\\\|", lambda m: "." if m[0] != "\\&" else "", section)
    # Words in turn in another font are written as one; those of .B and .I stand alone.
    lines = [re.sub(r"\s+", "" if re.match(r"\.[BIR]{2} ", line) else " ", re.sub(r"^\.[BIR]+ ", "", line)) for line in text.splitlines()[1:]]
    told = " ".join(lines).replace(".br", "\n").replace("[ ", "[")
    there = {squeeze(line) for line in told.splitlines()}
    here = {command: run(str(lib / "steadfast"), command, "--help")[1].split("\n\n")[0].removeprefix("usage: ") for command in commands}
    return [f"{squeeze(usage)} is not among {sorted(there)}" for usage in here.values() if squeeze(usage) not in there]


# ---- code


def compiles(name, code, lib=None, out=None):
    compiler = os.environ.get("CC", "cc")
    flags = ["-std=c11", "-Wall", "-Wextra", f"-I{ROOT / 'include'}", "-x", "c", "-"]
    if lib:
        flags += ["-x", "none", f"-L{lib}", "-lsteadfast", f"-Wl,-rpath,{lib}", "-o", str(out)]
    else:
        flags += ["-fsyntax-only", "-Wno-unused"]
    status, _, said = run(compiler, *flags, input=code)
    check(f"{name} compiles", said if status else None)
    return status == 0


def snippet(code):
    """A file around a few lines: what stands before the first blank line is a function when it begins like one."""
    before = ""
    if code.startswith("static"):
        before, code = code.split("\n\n", 1)
    return (
        "#define _GNU_SOURCE\n#include <errno.h>\n#include <fcntl.h>\n#include <stdio.h>\n#include <string.h>\n#include <steadfast.h>\n"
        "void work(void); void use(const void *data, size_t len);\n"
        f"{before}\nint snippet(const void *data, size_t len);\nint snippet(const void *data, size_t len)\n{{\n"
        f"{'' if 'steadfast_state state' in code else 'steadfast_state state = { .size = sizeof state }; (void)state;'}\n"
        f"(void)data, (void)len;\n{code}\nreturn 0;\n}}\n"
    )


def man_examples():
    for page in sorted(MAN.glob("*.3")):
        text = page.read_text()
        if ".SH EXAMPLES" in text:
            code = re.findall(r"\.EX\n(.*?)\.EE", text[text.index(".SH EXAMPLES") :], re.S)[0]
            compiles(f"the example of {page.name}", snippet(code.replace("\\-", "-").replace("\\e", "\\")))


def blocks(page):
    return re.findall(r"^```(\w+)\n(.*?)^```$", page.read_text(), re.M | re.S)


def whole_program(name, code, lib, where):
    program = where / "program"
    if compiles(name, code, lib, program):
        status, out, said = run(str(program), cwd=where)
        check(f"{name} does what it says", None if (status, out) == (0, 'generation 1: {"jobs": 3}\n') else f"{status} {out} {said}")
        (where / "app.state").unlink(missing_ok=True)


def pages(lib, where):
    for page, example in PAGES.items():
        source = (ROOT / "examples/dlopen" / example).read_text()
        found = blocks(DOCS / f"{page}.md")
        check(f"docs/{page}.md has code", None if found else "none")
        for i, (language, code) in enumerate(found, 1):
            name = f"docs/{page}.md, block {i}"
            if language == "c" and "int main" in code:
                whole_program(name, code, lib, where)
            elif language == "c" and "steadfast_context_new_failing" in code:
                compiles(name, snippet(code))
            else:
                # Parts of one block may be apart in the example; each is there as it stands.
                check(f"{name} is in {example}", [part for part in code.split("\n\n") if part.rstrip() not in source])
    readme = blocks(ROOT / "README.md")
    whole_program("README.md, the C program", next(code for language, code in readme if language == "c"), lib, where)
    moving = blocks(DOCS / "moving.md")
    for i, (language, code) in enumerate(moving, 1):
        if language == "c":
            whole_program(f"docs/moving.md, block {i}", code, lib, where)
        elif language == "rust" and not lacks("cargo"):
            rust_program(f"docs/moving.md, block {i}", code, where)
    pidfiles = [] if lacks("start-stop-daemon") else blocks(DOCS / "pidfiles.md")
    for name, found in (("README.md", readme), ("docs/moving.md", moving), ("docs/pidfiles.md", pidfiles)):
        for i, session in enumerate((code for language, code in found if language == "console"), 1):
            shell_session(f"{name}, session {i}", session, lib, where / f"{name.replace('/', '-')}-{i}")


# Each cell of a column by itself, in the empty working directory.
CELLS = """
import os, sys
exec(sys.argv[1])
names = dict(globals())
for cell in sys.argv[2:]:
    if os.path.exists("app.lock"):  # filelock's FileLock leaves it, and its SoftFileLock would wait for ever
        os.unlink("app.lock")
    try:
        exec(cell, dict(names))
    except BaseException as error:
        print(f"{cell}: {type(error).__name__}: {error}")
"""


def filelock_table(lib, where):
    """Both columns of the table in docs/filelock.md run as they stand, the first one with both packages."""
    rows = re.findall(r"^\| `(.*)` \| `(.*)` \|$", (DOCS / "filelock.md").read_text(), re.M)
    check("docs/filelock.md has a table of calls", None if len(rows) >= 15 else str(rows))
    python = os.environ.get("STEADFAST_PYTHON", sys.executable)
    if run(python, "-c", "import filelock")[0]:
        print("SKIPPED: filelock is not installed: the table of docs/filelock.md")
        return
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "bindings/python"), "STEADFAST_LIBRARY": str(lib / "libsteadfast.so.0")}
    where.mkdir()
    for column, imports in ((0, "from filelock import *"), (0, "from steadfast.compat.filelock import *"), (1, "import steadfast")):
        _, out, said = run(python, "-B", "-c", CELLS, imports, *(row[column] for row in rows), cwd=where, env=environment)
        check(f"docs/filelock.md: {len(rows)} calls after {imports!r}", (out + said).splitlines())


def pid_tables(lib, where):
    """What takes the place of the calls of lockfile, of pid and of pidfile(3)."""
    _, python, c = ([row[1][1] for row in table] for table in doc_tables.tables(DOCS / "pidfiles.md"))
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "bindings/python"), "STEADFAST_LIBRARY": str(lib / "libsteadfast.so.0")}
    where.mkdir()
    _, out, said = run(sys.executable, "-B", "-c", CELLS, "import steadfast", *python, cwd=where, env=environment)
    check(f"docs/pidfiles.md: {len(python)} calls in Python", (out + said).splitlines())
    code = "".join(f"{call};\n" for call in c)
    declared = "int status; steadfast_lock *lock; steadfast_lock_options options = { .size = sizeof options };\n"
    compiles(f"docs/pidfiles.md: {len(c)} calls in C", snippet(f"{declared}steadfast_report report = {{ .size = sizeof report }};\n{code}"))


def rust_program(name, code, where):
    """Runs a program that has the crate as its dependency."""
    package = where / "rust"
    (package / "src").mkdir(parents=True)
    (package / "src/main.rs").write_text(code)
    (package / "Cargo.toml").write_text(
        '[package]\nname = "program"\nversion = "0.0.0"\nedition = "2024"\n[workspace]\n'
        f'[dependencies]\nsteadfast = {{ path = "{ROOT}" }}\n[lints.rust]\nwarnings = "deny"\n'
    )
    status, out, said = run("cargo", "run", "--quiet", "--offline", "--target-dir", str(where / "target"), cwd=package)
    expected = "".join(re.findall(r"// prints (.*\n)", code))
    check(f"{name} does what it says", None if (status, out) == (0, expected) else f"{out}{said}")


def on_terminal(command, **more):
    """What a command writes to its terminal."""
    ours, its = os.openpty()
    program = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=its, stderr=its, **more)
    os.close(its)
    said = b""
    try:
        while part := os.read(ours, 4096):
            said += part
    except OSError:
        pass  # the last one has closed it
    os.close(ours)
    program.wait()
    return said.decode(errors="replace").replace("\r\n", "\n")


def shell_session(name, session, lib, where):
    """What stands behind "$ " is run; the lines below it are what it writes on its terminal."""
    where.mkdir()
    try:
        os.setxattr(where, "user.probe", b"")
    except OSError:
        print(f"SKIPPED: {name}: no extended attributes in {where}: set TMPDIR to a place that has them")
        return
    environment = {**os.environ, "PATH": f"{lib}:{os.environ['PATH']}"}
    steps = re.findall(r"^\$ (.*\n)((?:(?!\$ ).*\n)*)", session, re.M)
    check(f"{name} has commands", None if steps else session)
    problems = []
    for command, expected in steps:
        # An edit within the same tick of the clock would look like damage.
        time.sleep(0.02)
        said = on_terminal(["bash", "-c", command], cwd=where, env=environment)
        if said != expected:
            problems.append(f"$ {command}expected: {expected}got:      {said}")
    check(f"{name} does what it says", problems)


def structs():
    """What the examples declare by hand has the members of the header, all of them, in order."""
    text = re.sub(r"/\*.*?\*/", "", HEADER, flags=re.S)
    for struct in ("steadfast_report", "steadfast_save_options", "steadfast_state"):
        body = re.findall(r"typedef struct \{([^{}]*)\} " + struct + ";", text)[0]
        members = re.findall(r"(\w+)(?:\[\d+\])?;", body)
        order = re.compile(r"\b.{1,90}?\b".join(members[1:]), re.S)
        check(
            f"{struct} in the examples",
            [
                name
                for name in PAGES.values()
                if not name.endswith((".lua", ".php", ".c")) and not order.search((ROOT / "examples/dlopen" / name).read_text())
            ],
        )


# ---- links


@functools.cache
def anchors(page):
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)
    titles = re.findall(r"^#+ (.*)", text, re.M)
    return {re.sub(r"[^\w\- ]", "", re.sub(r"\[(.*?)\]\(.*?\)", r"\1", title).lower()).replace(" ", "-") for title in titles}


def links():
    skipped = {"node_modules", "build", "target", ".git", "vendor"}
    markdown = [page for page in sorted(ROOT.rglob("*.md")) if not any(p in skipped or p.startswith(".") for p in page.relative_to(ROOT).parts)]
    count = 0
    for page in markdown:
        text = re.sub(r"^```.*?^```|^(?: {4}|\t).*?$", "", page.read_text(), flags=re.M | re.S)
        problems = []
        for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "", text)) + re.findall(r'(?:src|href)="([^"]+)"', text):
            if re.match(r"[a-z]+:", target):
                continue
            count += 1
            path, _, anchor = target.partition("#")
            file = (page.parent / path).resolve() if path else page
            if not file.exists():
                problems.append(f"{target} is not there")
            elif anchor and file.suffix == ".md" and anchor not in anchors(file):
                problems.append(f"{target}: no such heading")
        check(f"links of {page.relative_to(ROOT)}", problems)
    check("there are links", None if count > 20 else f"only {count}")


# ---- the rest


def pictures(where):
    run(sys.executable, str(ROOT / "tools/pictures.py"), str(where))
    for name in ("save-sequence.svg", "lock-protocol.svg"):
        same = (where / name).exists() and (where / name).read_bytes() == (DOCS / name).read_bytes()
        check(f"docs/{name} is what tools/pictures.py draws", None if same else "run it")


def versions():
    version = re.findall(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.M)[0]
    check("CHANGELOG.md has this version", None if f"\n## [{version}]" in (ROOT / "CHANGELOG.md").read_text() else version)
    pages = [page for page in MAN.iterdir() if ".TH " in page.read_text()]
    check(
        f"so have {len(pages)} man pages",
        [page.name for page in pages if f'"steadfast {version}"' not in page.read_text()] or (None if pages else "there are none"),
    )


def licence():
    text = (ROOT / "LICENSE").read_text()
    parts = ("SPDX-License-Identifier: " + LICENCE, "Permission is hereby granted, free of charge", "END OF TERMS AND CONDITIONS")
    check("LICENSE names both licences and has both texts", [part for part in parts if part not in text])
    said = re.compile(r"""(?:SPDX-License-Identifier: |"?license"?\s*[=:]\s*"|License: )""" + re.escape(LICENCE))
    files = [
        *ROOT.glob("include/*.h*"),
        ROOT / "bindings/node/package.json",
        ROOT / "bindings/python/pyproject.toml",
        ROOT / "packaging/debian/build.sh",
    ]
    files += [ROOT / name for name in run("git", "-C", str(ROOT), "ls-files", "Cargo.toml", "*/Cargo.toml")[1].split()]
    check(f"{len(files)} manifests and headers say {LICENCE}", [str(file.relative_to(ROOT)) for file in files if not said.search(file.read_text())])


def doxygen(where):
    if not lacks("doxygen"):
        code, _, said = run("sh", str(DOCS / "doxygen/build.sh"), str(where))
        index = where / "html/steadfast_8h.html"
        missing = [] if not index.exists() else [name for name in functions() if name not in index.read_text()]
        check("the API reference, without warnings", said.splitlines() or missing or (f"exit code {code}" if code or not index.exists() else None))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--lib", type=pathlib.Path, required=True)
    lib = parser.parse_args().lib.resolve()
    with tempfile.TemporaryDirectory() as directory:
        where = pathlib.Path(directory)
        for part in ("man", "run", "pictures", "tables"):
            (where / part).mkdir()
        man_pages(where / "man")
        constants()
        command(lib)
        man_examples()
        pages(lib, where / "run")
        filelock_table(lib, where / "filelock")
        for name, problems in doc_tables.shell_tables(DOCS, lib, where / "tables"):
            check(name, problems)
        pid_tables(lib, where / "pid")
        structs()
        links()
        pictures(where / "pictures")
        versions()
        licence()
        doxygen(where / "doxygen")
    print(f"{passed} passed, {failed} failed")
    return failed > 0 or passed == 0


if __name__ == "__main__":
    sys.exit(main())
