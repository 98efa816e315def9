/* STEADFAST_SAVE_IN_PLACE: files that cannot be replaced. */
#include "tap.h"
#include "state_test.h"

#include <sys/file.h>
#include <sys/xattr.h>

#define IN_PLACE STEADFAST_SAVE_IN_PLACE
#define PLAIN STEADFAST_SAVE_PLAIN

static char path[300], previous[310];
static ino_t mounted;             /* this inode is a mount point */
static int unwritable, busy, hides; /* the directory may not be written; a rename over a mount point fails; statx hides it */
static struct faults faults, idle = { .no_real_sync = 1 };
static steadfast_context *unsynced; /* for what is not crashed */
static steadfast_hooks beneath;

static int32_t fstat_hook(void *user, int32_t fd, steadfast_stat *out)
{
    int32_t result = beneath.fstat(user, fd, out);
    if (result == 0 && !hides && out->ino == mounted)
        out->attributes |= STEADFAST_STAT_MOUNT_ROOT;
    return result;
}
static int32_t openat_hook(void *user, int32_t dirfd, const char *name, int32_t flags, uint32_t mode)
{
    return unwritable && (flags & O_CREAT) != 0 ? -EROFS : beneath.openat(user, dirfd, name, flags, mode);
}
static int32_t renameat_hook(void *user, int32_t od, const char *op, int32_t nd, const char *np, uint32_t flags)
{
    return busy && strcmp(np, "s") == 0 ? -EBUSY : beneath.renameat(user, od, op, nd, np, flags);
}

static int plain; /* the kind of file that is tested */
static int save_it(const steadfast_context *c, const char *text, uint32_t flags, uint64_t expected)
{
    steadfast_save_options o = {
        .size = sizeof o, .flags = flags | (plain ? PLAIN : 0), .expected_generation = expected, .timeout_ms = 100
    };
    report = (steadfast_report){ .size = sizeof report };
    return steadfast_state_save(c, path, text, strlen(text), &o, &report);
}
/* What a load gives: its status, or -1 when that is right but the content is not. */
static int load_gives(const char *what, uint32_t flags, const char *text)
{
    steadfast_load_options o = { .size = sizeof o, .flags = flags | (plain ? STEADFAST_LOAD_PLAIN : 0) };
    steadfast_state s = { .size = sizeof s };
    int status = steadfast_state_load(NULL, what, &o, &s, NULL);
    if (status >= 0 && (s.len != strlen(text) || memcmp(s.data, text, s.len) != 0))
        status = -1;
    steadfast_state_free(&s);
    return status;
}

static ino_t inode_of(const char *what)
{
    struct stat st;
    return stat(what, &st) == 0 ? st.st_ino : 0;
}

/* Where another machine may see the directory, no save removes what a killed one has left. */
static void empty(void)
{
    DIR *entries = opendir(dir);
    if (entries == NULL)
        bail_out("opendir: %s", strerror(errno));
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;)
        unlinkat(dirfd(entries), entry->d_name, 0);
    closedir(entries);
}

static void begin(int saves)
{
    empty();
    unwritable = busy = hides = 0, mounted = 0;
    for (int i = 1; i <= saves; i++)
        save_it(unsynced, i == 1 ? "one" : "two", i == 1 ? 0 : STEADFAST_SAVE_KEEP_PREVIOUS, 0);
    mounted = inode_of(path);
}

