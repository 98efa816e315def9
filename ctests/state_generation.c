/* Generations: a number counts only when it is verified, and none comes again. */
#include "tap.h"
#include "state_test.h"
#include "record.h"

/* The clock of this test, in microseconds. */
#define CLOCK UINT64_C(1700000000000000)
#define HIGH (UINT64_C(1) << 61)
#define LIMIT (UINT64_C(1) << 62)
#define LAST UINT64_MAX
#define KEEP STEADFAST_SAVE_KEEP_PREVIOUS
#define SWAP STEADFAST_SAVE_IF_GENERATION
#define HEAD " head=00000000"

/* What may be at PATH or PATH.prev. */
enum { NONE, FOUR, FIVE, NINE, TORN, BITS, FOREIGN, EMPTY, AT_HIGH, OLD, OLD_BELOW, OLD_LIMIT, OLD_LAST, AT_LAST, NEWER, KINDS };
static const char *const NAMES[KINDS] = { "nothing",
                                          "4",
                                          "5",
                                          "9",
                                          "5 with a damaged payload",
                                          "5 with a bit of its number flipped",
                                          "a foreign file",
                                          "an empty file",
                                          "2^61",
                                          "5 without head=",
                                          "2^62 - 1 without head=",
                                          "2^62 without head=",
                                          "the last number without head=",
                                          "the last number",
                                          "a later format" };
static struct record kinds[KINDS];
static char path[300], previous[310];
static steadfast_context *c;

static int32_t fixed_clock(void *user, int32_t clock, int64_t *ns)
{
    (void)user;
    if (clock != STEADFAST_CLOCK_REALTIME)
        return REAL->clock(NULL, clock, ns);
    *ns = (int64_t)CLOCK * 1000 + 999;
    return 0;
}

static int32_t no_sync(void *user, int32_t fd)
{
    (void)user, (void)fd;
    return 0;
}

static void make_kinds(void)
{
    static const struct {
        int kind;
        uint64_t generation;
        const char *keys;
    } RECORDS[] = { { FOUR, 4, HEAD },        { FIVE, 5, HEAD },      { NINE, 9, HEAD },
                    { AT_HIGH, HIGH, HEAD },  { OLD, 5, "" },         { OLD_BELOW, LIMIT - 1, "" },
                    { OLD_LIMIT, LIMIT, "" }, { OLD_LAST, LAST, "" }, { AT_LAST, LAST, HEAD } };
    for (size_t i = 0; i < sizeof RECORDS / sizeof RECORDS[0]; i++)
        kinds[RECORDS[i].kind] = make_record(1, RECORDS[i].generation, RECORDS[i].keys, "payload");
    kinds[NEWER] = make_record(2, 7, "", "of a later version");
    kinds[TORN] = kinds[FIVE];
    kinds[TORN].bytes[RECORD_HEADER + 2] ^= 1;
    kinds[BITS] = kinds[FIVE];
    kinds[BITS].bytes[109 + 3] ^= 1;
    kinds[FOREIGN].len = 300;
    memset(kinds[FOREIGN].bytes, 'f', 300);
}

static void put(int current, int before)
{
    unlink(path);
    unlink(previous);
    if (current != NONE)
        put_record(path, &kinds[current]);
    if (before != NONE)
        put_record(previous, &kinds[before]);
}

/* Is what `put` made still there? */
static int untouched(int current, int before)
{
    return (current == NONE ? !exists(path) : is_record(path, &kinds[current]))
           && (before == NONE ? !exists(previous) : is_record(previous, &kinds[before]));
}

struct row {
    int current, previous;
    uint32_t flags;
    uint64_t expected;   /* with SWAP */
    int status;          /* 0: it is saved */
    uint64_t generation; /* written, or reported with E_CONFLICT */
};

