# shellcheck shell=bash
# The beginning of the scripts that pack what `make install` installs. Sourced, with the arguments BUILD OUT. Sets build, out and version;
# and work, which goes in the end.
# shellcheck disable=SC2034
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit
. packaging/library.sh
build=$(cd "$1" && pwd)
mkdir -p "$2"
out=$(cd "$2" && pwd)
version=$(version_of_tree)
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
work=$(mktemp -d "${TMPDIR:-/tmp}/steadfast-package.XXXXXX")
trap 'rm -rf "$work"' EXIT
umask 022
