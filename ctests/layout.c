/*
 * The binary interface in numbers: what a program compiled yesterday relies on. A change here is a change of
 * the ABI number, but for a member at the end of a struct that begins with its size.
 */
#include "tap.h"

#include <stddef.h>

#include "steadfast.h"

#define SIZE(type, size) _Static_assert(sizeof(type) == (size), "size of " #type)
#define OFFSET(type, member, offset) _Static_assert(offsetof(type, member) == (offset), "offset of " #type "." #member)
#define CONSTANT(name, value) _Static_assert((name) == (value), #name)
#define RESULT(function, type, ...) _Static_assert(_Generic(&function, type (*)(__VA_ARGS__): 1, default: 0), "signature of " #function)

/* 64-bit platforms; with 32-bit pointers the pointers shrink. */
#if UINTPTR_MAX > 0xffffffffu
SIZE(steadfast_stat, 64);
OFFSET(steadfast_stat, dev, 0);
OFFSET(steadfast_stat, ino, 8);
OFFSET(steadfast_stat, mode, 16);
OFFSET(steadfast_stat, nlink, 20);
OFFSET(steadfast_stat, uid, 24);
OFFSET(steadfast_stat, gid, 28);
OFFSET(steadfast_stat, size, 32);
OFFSET(steadfast_stat, mtime_ns, 40);
OFFSET(steadfast_stat, attributes, 48);
OFFSET(steadfast_stat, reserved, 52);
OFFSET(steadfast_stat, btime_ns, 56);

SIZE(steadfast_pollfd, 8);
OFFSET(steadfast_pollfd, fd, 0);
OFFSET(steadfast_pollfd, events, 4);
OFFSET(steadfast_pollfd, revents, 6);

SIZE(steadfast_hooks, 352);
OFFSET(steadfast_hooks, size, 0);
OFFSET(steadfast_hooks, user, 8);
OFFSET(steadfast_hooks, absent, 16);
OFFSET(steadfast_hooks, reserved, 20);
OFFSET(steadfast_hooks, openat, 24);
OFFSET(steadfast_hooks, close, 32);
OFFSET(steadfast_hooks, write, 40);
OFFSET(steadfast_hooks, fsync, 48);
OFFSET(steadfast_hooks, renameat, 56);
OFFSET(steadfast_hooks, unlinkat, 64);
OFFSET(steadfast_hooks, linkat, 72);
OFFSET(steadfast_hooks, mkdirat, 80);
OFFSET(steadfast_hooks, readlinkat, 88);
OFFSET(steadfast_hooks, read, 96);
OFFSET(steadfast_hooks, pread, 104);
OFFSET(steadfast_hooks, fstat, 112);
OFFSET(steadfast_hooks, fstatat, 120);
OFFSET(steadfast_hooks, fstatfs, 128);
OFFSET(steadfast_hooks, fchmod, 136);
OFFSET(steadfast_hooks, fchown, 144);
OFFSET(steadfast_hooks, flock, 152);
OFFSET(steadfast_hooks, ofdlock, 160);
OFFSET(steadfast_hooks, fgetxattr, 168);
OFFSET(steadfast_hooks, fsetxattr, 176);
OFFSET(steadfast_hooks, getpid, 184);
OFFSET(steadfast_hooks, geteuid, 192);
OFFSET(steadfast_hooks, kill, 200);
OFFSET(steadfast_hooks, pidfd_open, 208);
OFFSET(steadfast_hooks, poll, 216);
OFFSET(steadfast_hooks, inotify_init, 224);
OFFSET(steadfast_hooks, inotify_add_watch, 232);
OFFSET(steadfast_hooks, clock, 240);
OFFSET(steadfast_hooks, sigxfsz, 248);
OFFSET(steadfast_hooks, fdatasync, 256);
OFFSET(steadfast_hooks, syncfs, 264);
OFFSET(steadfast_hooks, ftruncate, 272);
OFFSET(steadfast_hooks, writeback, 280);
OFFSET(steadfast_hooks, aio, 288);
OFFSET(steadfast_hooks, fsync_many, 296);
OFFSET(steadfast_hooks, openat2, 304);
OFFSET(steadfast_hooks, map, 312);
OFFSET(steadfast_hooks, unmap, 320);
OFFSET(steadfast_hooks, pwrite, 328);
OFFSET(steadfast_hooks, flistxattr, 336);
OFFSET(steadfast_hooks, getdents, 344);

