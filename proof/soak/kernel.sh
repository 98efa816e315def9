#!/usr/bin/env bash
# Another kernel, Debian's 6.1, in a virtual machine without KVM: a program saves states on ext4 and tells the console what was
# acknowledged; the machine is cut off at a random moment, with whatever its kernel had not yet written; booted again it must find the last
# acknowledged state or a later one, whole, and save and lock again. A mutant without fsync must be caught.
#
#   kernel.sh --fetch                              downloads kernel and qemu by apt-get into build/qemu; installs nothing
#   kernel.sh --lib DIR --out DIR [--seconds N]    DIR of --lib holds libsteadfast.a
#
# The last line is "N passed, N failed".
set -u
cd "$(dirname "$0")/../.." || exit 2
kernel=linux-image-6.1.0-56-cloud-amd64
root=$PWD/build/qemu
if [ "${1:-}" = --fetch ]; then
    mkdir -p "$root/debs" && cd "$root/debs" || exit 1
    packages=$(apt-get install --print-uris --no-install-recommends -y qemu-system-x86 cpio | awk -F"'" '/^.http|^.file|^.mirror/ { n = split($2, parts, "/"); split(parts[n], name, "_"); print name[1] }')
    # shellcheck disable=SC2086
    apt-get download $kernel $packages || exit 1
    for deb in *.deb; do dpkg -x "$deb" "$root"; done
    exit
fi
lib='' out='' seconds=60
while [ $# -gt 0 ]; do
    case $1 in
        --lib) lib=$(cd "$2" && pwd) || exit 2; shift 2 ;;
        --out) mkdir -p "$2" && out=$(cd "$2" && pwd) || exit 2; shift 2 ;;
        --seconds) seconds=$2; shift 2 ;;
        *) echo "kernel.sh: unknown argument $1" >&2; exit 2 ;;
    esac
done
[ -n "$lib" ] && [ -n "$out" ] || { sed -n 2,9p "$0" >&2; exit 2; }
. tools/check-lib.sh
lacks() { skip "$1"; end; }
[ "$(uname -m)" = x86_64 ] || lacks "the second kernel is for x86_64"
vmlinuz=$(find "$root/boot" -name 'vmlinuz-*' 2>/dev/null | head -n 1)
[ -n "$vmlinuz" ] || lacks "no second kernel: proof/soak/kernel.sh --fetch downloads one"
command -v mkfs.ext4 >/dev/null || lacks "no mkfs.ext4"
export PATH=$root/usr/bin:$root/bin:$PATH LD_LIBRARY_PATH=$root/usr/lib/x86_64-linux-gnu:$root/lib/x86_64-linux-gnu
qemu-system-x86_64 --version >"$out/version" 2>&1 || lacks "qemu does not run: $(head -n 1 "$out/version")"

tree=$out/tree
rm -rf "$tree"
mkdir -p "$tree/modules"
${CC:-cc} -std=gnu11 -Wall -Wextra -O2 -static -Iinclude proof/soak/guest.c "$lib/libsteadfast.a" -o "$tree/init"
note $? "the guest's program builds"
number=0
for module in virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci virtio_blk; do
    file=$(find "$root/lib/modules" -name "$module.ko" | head -n 1)
    [ -z "$file" ] || cp "$file" "$tree/modules/$number.ko"
    number=$((number + 1))
done
(cd "$tree" && find . | cpio --quiet -o -H newc) >"$out/initrd"

machine() { # SECONDS WORDS: boots, with the console in $out/console
    timeout --signal=KILL "$1" qemu-system-x86_64 -L "$root/usr/share/qemu" -L "$root/usr/share/seabios" -M pc,accel=tcg -cpu max -m 256 -smp 1 \
        -display none -serial stdio -monitor none -nic none -no-reboot -kernel "$vmlinuz" -initrd "$out/initrd" \
        -append "console=ttyS0 quiet panic=-1 $2" -drive "file=$out/disk,format=raw,if=virtio,cache=writeback" \
        </dev/null >"$out/console" 2>&1
}
last() { grep -aoE "^$1 [0-9]+" "$out/console" | tail -n 1 | grep -oE '[0-9]+$'; }
cut_off() { # SECONDS WORDS: what was acknowledged and found: "ACK FOUND verdict"
    rm -f "$out/disk"
    truncate -s 32M "$out/disk"
    mkfs.ext4 -q -F -b 4096 -E lazy_itable_init=0,lazy_journal_init=0 "$out/disk"
    machine "$1" "mode=write $2"
    local acknowledged bad
    acknowledged=$(last ACK)
    bad=$(grep -am 1 BAD "$out/console")
    cp "$out/console" "$out/console.write"
    machine 60 mode=check
    echo "${acknowledged:-0} $(last FOUND || echo none) ${bad:-$(grep -am 1 BAD "$out/console" || { grep -q DONE "$out/console" && echo good; })}"
}

read -r acknowledged found verdict < <(cut_off 9 mutant=nosync)
[ "${acknowledged:-0}" -gt 0 ] && { [ "${found:-0}" = none ] || [ "${found:-0}" -lt "$acknowledged" ] || [[ $verdict == BAD* ]]; }
note $? "mutant killed: no fsync: acknowledged $acknowledged, found $found $verdict"
cuts=0 wrong=0 most=0
end=$(($(date +%s) + seconds))
while [ "$(date +%s)" -lt $end ] || [ $cuts = 0 ]; do
    read -r acknowledged found verdict < <(cut_off "$((5 + RANDOM % 5)).$((RANDOM % 1000))" "")
    cuts=$((cuts + 1))
    [ "${acknowledged:-0}" -le "$most" ] || most=$acknowledged
    # After the last acknowledged one the unsynced one may be there, and the one under way.
    if [ "$verdict" != good ] || [ "$found" = none ] || [ "$found" -lt "$acknowledged" ] || [ "$found" -gt $((acknowledged + 2)) ]; then
        wrong=$((wrong + 1))
        echo "# acknowledged $acknowledged, found $found, $verdict"
    fi
done
[ "$wrong" = 0 ] && [ "$most" -gt 0 ]
note $? "summary: Linux $(grep -aoE '^KERNEL .*' "$out/console" | tail -n 1 | cut -d ' ' -f 2 | tr -d '\r'), ext4: $cuts machines cut off, at most $most saves acknowledged in one, $wrong wrong"
rm -f "$out/disk" "$out/initrd"
end
