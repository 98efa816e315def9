/*
 * As sweep.c: every call of a writer's life, and of a reader's, is failed in turn. A writer is a save that takes the same payload
 * in three pieces, and a reader a load that gives it in small ones, so the same checker says what is right.
 */
#include "tap.h"
#include "check.h"

#define KEEP STEADFAST_SAVE_KEEP_PREVIOUS
#define IFGEN STEADFAST_SAVE_IF_GENERATION

static int32_t save_in_pieces(const steadfast_context *context, const char *path, const void *data, size_t len,
                              const steadfast_save_options *options, steadfast_report *report)
{
    steadfast_writer *writer;
    size_t piece = len / 3 + 1;
    int32_t status = steadfast_writer_open(context, path, options, &writer, report);
    if (status != 0)
        return status;
    for (size_t at = 0; at < len; at += piece)
        steadfast_writer_write(writer, (const char *)data + at, piece < len - at ? piece : len - at, NULL);
    return steadfast_writer_commit(writer, report);
}

static int32_t load_in_pieces(const steadfast_context *context, const char *path, const steadfast_load_options *options,
                              steadfast_state *out, steadfast_report *report)
{
    steadfast_reader *reader;
    size_t got = 1;
    steadfast_state as_given = *out;
    steadfast_report reading = { .size = sizeof reading };
    int32_t status = steadfast_reader_open(context, path, options, &reader, out, report), later = 0;
    if (status < 0)
        return status;
    /* As steadfast_state_free wants it. */
    char *record = calloc(1, 256 + out->len + 1), *data = record + 256;
    for (size_t at = 0; later == 0 && got > 0; at += got)
        later = steadfast_reader_read(reader, at, data + at, out->len - at < 7 ? out->len - at : 7, &got, &reading);
    steadfast_reader_close(reader);
    if (later != 0) {
        free(record);
        *report = reading;
        *out = as_given;
        return later;
    }
    out->data = data;
    return status;
}

/* Without getpid nobody knows whether the temporary file is the parent's. */
static struct subject PIECES = {
    .name = "steadfast", .save = save_in_pieces, .load = load_in_pieces, .excused = UINT64_C(1) << STEADFAST_CALL_GETPID
};

static const struct scenario SAVES[] = {
    { "first state", 0, NOTHING, NOTHING, 300 },
    { "over a state", 0, WHOLE, WHOLE, 300 },
    { "over a damaged state", 0, DAMAGED, WHOLE, 300 },
    { "nothing written", 0, WHOLE, WHOLE, 0 },
    { "more than a page", 0, WHOLE, WHOLE, 5000 },
    { "KEEP_PREVIOUS and STRICT", KEEP | STEADFAST_SAVE_STRICT, WHOLE, WHOLE, 300 },
    { "IF_GENERATION, first", IFGEN, NOTHING, NOTHING, 300 },
    { "IF_GENERATION and KEEP_PREVIOUS", IFGEN | KEEP, WHOLE, WHOLE, 300 },
    { "NO_SYNC and KEEP_PREVIOUS", STEADFAST_SAVE_NO_SYNC | KEEP, WHOLE, WHOLE, 300 },
    { "CREATE_PARENTS", STEADFAST_SAVE_CREATE_PARENTS, NOTHING, NOTHING, 300 },
    { "CREATE_PARENTS and STRICT", STEADFAST_SAVE_CREATE_PARENTS | STEADFAST_SAVE_STRICT, NOTHING, NOTHING, 300 },
};

static const struct scenario LOADS[] = {
    { "reader", 0, WHOLE, WHOLE, 0 },
    { "reader of a damaged state", 0, DAMAGED, WHOLE, 0 },
    { "reader of nothing", 0, NOTHING, NOTHING, 0 },
    { "reader, RECOVER of a damaged state", STEADFAST_LOAD_RECOVER, DAMAGED, WHOLE, 0 },
    { "reader, RECOVER of a lost state", STEADFAST_LOAD_RECOVER, NOTHING, WHOLE, 0 },
};

static void sweep(struct world *w, checker *check, const struct scenario *s)
{
    const char *wrong = sweep_baseline(w, check, &PIECES, s);
    if (!ok(wrong == NULL, "sweep: %s: without a fault %s", s->name, steadfast_status_name(w->baseline)))
        diag("%s", wrong);
    for (int i = 0; i < SWEEP_ERROR_COUNT; i++) {
        long runs = 0;
        int error = SWEEP_ERRORS[i];
        if (test_small() && error != EIO && error != EINTR && error != ENOSYS && error != EACCES)
            continue;
        wrong = sweep_calls(w, check, &PIECES, s, error, 0, &runs);
        if (wrong == NULL && !(test_small() && error == EINTR))
            wrong = sweep_calls(w, check, &PIECES, s, error, 1, &runs);
        if (!ok(wrong == NULL, "sweep: %s: %s, once and for ever, %ld runs", s->name, steadfast_status_name(-error), runs))
            diag("%s", wrong);
    }
}

static void short_writes(struct world *w, const struct scenario *s)
{
    static const char *const NAMES[] = { "", "of one byte", "of half", "of nothing" };
    sweep_baseline(w, check_save, &PIECES, s);
    for (int kind = SHORT_ONE_BYTE; kind <= SHORT_NOTHING; kind++) {
        struct fault fault = { .short_writes = kind };
        const char *wrong = check_save(w, &PIECES, s, &fault);
        if (!ok(wrong == NULL, "sweep: %s: writes %s", s->name, NAMES[kind]))
            diag("%s", wrong);
    }
}

/* A file system that answers every fsync of a file with an error, and those of directories with success. */
static void file_syncs(struct world *w, const struct scenario *s)
{
    const char *wrong = sweep_baseline(w, check_save, &PIECES, s);
    for (int i = 0; i < SWEEP_ERROR_COUNT && wrong == NULL; i++) {
        struct fault fault = { .error = SWEEP_ERRORS[i], .file_syncs = 1 };
        if (fault.error != EINTR)
            wrong = check_save(w, &PIECES, s, &fault);
    }
    if (!ok(wrong == NULL, "sweep: %s: every fsync of a file fails, with each errno", s->name))
        diag("%s", wrong);
}

int main(void)
{
    static struct world w;
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
