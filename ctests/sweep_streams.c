/*
 * As sweep.c: every call of a writer's life, and of a reader's, is failed in turn. A writer is a save that takes the same payload
 * in three pieces, and a reader a load that gives it in small ones, so the same checker says what is right.
 */
#include "tap.h"
#include "check.h"
#include "plain_test.h"

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
        if (!sweep_takes(error))
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

/* Plain files. */
static const char OLD[] = "an old file", NEW[] = "another content, which is longer";
static int no_attributes;

/* What a load of the plain file answers, and what it gives. Nobody has changed it, and damage it never is. */
static const char *holds_plain(struct world *w, const char *text, int unverified)
{
    steadfast_load_options o = { .size = sizeof o, .flags = STEADFAST_LOAD_PLAIN };
    steadfast_state state = { .size = sizeof state };
    int status = steadfast_state_load(NULL, w->path, &o, &state, NULL);
    int same = status >= 0 && state.len == strlen(text) && memcmp(state.data, text, state.len) == 0;
    steadfast_state_free(&state);
    if (status != STEADFAST_OK && !(status == STEADFAST_UNVERIFIED && (unverified || no_attributes)))
        COMPLAIN("a load is %s", steadfast_status_name(status));
    if (!same)
        COMPLAIN("a load does not give \"%s\"", text);
    return NULL;
}

static int32_t stream_plain(const steadfast_context *context, const char *path, const steadfast_save_options *options, int with_fd,
                            steadfast_report *report)
{
    steadfast_writer *writer;
    int32_t fd = -1, status = steadfast_writer_open(context, path, options, &writer, report);
    if (status != 0)
        return status;
    steadfast_writer_write(writer, NEW, 5, NULL);
    if (with_fd && steadfast_writer_fd(writer, &fd, NULL) == 0 && write(fd, NEW + 5, sizeof NEW - 6) != (ssize_t)(sizeof NEW - 6))
        bail_out("write");
    if (!with_fd)
        steadfast_writer_write(writer, NEW + 5, sizeof NEW - 6, NULL);
    return steadfast_writer_commit(writer, report);
}

/* One commit with one fault: what is wrong then, or NULL. */
static const char *check_plain(struct world *w, const struct scenario *s, int with_fd, const struct fault *fault)
{
    steadfast_save_options o = { .size = sizeof o, .flags = STEADFAST_SAVE_PLAIN }, options = o;
    steadfast_report report = { .size = sizeof report };
    const char *wrong;
    world_set(w, &(struct scenario){ .name = "" });
    if (steadfast_state_save(NULL, w->path, OLD, sizeof OLD - 1, &o, &report) < 0)
        bail_out("the file to begin with cannot be saved");
    options.flags |= s->flags;
    options.timeout_ms = 50;
    options.expected_generation = (s->flags & IFGEN) != 0 ? report.generation : 0;
    w->f = (struct faults){ .fail_at = fault->at, .error = fault->error, .for_ever = fault->for_ever, .file_syncs = fault->file_syncs };
    w->f.no_real_sync = 1;
    int fds = count_fds();
    steadfast_context *context = faults_context(&w->f);
    int status = stream_plain(context, w->path, &options, with_fd, &report);
    steadfast_context_free(context);
    int bare = (w->f.failed & UINT64_C(1) << STEADFAST_CALL_FSETXATTR) != 0;
    /* A swap that fails gives the old file its name back, which no call here has synced. */
    if ((status >= 0 || (s->flags & IFGEN) == 0)
        && (wrong = check_calls(&w->f, s, status == STEADFAST_UNVERIFIED ? STEADFAST_OK : status)) != NULL)
        return wrong;
    if (status == STEADFAST_E_INDETERMINATE)
        wrong = holds_plain(w, OLD, 0) != NULL ? holds_plain(w, NEW, bare) : NULL;
    else if (status >= 0 || status == STEADFAST_E_SAVED_NOT_DURABLE)
        wrong = holds_plain(w, NEW, bare);
    else
        wrong = holds_plain(w, OLD, 0);
    if (wrong != NULL)
        return wrong;
    if (count_fds() != fds)
        COMPLAIN("a descriptor stays open");
    if (*leftovers(w->dir, "state state.prev") != '\0' && !may_leave_temp(&w->f, UINT64_C(1) << STEADFAST_CALL_GETPID))
        COMPLAIN("left over:%.500s", leftovers(w->dir, "state state.prev"));
    return NULL;
}

