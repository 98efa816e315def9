#!/bin/sh
# The API reference into DIR/html: build.sh DIR. Fails on a warning.
set -eu
cd "$(dirname "$0")/../.."
mkdir -p "$1"
{
    cat docs/doxygen/Doxyfile
    sed -n 's/^version = "\(.*\)"/PROJECT_NUMBER = \1/p' Cargo.toml | head -n 1
    echo "OUTPUT_DIRECTORY = $1"
} | doxygen -
