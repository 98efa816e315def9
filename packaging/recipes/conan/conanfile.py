# mypy: ignore-errors
# (Conan turns `settings` and `options` into objects that no type describes.)
"""Conan 2: `conan create packaging/recipes/conan`. cargo and make are those of the machine."""

import os
from typing import ClassVar

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.files import copy, rmdir


class Steadfast(ConanFile):
    name = "steadfast"
    version = "0.1.0"
    description = "State files that survive a crash, lock files that survive their owner"
    license = "MIT OR Apache-2.0"
    package_type = "library"
    settings = "os", "arch"
    options: ClassVar = {"shared": [True, False]}
    default_options: ClassVar = {"shared": False}

    def export_sources(self):
        tree = os.path.join(self.recipe_folder, "..", "..", "..")
        for pattern in (
            "src/*",
            "include/*",
            "cli/*",
            "docs/man/*",
            "packaging/cmake/*",
            ".cargo/config.toml",
            "proof/*/main.rs",
            "Makefile",
            "Cargo.*",
            "build.rs",
            "steadfast.pc.in",
            "LICENSE",
        ):
            copy(self, pattern, tree, self.export_sources_folder)

    def validate(self):
        if self.settings.os != "Linux":
            raise ConanInvalidConfiguration("steadfast has run on Linux only")

    def build(self):
        self.run("make")

    def package(self):
        self.run(f'make -s install PREFIX="{self.package_folder}"')
        copy(self, "LICENSE", self.source_folder, os.path.join(self.package_folder, "licenses"))
        for folder in ("bin", "share", "lib/pkgconfig", "lib/cmake"):
            rmdir(self, os.path.join(self.package_folder, folder))
        for file in os.listdir(os.path.join(self.package_folder, "lib")):
            if file.endswith(".a") == bool(self.options.shared):
                os.remove(os.path.join(self.package_folder, "lib", file))

    def package_info(self):
        self.cpp_info.libs = ["steadfast"]
        self.cpp_info.set_property("cmake_file_name", "steadfast")
        self.cpp_info.set_property("cmake_target_name", "steadfast::steadfast")
        if not self.options.shared:
            self.cpp_info.system_libs = ["m", "rt", "pthread"]
