#!/usr/bin/env bash
# The release library under a supervisor of its system calls.
#   run.sh calls --lib BUILD --out DIRECTORY [--deep] [--only NAME]
#   run.sh looks --lib BUILD --out DIRECTORY [--deep] [--only NAME]
#   run.sh schedules --lib BUILD --out DIRECTORY [--budget SECONDS | --soak SECONDS] [--seed N] [--only NAME [--schedule 0x5,1x3]]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
mode=$1 lib='' out=''
shift
more=()
while [ $# -gt 0 ]; do
    case $1 in
    --lib) lib=$(cd "$2" && pwd); shift ;;
    --out) mkdir -p "$2/$mode"; out=$(cd "$2" && pwd); shift ;;
    *) more+=("$1") ;;
    esac
    shift
done

# Modes run side by side: each has its programs.
programs=$out/$mode

. "$here/../../tools/check-lib.sh"
lacks() { lacking "$1" || :; end; }
[ "$(uname -s)" = Linux ] || lacks "seccomp user notification is Linux's"
[ "$(uname -m)" = x86_64 ] || lacks "the call numbers looked at are x86_64's"
command -v cargo >/dev/null || lacks "cargo is missing"
echo 'int main(void) { return 0; }' | ${CC:-cc} -x c - -lseccomp -o "$programs/probe" 2>/dev/null || lacks "libseccomp is missing (apt-get install libseccomp-dev)"

flags=(-std=gnu11 -Wall -Wextra -O2 "-I$here/../../include")
link=("-L$lib" -lsteadfast "-Wl,-rpath,$lib")
if grep -q steadfast_state_save_batch "$here/../../include/steadfast.h"; then
    flags+=(-DHAS_BATCH)
    more+=(--batch)
fi
${CC:-cc} "${flags[@]}" "$here/programs/subject.c" "${link[@]}" -o "$programs/subject"
while read -r mutant; do
    ${CC:-cc} "${flags[@]}" -rdynamic "-D$mutant" "$here/programs/subject.c" "$here/programs/mutants.c" "${link[@]}" -o "$programs/$mutant"
done < <(grep -oE '\b(ifdef|defined\()[ ]*[A-Z_]+' "$here/programs/mutants.c" | grep -oE '[A-Z_]+$' | sort -u)
CARGO_TARGET_DIR=$out/target cargo build --quiet --release --locked --manifest-path "$here/Cargo.toml"
exec "$out/target/release/calls" "$mode" --programs "$programs" "${more[@]}"
