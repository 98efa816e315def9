"""The wheel's library: STEADFAST_WHEEL_LIBRARY names a libsteadfast.so, and the tag says what it needs.

Without it the wheel is a pure one, which finds the library that is installed.
"""

import os
import re
import subprocess
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SONAME = "libsteadfast.so.0"
MACHINES = {62: "x86_64", 183: "aarch64"}  # e_machine of the ELF header


def platform_tag(library: str) -> str:
    """manylinux, with the newest glibc version that the library asks for; never below 2.17, the oldest in use."""
    with open(library, "rb") as file:
        header = file.read(20)
    if header[:4] != b"\x7fELF":
        raise ValueError(f"{library} is no ELF file")
    machine = MACHINES[int.from_bytes(header[18:20], "little")]
    needed = subprocess.run(
        ["readelf", "--wide", "--version-info", library],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "LC_ALL": "C"},
    ).stdout
    versions = [(int(major), int(minor)) for major, minor in re.findall(r"Name: GLIBC_(\d+)\.(\d+)", needed)]
    major, minor = max([(2, 17), *versions])
    return f"manylinux_{major}_{minor}_{machine}"


class CustomBuildHook(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        library = os.environ.get("STEADFAST_WHEEL_LIBRARY")
        if not library:
            return
        build_data["force_include"][os.path.realpath(library)] = f"steadfast/{SONAME}"
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform_tag(library)}"
