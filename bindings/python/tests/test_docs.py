"""Each snippet of the README, of docs/python.md and of docs/moving.md, run as a program in an empty directory."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
DOCS = HERE.parents[2] / "docs"


def snippets(page):
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.M | re.S)


SNIPPETS = [
    pytest.param(code, id=f"{page.name}-{number}")
    for page in (HERE.parent / "README.md", DOCS / "python.md")
    for number, code in enumerate(snippets(page))
]


def test_there_are_some():
    assert len(SNIPPETS) >= 7


def run(code, directory):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=directory, env=environment, check=True)


@pytest.mark.parametrize("code", SNIPPETS)
def test_snippet(code, tmp_path):
    run(code, tmp_path)


def test_moving(tmp_path):
    (code,) = snippets(DOCS / "moving.md")
    run(f"import steadfast\npath, text = 'it', 'some text'\n{code}", tmp_path)
    assert (tmp_path / "it").read_bytes() == b"some text"
