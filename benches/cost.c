/* What using the library costs by itself: loading it, its hook table, its memory. */
#define _GNU_SOURCE
#include "bench.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void dlopen_once(void *arg)
{
    void *handle = dlopen(arg, RTLD_NOW | RTLD_LOCAL);
    must(handle != NULL && dlsym(handle, "steadfast_state_save") != NULL, "dlopen");
    must(dlclose(handle) == 0, "dlclose");
}

enum { CALLS = 1000 };

static void through_the_table(void *arg)
{
    const steadfast_hooks *hooks = arg;
    for (int i = 0; i < CALLS; i++)
        must(hooks->getpid(hooks->user) > 0, "getpid");
}

static void directly(void *arg)
{
    (void)arg;
    for (int i = 0; i < CALLS; i++)
        must(getpid() > 0, "getpid");
}

/* KiB at the peak of this process's memory. */
size_t peak_kib(void)
{
    char line[256];
    size_t kib = 0;
    FILE *file = fopen("/proc/self/status", "r");
    must(file != NULL, "/proc/self/status");
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "VmHWM: %zu", &kib) == 1)
            break;
    fclose(file);
    return kib;
}

/* How much more than the payload a process of its own holds at its peak. */
static double beyond_payload_mib(void (*work)(struct saver *, size_t), struct saver *saver, size_t size)
{
    int result[2];
    must(pipe(result) == 0, "pipe");
    pid_t child = fork();
    must(child >= 0, "fork");
    if (child == 0) {
        work(saver, size);
        double mib = ((double)peak_kib() - (double)(size / 1024)) / 1024;
        _exit(write(result[1], &mib, sizeof mib) == sizeof mib ? 0 : 1);
    }
    double mib = 0;
    close(result[1]);
    must(read(result[0], &mib, sizeof mib) == sizeof mib, "the child that measures memory");
    close(result[0]);
    int status;
    must(waitpid(child, &status, 0) == child && status == 0, "the child that measures memory");
    return mib;
}

static void save_large(struct saver *s, size_t size)
{
    s->data = payload(size);
    saver_run(s);
}

static void load_large(struct saver *s, size_t size)
{
    unsigned char *into = malloc(size);
    size_t len;
    must(into != NULL, "malloc");
    must(lib.load_into(NULL, s->path, NULL, into, size, &len, NULL) == 0 && len == size, "steadfast_state_load_into");
}

void part_cost(const struct place *place, const char *so)
{
    /* Before anything large was touched: a child begins with what its parent has. */
    table_head("what the library costs by itself");
    size_t size = settings.quick ? (size_t)64 << 20 : (size_t)1 << 30;
    struct saver s = { .api = &lib, .place = place, .size = size, .options = { .size = sizeof s.options } };
    snprintf(s.path, sizeof s.path, "%s/large", place->dir);
    row((struct row){ .part = "cost",
                      .what = "save: peak memory beyond the payload",
                      .place = place,
                      .size = size,
                      .value = beyond_payload_mib(save_large, &s, size),
                      .unit = "MiB",
                      .target = 8,
                      .rounds = 1 });
    if (lib.load_into)
        row((struct row){ .part = "cost",
                          .what = "load_into: peak memory beyond the payload",
                          .place = place,
                          .size = size,
                          .value = beyond_payload_mib(load_large, &s, size),
                          .unit = "MiB",
                          .target = 8,
                          .rounds = 1 });
    else
        row_skipped("cost", "load_into: peak memory beyond the payload", place, size, "not in this build");
    saver_remove(&s);

    char copy[300], command[900];
    snprintf(copy, sizeof copy, "%s/copy.so", place->dir); /* the one linked with is loaded already */
    snprintf(command, sizeof command, "cp '%s' '%s'", so, copy);
    must(system(command) == 0, "cp");
    struct contestant load = { .run = dlopen_once, .arg = copy };
    size_t rounds = contest(&load, 1, 50);
    must(dlopen(copy, RTLD_NOW | RTLD_NOLOAD) == NULL, "dlclose unloads");
    row((struct row){ .part = "cost",
                      .what = "dlopen + dlclose",
                      .place = place,
                      .us = load.us,
                      .value = load.us,
                      .unit = "us",
                      .target = 60,
                      .rounds = rounds });
    must(unlink(copy) == 0, "unlink");

    struct contestant c[2] = { { .run = directly }, { .run = through_the_table, .arg = (void *)steadfast_hooks_default() } };
    rounds = contest(c, 2, 50);
    row((struct row){ .part = "cost",
                      .what = "getpid: hook table beyond the bare call",
                      .us = c[1].us / CALLS,
                      .base_us = c[0].us / CALLS,
                      .value = c[1].beyond_us * 1e3 / CALLS,
                      .unit = "ns",
                      .target = 2,
                      .rounds = rounds });
}
