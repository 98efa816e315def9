/* Each of these is a memory error that a sanitizer must see inside the library: asan.sh runs them and fails if one lives. */
#include "steadfast.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char path[512];

static void save(const void *data, size_t len)
{
    if (steadfast_state_save(NULL, path, data, len, NULL, NULL) != 0)
        exit(3);
}

static steadfast_state load(void)
{
    steadfast_state state = { .size = sizeof state };
    if (steadfast_state_load(NULL, path, NULL, &state, NULL) != 0)
        exit(3);
    return state;
}

/* The caller's buffer is one byte shorter than it says: read by the library, which hashes it. */
static void overread(void)
{
    char *data = malloc(5000);
    memset(data, 'x', 5000);
    save(data, 5001);
    free(data);
}

/* Forgetting what the library gave: its own allocation is the leak. The first one would still lie on the stack. */
static void leak(void)
{
    save("x", 1);
    for (int i = 0; i < 10; i++)
        load();
}

static void leak_context(void)
{
    for (int i = 0; i < 10; i++) {
        steadfast_context *context;
        if (steadfast_context_new(NULL, &context) != 0)
            exit(3);
    }
}

static void double_free(void)
{
    save("x", 1);
    steadfast_state state = load(), copy = state;
    steadfast_state_free(&state);
    steadfast_state_free(&copy);
}

static void use_after_free(void)
{
    steadfast_context *context;
    if (steadfast_context_new(NULL, &context) != 0)
        exit(3);
    steadfast_context_free(context);
    steadfast_state_save(context, path, "x", 1, NULL, NULL);
}

/* The report is smaller than its size says: written by the library. */
static void overwrite(void)
{
    steadfast_report *report = malloc(64);
    report->size = sizeof *report;
    steadfast_state_save(NULL, path, "x", 1, NULL, report);
    free(report);
}

/* Nothing wrong: must pass, or the others prove nothing. */
static void none(void)
{
    save("x", 1);
    steadfast_state state = load();
    steadfast_state_free(&state);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*run)(void);
    } all[] = {
        { "overread", overread },       { "overwrite", overwrite },           { "leak", leak }, { "leak_context", leak_context },
        { "double_free", double_free }, { "use_after_free", use_after_free }, { "none", none },
    };
    if (argc != 3) {
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            puts(all[i].name);
        return 0;
    }
    snprintf(path, sizeof path, "%s/state", argv[2]);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (strcmp(all[i].name, argv[1]) == 0)
            all[i].run();
    return 0;
}
