/*
 * The checker of the sweeps: runs one save or load with one fault and says what is wrong afterwards, or
 * nothing. What it runs is a parameter, so that mutants.c can give it routines that are wrong and see it
 * complain. What is right is taken from the result alone, as the header promises it.
 */
#ifndef CHECK_H
#define CHECK_H

#include "world.h"

static inline int is_unsupported(int error)
{
    return error == EINVAL || error == ENOSYS || error == EOPNOTSUPP || error == ENOTTY;
}

static inline int on_disk_of(int result)
{
    if (result == STEADFAST_OK)
        return STEADFAST_ON_DISK_NEW;
    if (result == STEADFAST_NOT_DURABLE || result == STEADFAST_E_SAVED_NOT_DURABLE || result == STEADFAST_E_INDETERMINATE)
        return STEADFAST_ON_DISK_EITHER;
    return STEADFAST_ON_DISK_OLD;
}

/* Without a sync, and with no old state kept as the previous one, only a load can tell. */
static inline int on_disk_is(const struct scenario *s, int result, int rotated, int on_disk)
{
    if (result != STEADFAST_NOT_DURABLE && result != STEADFAST_E_INDETERMINATE)
        return on_disk == on_disk_of(result);
    if ((s->flags & STEADFAST_SAVE_NO_SYNC) != 0)
        return on_disk == (rotated ? STEADFAST_ON_DISK_EITHER : STEADFAST_ON_DISK_UNKNOWN);
    /* Over damage PATH.prev is the old state; where the rename cannot be asked about, nor could that be. */
    int had_state = s->current == WHOLE || (s->current == DAMAGED && result == STEADFAST_E_INDETERMINATE);
    return on_disk == STEADFAST_ON_DISK_EITHER || (on_disk == STEADFAST_ON_DISK_UNKNOWN && had_state && !rotated);
}

/* Was the file under the new name synced before the rename, and the directory after it? */
struct durability {
    int renamed, file_synced, directory_synced;
};

static inline struct durability durability_of(const struct faults *f)
{
    struct durability d = { 0, 0, 0 };
    int at = -1;
    for (int i = 0; i < f->events; i++) {
        const struct event *e = &f->event[i];
        if ((e->call == STEADFAST_CALL_RENAMEAT || e->call == STEADFAST_CALL_LINKAT) && e->result >= 0 && strcmp(e->path, "state") == 0)
            at = i;
    }
    if (at < 0)
        return d;
    d.renamed = 1;
    for (int i = 0; i < f->events; i++) {
        const struct event *e = &f->event[i];
        if (e->call != STEADFAST_CALL_FSYNC || e->result < 0)
            continue;
        if (i < at && !e->is_directory && e->inode == f->event[at].inode)
            d.file_synced = 1;
        if (i > at && e->is_directory)
            d.directory_synced = 1;
    }
    return d;
}

/* What the calls themselves show to be wrong, whatever came of it. */
static inline const char *check_calls(const struct faults *f, const struct scenario *s, int result)
{
    struct durability d = durability_of(f);
    int made = 0, synced = 0;
    for (int i = 0; i < f->events; i++) {
        const struct event *e = &f->event[i];
        made += e->call == STEADFAST_CALL_MKDIRAT && e->result >= 0;
        synced += e->call == STEADFAST_CALL_FSYNC && e->result >= 0 && e->is_directory;
        if (e->call != STEADFAST_CALL_FSYNC || e->is_directory || e->result >= 0 || e->result == -EINTR || is_unsupported((int)-e->result))
            continue;
        for (int j = i + 1; j < f->events; j++)
            if (f->event[j].call == STEADFAST_CALL_FSYNC && f->event[j].inode == e->inode)
                COMPLAIN("fsync again of an inode whose fsync had failed");
    }
    if (result == STEADFAST_OK && !d.file_synced)
        COMPLAIN("said to be durable, but the file was not synced before it got its name");
    if (result == STEADFAST_OK && !d.directory_synced)
        COMPLAIN("said to be durable, but the directory was not synced after the rename");
    if (result == STEADFAST_OK && synced < made + 1)
        COMPLAIN("said to be durable, but of %d directories made not all parents were synced", made);
    if (d.renamed && !d.file_synced && d.directory_synced)
        COMPLAIN("the directory was synced over a file that was not");
    if ((s->flags & STEADFAST_SAVE_NO_SYNC) != 0 && f->made[STEADFAST_CALL_FSYNC] != 0)
        COMPLAIN("fsync in spite of NO_SYNC");
    return NULL;
}

