#!/usr/bin/env bash
# Prints NAME=COMMAND for each peer that is there, and what is not, with its reason, on standard error.
#   peers/build.sh OUT LIB
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
out=$1 lib=$2
CC=${CC:-cc}
mkdir -p "$out"
skip() { echo "SKIPPED: $1: not installed ($2)" >&2; }

flags_of() { case $1 in -l*) echo "$1" ;; *) pkg-config --cflags --libs "$1" 2>/dev/null ;; esac; }
c_peer() { # NAME SOURCE PKG-CONFIG-NAME|-lLIBRARY ARGUMENT PACKAGE
    local flags
    # shellcheck disable=SC2086
    if flags=$(flags_of "$3") &&
        $CC -std=gnu11 -O2 -Wall -Wextra -Wno-unused-function "$here/$2.c" -o "$out/${1%% *}" $flags 2>"$out/${1%% *}.log"; then
        echo "$1=$out/${1%% *}${4:+ $4}"
    else
        skip "$1" "apt-get install pkg-config $5"
    fi
}
c_peer 'GLib g_file_set_contents_full' glib glib-2.0 '' libglib2.0-dev
c_peer 'SQLite DELETE FULL' sqlite sqlite3 DELETE libsqlite3-dev
c_peer 'SQLite WAL FULL' sqlite sqlite3 WAL libsqlite3-dev
c_peer LMDB lmdb lmdb '' liblmdb-dev
c_peer LevelDB lsm -lleveldb '' libleveldb-dev
c_peer RocksDB lsm '-lrocksdb -DROCKSDB' '' librocksdb-dev

python=$root/build/venv/bin/python
[ -x "$python" ] || python=$(command -v python3 || true)
if [ -n "$python" ]; then
    echo "Python, careful recipe=$python $here/python.py plain"
    if "$python" -c 'import atomicwrites' 2>/dev/null; then
        echo "Python atomicwrites=$python $here/python.py atomicwrites"
    else
        skip 'Python atomicwrites' benches/setup
    fi
else
    skip Python 'apt-get install python3'
fi

node=$(command -v node || true)
modules=$root/build/node/node_modules
if [ -n "$node" ] && [ -d "$modules/write-file-atomic" ]; then
    echo "npm write-file-atomic=env NODE_PATH=$modules $node $here/node.js"
else
    skip 'npm write-file-atomic' benches/setup
fi

if CARGO_TARGET_DIR=$out/rust cargo build --quiet --release --offline --locked --manifest-path "$here/../rust/Cargo.toml" 2>"$out/rust.log"; then
    echo "Rust tempfile=$out/rust/release/rust-peer tempfile"
    echo "Rust atomic-write-file=$out/rust/release/rust-peer atomic-write-file"
else
    skip 'Rust tempfile, atomic-write-file' benches/setup
fi

# The library and the bare sequence as workers too: what a process of its own changes, and for strace.
$CC -std=gnu11 -O2 -Wall -Wextra -I "$root/include" "$here/steadfast.c" -o "$out/ours" -L "$lib" -lsteadfast -Wl,-rpath,"$lib"
echo "bare C, as a worker=$out/ours bare"
echo "steadfast, as a worker=$out/ours save"
