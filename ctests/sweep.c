/*
 * In the manner of SQLite's I/O tests: every call of every save and load is failed in turn, with every errno,
 * once and for ever, and after each it is checked that nothing is lost and that the result told the truth.
 */
#include "tap.h"
#include "check.h"

static struct subject LIBRARY = { .name = "steadfast" };

#define KEEP STEADFAST_SAVE_KEEP_PREVIOUS
#define IFGEN STEADFAST_SAVE_IF_GENERATION

static const struct scenario SAVES[] = {
    { "first save", 0, NOTHING, NOTHING, 300 },
    { "save over a state", 0, WHOLE, WHOLE, 300 },
    { "save over a damaged state", 0, DAMAGED, WHOLE, 300 },
    { "save of more than a page", 0, WHOLE, WHOLE, 5000 },
    { "STRICT", STEADFAST_SAVE_STRICT, WHOLE, WHOLE, 300 },
    { "KEEP_PREVIOUS", KEEP, WHOLE, NOTHING, 300 },
    { "KEEP_PREVIOUS over a previous one", KEEP, WHOLE, WHOLE, 300 },
    { "KEEP_PREVIOUS over a damaged state", KEEP, DAMAGED, WHOLE, 300 },
    { "KEEP_PREVIOUS and STRICT", KEEP | STEADFAST_SAVE_STRICT, WHOLE, WHOLE, 300 },
    { "IF_GENERATION, first", IFGEN, NOTHING, NOTHING, 300 },
    { "IF_GENERATION", IFGEN, WHOLE, WHOLE, 300 },
    { "IF_GENERATION and KEEP_PREVIOUS", IFGEN | KEEP, WHOLE, WHOLE, 300 },
    { "NO_SYNC", STEADFAST_SAVE_NO_SYNC, WHOLE, WHOLE, 300 },
    { "NO_SYNC and KEEP_PREVIOUS", STEADFAST_SAVE_NO_SYNC | KEEP, WHOLE, WHOLE, 300 },
    { "CREATE_PARENTS", STEADFAST_SAVE_CREATE_PARENTS, NOTHING, NOTHING, 300 },
    { "CREATE_PARENTS and STRICT", STEADFAST_SAVE_CREATE_PARENTS | STEADFAST_SAVE_STRICT, NOTHING, NOTHING, 300 },
};

#define RECOVER STEADFAST_LOAD_RECOVER

static const struct scenario LOADS[] = {
    { "load", 0, WHOLE, WHOLE, 0 },
    { "load of a damaged state", 0, DAMAGED, WHOLE, 0 },
    { "load of a lost state", 0, NOTHING, WHOLE, 0 },
    { "load of nothing", 0, NOTHING, NOTHING, 0 },
    { "RECOVER, not needed", RECOVER, WHOLE, WHOLE, 0 },
    { "RECOVER of a damaged state", RECOVER, DAMAGED, WHOLE, 0 },
    { "RECOVER of a lost state", RECOVER, NOTHING, WHOLE, 0 },
    { "RECOVER, both damaged", RECOVER, DAMAGED, DAMAGED, 0 },
};

static void sweep(struct world *w, checker *check, const struct scenario *s)
{
    const char *wrong = sweep_baseline(w, check, &LIBRARY, s);
    if (!ok(wrong == NULL, "sweep: %s: without a fault %s", s->name, steadfast_status_name(w->baseline)))
        diag("%s", wrong);
    for (int i = 0; i < SWEEP_ERROR_COUNT; i++) {
        long runs = 0;
        int error = SWEEP_ERRORS[i];
        if (!sweep_takes(error))
            continue;
        wrong = sweep_calls(w, check, &LIBRARY, s, error, 0, &runs);
        /* Under valgrind a million retries are too many. */
        if (wrong == NULL && !(test_small() && error == EINTR))
            wrong = sweep_calls(w, check, &LIBRARY, s, error, 1, &runs);
        if (!ok(wrong == NULL, "sweep: %s: %s, once and for ever, %ld runs", s->name, steadfast_status_name(-error), runs))
            diag("%s", wrong);
    }
}

static void short_writes(struct world *w, const struct scenario *s)
{
    static const char *const NAMES[] = { "", "of one byte", "of half", "of nothing" };
    sweep_baseline(w, check_save, &LIBRARY, s);
    for (int kind = SHORT_ONE_BYTE; kind <= SHORT_NOTHING; kind++) {
        struct fault fault = { .short_writes = kind };
        const char *wrong = check_save(w, &LIBRARY, s, &fault);
        if (!ok(wrong == NULL, "sweep: %s: writes %s", s->name, NAMES[kind]))
            diag("%s", wrong);
    }
}

/* A file system that answers every fsync of a file with an error, and those of directories with success. */
static void file_syncs(struct world *w, const struct scenario *s)
{
    const char *wrong = sweep_baseline(w, check_save, &LIBRARY, s);
    for (int i = 0; i < SWEEP_ERROR_COUNT && wrong == NULL; i++) {
        struct fault fault = { .error = SWEEP_ERRORS[i], .file_syncs = 1 };
        if (fault.error != EINTR)
            wrong = check_save(w, &LIBRARY, s, &fault);
    }
    if (!ok(wrong == NULL, "sweep: %s: every fsync of a file fails, with each errno", s->name))
        diag("%s", wrong);
}

int main(void)
{
    static struct world w;
    LIBRARY.save = steadfast_state_save;
    LIBRARY.load = steadfast_state_load;
    world_begin(&w);
    for (size_t i = 0; i < sizeof SAVES / sizeof SAVES[0]; i++) {
        sweep(&w, check_save, &SAVES[i]);
        short_writes(&w, &SAVES[i]);
        file_syncs(&w, &SAVES[i]);
    }
    for (size_t i = 0; i < sizeof LOADS / sizeof LOADS[0]; i++)
        sweep(&w, check_load, &LOADS[i]);
    world_end(&w);
    return done_testing();
}
