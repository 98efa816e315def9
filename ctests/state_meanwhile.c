/* Others save while a saver keeps the state that it replaces: what they were told stays true. */
#include "tap.h"
#include "state_test.h"

#include <sys/file.h>

static char path[300], previous[310];
static int moments;

/* While the state is being kept, another saver publishes, durably. */
static void save_at_rename(struct faults *f, int call, const char *name)
{
    (void)name;
    if (call == STEADFAST_CALL_RENAMEAT && f->made[call] <= moments) {
        char text[40];
        snprintf(text, sizeof text, "theirs %ld", f->made[call]);
        save_with(context, path, text, 0);
    }
}

static void kept(const char *what, uint32_t flags, int no_syncs, int before)
{
    for (moments = 1; moments <= 2; moments++) {
        unlink(path), unlink(previous);
        save(path, "oldest", 0);
        if (before)
            save(path, "old", STEADFAST_SAVE_KEEP_PREVIOUS);
        struct faults f = { .before = save_at_rename, .error = no_syncs ? EIO : 0, .file_syncs = no_syncs };
        steadfast_context *c = faults_context(&f);
        is_int(save_with(c, path, "mine", flags), STEADFAST_NOT_DURABLE, "%s, PATH.prev %s, %d saved meanwhile: NOT_DURABLE", what,
               before ? "there" : "missing", moments);
        steadfast_context_free(c);
        int theirs = holds(previous, moments == 1 ? "theirs 1" : "theirs 2") || holds(path, moments == 1 ? "theirs 1" : "theirs 2");
        ok(theirs, "and what the other one was told is durable is there, at one of the two names");
    }
}

/* Another saver publishes, durably, between the last look and the moment when an unsynced content gets the name. */
static const char *its_content;

/* Some file systems have neither. */
static int can_exchange(void)
{
    char one[310], other[310];
    snprintf(one, sizeof one, "%s/one", dir), snprintf(other, sizeof other, "%s/other", dir);
    close(creat(one, 0600)), close(creat(other, 0600));
    int can = !(test_absent() & STEADFAST_ABSENT_RENAMEAT2) && REAL->renameat(NULL, AT_FDCWD, one, AT_FDCWD, other, 2) == 0;
    unlink(one), unlink(other);
    return can;
}

static int can_link(void)
{
    char one[310], other[310];
    struct stat first = { 0 }, second = { 0 };
    snprintf(one, sizeof one, "%s/one", dir), snprintf(other, sizeof other, "%s/other", dir);
    close(creat(one, 0600));
    int can = !NO_LINK && link(one, other) == 0 && stat(one, &first) == 0 && stat(other, &second) == 0 && first.st_ino == second.st_ino;
    unlink(one), unlink(other);
    return can;
}

static int32_t publish_first(void *user, int32_t from_dir, const char *from, int32_t to_dir, const char *to, uint32_t flags)
{
    (void)user;
    if (its_content != NULL && strcmp(to, "s") == 0) {
        const char *content = its_content;
        its_content = NULL;
        save_with(context, path, content, 0);
    }
    return REAL->renameat(NULL, from_dir, from, to_dir, to, flags);
}

static int32_t no_file_syncs(void *user, int32_t fd)
{
    struct stat about = { 0 };
    (void)user;
    return fstat(fd, &about) == 0 && S_ISDIR(about.st_mode) ? REAL->fsync(NULL, fd) : -EIO;
}