/* May a temporary file be left? Only where it could not be removed, or nobody could say whose it was. */
static inline int may_leave_temp(const struct faults *f, uint64_t more)
{
    uint64_t excused = UINT64_C(1) << STEADFAST_CALL_UNLINKAT | UINT64_C(1) << STEADFAST_CALL_FLOCK | UINT64_C(1) << STEADFAST_CALL_FSTAT
                       | UINT64_C(1) << STEADFAST_CALL_FSTATAT;
    return (f->failed & (excused | more)) != 0;
}

static inline const char *check_previous(struct world *w, const struct scenario *s, const struct fault *fault, int result)
{
    int keep = (s->flags & STEADFAST_SAVE_KEEP_PREVIOUS) != 0;
    int rotated = s->current == WHOLE && file_is(w->prev, w->old_record, w->old_len);
    int as_before = s->previous == NOTHING ? !exists(w->prev) : file_is(w->prev, w->prev_record, w->prev_len);
    int sync_failed = (w->f.failed & 1u << STEADFAST_CALL_FSYNC) != 0;
    if (!rotated && !as_before)
        COMPLAIN("the previous generation is neither what it was nor the old state");
    /* Without hard links the old state is copied. A copy that is not synced does not take the place of a durable one. */
    int copied = (test_absent() & STEADFAST_ABSENT_LINK) != 0 || (w->f.failed & 1u << STEADFAST_CALL_LINKAT) != 0;
    int unsynced = copied && ((s->flags & STEADFAST_SAVE_NO_SYNC) != 0 || sync_failed);
    if (keep && result >= 0 && s->current == WHOLE && !rotated && !unsynced)
        COMPLAIN("the previous generation was not kept");
    if (!keep && !sync_failed && !as_before)
        COMPLAIN("the previous generation was replaced unasked");
    /* Without hard links it is kept by a copy, which cannot be synced here either. */
    if ((test_absent() & STEADFAST_ABSENT_LINK) != 0)
        return NULL;
    if (result == STEADFAST_NOT_DURABLE && w->f.failed == 1u << STEADFAST_CALL_FSYNC && s->current == WHOLE && !rotated
        && !is_unsupported(fault->error) && durability_of(&w->f).file_synced == 0)
        COMPLAIN("saved without a sync, and the old state was not kept as the previous one");
    return NULL;
}

/* Whether the state at `path` is the payload of `len`: by a load with the real calls. */
static inline int loads_as(const char *path, const char *payload, size_t len, uint64_t *generation)
{
    steadfast_state state = { .size = sizeof state };
    int same;
    if (steadfast_state_load(NULL, path, NULL, &state, NULL) != 0)
        return 0;
    same = state.len == len && memcmp(state.data, payload, len) == 0;
    if (generation != NULL)
        *generation = state.generation;
    steadfast_state_free(&state);
    return same;
}

static inline steadfast_context *subject_context(struct world *w, const struct subject *subject)
{
    steadfast_hooks table = faults_hooks(&w->f);
    if (subject->mutate != NULL)
        subject->mutate(&table);
    return test_context(&table);
}

static inline void set_fault(struct faults *f, const struct fault *fault)
{
    f->fail_at = fault->at;
    f->error = fault->error;
    f->for_ever = fault->for_ever;
    f->short_writes = fault->short_writes;
    f->file_syncs = fault->file_syncs;
    faults_reset(f);
}