/* One life of a reader with one fault. */
static const char *check_plain_reader(struct world *w, const struct scenario *s, int with_fd, const struct fault *fault)
{
    steadfast_save_options o = { .size = sizeof o, .flags = STEADFAST_SAVE_PLAIN };
    steadfast_load_options l = { .size = sizeof l, .flags = STEADFAST_LOAD_PLAIN | s->flags };
    steadfast_reader *reader;
    char bytes[100];
    size_t len = 0;
    (void)with_fd;
    world_set(w, &(struct scenario){ .name = "" });
    if (steadfast_state_save(NULL, w->path, OLD, sizeof OLD - 1, &o, NULL) < 0)
        bail_out("the file to begin with cannot be saved");
    w->f = (struct faults){ .fail_at = fault->at, .error = fault->error, .for_ever = fault->for_ever };
    int fds = count_fds();
    steadfast_context *context = faults_context(&w->f);
    int status = steadfast_reader_open(context, w->path, &l, &reader, NULL, NULL), read = -1;
    if (status >= 0)
        read = steadfast_reader_read(reader, 0, bytes, sizeof bytes, &len, NULL);
    steadfast_reader_close(reader);
    steadfast_context_free(context);
    if (status > 0 && !(status == STEADFAST_UNVERIFIED && (no_attributes || (w->f.failed & UINT64_C(1) << STEADFAST_CALL_FGETXATTR) != 0)))
        COMPLAIN("the open is %s", steadfast_status_name(status));
    if (read == 0 && (len != sizeof OLD - 1 || memcmp(bytes, OLD, len) != 0))
        COMPLAIN("it reads something else");
    if (w->f.failed == 0 && read != 0)
        COMPLAIN("without a fault: %s", steadfast_status_name(status < 0 ? status : read));
    if (count_fds() != fds)
        COMPLAIN("a descriptor stays open");
    return NULL;
}

typedef const char *plain_checker(struct world *, const struct scenario *, int with_fd, const struct fault *);

static void plain_sweep(struct world *w, plain_checker *check, const struct scenario *s, int with_fd)
{
    for (int i = 0; i < SWEEP_ERROR_COUNT; i++) {
        struct fault fault = { .error = SWEEP_ERRORS[i] };
        const char *wrong = NULL;
        long runs = 0;
        if (fault.error == EINTR || !sweep_takes(fault.error))
            continue;
        for (fault.for_ever = 0; fault.for_ever < 2 && wrong == NULL; fault.for_ever++) {
            int reached = 1;
            for (fault.at = 1; reached && wrong == NULL && fault.at < 500; fault.at++, runs++) {
                alarm(60);
                wrong = check(w, s, with_fd, &fault);
                reached = w->f.failed != 0;
            }
        }
        alarm(0);
        if (!ok(wrong == NULL && runs > (test_absent() != 0 ? 0 : 20), "sweep: %s: %s, once and for ever, %ld runs", s->name,
                steadfast_status_name(-fault.error), runs))
            diag("call %ld: %s", fault.at - 1, wrong);
    }
}

static void plain_files(struct world *w)
{
    static const struct scenario WAYS[] = {
        { .name = "a plain file" },
        { .name = "a plain file, KEEP_PREVIOUS, KEEP_ATTRIBUTES", .flags = KEEP | STEADFAST_SAVE_KEEP_ATTRIBUTES },
        { .name = "a plain file, STRICT", .flags = STEADFAST_SAVE_STRICT },
        { .name = "a plain file, IF_GENERATION", .flags = IFGEN },
        { .name = "a plain file, NO_SYNC", .flags = STEADFAST_SAVE_NO_SYNC },
    };
    static const struct scenario READER = { .name = "reader of a plain file" };
    char probe[320];
    snprintf(probe, sizeof probe, "%s/probe", w->dir);
    no_attributes = !has_attributes(probe);
    unlink(probe);
    for (size_t i = 0; i < sizeof WAYS / sizeof WAYS[0]; i++) {
        plain_sweep(w, check_plain, &WAYS[i], 0);
        struct fault syncs = { .error = EIO, .file_syncs = 1 };
        const char *wrong = check_plain(w, &WAYS[i], 0, &syncs);
        if (!ok(wrong == NULL, "sweep: %s: every fsync of a file fails", WAYS[i].name))
            diag("%s", wrong);
    }
    plain_sweep(w, check_plain, &(struct scenario){ .name = "a plain file, by its descriptor" }, 1);
    plain_sweep(w, check_plain_reader, &READER, 0);
}

int main(void)
{
    static struct world w;
    world_begin(&w);
    plain_files(&w);
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