/* `beside`: another saver keeps the same file, under a shared flock. */
enum { NO_STATE, UNSYNCED_STATE, STATE, STATE_AND_PREVIOUS };
static void published_first(const char *what, uint32_t flags, int no_syncs, int before, int beside)
{
    static const char *const names[] = { "none", "one that is not synced", "one", "two" };
    unlink(path), unlink(previous);
    if (before != NO_STATE)
        save(path, "oldest", before == UNSYNCED_STATE ? STEADFAST_SAVE_NO_SYNC : 0);
    if (before == STATE_AND_PREVIOUS)
        save(path, "old", STEADFAST_SAVE_KEEP_PREVIOUS);
    int other = open(path, O_RDONLY);
    if (beside)
        flock(other, LOCK_SH);
    steadfast_hooks h = test_hooks();
    h.renameat = publish_first;
    if (no_syncs)
        h.fsync = no_file_syncs;
    steadfast_context *c = test_context(&h);
    its_content = "theirs";
    is_int(save_with(c, path, "mine", flags), STEADFAST_NOT_DURABLE, "%s over %s, another one publishes just before: NOT_DURABLE", what,
           names[before]);
    close(other);
    steadfast_context_free(c);
    ok(its_content == NULL && holds(path, "mine"), "saved");
    ok(before == UNSYNCED_STATE || report.on_disk == STEADFAST_ON_DISK_EITHER, "and EITHER");
    ok(holds(previous, "theirs"), "what the other one was told is durable is at PATH.prev");
    ok(*leftovers(dir, "s s.prev") == '\0', "nothing is left over%s", leftovers(dir, "s s.prev"));
}

/* While what an unsynced content has replaced has the name of its temporary file, a writer of another process looks for one. */
static steadfast_writer *theirs;
static int raced;
static void open_theirs(void)
{
    if (theirs == NULL && steadfast_writer_open(context, path, NULL, &theirs, NULL) == 0)
        steadfast_writer_write(theirs, "written", 7, NULL);
}

static int32_t rename_then_writer(void *user, int32_t from_dir, const char *from, int32_t to_dir, const char *to, uint32_t flags)
{
    int32_t result = publish_first(user, from_dir, from, to_dir, to, flags);
    if (raced && strcmp(to, "s") == 0)
        open_theirs();
    return result;
}

static int32_t writer_before_unlink(void *user, int32_t dirfd, const char *name, int32_t flags)
{
    (void)user;
    if (strcmp(name, ".s.0.tmp") == 0)
        open_theirs();
    return REAL->unlinkat(NULL, dirfd, name, flags);
}

static void writer_meanwhile(int race)
{
    unlink(path), unlink(previous);
    save(path, "old", 0);
    steadfast_hooks h = test_hooks();
    h.renameat = rename_then_writer, h.unlinkat = writer_before_unlink;
    steadfast_context *c = test_context(&h);
    theirs = NULL, raced = race, its_content = race ? "theirs" : NULL;
    is_int(save_with(c, path, "mine", STEADFAST_SAVE_NO_SYNC | STEADFAST_SAVE_KEEP_PREVIOUS), STEADFAST_NOT_DURABLE,
           "a writer of another process takes a temporary name meanwhile%s: saved", race ? ", and a save came just before" : "");
    steadfast_context_free(c);
    ok(theirs != NULL && holds(path, "mine"), "the writer is open");
    is_int(theirs != NULL ? steadfast_writer_commit(theirs, NULL) : -1, SAVED, "its temporary file is still its own: saved");
    ok(holds(path, "written") && *leftovers(dir, "s s.prev") == '\0', "nothing is left over%s", leftovers(dir, "s s.prev"));
}

/* Right before the state that is kept gets the name .prev, or while it is copied, others save twice, and keep one of them. */
static void save_twice(struct faults *f, int call, const char *name)
{
    (void)name;
    int copies = f->only == STEADFAST_CALL_LINKAT;
    /* The first sync is that of the new state. */
    if (f->made[call] != 1 + copies || call != (copies ? STEADFAST_CALL_FSYNC : STEADFAST_CALL_RENAMEAT))
        return;
    save_with(context, path, "theirs 1", 0);
    save_with(context, path, "theirs 2", STEADFAST_SAVE_KEEP_PREVIOUS);
}

