#!/usr/bin/env bash
# RPM packages from a build: libsteadfast0, libsteadfast-devel and steadfast, by rpmbuild.
#   build.sh BUILD OUT
# MAKE, TARGET: as in the Makefile. The date is SOURCE_DATE_EPOCH or the last commit's.
set -eu
. "$(dirname "$0")/../package.sh"
machine=$(uname -m)
installed "$work/tree" PREFIX=/usr LIBDIR=/usr/lib64 MANDIR=/usr/share/man ZSHDIR=/usr/share/zsh/site-functions
for package in steadfast libsteadfast0 libsteadfast-devel; do install -D -m 644 LICENSE "$work/tree/usr/share/licenses/$package/LICENSE"; done
for file in "lib64/libsteadfast.so.$version" lib64/libsteadfast.a bin/steadfast; do strip_file "$work/tree/usr/$file"; done
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
