/* STEADFAST_SAVE_KEEP_ATTRIBUTES: which attributes of the old file the new one has. */
#include "tap.h"
#include "state_test.h"

#include <sys/xattr.h>

#define KEEP STEADFAST_SAVE_KEEP_ATTRIBUTES

static char path[300];

/* A file with every kind of attribute, whatever the file system has. */
static const char names[] = "user.a\0security.selinux\0security.SMACK64\0security.SMACK64EXEC\0security.capability\0security.ima\0"
                            "security.evm\0system.posix_acl_access\0trusted.t\0user.steadfast\0user.b";
static char stored[1000];
static int list_error, set_error, gone;
static int64_t list(void *user, int32_t fd, void *buf, size_t len)
{
    (void)user, (void)fd;
    if (list_error != 0)
        return -list_error;
    if (len < sizeof names)
        return -ERANGE;
    memcpy(buf, names, sizeof names);
    return sizeof names;
}
static int64_t get(void *user, int32_t fd, const char *name, void *buf, size_t len)
{
    (void)user, (void)fd, (void)len;
    if (strcmp(name, "system.posix_acl_access") == 0 || strcmp(name, "user.steadfast") == 0 || (gone && strcmp(name, "user.a") == 0))
        return -ENODATA;
    return snprintf(buf, 100, "value of %s", name);
}
static int32_t set(void *user, int32_t fd, const char *name, const void *value, size_t len)
{
    char expected[100];
    (void)user, (void)fd;
    if (set_error != 0 && strcmp(name, "security.selinux") == 0)
        return -set_error;
    if (strcmp(name, "user.steadfast") == 0)
        return 0;
    int n = snprintf(expected, sizeof expected, "value of %s", name);
    int right = (size_t)n == len && memcmp(value, expected, len) == 0;
    snprintf(stored + strlen(stored), sizeof stored - strlen(stored), "%s%s ", name, right ? "" : "(wrong)");
    return 0;
}

static void chosen(void)
{
    steadfast_hooks h = test_hooks();
    h.flistxattr = list, h.fgetxattr = get, h.fsetxattr = set;
    steadfast_context *c = test_context(&h);
    is_int(save_with(c, path, "x", KEEP), SAVED, "saved");
    ok(strcmp(stored, "user.a security.selinux security.SMACK64 security.SMACK64EXEC user.b ") == 0,
       "the user's attributes and labels are kept, and no others (%s)", stored);
    stored[0] = '\0';
    is_int(save_with(c, path, "x", 0), SAVED, "without the flag");
    ok(stored[0] == '\0', "none is");
    gone = 1;
    ok(save_with(c, path, "x", KEEP) == SAVED && strstr(stored, "user.a ") == NULL && strstr(stored, "user.b ") != NULL,
       "one that is removed meanwhile is passed over");
    gone = 0, stored[0] = '\0', set_error = EPERM;
    ok(save_with(c, path, "x", KEEP) == SAVED && says("not all extended attributes") && strstr(stored, "user.b ") != NULL,
       "one that is refused: saved, the others are kept, and the message says so");
    set_error = EIO;
    is_int(save_with(c, path, "y", KEEP), -EIO, "one that fails: EIO");
    ok(holds(path, "x"), "and the old state stands");
    set_error = 0, list_error = EOPNOTSUPP;
    is_int(save_with(c, path, "x", KEEP), SAVED, "a file system without attributes: saved");
    list_error = EIO;
    is_int(save_with(c, path, "y", KEEP), -EIO, "no list of them: EIO");
    steadfast_context_free(c);
    is_int(save_with(context, path, "z", KEEP | STEADFAST_SAVE_KEEP_PREVIOUS), SAVED, "with KEEP_PREVIOUS");
}

static void kept(void)
{
    char value[20] = "", plain[70];
    unlink(path);
    steadfast_save_options o = { .size = sizeof o, .mode = 0444 };
    is_int(steadfast_state_save(context, path, "a", 1, &o, NULL), SAVED, "a file that nobody may write");
    if (setxattr(path, "user.note", "mine", 4, 0) != 0 && errno != EACCES) {
        skip("no extended attributes here", "attributes of a file");
        return;
    }
    int can = getxattr(path, "user.note", value, sizeof value) == 4;
    is_int(save(path, "b", KEEP), SAVED, "saved");
    ok(!can || (getxattr(path, "user.note", value, sizeof value) == 4 && memcmp(value, "mine", 4) == 0), "its attribute is kept");
    is_int(save(path, "b", KEEP | STEADFAST_SAVE_PLAIN), SAVED, "as a plain file");
    ok(!can || getxattr(path, "user.note", value, sizeof value) == 4, "its attribute is kept");
    is_int(getxattr(path, "user.steadfast", plain, sizeof plain), 60, "and it has its own");
    is_int(save(path, "c", KEEP), SAVED, "and as a record again");
    is_int(getxattr(path, "user.steadfast", plain, sizeof plain), -1, "which has none of a plain file");
    is_int(save(path, "c", 0), SAVED, "without the flag");
    is_int(getxattr(path, "user.note", value, sizeof value), -1, "it is not kept");
}

int main(void)
{
    dir = make_temp_dir("attributes");
    context = test_context(NULL);
    snprintf(path, sizeof path, "%s/s", fresh("d"));
    save(path, "old", 0);
    if ((test_absent() & STEADFAST_ABSENT_XATTR) != 0) {
        is_int(save(path, "x", KEEP), SAVED, "without attributes: saved");
    } else {
        chosen();
        kept();
    }
    steadfast_context_free(context);
    remove_tree(dir);
    free(dir);
    return done_testing();
}
