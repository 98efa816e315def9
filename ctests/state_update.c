/* steadfast_state_update: load, change, save, and again when somebody else was first. */
#include "tap.h"
#include "state_test.h"

static char path[300], previous[310];

/* What the callback of a test does, and what it was given. */
static struct {
    int answer;
    const char *append;   /* the new state is the old one and this */
    int whole;            /* or the old one itself */
    int no_data;          /* or nothing, with a length */
    int first_is_late;    /* in the first call somebody else saves */
    int always_late;      /* in every call */
    int first_is_removed; /* in the first call somebody else removes it, and makes another one with the same number */
    int calls, was_null;
    uint64_t generation;
    uint32_t source;
    char seen[64];
} change;

static int32_t callback(void *user, const steadfast_state *old, const void **data, size_t *len)
{
    static char made[64];
    if (user != &change)
        return -EPROTO;
    change.calls++;
    change.was_null = old == NULL;
    change.generation = old != NULL ? old->generation : 0;
    change.source = old != NULL ? old->source : 99;
    snprintf(change.seen, sizeof change.seen, "%.*s", old != NULL ? (int)old->len : 0, old != NULL ? (const char *)old->data : "");
    if (change.always_late || (change.first_is_late && change.calls == 1))
        save_with(NULL, path, "theirs", 0);
    if (change.first_is_removed && change.calls == 1) {
        steadfast_state_remove(NULL, path, NULL, NULL);
        save_with(NULL, path, "theirs", 0);
    }
    snprintf(made, sizeof made, "%s%s", change.seen, change.append != NULL ? change.append : "");
    *data = change.no_data ? NULL : change.whole ? old->data : made;
    *len = change.no_data ? 3 : change.whole ? old->len : strlen(made);
    return change.answer;
}

static int update(const steadfast_context *c, uint32_t load_flags, uint32_t save_flags)
{
    steadfast_load_options l = { .size = sizeof l, .flags = load_flags };
    steadfast_save_options s = { .size = sizeof s, .flags = save_flags, .timeout_ms = 50 };
    report = (steadfast_report){ .size = sizeof report };
    return steadfast_state_update(c, path, &l, &s, callback, &change, &report);
}

#define BEGIN(...) (unlink(path), unlink(previous), memset(&change, 0, sizeof change), __VA_ARGS__)

static void changes(void)
{
    BEGIN(change.append = "a");
    is_int(update(context, 0, 0), SAVED, "nothing there: saved");
    ok(change.was_null && change.calls == 1 && holds(path, "a") && report.generation == 1, "the callback gets NULL, generation 1");
    change.append = "b";
    is_int(update(context, 0, STEADFAST_SAVE_KEEP_PREVIOUS), SAVED, "a state: saved");
    ok(!change.was_null && change.generation == 1 && change.source == STEADFAST_SOURCE_CURRENT && holds(path, "ab") && holds(previous, "a")
           && report.generation == 2,
       "made of the old one, which is kept: the other options count");
    change.whole = 1;
    is_int(update(context, 0, 0), SAVED, "the old one itself: saved");
    ok(holds(path, "ab") && report.generation == 3, "with the next generation");
    change.answer = 7;
    is_int(update(context, 0, 0), 0, "a callback that leaves it: 0");
    ok(report.on_disk == STEADFAST_ON_DISK_OLD && report.generation == 3 && holds(path, "ab"), "on_disk OLD, and its generation");
    change.answer = -ECHRNG;
    is_int(update(context, 0, 0), -ECHRNG, "a callback that gives up: its code");
    ok(report.on_disk == STEADFAST_ON_DISK_OLD && holds(path, "ab"), "and the state stands");
    change.answer = 0, change.no_data = 1;
    is_int(update(context, 0, 0), -EINVAL, "a length without data: EINVAL");
    ok(holds(path, "ab"), "and the state stands");
}

static void again(void)
{
    BEGIN(save(path, "mine", 0), change.append = "+", change.first_is_late = 1);
    is_int(update(context, 0, 0), SAVED, "somebody else saves meanwhile: done again");
    ok(change.calls == 2 && holds(path, "theirs+"), "with what is there by then: nothing is lost");
    BEGIN(change.append = "+", change.first_is_late = 1);
    is_int(update(context, 0, 0), SAVED, "somebody else makes the first one meanwhile: done again");
    ok(change.calls == 2 && holds(path, "theirs+"), "with what is there by then");
    BEGIN(save(path, "mine", 0), change.append = "+", change.first_is_removed = 1);
    is_int(update(context, 0, 0), SAVED, "another state with the same number meanwhile: done again");
    ok(change.calls == 2 && change.generation == 1 && holds(path, "theirs+"), "with what is there by then");
    BEGIN(save(path, "mine", 0), change.append = "+", change.always_late = 1);
    is_int(update(context, 0, 0), STEADFAST_E_CONFLICT, "for ever: E_CONFLICT, when the time is over");
    ok(change.calls > 1 && holds(path, "theirs"), "after %d tries", change.calls);
}

