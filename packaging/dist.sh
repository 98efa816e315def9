#!/usr/bin/env bash
# A release from the committed tree: dist.sh VERSION OUT
# OUT gets the source, the libraries for four platforms, Debian packages, RPMs, wheels and a source distribution for Python, npm
# packages, the crate, the release notes, and SHA256SUMS. Two runs on one commit give the same bytes.
# From .ci/setup: build/venv, build/rustc.
set -eu
cd "$(dirname "$0")/.."
version=${1:-}
out=${2:?usage: dist.sh VERSION OUT}
root=$PWD
cargo=${CARGO:-cargo}
stop() { echo "dist: $1" >&2; exit 1; }

. packaging/library.sh
actual=$(version_of_tree)
[ -n "$version" ] || stop "say which version: make dist VERSION=$actual"
[ "$version" = "$actual" ] || stop "Cargo.toml says $actual, not $version"
bash packaging/versions.sh || stop "the version is not the same everywhere"
grep -q "^## \[$version\]" CHANGELOG.md || stop "CHANGELOG.md has no section [$version]"
[ -z "$(git status --porcelain)" ] || stop "the tree is not clean: commit first, or move what is new away"
mkdir -p "$out"
out=$(cd "$out" && pwd)
[ -z "$(ls -A "$out")" ] || stop "$out is not empty: remove what is there, or say another OUT="
missing=()
for need in git:git flock:util-linux rpmbuild:rpm dpkg-deb:dpkg-dev musl-gcc:musl-tools aarch64-linux-gnu-gcc:gcc-aarch64-linux-gnu npm:npm readelf:binutils; do
    command -v "${need%%:*}" >/dev/null || missing+=("${need#*:}")
done
[ ${#missing[@]} = 0 ] || stop "install what is missing: apt-get install ${missing[*]}"
python=$root/build/venv/bin/python
"$python" -c 'import ziglang, hatchling' 2>/dev/null && [ -x build/rustc/rustc ] || stop "ziglang, hatchling or build/rustc is missing: .ci/setup brings them"

SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)
export SOURCE_DATE_EPOCH LC_ALL=C TZ=UTC
umask 022
unset MAKEFLAGS MFLAGS MAKELEVEL VERSION
mkdir -p build
exec 9>build/dist.lock
flock -n 9 || stop "another make dist runs in this tree"
# Always the same place, since what is compiled may name it.
made=$root/build/dist
rm -rf "$made"
result=$made/release
mkdir -p "$result"
name=steadfast-$version
say() { echo "dist: $1"; }

# pack NAME: the directory below MADE as OUT/NAME.tar.gz, the same each time.
pack() {
    tar -C "$made" --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -cf - "$1" | gzip -9n >"$result/$1.tar.gz"
}

say "the source"
git archive --format=tar --prefix="$name/" HEAD | tar -xf - -C "$made"
pack "$name"
cd "$made/$name"

say "the libraries"
build=$made/build target=$made/target work=$made/work linked=$made/linked
rustc=$root/build/rustc
mkdir -p "$work" "$linked"
"${MAKE:-make}" -s all CARGO="$cargo" BUILD="$build" TARGET="$target"
. packaging/targets/libraries.sh
# What is the same for all of them.
TARGET=$target installed "$work/all" PREFIX=/p
common=$work/all/p
rm -rf "${common:?}/bin" "$common/share/bash-completion" "$common/share/zsh" "$common/share/fish" "$common/share/man/man1"
# shellcheck disable=SC2016
sed -i 's|^prefix=.*|prefix=${pcfiledir}/../..|; s|^libdir=.*|libdir=${prefix}/lib|; s|^includedir=.*|includedir=${prefix}/include|' "$common/lib/pkgconfig/steadfast.pc"
cp LICENSE CHANGELOG.md README.md "$common/"
# platform MACHINE LIBC ARCHIVE LIBRARY: what a program needs, in one directory that works wherever it is unpacked.
platform() {
    local tree=$made/$name-linux-$1-$2
    cp -a "$common" "$tree"
    strip_into "$4" "$tree/lib/libsteadfast.so.$version"
    strip_into "$3" "$tree/lib/libsteadfast.a"
    pack "$name-linux-$1-$2"
}
zig_links x86_64-linux-gnu.2.17 "$build/libsteadfast.a"
platform x86_64 gnu "$build/libsteadfast.a" "$linked/x86_64-linux-gnu.2.17/libsteadfast.so.0"
cross aarch64-unknown-linux-gnu cdylib
cross aarch64-unknown-linux-gnu staticlib
built=$target/targets/aarch64-unknown-linux-gnu/release
platform aarch64 gnu "$built/libsteadfast.a" "$built/libsteadfast.so"
for machine in x86_64 aarch64; do
    cross "$machine-unknown-linux-musl" staticlib
    built=$target/targets/$machine-unknown-linux-musl/release
    zig_links "$machine-linux-musl" "$built/libsteadfast.a"
    platform "$machine" musl "$built/libsteadfast.a" "$linked/$machine-linux-musl/libsteadfast.so.0"
done

say "packages for Debian and for RPM"
TARGET=$target bash packaging/debian/build.sh "$build" "$result" >/dev/null
TARGET=$target bash packaging/rpm/build.sh "$build" "$result" >/dev/null

say "wheels, npm packages, the crate"
for library in "$made/$name-linux-"*/lib/libsteadfast.so."$version"; do
    bash bindings/python/build_wheel.sh "$library" "$result" "$python" >/dev/null
    bash bindings/node/pack_platform.sh "$library" "$result" >/dev/null
done
(cd bindings/python && "$python" -m hatchling build -t sdist -d "$result") >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
bash bindings/node/pack_main.sh "$result" >/dev/null
"$cargo" package --quiet --locked --allow-dirty --no-verify --target-dir "$made/crate"
cp "$made/crate/package/$name.crate" "$result/"

awk -v wanted="[$version]" '/^## / { on = $2 == wanted; next } on' CHANGELOG.md | sed '/./,$!d' >"$result/release-notes.md"
(cd "$result" && sha256sum -- * >"$work/sums" && mv "$work/sums" SHA256SUMS)
# A release is there whole, or not at all.
mv "$result"/* "$out/"
say "$(wc -l <"$out/SHA256SUMS") files in $out"
