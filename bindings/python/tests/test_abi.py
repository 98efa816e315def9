"""The package against the header and the library."""

import ctypes
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

import steadfast
from steadfast import _abi, _report, _stale

ROOT = pathlib.Path(__file__).resolve().parents[3]
HEADER = ROOT / "include" / "steadfast.h"
STRUCTS = {
    "steadfast_stat": _abi.Stat,
    "steadfast_pollfd": _abi.PollFd,
    "steadfast_report": _abi.CReport,
    "steadfast_save_options": _abi.CSaveOptions,
    "steadfast_save_entry": _abi.CSaveEntry,
    "steadfast_load_options": _abi.CLoadOptions,
    "steadfast_state": _abi.CState,
    "steadfast_lock_options": _abi.CLockOptions,
    "steadfast_hooks": _abi.CHooks,
}
header = pytest.mark.skipif(not HEADER.exists(), reason="not in the source tree")


def constants():
    return {name: int(value) for name, value in re.findall(r"^ *STEADFAST_(\w+) = (-?\d+),?$", HEADER.read_text(), re.M)}


@header
def test_constants_are_the_header_s():
    there = constants()
    assert len(there) > 100
    for name, value in vars(_abi).items():
        if re.match(r"(ABSENT|LOCK|LOAD|SAVE|E)_|OK$|NOT_DURABLE$|RECOVERED$|UNVERIFIED$|CHANGED$", name):
            assert there[name] == value, name
    for prefix, enumeration in (("STEP", _report.Step), ("ON_DISK", _report.OnDisk), ("LOCK", _stale.Verdict)):
        for member in enumeration:
            assert there[f"{prefix}_{member.name}"] == member.value
    assert {name[5:].lower(): value for name, value in there.items() if name.startswith("CALL_")} == _abi.CALLS


@header
def test_nothing_of_the_header_is_missing():
    for name, value in constants().items():
        prefix = re.match(r"(ABSENT|LOAD|SAVE|E|STEP)_", name)
        if prefix is None:
            continue
        if prefix[1] == "STEP":
            assert value in list(_report.Step), name
        else:
            assert getattr(_abi, name) == value, name
    functions = set(re.findall(r"^(?!static)[a-z].*?\b(steadfast_\w+)\(", HEADER.read_text(), re.M))
    assert functions == set(_abi._PROTOTYPES)


@header
def test_structs_are_laid_out_as_c_does(tmp_path):
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    lines = ["#include <stddef.h>", f'#include "{HEADER}"']
    for name, struct in STRUCTS.items():
        lines.append(f'_Static_assert(sizeof({name}) == {ctypes.sizeof(struct)}, "{name}");')
        for field, *_ in struct._fields_:
            offset, size = getattr(struct, field).offset, getattr(struct, field).size
            lines.append(f'_Static_assert(offsetof({name}, {field}) == {offset}, "{name}.{field}");')
            lines.append(f'_Static_assert(sizeof((({name} *)0)->{field}) == {size}, "{name}.{field}");')
    source = tmp_path / "layout.c"
    source.write_text("\n".join(lines) + "\n")
    subprocess.run([compiler, "-std=c11", "-Werror", "-fsyntax-only", str(source)], check=True)


def test_each_own_code_has_its_own_class():
    codes = {value for name, value in vars(_abi).items() if name.startswith("E_")}
    assert codes == set(_report._OWN)
    classes = [kind for kind, _ in _report._OWN.values()]
    assert len(set(classes)) == len(classes)
    for kind in classes:
        assert issubclass(kind, OSError) and getattr(steadfast, kind.__name__) is kind


def test_versions_agree():
    assert steadfast.__version__ == steadfast.library_version
    assert re.findall(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.M)[0] == steadfast.__version__


def test_names_are_exported():
    assert set(steadfast.__all__) <= set(dir(steadfast))


def import_with(library, tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "STEADFAST_LIBRARY": str(library)}
    return subprocess.run(
        [sys.executable, "-c", "import steadfast; print(steadfast.library_path)"],
        env=environment,
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )


def test_the_environment_chooses_the_library(tmp_path):
    copy = tmp_path / "mine.so"
    shutil.copy(steadfast.library_path, copy)
    assert import_with(copy, tmp_path).stdout == f"{copy}\n"


def test_a_library_that_is_none_is_an_import_error(tmp_path):
    assert "ImportError: the steadfast library was not found" in import_with(tmp_path / "none.so", tmp_path).stderr
    assert "ImportError" in import_with("libc.so.6", tmp_path).stderr