static void writes(const steadfast_context *c, const char *kind)
{
    begin(1);
    is_int(save_it(c, "new", 0, 0), -EBUSY, "%s, a mount point: EBUSY", kind);
    is_int(save_it(c, "new", IN_PLACE, 0), STEADFAST_OK, "with IN_PLACE: saved");
    ok(inode_of(path) == mounted && load_gives(path, 0, "new") == 0 && report.generation == 2 && report.on_disk == STEADFAST_ON_DISK_NEW,
       "it is the same file, as generation 2");
    ok(load_gives(previous, 0, "one") == 0, "the old content is PATH.prev");
    is_int(save_it(c, "a longer one", IN_PLACE, 0), STEADFAST_OK, "a longer one");
    is_int(save_it(c, "x", IN_PLACE, 0), STEADFAST_OK, "and a shorter one");
    ok(load_gives(path, 0, "x") == 0 && load_gives(previous, 0, "a longer one") == 0 && report.generation == 4, "are written whole");
    begin(1), hides = 1, busy = 1;
    is_int(save_it(c, "new", IN_PLACE, 0), STEADFAST_OK, "a mount point that statx does not tell: saved");
    ok(inode_of(path) == mounted && load_gives(path, 0, "new") == 0 && load_gives(previous, 0, "one") == 0
           && *leftovers(dir, "s s.prev") == '\0',
       "in place, and nothing else is left");
    begin(1), mounted = 0, unwritable = 1;
    is_int(save_it(c, "new", 0, 0), -EROFS, "a directory that may not be written: EROFS");
    is_int(save_it(c, "new", IN_PLACE, 0), STEADFAST_E_UNSUPPORTED, "with IN_PLACE, without a PATH.prev: E_UNSUPPORTED");
    ok(load_gives(path, 0, "one") == 0 && strstr(report.message, "PATH.prev") != NULL,
       "the old one stands, and the message says what it needs");
    begin(2), mounted = 0, unwritable = 1;
    is_int(save_it(c, "new", IN_PLACE, 0), STEADFAST_OK, "with one: saved");
    ok(load_gives(path, 0, "new") == 0 && load_gives(previous, 0, "two") == 0, "PATH.prev is written in place as well");
    begin(0), mounted = 0, unwritable = 1;
    is_int(save_it(c, "new", IN_PLACE, 0), -ENOENT, "no file, and none can be made: ENOENT");
    begin(1), mounted = 0;
    is_int(save_it(c, "new", IN_PLACE, 0), STEADFAST_OK, "a file that can be replaced");
    ok(!exists(previous) && load_gives(path, 0, "new") == 0, "is replaced");

    begin(1);
    if (!NO_FLOCK) {
        is_int(save_it(c, "new", IN_PLACE | STEADFAST_SAVE_IF_GENERATION, 7), STEADFAST_E_CONFLICT, "another generation: E_CONFLICT");
        is_int(save_it(c, "new", IN_PLACE | STEADFAST_SAVE_IF_GENERATION, 1), STEADFAST_OK, "the one that is there: saved");
        begin(1);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        flock(fd, LOCK_EX);
        is_int(save_it(c, "new", IN_PLACE, 0), STEADFAST_E_BUSY, "another saver writes it: E_BUSY");
        close(fd);
    }
    begin(1);
    chmod(path, 0644);
    steadfast_save_options o = { .size = sizeof o, .flags = IN_PLACE | STEADFAST_SAVE_SET_MODE | (plain ? PLAIN : 0), .mode = 0600 };
    struct stat st;
    ok(steadfast_state_save(c, path, "x", 1, &o, NULL) == 0 && stat(path, &st) == 0 && (st.st_mode & 07777) == 0600, "SET_MODE tightens");
    o.mode = 0640;
    ok(steadfast_state_save(c, path, "x", 1, &o, NULL) == 0 && stat(path, &st) == 0 && (st.st_mode & 07777) == 0640, "and opens");
    begin(1);
    is_int(save_it(c, "new", IN_PLACE | STEADFAST_SAVE_NO_SYNC, 0), STEADFAST_NOT_DURABLE, "NO_SYNC: NOT_DURABLE");
    ok(load_gives(previous, 0, "one") == 0 && report.on_disk == STEADFAST_ON_DISK_EITHER,
       "EITHER: the old content is durable as PATH.prev");
    is_int(save_it(c, "newer", IN_PLACE, 0), STEADFAST_OK, "saved over it");
    ok(load_gives(path, 0, "newer") == 0, "and loaded");
    begin(0);
    write_text(path, "by hand"), mounted = inode_of(path);
    is_int(save_it(c, "new", IN_PLACE, 0), STEADFAST_OK, "over anybody's file");
    size_t len = 0;
    char *copy = read_file(previous, &len);
    ok(load_gives(path, 0, "new") == 0 && len == 7 && memcmp(copy, "by hand", 7) == 0, "which is PATH.prev then");
    free(copy);
    begin(2);
    struct stat before;
    if (stat(path, &before) != 0 || truncate(path, 2) != 0
        || utimensat(AT_FDCWD, path, (struct timespec[2]){ { .tv_nsec = UTIME_OMIT }, before.st_mtim }, 0) != 0)
        bail_out("truncate");
    is_int(save_it(c, "new", IN_PLACE, 0), STEADFAST_OK, "over damage");
    ok(load_gives(path, 0, "new") == 0 && load_gives(previous, 0, "one") == 0, "the good PATH.prev stays");
}

