/* An alternating state that is replaced while it is loaded: what is handed out is one state, whichever, and never a mixture. */
#include "tap.h"
#include "state_test.h"

#include <fcntl.h>
#include <sys/file.h>

static char path[300], previous[310];
static uint32_t its_flags;
static const char *its_content;

/* At the first look at PATH.prev another saver replaces PATH. */
static int32_t replace_first(void *user, int32_t fd, const char *name, int32_t flags, uint32_t mode)
{
    (void)user;
    size_t len = strlen(name);
    if (its_content != NULL && len > 5 && strcmp(name + len - 5, ".prev") == 0) {
        const char *content = its_content;
        its_content = NULL;
        save_with(context, path, content, its_flags);
    }
    return REAL->openat(NULL, fd, name, flags, mode);
}

static steadfast_context *moving(void)
{
    steadfast_hooks hooks = test_hooks();
    hooks.openat = replace_first;
    ;
    return test_context(&hooks);
}

/* Could a saver take the flock at this moment? */
static int32_t probe(void *user, int32_t fd, const char *name, int32_t flags, uint32_t mode)
{
    int *held = user;
    int own = open(path, O_RDONLY);
    if (own >= 0 && flock(own, LOCK_EX | LOCK_NB) != 0)
        ++*held;
    close(own);
    return REAL->openat(NULL, fd, name, flags, mode);
}

/* PATH is the newest, and PATH.prev is torn, so that nothing tells its number. */
static void begin(const char *content, uint32_t flags)
{
    unlink(path), unlink(previous);
    for (int i = 0; i < 4; i++)
        save_with(context, path, i == 3 ? "the newest" : "older", STEADFAST_SAVE_ALTERNATE);
    truncate(previous, 100);
    its_content = content, its_flags = flags;
}

/* A reader that looks again at a torn state holds no flock meanwhile: many readers would keep savers out for ever. */
static void keeps_nobody_out(void)
{
    int held = 0;
    steadfast_hooks hooks = test_hooks();
    steadfast_state s = { .size = sizeof s };
    hooks.user = &held;
    hooks.openat = probe;
    ;
    begin("", 0);
    its_content = NULL;
    steadfast_context *c = test_context(&hooks);
    is_int(steadfast_state_load(c, path, NULL, &s, NULL), STEADFAST_RECOVERED, "a torn state is recovered");
    is_int(held, 0, "a saver could have had the flock at every open of the reader");
    steadfast_state_free(&s);
    steadfast_context_free(c);
}

/* What was there when the load began, or what came meanwhile. */
static int is_one_of_both(const void *data, size_t len, uint64_t generation, const char *content)
{
    const char *is = generation == 4 ? "the newest" : content;
    return generation >= 4 && len == strlen(is) && memcmp(data, is, len) == 0;
}

static void loads(const char *what, uint32_t flags, const char *content)
{
    steadfast_context *c = moving();
    steadfast_state s = { .size = sizeof s };
    steadfast_report r = { .size = sizeof r };
    char room[200] = { 0 };
    size_t len = 0;
    begin(content, flags);
    is_int(steadfast_state_load(c, path, NULL, &s, NULL), 0, "replaced by %s while it is loaded", what);
    ok(its_content == NULL && is_one_of_both(s.data, s.len, s.generation, content), "one of the two, with its length and number");
    steadfast_state_free(&s);
    begin(content, flags);
    is_int(steadfast_state_load_into(c, path, NULL, room, sizeof room, &len, &r), 0, "the same into the caller's memory");
    ok(its_content == NULL && is_one_of_both(room, len, r.generation, content), "one of the two");
    steadfast_context_free(c);
}

/* A byte of a file is another, until it is changed back. */
static void flip(const char *file, off_t at)
{
    unsigned char byte;
    int fd = open(file, O_RDWR);
    ok(pread(fd, &byte, 1, at) == 1, "a byte of %s", file == path ? "PATH" : "PATH.prev");
    byte ^= 1;
    ok(pwrite(fd, &byte, 1, at) == 1, "is changed");
    close(fd);
}

/* PATH was read; then savers write to both files, and somebody takes PATH.prev away. */
static int32_t take_away(void *user, int32_t fd, const char *name, int32_t flags, uint32_t mode)
{
    int *done = user;
    size_t len = strlen(name);
    if (*done == 0 && len > 5 && strcmp(name + len - 5, ".prev") == 0) {
        *done = 1;
        save_with(context, path, "5", STEADFAST_SAVE_ALTERNATE);
        save_with(context, path, "6", STEADFAST_SAVE_ALTERNATE);
        unlink(previous);
    }
    return REAL->openat(NULL, fd, name, flags, mode);
}

