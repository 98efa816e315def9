/* Whole saves against the bare sequence, and many states at once. */
#define _GNU_SOURCE
#include "bench.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const size_t K = 1024, M = 1024 * 1024;

static double target_plain(const struct place *place, size_t size)
{
    return !place->memory && size == K ? 1.06 : 0;
}

static double target_record(const struct place *place, size_t size)
{
    if (place->memory)
        return size == K ? 1.35 : 0;
    return size == K ? 1.05 : size == 64 * M ? 1.0 : size == 1024 * M ? 0.95 : 0;
}

enum { BARE, SAVE, PLAIN, OTHER, BARE_FIRST, FIRST, KEEP, NO_SYNC, KINDS };

/* Those of `kinds` against the first one, which is bare. */
static void saves_beside(const struct place *place, size_t size, struct saver *s, const size_t *kinds, size_t count)
{
    static const char *const names[KINDS] = {
        [SAVE] = "save",
        [PLAIN] = "save, PLAIN",
        [OTHER] = "  --against: save",
        [BARE_FIRST] = "  bare, nothing there before",
        [FIRST] = "  save, nothing there before",
        [KEEP] = "save, KEEP_PREVIOUS",
        [NO_SYNC] = "save, NO_SYNC",
    };
    struct contestant c[KINDS];
    for (size_t i = 0; i < count; i++) {
        size_t k = kinds[i];
        c[i] = (struct contestant){
            .run = k == BARE || k == BARE_FIRST ? saver_bare : saver_run,
            .before = k == FIRST || k == BARE_FIRST ? saver_remove : NULL,
            .arg = &s[k],
        };
    }
    size_t rounds = contest(c, count, size > 256 * M ? 3 : size >= 16 * M ? (settings.quick ? 3 : 5) : 15);
    for (size_t i = 1; i < count; i++) {
        double target = kinds[i] == SAVE ? target_record(place, size) : kinds[i] == PLAIN ? target_plain(place, size) : 0;
        row_ratio("saves", names[kinds[i]], place, size, c, i, target, rounds);
    }
}

/* What has a target by itself: after a save without a sync the next one, whoever makes it, waits for what that one has left. */
static void saves_of(const struct place *place, size_t size)
{
    struct saver s[KINDS] = {
        [BARE] = new_saver(&lib, place, "bare", size, 0),
        [SAVE] = new_saver(&lib, place, "save", size, 0),
        [PLAIN] = new_saver(&lib, place, "plain", size, STEADFAST_SAVE_PLAIN),
        [OTHER] = new_saver(&other, place, "other", size, 0),
        [BARE_FIRST] = new_saver(&lib, place, "bare-first", size, 0),
        [FIRST] = new_saver(&lib, place, "first", size, 0),
        [KEEP] = new_saver(&lib, place, "keep", size, STEADFAST_SAVE_KEEP_PREVIOUS),
        [NO_SYNC] = new_saver(&lib, place, "no-sync", size, STEADFAST_SAVE_NO_SYNC),
    };
    static const size_t durable[] = { BARE, SAVE, PLAIN, OTHER }, small[] = { BARE, BARE_FIRST, FIRST, KEEP, NO_SYNC },
                        large[] = { BARE, KEEP, NO_SYNC };
    saves_beside(place, size, s, durable, other.save ? 4 : 3);
    /* Large ones: what differs by a name less is nothing. */
    if (size > M)
        saves_beside(place, size, s, large, sizeof large / sizeof *large);
    else
        saves_beside(place, size, s, small, sizeof small / sizeof *small);
    for (size_t k = 0; k < KINDS; k++)
        saver_remove(&s[k]);
}

void part_saves(const struct place *place)
{
    static const size_t sizes[] = { 1, 64, 1024, 16 * 1024, 64 * 1024, 1024 * 1024 }; /* KiB */
    table_head("saves / open, write, fsync, rename, fsync the directory");
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t size = sizes[i] * K;
        if (size > 64 * M && (!settings.full || place->journal))
            continue;
        if (settings.quick && size != K && size != 64 * M)
            continue;
        if (settings.quick && size > M && place->journal)
            continue;
        saves_of(place, size);
    }
}

enum { STATES = 1000 };
struct many {
    struct saver *savers;
    struct entry *entries;
    size_t count;
    steadfast_save_options options;
};

static void one_by_one(void *arg)
{
    struct many *many = arg;
    for (size_t i = 0; i < many->count; i++)
        saver_run(&many->savers[i]);
}

static void bare_one_by_one(void *arg)
{
    struct many *many = arg;
    for (size_t i = 0; i < many->count; i++)
        saver_bare(&many->savers[i]);
}

static void batch(void *arg)
{
    struct many *many = arg;
    must(lib.save_batch(NULL, many->entries, many->count, &many->options, NULL) == 0, "steadfast_state_save_batch");
}

static struct many new_many(const struct place *place, const char *name, size_t count, uint32_t flags)
{
    struct many many = { .savers = calloc(count, sizeof *many.savers),
                         .entries = calloc(count, sizeof *many.entries),
                         .count = count,
                         .options = { .size = sizeof many.options, .flags = flags } };
    must(many.savers && many.entries, "calloc");
    for (size_t i = 0; i < count; i++) {
        char file[40];
        snprintf(file, sizeof file, "%s-%zu", name, i);
        many.savers[i] = new_saver(&lib, place, file, K, 0);
        many.entries[i] =
            (struct entry){ .size = sizeof *many.entries, .path = many.savers[i].path, .data = many.savers[i].data, .len = K };
    }
    return many;
}

