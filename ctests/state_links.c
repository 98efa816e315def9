/*
 * FOLLOW_SYMLINK in sticky directories that others may write: the kernel's rule for links there (proc_sys_fs(5), protected_symlinks), whatever its
 * setting is. By hooks for every owner; for real where the test is root.
 */
#include "tap.h"
#include "state_test.h"

#define FOLLOW STEADFAST_SAVE_FOLLOW_SYMLINK
enum { SAVER = 1000, DIRECTORY = 2000, OTHER = 3000 };

static char d[300], sticky[310], link_path[320], target[310];

/* Who owns the directory of the link and the link, who saves, and the directory's mode. */
static uint32_t directory_owner, link_owner, saver, directory_mode;
static ino_t directory_inode, link_inode;

static int32_t hooked_fstat(void *user, int32_t fd, steadfast_stat *out)
{
    int32_t result = REAL->fstat(NULL, fd, out);
    (void)user;
    if (result == 0 && out->ino == directory_inode) {
        out->uid = directory_owner;
        out->mode = S_IFDIR | directory_mode;
    }
    return result;
}

static int32_t hooked_fstatat(void *user, int32_t dirfd, const char *name, steadfast_stat *out)
{
    int32_t result = REAL->fstatat(NULL, dirfd, name, out);
    (void)user;
    if (result == 0 && out->ino == link_inode)
        out->uid = link_owner;
    return result;
}

static int64_t hooked_geteuid(void *user)
{
    (void)user;
    return saver;
}

static void begin(void)
{
    struct stat st;
    unlink(target), unlink(link_path);
    save(target, "precious", 0);
    if (symlink("../target", link_path) != 0 || lstat(link_path, &st) != 0)
        bail_out("symlink: %s", strerror(errno));
    link_inode = st.st_ino;
    if (stat(sticky, &st) != 0)
        bail_out("stat: %s", strerror(errno));
    directory_inode = st.st_ino;
}

static const struct {
    uint32_t mode, directory, link, saver;
    int followed;
    const char *name;
} RULES[] = {
    { 01777, DIRECTORY, SAVER, SAVER, 1, "one's own link in a sticky directory" },
    { 01777, DIRECTORY, DIRECTORY, SAVER, 1, "a link of the directory's owner" },
    { 01777, DIRECTORY, OTHER, SAVER, 0, "another user's link" },
    { 01777, 0, OTHER, 0, 0, "another user's link, and root saves" },
    { 01777, 0, 0, SAVER, 1, "root's link in root's directory" },
    { 01777, DIRECTORY, 0, SAVER, 0, "root's link in another's directory" },
    { 01777, OTHER, SAVER, SAVER, 1, "one's own link in another's directory" },
    { 01772, DIRECTORY, OTHER, SAVER, 0, "another user's link where others may write, but not read" },
    { 01775, DIRECTORY, OTHER, SAVER, 1, "another user's link where others may not write" },
    { 00777, DIRECTORY, OTHER, SAVER, 1, "another user's link in a directory that is not sticky" },
    { 00755, DIRECTORY, OTHER, SAVER, 1, "another user's link in an ordinary directory" },
};

static void rules(void)
{
    steadfast_hooks h = test_hooks();
    h.fstat = hooked_fstat;
    h.fstatat = hooked_fstatat;
    h.geteuid = hooked_geteuid;
    steadfast_context *c = test_context(&h);
    for (size_t i = 0; i < sizeof RULES / sizeof RULES[0]; i++) {
        begin();
        directory_mode = RULES[i].mode, directory_owner = RULES[i].directory, link_owner = RULES[i].link, saver = RULES[i].saver;
        int status = save_with(c, link_path, "through the link", FOLLOW);
        if (RULES[i].followed)
            ok(status == SAVED && holds(target, "through the link"), "%s is followed", RULES[i].name);
        else
            ok(status == -EACCES && report.step == STEADFAST_STEP_READ_LINK && strstr(report.message, "belongs to another user") != NULL
                   && holds(target, "precious"),
               "%s is not: -EACCES, the target stands", RULES[i].name);
        /* What was lost is recovered through the same link. */
        unlink(target);
        save(in(d, "target.prev"), "recovered", 0);
        steadfast_load_options o = { .size = sizeof o, .flags = STEADFAST_LOAD_RECOVER };
        steadfast_state state = { .size = sizeof state };
        status = steadfast_state_load(c, link_path, &o, &state, NULL);
        ok(RULES[i].followed ? status == STEADFAST_RECOVERED && state.len == 9 : status < 0 && state.data == NULL,
           "%s: the previous generation beside its target is %s", RULES[i].name, RULES[i].followed ? "recovered" : "not read");
        steadfast_state_free(&state);
        unlink(in(d, "target.prev"));
    }
    steadfast_context_free(c);
}