SIZE(steadfast_save_entry, 56);
OFFSET(steadfast_save_entry, size, 0);
OFFSET(steadfast_save_entry, path, 8);
OFFSET(steadfast_save_entry, data, 16);
OFFSET(steadfast_save_entry, len, 24);
OFFSET(steadfast_save_entry, status, 32);
OFFSET(steadfast_save_entry, os_error, 36);
OFFSET(steadfast_save_entry, generation, 40);
OFFSET(steadfast_save_entry, step, 48);
OFFSET(steadfast_save_entry, on_disk, 52);

SIZE(steadfast_lock_options, 32);
OFFSET(steadfast_lock_options, size, 0);
OFFSET(steadfast_lock_options, flags, 8);
OFFSET(steadfast_lock_options, mode, 12);
OFFSET(steadfast_lock_options, empty_grace_ms, 16);
OFFSET(steadfast_lock_options, cancel_fd, 24);
OFFSET(steadfast_lock_options, reserved, 28);

SIZE(steadfast_context_options, 24);
OFFSET(steadfast_context_options, size, 0);
OFFSET(steadfast_context_options, flags, 8);
OFFSET(steadfast_context_options, dirfd, 12);
OFFSET(steadfast_context_options, hooks, 16);

SIZE(steadfast_report, 256);
OFFSET(steadfast_report, size, 0);
OFFSET(steadfast_report, status, 8);
OFFSET(steadfast_report, os_error, 12);
OFFSET(steadfast_report, step, 16);
OFFSET(steadfast_report, on_disk, 20);
OFFSET(steadfast_report, generation, 24);
OFFSET(steadfast_report, pid, 32);
OFFSET(steadfast_report, message, 40);

SIZE(steadfast_save_options, 40);
OFFSET(steadfast_save_options, size, 0);
OFFSET(steadfast_save_options, flags, 8);
OFFSET(steadfast_save_options, mode, 12);
OFFSET(steadfast_save_options, schema, 16);
OFFSET(steadfast_save_options, reserved, 20);
OFFSET(steadfast_save_options, expected_generation, 24);
OFFSET(steadfast_save_options, timeout_ms, 32);

SIZE(steadfast_load_options, 24);
OFFSET(steadfast_load_options, size, 0);
OFFSET(steadfast_load_options, flags, 8);
OFFSET(steadfast_load_options, schema, 12);
OFFSET(steadfast_load_options, max_len, 16);

SIZE(steadfast_state, 80);
OFFSET(steadfast_state, size, 0);
OFFSET(steadfast_state, data, 8);
OFFSET(steadfast_state, len, 16);
OFFSET(steadfast_state, generation, 24);
OFFSET(steadfast_state, saved_at_ns, 32);
OFFSET(steadfast_state, schema, 40);
OFFSET(steadfast_state, source, 44);
OFFSET(steadfast_state, sha256, 48);

#endif

