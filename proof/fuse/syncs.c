/* syncs --ways: the ways of saving that sync, each with the number of files. syncs DIRECTORY WAY: saves so; prints the status. */
#define _GNU_SOURCE
#include "steadfast.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FILES = 3, LARGE = 6 << 20, KEEP = STEADFAST_SAVE_KEEP_PREVIOUS };
static const struct way { const char *name; uint32_t flags; int batch, files; size_t len; } ways[] = {
    { "first", 0, 0, 1, 100 }, { "plain", 0, 0, 1, 100 }, { "strict", STEADFAST_SAVE_STRICT, 0, 1, 100 }, { "keep", KEEP, 0, 1, 100 },
    { "keep-again", KEEP, 0, 1, 100 }, { "large", 0, 0, 1, LARGE }, { "batch", 0, 1, FILES, 100 }, { "batch-keep", KEEP, 1, FILES, 100 },
    { "batch-syncfs", STEADFAST_SAVE_SYNCFS, 1, FILES, 100 }, { "batch-many", 0, 250, 250, 100 }, { "batch-many-syncfs", STEADFAST_SAVE_SYNCFS, 250, 250, 100 },
};
enum { WAYS = sizeof ways / sizeof *ways, MOST = 250 };

int main(int argc, char **argv)
{
    static char data[LARGE], paths[MOST][600];
    static steadfast_save_entry entries[MOST];
    const struct way *way = NULL;
    if (argc == 2 && strcmp(argv[1], "--ways") == 0) {
        for (int i = 0; i < WAYS; i++) printf("%s %d\n", ways[i].name, ways[i].files);
        return 0;
    }
    for (int i = 0; argc == 3 && i < WAYS; i++)
        if (strcmp(ways[i].name, argv[2]) == 0) way = &ways[i];
    if (!way) return fprintf(stderr, "usage: syncs DIRECTORY WAY\n"), 2;
    steadfast_save_options options = { .size = sizeof options, .flags = way->flags };
    steadfast_report report = { .size = sizeof report };
    int count = way->files;
    memset(data, 'x', sizeof data);
    for (int i = 0; i < count; i++) {
        snprintf(paths[i], sizeof paths[i], "%s/state%d", argv[1], i);
        entries[i] = (steadfast_save_entry){ .size = sizeof *entries, .path = paths[i], .data = data, .len = way->len };
    }
    int32_t status = way->batch ? steadfast_state_save_batch(NULL, entries, (size_t)count, &options, &report)
                                : steadfast_state_save(NULL, paths[0], data, way->len, &options, &report);
    printf("%d\n", status);
    if (status < 0) fprintf(stderr, "%s\n", report.message);
    return status < 0;
}
