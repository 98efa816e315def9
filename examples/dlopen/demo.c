/* steadfast from C without linking it: demo demo DIRECTORY | increment LOCK STATE N
   A program that links simply calls the functions; this is for plugins and for what must run without it. */
#include <dlfcn.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <steadfast.h>

/* One pointer for each function used, of the type that the header gives it. */
#define FUNCTIONS(X) X(status_name) X(state_save) X(state_load) X(state_free) X(lock_acquire) X(lock_release)
#define POINTER(name) __typeof__(steadfast_##name) *name;
static struct {
    FUNCTIONS(POINTER)
} c;

/* NULL when all are there, else what is wrong. */
static const char *load_library(void)
{
    void *library = dlopen("libsteadfast.so.0", RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        return dlerror();
    }
#define FIND(name) \
    if ((*(void **)&c.name = dlsym(library, "steadfast_" #name)) == NULL) { \
        return "steadfast_" #name " is not there"; \
    }
    FUNCTIONS(FIND)
    return NULL;
}

static int failed(const steadfast_report *report)
{
    fprintf(stderr, "%s (%" PRId32 "): %s\n", c.status_name(report->status), report->status, report->message);
    return 1;
}

static int demo(const char *directory)
{
    char path[4096], lock_path[4096], holder[32] = "";
    steadfast_report report = { .size = sizeof report };
    steadfast_state state = { .size = sizeof state };
    steadfast_lock *lock;
    snprintf(path, sizeof path, "%s/app.state", directory);
    snprintf(lock_path, sizeof lock_path, "%s/app.lock", directory);

    if (c.state_save(NULL, path, "{\"jobs\": 3}", 11, NULL, &report) < 0) {
        return failed(&report);
    }
    if (c.state_load(NULL, path, NULL, &state, &report) < 0) {
        return failed(&report);
    }
    printf("generation %" PRIu64 ": %s\n", state.generation, (const char *)state.data);
    c.state_free(&state);

    if (c.lock_acquire(NULL, lock_path, 200, NULL, &lock, &report) != STEADFAST_OK) {
        return failed(&report);
    }
    FILE *file = fopen(lock_path, "r");
    if (file != NULL) {
        if (fgets(holder, sizeof holder, file) != NULL) {
            printf("locked by %s", holder);
        }
        fclose(file);
    }
    if (c.lock_release(lock, &report) < 0) {
        return failed(&report);
    }

    steadfast_save_options options = { .size = sizeof options, .flags = STEADFAST_SAVE_IF_GENERATION, .expected_generation = 99 };
    if (c.state_save(NULL, path, NULL, 0, &options, &report) < 0) {
        printf("%s (%" PRId32 "): %s\n", c.status_name(report.status), report.status, report.message);
    }
    return 0;
}

static int increment(const char *lock_path, const char *path, long times)
{
    for (long i = 0; i < times; i++) {
        steadfast_report report = { .size = sizeof report };
        steadfast_state state = { .size = sizeof state };
        steadfast_lock *lock;
        char number[32] = "1";
        if (c.lock_acquire(NULL, lock_path, 60000, NULL, &lock, &report) != STEADFAST_OK) {
            return failed(&report);
        }
        int32_t status = c.state_load(NULL, path, NULL, &state, &report);
        if (status >= 0) {
            snprintf(number, sizeof number, "%lld", atoll(state.data) + 1);
            c.state_free(&state);
        }
        if (status >= 0 || status == -ENOENT) {
            status = c.state_save(NULL, path, number, strlen(number), NULL, &report);
        }
        int result = status < 0 ? failed(&report) : 0;
        if (c.lock_release(lock, &report) < 0) {
            result = failed(&report);
        }
        if (result != 0) {
            return result;
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    const char *problem = load_library();
    if (problem != NULL) {
        fprintf(stderr, "%s\n", problem);
        return 1;
    }
    if (argc == 3 && strcmp(argv[1], "demo") == 0) {
        return demo(argv[2]);
    }
    if (argc == 5 && strcmp(argv[1], "increment") == 0) {
        return increment(argv[2], argv[3], atol(argv[4]));
    }
    fprintf(stderr, "usage: demo demo DIRECTORY | increment LOCK STATE N\n");
    return 2;
}