/* A save that fails leaves .prev as it was: what others have kept meanwhile. */
static void refused(const char *what, int link_error, int before)
{
    unlink(path), unlink(previous);
    save(path, "old", 0);
    if (before)
        save(path, "newer", STEADFAST_SAVE_KEEP_PREVIOUS);
    struct faults f = { .before = save_twice, .for_ever = 1 };
    if (link_error)
        f.only = STEADFAST_CALL_LINKAT, f.error = link_error, f.fail_at = 1;
    steadfast_context *c = faults_context(&f);
    steadfast_save_options o = { .size = sizeof o };
    o.flags = STEADFAST_SAVE_KEEP_PREVIOUS | STEADFAST_SAVE_IF_GENERATION;
    o.expected_generation = before ? 2 : 1;
    report.size = sizeof report;
    is_int(steadfast_state_save(c, path, "mine", 4, &o, &report), STEADFAST_E_CONFLICT, "%s, others save twice meanwhile: E_CONFLICT",
           what);
    steadfast_context_free(c);
    /* The one rename gives the copy a name on the way. */
    if (link_error)
        is_int(f.made[STEADFAST_CALL_RENAMEAT], 1, "%s: PATH.prev was never another one", what);
    ok(holds(path, "theirs 2"), "%s: PATH is theirs", what);
    ok(holds(previous, "theirs 1"), "%s: PATH.prev is what they have kept", what);
}

/* Just before the state gets the name .prev, a removal gives it that name: a rename does nothing then. */
static void move_to_previous(struct faults *f, int call, const char *name)
{
    (void)name;
    if (call != STEADFAST_CALL_RENAMEAT)
        return;
    f->before = NULL;
    if (rename(path, previous) != 0)
        bail_out("rename");
}

static void removed(void)
{
    unlink(path), unlink(previous);
    save(path, "old", 0);
    struct faults f = { .before = move_to_previous, .no_real_sync = 1 };
    steadfast_context *c = faults_context(&f);
    is_int(save_with(c, path, "new", STEADFAST_SAVE_KEEP_PREVIOUS), SAVED, "a removal gives the state the name .prev meanwhile: saved");
    steadfast_context_free(c);
    ok(f.before == NULL && holds(path, "new") && holds(previous, "old"), "and kept");
    ok(*leftovers(dir, "s s.prev") == '\0', "nothing is left over%s", leftovers(dir, "s s.prev"));
}

/* The state cannot get the name .prev, and when that is tried again a removal has come. */
static void remove_at_second(struct faults *f, int call, const char *name)
{
    (void)name;
    if (call != STEADFAST_CALL_RENAMEAT || f->made[call] != 2)
        return;
    f->fail_at = 2, f->before = NULL;
    if (unlink(path) != 0 || unlink(previous) != 0)
        bail_out("unlink");
}

static void removed_at_second(void)
{
    unlink(path), unlink(previous);
    save(path, "old", 0), save(path, "newer", STEADFAST_SAVE_KEEP_PREVIOUS);
    struct faults f = { .before = remove_at_second, .only = STEADFAST_CALL_RENAMEAT, .fail_at = 1, .error = ENOENT, .no_real_sync = 1 };
    steadfast_context *c = faults_context(&f);
    is_int(save_with(c, path, "new", STEADFAST_SAVE_KEEP_PREVIOUS), SAVED, "a removal while the state is kept once more: saved");
    steadfast_context_free(c);
    ok(f.before == NULL && holds(path, "new") && access(previous, F_OK) != 0, "and there was nothing to keep");
    ok(*leftovers(dir, "s s.prev") == '\0', "nothing is left over%s", leftovers(dir, "s s.prev"));
}

/* Another saver has kept the same state a moment before, and this one fails after that. */
static void keep_it_too(struct faults *f, int call, const char *name)
{
    (void)name;
    char second[320];
    if (call != STEADFAST_CALL_RENAMEAT)
        return;
    f->before = NULL;
    snprintf(second, sizeof second, "%s/second", dir);
    if (link(path, second) != 0 || rename(second, previous) != 0)
        bail_out("link");
}