/* Each call fails, once and for ever: what is told is true. */
static void failures(const steadfast_context *c, const char *kind)
{
    int wrong = 0, told[4] = { 0 };
    for (int for_ever = 0; for_ever <= 1; for_ever++) {
        for (long nth = 1;; nth += test_small() ? 3 : 1) {
            memset(&faults, 0, sizeof faults);
            begin(2);
            faults.fail_at = nth, faults.error = EIO, faults.for_ever = for_ever, faults.no_real_sync = 1;
            faults.calls = 0;
            int status = save_it(c, "new", IN_PLACE, 0);
            long calls = faults.calls;
            faults.fail_at = 0;
            int now = load_gives(path, 0, "new"), old = load_gives(path, 0, "two");
            int recovered = load_gives(path, STEADFAST_LOAD_RECOVER, "two");
            int right = status >= 0 ? now == 0
                        : status == STEADFAST_E_INDETERMINATE || status == STEADFAST_E_SAVED_NOT_DURABLE
                            ? now == 0 || old == 0 || recovered == STEADFAST_RECOVERED
                            : old == 0;
            told[status == 0 ? 0 : status > 0 ? 1 : status == STEADFAST_E_INDETERMINATE ? 2 : 3]++;
            if (!right) {
                wrong++;
                diag("call %ld fails%s: %d, now %d, old %d, recovered %d: %s", nth, for_ever ? " for ever" : "", status, now, old,
                     recovered, report.message);
            }
            if (nth > calls)
                break;
        }
    }
    ok(wrong == 0 && (told[1] > 0 || test_small()) && told[2] > 0 && told[3] > 10,
       "%s, each call fails, once and for ever: what is told is true (%d saved, %d not durable, %d indeterminate, %d not saved)", kind,
       told[0], told[1], told[2], told[3]);
}

/* Another saver is done just before this one has its turn. */
static const steadfast_context *other;
static void save_before(struct faults *f, int call, const char *name)
{
    (void)name;
    if (call != STEADFAST_CALL_FLOCK)
        return;
    f->before = NULL;
    if (save_it(other, "a much longer content of another saver", IN_PLACE, 0) != 0)
        bail_out("the other saver: %s", report.message);
}
static void turns(const steadfast_context *c, const char *kind)
{
    static const struct {
        const char *name;
        uint32_t flags;
    } ways[] = { { "", 0 }, { ", KEEP_PREVIOUS", STEADFAST_SAVE_KEEP_PREVIOUS } };
    for (int i = 0; i < 2; i++) {
        begin(2);
        memset(&faults, 0, sizeof faults);
        faults.before = save_before, faults.no_real_sync = 1;
        is_int(save_it(c, "new", IN_PLACE | ways[i].flags, 0), STEADFAST_OK, "%s%s, another saver was there just before: saved", kind,
               ways[i].name);
        ok(load_gives(path, 0, "new") == 0 && load_gives(previous, 0, "a much longer content of another saver") == 0,
           "what it had saved is kept, and not taken for damage");
    }
}

/* Somebody who may replace the file does so, just before the sync of what is written in place. */
static void replace_before(struct faults *f, int call, const char *name)
{
    (void)name;
    if (call != STEADFAST_CALL_FTRUNCATE)
        return;
    f->before = NULL;
    mounted = 0;
    if (save_it(unsynced, "of the other one", 0, 0) != 0)
        bail_out("the other saver: %s", report.message);
}
static void replaced(const steadfast_context *c, const char *kind)
{
    /* A server that goes by paths does not find the file that has lost its name. */
    for (int gone = 0; gone <= 1; gone++) {
        begin(2);
        memset(&faults, 0, sizeof faults);
        faults.before = replace_before, faults.no_real_sync = 1;
        faults.only = STEADFAST_CALL_FTRUNCATE, faults.error = ENOENT, faults.fail_at = gone;
        is_int(save_it(c, "new", IN_PLACE, 0), STEADFAST_E_CONFLICT, "%s is replaced while it is written%s: E_CONFLICT", kind,
               gone ? ", and gone" : "");
        ok(load_gives(path, 0, "of the other one") == 0, "what is there is the other one's");
    }
    /* A power cut may then take the other one's name away again. */
    begin(2);
    memset(&faults, 0, sizeof faults);
    faults.before = replace_before, faults.no_real_sync = 1;
    faults.only = STEADFAST_CALL_FSYNC, faults.error = EIO, faults.fail_at = plain ? 5 : 4;
    is_int(save_it(c, "new", IN_PLACE, 0), STEADFAST_E_INDETERMINATE, "and its name cannot be synced: E_INDETERMINATE");
    ok(report.on_disk == STEADFAST_ON_DISK_EITHER && report.step == STEADFAST_STEP_SYNC_DIRECTORY,
       "EITHER, after the sync of the directory");
}

