"""Each snippet of the README and of the pages in docs, run as a program in an empty directory."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).resolve().parent
PAGES = [HERE.parent / "README.md", *(HERE.parents[2] / "docs" / name for name in ("python.md", "moving.md", "filelock.md"))]
SNIPPETS = [
    pytest.param(code, id=f"{page.name}-{number}")
    for page in PAGES
    for number, code in enumerate(re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.M | re.S))
]


def test_there_are_some():
    assert len(SNIPPETS) >= 7


@pytest.mark.parametrize("code", SNIPPETS)
def test_snippet(code, tmp_path):
    if "compat.filelock" in code:
        pytest.importorskip("filelock", minversion="4.3", reason="filelock 4.3 is not installed")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=tmp_path, env=environment, check=True)