/* Is this errno the one that was injected, or one that follows from it? */
static inline int is_explained(const struct world *w, const struct fault *fault, int result)
{
    if (result == -fault->error || result == w->baseline)
        return 1;
    if ((test_absent() & STEADFAST_ABSENT_LINK) == 0 || !is_unsupported(fault->error))
        return 0;
    /* Without hard links: a name can then not be created at all when renameat2 is taken for missing too; and a
       flock that is missing once and there the next time makes the writer take its own file for an orphan. */
    return (result == -EPERM && (w->f.failed & 1u << STEADFAST_CALL_RENAMEAT) != 0)
           || (result == -ENOENT && (w->f.failed & 1u << STEADFAST_CALL_FLOCK) != 0);
}

/* One save of `s` with one fault: NULL, or what is wrong. w->f.failed is 0 when the fault was never reached. */
static inline const char *check_save(struct world *w, const struct subject *subject, const struct scenario *s, const struct fault *fault)
{
    static const struct fault none = { 0 };
    const char *path = (s->flags & STEADFAST_SAVE_CREATE_PARENTS) != 0 ? w->deep : w->path;
    steadfast_save_options options = { .size = sizeof options, .flags = s->flags };
    steadfast_report report = { .size = sizeof report };
    uint64_t generation = 0;
    int before, result, is_old, is_new;
    steadfast_context *context = subject_context(w, subject);
    const char *wrong = NULL;

    world_set(w, s);
    if ((s->flags & STEADFAST_SAVE_IF_GENERATION) != 0 && s->current == WHOLE)
        options.expected_generation = 2;
    before = count_fds();
    set_fault(&w->f, fault);
    result = subject->save(context, path, w->payload, s->len, &options, &report);
    steadfast_context_free(context);
    w->f.fail_at = 0;

    if (s->current == NOTHING)
        is_old = !exists(path);
    else
        is_old = file_is(path, s->current == WHOLE ? w->old_record : w->damaged_record, w->old_len);
    is_new = !is_old && loads_as(path, w->payload, s->len, &generation);
    if (count_fds() != before)
        COMPLAIN("%d descriptors open, %d before", count_fds(), before);
    if (!is_old && !is_new)
        COMPLAIN("neither the old state nor the new one is there (result %s)", steadfast_status_name(result));
    if ((result >= 0 || result == STEADFAST_E_SAVED_NOT_DURABLE) && !is_new)
        COMPLAIN("%s, but the old state is there", steadfast_status_name(result));
    if (result < 0 && on_disk_of(result) == STEADFAST_ON_DISK_OLD && !is_old)
        COMPLAIN("%s, but the old state is gone", steadfast_status_name(result));
    int rotated = s->current == WHOLE && file_is(w->prev, w->old_record, w->old_len);
    if (report.status != result || !on_disk_is(s, result, rotated, report.on_disk))
        COMPLAIN("%s: the report says status %d, on_disk %d", steadfast_status_name(result), report.status, report.on_disk);
    if (result >= 0 && report.generation != generation)
        COMPLAIN("%s: the report gives another generation", steadfast_status_name(result));
    if (strstr(report.message, "/state") == NULL)
        COMPLAIN("%s: the message does not name the path: %s", steadfast_status_name(result), report.message);
    if (result < 0 && result >= -4095 && (report.os_error != -result || report.step == STEADFAST_STEP_NONE))
        COMPLAIN("%s: the report says os_error %d, step %d", steadfast_status_name(result), report.os_error, report.step);
    if (result < 0 && result >= -4095 && fault->short_writes == SHORT_NO && !is_explained(w, fault, result))
        COMPLAIN("%s, but what failed was %s", steadfast_status_name(result), steadfast_status_name(-fault->error));
    if (fault->error == EINTR && !fault->for_ever && fault->at != 0 && result != w->baseline)
        COMPLAIN("one EINTR made it %s", steadfast_status_name(result));
    if ((wrong = check_calls(&w->f, s, result)) != NULL)
        return wrong;
    if (path == w->path && (wrong = check_previous(w, s, fault, result)) != NULL)
        return wrong;
    wrong = path == w->path ? leftovers(w->dir, "state state.prev") : leftovers(in(w->dir, "a/b"), "state");
    if (*wrong != '\0' && strcmp(wrong, "(no such directory)") != 0 && !may_leave_temp(&w->f, subject->excused))
        COMPLAIN("%s: left over:%.500s", steadfast_status_name(result), wrong);

    /* And life goes on. */
    uint64_t failed = w->f.failed;
    options.expected_generation = (s->flags & STEADFAST_SAVE_IF_GENERATION) == 0 ? 0 : is_new ? generation : s->current == WHOLE ? 2 : 0;
    context = subject_context(w, subject);
    set_fault(&w->f, &none);
    result = subject->save(context, path, "next", 4, &options, &report);
    steadfast_context_free(context);
    if (fault->at != 0)
        w->f.failed = failed;
    if (result != w->baseline || (result >= 0 && !loads_as(path, "next", 4, NULL)))
        COMPLAIN("the next save is %s (%s)", steadfast_status_name(result), report.message);
    /* The second name of a current state that is held for comparison goes one save later. */
    if ((s->flags & STEADFAST_SAVE_IF_GENERATION) != 0 && (failed & 1u << STEADFAST_CALL_UNLINKAT) != 0)
        return NULL;
    if (result >= 0 && (test_absent() & STEADFAST_ABSENT_FLOCK) == 0
        && exists(in(path == w->path ? w->dir : in(w->dir, "a/b"), ".state.0.tmp")))
        COMPLAIN("the next save left the orphan .state.0.tmp there");
    return NULL;
}

