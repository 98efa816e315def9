#!/usr/bin/env bash
# filelock's and atomicwrites' source distributions, unpacked into DIR/sources, and a Python with what their tests need in
# DIR/venv: fetch.sh DIR
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mkdir -p "$1"
dir=$(cd "$1" && pwd)
python=$dir/venv/bin/python
rm -rf "$dir/venv" "$dir/sources" "$dir/sources.new"
python3 -m venv "$dir/venv"
# pip looks at a source distribution's metadata, for which its build backend has to be there. filelock's also asks for a plugin
# that lists dependencies, which only a real build would use: no hook of the build is run.
"$python" -m pip -q --disable-pip-version-check install filelock==4.3.1 pytest==9.2.0 pytest-asyncio==1.5.0 pytest-mock==3.17.0 \
    pytest-timeout==2.4.0 setuptools==80.9.0 wheel==0.45.1 hatchling==1.27.0 hatch-vcs==0.5.0 hatch-fancy-pypi-readme==25.1.0
mkdir "$dir/sources.new"
HATCH_BUILD_NO_HOOKS=true "$python" -m pip -q --disable-pip-version-check download --no-deps --no-build-isolation --no-binary :all: \
    --require-hashes --dest "$dir/sources.new" --requirement "$here/sources.txt"
for archive in "$dir"/sources.new/*.tar.gz; do tar -xzf "$archive" -C "$dir/sources.new"; done
cp "$here/sources.txt" "$dir/sources.new"
mv "$dir/sources.new" "$dir/sources"
