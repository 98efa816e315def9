#!/usr/bin/env bash
# The stripped shared library keeps its size.
#   run.sh BUILD            compares BUILD/libsteadfast.so with abi/size.txt
#   run.sh BUILD --write    writes abi/size.txt, for a release
#
# A library that is more than 2 KiB larger than the committed figure needs a line in the unreleased section of CHANGELOG.md:
#     - Size: 104,512 bytes: why it grew
# The figure of that line then takes the place of the committed one. The hard limit is 260 KiB (docs/design/0013).
# Ends with "N passed, N failed".
set -u
cd "$(dirname "$0")/../.." || exit 2
build=${1:?usage: run.sh BUILD [--write]}
work=$(mktemp -d "${TMPDIR:-/tmp}/steadfast-size.XXXXXX") || exit 2
trap 'rm -rf "$work"' EXIT
. tools/check-lib.sh
HARD_LIMIT=$((260 * 1024))
GROWTH=2048

# The figure that the unreleased section explains, or nothing.
explained() { # CHANGELOG
    awk '/^## / { inside = tolower($0) ~ /unreleased/ } inside' "$1" |
        sed -nE 's/^- Size: ([0-9]{1,3}(,[0-9]{3})*|[0-9]+) bytes: .*[[:alpha:]].*$/\1/p' | tr -d , | sort -n | tail -n 1
}
allowed() { # SIZE FIGURE CHANGELOG
    local figure
    figure=$(explained "$3")
    [ "${figure:-0}" -gt "$2" ] || figure=$2
    if [ "$1" -gt "$HARD_LIMIT" ]; then
        echo "$1 bytes are more than the limit of $HARD_LIMIT"
    elif [ "$1" -gt $((figure + GROWTH)) ]; then
        echo "$1 bytes are $(($1 - figure)) more than $figure; CHANGELOG.md needs, in its unreleased section: - Size: $1 bytes: why it grew"
    else
        return 0
    fi
    return 1
}

if [ "$(uname -s)-$(uname -m)" != Linux-x86_64 ]; then
    skip "the committed size is that of x86-64 Linux"
    end
fi
strip --strip-unneeded -o "$work/stripped.so" "$build/libsteadfast.so" || exit 2
size=$(stat -c %s "$work/stripped.so")
compiler=$(rustc --version | cut -d ' ' -f 1,2)
if [ "${2:-}" = --write ]; then
    printf '# Bytes of the stripped x86-64 library, and what built it. tests/size/run.sh compares; with --write it writes this.\n%s %s\n' \
        "$size" "$compiler" >abi/size.txt
    exit
fi

read -r figure committed_compiler < <(grep -v '^#' abi/size.txt)
check "at most 260 KiB: $size bytes" test "$size" -le "$HARD_LIMIT"
if [ "$compiler" = "$committed_compiler" ]; then
    check "not more than 2 KiB larger than abi/size.txt ($figure), or CHANGELOG.md explains it" allowed "$size" "$figure" CHANGELOG.md
else
    lacking "abi/size.txt was measured with $committed_compiler; this is $compiler"
fi

# The check itself: on changelogs made for it.
changelog() { # NAME LINE-IN-UNRELEASED LINE-IN-A-RELEASE
    printf '# Changelog\n\n## [0.2.0] - unreleased\n\n### Changed\n\n%s\n\n## [0.1.0] - 2026-01-01\n\n%s\n' "$2" "$3" >"$work/$1"
}
changelog silent "- Something else." ""
changelog explains "- Size: 104,512 bytes: streaming readers." ""
changelog bare "- Size: 104,512 bytes:" ""
changelog old "- Something else." "- Size: 104,512 bytes: streaming readers."
check "it allows growth of 2 KiB" allowed 102048 100000 "$work/silent"
check "it refuses one byte more" refuses allowed 102049 100000 "$work/silent"
check "unless the changelog explains it" allowed 106560 100000 "$work/explains"
check "up to 2 KiB above the figure that it names" refuses allowed 106561 100000 "$work/explains"
check "a line without a reason explains nothing" refuses allowed 102049 100000 "$work/bare"
check "nor does a line about an older release" refuses allowed 102049 100000 "$work/old"
changelog large "- Size: 240,000 bytes: everything." ""
check "nothing explains more than 260 KiB" refuses allowed 266241 266000 "$work/large"
end
