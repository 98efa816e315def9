#!/usr/bin/env bash
# The fuzz targets (fuzz/), each for a while, from the corpus that is kept; with AddressSanitizer and LeakSanitizer.
#
#   fuzz.sh --build DIR --target DIR [--seconds N] [--seed N] [--keep]
#
# --seconds: for each target, 15 without it. --keep: add to fuzz/corpus what was found, as few inputs as cover it all.
# Inputs that fail are left in DIR/fuzz/TARGET-* of --build; replay one by adding it to fuzz/corpus/TARGET: `cargo test --test property`
# runs those. The last line is "N passed, N failed".
set -u
cd "$(dirname "$0")/../.." || exit 2
build='' target='' seconds=15 seed='' keep=''
while [ $# -gt 0 ]; do
    case $1 in
        --build) mkdir -p "$2" && build=$(cd "$2" && pwd) || exit 2; shift 2 ;;
        --target) mkdir -p "$2" && target=$(cd "$2" && pwd) || exit 2; shift 2 ;;
        --seconds) seconds=$2; shift 2 ;;
        --seed) seed=$2; shift 2 ;;
        --keep) keep=yes; shift ;;
        *) echo "fuzz.sh: unknown argument $1" >&2; exit 2 ;;
    esac
done
[ -n "$build" ] && [ -n "$target" ] || { echo "usage: fuzz.sh --build DIR --target DIR [--seconds N] [--seed N] [--keep]" >&2; exit 2; }
[ -n "$seed" ] || seed=$((RANDOM * 32768 + RANDOM + 1))
out=$build/fuzz
mkdir -p "$out"
. tools/check-lib.sh

export PATH=$PWD/build/cargo/bin:$PATH RUSTC_BOOTSTRAP=1
if ! cargo fuzz --version >/dev/null 2>&1; then
    lacking "no cargo-fuzz: cargo install --locked cargo-fuzz"
    end
fi
begun=$(date +%s)
cargo fuzz build --target-dir "$target/fuzz" >"$out/build.log" 2>&1
built=$?
note $built "the fuzz targets build ($(($(date +%s) - begun)) s)"
[ $built = 0 ] || { tail -n 30 "$out/build.log" | sed 's/^/# /'; end; }
programs=$target/fuzz/$(rustc -vV | sed -n 's/^host: //p')/release

for name in record plain lock calls; do
    work=$out/corpus-$name
    rm -rf "$work"
    mkdir -p "$work"
    # New inputs go to the first directory; the kept ones are only read.
    "$programs/$name" "$work" "fuzz/corpus/$name" -max_total_time="$seconds" -seed="$seed" -max_len=1000 -timeout=20 \
        -rss_limit_mb=4096 -print_final_stats=1 -artifact_prefix="$out/$name-" >"$out/$name.log" 2>&1
    code=$?
    stat() { sed -nE "s/^stat::$1: +([0-9]+)/\1/p" "$out/$name.log"; }
    covered=$(grep -aoE 'cov: [0-9]+ ft: [0-9]+' "$out/$name.log" | tail -n 1)
    note $code "fuzz $name: $(stat number_of_executed_units) inputs in $seconds s ($(stat average_exec_per_sec)/s), ${covered:-no coverage}, $(find "fuzz/corpus/$name" -type f | wc -l) kept, seed $seed"
    if [ $code != 0 ]; then
        grep -aE -A 12 'panicked at|ERROR: ' "$out/$name.log" | head -n 30 | sed 's/^/# /'
        find "$out" -path "$out/$name-*" | sed 's/^/# input: /'
    elif [ -n "$keep" ]; then
        "$programs/$name" -set_cover_merge=1 "fuzz/corpus/$name" "$work" >/dev/null 2>&1
    fi
done
end
