/* A program that saves one state in its own way, again and again, and times itself: start-up is not measured.
 *
 * It is started with its directory as the last argument. Each line of its input is answered by one of output:
 *   SIZE COUNT   saves COUNT states of SIZE bytes, each with its number in the first 8; answers nanoseconds
 *   check        reads the last one back; answers "ok" or what is wrong
 */
#ifndef WORKER_H
#define WORKER_H

#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void worker_must(int holds, const char *what)
{
    if (!holds) {
        fprintf(stderr, "worker: %s failed\n", what);
        exit(1);
    }
}

/* `load` returns the length and fills at most `cap` bytes. */
static int worker_loop(void (*save)(const void *data, size_t len), size_t (*load)(void *buf, size_t cap))
{
    char line[64], end;
    unsigned char *data = NULL;
    size_t size = 0, count;
    uint64_t number = 0;
    while (fgets(line, sizeof line, stdin)) {
        if (strcmp(line, "check\n") == 0) {
            unsigned char *back = malloc(size);
            int whole = back && load(back, size) == size && memcmp(back, data, size) == 0;
            puts(whole ? "ok" : "what it reads back is not what it saved");
            free(back);
        } else {
            size_t wanted;
            worker_must(sscanf(line, "%zu %zu%c", &wanted, &count, &end) == 3 && end == '\n' && wanted >= 8, "the command");
            if (wanted != size) {
                size = wanted;
                data = realloc(data, size);
                worker_must(data != NULL, "malloc");
                for (size_t i = 0; i < size; i++)
                    data[i] = (unsigned char)(i * 2654435761u >> 13);
            }
            struct timespec a, b;
            int64_t ns = 0;
            for (size_t i = 0; i < count; i++) {
                number++;
                memcpy(data, &number, sizeof number);
                clock_gettime(CLOCK_MONOTONIC, &a);
                save(data, size);
                clock_gettime(CLOCK_MONOTONIC, &b);
                ns += (b.tv_sec - a.tv_sec) * 1000000000 + (b.tv_nsec - a.tv_nsec);
            }
            printf("%lld\n", (long long)ns);
        }
        fflush(stdout);
    }
    return 0;
}

static char worker_path[4096];

/* PATH in the directory that is the last argument. */
static const char *worker_file(int argc, char **argv, const char *name)
{
    worker_must(argc > 1, "the directory");
    snprintf(worker_path, sizeof worker_path, "%s/%s", argv[argc - 1], name);
    return worker_path;
}

#ifdef WORKER_FILES
static size_t worker_load_file(void *buf, size_t cap)
{
    FILE *file = fopen(worker_path, "rb");
    worker_must(file != NULL, "fopen");
    size_t len = fread(buf, 1, cap, file);
    len += fgetc(file) != EOF;
    fclose(file);
    return len;
}
#endif

#endif
