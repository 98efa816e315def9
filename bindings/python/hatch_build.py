"""The wheel's library, and its tag, which says what the library needs.

STEADFAST_WHEEL_LIBRARY names a libsteadfast.so. Without it cargo builds one on Linux: from the source in the source
distribution, or from the clone that this is a part of. STEADFAST_WHEEL_LIBRARY=none makes a pure wheel, which finds the library
that is installed.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from typing import Any, NoReturn

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SONAME = "libsteadfast.so.0"
MACHINES = {62: "x86_64", 183: "aarch64"}  # e_machine of the ELF header
NEEDED = (
    ("cargo", "Rust 1.88 or later: https://rustup.rs"),
    ("cc", "a C compiler, which links it"),
    ("readelf", "binutils"),
)


def stop(reason: str) -> NoReturn:
    sys.exit(f"libsteadfast: {reason}")


def readelf(library: str, option: str) -> str:
    environment = {**os.environ, "LC_ALL": "C"}
    command = ["readelf", "--wide", option, library]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


def platform_tag(library: str) -> str:
    """manylinux, with the newest glibc version that the library asks for, and never below 2.17, the oldest in use; or musllinux."""
    with open(library, "rb") as file:
        header = file.read(20)
    if header[:4] != b"\x7fELF":
        raise ValueError(f"{library} is no ELF file")
    machine = MACHINES.get(int.from_bytes(header[18:20], "little"))
    if machine is None:
        return re.sub(r"[-.]", "_", sysconfig.get_platform())
    if re.search(r"\(NEEDED\).*\[libc\.(so|musl-.*)\]", readelf(library, "--dynamic")):
        return f"musllinux_1_2_{machine}"
    found = re.findall(r"Name: GLIBC_(\d+)\.(\d+)", readelf(library, "--version-info"))
    major, minor = max([(2, 17), *((int(major), int(minor)) for major, minor in found)])
    return f"manylinux_{major}_{minor}_{machine}"


def source_of(root: pathlib.Path) -> pathlib.Path:
    for place in (root / "rust", root.parent.parent):
        if (place / "Cargo.toml").is_file() and (place / "src/ffi").is_dir():
            return place
    stop(
        f"the source of the library is neither in {root}/rust nor around {root}; STEADFAST_WHEEL_LIBRARY can name a built one"
    )


def build(root: pathlib.Path, into: str) -> str:
    """The library, stripped where that can be done."""
    source = source_of(root)
    for tool, what in NEEDED:
        if shutil.which(tool) is None:
            stop(f"{tool} is missing, and the library has to be built here ({what})")
    target = os.environ.get("CARGO_TARGET_DIR", str(source / "target"))
    command = ["cargo", "rustc", "--locked", "--lib", "--release", "--features", "capi", "--crate-type", "cdylib"]
    if subprocess.run(command, cwd=source, env={**os.environ, "CARGO_TARGET_DIR": target}).returncode:
        stop("cargo cannot build the library; its messages are above")
    library = os.path.join(into, SONAME)
    shutil.copy(os.path.join(target, "release/libsteadfast.so"), library)
    if shutil.which("strip"):
        subprocess.run(["strip", "--strip-unneeded", library], check=True)
    return library


class CustomBuildHook(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if self.target_name == "sdist":
            # The licence is a link in the repository.
            build_data["force_include"] = {
                os.path.realpath(path): name for path, name in build_data["force_include"].items()
            }
            return
        library = os.environ.get("STEADFAST_WHEEL_LIBRARY") or ("" if sys.platform == "linux" else "none")
        if version == "editable" or library == "none":
            return
        self.work = tempfile.TemporaryDirectory()
        library = library or build(pathlib.Path(self.root), self.work.name)
        build_data["force_include"][os.path.realpath(library)] = f"steadfast/{SONAME}"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform_tag(library)}"
