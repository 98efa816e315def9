/* How far a long save or load is, on standard error: only where that is a terminal, and only when it takes more than a second. */
#define _POSIX_C_SOURCE 200809L
#include "cli.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { FIRST_MS = 1000, NEXT_MS = 200 };

void progress_begin(struct progress *progress, int wanted)
{
    memset(progress, 0, sizeof *progress);
    progress->on = wanted && isatty(STDERR_FILENO);
    progress->next_ms = now_ms() + FIRST_MS;
}

void progress_show(struct progress *progress, uint64_t done, const char *what)
{
    enum { MIB = 1 << 20 };
    if (!progress->on || now_ms() < progress->next_ms) {
        return;
    }
    progress->next_ms = now_ms() + NEXT_MS;
    progress->shown = 1;
    fprintf(stderr, "\r\033[Ksteadfast: %llu", (unsigned long long)(done / MIB));
    if (progress->total > 0) {
        fprintf(stderr, " of %llu", (unsigned long long)(progress->total / MIB));
    }
    fprintf(stderr, " MiB%s", what);
}

void progress_end(struct progress *progress)
{
    if (progress->shown) {
        fputs("\r\033[K", stderr);
    }
    progress->on = progress->shown = 0;
}
