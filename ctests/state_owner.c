/*
 * Owner, group, ACL and mode where they cannot be kept (by hooks, so that no test needs root): nobody may do more with a state afterwards than
 * before, and the new file is its maker's alone until it has them.
 */
#include "tap.h"
#include "state_test.h"
#include "acl.h"

static char d[300], path[310];
static ino_t old_inode;

/* The file that is replaced belongs to these; fchown refuses what it is told to. */
enum { SAVER = 1000, OLD_OWNER = 2000, NAMED_USER = 3000, ANYBODY = 4000 };
enum { OLD_GROUP = 1, NEW_GROUP = 2, NAMED_GROUP = 3 };
static int other_owner, other_group, chown_error, owner_error;
static const struct acl *old_acl;
static struct acl new_acl;
static int acl_error, acl_given, chmod_error;
static unsigned widen;

static int32_t hooked_fstat(void *user, int32_t fd, steadfast_stat *out)
{
    int32_t result = REAL->fstat(NULL, fd, out);
    (void)user;
    if (result == 0 && out->ino == old_inode) {
        out->uid += other_owner ? 1 : 0;
        out->gid += other_group ? 1 : 0;
    }
    return result;
}

static int32_t hooked_fchown(void *user, int32_t fd, uint32_t uid, uint32_t gid)
{
    (void)user, (void)fd, (void)gid;
    return uid == UINT32_MAX ? -chown_error : -owner_error;
}

static int is_old(int fd)
{
    struct stat st = { 0 };
    fstat(fd, &st);
    return st.st_ino == old_inode;
}

static int64_t hooked_fgetxattr(void *user, int32_t fd, const char *name, void *buf, size_t len)
{
    (void)user;
    if (strcmp(name, ACL_ACCESS) != 0 || old_acl == NULL || !is_old(fd))
        return -ENODATA;
    return len < 4 + 8 * (size_t)old_acl->count ? -ERANGE : (int64_t)acl_encode(old_acl, buf);
}

static int32_t hooked_fsetxattr(void *user, int32_t fd, const char *name, const void *buf, size_t len)
{
    (void)user, (void)fd;
    if (acl_error != 0 || strcmp(name, ACL_ACCESS) != 0)
        return -acl_error;
    new_acl = acl_decode(buf, len);
    acl_given = 1;
    return 0;
}

static int32_t hooked_fchmod(void *user, int32_t fd, uint32_t mode)
{
    (void)user;
    return chmod_error != 0 ? -chmod_error : REAL->fchmod(NULL, fd, mode);
}

static int32_t hooked_openat(void *user, int32_t dirfd, const char *name, int32_t flags, uint32_t mode)
{
    int32_t fd = REAL->openat(NULL, dirfd, name, flags, mode);
    (void)user;
    if (fd >= 0 && (flags & O_CREAT) != 0 && widen != 0)
        fchmod(fd, widen);
    return fd;
}

static int32_t no_sync(void *user, int32_t fd)
{
    (void)user, (void)fd;
    return 0;
}

static steadfast_context *c;

static int save_over(unsigned mode)
{
    struct stat st;
    unlink(path);
    write_text(path, "x");
    if (chmod(path, mode) != 0 || stat(path, &st) != 0)
        bail_out("chmod: %s", strerror(errno));
    old_inode = st.st_ino;
    acl_given = 0;
    return save_with(c, path, "new", 0);
}

static unsigned mode_now(void)
{
    struct stat st = { 0 };
    stat(path, &st);
    return st.st_mode & 07777;
}

/* What may somebody do afterwards that they could not do before? NULL: nothing. The saver is left out, who knows the state anyway. */
static const char *wider(const struct acl *before, const struct acl *after, int owner_kept, int group_kept)
{
    static const uint32_t USERS[] = { OLD_OWNER, NAMED_USER, ANYBODY };
    static char what[100];
    for (int u = 0; u < 3; u++)
        for (uint32_t groups = 0; groups < 16; groups += 2)
            for (int wanted = 1; wanted < 8; wanted++) {
                struct principal who = { USERS[u], groups };
                int named_and_new =
                    !group_kept && (groups & (1u << NEW_GROUP | 1u << NAMED_GROUP)) == (1u << NEW_GROUP | 1u << NAMED_GROUP);
                /* The contract names what the new group gets, whatever other groups are named. */
                if (named_and_new && before->count > 3)
                    continue;
                if (acl_permits(after, owner_kept ? OLD_OWNER : SAVER, group_kept ? OLD_GROUP : NEW_GROUP, who, wanted)
                    && !acl_permits(before, OLD_OWNER, OLD_GROUP, who, wanted)) {
                    snprintf(what, sizeof what, "user %u in groups %x may do %d", who.uid, groups, wanted);
                    return what;
                }
            }
    return NULL;
}