/* One load of `s` with one fault: NULL, or what is wrong. */
static inline const char *check_load(struct world *w, const struct subject *subject, const struct scenario *s, const struct fault *fault)
{
    steadfast_load_options options = { .size = sizeof options, .flags = s->flags };
    steadfast_report report = { .size = sizeof report };
    steadfast_state state, untouched;
    steadfast_context *context = subject_context(w, subject);
    int before, result;

    world_set(w, s);
    memset(&state, 0x5a, sizeof state);
    state.size = sizeof state;
    untouched = state;
    before = count_fds();
    set_fault(&w->f, fault);
    result = subject->load(context, w->path, &options, &state, &report);
    steadfast_context_free(context);
    w->f.fail_at = 0;
    if (result < 0 && memcmp(&state, &untouched, sizeof state) != 0)
        COMPLAIN("%s, but the output was written", steadfast_status_name(result));
    if (result >= 0) {
        const char *payload = result == STEADFAST_RECOVERED ? PREV_PAYLOAD : OLD_PAYLOAD;
        size_t len = result == STEADFAST_RECOVERED ? sizeof PREV_PAYLOAD : sizeof OLD_PAYLOAD;
        int same = state.len == len && memcmp(state.data, payload, len) == 0 && ((char *)state.data)[len] == '\0';
        uint64_t generation = state.generation;
        uint32_t source = state.source;
        steadfast_state_free(&state);
        if (!same)
            COMPLAIN("%s, but the bytes are not those saved", steadfast_status_name(result));
        if (source != (result == STEADFAST_RECOVERED ? STEADFAST_SOURCE_PREVIOUS : STEADFAST_SOURCE_CURRENT))
            COMPLAIN("%s, but from the wrong source", steadfast_status_name(result));
        if (generation != (result == STEADFAST_RECOVERED ? 1 : 2) || report.generation != generation)
            COMPLAIN("%s, but of another generation", steadfast_status_name(result));
        if (result == STEADFAST_OK && s->current != WHOLE)
            COMPLAIN("a damaged state was loaded");
    }
    if (count_fds() != before)
        COMPLAIN("%d descriptors open, %d before", count_fds(), before);
    if (report.status != result || strstr(report.message, "/state") == NULL)
        COMPLAIN("%s: the report says status %d: %s", steadfast_status_name(result), report.status, report.message);
    /* With the current state damaged and the previous one out of reach, the damage is the news. */
    if (result != w->baseline && result != -fault->error && result != STEADFAST_RECOVERED
        && !(result == STEADFAST_E_DIGEST && s->current == DAMAGED))
        COMPLAIN("%s, but what failed was %s", steadfast_status_name(result), steadfast_status_name(-fault->error));
    if (result == STEADFAST_RECOVERED && (s->flags & STEADFAST_LOAD_RECOVER) == 0)
        COMPLAIN("recovered unasked");
    if (fault->error == EINTR && !fault->for_ever && fault->at != 0 && result != w->baseline)
        COMPLAIN("one EINTR made it %s", steadfast_status_name(result));
    if (w->f.made[STEADFAST_CALL_WRITE] + w->f.made[STEADFAST_CALL_RENAMEAT] + w->f.made[STEADFAST_CALL_UNLINKAT] != 0)
        COMPLAIN("a load changed something");
    return NULL;
}