static int32_t state_stays(void *user, int32_t from_dir, const char *from, int32_t to_dir, const char *to, uint32_t flags)
{
    struct faults *f = user;
    if (strcmp(to, "s") == 0)
        return -EIO;
    if (f->before != NULL)
        f->before(f, STEADFAST_CALL_RENAMEAT, from);
    return REAL->renameat(NULL, from_dir, from, to_dir, to, flags);
}

static void kept_twice(void)
{
    unlink(path), unlink(previous);
    save(path, "old", 0), save(path, "newer", STEADFAST_SAVE_KEEP_PREVIOUS);
    struct faults f = { .before = keep_it_too };
    steadfast_hooks h = test_hooks();
    h.user = &f;
    h.renameat = state_stays;
    steadfast_context *c = test_context(&h);
    is_int(save_with(c, path, "new", STEADFAST_SAVE_KEEP_PREVIOUS), -EIO, "another saver keeps the same state, and the rename fails");
    steadfast_context_free(c);
    ok(holds(path, "newer") && holds(previous, "newer"), "what the other one has kept stays");
    ok(*leftovers(dir, "s s.prev") == '\0', "nothing is left over%s", leftovers(dir, "s s.prev"));
}

/* The same where a rename takes no flags: it has not happened, although PATH.prev is the state by now. */
static void kept_twice_without_flags(int before)
{
    unlink(path), unlink(previous);
    save(path, "old", 0);
    if (before)
        save(path, "newer", STEADFAST_SAVE_KEEP_PREVIOUS);
    struct faults f = { .before = keep_it_too, .only = STEADFAST_CALL_RENAMEAT, .fail_at = 1, .error = EINVAL, .no_real_sync = 1 };
    steadfast_context *c = faults_context(&f);
    is_int(save_with(c, path, "new", STEADFAST_SAVE_KEEP_PREVIOUS), SAVED, "another saver keeps the same state, without renameat2");
    steadfast_context_free(c);
    ok(f.before == NULL && holds(path, "new") && holds(previous, before ? "newer" : "old"), "it is kept");
    ok(*leftovers(dir, "s s.prev") == '\0', "nothing is left over%s", leftovers(dir, "s s.prev"));
}

/* Where a server goes by paths, a file that is replaced at this moment is gone for whoever has just opened it. */
static struct {
    int opens, looks, error;
    int not_yet; /* so many looks come before */
} gone;
static int32_t gone_openat(void *user, int32_t dirfd, const char *name, int32_t flags, uint32_t mode)
{
    (void)user;
    size_t len = strlen(name);
    if (gone.opens > 0 && (flags & (O_WRONLY | O_RDWR | O_CREAT | O_DIRECTORY | O_PATH)) == 0 && len > 0 && name[len - 1] == 's') {
        gone.opens--;
        return -ESTALE;
    }
    return steadfast_hooks_default()->openat(NULL, dirfd, name, flags, mode);
}
static int32_t gone_fstat(void *user, int32_t fd, steadfast_stat *out)
{
    (void)user;
    char link[40], name[400];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, name, sizeof name);
    /* By its name: over FUSE one file may have two inode numbers. */
    int is_state = len > 0 && (size_t)len == strlen(path) && memcmp(name, path, (size_t)len) == 0;
    if (gone.looks > 0 && is_state && gone.not_yet-- <= 0) {
        gone.looks--;
        return -gone.error;
    }
    return steadfast_hooks_default()->fstat(NULL, fd, out);
}

/* The second of two entries of a batch finds that the state is gone. It comes after the first all the same. */
/* A saver that writes in place has kept a copy, and is killed while it writes, before another one has the flock that it waits for. */
static int is_torn;

static int32_t torn_before_flock(void *user, int32_t fd, int32_t operation)
{
    (void)user;
    if ((operation & LOCK_SH) != 0 && !is_torn) {
        int file = open(path, O_WRONLY);
        is_torn = pwrite(file, "torn", 4, 300) == 4;
        close(file);
    }
    return REAL->flock(NULL, fd, operation);
}

