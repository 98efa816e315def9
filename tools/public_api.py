#!/usr/bin/env python3
"""The public API of the crate, one item a line, from what rustdoc has written: public_api.py TARGET/doc/steadfast."""

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

# Items and methods; not the traits that every type has.
LISTS = {"implementations-list", "trait-implementations-list"}


class Page(HTMLParser):
    """Collects the declarations of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.items: list[str] = []
        self.stack: list[tuple[str, bool]] = []
        self.text: list[str] | None = None
        self.depth = 0
        self.listed = False

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag in ("br", "wbr", "img", "input", "link", "meta"):
            return
        said = dict(attributes)
        classes = (said.get("class") or "").split()
        self.stack.append((tag, self.listed))
        if said.get("id") in LISTS:
            self.listed = True
        declares = (tag == "pre" and "item-decl" in classes) or (self.listed and "code-header" in classes)
        if self.text is None and declares:
            self.text, self.depth = [], len(self.stack)

    def handle_endtag(self, tag: str) -> None:
        while self.stack:
            opened, listed = self.stack.pop()
            if self.text is not None and len(self.stack) < self.depth:
                item = re.sub(r"\s+", " ", "".join(self.text).replace("ⓘ", "").replace("]pub", "] pub")).strip()
                item = re.sub(r"\( (.*), \)", r"(\1)", re.sub(r"Show \d+ variants ", "", item))
                # The methods of a trait are the trait's, and the heading of the type's own says nothing.
                if not re.match(r"fn |unsafe fn |impl StructuralPartialEq|impl[^ ]* (?!.* for )", item):
                    self.items.append(item)
                self.text = None
            self.listed = listed
            if opened == tag:
                break

    def handle_data(self, data: str) -> None:
        if self.text is not None:
            self.text.append(data)


def main() -> None:
    root = Path(sys.argv[1])
    for path in sorted(root.rglob("*.html")):
        kind = path.name.split(".")[0]
        if kind in ("index", "all", "macro") or path.name.count(".") != 2:
            continue
        page = Page()
        page.feed(path.read_text())
        name = "::".join([*path.relative_to(root).parts[:-1], path.name.split(".")[1]])
        for item in page.items:
            print(f"{name}: {item}")


if __name__ == "__main__":
    main()
