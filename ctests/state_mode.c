/* STEADFAST_SAVE_SET_MODE: the mode that is asked for, for a file that is there as well. */
#include "tap.h"
#include "state_test.h"
#include "acl.h"

static char path[300];

static unsigned mode_of(const char *file)
{
    struct stat st = { 0 };
    stat(file, &st);
    return st.st_mode & 07777;
}

static int save_mode(const steadfast_context *c, uint32_t flags, uint32_t mode)
{
    steadfast_save_options o = { .size = sizeof o, .flags = flags, .mode = mode };
    report.size = sizeof report;
    return steadfast_state_save(c, path, "x", 1, &o, &report);
}

static void modes(void)
{
    enum { SET = STEADFAST_SAVE_SET_MODE };
    static const struct {
        unsigned before, asked, after;
        uint32_t flags;
        const char *what;
    } saves[] = {
        { 0600, 0644, 0600, 0, "without the flag a file keeps its mode" },
        { 0600, 0644, 0644, SET, "with it the mode is set, and may widen" },
        { 0664, 0600, 0600, SET, "or tighten" },
        { 0644, 0, 0600, SET, "0 is 0600" },
        { 0644, 0644, 0644, SET, "the mode that it has already" },
        { 0644, 04755, 04755, SET, "set-id bits that are asked for" },
        { 06755, 0755, 0755, SET, "and those that are not" },
        { 0600, 0640, 0640, SET | STEADFAST_SAVE_KEEP_PREVIOUS, "with KEEP_PREVIOUS" },
        { 0600, 0640, 01640, SET | STEADFAST_SAVE_NO_SYNC, "with NO_SYNC the mark comes to it" },
    };
    for (size_t i = 0; i < sizeof saves / sizeof saves[0]; i++) {
        unlink(path), unlink(in(dir, "s.prev"));
        save_mode(context, 0, 0);
        chmod(path, saves[i].before);
        int status = save_mode(context, saves[i].flags, saves[i].asked);
        ok(status >= 0 && mode_of(path) == saves[i].after, "%s: %o", saves[i].what, mode_of(path));
        if ((saves[i].flags & STEADFAST_SAVE_KEEP_PREVIOUS) != 0)
            ok(mode_of(in(dir, "s.prev")) == saves[i].before, "the previous one has its own");
    }
    unlink(path), unlink(in(dir, "s.prev"));
    ok(save_mode(context, STEADFAST_SAVE_SET_MODE, 0640) == SAVED && mode_of(path) == 0640, "a new file");
    steadfast_save_entry entry = { .size = sizeof entry, .path = path, .data = "x", .len = 1 };
    steadfast_save_options o = { .size = sizeof o, .flags = STEADFAST_SAVE_SET_MODE, .mode = 0604 };
    ok(steadfast_state_save_batch(context, &entry, 1, &o, NULL) == SAVED && mode_of(path) == 0604, "in a batch");
    is_int(save_mode(context, STEADFAST_SAVE_SET_MODE, 01600), -EINVAL, "the sticky bit: EINVAL");
}

/* Until it has its mode the new file is for its owner alone. */
static unsigned widest;
static int64_t write_and_look(void *user, int32_t fd, const void *data, size_t len)
{
    struct stat st;
    (void)user;
    if (fstat(fd, &st) == 0)
        widest |= st.st_mode & 077;
    return steadfast_hooks_default()->write(NULL, fd, data, len);
}

static void never_wider(void)
{
    steadfast_hooks h = test_hooks();
    h.write = write_and_look;
    steadfast_context *c = test_context(&h);
    unlink(path);
    save_mode(context, 0, 0600);
    ok(save_mode(c, STEADFAST_SAVE_SET_MODE, 0644) == SAVED && widest == 0, "while the content is written it is for its owner alone");
    steadfast_context_free(c);
}

static void with_acl(void)
{
    struct acl a = acl_of(6, 54321, 6, 4, 4242, 4, 6, 0);
    unsigned char bytes[4 + 8 * ACL_MOST], now[4 + 8 * ACL_MOST];
    unlink(path);
    save_mode(context, 0, 0);
    if (setxattr(path, ACL_ACCESS, bytes, acl_encode(&a, bytes), 0) != 0) {
        skip("no access ACLs here", "an ACL");
        return;
    }
    is_int(save_mode(context, STEADFAST_SAVE_SET_MODE, 0640), SAVED, "a file with an ACL");
    a.entries[4].permissions = 4;
    ssize_t len = getxattr(path, ACL_ACCESS, now, sizeof now);
    ok(len == (ssize_t)acl_encode(&a, bytes) && memcmp(now, bytes, (size_t)len) == 0 && mode_of(path) == 0640,
       "keeps it, and the group bits that are asked for are its mask");
}

int main(void)
{
    dir = make_temp_dir("mode");
    snprintf(path, sizeof path, "%s/s", dir);
    context = test_context(NULL);
    modes();
    never_wider();
    if ((test_absent() & STEADFAST_ABSENT_XATTR) != 0)
        skip("this run has no extended attributes", "an ACL");
    else
        with_acl();
    steadfast_context_free(context);
    remove_tree(dir);
    free(dir);
    return done_testing();
}
