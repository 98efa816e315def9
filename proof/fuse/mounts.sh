# How each file system is mounted on $work/mount, its files below $work. Sourced, in a mount namespace of its own.
# shellcheck shell=bash disable=SC2154
servers=()

# start [PREFIX...]: the server of $fs as a child, in the foreground. With a prefix (strace) it is run below that.
start() {
    local command
    mkdir -p "$work/source" "$work/mount" "$work/upper" "$work/work" "$work/other"
    case $fs in
    bindfs) command=(bindfs -f -o subtype=bindfs "$work/source" "$work/mount") ;;
    mergerfs) command=(mergerfs -f "$work/source:$work/other" "$work/mount") ;;
    fuse-overlayfs) command=(fuse-overlayfs -f -o "lowerdir=$work/source,upperdir=$work/upper,workdir=$work/work" "$work/mount") ;;
    gocryptfs)
        echo pass >"$work/pass"
        [ -e "$work/source/gocryptfs.conf" ] || gocryptfs -q -init -scryptn 10 -passfile "$work/pass" "$work/source" || return 1
        command=(gocryptfs -fg -q -passfile "$work/pass" "$work/source" "$work/mount")
        ;;
    sshfs)
        # What serves the files is started by sshd, not by us.
        start_sshd "$@" || return 1
        set --
        command=(sshfs -f -p "$port" -o "IdentityFile=$work/key,StrictHostKeyChecking=no,UserKnownHostsFile=/dev/null,LogLevel=ERROR" "root@127.0.0.1:$work/source" "$work/mount")
        ;;
    esac
    "$@" "${command[@]}" >>"$work/server.log" 2>&1 &
    servers+=($!)
    for _ in $(seq 200); do
        mountpoint -q "$work/mount" && return
        kill -0 "${servers[-1]}" 2>/dev/null || break
        sleep 0.05
    done
    cat "$work/server.log"
    return 1
}

# An sshd of our own on the loopback, with its own keys. The user that it wants exists in this mount namespace only.
start_sshd() {
    local user=sshd
    if ! mountpoint -q /etc/passwd; then
        cp /etc/passwd "$work/passwd"
        grep -q "^$user:" "$work/passwd" || echo "$user:x:64999:65534::/run/sshd:/usr/sbin/nologin" >>"$work/passwd"
        mount --bind "$work/passwd" /etc/passwd && mount -t tmpfs none /run && mkdir -m 755 /run/sshd || return 1
        ssh-keygen -q -t ed25519 -N '' -f "$work/hostkey" && ssh-keygen -q -t ed25519 -N '' -f "$work/key" || return 1
    fi
    printf '#!/bin/sh\nexec %s /usr/lib/openssh/sftp-server\n' "$*" >"$work/sftp"
    chmod +x "$work/sftp"
    for _ in 1 2 3 4 5; do
        port=$((20000 + RANDOM % 30000))
        cat >"$work/sshd.config" <<TEXT
Port $port
ListenAddress 127.0.0.1
HostKey $work/hostkey
AuthorizedKeysFile $work/key.pub
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
PermitRootLogin prohibit-password
Subsystem sftp $work/sftp
TEXT
        "$sshd" -D -e -f "$work/sshd.config" 2>>"$work/server.log" &
        servers+=($!)
        for _ in $(seq 100); do
            if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then return; fi
            kill -0 "${servers[-1]}" 2>/dev/null || break
            sleep 0.05
        done
        unset 'servers[-1]'
    done
    return 1
}

stop() {
    local pid
    umount "$work/mount" 2>/dev/null || umount -l "$work/mount" 2>/dev/null
    for pid in "${servers[@]}"; do
        for _ in $(seq 40); do kill -0 "$pid" 2>/dev/null || break; [ "$fs" = sshfs ] && kill "$pid" 2>/dev/null; sleep 0.05; done
        kill -9 "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
    done
    servers=()
}
