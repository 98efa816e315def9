/* steadfast_writer: a state that is written piece by piece. Nothing of it is seen before the commit, which is a save. */
#include "tap.h"
#include "state_test.h"
#include "context_test.h"
#include "plain_test.h"

#include <sys/file.h>
#include <sys/resource.h>
#include <sys/sendfile.h>

#define KEEP STEADFAST_SAVE_KEEP_PREVIOUS
#define NO_SYNC STEADFAST_SAVE_NO_SYNC
#define PLAIN STEADFAST_SAVE_PLAIN
#define SWAP STEADFAST_SAVE_IF_GENERATION
enum { LARGE = 5 << 20, HEADER = 256 };

static char d[300], path[330], previous[340];
static steadfast_writer *writer;
static char *large;
static int no_attributes;
/* What a durable commit of a plain file answers, and a load of it. */
#define PLAIN_SAVED (NO_DIR_FSYNC ? STEADFAST_NOT_DURABLE : WHOLE)
#define WHOLE (no_attributes ? STEADFAST_UNVERIFIED : STEADFAST_OK)
/* Where the payload begins in the file of the writer. */
static off_t start = HEADER;

/* Each test begins with nothing there. */
static void begin(void)
{
    unlink(path), unlink(previous);
}

static int open_writer(const steadfast_context *c, uint32_t flags, uint64_t expected)
{
    steadfast_save_options o = { .size = sizeof o, .flags = flags, .expected_generation = expected, .timeout_ms = 200 };
    report = (steadfast_report){ .size = sizeof report };
    return steadfast_writer_open(c, path, &o, &writer, &report);
}

static int put_bytes(const void *data, size_t len)
{
    report = (steadfast_report){ .size = sizeof report };
    return steadfast_writer_write(writer, data, len, &report);
}

static int put(const char *text)
{
    return put_bytes(text, strlen(text));
}

static int commit(void)
{
    report = (steadfast_report){ .size = sizeof report };
    return steadfast_writer_commit(writer, &report);
}

static int descriptor(void)
{
    int32_t fd = -1;
    return steadfast_writer_fd(writer, &fd, NULL) == 0 ? fd : -1;
}

static int stream(const steadfast_context *c, uint32_t flags, const char *text)
{
    int status = open_writer(c, flags, 0);
    if (status != 0)
        return status;
    put(text);
    return commit();
}

/* Does a load of the plain file give this, and this status? */
static int loads_plain(const char *what, const void *data, size_t len, int status)
{
    steadfast_load_options o = { .size = sizeof o, .flags = STEADFAST_LOAD_PLAIN };
    steadfast_state state = { .size = sizeof state };
    report = (steadfast_report){ .size = sizeof report };
    int got = steadfast_state_load(NULL, what, &o, &state, &report);
    int same = got == status && (got < 0 || (state.len == len && (len == 0 || memcmp(state.data, data, len) == 0)));
    if (!same)
        diag("load: %s", report.message);
    steadfast_state_free(&state);
    return same;
}

static int loads(const char *text, int status)
{
    return loads_plain(path, text, strlen(text), status);
}

static int holds_bytes(const void *data, size_t len)
{
    steadfast_state state = { .size = sizeof state };
    int same = steadfast_state_load(NULL, path, NULL, &state, NULL) == 0 && state.len == len && memcmp(state.data, data, len) == 0;
    steadfast_state_free(&state);
    return same;
}

/* The clock stands still: a record of the same payload and generation then has the same bytes. */
static int32_t same_time(void *user, int32_t clock, int64_t *ns)
{
    (void)user;
    *ns = 1000000000;
    return clock == STEADFAST_CLOCK_REALTIME ? 0 : steadfast_hooks_default()->clock(NULL, clock, ns);
}

static void lengths(void)
{
    static const size_t LENGTHS[] = { 0, 1, 255, 256, 257, 3839, 3840, 3841, 4096, 131071, 131072, 131073, 1 << 20, LARGE };
    steadfast_hooks h = test_hooks();
    h.clock = same_time;
    steadfast_context *c = test_context(&h);
    steadfast_save_options o = { .size = sizeof o, .mode = 0640, .schema = 7 };
    for (size_t i = 0; i < sizeof LENGTHS / sizeof LENGTHS[0]; i++) {
        size_t len = LENGTHS[i], saved_len = 0, len_of_file = 0;
        begin();
        steadfast_state_save(c, path, large, len, &o, NULL);
        char *saved = read_file(path, &saved_len);
        unlink(path);
        if (steadfast_writer_open(c, path, &o, &writer, NULL) != 0)
            bail_out("no writer");
        size_t step = 1;
        for (size_t at = 0; at < len; at += step, step = step * 3 % 100003 + 1)
            put_bytes(large + at, step < len - at ? step : len - at);
        is_int(commit(), SAVED, "%zu bytes in odd pieces", len);
        char *bytes = read_file(path, &len_of_file);
        struct stat st;
        ok(saved != NULL && bytes != NULL && len_of_file == saved_len && memcmp(saved, bytes, saved_len) == 0 && report.generation == 1,
           "the file is the one of a save");
        ok(stat(path, &st) == 0 && (st.st_mode & 07777) == 0640 && holds_bytes(large, len), "with its mode, and it loads");
        free(saved), free(bytes);
    }
    steadfast_context_free(c);
}

static void unseen(void)
{
    char half[400];
    begin();
    save(path, "old", 0);
    is_int(open_writer(context, 0, 0), 0, "a writer over a state");
    ok(holds(path, "old"), "the old state is there after the open");
    ok(put("new") == 0 && put_bytes(NULL, 0) == 0 && put("er") == 0 && holds(path, "old"), "and after each write");
    snprintf(half, sizeof half, "%s/.s.0.tmp", d);
    steadfast_state state = { .size = sizeof state };
    is_int(steadfast_state_load(NULL, half, NULL, &state, NULL), STEADFAST_E_DIGEST, "the temporary file is no state");
    struct stat st;
    ok(stat(half, &st) == 0 && (st.st_mode & 0777) == 0600 && st.st_size == HEADER + 5, "only its owner may open it");
    is_int(commit(), SAVED, "the commit");
    ok(holds(path, "newer") && report.generation == 2
           && report.on_disk == (NO_DIR_FSYNC ? STEADFAST_ON_DISK_EITHER : STEADFAST_ON_DISK_NEW),
       "saves what was written, as generation 2");

    is_int(open_writer(context, 0, 0), 0, "another one");
    put("given up");
    steadfast_writer_abort(writer);
    ok(holds(path, "newer") && *leftovers(d, "s") == '\0', "an abort leaves the old state and nothing else%s", leftovers(d, "s"));

    /* Two at once, and a save between: each commit counts on from what is there. */
    steadfast_writer *first, *second;
    open_writer(context, 0, 0), put("first"), first = writer;
    open_writer(context, 0, 0), put("second"), second = writer;
    save(path, "between", 0);
    writer = second, commit();
    ok(holds(path, "second") && report.generation == 4, "two writers at once: the one that commits first");
    writer = first, commit();
    ok(holds(path, "first") && report.generation == 5 && *leftovers(d, "s") == '\0', "and the one that commits last");
}