/* Every mode, where the group, the owner or both cannot be kept. */
static void every_mode(void)
{
    static const struct {
        const char *name;
        int owner_kept, group_kept;
    } LOST[] = { { "the group", 1, 0 }, { "the owner", 0, 1 }, { "owner and group", 0, 0 } };
    static const int REFUSED[] = { EPERM, EACCES, EINVAL, ENOSYS, EOPNOTSUPP };
    for (int i = 0; i < 3; i++) {
        int wrong = 0, other = 0;
        for (unsigned mode = 0; mode < 01000; mode += test_small() ? 11 : 1) {
            unsigned special = (mode % 3 == 0 ? 06000 : 0), group = mode >> 3 & 7, others = mode & 7;
            other_owner = !LOST[i].owner_kept, other_group = !LOST[i].group_kept;
            owner_error = REFUSED[mode % 5], chown_error = LOST[i].group_kept ? 0 : REFUSED[mode % 5];
            int status = save_over(mode | special);
            unsigned now = mode_now();
            struct acl before = acl_of_mode(mode), after = acl_of_mode(now);
            const char *more = wider(&before, &after, LOST[i].owner_kept, LOST[i].group_kept);
            unsigned kept = special & ((LOST[i].owner_kept ? 04000u : 0) | (LOST[i].group_kept ? 02000u : 0));
            if (status != SAVED || more != NULL || (now & 07000) != kept || (now >> 6 & 7) != (mode >> 6 & 7)) {
                wrong++;
                diag("%s is lost, %o becomes %o: %s", LOST[i].name, mode | special, now, more == NULL ? "" : more);
            }
            /* To the bit, where the contract is that precise. */
            if (LOST[i].owner_kept && (now & 077) != ((group & others) << 3 | (others & group)))
                other++;
        }
        ok(wrong == 0, "%s cannot be kept: of no mode may anybody do more; set-id bits go with what they stood for", LOST[i].name);
        if (LOST[i].owner_kept)
            is_int(other, 0, "the new group gets what both others and the old group had, others lose what the old group did not have");
    }
    other_owner = 0, other_group = 1, owner_error = EPERM, chown_error = 0;
    save_over(0640);
    is_int(mode_now(), 0640, "a member may still give it to its group: nothing is lost");
    owner_error = EIO;
    is_int(save_over(0640), -EIO, "another error of fchown is one of the save");
    ok(report.step == STEADFAST_STEP_SET_MODE && *leftovers(d, "s") == '\0', "and nothing is left over");
    other_group = owner_error = 0;
}

/* Calls `check` for every ACL of a grid. */
static void each_acl(void (*check)(const struct acl *a, int user, int group, int named, int mask, int other))
{
    static const int GRID[] = { 0, 4, 6, 7 };
    int step = test_small() ? 7 : 1;
    for (int i = 0; i < 1024; i += step) {
        int user = GRID[i & 3], group = GRID[i >> 2 & 3], named = GRID[i >> 4 & 3], mask = GRID[i >> 6 & 3], other = GRID[i >> 8 & 3];
        struct acl a = acl_of(6, NAMED_USER, user, group, NAMED_GROUP, named, mask, other);
        old_acl = &a;
        check(&a, user, group, named, mask, other);
    }
    old_acl = NULL;
}

static int wide, inexact;

static void no_acl_possible(const struct acl *a, int user, int group, int named, int mask, int other)
{
    static const int REFUSED[] = { EOPNOTSUPP, EPERM, EACCES, ENOSYS, EINVAL, ENOSPC, EDQUOT, E2BIG };
    acl_error = REFUSED[(user + named + other) % 8];
    int status = save_over(0600 | (unsigned)mask << 3 | (unsigned)other);
    unsigned now = mode_now(), exact = 0600 | (unsigned)(group & mask & user) << 3 | (unsigned)(other & user & mask & named);
    struct acl after = acl_of_mode(now);
    const char *more = wider(a, &after, 1, 1);
    wide += status != SAVED || more != NULL;
    inexact += now != exact;
    if (status != SAVED || more != NULL || now != exact)
        diag("user %d, group %d, named %d, mask %d, other %d becomes %o, not %o: %s", user, group, named, mask, other, now, exact,
             more == NULL ? "" : more);
}

static void other_group_with_acl(const struct acl *a, int user, int group, int named, int mask, int other)
{
    (void)user, (void)group, (void)named;
    int status = save_over(0600 | (unsigned)mask << 3 | (unsigned)other);
    const char *more = acl_given ? wider(a, &new_acl, 1, 0) : "no ACL was set";
    wide += status != SAVED || more != NULL;
    if (more != NULL)
        diag("user %d, group %d, named %d, mask %d, other %d: %s", user, group, named, mask, other, more);
}