CONSTANT(STEADFAST_SOURCE_CURRENT, 0);
CONSTANT(STEADFAST_SOURCE_PREVIOUS, 1);
CONSTANT(STEADFAST_STAT_MOUNT_ROOT, 1);
CONSTANT(STEADFAST_SIGXFSZ_BLOCK, 0);
CONSTANT(STEADFAST_SIGXFSZ_RESTORE, 1);
CONSTANT(STEADFAST_SIGXFSZ_WAS_BLOCKED, 1);
CONSTANT(STEADFAST_SIGXFSZ_WAS_PENDING, 2);
CONSTANT(STEADFAST_SIGXFSZ_RAISED, 4);
CONSTANT(STEADFAST_CLOCK_REALTIME, 0);
CONSTANT(STEADFAST_CLOCK_MONOTONIC, 1);
CONSTANT(STEADFAST_OFDLOCK_SET, 0);
CONSTANT(STEADFAST_OFDLOCK_TEST, 1);
CONSTANT(STEADFAST_ABSENT_O_DIRECTORY, 1);
CONSTANT(STEADFAST_ABSENT_DIR_FSYNC, 2);
CONSTANT(STEADFAST_ABSENT_O_TMPFILE, 4);
CONSTANT(STEADFAST_ABSENT_RENAMEAT2, 8);
CONSTANT(STEADFAST_ABSENT_FLOCK, 16);
CONSTANT(STEADFAST_ABSENT_XATTR, 32);
CONSTANT(STEADFAST_ABSENT_PIDFD, 64);
CONSTANT(STEADFAST_ABSENT_PROC, 128);
CONSTANT(STEADFAST_ABSENT_INOTIFY, 256);
CONSTANT(STEADFAST_ABSENT_OFDLOCK, 512);
CONSTANT(STEADFAST_ABSENT_LINK, 1024);
CONSTANT(STEADFAST_ABSENT_FDATASYNC, 2048);
CONSTANT(STEADFAST_ABSENT_SYNCFS, 4096);
CONSTANT(STEADFAST_ABSENT_AIO, 8192);
CONSTANT(STEADFAST_ABSENT_FSYNC_MANY, 16384);
CONSTANT(STEADFAST_ABSENT_OPENAT2, 32768);
CONSTANT(STEADFAST_ABSENT_MAP, 65536);
CONSTANT(STEADFAST_OFDLOCK_WAIT, 2);
CONSTANT(STEADFAST_OFDLOCK_EXCLUSIVE, 3);
CONSTANT(STEADFAST_OFDLOCK_UNLOCK, 4);
CONSTANT(STEADFAST_WRITEBACK_START, 0);
CONSTANT(STEADFAST_WRITEBACK_WAIT, 1);
CONSTANT(STEADFAST_AIO_OPEN, 0);
CONSTANT(STEADFAST_AIO_WRITE, 1);
CONSTANT(STEADFAST_AIO_WAIT, 2);
CONSTANT(STEADFAST_AIO_CLOSE, 3);
CONSTANT(STEADFAST_SAVE_SYNCFS, 128);
CONSTANT(STEADFAST_CALL_ANY, 0);
CONSTANT(STEADFAST_CALL_OPENAT, 1);
CONSTANT(STEADFAST_CALL_CLOSE, 2);
CONSTANT(STEADFAST_CALL_WRITE, 3);
CONSTANT(STEADFAST_CALL_FSYNC, 4);
CONSTANT(STEADFAST_CALL_RENAMEAT, 5);
CONSTANT(STEADFAST_CALL_UNLINKAT, 6);
CONSTANT(STEADFAST_CALL_LINKAT, 7);
CONSTANT(STEADFAST_CALL_MKDIRAT, 8);
CONSTANT(STEADFAST_CALL_READLINKAT, 9);
CONSTANT(STEADFAST_CALL_READ, 10);
CONSTANT(STEADFAST_CALL_PREAD, 11);
CONSTANT(STEADFAST_CALL_FSTAT, 12);
CONSTANT(STEADFAST_CALL_FSTATAT, 13);
CONSTANT(STEADFAST_CALL_FSTATFS, 14);
CONSTANT(STEADFAST_CALL_FCHMOD, 15);
CONSTANT(STEADFAST_CALL_FCHOWN, 16);
CONSTANT(STEADFAST_CALL_FLOCK, 17);
CONSTANT(STEADFAST_CALL_OFDLOCK, 18);
CONSTANT(STEADFAST_CALL_FGETXATTR, 19);
CONSTANT(STEADFAST_CALL_FSETXATTR, 20);
CONSTANT(STEADFAST_CALL_GETPID, 21);
CONSTANT(STEADFAST_CALL_GETEUID, 22);
CONSTANT(STEADFAST_CALL_KILL, 23);
CONSTANT(STEADFAST_CALL_PIDFD_OPEN, 24);
CONSTANT(STEADFAST_CALL_POLL, 25);
CONSTANT(STEADFAST_CALL_INOTIFY_INIT, 26);
CONSTANT(STEADFAST_CALL_INOTIFY_ADD_WATCH, 27);
CONSTANT(STEADFAST_CALL_CLOCK, 28);
CONSTANT(STEADFAST_CALL_SIGXFSZ, 29);
CONSTANT(STEADFAST_CALL_FDATASYNC, 30);
CONSTANT(STEADFAST_CALL_SYNCFS, 31);
CONSTANT(STEADFAST_CALL_FTRUNCATE, 32);
CONSTANT(STEADFAST_CALL_WRITEBACK, 33);
CONSTANT(STEADFAST_CALL_AIO, 34);
CONSTANT(STEADFAST_CALL_FSYNC_MANY, 35);
CONSTANT(STEADFAST_CALL_OPENAT2, 36);
CONSTANT(STEADFAST_CALL_MAP, 37);
CONSTANT(STEADFAST_CALL_UNMAP, 38);
CONSTANT(STEADFAST_CALL_PWRITE, 39);
CONSTANT(STEADFAST_CALL_FLISTXATTR, 40);
CONSTANT(STEADFAST_CALL_GETDENTS, 41);
CONSTANT(STEADFAST_SWEEP_LOCKS, 1);
CONSTANT(STEADFAST_SWEEP_DRY_RUN, 2);
CONSTANT(STEADFAST_CONTEXT_AT, 1);
CONSTANT(STEADFAST_CONTEXT_BENEATH, 2);
CONSTANT(STEADFAST_CONTEXT_NO_IO_URING, 4);
CONSTANT(STEADFAST_LOCK_TRUST_START_TIME, 1);
CONSTANT(STEADFAST_LOCK_EINTR_RETURNS, 2);
CONSTANT(STEADFAST_LOCK_INHERIT, 4);
CONSTANT(STEADFAST_LOAD_RECOVER, 1);
CONSTANT(STEADFAST_LOAD_REQUIRE_SCHEMA, 2);
CONSTANT(STEADFAST_LOAD_PLAIN, 4);
CONSTANT(STEADFAST_LOAD_REQUIRE_VERIFIED, 8);
CONSTANT(STEADFAST_SAVE_PLAIN, 256);
CONSTANT(STEADFAST_SAVE_KEEP_ATTRIBUTES, 512);
CONSTANT(STEADFAST_SAVE_IN_PLACE, 2048);
CONSTANT(STEADFAST_SAVE_STRICT, 1);
CONSTANT(STEADFAST_SAVE_KEEP_PREVIOUS, 2);
CONSTANT(STEADFAST_SAVE_IF_GENERATION, 4);
CONSTANT(STEADFAST_SAVE_FOLLOW_SYMLINK, 8);
CONSTANT(STEADFAST_SAVE_CREATE_PARENTS, 16);
CONSTANT(STEADFAST_SAVE_NO_SYNC, 64);
CONSTANT(STEADFAST_OK, 0);
CONSTANT(STEADFAST_NOT_DURABLE, 16);
CONSTANT(STEADFAST_RECOVERED, 17);
CONSTANT(STEADFAST_UNVERIFIED, 18);
CONSTANT(STEADFAST_CHANGED, 19);
CONSTANT(STEADFAST_E_UNVERIFIED, -10020);
CONSTANT(STEADFAST_LOCK_ABSENT, 0);
CONSTANT(STEADFAST_LOCK_REMOVED, 1);
CONSTANT(STEADFAST_LOCK_HELD, 2);
CONSTANT(STEADFAST_LOCK_UNDECIDED, 3);
CONSTANT(STEADFAST_LOCK_IGNORED, 4);
CONSTANT(STEADFAST_LOCK_CHANGED, 5);
CONSTANT(STEADFAST_LOCK_STALE, 6);
CONSTANT(STEADFAST_E_EMPTY, -10000);
CONSTANT(STEADFAST_E_TRUNCATED, -10001);
CONSTANT(STEADFAST_E_TRAILING, -10002);
CONSTANT(STEADFAST_E_DIGEST, -10003);
CONSTANT(STEADFAST_E_FORMAT, -10004);
CONSTANT(STEADFAST_E_NEWER, -10005);
CONSTANT(STEADFAST_E_SCHEMA, -10006);
CONSTANT(STEADFAST_E_LOST, -10007);
CONSTANT(STEADFAST_E_TOO_LARGE, -10008);
CONSTANT(STEADFAST_E_CONFLICT, -10009);
CONSTANT(STEADFAST_E_SYMLINK, -10010);
CONSTANT(STEADFAST_E_NOT_REGULAR, -10011);
CONSTANT(STEADFAST_E_NOT_SAVED_DURABLY, -10012);
CONSTANT(STEADFAST_E_SAVED_NOT_DURABLE, -10013);
CONSTANT(STEADFAST_E_INDETERMINATE, -10014);
CONSTANT(STEADFAST_E_LOCKED, -10015);
CONSTANT(STEADFAST_E_LOCK_LOST, -10016);
CONSTANT(STEADFAST_E_WRONG_PROCESS, -10017);
CONSTANT(STEADFAST_E_HOOK, -10018);
CONSTANT(STEADFAST_E_UNSUPPORTED, -10019);
CONSTANT(STEADFAST_E_BUSY, -10021);
CONSTANT(STEADFAST_E_INTERNAL, -10022);
CONSTANT(STEADFAST_STEP_NONE, 0);
CONSTANT(STEADFAST_STEP_OPEN_DIRECTORY, 1);
CONSTANT(STEADFAST_STEP_INSPECT_TARGET, 2);
CONSTANT(STEADFAST_STEP_READ_CURRENT, 3);
CONSTANT(STEADFAST_STEP_CREATE_TEMP, 4);
CONSTANT(STEADFAST_STEP_WRITE, 5);
CONSTANT(STEADFAST_STEP_SET_MODE, 6);
CONSTANT(STEADFAST_STEP_SYNC_FILE, 7);
CONSTANT(STEADFAST_STEP_KEEP_PREVIOUS, 8);
CONSTANT(STEADFAST_STEP_RENAME, 9);
CONSTANT(STEADFAST_STEP_SYNC_DIRECTORY, 10);
CONSTANT(STEADFAST_STEP_MAKE_PARENT, 11);
CONSTANT(STEADFAST_STEP_READ_LINK, 12);
CONSTANT(STEADFAST_STEP_OPEN_FILE, 13);
CONSTANT(STEADFAST_STEP_READ_FILE, 14);
CONSTANT(STEADFAST_STEP_ALLOCATE, 15);
CONSTANT(STEADFAST_STEP_CLOCK, 16);
CONSTANT(STEADFAST_STEP_CHECK_OWNER, 17);
CONSTANT(STEADFAST_STEP_LOCK_FILE, 18);
CONSTANT(STEADFAST_STEP_COMPARE, 19);
CONSTANT(STEADFAST_STEP_UNLINK, 20);
CONSTANT(STEADFAST_STEP_CREATE_LOCK, 21);
CONSTANT(STEADFAST_STEP_LINK, 22);
CONSTANT(STEADFAST_STEP_WAIT, 23);
CONSTANT(STEADFAST_STEP_ARGUMENTS, 24);
CONSTANT(STEADFAST_ON_DISK_OLD, 0);
CONSTANT(STEADFAST_ON_DISK_NEW, 1);
CONSTANT(STEADFAST_ON_DISK_EITHER, 2);
CONSTANT(STEADFAST_ON_DISK_UNKNOWN, 3);
RESULT(steadfast_version, const char *, void);
RESULT(steadfast_abi_version, uint32_t, void);
RESULT(steadfast_status_name, const char *, int32_t);
RESULT(steadfast_status_message, const char *, int32_t);
RESULT(steadfast_hooks_default, const steadfast_hooks *, void);
RESULT(steadfast_context_new, int32_t, const steadfast_hooks *, steadfast_context **);
RESULT(steadfast_context_new_failing, int32_t, const steadfast_hooks *, uint32_t, uint64_t, int32_t, uint32_t, steadfast_context **);
RESULT(steadfast_context_free, void, steadfast_context *);
RESULT(steadfast_state_save, int32_t, const steadfast_context *, const char *, const void *, size_t, const steadfast_save_options *,
       steadfast_report *);
