#!/usr/bin/env bash
# `make dist`, and each thing of it installed where nothing else is: dist_test.sh [--twice]
# --twice makes it a second time and compares the bytes. Ends with "N passed, N failed".
set -u
cd "$(dirname "$0")/.." || exit 2
. packaging/check.sh
out=$PWD/build/release
unset MAKEFLAGS MFLAGS MAKELEVEL DESTDIR PREFIX LIBDIR INCLUDEDIR BINDIR MANDIR
make=${MAKE:-make}
dist() { (cd "$1" && "$make" -s dist VERSION="$2" OUT="$3"); }
refuses_with() { # TEXT COMMAND...
    local text=$1
    shift
    ! "$@" >"$work/said" 2>&1 && grep -qF -- "$text" "$work/said" || { cat "$work/said"; return 1; }
}
lacks rpmbuild rpm && end

# What it refuses, in a clone of its own.
check "a clone" git clone -q . "$work/clone" || end
check "no version: it says which" refuses_with "make dist VERSION=$version" "$make" -s -C "$work/clone" dist OUT="$work/none"
check "another version than Cargo.toml's" refuses_with "Cargo.toml says $version" dist "$work/clone" 9.9.9 "$work/none"
# Of the places with a version, each by itself.
sed -i "0,/^version = /s/^version = .*/version = \"9.9.8\"/" "$work/clone/Cargo.toml"
bash "$work/clone/packaging/versions.sh" | sed 's/: .*//' >"$work/places"
git -C "$work/clone" checkout -q .
check "there are more than 20 places" test "$(wc -l <"$work/places")" -gt 20
while read -r place; do
    sed -i "s/${version//./\\.}/9.9.9/" "$work/clone/$place"
    check "another version in $place" refuses_with "$place: " dist "$work/clone" "$version" "$work/none"
    git -C "$work/clone" checkout -q .
done <"$work/places"
touch "$work/clone/new"
check "a tree that is not clean" refuses_with "not clean" dist "$work/clone" "$version" "$work/none"
check "nothing was made" test ! -e "$work/none"
rm "$work/clone/new"
check "a place for it that is not empty" refuses_with "is not empty" dist "$work/clone" "$version" "$work/clone"

[ -z "$(git status --porcelain)" ] || { skip "the tree is not clean: there is no release of it"; end; }
rm -rf "$out"
check "the release" dist . "$version" "$out" || end
check "the checksums" sh -c "cd '$out' && sha256sum --quiet -c SHA256SUMS"
expected() {
    printf '%s\n' SHA256SUMS release-notes.md "steadfast-$version".{tar.gz,tgz,crate} "libsteadfast-$version.tar.gz" \
        "steadfast-$version-linux-"{x86_64,aarch64}-{gnu,musl}.tar.gz "steadfast-linux-"{x64,arm64}-{gnu,musl}"-$version.tgz" \
        "libsteadfast-$version-py3-none-"{manylinux_2_17,musllinux_1_2}_{x86_64,aarch64}.whl \
        {steadfast,libsteadfast0,libsteadfast-devel}"-$version-1.x86_64.rpm" {steadfast,libsteadfast0,libsteadfast-dev}"_$version-1_amd64.deb"
}
check "all of it, and nothing else" equal "$(cd "$out" && printf '%s\n' * | sort)" "$(expected | sort)"
check "the notes are the section of the change log" grep -q '^### Added' "$out/release-notes.md"
mkdir "$work/contents"
unpacked() (
    for file in "$out"/*; do
        mkdir "$work/contents/${file##*/}" && cd "$work/contents/${file##*/}" || exit
        case $file in
        *.tar.gz | *.tgz | *.crate) tar -xzf "$file" ;;
        *.deb) dpkg-deb -x "$file" . ;;
        *.rpm) rpm2archive - <"$file" | tar -xzf - ;;
        *.whl) python3 -m zipfile -e "$file" . ;;
        esac || exit
    done
)
check "each can be unpacked" unpacked
check "no path of this machine is in it" refuses grep -rqaF -e "$PWD" -e "${CARGO_HOME:-$HOME/.cargo}/registry" "$work/contents"
if [ "${1:-}" = --twice ]; then
    check "the release again" dist . "$version" "$work/again"
    check "it is the same" diff -r "$out" "$work/again"
fi