static void check_row(const struct row *r)
{
    steadfast_save_options o = { .size = sizeof o, .flags = r->flags, .expected_generation = r->expected };
    steadfast_state state = { .size = sizeof state };
    char name[300];
    int status, wanted = r->status == 0 ? SAVED : r->status;
    snprintf(name, sizeof name, "%s, previous %s: %s%s%llu", NAMES[r->current], NAMES[r->previous],
             (r->flags & KEEP) != 0 ? "KEEP_PREVIOUS" : "", (r->flags & SWAP) != 0 ? " IF_GENERATION " : " ",
             (unsigned long long)r->expected);
    put(r->current, r->previous);
    report.size = sizeof report;
    status = steadfast_state_save(c, path, "new", 3, &o, &report);
    if (r->status != 0) {
        ok(status == wanted && untouched(r->current, r->previous) && report.on_disk == STEADFAST_ON_DISK_OLD
               && (status != STEADFAST_E_CONFLICT || report.generation == r->generation),
           "%s is %s, nothing changes", name, steadfast_status_name(r->status));
        if (status != wanted || (status == STEADFAST_E_CONFLICT && report.generation != r->generation))
            diag("%s, generation %llu", steadfast_status_name(status), (unsigned long long)report.generation);
        return;
    }
    ok(status == wanted && report.generation == r->generation && steadfast_state_load(NULL, path, NULL, &state, NULL) == 0
           && state.generation == r->generation,
       "%s becomes %llu", name, (unsigned long long)r->generation);
    if (status != wanted || report.generation != r->generation)
        diag("%s, generation %llu", steadfast_status_name(status), (unsigned long long)report.generation);
    steadfast_state_free(&state);
}

static const struct row ROWS[] = {
    /* A plain save reads 256 bytes, and PATH.prev only where they give no number. */
    { NONE, NONE, 0, 0, 0, 1 },
    { NONE, FIVE, 0, 0, 0, CLOCK },
    { NONE, AT_HIGH, 0, 0, 0, HIGH + 1 },
    { NONE, BITS, 0, 0, 0, CLOCK },
    { NONE, FOREIGN, 0, 0, 0, CLOCK },
    { NONE, EMPTY, 0, 0, 0, CLOCK },
    { NONE, OLD_LAST, 0, 0, 0, CLOCK },
    { NONE, AT_LAST, 0, 0, -EOVERFLOW, 0 },
    { FIVE, NONE, 0, 0, 0, 6 },
    { FIVE, FOUR, 0, 0, 0, 6 },
    { BITS, NONE, 0, 0, 0, CLOCK },
    { BITS, NINE, 0, 0, 0, CLOCK },
    { BITS, AT_HIGH, 0, 0, 0, HIGH + 1 },
    { FOREIGN, NONE, 0, 0, 0, CLOCK },
    { FOREIGN, FOREIGN, 0, 0, 0, CLOCK },
    { FOREIGN, AT_HIGH, 0, 0, 0, HIGH + 1 },
    { EMPTY, NONE, 0, 0, 0, CLOCK },
    { OLD, NONE, 0, 0, 0, 6 },
    { OLD_BELOW, NONE, 0, 0, 0, LIMIT },
    { OLD_LIMIT, NONE, 0, 0, 0, CLOCK },
    { OLD_LAST, NONE, 0, 0, 0, CLOCK },
    { AT_LAST, NONE, 0, 0, -EOVERFLOW, 0 },
    { NEWER, NONE, 0, 0, 0, CLOCK },
    /* KEEP_PREVIOUS verifies by the digest, and counts on from the higher of the two. */
    { NONE, NONE, KEEP, 0, 0, 1 },
    { NONE, FIVE, KEEP, 0, 0, CLOCK },
    { NONE, AT_HIGH, KEEP, 0, 0, HIGH + 1 },
    { FIVE, NONE, KEEP, 0, 0, 6 },
    { FIVE, FOUR, KEEP, 0, 0, 6 },
    { FIVE, NINE, KEEP, 0, 0, 10 },
    { FIVE, FOREIGN, KEEP, 0, 0, 6 },
    { FIVE, AT_LAST, KEEP, 0, -EOVERFLOW, 0 },
    { TORN, NONE, KEEP, 0, 0, CLOCK },
    { TORN, NINE, KEEP, 0, 0, CLOCK },
    { TORN, AT_HIGH, KEEP, 0, 0, HIGH + 1 },
    { FOREIGN, NONE, KEEP, 0, 0, CLOCK },
    { OLD_LIMIT, NONE, KEEP, 0, 0, LIMIT + 1 },
    { OLD_LAST, NONE, KEEP, 0, -EOVERFLOW, 0 },
};

