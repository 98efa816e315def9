/* The library as a language runtime has it: opened, used, closed, again. */
#include "tap.h"

#include <dlfcn.h>
#include <pthread.h>

#include "util.h"

#define FIND(name) __typeof__(name) *use_##name = (__typeof__(name) *)dlsym(library, #name)

/* One round: 0, or the number of what went wrong. */
static int use(void *library, const char *dir)
{
    steadfast_hooks hooks = steadfast_hooks_init();
    steadfast_context *context = NULL;
    steadfast_state state = { .size = sizeof state };
    steadfast_lock *lock = NULL;
    char path[300], locked[300];
    FIND(steadfast_context_new);
    FIND(steadfast_context_free);
    FIND(steadfast_state_save);
    FIND(steadfast_state_load);
    FIND(steadfast_state_free);
    FIND(steadfast_lock_acquire);
    FIND(steadfast_lock_release);
    steadfast_save_options options = { .size = sizeof options, .flags = STEADFAST_SAVE_NO_SYNC };
    snprintf(path, sizeof path, "%s/state", dir);
    snprintf(locked, sizeof locked, "%s/lock", dir);
    if (use_steadfast_context_new(&hooks, &context) != 0)
        return 1;
    if (use_steadfast_state_save(context, path, "x", 1, &options, NULL) != STEADFAST_NOT_DURABLE)
        return 2;
    if (use_steadfast_state_load(context, path, NULL, &state, NULL) != 0 || state.len != 1)
        return 3;
    use_steadfast_state_free(&state);
    if (use_steadfast_lock_acquire(context, locked, 0, NULL, &lock, NULL) != 0)
        return 4;
    use_steadfast_context_free(context);
    if (use_steadfast_lock_release(lock, NULL) != 0)
        return 5;
    return 0;
}

/* Is the library mapped? */
static int mapped(void)
{
    char line[600];
    int found = 0;
    FILE *maps = fopen("/proc/self/maps", "r");
    if (maps == NULL)
        return 0;
    while (fgets(line, sizeof line, maps) != NULL)
        found += strstr(line, "libsteadfast") != NULL;
    fclose(maps);
    return found != 0;
}

static char *dir;

/* A thread that ends after the library is gone: a leftover of thread-local storage would be called then. */
static void *in_a_thread(void *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    int wrong = library == NULL ? 9 : use(library, dir);
    if (library != NULL)
        dlclose(library);
    return (void *)(intptr_t)wrong;
}

int main(void)
{
    /* This program is linked with the library too when the others are: dlopen of a copy is then a library of its own. */
    const char *library_path = getenv("STEADFAST_TEST_LIBRARY");
    char copy[400];
    size_t len;
    char *bytes = library_path == NULL ? NULL : read_file(library_path, &len);
    int wrong = 0, was_mapped = mapped(), fds;
    int rounds = test_small() ? 5 : 100;
    if (bytes == NULL) {
        skip("STEADFAST_TEST_LIBRARY does not name the shared library", "dlopen");
        return done_testing();
    }
    dir = make_temp_dir("dlopen");
    snprintf(copy, sizeof copy, "%s/libsteadfast-copy.so", dir);
    write_file(copy, bytes, len);
    free(bytes);
    fds = count_fds();
    for (int i = 0; i < rounds && wrong == 0; i++) {
        void *library = dlopen(copy, RTLD_NOW | RTLD_LOCAL);
        if (library == NULL)
            bail_out("%s", dlerror());
        wrong = use(library, dir);
        if (dlclose(library) != 0)
            wrong = 8;
    }
    is_int(wrong, 0, "dlopen, use, dlclose, %d times", rounds);
    is_int(count_fds(), fds, "no descriptor stays open");
    ok(was_mapped || !mapped(), "after dlclose nothing of it is mapped");
    for (int i = 0; i < rounds / 5 && wrong == 0; i++) {
        pthread_t thread;
        void *result;
        if (pthread_create(&thread, NULL, in_a_thread, copy) != 0 || pthread_join(thread, &result) != 0)
            bail_out("no thread");
        wrong = (int)(intptr_t)result;
    }
    is_int(wrong, 0, "opened and closed by threads that end afterwards");
    is_int(count_entries(dir), 2, "nothing is left over but the state and the library");
    remove_tree(dir);
    free(dir);
    return done_testing();
}
