/* What was measured: a table to read, and lines of tab-separated values for report.py. */
#define _GNU_SOURCE
#include "bench.h"

#include <string.h>

static size_t missed;

const char *size_text(size_t size)
{
    static char text[4][32];
    static int next;
    char *t = text[next++ % 4];
    if (size == 0)
        snprintf(t, sizeof *text, "-");
    else if (size >= (size_t)1 << 30 && size % ((size_t)1 << 30) == 0)
        snprintf(t, sizeof *text, "%zu GiB", size >> 30);
    else if (size >= 1 << 20 && size % (1 << 20) == 0)
        snprintf(t, sizeof *text, "%zu MiB", size >> 20);
    else if (size >= 1 << 10 && size % (1 << 10) == 0)
        snprintf(t, sizeof *text, "%zu KiB", size >> 10);
    else
        snprintf(t, sizeof *text, "%zu", size);
    return t;
}

void table_head(const char *title)
{
    printf("\n%s\n%-46s %-13s %8s %11s %11s %12s %15s %9s %-4s %6s\n", title, "what", "on", "size", "ours us", "other us", "value",
           "quartiles", "target", "met", "rounds");
}

static const char *number(char *text, size_t len, double value)
{
    snprintf(text, len, value >= 10000 ? "%.0f" : value >= 100 ? "%.1f" : "%.2f", value);
    return text;
}

void row(struct row r)
{
    char us[24] = "-", base[24] = "-", value[32], quartiles[40] = "", target[32] = "-";
    const char *met = "-";
    int ratio = strcmp(r.unit, "x") == 0;
    if (r.us > 0)
        number(us, sizeof us, r.us);
    if (r.base_us > 0)
        number(base, sizeof base, r.base_us);
    snprintf(value, sizeof value, ratio ? "%.3f%s" : "%.2f %s", r.value, r.unit);
    if (r.low > 0)
        snprintf(quartiles, sizeof quartiles, "%.3f..%.3f", r.low, r.high);
    if (r.target > 0) {
        int holds = r.direction == AT_MOST ? r.value <= r.target : r.value >= r.target;
        missed += !holds;
        met = holds ? "yes" : "NO";
        snprintf(target, sizeof target, "%s%.2f", r.direction == AT_MOST ? "<= " : ">= ", r.target);
    }
    printf("%-46s %-13s %8s %11s %11s %12s %15s %9s %-4s %6zu\n", r.what, r.place ? r.place->name : "-", size_text(r.size), us, base, value,
           quartiles, target, met, r.rounds);
    fflush(stdout);
    if (settings.tsv) {
        fprintf(settings.tsv, "%s\t%s\t%s\t%zu\t%.6g\t%.6g\t%.6g\t%.6g\t%.6g\t%s\t%s\t%s\t%zu\n", r.part, r.what,
                r.place ? r.place->name : "-", r.size, r.us, r.base_us, r.value, r.low, r.high, r.unit, target, met, r.rounds);
        fflush(settings.tsv);
    }
}

/* Of one contestant beside the first one; the figure itself is to be filled in. */
static struct row row_of(const char *part, const char *what, const struct place *place, size_t size, const struct contestant *contestants,
                         size_t which)
{
    return (struct row){
        .part = part, .what = what, .place = place, .size = size, .us = contestants[which].us, .base_us = contestants[0].us, .unit = "x"
    };
}

void row_ratio(const char *part, const char *what, const struct place *place, size_t size, const struct contestant *contestants,
               size_t which, double target, size_t rounds)
{
    const struct contestant *c = &contestants[which];
    struct row r = row_of(part, what, place, size, contestants, which);
    r.value = c->ratio, r.low = c->ratio_low, r.high = c->ratio_high, r.target = target, r.rounds = rounds;
    row(r);
}

void row_times(const char *part, const char *what, const struct place *place, size_t size, const struct contestant *contestants,
               size_t which, double target, size_t rounds)
{
    const struct contestant *c = &contestants[which];
    struct row r = row_of(part, what, place, size, contestants, which);
    r.value = 1 / c->ratio, r.low = 1 / c->ratio_high, r.high = 1 / c->ratio_low, r.target = target, r.rounds = rounds;
    r.direction = AT_LEAST;
    row(r);
}

void row_skipped(const char *part, const char *what, const struct place *place, size_t size, const char *reason)
{
    printf("%-46s %-13s %8s SKIPPED: %s\n", what, place ? place->name : "-", size_text(size), reason);
    fflush(stdout);
    if (settings.tsv)
        fprintf(settings.tsv, "%s\t%s\t%s\t%zu\t0\t0\t0\t0\t0\t%s\t-\tskipped\t0\n", part, what, place ? place->name : "-", size, reason);
}

size_t rows_missed(void)
{
    return missed;
}
