# shellcheck shell=bash
# How the library is built for other platforms. Sourced from the top of the tree, with these set: linked (absolute; the libraries
# go below it), target (cargo's), rustc (what fetch.sh filled), work (for what is removed in the end), and python, which has ziglang.
# shellcheck disable=SC2154

case $rustc in /*) cross_rustc=$rustc ;; *) cross_rustc=$PWD/$rustc ;; esac
exports_map=$work/exports.map
{ echo '{ global:'; sed 's/$/;/' abi/exports.txt; echo 'local: *; };'; } >"$exports_map"

# zig_links TARGET ARCHIVE: the shared library of the archive, in the directory of LINKED that has the target's name.
zig_links() {
    mkdir -p "$linked/$1"
    "$python" -m ziglang cc -target "$1" -shared -nostartfiles -Wl,-soname,libsteadfast.so.0 -Wl,-z,defs -Wl,--gc-sections \
        -Wl,--version-script="$exports_map" -Wl,--whole-archive "$2" -Wl,--no-whole-archive -o "$linked/$1/libsteadfast.so.0"
}

# cross TRIPLE CRATE-TYPE: with core built from source, since rustup's is not to be had everywhere. Its archives name no path of this
# machine. (cargo appends what --config says to the flags of .cargo/config.toml.)
cross() {
    env RUSTC="$cross_rustc/rustc" RUSTC_BOOTSTRAP=1 __CARGO_TESTS_ONLY_SRC_ROOT="$(echo "$cross_rustc"/usr/src/rustc-*/library)" CARGO_TARGET_DIR="$target/targets" \
        CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
        "${CARGO:-cargo}" rustc --quiet --config "build.rustflags=['--remap-path-prefix=$cross_rustc/usr/src=/rustc']" -Zbuild-std=core,compiler_builtins --lib --release --no-default-features --features capi --target "$1" --crate-type "$2"
}
