/*
 * PATH.prev: after a save that fails, over a file that is no state, and where hard links or exchanges are missing.
 */
#include "tap.h"
#include "state_test.h"
#include "record.h"

#define KEEP STEADFAST_SAVE_KEEP_PREVIOUS

/* The platforms on which PATH.prev is put back in different ways. */
static const struct {
    uint32_t absent;
    const char *name;
} WAYS[] = { { 0, "links and exchanges" },
             { STEADFAST_ABSENT_RENAMEAT2, "no exchange" },
             { STEADFAST_ABSENT_LINK, "no hard links" },
             { STEADFAST_ABSENT_LINK | STEADFAST_ABSENT_RENAMEAT2, "neither" } };
enum { WAY_COUNT = 4 };

static char path[320], previous[330];
static struct record current, before;

static const char *begin(const char *name)
{
    static char d[300];
    snprintf(d, sizeof d, "%s", fresh(name));
    snprintf(path, sizeof path, "%s/s", d);
    snprintf(previous, sizeof previous, "%s/s.prev", d);
    return d;
}

static int32_t no_sync(void *user, int32_t fd)
{
    (void)user, (void)fd;
    return 0;
}

static int32_t publish_fails(void *user, int32_t od, const char *op, int32_t nd, const char *np, uint32_t flags)
{
    (void)user;
    return strcmp(np, "s") == 0 ? -EIO : REAL->renameat(NULL, od, op, nd, np, flags);
}

static void last_rename_fails(void)
{
    const char *d = begin("rename");
    for (int way = 0; way < WAY_COUNT; way++) {
        steadfast_hooks h = test_hooks();
        h.absent |= WAYS[way].absent;
        h.fsync = no_sync;
        h.renameat = publish_fails;
        steadfast_context *c = test_context(&h);
        for (int there = 0; there < 2; there++) {
            struct stat st = { 0 }, after = { 0 };
            unlink(previous);
            put_record(path, &current);
            if (there)
                put_record(previous, &before);
            stat(previous, &st);
            int status = save_with(c, path, "new", KEEP);
            stat(previous, &after);
            ok(status == -EIO && report.step == STEADFAST_STEP_RENAME && report.on_disk == STEADFAST_ON_DISK_OLD
                   && is_record(path, &current),
               "%s, %s PATH.prev: the last rename fails, the state stands", WAYS[way].name, there ? "a" : "no");
            ok(there ? is_record(previous, &before) : !exists(previous), "PATH.prev is as it was");
            ok(*leftovers(d, "s s.prev") == '\0', "nothing is left under any other name%s", leftovers(d, "s s.prev"));
        }
        steadfast_context_free(c);
    }
}

/* Each call fails once, with an error that is no fallback's: a save that fails leaves PATH.prev as it was. */
static void each_call_fails(void)
{
    const char *d = begin("each");
    for (int way = 0; way < WAY_COUNT; way++) {
        int wrong = 0, failed = 0, litter = 0;
        for (long at = 1;; at++) {
            struct faults f = { .fail_at = at, .error = ENOSPC, .no_real_sync = 1 };
            steadfast_hooks h = faults_hooks(&f);
            h.absent |= WAYS[way].absent;
            steadfast_context *c = test_context(&h);
            put_record(path, &current);
            put_record(previous, &before);
            int status = save_with(c, path, "new", KEEP);
            steadfast_context_free(c);
            if (f.failed == 0)
                break;
            failed += status < 0;
            int old = is_record(path, &current) && is_record(previous, &before);
            /* The compare of the names afterwards may be the call that fails. */
            int done = holds(path, "new") && is_record(previous, &current);
            if (status < 0 ? !old && !(status == STEADFAST_E_INDETERMINATE && done) : !done) {
                wrong++;
                diag("call %ld: %s, %s", at, steadfast_status_name(status), report.message);
            }
            const char *left = leftovers(d, "s s.prev");
            if (*left != '\0' && (f.failed & (UINT64_C(1) << STEADFAST_CALL_UNLINKAT | UINT64_C(1) << STEADFAST_CALL_FSTATAT)) == 0) {
                litter++;
                diag("call %ld: %s", at, left);
            }
            char names[400];
            snprintf(names, sizeof names, "%.390s", left);
            for (char *rest = NULL, *name = strtok_r(names, " ", &rest); name != NULL; name = strtok_r(NULL, " ", &rest))
                unlink(in(d, name));
        }
        ok(wrong == 0 && failed > 10, "%s: each call fails in turn: %d saves that fail leave both as they were", WAYS[way].name, failed);
        is_int(litter, 0, "%s: and leave nothing else", WAYS[way].name);
    }
}

