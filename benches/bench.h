/* Whole calls measured beside the bare system calls and beside each other: all take turns in one run, so that all see
   the same machine. */
#ifndef BENCH_H
#define BENCH_H

#include "steadfast.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* The functions of a build of the library, by dlsym: one that is not in this build is NULL. */
struct api {
    int32_t (*save)(const steadfast_context *, const char *, const void *, size_t, const steadfast_save_options *, steadfast_report *);
    int32_t (*load)(const steadfast_context *, const char *, const steadfast_load_options *, steadfast_state *, steadfast_report *);
    void (*state_free)(steadfast_state *);
    int32_t (*load_into)(const steadfast_context *, const char *, const steadfast_load_options *, void *, size_t, size_t *,
                         steadfast_report *);
    int32_t (*save_batch)(const steadfast_context *, void *entries, size_t, const steadfast_save_options *, steadfast_report *);
};

/* As steadfast_save_entry, which older builds do not have. */
struct entry {
    size_t size;
    const char *path;
    const void *data;
    size_t len;
    int32_t status;
    int32_t os_error;
    uint64_t generation;
};

/* Where to measure: an empty directory of ours. */
struct place {
    char dir[200];
    char name[24];      /* as the table shows it: "/tmp ext4", "ext4 journal" */
    char device[128];   /* the stat file of its block device; empty: none */
    int memory;         /* tmpfs: no device, its own targets */
    int journal;        /* a loop device of ours */
};

/* One way to do the work. A turn is `count` times `run`, each after an untimed `before` where there is one; `remote`
   does a whole turn in another process, which times itself, and returns microseconds for each. */
struct contestant {
    const char *name;
    void (*run)(void *arg);
    void (*before)(void *arg);
    double (*remote)(void *arg, size_t count);
    void *arg;
    /* filled by contest() */
    double us;                           /* median */
    double ratio, ratio_low, ratio_high; /* to the first contestant: median and quartiles of the rounds' own quotients */
    double beyond_us;                    /* likewise of the differences */
};

struct settings {
    double budget_ms; /* for each contestant of a contest */
    int quick;
    int full;         /* up to 1 GiB */
    FILE *tsv;
};
extern struct settings settings;

/* Rounds until the budget is spent, at least `least`; the order changes with each. Returns how many. */
size_t contest(struct contestant *contestants, size_t count, size_t least);

double now_us(void);
double median(double *values, size_t count);
/* Microseconds of `count` steps in a row, each step i done by `step(arg, i)`. */
double time_steps(void (*step)(void *arg, size_t i), void *arg, size_t count);

/* The table, on the screen and in the TSV. A target of 0: for comparison only. AT_LEAST: the ratio is ours' gain. */
enum direction { AT_MOST, AT_LEAST };
struct row {
    const char *part;
    const char *what;
    const struct place *place;
    size_t size;
    double us;        /* of ours */
    double base_us;   /* of what it is compared with */
    double value;     /* ratio, difference, count, rate: as `unit` says */
    double low, high; /* quartiles; 0: none */
    const char *unit; /* "x", "us", "GB/s", ... */
    double target;
    enum direction direction;
    size_t rounds;
};
void table_head(const char *title);
void row(struct row row);
/* What contestant number `which` took, as a ratio to the first one. */
void row_ratio(const char *part, const char *what, const struct place *place, size_t size, const struct contestant *contestants,
               size_t which, double target, size_t rounds);
/* How many times faster than the first one it was. */
void row_times(const char *part, const char *what, const struct place *place, size_t size, const struct contestant *contestants,
               size_t which, double target, size_t rounds);
void row_skipped(const char *part, const char *what, const struct place *place, size_t size, const char *reason);
size_t rows_missed(void);
const char *size_text(size_t size);

/* Ends the run: something could not be measured. */
_Noreturn void die(const char *what);
/* Ends the run unless a call gave what it must. */
void must(int holds, const char *what);

/* The library linked with, and one to compare it with (save and load NULL: none). */
extern struct api lib, other;
struct api open_api(const char *file);
/* `size` bytes, touched, aligned to a page; the same for all contestants. */
unsigned char *payload(size_t size);

/* Savers: one state of `size` bytes, saved again and again in one way. */
struct saver {
    const struct api *api;
    const struct place *place;
    char path[256];
    char temp[256];
    const unsigned char *data;
    size_t size;
    steadfast_save_options options;
    int32_t expected; /* of the save */
};
struct saver new_saver(const struct api *api, const struct place *place, const char *name, size_t size, uint32_t flags);
void saver_run(void *arg);
void saver_bare(void *arg);
void saver_remove(void *arg);

/* The value of STEADFAST_SAVE_SYNCFS; 0: the header has none. */
#ifndef SYNCFS
#define SYNCFS 0
#endif

/* Programs that save in their own way, in a process of their own: see worker.h. */
struct worker {
    char name[40];
    int to;
    int from;
    long pid;
    size_t size;
};
/* The peers that are there; a command gets the directory as its last argument. */
struct peer {
    const char *name;
    const char *command;
};
extern struct peer peers[32];
extern size_t peer_count;
void worker_start(struct worker *worker, const struct peer *peer, const struct place *place, size_t size);
double worker_turn(void *arg, size_t count);
/* Lets it read back what it saved last; ends the run if that is not there. */
void worker_stop(struct worker *worker);
/* Removes whatever is in the place: some peers leave more than one file. */
void remove_leftovers(const struct place *place);

/* Counts the device's requests for `run` or `remote`, of `states` states each time. */
typedef void count_function(const struct place *place, const char *what, void (*run)(void *), double (*remote)(void *, size_t), void *arg,
                            size_t states);
void count_batches(const struct place *place, count_function *count_of);

/* KiB at the peak of this process's memory. */
size_t peak_kib(void);

/* The parts. */
void part_saves(const struct place *place);
void part_loads(const struct place *place);
void part_batch(const struct place *place);
void part_alternate(const struct place *place);
void part_files(const struct place *place);
void part_lock(const struct place *place);
void part_calls(const struct place *place);
void part_cost(const struct place *place, const char *so);
void part_flushes(const struct place *place);
void part_size(const struct place *place);
void part_count(const struct place *place);
void part_writers(const struct place *place);
void part_peers(const struct place *place);

#endif