RESULT(steadfast_state_load, int32_t, const steadfast_context *, const char *, const steadfast_load_options *, steadfast_state *,
       steadfast_report *);
RESULT(steadfast_state_free, void, steadfast_state *);
RESULT(steadfast_lock_clean_stale, int32_t, const steadfast_context *, const char *, const steadfast_lock_options *, steadfast_report *);
RESULT(steadfast_lock_inspect, int32_t, const steadfast_context *, const char *, const steadfast_lock_options *, steadfast_report *);
RESULT(steadfast_lock_acquire, int32_t, const steadfast_context *, const char *, int64_t, const steadfast_lock_options *, steadfast_lock **,
       steadfast_report *);
RESULT(steadfast_context_new_with, int32_t, const steadfast_context_options *, steadfast_context **);
RESULT(steadfast_lock_check, int32_t, const steadfast_lock *, steadfast_report *);
RESULT(steadfast_lock_adopt, int32_t, steadfast_lock *, steadfast_report *);
RESULT(steadfast_directory_sweep, int32_t, const steadfast_context *, const char *, uint32_t, steadfast_sweep_fn, void *,
       steadfast_report *);
RESULT(steadfast_lock_release, int32_t, steadfast_lock *, steadfast_report *);

int main(void)
{
    const steadfast_hooks *real = steadfast_hooks_default();
    const void *const *member = (const void *const *)(const void *)((const char *)real + offsetof(steadfast_hooks, openat));
    size_t count = (sizeof *real - offsetof(steadfast_hooks, openat)) / sizeof *member;
    int missing = 0, named = 0, twice = 0, empty = 0;
    steadfast_hooks init = steadfast_hooks_init();

    ok(1, "sizes, offsets, constants and signatures are those promised (asserted when this was compiled)");
    ok(strcmp(steadfast_version(), "0.1.0") == 0, "the version");
    is_int(steadfast_abi_version(), 0, "the ABI version is that of the SONAME");
    for (size_t i = 0; i < count; i++)
        missing += member[i] == NULL;
    ok(missing == 0 && real->size == sizeof *real && real->user == NULL && real->absent == 0, "the default table has every real call");
    is_int(count, STEADFAST_CALL_GETDENTS, "there is a STEADFAST_CALL_ for every hook, in the order of the table");
    ok(init.size == sizeof init && init.absent == 0 && init.openat == NULL && init.sigxfsz == NULL, "steadfast_hooks_init");

    for (int status = STEADFAST_E_UNSUPPORTED - 50; status <= 50; status++) {
        const char *name = steadfast_status_name(status);
        if (status == -4096)
            status = -200; /* no errno is there */
        if (name == NULL || steadfast_status_message(status) == NULL) {
            empty++;
            continue;
        }
        empty += name[0] == '\0' || steadfast_status_message(status)[0] == '\0';
        if (strcmp(name, "UNKNOWN") == 0)
            continue;
        named++;
        for (int other = status + 1; other <= 50; other++)
            twice += strcmp(name, steadfast_status_name(other)) == 0;
    }
    is_int(empty, 0, "every code has a name and a message, if only UNKNOWN");
    is_int(twice, 0, "no two codes have the same name");
    ok(named > 80, "%d codes have a name", named);
    ok(strcmp(steadfast_status_name(STEADFAST_E_DIGEST), "STEADFAST_E_DIGEST") == 0 && strcmp(steadfast_status_name(-28), "ENOSPC") == 0
           && strcmp(steadfast_status_name(0), "STEADFAST_OK") == 0
           && strcmp(steadfast_status_name(STEADFAST_LOCK_STALE), "STEADFAST_LOCK_STALE") == 0
           && strcmp(steadfast_status_name(INT32_MIN), "UNKNOWN") == 0 && strcmp(steadfast_status_name(INT32_MAX), "UNKNOWN") == 0,
       "names as in the header");
    return done_testing();
}
