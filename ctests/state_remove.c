/* steadfast_state_remove: the state and its previous generation go, and no older one comes back. */
#include "tap.h"
#include "state_test.h"

static char path[300], previous[310];

static int remove_with(const steadfast_context *c, uint32_t flags, uint64_t generation)
{
    steadfast_save_options o = { .size = sizeof o, .flags = flags, .expected_generation = generation, .timeout_ms = 50 };
    report = (steadfast_report){ .size = sizeof report };
    return steadfast_state_remove(c, path, &o, &report);
}

static void begin(int generations)
{
    unlink(path), unlink(previous), rmdir(previous);
    for (int i = 1; i <= generations; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        save(path, text, STEADFAST_SAVE_KEEP_PREVIOUS);
    }
}

static int nothing_left(void)
{
    return !exists(path) && !exists(previous) && *leftovers(dir, "") == '\0';
}

static void removed(void)
{
    static const char *const what[] = { "a first state", "a state and its previous one" };
    for (int i = 0; i < 2; i++) {
        begin(i + 1);
        is_int(remove_with(context, 0, 0), SAVED, "%s: removed", what[i]);
        ok(nothing_left() && report.generation == (uint64_t)i + 1
               && report.on_disk == (NO_DIR_FSYNC ? STEADFAST_ON_DISK_EITHER : STEADFAST_ON_DISK_NEW),
           "%s: nothing is left, and the report tells its generation", what[i]);
    }
    is_int(remove_with(context, 0, 0), -ENOENT, "nothing there: ENOENT");
    is_int(save(path, "again", 0), SAVED, "it can be saved again");
    ok(report.generation == 1, "a removal ends the history: generation 1");

    begin(2);
    unlink(path);
    is_int(remove_with(context, 0, 0), SAVED, "only a previous one: removed");
    ok(nothing_left(), "and nothing is left");

    begin(0);
    write_file(path, "by hand", 7);
    is_int(remove_with(context, 0, 0), SAVED, "a file that is no state: removed");
    ok(nothing_left() && report.generation == 0, "its generation is not known");

    begin(2);
    unlink(previous);
    if (link(path, previous) != 0)
        bail_out("link");
    is_int(remove_with(context, 0, 0), SAVED, "PATH.prev is the same file, as a killed saver leaves it: removed");
    ok(nothing_left(), "and nothing is left");

    begin(2);
    if (truncate(path, 100) != 0)
        bail_out("truncate");
    is_int(remove_with(context, 0, 0), SAVED, "a damaged state over a good previous one: removed");
    ok(nothing_left(), "and nothing is left");

    begin(1);
    mkdir(previous, 0700);
    ok(remove_with(context, 0, 0) == SAVED && !exists(path) && exists(previous), "a directory at PATH.prev is no generation, and stays");

    begin(1);
    is_int(remove_with(context, STEADFAST_SAVE_NO_SYNC, 0), STEADFAST_NOT_DURABLE, "NO_SYNC: NOT_DURABLE");
    ok(nothing_left() && report.on_disk == STEADFAST_ON_DISK_EITHER, "and EITHER");
}

static void refused(void)
{
    begin(0);
    if (symlink("elsewhere", path) != 0)
        bail_out("symlink");
    is_int(remove_with(context, 0, 0), STEADFAST_E_SYMLINK, "a link: E_SYMLINK");
    struct stat st;
    ok(lstat(path, &st) == 0 && S_ISLNK(st.st_mode), "and it stays");
    unlink(path);
    mkdir(path, 0700);
    is_int(remove_with(context, 0, 0), STEADFAST_E_NOT_REGULAR, "a directory: E_NOT_REGULAR");
    rmdir(path);
    static const uint32_t bad[] = { STEADFAST_SAVE_KEEP_PREVIOUS, STEADFAST_SAVE_CREATE_PARENTS, STEADFAST_SAVE_SYNCFS, 1u << 5, 1u << 31 };
    int wrong = 0;
    begin(2);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        wrong += remove_with(context, bad[i], 0) != -EINVAL || report.step != STEADFAST_STEP_ARGUMENTS;
    ok(wrong == 0 && holds(path, "2") && holds(previous, "1"), "a flag that means nothing here: EINVAL, and nothing is removed");
}

static void swaps(void)
{
    if (NO_FLOCK) {
        begin(2);
        is_int(remove_with(context, STEADFAST_SAVE_IF_GENERATION, 2), STEADFAST_E_UNSUPPORTED,
               "IF_GENERATION without flock: E_UNSUPPORTED");
        return;
    }
    begin(2);
    is_int(remove_with(context, STEADFAST_SAVE_IF_GENERATION, 1), STEADFAST_E_CONFLICT, "IF_GENERATION, another one: E_CONFLICT");
    ok(report.generation == 2 && holds(path, "2") && holds(previous, "1"), "the report tells which, and nothing is removed");
    is_int(remove_with(context, STEADFAST_SAVE_IF_GENERATION, 2), SAVED, "IF_GENERATION, the one: removed");
    ok(nothing_left(), "and nothing is left");
    is_int(remove_with(context, STEADFAST_SAVE_IF_GENERATION, 0), -ENOENT, "IF_GENERATION 0, neither is there: ENOENT");
    begin(2);
    unlink(path);
    is_int(remove_with(context, STEADFAST_SAVE_IF_GENERATION, 1), SAVED,
           "IF_GENERATION, the previous one, where there is no other: removed");
    ok(nothing_left(), "and nothing is left");
}