static void acls(void)
{
    wide = inexact = 0;
    each_acl(no_acl_possible);
    is_int(wide, 0, "an ACL that cannot be set: with the mode in its place nobody may do more");
    is_int(inexact, 0, "the group gets its entry under the mask less what a named user lacks, others lose what any named entry lacks");
    acl_error = wide = 0;
    other_group = 1, owner_error = chown_error = EPERM;
    each_acl(other_group_with_acl);
    is_int(wide, 0, "an ACL, and the group cannot be kept: nobody may do more");
    other_group = owner_error = chown_error = 0;
    acl_error = EIO;
    struct acl a = acl_of(6, NAMED_USER, 6, 0, NAMED_GROUP, 0, 6, 0);
    old_acl = &a;
    is_int(save_over(0660), -EIO, "another error of fsetxattr is one of the save");
    old_acl = NULL;
    acl_error = 0;
}

/* A file system that fixes modes, and refuses to change them. */
static void fixed_modes(void)
{
    static const int REFUSED[] = { EPERM, EACCES, ENOSYS, EOPNOTSUPP };
    for (int i = 0; i < 4; i++) {
        const char *error = steadfast_status_name(-REFUSED[i]);
        chmod_error = REFUSED[i];
        unlink(path);
        widen = 0777;
        is_int(save_with(c, path, "first", 0), SAVED, "chmod is %s: the first save of a state is done", error);
        ok(says("fixes the permissions"), "and says so: %s", report.message);
        ok(save_over(0777) == SAVED && mode_now() == 0777, "%s: over a file of the same mode as well", error);
        widen = 0;
        ok(save_over(0640) == SAVED && mode_now() == 0600 && says("fixes the permissions"),
           "%s: narrower than the file it replaces, it is done and says so", error);
        widen = 0777;
        ok(save_over(0640) == -REFUSED[i] && report.step == STEADFAST_STEP_SET_MODE && mode_now() == 0640 && *leftovers(d, "s") == '\0',
           "%s: wider than that file, it is an error, and the file stands", error);
        widen = 0;
    }
    chmod_error = EIO;
    unlink(path);
    steadfast_save_options o = { .size = sizeof o, .mode = 0640 };
    is_int(steadfast_state_save(c, path, "x", 1, &o, NULL), -EIO, "another error of chmod is one of the save");
    chmod_error = 0;
}

/* At each call the new file is for its maker alone, until it has owner, ACL and mode. */
static int exposed, calls, settled;
static void look(struct faults *f, int call, const char *name)
{
    struct stat st;
    (void)f, (void)name;
    calls++;
    if (!settled && lstat(in(d, ".s.0.tmp"), &st) == 0)
        exposed += (st.st_mode & 0077) != 0 || st.st_uid != geteuid();
    settled |= call == STEADFAST_CALL_FCHMOD;
}

static void alone_until_then(void)
{
    static const unsigned MODES[] = { 0666, 0640, 0777 };
    for (int i = 0; i < 3; i++)
        for (uint32_t flags = 0; flags < 128; flags += STEADFAST_SAVE_NO_SYNC) {
            struct faults f = { .before = look };
            steadfast_context *watched = faults_context(&f);
            mode_t mask = umask(0);
            unlink(path);
            write_text(path, "x");
            chmod(path, MODES[i]);
            exposed = calls = settled = 0;
            int status = save_with(watched, path, "secret", flags);
            umask(mask);
            ok(status >= 0 && exposed == 0 && settled && calls > 10 && (mode_now() & 0777) == MODES[i],
               "mode %o%s: at each of %d calls the new file is 0600 until it has its mode", MODES[i], flags ? ", NO_SYNC" : "", calls);
            steadfast_context_free(watched);
        }
}

int main(void)
{
    steadfast_hooks h = test_hooks();
    /* It is about calls, not about disks: some thousand renames over a file take half a minute on ext4. */
    if (getenv("TMPDIR") == NULL && access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 1);
    dir = make_temp_dir("owner");
    snprintf(d, sizeof d, "%s", fresh("d"));
    snprintf(path, sizeof path, "%s/s", d);
    h.fstat = hooked_fstat;
    h.fchown = hooked_fchown;
    h.fgetxattr = hooked_fgetxattr;
    h.fsetxattr = hooked_fsetxattr;
    h.fchmod = hooked_fchmod;
    h.openat = hooked_openat;
    h.fsync = no_sync;
    c = test_context(&h);
    every_mode();
    if ((test_absent() & STEADFAST_ABSENT_XATTR) != 0)
        skip("extended attributes are absent", "ACLs that cannot be kept");
    else
        acls();
    fixed_modes();
    alone_until_then();
    steadfast_context_free(c);
    remove_tree(dir);
    free(dir);
    return done_testing();
}