static void torn_first(void)
{
    unlink(path), unlink(previous);
    char text[400];
    memset(text, 'o', sizeof text - 1), text[sizeof text - 1] = '\0';
    save(path, text, 0);
    save(previous, text, 0);
    steadfast_hooks h = test_hooks();
    h.flock = torn_before_flock;
    steadfast_context *c = test_context(&h);
    is_torn = 0;
    is_int(save_with(c, path, "mine", STEADFAST_SAVE_KEEP_PREVIOUS), STEADFAST_OK, "the state is torn before it is kept: saved");
    steadfast_context_free(c);
    ok(is_torn && holds(path, "mine"), "the new one is there");
    ok(holds(previous, text), "and PATH.prev is the copy, not the torn one");
}

/* Others write both files of an alternating state in place before a saver that has looked at it has the flock. */
static int its_saves;
static uint64_t its_last;

static int32_t saves_before_flock(void *user, int32_t fd, int32_t operation)
{
    (void)user;
    for (; (operation & LOCK_EX) != 0 && its_saves > 0; its_saves--) {
        save(path, "theirs", STEADFAST_SAVE_ALTERNATE);
        its_last = report.generation;
    }
    return REAL->flock(NULL, fd, operation);
}

static void alternating_first(void)
{
    static const struct {
        const char *name;
        uint32_t flags;
    } ways[] = {
        { "a save", 0 },
        { "KEEP_PREVIOUS", STEADFAST_SAVE_KEEP_PREVIOUS },
        { "NO_SYNC", STEADFAST_SAVE_NO_SYNC },
        { "ALTERNATE", STEADFAST_SAVE_ALTERNATE },
    };
    for (int i = 0; i < 4; i++)
        for (int before = 4; before <= 5; before++) {
            unlink(path), unlink(previous);
            for (int n = 0; n < before; n++)
                save(path, "older", STEADFAST_SAVE_ALTERNATE);
            steadfast_hooks h = test_hooks();
            h.flock = saves_before_flock;
            steadfast_context *c = test_context(&h);
            its_saves = 3;
            is_int(save_with(c, path, "mine", ways[i].flags), ways[i].flags == STEADFAST_SAVE_NO_SYNC ? STEADFAST_NOT_DURABLE : 0,
                   "%s, others let two files take turns just before: saved", ways[i].name);
            steadfast_context_free(c);
            ok(its_saves == 0 && report.generation == its_last + 1, "as the generation after theirs");
            ok(holds(path, "mine"), "it is what a load gives");
        }
}

static void same_state_twice(void)
{
    steadfast_hooks h = test_hooks();
    h.openat = gone_openat, h.fstat = gone_fstat;
    steadfast_context *c = test_context(&h);
    steadfast_save_entry entries[2] = { { .size = sizeof entries[0], .path = path, .data = "one", .len = 3 },
                                        { .size = sizeof entries[0], .path = path, .data = "two", .len = 3 } };
    unlink(path), unlink(previous);
    save(path, "old", 0);
    gone.opens = 0, gone.looks = 1, gone.not_yet = 1, gone.error = ESTALE;
    is_int(steadfast_state_save_batch(c, entries, 2, NULL, NULL), SAVED, "a batch with the same state twice, gone at the second: saved");
    gone.not_yet = 0;
    ok(gone.looks == 0 && entries[0].generation == 2 && entries[1].generation == 3 && holds(path, "two"), "in its order");
    steadfast_context_free(c);
}