/* An unsynced state is not copied over a durable one. */
static void unsynced_before(const steadfast_context *c, const char *kind)
{
    for (int closed = 0; closed <= 1; closed++) {
        begin(2);
        save_it(unsynced, "unsynced", STEADFAST_SAVE_NO_SYNC, 0);
        mounted = closed ? 0 : inode_of(path), unwritable = closed;
        is_int(save_it(c, "new", IN_PLACE, 0), STEADFAST_OK, "over %s that was not synced%s", kind,
               closed ? ", in a closed directory" : "");
        ok(load_gives(previous, 0, "one") == 0, "the durable PATH.prev stays");
    }
}

/* What a killed saver has left at PATH.prev: the file itself, or a copy that may not be on the disk. */
static int events_at_write;
static void note_write(struct faults *f, int call, const char *name)
{
    (void)name;
    if (call == STEADFAST_CALL_WRITE && events_at_write < 0)
        events_at_write = f->events;
}
static void left_at_previous(const steadfast_context *c, const char *kind)
{
    begin(1);
    if (link(path, previous) != 0)
        bail_out("link: %s", strerror(errno));
    is_int(save_it(c, "new", IN_PLACE, 0), STEADFAST_OK, "%s, PATH.prev is the same file: saved", kind);
    ok(load_gives(path, 0, "new") == 0 && load_gives(previous, 0, "one") == 0, "after a copy of it");
    begin(1);
    if (link(path, previous) != 0)
        bail_out("link: %s", strerror(errno));
    mounted = 0, unwritable = 1;
    is_int(save_it(c, "new", IN_PLACE, 0), STEADFAST_E_UNSUPPORTED, "where no other can be made: E_UNSUPPORTED");
    ok(load_gives(path, 0, "one") == 0, "and it stands");

    begin(1);
    memset(&faults, 0, sizeof faults);
    faults.only = STEADFAST_CALL_FSYNC, faults.fail_at = 2, faults.error = EIO, faults.no_real_sync = 1;
    is_int(save_it(c, "new", IN_PLACE, 0), -EIO, "the name of the copy cannot be synced: EIO");
    ok(load_gives(path, 0, "one") == 0 && load_gives(previous, 0, "one") == 0, "the state stands, beside the copy");
    memset(&faults, 0, sizeof faults);
    faults.no_real_sync = 1, faults.before = note_write, events_at_write = -1;
    is_int(save_it(c, "new", IN_PLACE, 0), STEADFAST_OK, "the next one: saved");
    int file = 0, directory = 0;
    for (int i = 0; i < events_at_write; i++) {
        const struct event *e = &faults.event[i];
        file |= e->call == STEADFAST_CALL_FSYNC && e->inode == inode_of(previous);
        directory |= e->call == STEADFAST_CALL_FSYNC && e->is_directory && file;
    }
    ok(file && directory, "the copy and then its name are synced before the first byte is written");
    faults.before = NULL;
}

/* A saver that is killed before each call: the new content, the old one, or damage and the old one as PATH.prev. */
static long die_at;
static void die(struct faults *f, int call, const char *name)
{
    (void)call, (void)name;
    if (f->calls == die_at)
        _exit(77);
}
static void deaths(const steadfast_context *c, const char *kind)
{
    int wrong = 0, damaged = 0;
    for (die_at = 1;; die_at += test_small() ? 3 : 1) {
        memset(&faults, 0, sizeof faults);
        begin(2);
        faults.before = die, faults.no_real_sync = 1, faults.short_writes = SHORT_HALF;
        pid_t child = fork_child();
        if (child == 0)
            _exit(save_it(c, "a new content", IN_PLACE, 0) == 0 ? 0 : 1);
        int ended = wait_for(child);
        int now = load_gives(path, 0, "a new content"), old = load_gives(path, 0, "two");
        int recovered = load_gives(path, STEADFAST_LOAD_RECOVER, "two");
        if (now != 0 && old != 0 && (old >= 0 || recovered != STEADFAST_RECOVERED)) {
            wrong++;
            diag("killed before call %ld: now %d, old %d, recovered %d", die_at, now, old, recovered);
        }
        damaged += now != 0 && old != 0;
        faults.before = NULL;
        if (save_it(c, "after it", IN_PLACE, 0) != 0 || load_gives(path, 0, "after it") != 0) {
            wrong++;
            diag("killed before call %ld: the next save: %s", die_at, report.message);
        }
        if (ended == 0)
            break;
    }
    ok(wrong == 0 && damaged > 0 && die_at > 15,
       "%s, killed before each of its calls: the old content, the new one, or damage and PATH.prev; the next save succeeds (%d damaged)",
       kind, damaged);
}

