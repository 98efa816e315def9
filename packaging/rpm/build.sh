#!/usr/bin/env bash
# RPM packages from a build: libsteadfast0, libsteadfast-devel and steadfast, by rpmbuild.
#   build.sh BUILD OUT
# MAKE, TARGET: as in the Makefile. The date is SOURCE_DATE_EPOCH or the last commit's.
set -eu
cd "$(dirname "$0")/../.."
build=$(cd "$1" && pwd)
mkdir -p "$2"
out=$(cd "$2" && pwd)
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
machine=$(uname -m)
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
work=$(mktemp -d "${TMPDIR:-/tmp}/steadfast-rpm.XXXXXX")
trap 'rm -rf "$work"' EXIT
umask 022
unset MAKEFLAGS MFLAGS MAKELEVEL
"${MAKE:-make}" -s install BUILD="$build" TARGET="${TARGET:-target}" DESTDIR="$work/tree" PREFIX=/usr LIBDIR=/usr/lib64 MANDIR=/usr/share/man \
    ZSHDIR=/usr/share/zsh/site-functions >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
for package in steadfast libsteadfast0 libsteadfast-devel; do install -D -m 644 LICENSE "$work/tree/usr/share/licenses/$package/LICENSE"; done
strip --strip-unneeded --remove-section=.comment "$work/tree/usr/lib64/libsteadfast.so.$version" "$work/tree/usr/bin/steadfast"
strip --strip-debug --enable-deterministic-archives --remove-section=.comment "$work/tree/usr/lib64/libsteadfast.a"
find "$work/tree/usr/share/man" -type f -exec gzip -9n {} +
find "$work/tree" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
# The same bytes each time: the times of the commit, and no name of this machine.
rpmbuild -bb --quiet --target "$machine" \
    --define "version_of_tree $version" --define "tree $work/tree" \
    --define "_topdir $work/rpm" --define "_rpmdir $work/made" --define "_libdir /usr/lib64" \
    --define "_buildhost localhost" --define "use_source_date_epoch_as_buildtime 1" --define "clamp_mtime_to_source_date_epoch 1" \
    --define "_docdir_fmt %{name}" packaging/rpm/steadfast.spec >"$work/log" 2>&1 || { cat "$work/log" >&2; exit 1; }
for package in "$work/made/$machine"/*.rpm; do
    cp "$package" "$out/"
    echo "$out/$(basename "$package")"
done
