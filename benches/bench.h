/* Ratios in one run: ours and the bare system calls take turns, so that both see the same machine. */
#ifndef BENCH_H
#define BENCH_H

#include <stddef.h>

/* One operation, done once by `run`. */
struct work {
    void (*run)(void *arg);
    void *arg;
};

/* Medians over all rounds; `ratio` and `beyond_us` are medians of the rounds' own quotients and differences. */
struct comparison {
    double ours_us;
    double bare_us;
    double ratio;
    double beyond_us;
    size_t rounds;
};

/* How long one comparison may take; set once by main. */
extern double budget_ms;

struct comparison compare(struct work ours, struct work bare);

/* Microseconds of `count` steps in a row, each step i done by `step(arg, i)`. */
double time_steps(void (*step)(void *arg, size_t i), void *arg, size_t count);

double median(double *values, size_t count);

/* The table. A target of 0 is a row for comparison only. */
void table_head(void);
void row_ratio(const char *what, const char *where, struct comparison c, double target);
void row_beyond(const char *what, const char *where, struct comparison c, double target_us);
void row_count(const char *what, const char *where, size_t ours, size_t bare);
void row_skipped(const char *what, const char *where, const char *reason);
/* How many rows with a target missed it. */
size_t rows_missed(void);

/* Ends the run: something could not be measured. */
_Noreturn void die(const char *what);
/* Ends the run unless a call gave what it must. */
void must(int holds, const char *what);

/* The subjects. `dir` is an empty directory of ours, `where` names its file system. */
struct targets {
    double save;
    double lock;
};
void bench_state(const char *dir, const char *where, struct targets targets);
void bench_lock(const char *dir, const char *where, struct targets targets);
/* Prints what each call that a verdict is made of costs by itself. */
void bench_calls(const char *dir, const char *where);

#endif