static void drop_many(struct many *many)
{
    for (size_t i = 0; i < many->count; i++)
        saver_remove(&many->savers[i]);
    free(many->savers);
    free(many->entries);
}

/* All ways that this build has; `part` "batch" with targets, "count" without. */
static void many_of(const struct place *place, const char *part, size_t count)
{
    int journal = place->journal, ext4 = strncmp(place->name, "ext4", 4) == 0, xfs = strncmp(place->name, "xfs", 3) == 0;
    double plain = strcmp(part, "batch") || place->memory ? 0 : !journal ? 2 : ext4 ? 6 : xfs ? 4 : 0;
    double syncfs = strcmp(part, "batch") || place->memory ? 0 : !journal ? 3 : ext4 ? 25 : xfs ? 18 : 0;
    struct many many[4] = {
        new_many(place, "one", count, 0),
        new_many(place, "bare", count, 0),
        new_many(place, "batch", count, 0),
        new_many(place, "syncfs", count, SYNCFS),
    };
    static const char *const names[4] = { "one by one", "  bare, one by one", "batch", "batch, SYNCFS" };
    struct contestant c[4] = { { .run = one_by_one, .arg = &many[0] } };
    int way[4] = { 0 };
    size_t n = 1;
    if (!settings.quick)
        way[n] = 1, c[n++] = (struct contestant){ .run = bare_one_by_one, .arg = &many[1] };
    if (lib.save_batch)
        way[n] = 2, c[n++] = (struct contestant){ .run = batch, .arg = &many[2] };
    if (lib.save_batch && SYNCFS)
        way[n] = 3, c[n++] = (struct contestant){ .run = batch, .arg = &many[3] };
    double budget = settings.budget_ms;
    if (count >= 100)
        settings.budget_ms = budget / 2; /* it is an average of many already */
    size_t rounds = contest(c, n, settings.quick ? 1 : 2);
    settings.budget_ms = budget;
    for (size_t i = 0; i < n; i++)
        row_times(part, names[way[i]], place, count * K, c, i, way[i] == 2 ? plain : way[i] == 3 ? syncfs : 0, rounds);
    if (!lib.save_batch)
        row_skipped(part, names[2], place, count * K, "not in this build");
    if (!lib.save_batch || !SYNCFS)
        row_skipped(part, names[3], place, count * K, "not in this build");
    for (size_t i = 0; i < 4; i++)
        drop_many(&many[i]);
}

/* ALTERNATE, against the bare sequence for each. */
static void in_place_of(const struct place *place)
{
    int journal = place->journal, ext4 = strcmp(place->name, "ext4") == 0, xfs = strcmp(place->name, "xfs") == 0;
    const double targets[] = { 0, !journal ? 7 : ext4 ? 17 : xfs ? 13 : 7, !journal ? 8.5 : ext4 ? 17 : xfs ? 14 : 0 };
    static const char *const names[] = { NULL, "batch, ALTERNATE / bare, one by one", "batch, ALTERNATE, SYNCFS / bare, one by one" };
    struct many many[] = { new_many(place, "bare", STATES, 0), new_many(place, "alternate", STATES, STEADFAST_SAVE_ALTERNATE),
                           new_many(place, "syncfs", STATES, STEADFAST_SAVE_ALTERNATE | SYNCFS) };
    struct contestant c[] = { { .run = bare_one_by_one, .arg = &many[0] },
                              { .run = batch, .arg = &many[1] },
                              { .run = batch, .arg = &many[2] } };
    for (size_t i = 1; i < 3; i++) /* two saves make the files, and the third has the directory synced */
        for (int made = 0; made < 3; made++)
            batch(&many[i]);
    size_t rounds = contest(c, 3, settings.quick ? 1 : 2);
    for (size_t i = 1; i < 3; i++)
        row_times("batch", names[i], place, STATES * K, c, i, targets[i], rounds);
    for (size_t i = 0; i < 3; i++)
        drop_many(&many[i]);
}

void part_batch(const struct place *place)
{
    table_head("1000 states of 1 KiB; value: how many times faster than one save after the other");
    many_of(place, "batch", STATES);
    in_place_of(place);
}

void part_count(const struct place *place)
{
    table_head("1 to 10,000 states of 1 KiB; value: how many times faster than one save after the other");
    for (size_t count = 1; count <= (settings.quick ? 100 : 10000); count *= 10)
        many_of(place, "count", count);
}

void count_batches(const struct place *place, count_function *count_of)
{
    if (!lib.save_batch) {
        row_skipped("flushes", "steadfast, batch of 1000", place, K, "not in this build");
        return;
    }
    struct many many = new_many(place, "batch", STATES, 0);
    count_of(place, "steadfast, batch of 1000", batch, NULL, &many, STATES);
    many.options.flags = SYNCFS;
    if (SYNCFS)
        count_of(place, "steadfast, batch of 1000, SYNCFS", batch, NULL, &many, STATES);
    many.options.flags = STEADFAST_SAVE_ALTERNATE;
    batch(&many), batch(&many); /* the files, and the sync of the directory, are made by the first three */
    count_of(place, "steadfast, batch of 1000, ALTERNATE", batch, NULL, &many, STATES);
    drop_many(&many);
}