static const struct row SWAPS[] = {
    { NONE, NONE, SWAP, 0, 0, 1 },
    { NONE, NONE, SWAP, 5, STEADFAST_E_CONFLICT, 0 },
    { FIVE, NONE, SWAP, 5, 0, 6 },
    { FIVE, NINE, SWAP, 5, 0, 10 },
    { FIVE, NINE, SWAP, 9, STEADFAST_E_CONFLICT, 5 },
    { FIVE, NONE, SWAP, 0, STEADFAST_E_CONFLICT, 5 },
    /* PATH is missing: 0 also means no PATH.prev, and what RECOVER gives can be saved again. */
    { NONE, FIVE, SWAP, 0, STEADFAST_E_CONFLICT, 5 },
    { NONE, FIVE, SWAP, 5, 0, CLOCK },
    { NONE, FIVE, SWAP | KEEP, 5, 0, CLOCK },
    { NONE, AT_HIGH, SWAP, HIGH, 0, HIGH + 1 },
    { NONE, FIVE, SWAP, 4, STEADFAST_E_CONFLICT, 5 },
    { NONE, TORN, SWAP, 0, STEADFAST_E_CONFLICT, 0 },
    { NONE, TORN, SWAP, 5, STEADFAST_E_DIGEST, 0 },
    { NONE, FOREIGN, SWAP, 0, STEADFAST_E_CONFLICT, 0 },
    { NONE, FOREIGN, SWAP, 5, STEADFAST_E_FORMAT, 0 },
    { NONE, EMPTY, SWAP, 5, STEADFAST_E_EMPTY, 0 },
    /* PATH is damaged. */
    { TORN, NONE, SWAP, 0, STEADFAST_E_DIGEST, 0 },
    { TORN, NONE, SWAP, 5, STEADFAST_E_DIGEST, 0 },
    { TORN, FOUR, SWAP, 4, 0, CLOCK },
    { TORN, FOUR, SWAP | KEEP, 4, 0, CLOCK },
    { TORN, FOUR, SWAP, 5, STEADFAST_E_CONFLICT, 4 },
    { TORN, FOUR, SWAP, 0, STEADFAST_E_CONFLICT, 4 },
    { TORN, BITS, SWAP, 5, STEADFAST_E_DIGEST, 0 },
    { BITS, FOUR, SWAP, 4, 0, CLOCK },
    { EMPTY, NONE, SWAP, 0, STEADFAST_E_EMPTY, 0 },
    { FOREIGN, NONE, SWAP, 0, STEADFAST_E_FORMAT, 0 },
    { FOREIGN, FOUR, SWAP, 4, 0, CLOCK },
    { OLD_LAST, NONE, SWAP, LAST, -EOVERFLOW, 0 },
    /* PATH is neither missing nor damaged, though this version cannot read its number. */
    { NEWER, NONE, SWAP, 0, STEADFAST_E_NEWER, 0 },
    { NEWER, FOUR, SWAP, 4, STEADFAST_E_NEWER, 0 },
};

/* The check of the header, made by sha256sum from what the library wrote. */
static void heads(void)
{
    for (uint32_t unsynced = 0; unsynced < 2; unsynced++) {
        char checked[RECORD_HEADER], *bytes;
        size_t len;
        save_with(c, path, "checked", unsynced ? STEADFAST_SAVE_NO_SYNC : 0);
        bytes = read_file(path, &len);
        memcpy(checked, bytes, sizeof checked);
        record_head(checked, RECORD_KEYS + 6);
        ok(memcmp(bytes + RECORD_KEYS, " head=", 6) == 0 && memcmp(checked, bytes, sizeof checked) == 0,
           "head= is SHA-256 of bytes 68 to 255 with its own digits as zeros%s", unsynced ? ", unsynced=1 among them" : "");
        free(bytes);
    }
}

/* Whatever bit of a header flips: a plain save works, and counts from the right number or from the clock. */
static void flipped_bits(void)
{
    int wrong = 0, counted = 0, flips = 0;
    for (size_t bit = 0; bit < RECORD_HEADER * 8; bit += test_small() ? 13 : 1) {
        struct record r = kinds[FIVE];
        size_t at = bit / 8;
        int may_count = at < RECORD_COVERED || (at >= RECORD_KEYS && at < RECORD_KEYS + 6);
        r.bytes[at] ^= (char)(1 << bit % 8);
        put_record(path, &r);
        unlink(previous);
        int status = save_with(c, path, "after a flip", 0);
        int right = report.generation == CLOCK || (may_count && report.generation == 6);
        flips++;
        counted += report.generation == 6;
        if (status != SAVED || !right)
            diag("byte %zu, bit %zu: %s, generation %llu", at, bit % 8, steadfast_status_name(status),
                 (unsigned long long)report.generation);
        wrong += status != SAVED || !right;
    }
    ok(wrong == 0 && counted > 0 && counted < flips,
       "%d flips of a bit in a header: none stops a save, none that the check covers is counted (%d counted)", flips, counted);
}

