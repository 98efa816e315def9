#!/usr/bin/env python3
"""update.py OLD NEW: may NEW take the place of OLD as the baseline? Exit code 0: only additions; 1: no, and why.

Additions are functions, and members at the end of a struct that begins with its size. All else breaks programs that are
compiled already: a removed function, another parameter or return type, a member that moved, went or has another type."""

import re
import sys
import xml.etree.ElementTree as ET

# They begin with their size, and the library never writes past it.
GROWING = {"hooks", "report", "state", "save_entry", "save_options", "load_options", "lock_options", "context_options"}
OPAQUE = {"steadfast_context", "steadfast_lock", "steadfast_watch"}
# Rust's name of a function pointer has the modules of its types in it: where a type is defined is no part of the ABI.
MODULE = re.compile(r"\b(?:\w+::)+(?=steadfast_)")


class Abi:
    def __init__(self, path):
        self.root = ET.parse(path).getroot()
        self.types = {e.get("id"): e for e in self.root.iter() if e.get("id")}
        self.structs = {
            e.get("name"): e
            for e in self.root.iter("class-decl")
            if e.get("name", "").startswith("steadfast_") and e.get("is-declaration-only") != "yes"
        }
        self.functions = {e.get("elf-symbol-id"): e for e in self.root.iter("function-decl") if e.get("elf-symbol-id")}

    def spell(self, id, depth=0):
        """A type in words that do not depend on ids; ours by name, since their members are compared one by one."""
        e = self.types.get(id)
        if e is None or depth > 8:
            return str(id)
        name = MODULE.sub("", e.get("name") or "")
        if e.tag == "pointer-type-def":
            return self.spell(e.get("type-id"), depth + 1) + "*"
        if e.tag == "array-type-def":
            return f"{self.spell(e.get('type-id'), depth + 1)}[{e.findall('subrange')[0].get('length')}]"
        if e.tag == "qualified-type-def":
            return "const " + self.spell(e.get("type-id"), depth + 1)
        if e.tag == "function-type":
            return self.signature(e, depth + 1)
        return f"{name}:{e.get('size-in-bits')}" if not name.startswith("steadfast_") else name

    def signature(self, e, depth=0):
        parameters = ", ".join(self.spell(p.get("type-id"), depth) for p in e.findall("parameter"))
        result = e.find("return")
        return f"{self.spell(result.get('type-id'), depth) if result is not None else 'void'} ({parameters})"

    def members(self, struct):
        return {
            m.find("var-decl").get("name"): (int(m.get("layout-offset-in-bits")), self.spell(m.find("var-decl").get("type-id")))
            for m in struct.findall("data-member")
        }


def broken(old, new):
    for name, function in old.functions.items():
        if name not in new.functions:
            yield f"{name}: removed"
        elif old.signature(function) != new.signature(new.functions[name]):
            yield f"{name}: {old.signature(function)} became {new.signature(new.functions[name])}"
    for name, struct in old.structs.items():
        if name in OPAQUE:
            continue
        if name not in new.structs:
            yield f"{name}: removed"
            continue
        before, after = old.members(struct), new.members(new.structs[name])
        size, now = int(struct.get("size-in-bits")), int(new.structs[name].get("size-in-bits"))
        for member, what in before.items():
            if after.get(member) != what:
                yield f"{name}.{member}: {what} became {after.get(member, 'nothing')}"
        for member in after.keys() - before.keys():
            if after[member][0] < size:
                yield f"{name}.{member}: new, but not at the end"
        if now < size or (now != size and name.removeprefix("steadfast_") not in GROWING):
            yield f"{name}: its size went from {size} to {now} bits"


def main():
    old, new = Abi(sys.argv[1]), Abi(sys.argv[2])
    if not old.functions or not old.structs or not new.functions:
        sys.exit("update.py: nothing to compare: built without debug information?")
    reasons = sorted(broken(old, new))
    for reason in reasons:
        print(reason)
    return 1 if reasons else 0


if __name__ == "__main__":
    sys.exit(main())