/* A new state is saved at the moment of a call. */
static int moment, swapped;
static void swap_now(struct faults *f, int call, const char *name)
{
    (void)name;
    steadfast_save_options o = { .size = sizeof o, .flags = STEADFAST_SAVE_IF_GENERATION, .expected_generation = 2, .timeout_ms = 1 };
    if (call == moment && f->made[call] == 1)
        swapped = steadfast_state_save(NULL, path, "new", 3, &o, NULL);
}
static void save_now(struct faults *f, int call, const char *name)
{
    (void)name;
    if (call == moment && f->made[call] == 1)
        save_with(NULL, path, "new", 0);
}

static void beside(void)
{
    struct faults f = { .before = save_now };
    steadfast_context *c = faults_context(&f);
    if (!NO_FLOCK) {
        moment = STEADFAST_CALL_RENAMEAT;
        begin(2);
        is_int(remove_with(c, STEADFAST_SAVE_IF_GENERATION, 2), STEADFAST_E_CONFLICT,
               "saved just before it goes, IF_GENERATION: E_CONFLICT");
        ok(holds(path, "new") && report.generation > 2, "the new one is there, and the report tells its generation");
        f.before = swap_now;
        for (int only_previous = 0; only_previous < 2; only_previous++) {
            faults_reset(&f);
            moment = STEADFAST_CALL_UNLINKAT;
            begin(2);
            if (only_previous && (unlink(previous), rename(path, previous)) != 0)
                bail_out("rename");
            is_int(remove_with(c, STEADFAST_SAVE_IF_GENERATION, 2), SAVED, "both want generation 2%s: the removal has it",
                   only_previous ? ", at PATH.prev" : "");
            ok(swapped == STEADFAST_E_BUSY && nothing_left(), "and the save has not: %s", steadfast_status_name(swapped));
        }
        f.before = save_now;
    }
    faults_reset(&f);
    moment = STEADFAST_CALL_UNLINKAT;
    begin(2);
    is_int(remove_with(c, 0, 0), SAVED, "saved while the old one goes: removed");
    ok(holds(path, "new") && !exists(previous), "the new one is there");
    steadfast_context_free(c);
}

/* Each call fails, once and for ever: the newest one is there, or nothing, and the answer says which. */
static void each_call_fails(void)
{
    static const int errors[] = { EIO, EACCES, ENOSPC, EINTR };
    long runs = 0, bad = 0;
    for (size_t e = 0; e < sizeof errors / sizeof *errors; e++)
        for (int for_ever = 0; for_ever < 2; for_ever++) {
            if (errors[e] == EINTR && for_ever)
                continue;
            for (long at = 1, more = 1; more && at < 60; at++, runs++) {
                struct faults f = { .fail_at = at, .error = errors[e], .for_ever = for_ever };
                steadfast_context *c = faults_context(&f);
                begin(2);
                int status = remove_with(c, 0, 0);
                more = f.calls >= at;
                steadfast_context_free(c);
                int newest = holds(path, "2") || (!exists(path) && holds(previous, "2"));
                int gone = !exists(path) && !exists(previous);
                int right = status >= 0 || status == STEADFAST_E_SAVED_NOT_DURABLE ? gone : holds(path, "2") || (for_ever && newest);
                if (!right && bad++ == 0)
                    diag("call %ld fails by %s%s: %s, PATH %d, PATH.prev %d", at, steadfast_status_name(-errors[e]),
                         for_ever ? " and all after it" : "", steadfast_status_name(status), exists(path), exists(previous));
            }
        }
    ok(bad == 0 && runs > 40, "each call fails, %ld runs: the newest state is there, or nothing", runs);
    struct faults f = { .only = STEADFAST_CALL_FSYNC, .fail_at = 1, .error = EIO };
    steadfast_context *c = faults_context(&f);
    begin(2);
    if (!NO_DIR_FSYNC) {
        is_int(remove_with(c, 0, 0), STEADFAST_NOT_DURABLE, "the sync of the directory fails: NOT_DURABLE");
        ok(report.step == STEADFAST_STEP_SYNC_DIRECTORY && report.os_error == EIO && report.on_disk == STEADFAST_ON_DISK_EITHER,
           "the report says why, and EITHER");
        faults_reset(&f);
        begin(2);
        is_int(remove_with(c, STEADFAST_SAVE_STRICT, 0), STEADFAST_E_SAVED_NOT_DURABLE, "with STRICT: E_SAVED_NOT_DURABLE");
    }
    steadfast_context_free(c);
}

int main(void)
{
    dir = make_temp_dir("remove");
    snprintf(path, sizeof path, "%s/s", dir);
    snprintf(previous, sizeof previous, "%s/s.prev", dir);
    context = test_context(NULL);
    int fds = count_fds();
    removed();
    refused();
    swaps();
    beside();
    each_call_fails();
    is_int(count_fds(), fds, "no descriptor stays open");
    steadfast_context_free(context);
    remove_tree(dir);
    free(dir);
    return done_testing();
}
