#!/usr/bin/env bash
# What other programs leave of a plain file: each row of the table in steadfast_state(5) is tried, and no row is missing there.
#   run.sh BUILD
# Needs getfattr, git, rsync, and root for the mounts. Ends with "N passed, N failed".
set -u
here=$(cd "$(dirname "$0")" && pwd)
. "$here/../../tools/check-lib.sh"
steadfast=$(cd "$1" && pwd)/steadfast || exit 2
page=$here/../../docs/man/steadfast_state.5
work=$(mktemp -d "${TMPDIR:-/tmp}/steadfast-plain.XXXXXX") || exit 2
mounts=()
finish() {
    local at
    for ((at = ${#mounts[@]}; at-- > 0;)); do umount "${mounts[at]}" || umount -l "${mounts[at]}"; done
    rm -rf "$work"
}
trap finish EXIT
cd "$work" || exit 2

# The rows of the table: what somebody does, a tab, what a load then gives.
awk '/^\.SS Other programs$/ { on = 1 } on && /^\.TE$/ { exit } on && /\t/' "$page" | sed 's/\\-/-/g' | sed 1d >rows
: >tried

saved() { # PATH TEXT: a file as `steadfast save --plain` leaves it, some ticks of the clock ago
    "$steadfast" save --plain "$1" <<<"$2" >output 2>&1
    read -r -t 0.01 <><(:) || :
}
verdict() { # PATH: of a load, in the words of the table
    "$steadfast" load --plain "$1" >output 2>errors
    case $?:$(cat errors) in
    0:) echo 0 ;;
    3:*STEADFAST_CHANGED*) echo CHANGED ;;
    3:*STEADFAST_UNVERIFIED*) echo UNVERIFIED ;;
    4:*) echo damage ;;
    *) echo "something else: $(cat errors)" ;;
    esac
}
row() { # PATH WHAT VERDICT
    local got
    got=$(verdict "$1")
    echo "$2" >>tried
    [ "$got" = "$3" ]
    note $? "$2: $got"
    grep -qxF "$2"$'\t'"$3" rows
    note $? "$2: the manual says so"
}
# For the command line before it: a failing one makes the row meaningless.
must() { "$@" >output 2>&1 || note 1 "$* (exit code $?): $(tail -n 3 output)"; }

if [ "$(id -u)" = 0 ]; then root=yes; else root=; fi
mounted() { # DIRECTORY ARGUMENT...: of mount(8); false when it cannot be
    mkdir -p "$1"
    if mount "${@:2}" "$1" 2>errors; then mounts+=("$1"); else return 1; fi
}

saved f one
if [ "$(verdict f)" != 0 ]; then
    lacking "no extended attributes in $work: set TMPDIR to a place that has them"
    end
fi
# Copies.
cp f copy
row copy "cp, cp -p, install" UNVERIFIED
cp -p f preserved
row preserved "cp, cp -p, install" UNVERIFIED
cp -a f archived
row archived "cp -a" 0
saved other two
saved over one
cp other over
row over "cp over it" CHANGED
saved over one
cp -a other over
row over "cp -a over it" 0
saved moved one
mv moved elsewhere
row elsewhere "mv, ln, touch, chmod" 0
ln f linked
row linked "mv, ln, touch, chmod" 0
install -m 600 f installed
row installed "cp, cp -p, install" UNVERIFIED
mkdir packed unpacked unpacked-xattrs
saved packed/f one
tar -cf packed.tar packed && tar -xf packed.tar -C unpacked
row unpacked/packed/f "tar" UNVERIFIED
tar --xattrs -cf packed.tar packed && tar --xattrs -xf packed.tar -C unpacked-xattrs
row unpacked-xattrs/packed/f "tar --xattrs" 0
if command -v rsync >/dev/null; then
    must rsync -a packed/ synced/
    row synced/f "rsync -a" UNVERIFIED
    must rsync -aX packed/ synced-xattrs/
    row synced-xattrs/f "rsync -aX" 0
    mkdir in-place
    saved in-place/f other
    must rsync -a --inplace packed/ in-place/
    row in-place/f "rsync -a --inplace over it" CHANGED
else
    lacking "rsync is not installed"
fi

# Edits.
saved e one
echo two >e
row e "an editor that writes in place" CHANGED
saved e one
: >e
row e "truncated" CHANGED
saved e one
echo two >e.new
mv e.new e
row e "an editor that renames a new file" UNVERIFIED
saved e one
sed -i s/one/two/ e
row e "sed -i" UNVERIFIED
saved e one
touch e
row e "mv, ln, touch, chmod" 0
saved e one
chmod 644 e
row e "mv, ln, touch, chmod" 0
saved e one
touch -r e when
printf 'onf\n' >e
touch -r when e
row e "other bytes, and the time set back" damage
if command -v git >/dev/null; then
    mkdir repository
    as_git() { git -C repository -c user.name=a -c user.email=a@example.org -c init.defaultBranch=a "$@"; }
    must as_git init -q
    saved repository/f one
    must as_git add f
    must as_git commit -qm 1
    row repository/f "git add, git commit" 0
    saved repository/f two
    must as_git commit -qam 2
    must as_git checkout -q HEAD~1
    row repository/f "git checkout to another version, git clone" UNVERIFIED
    must git clone -q repository clone
    row clone/f "git checkout to another version, git clone" UNVERIFIED
else
    lacking "git is not installed"
fi

# Other file systems.
if [ -n "$root" ]; then
    if mounted tmpfs -t tmpfs tmpfs; then
        saved tmpfs/f one
        row tmpfs/f "a save on tmpfs" 0
        saved moved one
        mv moved tmpfs/moved
        row tmpfs/moved "mv to another file system with attributes" 0
    else
        lacking "no tmpfs: $(cat errors)"
    fi
    if mounted ramfs -t ramfs ramfs; then
        saved ramfs/f one
        row ramfs/f "a save where there are none (ramfs)" UNVERIFIED
        saved moved one
        mv moved ramfs/moved 2>errors
        row ramfs/moved "mv to a file system without attributes" UNVERIFIED
        must cp -a f ramfs/copy
        must cp -a ramfs/copy back
        row back "cp -a to one without attributes, and back" UNVERIFIED
    else
        lacking "no ramfs: $(cat errors)"
    fi
    # Not on an overlayfs, which can be no upper directory: on a tmpfs.
    if mounted layers -t tmpfs tmpfs && mkdir layers/lower layers/upper layers/work; then
        saved layers/lower/f one
        saved layers/lower/g one
        if mounted merged -t overlay -o lowerdir=layers/lower,upperdir=layers/upper,workdir=layers/work,userxattr overlay; then
            chmod 640 merged/f
            [ -e layers/upper/f ]
            note $? "overlayfs: chmod copies the file up"
            row merged/f "overlayfs: copied up" 0
            saved merged/g two
            row merged/g "overlayfs: a save over a lower file" 0
        else
            lacking "no overlayfs: $(cat errors)"
        fi
    else
        lacking "no tmpfs: $(cat errors)"
    fi
else
    lacking "not root, so nothing can be mounted"
fi

if [ "$skipped" = 0 ]; then
    [ "$(sort -u tried)" = "$(cut -f 1 rows | sort)" ]
    note $? "every row of the manual was tried"
fi
end
