/* Sizes around the borders of pages, sectors and the library's own buffers, up to 64 MiB, with each flag; each size also
 * with a kill at a random moment of the save.
 *
 *   sizes DIRECTORY SECONDS SEED
 *
 * What is loaded must be what was saved, to the byte, by both ways of loading; after a kill it must be the old state or the new. */
#define _GNU_SOURCE
#include "steadfast.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MIB = 1 << 20, LARGEST = 64 * MIB };
static const size_t borders[] = { 0, 256, 512, 3840, 4096, 8192, 16128, 16384, 65280, 65536, MIB, 4 * MIB, 16 * MIB, LARGEST };
enum { BORDERS = sizeof borders / sizeof *borders };
static const uint32_t kinds[] = { 0, STEADFAST_SAVE_STRICT, STEADFAST_SAVE_KEEP_PREVIOUS, STEADFAST_SAVE_NO_SYNC,
                                  STEADFAST_SAVE_NO_SYNC | STEADFAST_SAVE_KEEP_PREVIOUS };
enum { KINDS = sizeof kinds / sizeof *kinds };

static char path[600];
static char *data[2], *room;
static unsigned long long failures, saves, kills, finished;

static void fail(const char *what, size_t size, uint32_t flags, int code)
{
    if (failures++ < 10)
        printf("not ok - %s: %zu bytes, flags %u: %s\n", what, size, flags, steadfast_status_name(code));
}

/* 0, or a code that these flags do not explain. */
static int save(const char *content, size_t size, uint32_t flags)
{
    steadfast_save_options options = { .size = sizeof options, .flags = flags };
    int code = steadfast_state_save(NULL, path, content, size, &options, NULL);
    return flags & STEADFAST_SAVE_NO_SYNC && code == STEADFAST_NOT_DURABLE ? 0 : code;
}

/* Which of the two contents is there, -1 when neither; by both ways of loading. */
static int loaded(size_t size, size_t other_size)
{
    steadfast_state state = { .size = sizeof state };
    int code = steadfast_state_load(NULL, path, NULL, &state, NULL), found = -1;
    if (code != 0)
        return -1;
    if (state.len == size && memcmp(state.data, data[0], size) == 0)
        found = 0;
    else if (state.len == other_size && memcmp(state.data, data[1], other_size) == 0)
        found = 1;
    size_t len = 0;
    code = steadfast_state_load_into(NULL, path, NULL, room, state.len, &len, NULL);
    if (code != 0 || len != state.len || memcmp(room, state.data, len) != 0)
        found = -1;
    steadfast_state_free(&state);
    return found;
}

static void one(size_t size, size_t other_size, uint32_t flags, unsigned int *seed)
{
    int code = save(data[0], size, flags);
    if (code != 0)
        fail("save", size, flags, code);
    else if (loaded(size, other_size) != 0)
        fail("load after save", size, flags, 0);
    saves++;
    /* The other content over it, killed somewhere on the way. */
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        _exit(save(data[1], other_size, flags) != 0);
    }
    usleep((unsigned int)rand_r(seed) % (200 + (unsigned int)(other_size / 400)));
    kill(pid, SIGKILL);
    int status;
    waitpid(pid, &status, 0);
    int found = loaded(size, other_size);
    if (WIFEXITED(status)) {
        finished++;
        /* Two contents of no length are the same. */
        int expected = size == 0 && other_size == 0 ? 0 : 1;
        if (WEXITSTATUS(status) != 0 || found != expected)
            fail("load after another process's save", other_size, flags, 0);
    } else {
        kills++;
        if (found < 0)
            fail("load after a kill", other_size, flags, 0);
    }
}

int main(int argc, char **argv)
{
    if (argc != 4)
        return fprintf(stderr, "usage: sizes DIRECTORY SECONDS SEED\n"), 2;
    snprintf(path, sizeof path, "%s/state", argv[1]);
    time_t end = time(NULL) + strtol(argv[2], NULL, 10);
    unsigned int first = (unsigned int)strtoul(argv[3], NULL, 10), seed = first;
    for (int i = 0; i < 2; i++) {
        data[i] = malloc(LARGEST + 1);
        for (size_t at = 0; at <= LARGEST; at++)
            data[i][at] = (char)(at * 131 + (at >> 9) + (size_t)i);
    }
    room = malloc(LARGEST + 1);
    int rounds = 0, largest = 0;
    do {
        for (int border = 0; border < BORDERS && (rounds == 0 || time(NULL) < end); border++) {
            for (int beside = -1; beside <= 1; beside++) {
                if (borders[border] == 0 && beside < 0)
                    continue;
                size_t size = borders[border] + (size_t)beside;
                size_t other = borders[(unsigned int)rand_r(&seed) % (unsigned int)(border + 1)];
                if (size > LARGEST)
                    size = LARGEST;
                one(size, other, kinds[(unsigned int)rand_r(&seed) % KINDS], &seed);
                one(other, size, kinds[(unsigned int)rand_r(&seed) % KINDS], &seed);
            }
            if (border > largest)
                largest = border;
        }
        rounds++;
    } while (time(NULL) < end);
    printf(
        "sizes: %d borders up to %zu bytes, each with one byte less and more, %d rounds: %llu saves, %llu kills on the way, %llu too late, %llu failures, seed %u\n",
        BORDERS, borders[largest], rounds, saves, kills, finished, failures, first);
    return failures != 0;
}
