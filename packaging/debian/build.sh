#!/usr/bin/env bash
# Debian packages from a build: libsteadfast0, libsteadfast-dev and steadfast, by dpkg-deb alone.
#   build.sh BUILD OUT
# MAKE, CC, TARGET: as in the Makefile. The maintainer is DEBFULLNAME <DEBEMAIL>, the date SOURCE_DATE_EPOCH or the last commit's.
set -eu
. "$(dirname "$0")/../package.sh"
revision=$version-1
architecture=$(dpkg --print-architecture)
multiarch=$(${CC:-cc} -print-multiarch)
[ -n "$multiarch" ] || { echo "build.sh: ${CC:-cc} -print-multiarch gives nothing: not Debian's compiler?" >&2; exit 1; }
maintainer="${DEBFULLNAME:-Steadfast maintainers} <${DEBEMAIL:-steadfast@localhost.invalid}>"

places=(PREFIX=/usr LIBDIR="/usr/lib/$multiarch" INCLUDEDIR=/usr/include BINDIR=/usr/bin MANDIR=/usr/share/man)
installed "$work/all" "${places[@]}" COMPLETIONDIR=/usr/share/bash-completion/completions ZSHDIR=/usr/share/zsh/vendor-completions
lib=usr/lib/$multiarch

move() { # PACKAGE PATTERN...: out of the installation, with the directories
    local package=$work/$1 file
    shift
    # shellcheck disable=SC2068
    for file in $(cd "$work/all" && find $@ \( -type f -o -type l \) | sort); do
        mkdir -p "$package/$(dirname "$file")"
        mv "$work/all/$file" "$package/$file"
    done
}
move libsteadfast0 "$lib/libsteadfast.so.*"
move libsteadfast-dev "$lib" usr/include usr/share/man/man3
move steadfast usr
left=$(find "$work/all" -type f -o -type l)
[ -z "$left" ] || { echo "build.sh: in no package: $left" >&2; exit 1; }

# The command of a distribution uses its shared library.
${CC:-cc} -std=c11 -O2 -g -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE -pie -Wl,-z,relro,-z,now -pthread -Iinclude cli/*.c \
    "$build/libsteadfast.so" -o "$work/steadfast/usr/bin/steadfast"
for file in "libsteadfast0/$lib/libsteadfast.so.$version" "libsteadfast-dev/$lib/libsteadfast.a" steadfast/usr/bin/steadfast; do
    strip_file "$work/$file"
done
chmod 644 "$work/libsteadfast0/$lib/libsteadfast.so.$version"

libc() { # FILE: the oldest libc6 with the symbol versions that it asks for
    readelf -VW "$1" | grep -oE 'GLIBC_[0-9.]+' | sed 's/GLIBC_//' | sort -V | tail -n 1
}
lib_libc=$(libc "$work/libsteadfast0/$lib/libsteadfast.so.$version")
command_libc=$(libc "$work/steadfast/usr/bin/steadfast")

finish() { # PACKAGE, the control fields on standard input
    local root=$work/$1 doc=$work/$1/usr/share/doc/$1
    mkdir -p "$root/DEBIAN" "$doc"
    find "$root/usr/share/man" -type f -exec gzip -9n {} + 2>/dev/null || :
    {
        cat <<TEXT
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: steadfast

Files: *
Copyright: $(sed -n 's/^Copyright (c) //p' LICENSE)
License: MIT OR Apache-2.0
TEXT
        # The MIT License, each line indented as the format wants it; Debian has the other text.
        sed -n '/^Permission is hereby granted/,/^====/{/^====/d; s/^$/./; s/^/ /; p}' LICENSE | sed '$d'
        printf ' .\n On Debian systems the Apache License, Version 2.0, is in /usr/share/common-licenses/Apache-2.0.\n'
    } >"$doc/copyright"
    printf 'steadfast (%s) unstable; urgency=medium\n\n  * Version %s, packaged from its source tree.\n\n -- %s  %s\n' \
        "$revision" "$version" "$maintainer" "$(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")" | gzip -9n >"$doc/changelog.Debian.gz"
    {
        printf 'Package: %s\nSource: steadfast\nVersion: %s\nArchitecture: %s\nMaintainer: %s\nPriority: optional\n' \
            "$1" "$revision" "$architecture" "$maintainer"
        printf 'Installed-Size: %s\n' "$(du -k -s --apparent-size --exclude=DEBIAN "$root" | cut -f 1)"
        cat
    } >"$root/DEBIAN/control"
    (cd "$root" && find usr -type f -print0 | sort -z | xargs -0 md5sum) >"$root/DEBIAN/md5sums"
    dpkg-deb --root-owner-group --build "$root" "$out/$1_${revision}_$architecture.deb" >/dev/null
    echo "$out/$1_${revision}_$architecture.deb"
}

mkdir -p "$work/libsteadfast0/DEBIAN"
# A program that is linked with it depends on it like this: additions to the ABI come with a new version.
echo "libsteadfast 0 libsteadfast0 (>= $version)" >"$work/libsteadfast0/DEBIAN/shlibs"
{
    echo "libsteadfast.so.0 libsteadfast0 #MINVER#"
    sed "s/.*/ &@Base $version/" abi/exports.txt
} >"$work/libsteadfast0/DEBIAN/symbols"
echo "activate-noawait ldconfig" >"$work/libsteadfast0/DEBIAN/triggers"
finish libsteadfast0 <<CONTROL
Section: libs
Multi-Arch: same
Depends: libc6 (>= $lib_libc)
Description: crash-safe state files and stale-safe lock files
 State files that are whole after any crash, and lock files that are never
 taken from a live owner and never left behind by a dead one.
 .
 This package holds the shared library.
CONTROL
finish libsteadfast-dev <<CONTROL
Section: libdevel
Multi-Arch: same
Depends: libsteadfast0 (= $revision), libc6-dev
Description: crash-safe state files and stale-safe lock files (development)
 State files that are whole after any crash, and lock files that are never
 taken from a live owner and never left behind by a dead one.
 .
 This package holds the headers for C and C++, the static library, the
 manual pages, and what pkg-config and CMake need.
CONTROL
finish steadfast <<CONTROL
Section: utils
Depends: libc6 (>= $command_libc), libsteadfast0 (>= $version)
Description: crash-safe state files and stale-safe lock files (command)
 State files that are whole after any crash, and lock files that are never
 taken from a live owner and never left behind by a dead one.
 .
 This package holds the command: save and load state from the shell, run a
 program under a lock, look at locks and clean stale ones.
CONTROL
