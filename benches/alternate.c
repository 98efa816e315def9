/* STEADFAST_SAVE_ALTERNATE, one flush for each save, against everything else that is durable: in the same rounds. */
#define _GNU_SOURCE
#include "bench.h"

#include <string.h>

enum { K = 1024 };

/* Times of the bare sequence that a save of this size may take. */
static double target_of(const struct place *place, size_t size)
{
    static const struct {
        const char *place;
        double small, large; /* 1 KiB, 64 KiB */
    } targets[] = { { "ext4", 0.22, 0.36 }, { "xfs", 0.32, 0.46 }, { "btrfs", 0.65, 0 } };
    if (place->memory)
        return size == K ? 0.9 : 0;
    for (size_t i = 0; place->journal && i < sizeof targets / sizeof *targets; i++)
        if (strcmp(place->name, targets[i].place) == 0)
            return size == K ? targets[i].small : targets[i].large;
    return size == K ? 0.40 : 0.58;
}

/* Those that do not rename: a part of their time, or 0 without a target. -1: not one of them. */
static double target_of_peer(const struct place *place, size_t size, const char *name)
{
    double target = place->memory || size != K ? 0 : strcmp(place->name, "btrfs") == 0 ? 1.0 : 0.75;
    if (strcmp(name, "LMDB") == 0 || strcmp(name, "SQLite WAL FULL") == 0)
        return target;
    return strcmp(name, "SQLite DELETE FULL") == 0 || strcmp(name, "LevelDB") == 0 || strcmp(name, "RocksDB") == 0 ? 0 : -1;
}

static void saves_of(const struct place *place, size_t size)
{
    enum { OURS, BARE, SAVE, OWN, MOST = OWN + 8 };
    struct saver s[OWN] = {
        [OURS] = new_saver(&lib, place, "alternate", size, STEADFAST_SAVE_ALTERNATE),
        [BARE] = new_saver(&lib, place, "bare", size, 0),
        [SAVE] = new_saver(&lib, place, "save", size, 0),
    };
    struct worker workers[MOST];
    struct contestant c[MOST] = {
        [OURS] = { .run = saver_run, .arg = &s[OURS] },
        [BARE] = { .name = "bare C", .run = saver_bare, .arg = &s[BARE] },
        [SAVE] = { .name = "save", .run = saver_run, .arg = &s[SAVE] },
    };
    double targets[MOST] = { [BARE] = target_of(place, size) };
    size_t count = OWN;
    for (size_t i = 0; i < peer_count && count < MOST; i++) {
        double target = target_of_peer(place, size, peers[i].name);
        if (target < 0)
            continue;
        worker_start(&workers[count], &peers[i], place, size);
        c[count] = (struct contestant){ .name = peers[i].name, .remote = worker_turn, .arg = &workers[count] };
        targets[count++] = target;
    }
    for (int made = 0; made < 3; made++) /* the two files, and the sync of their directory */
        saver_run(&s[OURS]);
    size_t rounds = contest(c, count, 15);
    for (size_t i = BARE; i < count; i++) {
        char what[64];
        snprintf(what, sizeof what, "ALTERNATE / %s", c[i].name);
        row((struct row){ .part = "alternate",
                          .what = what,
                          .place = place,
                          .size = size,
                          .us = c[OURS].us,
                          .base_us = c[i].us,
                          .value = 1 / c[i].ratio,
                          .low = 1 / c[i].ratio_high,
                          .high = 1 / c[i].ratio_low,
                          .unit = "x",
                          .target = targets[i],
                          .rounds = rounds });
    }
    for (size_t i = OWN; i < count; i++)
        worker_stop(&workers[i]);
    remove_leftovers(place);
}

static void load(void *arg)
{
    struct saver *s = arg;
    steadfast_state state = { .size = sizeof state };
    must(s->api->load(NULL, s->path, NULL, &state, NULL) == 0 && state.len == s->size, "steadfast_state_load");
    s->api->state_free(&state);
}

static void loads_of(const struct place *place, size_t size)
{
    enum { PLAIN, PATH, PREVIOUS, KINDS };
    static const char *const names[] = { [PATH] = "load, alternating / a plain one", [PREVIOUS] = "  the newest is PATH.prev" };
    struct saver s[KINDS] = { [PLAIN] = new_saver(&lib, place, "plain", size, 0),
                              [PATH] = new_saver(&lib, place, "path", size, STEADFAST_SAVE_ALTERNATE),
                              [PREVIOUS] = new_saver(&lib, place, "previous", size, STEADFAST_SAVE_ALTERNATE) };
    struct contestant c[KINDS];
    for (size_t i = 0; i < KINDS; i++) {
        for (int saves = i == PATH ? 4 : 3; saves > 0; saves--)
            saver_run(&s[i]);
        c[i] = (struct contestant){ .run = load, .arg = &s[i] };
    }
    size_t rounds = contest(c, KINDS, 15);
    for (size_t i = PATH; i < KINDS; i++)
        row_ratio("alternate", names[i], place, size, c, i, size != K ? 0 : i == PATH ? 1.7 : 2.3, rounds);
    for (size_t i = 0; i < KINDS; i++)
        saver_remove(&s[i]);
}

void part_alternate(const struct place *place)
{
    static const size_t sizes[] = { K, 64 * K };
    table_head("ALTERNATE / others that are durable, in the same rounds");
    for (size_t i = 0; i < (settings.quick ? 1 : 2); i++) {
        saves_of(place, sizes[i]);
        if (!place->journal)
            loads_of(place, sizes[i]);
    }
}
