/* What reaches the device: requests to flush its cache, writes and bytes, from its counters. */
#define _GNU_SOURCE
#include "bench.h"

#include <stdlib.h>
#include <string.h>

struct counters {
    double flushes, writes, kib;
};

/* Documentation/block/stat.rst: fields 5 and 7 are writes and sectors written, 16 the flushes. */
static struct counters counters_of(const struct place *place)
{
    unsigned long long f[17] = { 0 };
    FILE *file = fopen(place->device, "r");
    must(file != NULL, place->device);
    size_t fields = 0;
    while (fields < 17 && fscanf(file, "%llu", &f[fields]) == 1)
        fields++;
    fclose(file);
    must(fields >= 16, place->device);
    return (struct counters){ (double)f[15], (double)f[4], (double)f[6] / 2 };
}

static void count_of(const struct place *place, const char *what, void (*run)(void *), double (*remote)(void *, size_t), void *arg,
                     size_t states)
{
    enum { MOST = 100 };
    size_t times = states > 1 ? (settings.quick ? 1 : 5) : settings.quick ? 20 : MOST;
    double flushes[MOST], writes[MOST], kib[MOST];
    for (size_t i = 0; i < times + 2; i++) {
        struct counters a = counters_of(place);
        if (remote)
            remote(arg, 1);
        else
            run(arg);
        struct counters b = counters_of(place);
        if (i < 2) /* the first ones create */
            continue;
        flushes[i - 2] = (b.flushes - a.flushes) / (double)states;
        writes[i - 2] = (b.writes - a.writes) / (double)states;
        kib[i - 2] = (b.kib - a.kib) / (double)states;
    }
    double f = median(flushes, times), w = median(writes, times), k = median(kib, times);
    printf("%-46s %-13s %12.3f %12.3f %12.1f\n", what, place->name, f, w, k);
    fflush(stdout);
    if (settings.tsv)
        fprintf(settings.tsv, "flushes\t%s\t%s\t1024\t%.6g\t%.6g\t%.6g\t0\t0\tflushes,writes,KiB\t-\t-\t%zu\n", what, place->name, f, w, k,
                times);
}

void part_flushes(const struct place *place)
{
    printf("\ndevice requests for each state of 1 KiB, medians; the device of /tmp is shared with everybody\n%-46s %-13s %12s %12s %12s\n",
           "what", "on", "flushes", "writes", "KiB written");
    if (place->device[0] == 0) {
        row_skipped("flushes", "all", place, 1024, "no block device");
        return;
    }
    struct saver bare = new_saver(&lib, place, "bare", 1024, 0), save = new_saver(&lib, place, "save", 1024, 0);
    struct saver keep = new_saver(&lib, place, "keep", 1024, STEADFAST_SAVE_KEEP_PREVIOUS);
    count_of(place, "bare C", saver_bare, NULL, &bare, 1);
    struct saver plain = new_saver(&lib, place, "plain", 1024, STEADFAST_SAVE_PLAIN);
    struct saver alternate = new_saver(&lib, place, "alternate", 1024, STEADFAST_SAVE_ALTERNATE);
    count_of(place, "steadfast", saver_run, NULL, &save, 1);
    count_of(place, "steadfast, PLAIN", saver_run, NULL, &plain, 1);
    count_of(place, "steadfast, KEEP_PREVIOUS", saver_run, NULL, &keep, 1);
    saver_run(&alternate); /* two saves make its files */
    count_of(place, "steadfast, ALTERNATE", saver_run, NULL, &alternate, 1);
    saver_remove(&bare), saver_remove(&save), saver_remove(&plain), saver_remove(&keep), saver_remove(&alternate);
    count_batches(place, count_of);
    for (size_t i = 0; i < peer_count; i++) {
        struct worker worker;
        worker_start(&worker, &peers[i], place, 1024);
        count_of(place, peers[i].name, NULL, worker_turn, &worker, 1);
        worker_stop(&worker);
    }
    remove_leftovers(place);
}
