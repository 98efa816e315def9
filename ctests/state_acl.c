/* Access ACLs, on a file system that has them: a save keeps them, and a directory's default ACL gives nothing back. */
#include "tap.h"
#include "state_test.h"
#include "acl.h"

#include <grp.h>

#define KEEP STEADFAST_SAVE_KEEP_PREVIOUS
enum { NAMED_USER = 54321, NAMED_GROUP = 4242, GROUP = 12345, MEMBER = 60000, NO_PROOF = 97 };

static char d[300], path[310];

static int set_acl(const char *file, const char *name, const struct acl *a)
{
    unsigned char bytes[4 + 8 * ACL_MOST];
    return setxattr(file, name, bytes, acl_encode(a, bytes), 0);
}

static int has_acl(const char *file, const struct acl *a)
{
    unsigned char bytes[4 + 8 * ACL_MOST], wanted[4 + 8 * ACL_MOST];
    ssize_t len = getxattr(file, ACL_ACCESS, bytes, sizeof bytes);
    return len == (ssize_t)acl_encode(a, wanted) && memcmp(bytes, wanted, (size_t)len) == 0;
}

static int has_none(const char *file)
{
    return getxattr(file, ACL_ACCESS, NULL, 0) < 0 && errno == ENODATA;
}

static unsigned mode_of(const char *file)
{
    struct stat st = { 0 };
    stat(file, &st);
    return st.st_mode & 07777;
}

static int32_t fails(void *user, int32_t fd)
{
    struct stat st;
    (void)user;
    return fstat(fd, &st) == 0 && S_ISREG(st.st_mode) ? -EIO : 0;
}

/* A fresh file with this ACL. */
static void begin(const struct acl *a)
{
    unlink(path);
    unlink(in(d, "s.prev"));
    save(path, "first", 0);
    if (set_acl(path, ACL_ACCESS, a) != 0)
        bail_out("setxattr: %s", strerror(errno));
}

static void kept(const char *what, const struct acl *a)
{
    steadfast_hooks copying = test_hooks(), failing = test_hooks();
    copying.absent |= STEADFAST_ABSENT_LINK;
    failing.fsync = fails;
    steadfast_context *copies = test_context(&copying), *unsynced = test_context(&failing);
    struct {
        const char *how;
        const steadfast_context *context;
        uint32_t flags;
        unsigned mark;
    } ways[] = { { "a save", context, 0, 0 },
                 { "KEEP_PREVIOUS", context, KEEP, 0 },
                 { "KEEP_PREVIOUS by a copy", copies, KEEP, 0 },
                 { "NO_SYNC", context, STEADFAST_SAVE_NO_SYNC, 01000 },
                 { "a save whose sync fails", unsynced, 0, 01000 } };
    for (int i = 0; i < 5; i++) {
        begin(a);
        unsigned mode = mode_of(path);
        int status = save_with(ways[i].context, path, "second", ways[i].flags);
        ok(status >= 0 && has_acl(path, a) && mode_of(path) == (mode | ways[i].mark), "%s: %s keeps it, with its mask in the mode", what,
           ways[i].how);
        if ((ways[i].flags & KEEP) != 0)
            ok(holds(in(d, "s.prev"), "first") && has_acl(in(d, "s.prev"), a) && mode_of(in(d, "s.prev")) == mode,
               "%s: and the previous one has it", what);
    }
    begin(a);
    steadfast_save_entry entry = { .size = sizeof entry, .path = path, .data = "batch", .len = 5 };
    ok(steadfast_state_save_batch(context, &entry, 1, NULL, NULL) == SAVED && has_acl(path, a), "%s: a batch keeps it", what);
    steadfast_context_free(copies);
    steadfast_context_free(unsynced);
}

static int set_while_open, set;

static int32_t looks_at_mode(void *user, int32_t fd, const char *name, const void *buf, size_t len)
{
    struct stat st = { 0 };
    (void)user;
    if (fsetxattr(fd, name, buf, len, 0) != 0)
        return -errno;
    fstat(fd, &st);
    set++;
    set_while_open += (st.st_mode & 077) != 0;
    return 0;
}

/* A kernel that sets the mode before the ACL (simple_set_acl of tmpfs) would let in whom the ACL forbids. */
static void nobody_meanwhile(const struct acl *a)
{
    static const uint32_t WAYS[] = { 0, KEEP, STEADFAST_SAVE_SET_MODE };
    steadfast_hooks h = test_hooks();
    h.fsetxattr = looks_at_mode;
    steadfast_context *looking = test_context(&h);
    for (int i = 0; i < 3; i++) {
        steadfast_save_options options = { .size = sizeof options, .flags = WAYS[i], .mode = 0604 };
        begin(a);
        set = set_while_open = 0;
        ok(steadfast_state_save(looking, path, "second", 6, &options, NULL) == SAVED && set > 0 && set_while_open == 0,
           "flags %u: nobody else may open the file while its ACL is set", WAYS[i]);
    }
    steadfast_context_free(looking);
}