static void damage(void)
{
    BEGIN(save(path, "old", 0), save(path, "new", STEADFAST_SAVE_KEEP_PREVIOUS), change.append = "+");
    if (truncate(path, 100) != 0)
        bail_out("truncate");
    is_int(update(context, 0, 0), STEADFAST_E_TRUNCATED, "damage: its code");
    ok(change.calls == 0, "and no call");
    is_int(update(context, STEADFAST_LOAD_RECOVER, 0), SAVED, "with RECOVER: saved");
    ok(change.source == STEADFAST_SOURCE_PREVIOUS && holds(path, "old+"), "made of the previous one");
    BEGIN(save(path, "old", 0), save(path, "new", STEADFAST_SAVE_KEEP_PREVIOUS), unlink(path), change.append = "+");
    is_int(update(context, 0, 0), STEADFAST_E_LOST, "lost: E_LOST");
    ok(change.calls == 0, "and no call");
    is_int(update(context, STEADFAST_LOAD_RECOVER, 0), SAVED, "with RECOVER: saved");
    ok(change.source == STEADFAST_SOURCE_PREVIOUS && holds(path, "old+"), "made of the previous one");
}

static void arguments(void)
{
    BEGIN(save(path, "old", 0));
    is_int(update(context, 0, STEADFAST_SAVE_IF_GENERATION), -EINVAL, "IF_GENERATION among the flags: EINVAL");
    is_int(update(context, 0, 1u << 31), -EINVAL, "an unknown flag of the save: EINVAL");
    is_int(update(context, 1u << 31, 0), -EINVAL, "an unknown flag of the load: EINVAL");
    ok(change.calls == 0 && report.step == STEADFAST_STEP_ARGUMENTS, "without a call");
    is_int(steadfast_state_update(context, path, NULL, NULL, NULL, NULL, NULL), -EINVAL, "no callback: EINVAL");
    is_int(steadfast_state_update(context, NULL, NULL, NULL, callback, &change, NULL), -EINVAL, "no path: EINVAL");
    is_int(steadfast_state_update(NULL, path, NULL, NULL, callback, &change, NULL), STEADFAST_OK, "NULL for all that may be NULL");
}

/* Processes that count: none of their steps is lost. */
static int32_t count_on(void *user, const steadfast_state *old, const void **data, size_t *len)
{
    static long count;
    (void)user;
    count = old != NULL ? *(const long *)old->data + 1 : 1;
    *data = &count;
    *len = sizeof count;
    return 0;
}

static void together(void)
{
    enum { PROCESSES = 4, STEPS = 10 };
    pid_t children[PROCESSES];
    int failed = 0;
    BEGIN((void)0);
    for (int i = 0; i < PROCESSES; i++)
        if ((children[i] = fork_child()) == 0) {
            steadfast_save_options o = { .size = sizeof o, .flags = STEADFAST_SAVE_NO_SYNC, .timeout_ms = 60000 };
            for (int n = 0; n < STEPS; n++)
                if (steadfast_state_update(NULL, path, NULL, &o, count_on, NULL, NULL) != STEADFAST_NOT_DURABLE)
                    _exit(1);
            _exit(0);
        }
    for (int i = 0; i < PROCESSES; i++)
        failed += wait_for(children[i]) != 0;
    steadfast_state state = { .size = sizeof state };
    ok(failed == 0 && steadfast_state_load(NULL, path, NULL, &state, NULL) == 0 && *(long *)state.data == PROCESSES * STEPS
           && state.generation == PROCESSES * STEPS,
       "%d processes count %d times each: none of it is lost", (int)PROCESSES, (int)STEPS);
    steadfast_state_free(&state);
}

int main(void)
{
    dir = make_temp_dir("update");
    snprintf(path, sizeof path, "%s/s", dir);
    snprintf(previous, sizeof previous, "%s/s.prev", dir);
    context = test_context(NULL);
    int fds = count_fds();
    if (NO_FLOCK) {
        BEGIN(change.append = "a");
        is_int(update(context, 0, 0), STEADFAST_E_UNSUPPORTED, "without flock (absent): E_UNSUPPORTED");
    } else {
        changes();
        again();
        damage();
        arguments();
        together();
    }
    ok(*leftovers(dir, "s s.prev") == '\0', "nothing is left over%s", leftovers(dir, "s s.prev"));
    is_int(count_fds(), fds, "no descriptor stays open");
    steadfast_context_free(context);
    remove_tree(dir);
    free(dir);
    return done_testing();
}