static void gone_for_a_moment(void)
{
    steadfast_hooks h = test_hooks();
    h.openat = gone_openat, h.fstat = gone_fstat;
    steadfast_context *c = test_context(&h);
    steadfast_save_options o = { .size = sizeof o, .flags = STEADFAST_SAVE_IF_GENERATION };
    steadfast_state state = { .size = sizeof state };
    static const int errors[] = { ENOENT, ESTALE };
    unlink(path), unlink(previous);
    save(path, "old", 0);
    for (int i = 0; i < 2; i++) {
        gone.opens = 0, gone.looks = 2, gone.error = errors[i];
        is_int(steadfast_state_load(c, path, NULL, &state, NULL), 0, "gone for whoever looks, error %d: loaded", errors[i]);
        o.expected_generation = state.generation;
        steadfast_state_free(&state);
        gone.opens = 0, gone.looks = 2;
        is_int(steadfast_state_save(c, path, "new", 3, &o, NULL), SAVED, "and swapped");
        ok(gone.looks == 0, "after it had looked again");
    }
    gone.opens = 2;
    is_int(steadfast_state_load(c, path, NULL, &state, NULL), 0, "gone for whoever opens it: loaded");
    steadfast_state_free(&state);
    gone.opens = 2, o.expected_generation = 3;
    is_int(steadfast_state_save(c, path, "newer", 5, &o, NULL), SAVED, "and swapped");
    is_int(gone.opens, 0, "after it had opened it again");
    steadfast_watch *watch = NULL;
    is_int(steadfast_watch_open(c, path, NULL, &watch, NULL), 0, "a watch");
    report.size = sizeof report;
    gone.looks = 2;
    is_int(steadfast_watch_wait(watch, 0, 10000, &report), 0, "gone for a watch that looks: not told");
    ok(report.generation == 4 && gone.looks == 0, "but what is there");
    steadfast_watch_close(watch);
    steadfast_context_free(c);
}

/* Others save just before the rename, and what they have saved is gone for a moment. */
static uint64_t generation_of_theirs;
static int32_t theirs_first(void *user, int32_t from_dir, const char *from, int32_t to_dir, const char *to, uint32_t flags)
{
    static int done;
    (void)user;
    if (!done) {
        done = 1;
        save_with(context, path, "theirs", 0);
        generation_of_theirs = report.generation;
        gone.looks = 1, gone.error = ESTALE;
    }
    return steadfast_hooks_default()->renameat(NULL, from_dir, from, to_dir, to, flags);
}

static void gone_at_a_conflict(void)
{
    steadfast_hooks h = test_hooks();
    h.fstat = gone_fstat, h.renameat = theirs_first;
    steadfast_context *c = test_context(&h);
    steadfast_save_options o = { .size = sizeof o, .flags = STEADFAST_SAVE_KEEP_PREVIOUS | STEADFAST_SAVE_IF_GENERATION };
    unlink(path), unlink(previous);
    save(path, "old", 0);
    o.expected_generation = 1;
    report.size = sizeof report;
    is_int(steadfast_state_save(c, path, "mine", 4, &o, &report), STEADFAST_E_CONFLICT, "gone at a conflict: E_CONFLICT");
    ok(report.generation == generation_of_theirs && gone.looks == 0, "with the generation that is there");
    steadfast_context_free(c);
}