int main(void)
{
    dir = make_temp_dir("in-place");
    context = test_context(NULL);
    unsynced = faults_context(&idle);
    const char *d = fresh("d");
    snprintf(path, sizeof path, "%s/s", d);
    snprintf(previous, sizeof previous, "%s.prev", path);
    char *top = dir;
    dir = strdup(d);
    beneath = faults_hooks(&faults);
    steadfast_hooks h = beneath;
    h.fstat = fstat_hook, h.openat = openat_hook, h.renameat = renameat_hook;
    steadfast_context *c = test_context(&h);
    h.user = &idle;
    steadfast_context *second = test_context(&h);
    other = second;
    write_text(path, "");
    int no_attributes = (test_absent() & STEADFAST_ABSENT_XATTR) != 0 || setxattr(path, "user.steadfast", "x", 1, 0) != 0;
    int fds = count_fds();
    if (NO_FLOCK) {
        begin(1);
        is_int(save_it(c, "new", IN_PLACE, 0), STEADFAST_E_UNSUPPORTED, "without flock: E_UNSUPPORTED");
        ok(load_gives(path, 0, "one") == 0, "and the old one stands");
    } else if (NO_DIR_FSYNC) {
        skip("no sync of a directory", "files that cannot be replaced");
    } else {
        for (plain = 0; plain <= !no_attributes; plain++) {
            writes(c, plain ? "a plain file" : "a record");
            failures(c, plain ? "a plain file" : "a record");
            deaths(c, plain ? "a plain file" : "a record");
            turns(c, plain ? "a plain file" : "a record");
            replaced(c, plain ? "a plain file" : "a record");
            unsynced_before(c, plain ? "a plain file" : "a record");
            left_at_previous(c, plain ? "a plain file" : "a record");
        }
        plain = 1;
        if (no_attributes) {
            unlink(path), write_text(path, "by hand"), mounted = inode_of(path);
            is_int(save_it(c, "new", IN_PLACE, 0), STEADFAST_E_UNSUPPORTED, "a plain file without attributes: E_UNSUPPORTED");
            ok(load_gives(path, 0, "by hand") == STEADFAST_UNVERIFIED, "and it stands");
        } else {
            begin(0);
            write_text(path, "by hand"), mounted = inode_of(path);
            is_int(save_it(c, "new", IN_PLACE, 0), STEADFAST_OK, "anybody's file: saved");
            ok(load_gives(path, 0, "new") == 0 && load_gives(previous, 0, "by hand") == 0, "its copy can be verified");
            begin(2);
            chmod(path, 0644);
            memset(&faults, 0, sizeof faults);
            faults.only = STEADFAST_CALL_FSETXATTR, faults.fail_at = 2, faults.error = ENOSPC;
            struct stat st;
            is_int(save_it(c, "new", IN_PLACE | STEADFAST_SAVE_SET_MODE, 0), STEADFAST_E_UNSUPPORTED, "the mark is refused: E_UNSUPPORTED");
            ok(load_gives(path, 0, "two") == 0 && stat(path, &st) == 0 && (st.st_mode & 07777) == 0644,
               "content and mode are as they were");
            begin(1);
            memset(&faults, 0, sizeof faults);
            faults.only = STEADFAST_CALL_FSETXATTR, faults.fail_at = 1, faults.error = ENOSPC;
            is_int(save_it(c, "new", IN_PLACE, 0), STEADFAST_E_UNSUPPORTED, "the attribute of the copy is refused: E_UNSUPPORTED");
            ok(load_gives(path, 0, "one") == 0 && *leftovers(dir, "s") == '\0', "the state stands, and nothing is left");
            faults.fail_at = 0;
        }
    }
    steadfast_save_entry entry = { .size = sizeof entry, .path = path, .data = "x", .len = 1 };
    is_int(steadfast_state_save_batch(c, &entry, 1, &(steadfast_save_options){ .size = sizeof(steadfast_save_options), .flags = IN_PLACE },
                                      NULL),
           -EINVAL, "in a batch: EINVAL");
    is_int(count_fds(), fds, "no descriptor is left");
    steadfast_context_free(c);
    steadfast_context_free(second);
    steadfast_context_free(unsynced);
    steadfast_context_free(context);
    remove_tree(top);
    free(top), free(dir);
    return done_testing();
}
