#!/usr/bin/env bash
# The crate, as a Rust program gets it: the listing of its public API, its documentation, the package, the oldest compiler.
#   run.sh TARGET [--write]      --write: writes abi/rust-api.txt anew
set -u
cd "$(dirname "$0")/../.." || exit 2
target=${1:?usage: run.sh TARGET [--write]}
case $target in /*) ;; *) target=$PWD/$target ;; esac
cargo=${CARGO:-cargo}
work=$(mktemp -d "${TMPDIR:-/tmp}/steadfast-crate.XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT
. tools/check-lib.sh
export CARGO_TARGET_DIR=$target

check "cargo doc has nothing to complain about" env RUSTDOCFLAGS="-D warnings" "$cargo" doc --quiet --locked --no-deps --lib || end
python3 tools/public_api.py "$target/doc/steadfast" >"$work/api"
if [ "${2:-}" = --write ]; then cp "$work/api" abi/rust-api.txt; fi
check "the public API is abi/rust-api.txt (otherwise: tests/crate/run.sh target --write, and CHANGELOG.md)" diff -u abi/rust-api.txt "$work/api"
check "nothing internal is public" refuses grep -E '(ffi|hooks|status)::|steadfast_|STEADFAST_' "$work/api"

# The package builds from what is in it, and has nothing to spare.
package() { "$cargo" package --quiet --locked --allow-dirty --offline --target-dir "$work/package"; }
check "cargo package, and a build of what is in it" package || end
archive=$(echo "$work"/package/package/steadfast-*.crate)
tar -tzf "$archive" | sed 's|^[^/]*/||' | LC_ALL=C sort >"$work/files"
check "no tests and no pictures are in it" refuses grep -E '^(tests|ctests|proof|fuzz|benches|bindings)/|\.svg$' "$work/files"
check "licence, page, header and sources are" equal "$(grep -cxE 'LICENSE|docs/rust.md|include/steadfast.h|src/lib.rs|src/api/state.rs' "$work/files")" 5
bytes=$(stat -c %s "$archive")
check "it has at most 256 KiB: $bytes bytes, $(wc -l <"$work/files") files" test "$bytes" -le 262144
# It asks the registry whether the version is free.
publish() { "$cargo" publish --quiet --locked --allow-dirty --no-verify --dry-run --target-dir "$work/package"; }
if publish >"$work/output" 2>&1; then
    note 0 "cargo publish would take it"
elif grep -qiE 'resolve host|network|connect|timed out' "$work/output"; then
    skip "no registry can be reached: cargo publish --dry-run"
else
    check "cargo publish would take it" publish
fi

# A program that has nothing but the package; no C function comes with it.
mkdir "$work/program" "$work/program/src"
tar -xzf "$archive" -C "$work"
cat >"$work/program/Cargo.toml" <<END
[package]
name = "program"
version = "0.0.0"
edition = "2024"

[dependencies]
steadfast = { path = "$(echo "$work"/steadfast-*/)" }

[workspace]
END
cat >"$work/program/src/main.rs" <<'END'
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let state = steadfast::State::new(std::env::args_os().nth(1).ok_or("a path")?);
    let generation = state.update(|old| old.map_or(1, |old| old.len() + 1).to_string())?.durable()?;
    println!("generation {generation}");
    Ok(())
}
END
program() { "$cargo" "$@" --quiet --offline --manifest-path "$work/program/Cargo.toml" --target-dir "$work/program/target"; }
check "a program with the package alone" program build
check "it runs" equal "$("$work/program/target/debug/program" "$work/state")" "generation 1"
check "without the C functions" refuses sh -c "nm '$work/program/target/debug/program' | grep -q ' T steadfast_'"

# The oldest compiler: rust-version of Cargo.toml.
oldest=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml).0
if "$cargo" "+$oldest" --version >/dev/null 2>&1; then
    check "Rust $oldest builds the crate" "$cargo" "+$oldest" check --quiet --locked --offline --lib --target-dir "$work/oldest"
    check "Rust $oldest builds the C library" "$cargo" "+$oldest" check --quiet --locked --offline --lib --no-default-features --features capi --target-dir "$work/oldest"
else
    lacking "Rust $oldest is not installed (rustup toolchain install $oldest --profile minimal)"
fi
end