/* What is no whole state is kept for a person, if nothing is in its way. */
static void not_a_state(void)
{
    static char foreign[20000];
    struct record torn = current, empty = { 0, "" };
    const char *d = begin("foreign");
    struct {
        const char *name, *bytes;
        size_t len;
        int load;
    } files[] = { { "a foreign file", foreign, sizeof foreign, STEADFAST_E_FORMAT },
                  { "a damaged state", torn.bytes, torn.len, STEADFAST_E_DIGEST },
                  { "a torn state", torn.bytes, torn.len - 3, STEADFAST_E_TRUNCATED },
                  { "an empty file", empty.bytes, 0, STEADFAST_E_EMPTY } };
    torn.bytes[RECORD_HEADER] ^= 1;
    memset(foreign, '{', sizeof foreign);
    for (int i = 0; i < 4; i++)
        for (int way = 0; way < WAY_COUNT; way += 2) {
            steadfast_hooks h = test_hooks();
            steadfast_state state = { .size = sizeof state };
            struct stat st = { 0 };
            size_t len = 0;
            h.absent |= WAYS[way].absent;
            steadfast_context *c = test_context(&h);
            unlink(path), unlink(previous);
            write_file(path, files[i].bytes, files[i].len);
            chmod(path, 0640);
            is_int(save_with(c, path, "new", KEEP), SAVED, "%s, %s: KEEP_PREVIOUS", files[i].name, WAYS[way].name);
            ok(says("no whole state") && says("is kept"), "says that it is kept: %s", report.message);
            char *kept = read_file(previous, &len);
            ok(kept != NULL && len == files[i].len && memcmp(kept, files[i].bytes, len) == 0, "to the byte");
            ok(stat(previous, &st) == 0 && (st.st_mode & 07777) == 0640, "with its permissions");
            is_int(steadfast_state_load(NULL, previous, NULL, &state, NULL), files[i].load, "and is no state for a load");
            free(kept);
            unlink(path);
            steadfast_load_options recover = { .size = sizeof recover, .flags = STEADFAST_LOAD_RECOVER };
            ok(steadfast_state_load(NULL, path, &recover, &state, NULL) < 0, "nor for one with RECOVER");

            put_record(previous, &before);
            write_file(path, files[i].bytes, files[i].len);
            is_int(save_with(c, path, "new", KEEP), SAVED, "%s, %s, and a verified PATH.prev", files[i].name, WAYS[way].name);
            ok(says("was not kept") && is_record(previous, &before), "says that it is not kept, PATH.prev stays");
            unlink(previous);
            write_file(path, files[i].bytes, files[i].len);
            is_int(save_with(c, path, "new", 0), SAVED, "%s: a plain save", files[i].name);
            ok(!exists(previous), "keeps nothing");
            steadfast_context_free(c);
        }
    ok(*leftovers(d, "s") == '\0', "nothing is left over%s", leftovers(d, "s"));
}

/* How link fails where there are no hard links, or none for us; or makes another inode of it (FUSE). */
static int link_error;
static int32_t link_fails(void *user, int32_t od, const char *op, int32_t nd, const char *np, int32_t flags)
{
    (void)user;
    return link_error != 0 ? -link_error : REAL->linkat(NULL, od, op, nd, np, flags);
}

static int32_t other_inode(void *user, int32_t dirfd, const char *name, steadfast_stat *out)
{
    int32_t result = REAL->fstatat(NULL, dirfd, name, out);
    (void)user;
    if (strstr(name, ".prev.tmp") != NULL)
        out->ino++;
    return result;
}

static void links_refused(void)
{
    static const int ERRORS[] = { EPERM, EMLINK, EXDEV, EACCES, EOPNOTSUPP, ENOSYS, 0 };
    const char *d = begin("links");
    for (size_t i = 0; i < sizeof ERRORS / sizeof ERRORS[0]; i++) {
        steadfast_hooks h = test_hooks();
        const char *how = ERRORS[i] == 0 ? "another inode" : steadfast_status_name(-ERRORS[i]);
        link_error = ERRORS[i];
        h.linkat = link_fails;
        if (ERRORS[i] == 0)
            h.fstatat = other_inode;
        steadfast_context *c = test_context(&h);
        put_record(path, &current);
        put_record(previous, &before);
        is_int(save_with(c, path, "new", KEEP), SAVED, "a hard link is %s", how);
        ok(is_record(previous, &current) && holds(path, "new") && *leftovers(d, "s s.prev") == '\0', "the previous one is kept by a copy");
        steadfast_context_free(c);
    }
    link_error = ENOSPC;
    steadfast_hooks h = test_hooks();
    h.linkat = link_fails;
    steadfast_context *c = test_context(&h);
    put_record(path, &current);
    put_record(previous, &before);
    if (NO_LINK)
        skip("hard links are absent", "a link that fails for another reason");
    else
        ok(save_with(c, path, "new", KEEP) == -ENOSPC && is_record(path, &current) && is_record(previous, &before),
           "a link that fails for another reason is an error, and nothing changes");
    steadfast_context_free(c);
}

static void in_the_way(void)
{
    const char *d = begin("way");
    put_record(path, &current);
    mkdir(previous, 0700);
    is_int(save(path, "new", KEEP), -EISDIR, "a directory at PATH.prev");
    ok(is_record(path, &current) && *leftovers(d, "s s.prev") == '\0', "nothing changes");
    rmdir(previous);
    put_record(in(d, "target"), &before);
    if (symlink("target", previous) != 0)
        bail_out("symlink: %s", strerror(errno));
    is_int(save(path, "new", KEEP), SAVED, "a symbolic link at PATH.prev");
    ok(is_record(previous, &current) && is_record(in(d, "target"), &before), "is replaced; what it points to is not");
    unlink(previous);
}

int main(void)
{
    dir = make_temp_dir("previous");
    context = test_context(NULL);
    current = make_record(1, 5, " head=00000000", "current");
    before = make_record(1, 4, " head=00000000", "previous");
    int fds = count_fds();
    last_rename_fails();
    each_call_fails();
    not_a_state();
    links_refused();
    in_the_way();
    is_int(count_fds(), fds, "no descriptor stays open");
    steadfast_context_free(context);
    remove_tree(dir);
    free(dir);
    return done_testing();
}