# What is downloaded, in bytes.
no_larger() { [ "$(stat -c %s "$2")" -le "$1" ] || { stat -c '%n: %s bytes' "$2"; return 1; }; }
for wheel in "$out"/*.whl; do check "at most 220,000 bytes: $(basename "$wheel")" no_larger 220000 "$wheel"; done
cat "$out"/steadfast-linux-x64-gnu-*.tgz "$out/steadfast-$version.tgz" >"$work/npm"
check "at most 280,000 bytes: what npm loads" no_larger 280000 "$work/npm"

# The libraries, unpacked somewhere.
cat >"$work/program.c" <<'C'
#include <steadfast.h>
#include <stdio.h>
int main(int count, char **arguments)
{
    steadfast_report report = { .size = sizeof report };
    if (count != 2 || steadfast_state_save(NULL, arguments[1], "hello", 5, NULL, &report) != STEADFAST_OK)
        return fprintf(stderr, "%s\n", report.message), 1;
    return puts(steadfast_version()) < 0;
}
C
built() { # PLATFORM COMPILER PKG-CONFIG-OPTIONS COMPILER-OPTIONS...
    local tree=$work/steadfast-$version-linux-$1 flags
    [ -d "$tree" ] || tar -xzf "$out/steadfast-$version-linux-$1.tar.gz" -C "$work" || return
    # shellcheck disable=SC2086
    flags=$(PKG_CONFIG_PATH=$tree/lib/pkgconfig pkg-config --define-variable=pcfiledir="$tree/lib/pkgconfig" $3 --cflags --libs steadfast) || return
    # shellcheck disable=SC2086
    $2 -Wall -Werror "$work/program.c" $flags "${@:4}" -Wl,-rpath,"$tree/lib" -o "$work/program-$1"
}
ran() { equal "$("${@:2}" "$work/program-$1" "$work/state-$1")" "$version"; }
check "x86-64, glibc: a program is linked" built x86_64-gnu cc "" && check "and runs" ran x86_64-gnu
check "x86-64, glibc: with the archive" built x86_64-gnu cc --static -static && check "and runs" ran x86_64-gnu
lacks musl-gcc musl-tools || { check "x86-64, musl: with the archive" built x86_64-musl musl-gcc --static -static && check "and runs" ran x86_64-musl; }
lacks qemu-aarch64 qemu-user || lacks aarch64-linux-gnu-gcc gcc-aarch64-linux-gnu ||
    for options in "" --static; do
        check "aarch64, glibc: a program is linked ${options#--}" built aarch64-gnu aarch64-linux-gnu-gcc "$options" ${options:+-static} &&
            check "and runs" ran aarch64-gnu qemu-aarch64 -L /usr/aarch64-linux-gnu -E LD_LIBRARY_PATH="$work/steadfast-$version-linux-aarch64-gnu/lib"
    done
check "aarch64, musl: that is what it is for" sh -c "tar -xzOf '$out/steadfast-$version-linux-aarch64-musl.tar.gz' 'steadfast-$version-linux-aarch64-musl/lib/libsteadfast.so.$version' >'$work/musl.so' && readelf -h '$work/musl.so' | grep -q AArch64"

# RPMs, in a root of their own.
root=$work/root
rpms() { rpm --root "$root" "$@"; }
mkdir "$root"
if [ "$(id -u)" = 0 ]; then
    check "rpm installs them" rpms -i --nodeps --noscripts "$out"/*.rpm
    check "it finds each file as it was packed" rpms -V --nodeps --noscripts steadfast libsteadfast0 libsteadfast-devel
    check "the command works" equal "$("$root/usr/bin/steadfast" --version)" "$(build/steadfast --version)"
    check "a program is linked" cc -Wall -Werror "-I$root/usr/include" "$work/program.c" "-L$root/usr/lib64" -lsteadfast "-Wl,-rpath,$root/usr/lib64" -o "$work/program-rpm" &&
        check "and runs" ran rpm
    check "the library is not taken from under the others" refuses rpms -e libsteadfast0
    check "all of it can be removed" rpms -e --noscripts steadfast libsteadfast0 libsteadfast-devel
    check "and nothing is left" equal "$(find "$root/usr" -name '*steadfast*')" ""
else
    skip "rpm into a root of its own needs root"
fi

# Python, in an empty environment.
python_works() {
    python3 -m venv "$work/venv" && "$work/venv/bin/pip" install -q --no-index "$out/libsteadfast-$version-py3-none-manylinux_2_17_x86_64.whl" &&
        (cd "$work" && equal "$("$work/venv/bin/python" -c 'import steadfast; steadfast.save("python", b"hi"); print(steadfast.load("python").data, steadfast.__version__)')" "b'hi' $version")
}
check "Python: the wheel, in an empty environment" python_works
# Node, in an empty project; koffi comes from where .ci/setup has put it.
node_works() (
    mkdir "$work/node" && cd "$work/node" && echo '{ "private": true }' >package.json &&
        npm install --silent --offline --no-audit --no-fund --install-links "$koffi" "$out/steadfast-linux-x64-gnu-$version.tgz" "$out/steadfast-$version.tgz" &&
        equal "$(node -e 'const s = require("steadfast"); s.saveSync("state", "hi"); console.log(String(s.loadSync("state").data));')" hi
)
koffi=$PWD/build/node/node_modules/koffi
if [ -d "$koffi" ]; then check "Node: the packages, in an empty project" node_works; else lacking "koffi is not in build/node (.ci/setup)"; fi
# Rust, in an empty project.
rust_works() (
    mkdir -p "$work/rust/src" && tar -xzf "$out/steadfast-$version.crate" -C "$work/rust" && cd "$work/rust" || exit
    printf '[package]\nname = "program"\nversion = "0.0.0"\nedition = "2024"\n[dependencies]\nsteadfast = { path = "steadfast-%s" }\n[workspace]\n' "$version" >Cargo.toml
    printf 'fn main() {\n    let saved = steadfast::State::new("state").save(b"hi");\n    println!("{}", saved.is_ok());\n}\n' >src/main.rs
    equal "$("${CARGO:-cargo}" run --quiet --offline)" true
)
check "Rust: the crate, in an empty project" rust_works
# The source by itself.
source_works() (
    tar -xzf "$out/steadfast-$version.tar.gz" -C "$work" && "$make" -s -C "$work/steadfast-$version" build/steadfast &&
        equal "$("$work/steadfast-$version/build/steadfast" --version)" "$(build/steadfast --version)"
)
check "the source: make builds it" source_works
end
