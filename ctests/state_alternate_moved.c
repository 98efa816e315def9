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
    steadfast_hooks hooks = steadfast_hooks_init();
    steadfast_context *c = NULL;
    hooks.openat = replace_first;
    hooks.absent = test_absent();
    return steadfast_context_new(&hooks, &c) == 0 ? c : NULL;
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
    steadfast_hooks hooks = steadfast_hooks_init();
    steadfast_context *c = NULL;
    steadfast_state s = { .size = sizeof s };
    hooks.user = &held;
    hooks.openat = probe;
    hooks.absent = test_absent();
    begin("", 0);
    its_content = NULL;
    is_int(steadfast_context_new(&hooks, &c), 0, "a context");
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
        loads("one that keeps it", STEADFAST_SAVE_KEEP_PREVIOUS, "less");
    }
    steadfast_context_free(context);
    remove_tree(dir);
    free(dir);
    return done_testing();
}
