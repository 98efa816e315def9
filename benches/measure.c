/* Timing, medians and the table. */
#define _GNU_SOURCE
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

double budget_ms = 4000;

static size_t missed;

_Noreturn void die(const char *what)
{
    perror(what);
    exit(1);
}

void must(int holds, const char *what)
{
    if (!holds)
        die(what);
}

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double time_work(struct work work, size_t count)
{
    double start = now_us();
    for (size_t i = 0; i < count; i++)
        work.run(work.arg);
    return (now_us() - start) / (double)count;
}

double time_steps(void (*step)(void *arg, size_t i), void *arg, size_t count)
{
    double start = now_us();
    for (size_t i = 0; i < count; i++)
        step(arg, i);
    return (now_us() - start) / (double)count;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, by_value);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

struct comparison compare(struct work ours, struct work bare)
{
    enum { MOST = 20000, LEAST = 31 };
    /* A turn lasts about 40 us: long beside the clock, short beside a time slice. */
    const double turn_us = 40;
    double *values = malloc(4 * MOST * sizeof *values);
    must(values != NULL, "malloc");
    double *a = values, *b = a + MOST, *ratio = b + MOST, *beyond = ratio + MOST;

    double end = now_us() + budget_ms * 1e3 / 10, slow = 0;
    do { /* warm up, and find how often fits into a turn */
        double x = time_work(ours, 1), y = time_work(bare, 1);
        slow = x > y ? x : y;
    } while (now_us() < end);
    size_t count = slow < turn_us ? (size_t)(turn_us / slow) + 1 : 1;

    size_t rounds = 0;
    end = now_us() + budget_ms * 1e3;
    while (rounds < MOST && (rounds < LEAST || now_us() < end)) {
        /* A B, B A, A B: neither is always the second. */
        if (rounds % 2 == 0) {
            a[rounds] = time_work(ours, count);
            b[rounds] = time_work(bare, count);
        } else {
            b[rounds] = time_work(bare, count);
            a[rounds] = time_work(ours, count);
        }
        ratio[rounds] = a[rounds] / b[rounds];
        beyond[rounds] = a[rounds] - b[rounds];
        rounds++;
    }
    struct comparison c = { 0 };
    c.rounds = rounds;
    c.ours_us = median(a, rounds);
    c.bare_us = median(b, rounds);
    c.ratio = median(ratio, rounds);
    c.beyond_us = median(beyond, rounds);
    free(values);
    return c;
}

void table_head(void)
{
    printf("%-52s %-6s %9s %9s %9s %9s  %-4s %7s\n", "what", "on", "ours us", "bare us", "ratio", "target", "met", "rounds");
}

static const char *met(int holds)
{
    missed += !holds;
    return holds ? "yes" : "NO";
}

void row_ratio(const char *what, const char *where, struct comparison c, double target)
{
    printf("%-52s %-6s %9.2f %9.2f %8.3fx", what, where, c.ours_us, c.bare_us, c.ratio);
    if (target > 0)
        printf(" %8.2fx  %-4s", target, met(c.ratio <= target));
    else
        printf(" %9s  %-4s", "-", "-");
    printf(" %7zu\n", c.rounds);
    fflush(stdout);
}

void row_beyond(const char *what, const char *where, struct comparison c, double target_us)
{
    printf("%-52s %-6s %9.2f %9.2f %+8.2fu", what, where, c.ours_us, c.bare_us, c.beyond_us);
    if (target_us > 0)
        printf(" %+8.2fu  %-4s", target_us, met(c.beyond_us <= target_us));
    else
        printf(" %9s  %-4s", "-", "-");
    printf(" %7zu\n", c.rounds);
    fflush(stdout);
}

void row_count(const char *what, const char *where, size_t ours, size_t bare)
{
    printf("%-52s %-6s %9zu %9zu %9s %9zu  %-4s\n", what, where, ours, bare, "-", bare, met(ours == bare));
    fflush(stdout);
}

void row_skipped(const char *what, const char *where, const char *reason)
{
    printf("%-52s %-6s SKIPPED: %s\n", what, where, reason);
}

size_t rows_missed(void)
{
    return missed;
}
