/*
 * The library has unwind tables: a backtrace goes through it, and a thread that is cancelled inside it runs the cleanup
 * handlers of its caller. Compiled with -fexceptions, as C++ programs are: only then a cancelled thread unwinds its stack
 * by these tables (run.sh knows it by the next line).
 * CFLAGS: -fexceptions
 */
#include "tap.h"
#include "util.h"

#include <pthread.h>
#ifdef __has_include
#if __has_include(<execinfo.h>)
#include <execinfo.h>
#define HAS_BACKTRACE
#endif
#endif

#ifndef __EXCEPTIONS
#error compile this file with -fexceptions
#endif

static char *dir;

static int save(const steadfast_context *context, const char *path, const char *text)
{
    return steadfast_state_save(context, path, text, strlen(text), NULL, NULL);
}

#ifdef HAS_BACKTRACE
/* The linker gives the first and the last address of a section whose name is a C identifier. */
extern const char __start_steadfast_main[], __stop_steadfast_main[];

static int frames_seen, main_seen;

static int32_t look_back(void *user, int32_t fd)
{
    void *frames[64];
    int count = backtrace(frames, 64);
    (void)user;
    if (count > frames_seen)
        frames_seen = count;
    for (int i = 0; i < count; i++)
        if ((const char *)frames[i] > __start_steadfast_main && (const char *)frames[i] <= __stop_steadfast_main)
            main_seen++;
    return steadfast_hooks_default()->fsync(NULL, fd);
}
#endif

struct cancelled {
    const char *path;
    int in_hook[2]; /* The hook writes to it when it has been called. */
    int blocks[2];  /* Nobody writes to it. */
    volatile int cleaned_up, came_back;
};

static int32_t block(void *user, int32_t fd)
{
    struct cancelled *c = user;
    char byte = 0;
    (void)fd;
    if (write(c->in_hook[1], &byte, 1) != 1)
        return -EIO;
    /* The cancellation point. */
    return read(c->blocks[0], &byte, 1) == 1 ? 0 : -EIO;
}

static void clean_up(void *user)
{
    ((struct cancelled *)user)->cleaned_up++;
}

static void *save_in_a_thread(void *user)
{
    struct cancelled *c = user;
    steadfast_hooks hooks = steadfast_hooks_init();
    steadfast_context *context = NULL;
    hooks.user = c;
    hooks.fsync = block;
    if (steadfast_context_new(&hooks, &context) != 0)
        return NULL;
    pthread_cleanup_push(clean_up, c);
    save(context, c->path, "new");
    c->came_back = 1;
    pthread_cleanup_pop(0);
    return NULL;
}

/* In a child, whose end takes with it what the cancelled save had open. 0, or the number of the check that failed. */
static int cancel_inside_a_save(const char *path)
{
    struct cancelled c = { .path = path };
    pthread_t thread;
    void *result = NULL;
    char byte;
    if (pipe(c.in_hook) != 0 || pipe(c.blocks) != 0 || pthread_create(&thread, NULL, save_in_a_thread, &c) != 0)
        return 1;
    if (read(c.in_hook[0], &byte, 1) != 1)
        return 2;
    if (pthread_cancel(thread) != 0 || pthread_join(thread, &result) != 0)
        return 3;
    if (result != PTHREAD_CANCELED || c.came_back)
        return 4;
    return c.cleaned_up == 1 ? 0 : 5;
}

__attribute__((section("steadfast_main"), noinline)) int main(void)
{
    dir = make_temp_dir("unwind");
    const char *path = in(dir, "state");

#ifdef HAS_BACKTRACE
    steadfast_hooks hooks = test_hooks();
    hooks.fsync = look_back;
    steadfast_context *context = test_context(&hooks);
    ok(steadfast_state_save(context, path, "old", 3, NULL, NULL) >= 0, "a save whose fsync hook takes a backtrace");
    ok(main_seen > 0, "the backtrace goes through the library to main (%d frames)", frames_seen);
    steadfast_context_free(context);
#else
    skip("this C library has no backtrace()", "a backtrace goes through the library to main");
    ok(save(NULL, path, "old") >= 0, "a save");
#endif

    if (getenv("STEADFAST_TEST_VALGRIND") != NULL) {
        skip("valgrind counts what a cancelled save had allocated", "a thread that is cancelled inside a save");
    } else {
        pid_t child = fork();
        if (child == 0)
            _exit(cancel_inside_a_save(path));
        is_int(wait_for(child), 0, "a thread is cancelled inside a save: its caller's cleanup handler runs, once");
        steadfast_state state = { .size = sizeof state };
        ok(steadfast_state_load(NULL, path, NULL, &state, NULL) == 0 && state.len == 3 && memcmp(state.data, "old", 3) == 0,
           "the old state is there, whole");
        steadfast_state_free(&state);
        ok(save(NULL, path, "newer") >= 0 && *leftovers(dir, "state") == '\0', "the next save removes what the cancelled one left");
    }
    remove_tree(dir);
    free(dir);
    return done_testing();
}
