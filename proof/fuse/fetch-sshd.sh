#!/usr/bin/env bash
# Debian's sshd, unpacked below DIR and not installed: an installed one would be started with the machine.
#   fetch-sshd.sh DIR
set -eu
mkdir -p "$1"
dir=$(cd "$1" && pwd)
[ ! -x "$dir/usr/sbin/sshd" ] || exit 0
work=$(mktemp -d "${TMPDIR:-/tmp}/steadfast-sshd.XXXXXX")
trap 'rm -rf "$work"' EXIT
(cd "$work" && apt-get -q -o APT::Sandbox::User=root download openssh-server >/dev/null)
dpkg -x "$work"/openssh-server_*.deb "$dir"
