#!/usr/bin/env bash
# Builds the block recorder and runs it, as root: run.sh --build FOLDER --target FOLDER [--budget SECONDS] [--histories SECONDS] [--soak SECONDS] [--seed N]
# What it found stays in FOLDER/blocks/results.jsonl, from which picture.py makes the picture.
set -eu
cd "$(dirname "$0")/../.."
build= target=
while [ $# -gt 0 ]; do
    case $1 in
    --build) build=$2 ;;
    --target) target=$2 ;;
    *) break ;;
    esac
    shift 2
done
[ -n "$build" ] && [ -n "$target" ] || { sed -n 2,3p "$0" >&2; exit 2; }
. tools/check-lib.sh
if [ "$(id -u)" -ne 0 ]; then
    lacking "needs root" || :
    end
fi
mkdir -p "$build/blocks"
CARGO_TARGET_DIR=$target/proof-blocks cargo build --quiet --release --locked --manifest-path proof/blocks/Cargo.toml
exec "$target/proof-blocks/release/blocks" --out "$build/blocks" "$@"