static void is_taken_away(void)
{
    int done = 0;
    steadfast_hooks hooks = test_hooks();
    steadfast_state s = { .size = sizeof s };
    unlink(path), unlink(previous);
    for (int i = 0; i < 4; i++)
        save_with(context, path, "4", STEADFAST_SAVE_ALTERNATE);
    hooks.user = &done, hooks.openat = take_away;
    steadfast_context *c = test_context(&hooks);
    is_int(steadfast_state_load(c, path, NULL, &s, NULL), 0, "two saves since PATH was read, and PATH.prev is gone");
    ok(done == 1 && s.generation == 6 && s.len == 1 && memcmp(s.data, "6", 1) == 0, "what they were told is what is loaded");
    steadfast_state_free(&s);
    steadfast_context_free(c);
}

/* Both are torn at the first look, one in another way at the second, and whole afterwards. */
static int32_t mends(void *user, int32_t fd, int32_t operation)
{
    int *looks = user;
    if (operation == (LOCK_SH | LOCK_NB)) {
        if (++*looks == 1)
            flip(path, 100);
        if (*looks == 2)
            flip(path, 100), flip(path, 300), flip(previous, 300);
    }
    return REAL->flock(NULL, fd, operation);
}

static void both_torn(void)
{
    int looks = 0;
    steadfast_hooks hooks = test_hooks();
    steadfast_state s = { .size = sizeof s };
    unlink(path), unlink(previous);
    for (int i = 0; i < 4; i++)
        save_with(context, path, "whole", STEADFAST_SAVE_ALTERNATE);
    flip(path, 300), flip(previous, 300);
    hooks.user = &looks, hooks.flock = mends;
    steadfast_context *c = test_context(&hooks);
    is_int(steadfast_state_load(c, path, NULL, &s, NULL), 0, "both are torn, and torn in another way a moment later");
    ok(looks >= 2 && s.generation == 4 && s.len == 5 && memcmp(s.data, "whole", 5) == 0, "it looks on until they are whole");
    steadfast_state_free(&s);
    steadfast_context_free(c);
}

static int sleeps;
static int32_t count_sleeps(void *user, steadfast_pollfd *fds, uint32_t count, int64_t timeout_ns)
{
    (void)user;
    sleeps++;
    return REAL->poll(NULL, fds, count, timeout_ns);
}

/* Somebody has the flock of a damaged file, and keeps it: that holds nobody up for long. */
static void damaged_and_held(void)
{
    steadfast_hooks hooks = test_hooks();
    steadfast_state s = { .size = sizeof s };
    unlink(path), unlink(previous);
    save_with(context, path, "damaged", 0);
    flip(path, 260);
    int fd = open(path, O_RDONLY);
    ok(flock(fd, LOCK_EX | LOCK_NB) == 0, "somebody has the flock");
    hooks.poll = count_sleeps;
    steadfast_context *c = test_context(&hooks);
    is_int(steadfast_state_load(c, path, NULL, &s, NULL), STEADFAST_E_DIGEST, "a damaged state whose flock is held");
    ok(sleeps <= 30, "is told after %d looks", sleeps);
    close(fd);
    steadfast_state_free(&s);
    steadfast_context_free(c);
}

/* PATH was torn when it was read, and is whole by the time its header is looked at again. */
static void was_torn(void)
{
    steadfast_context *c = moving();
    steadfast_state s = { .size = sizeof s };
    begin("whole", 0);
    unlink(previous);
    int fd = open(path, O_WRONLY);
    ok(pwrite(fd, "T", 1, 256) == 1, "PATH is torn");
    close(fd);
    is_int(steadfast_state_load(c, path, NULL, &s, NULL), 0, "an ordinary save replaces it while it is loaded");
    ok(its_content == NULL && s.len == 5 && memcmp(s.data, "whole", 5) == 0, "that is loaded");
    steadfast_state_free(&s);
    begin("", 0);
    its_content = NULL;
    unlink(previous);
    fd = open(path, O_WRONLY);
    ok(pwrite(fd, "T", 1, 256) == 1, "PATH is torn");
    close(fd);
    is_int(steadfast_state_load(c, path, NULL, &s, NULL), STEADFAST_E_DIGEST, "nobody replaces it: the damage is told");
    steadfast_state_free(&s);
    steadfast_context_free(c);
}

int main(void)
{
    dir = make_temp_dir("moved");
    context = test_context(NULL);
    snprintf(path, sizeof path, "%s/s", dir);
    snprintf(previous, sizeof previous, "%s.prev", path);
    if (!can_alternate()) {
        skip("no two files take turns here", "loads of what is replaced");
    } else {
        loads("a plain save", 0, "a content of another length than that which it replaces");
        loads("another alternating one", STEADFAST_SAVE_ALTERNATE, "less");
        keeps_nobody_out();
        was_torn();
        is_taken_away();
        both_torn();
        damaged_and_held();
        loads("one that keeps it", STEADFAST_SAVE_KEEP_PREVIOUS, "less");
    }
    steadfast_context_free(context);
    remove_tree(dir);
    free(dir);
    return done_testing();
}
