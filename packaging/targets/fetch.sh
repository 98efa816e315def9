#!/usr/bin/env bash
# Debian's rustc with the source of core, unpacked below DIR and not installed: with it core can be built for any target.
# (rustup brings a target's core ready made: rustup target add aarch64-unknown-linux-gnu. This is for where it cannot be had.)
#   fetch.sh DIR
set -eu
mkdir -p "$1"
dir=$(cd "$1" && pwd)
[ ! -x "$dir/rustc" ] || exit 0
work=$(mktemp -d "${TMPDIR:-/tmp}/steadfast-rustc.XXXXXX")
trap 'rm -rf "$work"' EXIT
names=(rustc-web rust-web-src libstd-rust-web-dev)
# The two that carry a number in their name.
names+=("$(apt-cache depends libstd-rust-web-dev | sed -n 's/^ *Depends: \(libstd-rust-web-[0-9].*\)/\1/p' | head -n 1)")
names+=("$(apt-cache depends "${names[3]}" | sed -n 's/^ *Depends: \(libllvm[0-9]*\)$/\1/p' | head -n 1)")
(cd "$work" && apt-get -q -o APT::Sandbox::User=root download "${names[@]}" >/dev/null)
for package in "$work"/*.deb; do dpkg -x "$package" "$dir"; done
rm -rf "${dir:?}/usr/share"
cat >"$dir/rustc" <<TEXT
#!/bin/sh
LD_LIBRARY_PATH=$dir/usr/lib/x86_64-linux-gnu exec $dir/usr/bin/rustc --sysroot $dir/usr "\$@"
TEXT
chmod +x "$dir/rustc"
"$dir/rustc" --version