static void arguments(void)
{
    steadfast_save_options o = { .size = sizeof o, .flags = STEADFAST_SAVE_SYNCFS };
    steadfast_writer *out = (steadfast_writer *)&o;
    int32_t fd;
    is_int(steadfast_writer_open(NULL, path, &o, &out, NULL), -EINVAL, "SYNCFS: EINVAL");
    ok(out == NULL, "and *out is NULL");
    is_int(steadfast_writer_open(NULL, path, NULL, NULL, NULL), -EINVAL, "no out: EINVAL");
    is_int(steadfast_writer_open(NULL, NULL, NULL, &out, NULL), -EINVAL, "no path: EINVAL");
    is_int(steadfast_writer_open(NULL, in(d, "missing/s"), NULL, &out, NULL), -ENOENT, "no directory: ENOENT");
    is_int(steadfast_writer_open(NULL, d, NULL, &out, NULL), STEADFAST_E_NOT_REGULAR, "a directory: E_NOT_REGULAR");
    report = (steadfast_report){ .size = sizeof report };
    ok(steadfast_writer_write(NULL, "x", 1, &report) == -EINVAL && steadfast_writer_fd(NULL, &fd, &report) == -EINVAL
           && steadfast_writer_commit(NULL, &report) == -EINVAL && strstr(report.message, "NULL") != NULL,
       "no writer: EINVAL");
    steadfast_writer_abort(NULL);

    begin();
    open_writer(context, 0, 0);
    is_int(steadfast_writer_fd(writer, NULL, NULL), -EINVAL, "no place for the descriptor: EINVAL");
    put("x");
    is_int(put_bytes(NULL, 3), -EINVAL, "no data, but a length: EINVAL");
    is_int(put("y"), -EINVAL, "a write after it has the same error");
    ok(commit() == -EINVAL && !exists(path) && *leftovers(d, "") == '\0', "and so has the commit: a state with a hole is not saved");

    open_writer(context, 0, 0);
    steadfast_report none = { .size = 1 };
    is_int(steadfast_writer_commit(writer, &none), -EINVAL, "a report that is none: EINVAL");
    ok(!exists(path) && *leftovers(d, "") == '\0', "the writer is freed all the same");
}

/* As a save: permissions, links, parents, the previous generation. */
static void options(void)
{
    char deep[400], link[400];
    struct stat st;
    begin();
    save(path, "one", 0);
    chmod(path, 0604);
    is_int(stream(context, KEEP, "two"), SAVED, "KEEP_PREVIOUS");
    ok(holds(path, "two") && holds(previous, "one") && stat(path, &st) == 0 && (st.st_mode & 07777) == 0604,
       "keeps the old state, and its permissions");
    steadfast_save_options o = { .size = sizeof o, .mode = 0666, .flags = STEADFAST_SAVE_SET_MODE };
    steadfast_writer_open(context, path, &o, &writer, NULL), put("three"), commit();
    ok(stat(path, &st) == 0 && (st.st_mode & 07777) == 0666, "SET_MODE gives it another mode");

    snprintf(link, sizeof link, "%s/link", d);
    if (symlink("s", link) != 0)
        bail_out("symlink");
    is_int(steadfast_writer_open(context, link, NULL, &writer, NULL), STEADFAST_E_SYMLINK, "a link: E_SYMLINK");
    o = (steadfast_save_options){ .size = sizeof o, .flags = STEADFAST_SAVE_FOLLOW_SYMLINK };
    is_int(steadfast_writer_open(context, link, &o, &writer, NULL), 0, "FOLLOW_SYMLINK follows it when the writer is opened");
    unlink(link);
    if (symlink("elsewhere", link) != 0)
        bail_out("symlink");
    put("through"), commit();
    ok(holds(path, "through") && !exists(in(d, "elsewhere")), "where it leads at the commit does not matter");
    unlink(link);
    save(in(d, "elsewhere"), "elsewhere", 0);
    steadfast_writer_open(context, path, &o, &writer, NULL), put("x");
    unlink(path);
    if (symlink("elsewhere", path) != 0)
        bail_out("symlink");
    is_int(commit(), STEADFAST_E_SYMLINK, "a link that is put in its place meanwhile is not followed: E_SYMLINK");
    ok(holds(in(d, "elsewhere"), "elsewhere"), "where it leads nothing changes");
    unlink(path), unlink(in(d, "elsewhere"));

    snprintf(deep, sizeof deep, "%s/a/b/s", d);
    o.flags = STEADFAST_SAVE_CREATE_PARENTS;
    is_int(steadfast_writer_open(context, deep, &o, &writer, NULL), 0, "CREATE_PARENTS makes them");
    put("deep");
    if (rename(in(d, "a"), in(d, "moved")) != 0)
        bail_out("rename");
    ok(commit() == SAVED && holds(in(d, "moved/b/s"), "deep"), "a directory that is renamed meanwhile is followed");

    /* The working directory is another one at the commit. */
    int here = open(".", O_RDONLY | O_CLOEXEC);
    if (chdir(d) != 0 || steadfast_writer_open(context, "relative", NULL, &writer, NULL) != 0 || fchdir(here) != 0)
        bail_out("chdir");
    close(here);
    put("x");
    ok(commit() == SAVED && holds(in(d, "relative"), "x"), "a relative path begins where the writer was opened");

    begin();
    is_int(stream(context, NO_SYNC, "unsynced"), STEADFAST_NOT_DURABLE, "NO_SYNC");
    ok(holds(path, "unsynced") && stat(path, &st) == 0 && (st.st_mode & S_ISVTX) != 0 && report.on_disk == STEADFAST_ON_DISK_UNKNOWN,
       "is marked as such");
    unlink(in(d, "relative"));
    remove_tree(in(d, "moved"));
}