/* A client that sleeps since generation 1, while the state is damaged or lost and recovered. */
static void sleeper(int lost)
{
    const char *how = lost ? "lost" : "damaged";
    steadfast_load_options recover = { .size = sizeof recover, .flags = STEADFAST_LOAD_RECOVER };
    steadfast_save_options o = { .size = sizeof o, .flags = SWAP };
    steadfast_state state = { .size = sizeof state };
    unlink(path);
    unlink(previous);
    for (int i = 0; i < 3; i++)
        save_with(c, path, "state", KEEP);
    if (lost ? unlink(path) != 0 : truncate(path, 100) != 0)
        bail_out("%s: %s", path, strerror(errno));
    is_int(steadfast_state_load(NULL, path, &recover, &state, NULL), STEADFAST_RECOVERED, "%s: RECOVER", how);
    is_int(state.generation, 2, "%s: gives generation 2", how);
    if (NO_FLOCK) {
        skip("without flock (absent) IF_GENERATION is E_UNSUPPORTED", "%s: it is saved again, and no sleeper wins", how);
        save_with(c, path, "plain", 0);
        ok(report.generation == CLOCK, "%s: a plain save does not begin again at 1", how);
    } else {
        o.expected_generation = state.generation;
        is_int(steadfast_state_save(c, path, "recovered", 9, &o, &report), SAVED, "%s: what was recovered is saved again", how);
        ok(report.generation == CLOCK, "%s: under a number that never was", how);
        for (o.expected_generation = 0; o.expected_generation < 4; o.expected_generation++)
            is_int(steadfast_state_save(c, path, "sleeper", 7, &o, NULL), STEADFAST_E_CONFLICT, "%s: who expects %llu gets E_CONFLICT", how,
                   (unsigned long long)o.expected_generation);
        ok(holds(path, "recovered"), "%s: and what was recovered stays", how);
    }
    steadfast_state_free(&state);
}

/* A power cut in a KEEP_PREVIOUS save leaves one file under both names. Its flock is taken once. */
static void one_file(void)
{
    if (NO_FLOCK) {
        skip("without flock (absent) IF_GENERATION is E_UNSUPPORTED", "a swap over one file with two names");
        return;
    }
    for (int n = 0; n < 2; n++) {
        steadfast_save_options o = { .size = sizeof o, .flags = SWAP, .expected_generation = (uint64_t)n * 5, .timeout_ms = 300 };
        unlink(path), unlink(previous);
        put_record(path, &kinds[TORN]);
        if (link(path, previous) != 0)
            bail_out("link: %s", strerror(errno));
        is_int(steadfast_state_save(c, path, "new", 3, &o, NULL), STEADFAST_E_DIGEST,
               "IF_GENERATION %d, one damaged file under both names: E_DIGEST", n * 5);
        is_int(steadfast_state_remove(c, path, &o, NULL), STEADFAST_E_DIGEST, "and a removal is, too");
    }
    unlink(path), unlink(previous);
}

int main(void)
{
    steadfast_hooks h = test_hooks();
    dir = make_temp_dir("generation");
    h.clock = fixed_clock;
    h.fsync = no_sync;
    c = test_context(&h);
    snprintf(path, sizeof path, "%s/s", dir);
    snprintf(previous, sizeof previous, "%s/s.prev", dir);
    make_kinds();
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++)
        check_row(&ROWS[i]);
    for (size_t i = 0; i < sizeof SWAPS / sizeof SWAPS[0]; i++)
        if (NO_FLOCK)
            skip("without flock (absent) IF_GENERATION is E_UNSUPPORTED", "a swap of generations");
        else
            check_row(&SWAPS[i]);
    heads();
    flipped_bits();
    sleeper(0);
    sleeper(1);
    one_file();
    ok(*leftovers(dir, "s s.prev") == '\0', "nothing is left over%s", leftovers(dir, "s s.prev"));
    steadfast_context_free(c);
    remove_tree(dir);
    free(dir);
    return done_testing();
}