/* A chain of links whose second one is another user's. */
static void chain(void)
{
    steadfast_hooks h = test_hooks();
    h.fstat = hooked_fstat;
    h.fstatat = hooked_fstatat;
    h.geteuid = hooked_geteuid;
    steadfast_context *c = test_context(&h);
    begin();
    directory_mode = 01777, directory_owner = DIRECTORY, link_owner = OTHER, saver = SAVER;
    if (symlink("sticky/s", in(d, "first")) != 0)
        bail_out("symlink: %s", strerror(errno));
    ok(save_with(c, in(d, "first"), "x", FOLLOW) == -EACCES && holds(target, "precious"), "each link of a chain is looked at");
    unlink(in(d, "first"));
    steadfast_context_free(c);
}

/* As another user: 0 when the save answers `wanted`, 97 when the directory cannot be reached. */
static int save_as(uid_t uid, int wanted)
{
    pid_t child = fork_child();
    if (child == 0) {
        if (setgid(uid) != 0 || setuid(uid) != 0 || access(sticky, W_OK) != 0)
            _exit(97);
        _exit(save(link_path, "through the link", FOLLOW) != wanted);
    }
    return wait_for(child);
}

static void real_users(void)
{
    if (geteuid() != 0) {
        skip("needs root", "links of other users, for real");
        return;
    }
    chmod(dir, 0755), chmod(d, 0777), chmod(sticky, 01777);
    begin();
    if (lchown(link_path, OTHER, OTHER) != 0)
        bail_out("lchown: %s", strerror(errno));
    ok(save(link_path, "by root", FOLLOW) == -EACCES && holds(target, "precious"), "root does not save through another user's link");
    if (chown(target, SAVER, SAVER) != 0 || lchown(link_path, SAVER, SAVER) != 0)
        bail_out("chown: %s", strerror(errno));
    int status = save_as(SAVER, SAVED);
    if (status == 97) {
        skip("other users cannot reach the directory", "other users save through links");
        return;
    }
    ok(status == 0 && holds(target, "through the link"), "a user saves through a link of their own");
    begin();
    if (chown(target, SAVER, SAVER) != 0 || lchown(link_path, OTHER, OTHER) != 0)
        bail_out("chown: %s", strerror(errno));
    ok(save_as(SAVER, -EACCES) == 0, "but not through another user's");
    if (lchown(link_path, 0, 0) != 0)
        bail_out("lchown: %s", strerror(errno));
    ok(save_as(SAVER, SAVED) == 0, "through one of the directory's owner again");
}

int main(void)
{
    dir = make_temp_dir("links");
    snprintf(d, sizeof d, "%s", fresh("d"));
    snprintf(sticky, sizeof sticky, "%s/sticky", d);
    snprintf(link_path, sizeof link_path, "%s/s", sticky);
    snprintf(target, sizeof target, "%s/target", d);
    context = test_context(NULL);
    int fds = count_fds();
    if (mkdir(sticky, 0700) != 0)
        bail_out("mkdir: %s", strerror(errno));
    rules();
    chain();
    real_users();
    ok(*leftovers(d, "target sticky") == '\0' && count_entries(sticky) == 1, "nothing is left over%s", leftovers(d, "target sticky"));
    is_int(count_fds(), fds, "no descriptor stays open");
    steadfast_context_free(context);
    remove_tree(dir);
    free(dir);
    return done_testing();
}
