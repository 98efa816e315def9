# shellcheck shell=bash
# What the header declares, as text: its functions, and its constants with their values. Sourced.

functions_of() { # HEADER: one name a line
    sed -nE '/^static/d; s/^[a-z].*[ *](steadfast_[a-z0-9_]+)\(.*/\1/p' "$1" | LC_ALL=C sort -u
}

constants_of() { # HEADER: "NAME VALUE" a line
    sed -nE 's/^ *(STEADFAST_[A-Z0-9_]+) = (-?[0-9]+),?$/\1 \2/p' "$1" | LC_ALL=C sort
}

exports_of() { # LIBRARY
    nm -D --defined-only "$1" | awk '{ print $3 }' | sed 's/@.*//' | LC_ALL=C sort -u
}

# dump SOURCE-DIRECTORY TARGET OUT: the ABI of the library built from there with debug information, without a path in it.
# Not optimised across crates: that changes no type, and takes a tenth of the time.
dump() {
    (cd "$1" && CARGO_PROFILE_RELEASE_DEBUG=2 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_TARGET_DIR=$2 \
        ${CARGO:-cargo} rustc --quiet --lib --release --no-default-features --features capi --crate-type cdylib) || return 1
    abidw --no-corpus-path --no-comp-dir-path --no-show-locs --type-id-style hash --drop-undefined-syms \
        "$2/release/libsteadfast.so" >"$3.raw" || return 1
    # One translation unit is ours; those of other crates have nothing in them.
    sed -E "s/ path='[^']*'//" "$3.raw" | sed -E '/<abi-instr[^>]*>$/{N;/<\/abi-instr>/d}' >"$3"
    rm -f "$3.raw"
}
