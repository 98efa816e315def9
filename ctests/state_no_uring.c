/* STEADFAST_CONTEXT_NO_IO_URING: for a process whose seccomp filter kills whoever calls io_uring_setup. */
#include "tap.h"
#include "state_test.h"
#include "forbid.h"

#ifdef HAS_SECCOMP
enum { LARGE = 8 << 20, MANY = 250, NO_FILTER = 77 };
static char path[300];
static char *data;

static steadfast_context *context_with(uint32_t flags)
{
    steadfast_hooks h = test_hooks();
    steadfast_context_options o = { .size = sizeof o, .flags = flags, .dirfd = AT_FDCWD, .hooks = &h };
    steadfast_context *c = NULL;
    if (steadfast_context_new_with(&o, &c) != 0)
        bail_out("no context");
    return c;
}

static int save_large(const steadfast_context *c)
{
    return steadfast_state_save(c, path, data, LARGE, NULL, NULL) == SAVED ? 0 : 1;
}

static int save_many(const steadfast_context *c, uint32_t flags)
{
    static char paths[MANY][320];
    static steadfast_save_entry entries[MANY];
    steadfast_save_options o = { .size = sizeof o, .flags = flags };
    for (int i = 0; i < MANY; i++) {
        snprintf(paths[i], sizeof paths[i], "%s/many%d", dir, i);
        entries[i] = (steadfast_save_entry){ .size = sizeof entries[i], .path = paths[i], .data = "x", .len = 1 };
    }
    return steadfast_state_save_batch(c, entries, MANY, &o, NULL) == SAVED ? 0 : 2;
}

/* Everything that a process does with a context of these flags: 0, or the number of what went wrong. */
static int everything(uint32_t flags)
{
    steadfast_context *c = context_with(flags);
    steadfast_lock *lock = NULL;
    steadfast_state state = { .size = sizeof state };
    int wrong = save_large(c) + save_many(c, 0) + save_many(c, STEADFAST_SAVE_SYNCFS) + save_many(c, STEADFAST_SAVE_KEEP_PREVIOUS);
    if (steadfast_state_load(c, path, NULL, &state, NULL) != 0 || state.len != LARGE || memcmp(state.data, data, LARGE) != 0)
        wrong += 10;
    steadfast_state_free(&state);
    if (!NO_FLOCK && (steadfast_lock_acquire(c, in(dir, "lock"), 0, NULL, &lock, NULL) != 0 || steadfast_lock_release(lock, NULL) != 0))
        wrong += 20;
    steadfast_context_free(c);
    return wrong;
}

/* The exit status of a child under the filter; 1000 and more: killed. */
static int under_filter(int (*work)(uint32_t), uint32_t flags)
{
    pid_t child = fork_child();
    if (child == 0) {
        alarm(120);
        _exit(forbid_by(__NR_io_uring_setup, SECCOMP_RET_KILL_PROCESS) != 0 ? NO_FILTER : work(flags));
    }
    return wait_for(child);
}

static int only_large(uint32_t flags)
{
    return save_large(context_with(flags));
}
#endif

int main(void)
{
#ifdef HAS_SECCOMP
    dir = make_temp_dir("no-uring");
    snprintf(path, sizeof path, "%s/large", dir);
    data = malloc(LARGE);
    if (data == NULL)
        bail_out("malloc");
    for (size_t i = 0; i < LARGE; i++)
        data[i] = (char)(i * 13 + i / 4096);
    int status = under_filter(only_large, 0);
    if (status == NO_FILTER) {
        skip("no seccomp filter can be set here", "io_uring_setup kills");
    } else {
        /* Without this the rest would prove nothing. */
        is_int(status, (test_absent() & STEADFAST_ABSENT_AIO) != 0 ? 0 : 1000 + SIGSYS,
               "without the flag a large save is killed by the filter");
        is_int(under_filter(everything, STEADFAST_CONTEXT_NO_IO_URING), 0,
               "with it large saves, batches, loads and locks work, and io_uring_setup is never called");
        is_int(under_filter(everything, STEADFAST_CONTEXT_NO_IO_URING | STEADFAST_CONTEXT_AT), 0,
               "also in a context that begins at a directory");
    }
    if (NO_FLOCK)
        skip("without flock (absent) orphans stay", "the file of the killed save is gone");
    else
        ok(!exists(in(dir, ".large.0.tmp")), "the file of the killed save is gone");
    free(data);
    remove_tree(dir);
    free(dir);
#else
    skip("no headers of the kernel's", "io_uring_setup kills");
#endif
    return done_testing();
}
