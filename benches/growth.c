/* How the cost grows with size and with concurrent writers; with count it is in saves.c. */
#define _GNU_SOURCE
#include "bench.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

void part_size(const struct place *place)
{
    table_head("growth with size; value: to the bare sequence");
    size_t most = settings.full && !place->journal ? (size_t)1 << 30 : settings.quick ? (size_t)1 << 20 : (size_t)64 << 20;
    for (size_t size = 1024; size <= most; size *= 4) {
        struct saver bare = new_saver(&lib, place, "bare", size, 0), ours = new_saver(&lib, place, "ours", size, 0);
        struct contestant c[2] = { { .name = "bare C", .run = saver_bare, .arg = &bare },
                                   { .name = "steadfast", .run = saver_run, .arg = &ours } };
        bare.data = ours.data = payload(size);
        double budget = settings.budget_ms;
        settings.budget_ms = budget / 2;
        size_t rounds = contest(c, 2, size >= (size_t)256 << 20 ? 2 : 5);
        settings.budget_ms = budget;
        for (size_t i = 0; i < 2; i++)
            row_ratio("size", c[i].name, place, size, c, i, 0, rounds);
        saver_remove(&bare), saver_remove(&ours);
    }
}

/* Shared with the children: when to stop. */
struct signals {
    volatile int begun, ended;
};

/* Saves a second by all of `writers` processes together, each with a state of its own in one directory. */
static double rate(const struct place *place, void (*run)(void *), uint32_t flags, size_t writers)
{
    struct signals *signals = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(signals != MAP_FAILED, "mmap");
    int results[2], ready[2];
    pid_t children[16];
    must(pipe(results) == 0 && pipe(ready) == 0, "pipe");
    for (size_t i = 0; i < writers; i++) {
        must((children[i] = fork()) >= 0, "fork");
        if (children[i] == 0) {
            char name[32];
            unsigned long done = 0;
            snprintf(name, sizeof name, "writer-%zu", i);
            struct saver s = new_saver(&lib, place, name, 1024, flags);
            for (int made = 0; made < 3; made++)
                run(&s);
            must(write(ready[1], "r", 1) == 1, "write");
            while (!signals->begun)
                usleep(100);
            while (!signals->ended) {
                run(&s);
                done++;
            }
            saver_remove(&s);
            _exit(write(results[1], &done, sizeof done) == sizeof done ? 0 : 1);
        }
    }
    for (size_t i = 0; i < writers; i++) {
        char byte;
        must(read(ready[0], &byte, 1) == 1, "a writer");
    }
    double start = now_us();
    signals->begun = 1;
    usleep((useconds_t)(settings.quick ? settings.budget_ms * 1e3 : settings.budget_ms * 2e3));
    signals->ended = 1;
    double seconds = (now_us() - start) / 1e6;
    unsigned long sum = 0;
    for (size_t i = 0; i < writers; i++) {
        unsigned long done;
        int status;
        must(waitpid(children[i], &status, 0) == children[i] && status == 0, "a writer");
        must(read(results[0], &done, sizeof done) == sizeof done, "a writer's count");
        sum += done;
    }
    close(results[0]);
    close(results[1]);
    close(ready[0]);
    close(ready[1]);
    munmap(signals, 4096);
    return (double)sum / seconds;
}

void part_writers(const struct place *place)
{
    table_head("concurrent writers, a process and a state of 1 KiB each, in one directory; value: saves a second of all");
    const struct {
        const char *name;
        void (*run)(void *);
        uint32_t flags;
    } ways[] = { { "bare C", saver_bare, 0 },
                 { "steadfast", saver_run, 0 },
                 { "steadfast, ALTERNATE", saver_run, STEADFAST_SAVE_ALTERNATE } };
    enum { WAYS = sizeof ways / sizeof *ways };
    for (size_t writers = 1; writers <= 8; writers *= 2) {
        enum { ROUNDS = 4 };
        double rates[WAYS][ROUNDS];
        size_t rounds = settings.quick ? 2 : ROUNDS;
        for (size_t r = 0; r < rounds; r++)
            for (size_t k = 0; k < WAYS; k++) {
                size_t way = r % 2 ? WAYS - 1 - k : k; /* the other way round every second time */
                rates[way][r] = rate(place, ways[way].run, ways[way].flags, writers);
            }
        for (size_t way = 0; way < WAYS; way++)
            row((struct row){ .part = "writers",
                              .what = ways[way].name,
                              .place = place,
                              .size = writers,
                              .value = median(rates[way], rounds),
                              .unit = "/s",
                              .rounds = rounds });
    }
}