static void swaps(void)
{
    begin();
    if (NO_FLOCK) {
        is_int(open_writer(context, STEADFAST_SAVE_IF_GENERATION, 0), STEADFAST_E_UNSUPPORTED, "IF_GENERATION without flock, at the open");
        return;
    }
    open_writer(context, STEADFAST_SAVE_IF_GENERATION, 0), put("first");
    is_int(commit(), SAVED, "IF_GENERATION 0 where nothing is");
    open_writer(context, STEADFAST_SAVE_IF_GENERATION, 1), put("second");
    is_int(commit(), SAVED, "IF_GENERATION 1");
    ok(report.generation == 2 && holds(path, "second"), "saves generation 2");
    is_int(open_writer(context, STEADFAST_SAVE_IF_GENERATION, 2), 0, "IF_GENERATION 2");
    put("third");
    save(path, "theirs", 0);
    is_int(commit(), STEADFAST_E_CONFLICT, "somebody saves before the commit: E_CONFLICT");
    ok(report.generation == 3 && holds(path, "theirs") && *leftovers(d, "s") == '\0', "theirs stays, and is named");
}

static void with_descriptor(void)
{
    static const char TEXT[] = "written by other means";
    int fds[2];
    begin();
    open_writer(context, 0, 0);
    put("begun, ");
    int fd = descriptor();
    ok(fd > 2 && (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0 && (fcntl(fd, F_GETFL) & O_APPEND) == 0,
       "a descriptor, close-on-exec, without O_APPEND");
    ok(lseek(fd, 0, SEEK_CUR) == HEADER + 7, "at the end of what was written");
    FILE *file = fdopen(dup(fd), "w");
    fputs("printed, ", file);
    fclose(file);
    if (pipe(fds) != 0 || write(fds[1], TEXT, 22) != 22)
        bail_out("pipe");
    int spliced = (int)splice(fds[0], NULL, fd, NULL, 22, 0);
    is_int(spliced, 22, "splice writes to it");
    put(", ended");
    close(fds[0]), close(fds[1]);
    is_int(commit(), SAVED, "the commit");
    ok(holds(path, "begun, printed, written by other means, ended"), "has it all, in its order");

    open_writer(context, 0, 0);
    put("payload");
    if (pwrite(descriptor(), "HEADER", 6, 0) != 6 || ftruncate(descriptor(), HEADER + 4) != 0)
        bail_out("pwrite");
    ok(commit() == SAVED && holds(path, "payl"), "the length is that of the file, and its first 256 bytes are the library's");
    open_writer(context, 0, 0);
    if (ftruncate(descriptor(), 10) != 0)
        bail_out("ftruncate");
    ok(commit() == SAVED && holds(path, ""), "a file that was cut to less is an empty payload");
}

static void forked(void)
{
    begin();
    save(path, "old", 0);
    open_writer(context, 0, 0);
    put("half");
    pid_t child = fork_child();
    if (child == 0) {
        int32_t fd;
        int fds = count_fds();
        int wrong = put("child") == STEADFAST_E_WRONG_PROCESS && steadfast_writer_fd(writer, &fd, NULL) == STEADFAST_E_WRONG_PROCESS
                    && commit() == STEADFAST_E_WRONG_PROCESS && report.pid == getppid() && strstr(report.message, "writer") != NULL;
        _exit(wrong && count_fds() == fds - 2 ? 0 : 1);
    }
    is_int(wait_for(child), 0, "in a forked child everything is E_WRONG_PROCESS, which names the parent, and nothing stays open");
    child = fork_child();
    if (child == 0) {
        int fds = count_fds();
        steadfast_writer_abort(writer);
        _exit(count_fds() == fds - 2 ? 0 : 1);
    }
    is_int(wait_for(child), 0, "an abort there closes it");
    save(path, "beside", 0);
    ok(exists(in(d, ".s.0.tmp")), "the parent's temporary file stays, and its flock");
    put(" and half");
    ok(commit() == SAVED && holds(path, "half and half") && *leftovers(d, "s") == '\0', "the parent goes on");
}

static void died(void)
{
    begin();
    pid_t child = fork_child();
    if (child == 0) {
        open_writer(context, 0, 0), put("dies");
        _exit(0);
    }
    wait_for(child);
    ok(!exists(path) && exists(in(d, ".s.0.tmp")), "a process that dies leaves its temporary file");
    save(path, "next", 0);
    ok(NO_FLOCK || *leftovers(d, "s") == '\0', "which the next save removes");
    unlink(in(d, ".s.0.tmp"));
}

/* Somebody closes every descriptor, and opens others. */
static void closed(void)
{
    char other[400];
    snprintf(other, sizeof other, "%s/other", d);
    for (int which = 0; which < 3; which++) {
        begin();
        save(path, "old", 0);
        int before = count_fds(), theirs_now = -1;
        open_writer(context, 0, 0);
        put("half");
        int fd = descriptor();
        if (which == 1) {
            close(fd);
        } else if (which == 0) {
            write_text(other, "untouched");
            int theirs = open(other, O_RDWR | O_CLOEXEC);
            dup2(theirs, fd);
            close(theirs);
        } else {
            /* The one of the directory. */
            for (int n = 3; n < fd; n++) {
                struct stat st, wanted;
                if (fstat(n, &st) == 0 && stat(d, &wanted) == 0 && st.st_ino == wanted.st_ino)
                    theirs_now = n;
            }
            int theirs = open(dir, O_RDONLY | O_CLOEXEC);
            if (theirs_now < 0 || dup2(theirs, theirs_now) < 0)
                bail_out("no descriptor of the directory");
            close(theirs);
        }
        is_int(put("more"), -EBADF, "a descriptor is %s: EBADF", which == 0 ? "another file's by now" : "closed");
        is_int(commit(), -EBADF, "and so is the commit");
        ok(strstr(report.message, "closed") != NULL && holds(path, "old"), "which says why; the old state stands");
        if (which == 0) {
            char *text = read_file(other, NULL);
            ok(text != NULL && strcmp(text, "untouched") == 0 && fcntl(fd, F_GETFD) >= 0,
               "the other file is neither written to nor closed");
            free(text), close(fd), unlink(other);
        }
        if (theirs_now >= 0)
            ok(fcntl(theirs_now, F_GETFD) >= 0 && close(theirs_now) == 0, "the other directory is not closed");
        is_int(count_fds(), before, "no descriptor stays open");
        save(path, "next", 0);
        ok(NO_FLOCK || *leftovers(d, "s") == '\0', "the next save removes what is left");
        unlink(in(d, ".s.0.tmp"));
    }
}

/* Its temporary name is another writer's by then. */
static void closed_and_taken(void)
{
    steadfast_writer *first;
    begin();
    open_writer(context, 0, 0), put("first");
    first = writer;
    close(descriptor());
    open_writer(context, 0, 0), put("second");
    int taken = !exists(in(d, ".s.1.tmp"));
    steadfast_writer_abort(first);
    ok(NO_FLOCK || taken, "a descriptor is closed, and another writer takes the temporary name");
    ok(commit() == SAVED && holds(path, "second"), "an abort leaves it to that one");
    unlink(in(d, ".s.0.tmp"));
}

/* Writes from this one on find no room. */
static struct {
    int writes, from, error;
} room;

static int64_t write_as_told(void *user, int32_t fd, const void *buf, size_t len)
{
    (void)user;
    return ++room.writes >= room.from ? -room.error : REAL->write(NULL, fd, buf, len);
}

static void full(void)
{
    steadfast_hooks h = test_hooks();
    h.write = write_as_told;
    steadfast_context *c = test_context(&h);
    begin();
    save(path, "old", 0);
    room.writes = 0, room.from = 3, room.error = ENOSPC;
    is_int(open_writer(c, 0, 0), 0, "a disk that becomes full");
    ok(put("fits") == 0 && put("does not") == -ENOSPC && report.step == STEADFAST_STEP_WRITE, "the write is ENOSPC, at the write");
    room.from = 1000;
    is_int(put("would fit again"), -ENOSPC, "and so is every later one");
    is_int(steadfast_writer_fd(writer, &(int32_t){ 0 }, NULL), -ENOSPC, "the descriptor");
    is_int(commit(), -ENOSPC, "and the commit");
    ok(report.step == STEADFAST_STEP_WRITE && report.on_disk == STEADFAST_ON_DISK_OLD && holds(path, "old") && *leftovers(d, "s") == '\0',
       "the old state stands, nothing is left");
    room.writes = 0, room.from = 1;
    is_int(open_writer(c, 0, 0), -ENOSPC, "full from the beginning: the open is ENOSPC");
    ok(writer == NULL && *leftovers(d, "s") == '\0', "and leaves nothing");
    steadfast_context_free(c);

    pid_t child = fork_child();
    if (child == 0) {
        struct rlimit limit = { .rlim_cur = 100000, .rlim_max = 100000 };
        setrlimit(RLIMIT_FSIZE, &limit);
        open_writer(context, 0, 0);
        int status = put_bytes(large, 200000);
        _exit(status == -EFBIG && commit() == -EFBIG && holds(path, "old") && *leftovers(d, "s") == '\0' ? 0 : 1);
    }
    is_int(wait_for(child), 0, "RLIMIT_FSIZE is EFBIG, without a signal");
}

/* How the next syncs of files end, and what happens to their file then. */
static struct {
    int errors[3], syncs, directory_syncs, directory_error, spoils, writes_late, cuts_late, misread, reads;
    ino_t inodes[3];
} sync_;

static int32_t fsync_as_told(void *user, int32_t fd)
{
    struct stat st = { 0 };
    (void)user;
    fstat(fd, &st);
    if (S_ISDIR(st.st_mode)) {
        return sync_.directory_syncs++ == 0 ? -sync_.directory_error : 0;
    }
    int number = sync_.syncs++;
    if (number >= 3)
        return -EIO;
    sync_.inodes[number] = st.st_ino;
    /* The page that could not be written was dropped: what is read is what the disk has. */
    if (sync_.spoils == number + 1 && pwrite(fd, "\0", 1, start + 2) != 1)
        return -EPROTO;
    return -sync_.errors[number];
}

static int64_t pread_as_told(void *user, int32_t fd, void *buf, size_t len, uint64_t offset)
{
    (void)user;
    sync_.reads++;
    if (sync_.writes_late && offset >= (uint64_t)start) {
        sync_.writes_late = 0;
        if (write(fd, "late", 4) != 4)
            return -EPROTO;
    }
    int64_t result = REAL->pread(NULL, fd, buf, len, offset);
    if (sync_.misread && offset >= (uint64_t)start)
        sync_.misread = 0, ((char *)buf)[0] ^= 1;
    if (sync_.cuts_late && offset >= (uint64_t)start && ftruncate(fd, start + 1) != 0)
        return -EPROTO;
    return result;
}

static int run(const steadfast_context *c, uint32_t flags, int first, int second, int spoils)
{
    memset(&sync_, 0, sizeof sync_);
    sync_.errors[0] = first, sync_.errors[1] = second, sync_.spoils = spoils;
    return stream(c, flags, "a new state");
}

static int marked(void)
{
    size_t len;
    char *bytes = read_file(path, &len);
    int found = bytes != NULL && len > HEADER && memmem(bytes, HEADER, " unsynced=1 ", 12) != NULL;
    free(bytes);
    return found;
}

static void failed_sync(void)
{
    steadfast_hooks h = test_hooks();
    h.fsync = fsync_as_told;
    h.pread = pread_as_told;
    steadfast_context *c = test_context(&h);
    begin();
    save(path, "old", 0);
    is_int(run(c, 0, EIO, 0, 0), SAVED, "a sync that fails once");
    ok(sync_.syncs == 2 && sync_.inodes[0] != sync_.inodes[1] && holds(path, "a new state") && !marked() && report.generation == 2,
       "the payload is copied to a fresh file, which is synced");
    is_int(run(c, 0, EIO, EIO, 0), STEADFAST_NOT_DURABLE, "one that fails twice");
    ok((NO_LINK || sync_.syncs == 2) && sync_.directory_syncs == 0 && holds(path, "a new state") && marked()
           && report.step == STEADFAST_STEP_SYNC_FILE,
       "is saved, marked as unsynced, and the directory is not synced");
    ok(NO_LINK || (report.on_disk == STEADFAST_ON_DISK_EITHER && exists(previous)), "the old state is kept");
    begin();
    save(path, "old", 0);
    is_int(run(c, STEADFAST_SAVE_STRICT, EIO, EIO, 0), STEADFAST_E_NOT_SAVED_DURABLY, "with STRICT it is not");
    ok(holds(path, "old") && !exists(previous) && *leftovers(d, "s") == '\0', "the old state stands");
    is_int(run(c, 0, EIO, 0, 1), STEADFAST_E_DIGEST, "a page that could not be written is lost: E_DIGEST");
    ok(holds(path, "old") && sync_.syncs == 1 && *leftovers(d, "s") == '\0', "the old state stands");
    is_int(run(c, 0, EIO, EIO, 2), STEADFAST_E_DIGEST, "one of the copy");
    ok(holds(path, "old") && *leftovers(d, "s") == '\0', "the same");
    is_int(run(c, 0, EINVAL, 0, 0), STEADFAST_NOT_DURABLE, "no sync here");
    ok((NO_LINK || sync_.syncs == 1) && holds(path, "a new state") && marked(), "saved and marked, not copied");
    begin();
    save(path, "old", 0);
    is_int(run(c, 0, EINVAL, 0, 1), STEADFAST_E_DIGEST, "no sync here, and a page is lost: E_DIGEST");
    ok(holds(path, "old"), "the old state stands");

    /* A page that was lost before the commit read it: its digest is wrong as well. */
    memset(&sync_, 0, sizeof sync_);
    sync_.errors[0] = EIO;
    open_writer(c, 0, 0), put("a new state");
    int fd = open(in(d, ".s.0.tmp"), O_WRONLY | O_CLOEXEC);
    if (pwrite(fd, "\0", 1, HEADER + 2) != 1)
        bail_out("pwrite");
    is_int(commit(), STEADFAST_E_DIGEST, "a page is lost before the commit, and the sync fails: E_DIGEST");
    ok(holds(path, "old"), "the old state stands");
    close(fd);
    open_writer(c, NO_SYNC, 0), put("a new state");
    fd = open(in(d, ".s.0.tmp"), O_WRONLY | O_CLOEXEC);
    if (pwrite(fd, "\0", 1, HEADER + 2) != 1)
        bail_out("pwrite");
    ok(commit() == STEADFAST_E_DIGEST && holds(path, "old"), "the same with NO_SYNC");
    close(fd);
    memset(&sync_, 0, sizeof sync_);
    sync_.errors[0] = EIO, sync_.misread = 1;
    is_int(stream(c, 0, "a new state"), STEADFAST_E_DIGEST, "one that only the commit read wrongly, and the sync fails: E_DIGEST");
    ok(holds(path, "old") && *leftovers(d, "s") == '\0', "the old state stands");

    /* What the caller wrote to the descriptor nobody knows. */
    memset(&sync_, 0, sizeof sync_);
    sync_.errors[0] = EIO;
    open_writer(c, 0, 0);
    if (write(descriptor(), "theirs", 6) != 6)
        bail_out("write");
    is_int(commit(), STEADFAST_E_NOT_SAVED_DURABLY, "a sync that fails after the descriptor was used: E_NOT_SAVED_DURABLY");
    ok(holds(path, "old") && sync_.syncs == 1 && *leftovers(d, "s") == '\0', "the old state stands");
    ok(report.step == STEADFAST_STEP_SYNC_FILE && report.os_error == EIO, "the report names the sync and its error");
    memset(&sync_, 0, sizeof sync_);
    sync_.errors[0] = EINVAL;
    open_writer(c, 0, 0);
    if (write(descriptor(), "theirs", 6) != 6)
        bail_out("write");
    ok(commit() == STEADFAST_NOT_DURABLE && holds(path, "theirs") && marked(),
       "no sync here, after the descriptor was used: saved and marked");

    begin();
    save(path, "old", 0);
    memset(&sync_, 0, sizeof sync_);
    sync_.writes_late = 1;
    is_int(stream(c, 0, "a new state"), STEADFAST_E_TRAILING, "somebody writes while the payload is hashed: E_TRAILING");
    ok(holds(path, "old") && *leftovers(d, "s") == '\0', "the old state stands");
    memset(&sync_, 0, sizeof sync_);
    sync_.cuts_late = 1;
    is_int(stream(c, 0, "a new state"), STEADFAST_E_TRUNCATED, "somebody cuts the file then: E_TRUNCATED");
    ok(holds(path, "old") && *leftovers(d, "s") == '\0', "the old state stands");
    steadfast_context_free(c);
}

static void plain_lengths(void)
{
    static const size_t LENGTHS[] = { 0, 1, 255, 256, 257, 4096, 131071, 131072, 131073, LARGE };
    steadfast_hooks h = test_hooks();
    h.pread = pread_as_told;
    steadfast_context *c = test_context(&h);
    steadfast_save_options o = { .size = sizeof o, .mode = 0640, .schema = 7, .flags = PLAIN };
    steadfast_load_options l = { .size = sizeof l, .flags = STEADFAST_LOAD_PLAIN | STEADFAST_LOAD_REQUIRE_SCHEMA, .schema = 7 };
    for (int with_fd = 0; with_fd < 2; with_fd++) {
        for (size_t i = 0; i < sizeof LENGTHS / sizeof LENGTHS[0]; i++) {
            size_t len = LENGTHS[i], len_of_file = 0;
            begin();
            if (steadfast_writer_open(c, path, &o, &writer, NULL) != 0)
                bail_out("no writer");
            memset(&sync_, 0, sizeof sync_);
            int fd = with_fd ? descriptor() : -1, good = 1;
            size_t step = 1;
            for (size_t at = 0; at < len; at += step, step = step * 3 % 100003 + 1) {
                size_t now = step < len - at ? step : len - at;
                if (with_fd && i % 2 == 0)
                    good &= write(fd, large + at, now) == (ssize_t)now;
                else
                    put_bytes(large + at, now);
            }
            is_int(commit(), PLAIN_SAVED, "plain: %zu bytes in odd pieces%s", len, with_fd ? ", with the descriptor" : "");
            uint64_t generation = report.generation;
            char *bytes = read_file(path, &len_of_file);
            struct stat st;
            ok(good && bytes != NULL && len_of_file == len && (len == 0 || memcmp(bytes, large, len) == 0)
                   && (no_attributes || generation == 1),
               "the file has these bytes and no other");
            ok((sync_.reads > 0) == (with_fd && len > 0), "it was %sread back", with_fd ? "" : "not ");
            ok(stat(path, &st) == 0 && (st.st_mode & 07777) == 0640 && loads_plain(path, large, len, WHOLE), "with its mode, and it loads");
            steadfast_state state = { .size = sizeof state };
            ok(no_attributes || (steadfast_state_load(NULL, path, &l, &state, NULL) == 0 && state.generation == generation),
               "by its number, with its schema");
            steadfast_state_free(&state);
            free(bytes);
        }
    }
    steadfast_context_free(c);
}

static void plain_options(void)
{
    char half[400];
    struct stat st;
    steadfast_save_options o = { .size = sizeof o, .flags = PLAIN | STEADFAST_SAVE_IN_PLACE };
    is_int(steadfast_writer_open(NULL, path, &o, &writer, NULL), -EINVAL, "IN_PLACE: EINVAL");
    begin();
    is_int(open_writer(context, PLAIN, 0), 0, "a writer of a plain file");
    put("half");
    snprintf(half, sizeof half, "%s/.s.0.tmp", d);
    ok(!exists(path) && stat(half, &st) == 0 && (st.st_mode & 0777) == 0600 && is_exactly(half, "half"),
       "its temporary file has what was written, and only its owner may open it");
    int fd = descriptor();
    ok(lseek(fd, 0, SEEK_CUR) == 4 && write(fd, ", done", 6) == 6, "its descriptor is at the end of it");
    is_int(commit(), PLAIN_SAVED, "the commit");
    ok(is_exactly(path, "half, done") && loads("half, done", WHOLE) && *leftovers(d, "s") == '\0', "saves it all");
    open_writer(context, PLAIN, 0), put("given up");
    steadfast_writer_abort(writer);
    ok(is_exactly(path, "half, done") && *leftovers(d, "s") == '\0', "an abort leaves the old file and nothing else");

    is_int(stream(context, PLAIN | KEEP, "two"), PLAIN_SAVED, "KEEP_PREVIOUS");
    ok(loads("two", WHOLE) && is_exactly(previous, "half, done") && loads_plain(previous, "half, done", 10, WHOLE),
       "keeps the old file, with its attribute");
    is_int(open_writer(context, PLAIN | NO_SYNC, 0), 0, "NO_SYNC");
    ok(put("unsynced") == 0 && stat(half, &st) == 0 && (st.st_mode & 07777) == 0600, "its temporary file has no mark");
    is_int(commit(), STEADFAST_NOT_DURABLE, "the commit: NOT_DURABLE");
    char attribute[60] = "";
    ok(loads("unsynced", WHOLE) && stat(path, &st) == 0 && (st.st_mode & 07777) == 0600
           && (no_attributes || (getxattr(path, "user.steadfast", attribute, 60) == 60 && attribute[47] == 2)),
       "is marked in the attribute, and not in the mode");
    if (no_attributes) {
        skip("no extended attributes", "attributes that are kept or refused");
        return;
    }
    for (int plain = 0; plain < 2; plain++) {
        uint32_t flags = plain ? PLAIN : 0;
        begin();
        stream(context, flags, "one");
        if (setxattr(path, "user.mine", "1", 1, 0) != 0)
            bail_out("setxattr");
        is_int(stream(context, flags | STEADFAST_SAVE_KEEP_ATTRIBUTES, "two"), SAVED, "KEEP_ATTRIBUTES, a %s",
               plain ? "plain file" : "record");
        ok(getxattr(path, "user.mine", NULL, 0) == 1 && (plain ? loads("two", 0) : holds(path, "two")), "keeps them, and its own is new");
        stream(context, flags, "three");
        ok(getxattr(path, "user.mine", NULL, 0) < 0, "without it they go");
    }
    begin();
    save(path, "old", PLAIN);
    struct faults f = { .fail_at = 1, .only = STEADFAST_CALL_FSETXATTR, .error = EOPNOTSUPP, .for_ever = 1 };
    steadfast_context *c = faults_context(&f);
    is_int(stream(c, PLAIN | STEADFAST_SAVE_STRICT, "new"), NO_DIR_FSYNC ? STEADFAST_E_NOT_SAVED_DURABLY : STEADFAST_E_UNSUPPORTED,
           "STRICT, and the attribute is refused: E_UNSUPPORTED");
    ok(loads("old", 0) && *leftovers(d, "s") == '\0', "the old file stands");
    is_int(stream(c, PLAIN, "new"), NO_DIR_FSYNC ? STEADFAST_NOT_DURABLE : STEADFAST_UNVERIFIED, "without STRICT: UNVERIFIED");
    uint64_t tag = report.generation;
    ok(says("without the attribute") && loads("new", STEADFAST_UNVERIFIED) && report.generation == tag, "with the tag that a load gives");
    steadfast_context_free(c);
}

static int64_t on_nfs(void *user, int32_t fd)
{
    (void)user, (void)fd;
    return 0x6969; /* NFS_SUPER_MAGIC */
}

/* An editor acts just before the second rename: the exchange. */
static int renames;
static void edit_before_the_exchange(struct faults *f, int call, const char *name)
{
    (void)f, (void)name;
    if (call != STEADFAST_CALL_RENAMEAT || ++renames != 2)
        return;
    write_text(in(d, "edited"), "an edit");
    if (rename(in(d, "edited"), path) != 0)
        bail_out("rename");
}

static void plain_swaps(void)
{
    begin();
    if (NO_FLOCK) {
        is_int(open_writer(context, PLAIN | SWAP, 0), STEADFAST_E_UNSUPPORTED, "plain: IF_GENERATION without flock, at the open");
        return;
    }
    steadfast_hooks h = test_hooks();
    h.fstatfs = on_nfs;
    steadfast_context *nfs = test_context(&h);
    is_int(open_writer(nfs, PLAIN | SWAP, 0), STEADFAST_E_UNSUPPORTED, "plain: IF_GENERATION on NFS, at the open: E_UNSUPPORTED");
    ok(open_writer(nfs, PLAIN, 0) == 0 && put("x") == 0 && commit() == PLAIN_SAVED, "without IF_GENERATION it is saved");
    steadfast_context_free(nfs);
    begin();
    open_writer(context, PLAIN | SWAP, 0), put("one");
    int first = commit();
    if (first == STEADFAST_E_UNSUPPORTED) {
        skip("another machine may see the directory, but not a flock on it", "swaps of plain files");
        return;
    }
    is_int(first, PLAIN_SAVED, "plain: IF_GENERATION 0 where nothing is");
    uint64_t there = report.generation;
    open_writer(context, PLAIN | SWAP, there), put("two");
    is_int(commit(), PLAIN_SAVED, "the generation that is there");
    there = report.generation;
    ok(loads("two", WHOLE) && *leftovers(d, "s") == '\0', "is swapped, and nothing is left beside it");
    open_writer(context, PLAIN | SWAP, there), put("three");
    write_in_place(path, "theirs", 0);
    is_int(commit(), STEADFAST_E_CONFLICT, "somebody writes before the commit: E_CONFLICT");
    uint64_t tag = report.generation;
    ok(tag >> 63 == 1 && is_exactly(path, "theirs") && *leftovers(d, "s") == '\0', "theirs stays, and its tag is told");
    open_writer(context, PLAIN | SWAP, tag);
    if (write(descriptor(), "ours", 4) != 4)
        bail_out("write");
    is_int(commit(), PLAIN_SAVED, "the tag, and written to the descriptor");
    ok(loads("ours", WHOLE), "is swapped");
    there = report.generation;
    int fd = open(d, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    flock(fd, LOCK_SH);
    is_int(open_writer(context, PLAIN | SWAP, there), 0, "somebody has the directory's flock: a writer is opened");
    put("x");
    is_int(commit(), STEADFAST_E_BUSY, "and its commit is E_BUSY");
    close(fd);
    ok(is_exactly(path, "ours") && *leftovers(d, "s") == '\0', "the old file stands");
    if ((test_absent() & STEADFAST_ABSENT_RENAMEAT2) != 0)
        return;
    struct faults f = { .before = edit_before_the_exchange, .no_real_sync = 1 };
    steadfast_context *c = faults_context(&f);
    open_writer(c, PLAIN | SWAP, there), put("x");
    renames = 0;
    is_int(commit(), STEADFAST_E_CONFLICT, "an editor renames just before the exchange: E_CONFLICT");
    ok(is_exactly(path, "an edit") && *leftovers(d, "s") == '\0', "the edit is there, and nothing beside it");
    steadfast_context_free(c);
}

static int plain_marked(void)
{
    char attribute[60] = "";
    return no_attributes || (getxattr(path, "user.steadfast", attribute, 60) == 60 && (attribute[47] & 2) != 0);
}

static void plain_failed_sync(void)
{
    steadfast_hooks h = test_hooks();
    h.fsync = fsync_as_told;
    h.pread = pread_as_told;
    steadfast_context *c = test_context(&h);
    start = 0;
    begin();
    save(path, "old", PLAIN);
    is_int(run(c, PLAIN, EIO, 0, 0), PLAIN_SAVED, "plain: a sync that fails once");
    ok(sync_.syncs == 2 && sync_.inodes[0] != sync_.inodes[1] && loads("a new state", WHOLE) && (no_attributes || !plain_marked()),
       "the content is copied to a fresh file, which is synced");
    is_int(run(c, PLAIN, EIO, EIO, 0), STEADFAST_NOT_DURABLE, "one that fails twice");
    ok(loads("a new state", WHOLE) && plain_marked(), "is saved, and marked as unsynced");
    begin();
    save(path, "old", PLAIN);
    is_int(run(c, PLAIN | STEADFAST_SAVE_STRICT, EIO, EIO, 0),
           no_attributes && !NO_DIR_FSYNC ? STEADFAST_E_UNSUPPORTED : STEADFAST_E_NOT_SAVED_DURABLY, "with STRICT it is not");
    is_int(run(c, PLAIN, EIO, 0, 1), STEADFAST_E_DIGEST, "a page that could not be written is lost: E_DIGEST");
    ok(loads("old", WHOLE) && !exists(previous) && *leftovers(d, "s") == '\0', "the old file stands");
    is_int(run(c, PLAIN, EINVAL, 0, 0), STEADFAST_NOT_DURABLE, "no sync here");
    ok(loads("a new state", WHOLE) && plain_marked(), "saved and marked");

    /* The attribute has the digest of what was handed over, whatever became of the pages. */
    if (!no_attributes) {
        begin();
        open_writer(c, PLAIN, 0), put("a new state");
        int fd = open(in(d, ".s.0.tmp"), O_WRONLY | O_CLOEXEC);
        if (pwrite(fd, "\0", 1, 2) != 1)
            bail_out("pwrite");
        close(fd);
        commit();
        ok(loads_plain(path, NULL, 0, STEADFAST_E_DIGEST), "a page that was lost before the commit is found by a load");
    }
    static const struct {
        const char *what;
        int cut, status;
    } OTHERS[] = { { "longer", 12, STEADFAST_E_TRAILING }, { "shorter", 3, STEADFAST_E_TRUNCATED } };
    begin();
    save(path, "old", PLAIN);
    for (int i = 0; i < 2; i++) {
        open_writer(c, PLAIN, 0), put("a new state");
        if (truncate(in(d, ".s.0.tmp"), OTHERS[i].cut) != 0)
            bail_out("truncate");
        is_int(commit(), OTHERS[i].status, "the file is %s than what was written: %s", OTHERS[i].what,
               steadfast_status_name(OTHERS[i].status));
        ok(loads("old", WHOLE) && *leftovers(d, "s") == '\0', "the old file stands");
    }

    static const int ERRORS[] = { EIO, EINVAL };
    for (int i = 0; i < 2; i++) {
        begin();
        save(path, "old", PLAIN);
        memset(&sync_, 0, sizeof sync_);
        sync_.errors[0] = ERRORS[i];
        open_writer(c, PLAIN, 0);
        if (write(descriptor(), "theirs", 6) != 6)
            bail_out("write");
        int status = commit();
        if (i == 0)
            ok(status == STEADFAST_E_NOT_SAVED_DURABLY && report.os_error == EIO && loads("old", WHOLE) && *leftovers(d, "s") == '\0',
               "a sync that fails after the descriptor was used: E_NOT_SAVED_DURABLY, and the old file stands");
        else
            ok(status == STEADFAST_NOT_DURABLE && loads("theirs", WHOLE) && plain_marked(),
               "no sync here, after it was used: saved and marked");
    }
    for (int cuts = 0; cuts < 2; cuts++) {
        begin();
        memset(&sync_, 0, sizeof sync_);
        open_writer(c, PLAIN, 0);
        if (write(descriptor(), "theirs", 6) != 6)
            bail_out("write");
        sync_.writes_late = !cuts, sync_.cuts_late = cuts;
        is_int(commit(), cuts ? STEADFAST_E_TRUNCATED : STEADFAST_E_TRAILING, "the descriptor's file is %s while it is hashed",
               cuts ? "cut" : "written to");
        ok(!exists(path) && *leftovers(d, "s") == '\0', "nothing is saved");
    }
    start = HEADER;
    steadfast_context_free(c);
}

/* The name of a directory that the open made could not be synced: that is not forgotten. */
static void unsynced_parent(void)
{
    char deep[400];
    steadfast_hooks h = test_hooks();
    steadfast_save_options o = { .size = sizeof o, .flags = STEADFAST_SAVE_CREATE_PARENTS };
    h.fsync = fsync_as_told;
    steadfast_context *c = test_context(&h);
    snprintf(deep, sizeof deep, "%s/made/s", d);
    memset(&sync_, 0, sizeof sync_);
    sync_.directory_error = EIO;
    is_int(steadfast_writer_open(c, deep, &o, &writer, NULL), 0, "CREATE_PARENTS, and the sync of a parent fails");
    put("x");
    is_int(commit(), STEADFAST_NOT_DURABLE, "the commit is NOT_DURABLE");
    ok(NO_DIR_FSYNC || (report.step == STEADFAST_STEP_MAKE_PARENT && report.os_error == EIO), "and names that sync");
    remove_tree(in(d, "made"));
    steadfast_context_free(c);
}

/* The state that a commit finds is gone for a moment, as over NFS when another process replaces it. */
static int stale_reads;
static int64_t stale_pread(void *user, int32_t fd, void *buf, size_t len, uint64_t offset)
{
    (void)user;
    return stale_reads-- > 0 ? -ESTALE : REAL->pread(NULL, fd, buf, len, offset);
}

static int stale_links;
static int32_t stale_linkat(void *user, int32_t from_dir, const char *from, int32_t to_dir, const char *to, int32_t flags)
{
    (void)user;
    return stale_links-- > 0 ? -ESTALE : REAL->linkat(NULL, from_dir, from, to_dir, to, flags);
}

static void gone(void)
{
    steadfast_hooks h = test_hooks();
    h.pread = stale_pread;
    steadfast_context *c = test_context(&h);
    begin();
    stale_reads = 0;
    is_int(stream(c, 0, "one"), SAVED, "a state");
    is_int(open_writer(c, 0, 0), 0, "and another");
    put("two");
    stale_reads = 2;
    is_int(commit(), SAVED, "it is gone twice when the commit looks: saved");
    ok(stale_reads < 0 && holds(path, "two") && report.generation == 2, "with the next generation");
    steadfast_context_free(c);
    h.linkat = stale_linkat;
    c = test_context(&h);
    stale_links = 2;
    is_int(stream(c, KEEP, "three"), SAVED, "it is gone twice while it is kept: saved");
    ok((NO_LINK || stale_links < 0) && holds(path, "three") && holds(previous, "two"), "and kept");
    steadfast_context_free(c);
}

/* A context at a directory that no path leaves. */
static void beneath(void)
{
    int status, here = open_directory(d);
    steadfast_context *c = context_at(here, STEADFAST_CONTEXT_BENEATH, NULL, &status);
    if (status != 0) {
        skip(steadfast_status_name(status), "a writer and a reader below a directory");
        close(here);
        return;
    }
    steadfast_save_options o = { .size = sizeof o, .flags = STEADFAST_SAVE_CREATE_PARENTS | STEADFAST_SAVE_FOLLOW_SYMLINK | KEEP };
    steadfast_reader *reader;
    char byte = 0;
    size_t len = 0;
    is_int(steadfast_writer_open(c, "../s", &o, &writer, NULL), -EXDEV, "BENEATH: a path that leaves it: EXDEV");
    for (int i = 0; i < 2; i++) {
        is_int(steadfast_writer_open(c, "sub/s", &o, &writer, NULL), 0, "one that does not");
        put("x");
        is_int(commit(), SAVED, "is saved");
    }
    ok(holds(in(d, "sub/s"), "x") && holds(in(d, "sub/s.prev"), "x") && report.generation == 2, "there");
    ok(steadfast_reader_open(c, "../d/sub/s", NULL, &reader, NULL, NULL) == -EXDEV
           && steadfast_reader_open(c, "sub/s", NULL, &reader, NULL, NULL) == 0
           && steadfast_reader_read(reader, 0, &byte, 1, &len, NULL) == 0 && len == 1 && byte == 'x',
       "the same for a reader");
    steadfast_reader_close(reader);
    steadfast_context_free(c);
    close(here);
    remove_tree(in(d, "sub"));
}

/* The standard streams are closed: what lives on gets none of their numbers. */
static void standard_streams(void)
{
    begin();
    pid_t child = fork_child();
    if (child == 0) {
        close(0), close(1), close(2);
        int before = count_fds(), status = open_writer(context, 0, 0), fd = descriptor();
        int free_places = fcntl(0, F_GETFD) < 0 && fcntl(1, F_GETFD) < 0 && fcntl(2, F_GETFD) < 0;
        put("x");
        _exit(status == 0 && fd > 2 && free_places && commit() == SAVED && count_fds() == before ? 0 : 1);
    }
    is_int(wait_for(child), 0, "closed standard streams stay closed, and the writer has other descriptors");
}

int main(void)
{
    dir = make_temp_dir("writer");
    snprintf(d, sizeof d, "%s", fresh("d"));
    snprintf(path, sizeof path, "%s/s", d);
    snprintf(previous, sizeof previous, "%s/s.prev", d);
    if ((large = malloc(LARGE)) == NULL)
        bail_out("malloc");
    for (size_t i = 0; i < LARGE; i++)
        large[i] = (char)(i * 31 + i / 4096 + (i >> 20) * 17);
    context = test_context(NULL);
    no_attributes = !has_attributes(path);
    int fds = count_fds();
    lengths();
    unseen();
    arguments();
    options();
    swaps();
    with_descriptor();
    forked();
    died();
    closed();
    closed_and_taken();
    full();
    failed_sync();
    plain_lengths();
    plain_options();
    plain_swaps();
    plain_failed_sync();
    unsynced_parent();
    gone();
    beneath();
    standard_streams();
    begin();
    ok(*leftovers(d, "") == '\0', "nothing is left over%s", leftovers(d, ""));
    is_int(count_fds(), fds, "no descriptor stays open");
    steadfast_context_free(context);
    free(large);
    remove_tree(dir);
    free(dir);
    return done_testing();
}