static void many_entries(void)
{
    struct acl a = { 0 };
    acl_add(&a, ACL_OWNER, 6, UINT32_MAX);
    for (uint32_t i = 0; i < 100; i++)
        acl_add(&a, ACL_USER, (int)(i % 8), 70000 + i);
    acl_add(&a, ACL_GROUP, 0, UINT32_MAX);
    acl_add(&a, ACL_MASK, 7, UINT32_MAX);
    acl_add(&a, ACL_OTHER, 0, UINT32_MAX);
    kept("an ACL of 100 users", &a);
}

/* What the directory gives to new files, an old one without an ACL must not get. */
static void default_acl(void)
{
    static const unsigned MODES[] = { 0600, 0640, 0666 };
    struct acl given = acl_of(6, NAMED_USER, 7, 7, NAMED_GROUP, 7, 7, 7), own = acl_of(6, NAMED_USER, 4, 0, NAMED_GROUP, 0, 4, 0);
    if (set_acl(d, ACL_DEFAULT, &given) != 0)
        bail_out("setxattr: %s", strerror(errno));
    for (int i = 0; i < 3; i++)
        for (int flags = 0; flags <= STEADFAST_SAVE_NO_SYNC; flags += STEADFAST_SAVE_NO_SYNC) {
            unlink(path);
            save(path, "first", 0);
            if (removexattr(path, ACL_ACCESS) != 0 || chmod(path, MODES[i]) != 0)
                bail_out("%s: %s", path, strerror(errno));
            save(path, "second", (uint32_t)flags);
            ok(holds(path, "second") && has_none(path) && (mode_of(path) & 0777) == MODES[i],
               "a default ACL of the directory: a file of mode %o without one has none afterwards%s", MODES[i], flags ? ", NO_SYNC" : "");
        }
    begin(&own);
    ok(save(path, "second", 0) == SAVED && has_acl(path, &own), "a file with another one keeps its own");
    unlink(path);
    save(path, "new", 0);
    is_int(mode_of(path), 0600, "a new file of mode 0600 is for nobody else: the mask is empty");
    removexattr(d, ACL_DEFAULT);
}

/* Can a process with this user and group read the file? */
static int reads(uid_t uid, gid_t gid)
{
    pid_t child = fork_child();
    if (child == 0) {
        if (setgroups(0, NULL) != 0 || setgid(gid) != 0 || setuid(uid) != 0 || access(d, X_OK) != 0)
            _exit(NO_PROOF);
        _exit(open(path, O_RDONLY | O_CLOEXEC) >= 0);
    }
    return wait_for(child);
}

static void others_read(void)
{
    struct acl a = acl_of(6, NAMED_USER, 6, 0, NAMED_GROUP, 0, 6, 0);
    if (geteuid() != 0) {
        skip("needs root", "who reads the state before and after a save");
        return;
    }
    chmod(dir, 0711), chmod(d, 0711);
    begin(&a);
    if (chown(path, 0, GROUP) != 0)
        bail_out("chown: %s", strerror(errno));
    if (reads(NAMED_USER, NAMED_USER) == NO_PROOF) {
        skip("other users cannot reach the directory", "who reads the state before and after a save");
        return;
    }
    for (int saved = 0; saved < 2; saved++) {
        const char *when = saved ? "after a save" : "before";
        is_int(reads(MEMBER, GROUP), 0, "%s: a member of the group does not read the state", when);
        is_int(reads(NAMED_USER, NAMED_USER), 1, "%s: the named user does", when);
        is_int(reads(MEMBER, NAMED_GROUP), 0, "%s: a member of the named group does not", when);
        if (!saved)
            is_int(save(path, "secret", 0), SAVED, "a save by root");
    }
}

int main(void)
{
    struct acl a = acl_of(6, NAMED_USER, 6, 0, NAMED_GROUP, 4, 6, 0), with_other = acl_of(4, NAMED_USER, 0, 4, NAMED_GROUP, 6, 4, 4);
    dir = make_temp_dir("acl");
    snprintf(d, sizeof d, "%s", fresh("d"));
    snprintf(path, sizeof path, "%s/s", d);
    context = test_context(NULL);
    int fds = count_fds();
    save(path, "first", 0);
    if ((test_absent() & STEADFAST_ABSENT_XATTR) != 0) {
        skip("extended attributes are absent", "ACLs");
    } else if (set_acl(path, ACL_ACCESS, &a) != 0) {
        skip("no ACLs on this file system", "ACLs");
    } else {
        kept("an ACL for a user and a group", &a);
        kept("an ACL that takes from a user", &with_other);
        nobody_meanwhile(&with_other);
        many_entries();
        default_acl();
        others_read();
    }
    is_int(count_fds(), fds, "no descriptor stays open");
    steadfast_context_free(context);
    remove_tree(dir);
    free(dir);
    return done_testing();
}
