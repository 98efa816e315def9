/* Timing and medians. */
#define _GNU_SOURCE
#include "bench.h"

#include <stdlib.h>
#include <time.h>

struct settings settings = { .budget_ms = 2000 };

_Noreturn void die(const char *what)
{
    fflush(stdout);
    perror(what);
    exit(1);
}

void must(int holds, const char *what)
{
    if (!holds)
        die(what);
}

double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
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

static double quantile(double *values, size_t count, double q)
{
    qsort(values, count, sizeof *values, by_value);
    double at = q * (double)(count - 1);
    size_t below = (size_t)at, above = below + 1 < count ? below + 1 : below;
    return values[below] + (at - (double)below) * (values[above] - values[below]);
}

double median(double *values, size_t count)
{
    return quantile(values, count, 0.5);
}

/* Microseconds for each of `count`. */
static double turn(struct contestant *c, size_t count)
{
    if (c->remote)
        return c->remote(c->arg, count);
    if (!c->before) {
        double start = now_us();
        for (size_t i = 0; i < count; i++)
            c->run(c->arg);
        return (now_us() - start) / (double)count;
    }
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        c->before(c->arg);
        double start = now_us();
        c->run(c->arg);
        sum += now_us() - start;
    }
    return sum / (double)count;
}

size_t contest(struct contestant *contestants, size_t count, size_t least)
{
    enum { MOST = 20000 };
    /* A turn lasts about 40 us: long beside the clock, short beside a time slice. */
    const double turn_us = 40;
    const double budget_us = settings.budget_ms * 1e3 * (double)count;
    double *values = malloc((count + 1) * MOST * sizeof *values), *scratch = values + count * MOST;
    must(values != NULL, "malloc");

    /* Warm up, and find how often the slowest fits into a turn. */
    double end = now_us() + budget_us / 10, slowest;
    do {
        slowest = 0;
        for (size_t i = 0; i < count; i++) {
            double us = turn(&contestants[i], 1);
            slowest = us > slowest ? us : slowest;
        }
    } while (now_us() < end);
    size_t turns = slowest < turn_us ? (size_t)(turn_us / slowest) + 1 : 1;

    size_t rounds = 0;
    end = now_us() + budget_us;
    while (rounds < MOST && (rounds < least || now_us() < end)) {
        /* A B C, B C A, C A B, then the other way round: none is always after the same one. */
        size_t first = rounds % count, back = rounds / count % 2;
        for (size_t k = 0; k < count; k++) {
            size_t i = (first + (back ? count - k : k)) % count;
            values[i * MOST + rounds] = turn(&contestants[i], turns);
        }
        rounds++;
    }
    for (size_t i = 0; i < count; i++) {
        struct contestant *c = &contestants[i];
        for (size_t r = 0; r < rounds; r++)
            scratch[r] = values[i * MOST + r] / values[r];
        c->ratio = median(scratch, rounds);
        c->ratio_low = quantile(scratch, rounds, 0.25);
        c->ratio_high = quantile(scratch, rounds, 0.75);
        for (size_t r = 0; r < rounds; r++)
            scratch[r] = values[i * MOST + r] - values[r];
        c->beyond_us = median(scratch, rounds);
    }
    /* Last, as it sorts; the first contestant's values are needed until here. */
    for (size_t i = 0; i < count; i++)
        contestants[i].us = median(values + i * MOST, rounds);
    free(values);
    return rounds;
}
