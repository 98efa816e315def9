#!/usr/bin/env bash
# The ABI guard: header = exports.txt = what the library exports, constants keep their values, and abidiff finds that nothing
# a compiled program relies on has changed since the baseline. Then mutants of the library, each of which must be found.
#   check.sh BUILD TARGET            BUILD/libsteadfast.so is looked at; TARGET is for builds with debug information
#   check.sh BUILD TARGET --update   writes exports.txt, constants.txt and baseline.abixml anew, if there are only additions
# Ends with "N passed, N failed".
set -u
cd "$(dirname "$0")/.." || exit 2
build=$1 target=$PWD/$2
case $2 in /*) target=$2 ;; esac
# Mutants have a copy and a target of their own, always the same ones: cargo takes the two trees for one package.
tree=$target/abi-mutant/tree
mutants=$target/abi-mutant
target=$target/abi
. abi/surface.sh
. tools/check-lib.sh
work=$(mktemp -d "${TMPDIR:-/tmp}/steadfast-abi.XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT
header=include/steadfast.h

# Strict, but for additions of functions: a grown struct is for --update to judge and to put down.
unchanged() { abidiff --no-added-syms --suppressions abi/opaque.abignore "$1" "$2"; }
kept() { # OLD NEW: each line of OLD is in NEW
    local lost
    lost=$(LC_ALL=C comm -23 "$1" "$2")
    [ -z "$lost" ] || { echo "gone or changed:"; echo "$lost"; return 1; }
}

for tool in abidiff abidw nm python3; do
    command -v $tool >/dev/null && continue
    lacking "no $tool (Debian: abigail-tools, binutils, python3)"
    end
done
if [ "$(uname -m)" != x86_64 ]; then
    skip "the baseline is x86-64's"
    end
fi

functions_of $header >"$work/functions"
constants_of $header >"$work/constants"
exports_of "$build/libsteadfast.so" >"$work/exports"
dump . "$target" "$work/now.abixml" || { note 1 "a build with debug information"; end; }

if [ "${3:-}" = --update ]; then
    if [ -e abi/baseline.abixml ]; then
        kept abi/exports.txt "$work/functions" && kept abi/constants.txt "$work/constants" &&
            python3 abi/update.py abi/baseline.abixml "$work/now.abixml" || { echo "refused: this breaks programs that are compiled already"; exit 1; }
    fi
    cp "$work/functions" abi/exports.txt
    cp "$work/constants" abi/constants.txt
    cp "$work/now.abixml" abi/baseline.abixml
    exit 0
fi

check "the header declares what abi/exports.txt allows ($(wc -l <abi/exports.txt))" diff abi/exports.txt "$work/functions"
check "the library exports that, and nothing else" diff abi/exports.txt "$work/exports"
check "so does the build with debug information" diff abi/exports.txt <(exports_of "$target/release/libsteadfast.so")
check "constants and their values ($(wc -l <abi/constants.txt))" diff abi/constants.txt "$work/constants"
check "abidiff: nothing changed since the baseline" unchanged abi/baseline.abixml "$work/now.abixml"
while read -r name; do
    grep -q "<function-decl name='$name'" abi/baseline.abixml || echo "$name"
done <abi/exports.txt >"$work/untyped"
check "the baseline knows the types of every function" test ! -s "$work/untyped"
check "and names no place on a disk" refuses grep -nE "='/|registry" abi/baseline.abixml

# Mutants, built from a copy. The sed expression must change the file, the mutant must compile.
rm -rf "$tree"
mkdir -p "$tree"
cp -r src Cargo.toml Cargo.lock build.rs .cargo "$tree"
mutant() { # FILE EXPRESSION: leaves the dump in mutant.abixml
    [ -f "src/$1" ] || return
    cp -r src/. "$tree/src"
    sed -i -E "$2" "$tree/src/$1"
    ! cmp -s "src/$1" "$tree/src/$1" && dump "$tree" "$mutants" "$work/mutant.abixml"
}
swap='s/pub step: i32/pub held: i32/; s/pub on_disk: i32/pub step: i32/; s/pub held: i32/pub on_disk: i32/'
grow='/^pub struct steadfast_load_options/,/^\}/s/^\}/    pub more: u64,\n}/'

check "mutant: two members of a struct change places" mutant ffi/status.rs "/^pub struct steadfast_report/,/^\}/{$swap}"
check "is found by abidiff" refuses unchanged abi/baseline.abixml "$work/mutant.abixml"
check "may not become the baseline" refuses python3 abi/update.py abi/baseline.abixml "$work/mutant.abixml"

check "mutant: a function is gone" mutant ffi/status.rs '/^#\[unsafe\(no_mangle\)\]$/{N;s/.*\n(.*steadfast_abi_version)/\1/}'
check "is found by abidiff" refuses unchanged abi/baseline.abixml "$work/mutant.abixml"
check "is found by the list of exports" refuses diff abi/exports.txt <(exports_of "$mutants/release/libsteadfast.so")
check "may not become the baseline" refuses python3 abi/update.py abi/baseline.abixml "$work/mutant.abixml"

check "mutant: a return type is wider" mutant ffi/status.rs '/fn steadfast_abi_version/s/-> u32 \{/-> u64 {/; /fn steadfast_abi_version/,/^\}/s/^    ([0-9A-Z_a-z:]+)$/    (\1) as u64/'
check "is found by abidiff" refuses unchanged abi/baseline.abixml "$work/mutant.abixml"
check "may not become the baseline" refuses python3 abi/update.py abi/baseline.abixml "$work/mutant.abixml"

check "mutant: a struct that begins with its size grows at its end" mutant ffi/load.rs "$grow"
check "is found by abidiff" refuses unchanged abi/baseline.abixml "$work/mutant.abixml"
check "and may become the baseline" python3 abi/update.py abi/baseline.abixml "$work/mutant.abixml"
check "mutant: it grows at its end, and a member becomes another" \
    mutant ffi/load.rs "/^pub struct steadfast_load_options/,/^\}/{s/pub schema: u32/pub held: u32/; s/pub flags: u32/pub schema: u32/; s/pub held: u32/pub flags: u32/}; $grow"
check "is found by abidiff" refuses unchanged abi/baseline.abixml "$work/mutant.abixml"
check "may not become the baseline" refuses python3 abi/update.py abi/baseline.abixml "$work/mutant.abixml"

sed -E 's/^(STEADFAST_E_DIGEST) .*/\1 -10999/' "$work/constants" >"$work/renumbered"
check "mutant: a code has another number: found" refuses kept abi/constants.txt "$work/renumbered"
strip -o "$work/stripped.so" "$build/libsteadfast.so"
check "stripped, the library can not be compared: that is seen" refuses grep -q "<function-decl" <(abidw "$work/stripped.so" 2>&1)
end
