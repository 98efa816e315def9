#!/usr/bin/env bash
# Is the version the same everywhere? Cargo.toml's is the one. Prints the places where another one stands, and then fails.
set -u
cd "$(dirname "$0")/.." || exit 2
. packaging/library.sh
version=$(version_of_tree)
code=0
same() { # FILE PATTERN, of the lines that name it
    local found
    found=$(grep -E -A "${3:-0}" "$2" "$1" | grep -oE '[0-9]+\.[0-9]+\.[0-9]+' | sort -u | tr '\n' ' ')
    [ "$found" = "$version " ] && return
    echo "$1: ${found:-no version }instead of $version"
    code=1
}
same Cargo.lock '^name = "steadfast"$' 1
same src/ffi/status.rs '^ *c"[0-9.]+"\.as_ptr\(\)$'
same include/steadfast.h 'The version of the library, such as'
same bindings/node/package.json '^ *"(version|steadfast-linux-[a-z0-9-]+)": '
same bindings/python/steadfast/__init__.py '^__version__ = '
same ctests/layout.c 'strcmp\(steadfast_version\(\), '
same docs/man/steadfast_status_name.3 'returns the version of the library, '
for page in docs/man/*.[1-8]; do grep -q "^\.so " "$page" || same "$page" "^\.TH "; done
recipes=packaging/recipes
for recipe in alpine/APKBUILD arch/PKGBUILD; do same "$recipes/$recipe" "^pkgver="; done
same "$recipes/homebrew/steadfast.rb" "^ *(version|url) \""
same "$recipes/nix/package.nix" "^ *version = "
same "$recipes/vcpkg/vcpkg.json" "^ *\"version\": "
same "$recipes/conan/conanfile.py" "^ *version = "
exit "$code"