/* Each call of a save, a batch, a removal and a load fails once, as when another saver has just replaced the file. */
static int with_one_stale(int what, long nth, struct faults *f, int *right)
{
    steadfast_save_options o = { .size = sizeof o, .flags = STEADFAST_SAVE_KEEP_PREVIOUS };
    steadfast_save_entry entry = { .size = sizeof entry, .path = path, .data = "new", .len = 3 };
    steadfast_state state = { .size = sizeof state };
    *f = (struct faults){ .fail_at = nth, .error = ESTALE, .no_real_sync = 1 };
    steadfast_context *c = faults_context(f);
    int status = 0;
    unlink(path), unlink(previous);
    save(path, "oldest", 0), save(path, "old", STEADFAST_SAVE_KEEP_PREVIOUS);
    switch (what) {
    case 0: status = steadfast_state_save(c, path, "new", 3, &o, NULL); break;
    case 1:
        o.flags |= STEADFAST_SAVE_IF_GENERATION, o.expected_generation = 2;
        status = steadfast_state_save(c, path, "new", 3, &o, NULL);
        break;
    case 2: status = steadfast_state_save_batch(c, &entry, 1, &o, NULL); break;
    case 3: status = steadfast_state_remove(c, path, &(steadfast_save_options){ .size = sizeof o }, NULL); break;
    default: status = steadfast_state_load(c, path, NULL, &state, NULL); break;
    }
    if (what < 3)
        *right = holds(path, "new") || (status == STEADFAST_E_INDETERMINATE && holds(path, "old"));
    else if (what == 3)
        *right = !exists(path) && !exists(previous);
    else
        *right = state.len == 3 && memcmp(state.data, "old", 3) == 0;
    *right = *right && (status >= 0 || status == STEADFAST_E_INDETERMINATE);
    steadfast_state_free(&state);
    steadfast_context_free(c);
    return status;
}
static void stale(void)
{
    static const char *const names[] = { "a save", "a swap", "a batch", "a removal", "a load" };
    for (int what = 0; what < 5; what++) {
        int failed = 0;
        long nth = 1;
        struct faults f;
        for (;; nth++) {
            int right = 0, status = with_one_stale(what, nth, &f, &right);
            if (f.failed == 0)
                break;
            if (!right)
                diag("%s, call %ld: %s", names[what], nth, steadfast_status_name(status)), failed++;
        }
        ok(failed == 0 && nth > 3, "%s, each of %ld calls stale once: done", names[what], nth - 1);
    }
}

int main(void)
{
    dir = make_temp_dir("meanwhile");
    snprintf(path, sizeof path, "%s/s", dir);
    snprintf(previous, sizeof previous, "%s/s.prev", dir);
    context = test_context(NULL);
    if (NO_LINK || NO_DIR_FSYNC) {
        skip("what is kept by a copy, or never durable, is another test", "a saver meanwhile");
    } else {
        for (int before = 0; before < 2; before++) {
            kept("NO_SYNC and KEEP_PREVIOUS", STEADFAST_SAVE_NO_SYNC | STEADFAST_SAVE_KEEP_PREVIOUS, 0, before);
            kept("a sync that fails", 0, 1, before);
            if (!can_exchange()) {
                skip("names cannot be exchanged here", "another saver publishes just before");
                continue;
            }
            for (int beside = 0; beside <= can_alternate(); beside++)
                for (int states = before ? STATE_AND_PREVIOUS : NO_STATE; states <= (before ? STATE_AND_PREVIOUS : STATE); states++) {
                    published_first("NO_SYNC and KEEP_PREVIOUS", STEADFAST_SAVE_NO_SYNC | STEADFAST_SAVE_KEEP_PREVIOUS, 0, states, beside);
                    published_first("a sync that fails", 0, 1, states, beside);
                }
            writer_meanwhile(before);
        }
    }
    removed();
    if (!can_link() || (test_absent() & STEADFAST_ABSENT_RENAMEAT2))
        skip("names are not exchanged, or a link is another file", "another saver keeps the same state");
    else {
        removed_at_second();
        kept_twice();
        for (int before = 0; before < 2; before++)
            kept_twice_without_flags(before);
    }
    if (NO_FLOCK) {
        skip("IF_GENERATION needs flock", "others save while a saver compares");
    } else {
        if (can_alternate())
            torn_first(), alternating_first();
        else
            skip("no flock is taken to keep a state here", "the state is torn before it is kept");
        gone_for_a_moment();
        stale();
        same_state_twice();
        gone_at_a_conflict();
        for (int before = 0; before < 2; before++)
            refused("kept by a copy", EPERM, before);
        if (NO_LINK || (test_absent() & STEADFAST_ABSENT_RENAMEAT2))
            skip("nothing is put back in one step there", "others save between a look and the next call");
        else
            for (int before = 0; before < 2; before++)
                refused("kept by a link", 0, before);
    }
    ok(*leftovers(dir, "s s.prev") == '\0', "nothing is left over%s", leftovers(dir, "s s.prev"));
    steadfast_context_free(context);
    remove_tree(dir);
    free(dir);
    return done_testing();
}