static const int SWEEP_ERRORS[] = { EIO, ENOSPC, EINTR, ENOMEM, EMFILE, EACCES, EROFS, EINVAL, ENOSYS, ESTALE, EDQUOT, EFBIG };
enum { SWEEP_ERROR_COUNT = sizeof SWEEP_ERRORS / sizeof SWEEP_ERRORS[0] };

/* Does this run fail calls with this error? A small one keeps every call but only the errors that the library tells apart. */
static inline int sweep_takes(int error)
{
    return !test_small() || error == EIO || error == EINTR || error == ENOSYS || error == EACCES;
}

typedef const char *checker(struct world *, const struct subject *, const struct scenario *, const struct fault *);

/* Fails call 1, 2, 3 ... with one errno until the fault is no longer reached. NULL, or the first complaint. */
static inline const char *sweep_calls(struct world *w, checker *check, const struct subject *subject, const struct scenario *s, int error,
                                      int for_ever, long *runs)
{
    static char where[1000];
    for (long at = 1; at < 500; at++) {
        struct fault fault = { .error = error, .for_ever = for_ever, .at = at };
        const char *wrong;
        /* A hang is a failure too: SIGALRM ends the program. */
        alarm(120);
        wrong = check(w, subject, s, &fault);
        alarm(0);
        (*runs)++;
        if (wrong != NULL) {
            snprintf(where, sizeof where, "call %ld%s fails with %s: %s", at, for_ever ? " and all later ones" : "",
                     steadfast_status_name(-error), wrong);
            return where;
        }
        if (w->f.failed == 0)
            return NULL;
    }
    return "more than 500 calls";
}

/* The result without a fault, which the scenario is measured by. NULL, or what is wrong already. */
static inline const char *sweep_baseline(struct world *w, checker *check, const struct subject *subject, const struct scenario *s)
{
    static const struct fault none = { 0 };
    const char *wrong;
    w->baseline = 0;
    if ((test_absent() & STEADFAST_ABSENT_DIR_FSYNC) != 0)
        w->baseline = (s->flags & STEADFAST_SAVE_STRICT) != 0 ? STEADFAST_E_NOT_SAVED_DURABLY : STEADFAST_NOT_DURABLE;
    if ((s->flags & STEADFAST_SAVE_NO_SYNC) != 0)
        w->baseline = STEADFAST_NOT_DURABLE;
    if ((s->flags & STEADFAST_SAVE_IF_GENERATION) != 0 && (test_absent() & STEADFAST_ABSENT_FLOCK) != 0)
        w->baseline = STEADFAST_E_UNSUPPORTED;
    if (check == check_load) {
        int fallback = s->previous == WHOLE && (s->flags & STEADFAST_LOAD_RECOVER) != 0;
        w->baseline = s->current == WHOLE     ? STEADFAST_OK
                      : fallback              ? STEADFAST_RECOVERED
                      : s->current == DAMAGED ? STEADFAST_E_DIGEST
                      : s->previous == WHOLE  ? STEADFAST_E_LOST
                                              : -ENOENT;
    }
    wrong = check(w, subject, s, &none);
    return wrong;
}

#endif
