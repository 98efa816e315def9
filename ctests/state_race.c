/*
 * State files among other processes: writers killed at every call, savers that race, a child forked and a plain
 * save made in the midst of a compare-and-swap, readers beside savers, a load beside the first saves of all.
 */
#include "tap.h"
#include "state_test.h"

#include <sys/prctl.h>

static long kill_at;

static void kill_self(struct faults *f, int call, const char *path)
{
    (void)call, (void)path;
    if (f->calls == kill_at)
        kill(getpid(), SIGKILL);
}

/* A writer killed before each of its calls in turn. */
static void killed_writers(const char *name, uint32_t flags)
{
    char d[300], path[320];
    int torn = 0, litter = 0, unusable = 0, killed = 0;
    const char *expected = (flags & STEADFAST_SAVE_KEEP_PREVIOUS) != 0 ? "s s.prev" : "s";
    snprintf(d, sizeof d, "%s", fresh(name));
    snprintf(path, sizeof path, "%s/s", d);
    save(path, "the first", flags);
    save(path, "old", flags);
    for (kill_at = 1; kill_at < 100; kill_at++) {
        int status;
        pid_t child = fork_child();
        if (child == 0) {
            struct faults f = { .before = kill_self, .no_real_sync = 1 };
            steadfast_context *c = faults_context(&f);
            save_with(c, path, "new", flags);
            steadfast_context_free(c);
            _exit(0);
        }
        status = wait_for(child);
        if (status != 1000 + SIGKILL)
            break;
        killed++;
        torn += !holds(path, "old") && !holds(path, "new");
        unusable += save(path, "old", flags | STEADFAST_SAVE_NO_SYNC) != STEADFAST_NOT_DURABLE || !holds(path, "old");
        litter += *leftovers(d, expected) != '\0';
    }
    ok(killed >= 10 && torn == 0, "%s: a writer killed at each of %d calls: the old state or the new one, whole", name, killed);
    is_int(unusable, 0, "%s: the next save always works", name);
    if (NO_FLOCK)
        skip("without flock (absent) orphans stay", "%s: and nothing is left over", name);
    else
        is_int(litter, 0, "%s: and nothing is left over after it", name);
}

static pid_t bystander;

/* Another thread forks in the midst of a save. */
static void fork_bystander(struct faults *f, int call, const char *path)
{
    (void)f, (void)path;
    if (call != STEADFAST_CALL_RENAMEAT || bystander != 0)
        return;
    bystander = fork_child();
    if (bystander == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (bystander == 0)
        pause();
}

/* The temporary file's flock must not live on in a child: the next compare-and-swap would wait for it for ever. */
static void forked_meanwhile(void)
{
    char d[300], path[320];
    struct faults f = { .before = fork_bystander };
    steadfast_context *c = faults_context(&f);
    pid_t child;
    int status;
    if (NO_FLOCK) {
        skip("without flock (absent) IF_GENERATION is E_UNSUPPORTED", "a child forked during a save");
        steadfast_context_free(c);
        return;
    }
    snprintf(d, sizeof d, "%s", fresh("forked"));
    snprintf(path, sizeof path, "%s/s", d);
    is_int(save_with(c, path, "one", 0), SAVED, "a save, during which a child is forked");
    steadfast_context_free(c);
    child = fork_child();
    if (child == 0) {
        steadfast_save_options o = { .size = sizeof o, .flags = STEADFAST_SAVE_IF_GENERATION, .expected_generation = 1 };
        alarm(20);
        _exit(steadfast_state_save(context, path, "two", 3, &o, NULL) == SAVED ? 0 : 1);
    }
    status = wait_for(child);
    ok(bystander > 0 && kill(bystander, 0) == 0, "the child is still there");
    is_int(status, 0, "it does not hold up the next IF_GENERATION save");
    kill(bystander, SIGKILL);
    wait_for(bystander);
}

static char plain_path[320];
static int plain_saves;

/* Someone saves without asking for the generation, between the comparison and the rename. */
static void save_meanwhile(struct faults *f, int call, const char *path)
{
    (void)f, (void)path;
    if (call == STEADFAST_CALL_FSYNC && plain_saves == 0)
        plain_saves += save(plain_path, "plain", 0) == SAVED;
}

static void plain_save_meanwhile(void)
{
    struct faults f = { .before = save_meanwhile };
    steadfast_context *c = faults_context(&f);
    steadfast_save_options o = { .size = sizeof o, .flags = STEADFAST_SAVE_IF_GENERATION };
    char d[300];
    if (NO_FLOCK) {
        skip("without flock (absent) IF_GENERATION is E_UNSUPPORTED", "a plain save in the midst of a compare-and-swap");
        steadfast_context_free(c);
        return;
    }
    snprintf(d, sizeof d, "%s", fresh("meanwhile"));
    snprintf(plain_path, sizeof plain_path, "%s/s", d);
    for (uint64_t there = 0; there < 2; there++) {
        unlink(plain_path);
        if (there == 1)
            save(plain_path, "old", 0);
        plain_saves = 0;
        o.expected_generation = there;
        is_int(steadfast_state_save(c, plain_path, "swapped", 7, &o, &report), STEADFAST_E_CONFLICT,
               "a plain save in the midst of a compare-and-swap (%s): E_CONFLICT", there == 0 ? "nothing there" : "a state there");
        ok(plain_saves == 1 && holds(plain_path, "plain") && *leftovers(d, "s") == '\0', "and what it saved stays");
    }
    steadfast_context_free(c);
}

/* N processes that expect the same generation: exactly one wins. */
static void compare_and_swap_race(void)
{
    enum { SAVERS = 6 };
    int rounds = test_small() ? 3 : 30, bad = 0;
    uint64_t generation = 0;
    char d[300];
    if (NO_FLOCK) {
        skip("without flock (absent) IF_GENERATION is E_UNSUPPORTED", "racing compare-and-swap");
        return;
    }
    snprintf(d, sizeof d, "%s", fresh("race"));
    for (int round = 0; round < rounds; round++) {
        pid_t children[SAVERS];
        int start[2], won = 0, lost = 0;
        char path_copy[320];
        snprintf(path_copy, sizeof path_copy, "%s/s", d);
        if (pipe(start) != 0)
            bail_out("pipe");
        for (int i = 0; i < SAVERS; i++) {
            children[i] = fork_child();
            if (children[i] == 0) {
                steadfast_save_options o = { .size = sizeof o, .flags = STEADFAST_SAVE_IF_GENERATION, .expected_generation = generation };
                char go, text[20];
                int result;
                close(start[1]);
                snprintf(text, sizeof text, "saver %d", i);
                if (read(start[0], &go, 1) < 0)
                    _exit(9);
                result = steadfast_state_save(context, path_copy, text, strlen(text), &o, NULL);
                _exit(result == SAVED ? 1 : result == STEADFAST_E_CONFLICT ? 2 : 3);
            }
        }
        close(start[0]);
        close(start[1]); /* the start: every reader sees the end of the pipe */
        for (int i = 0; i < SAVERS; i++) {
            int status = wait_for(children[i]);
            won += status == 1;
            lost += status == 2;
        }
        generation++;
        bad += won != 1 || lost != SAVERS - 1;
    }
    is_int(bad, 0, "%d processes expect the same generation, %d rounds: each time exactly one wins, the others get E_CONFLICT", (int)SAVERS,
           rounds);
    steadfast_state state = { .size = sizeof state };
    ok(steadfast_state_load(NULL, in(d, "s"), NULL, &state, NULL) == 0 && state.generation == (uint64_t)rounds,
       "and the generation counts the winners");
    steadfast_state_free(&state);
    ok(*leftovers(d, "s") == '\0', "nothing is left over%s", leftovers(d, "s"));
}

/* Savers beside a reader: it never sees anything but whole states. */
static void readers(void)
{
    enum { SAVERS = 3 };
    char d[300], path[320];
    pid_t children[SAVERS];
    int bad = 0, loads = 0, failed = 0, saves = test_small() ? 20 : 200;
    snprintf(d, sizeof d, "%s", fresh("readers"));
    snprintf(path, sizeof path, "%s/s", d);
    save(path, "begin", 0);
    for (int i = 0; i < SAVERS; i++) {
        children[i] = fork_child();
        if (children[i] == 0) {
            char *data = malloc(70000);
            memset(data, 'a' + i, 70000);
            for (int n = 0; n < saves; n++) {
                steadfast_save_options o = { .size = sizeof o,
                                             .flags = STEADFAST_SAVE_NO_SYNC | (i == 0 ? STEADFAST_SAVE_KEEP_PREVIOUS : 0) };
                if (steadfast_state_save(context, path, data, 1 + (size_t)n * 337 % 70000, &o, NULL) != STEADFAST_NOT_DURABLE)
                    _exit(1);
            }
            free(data);
            _exit(0);
        }
    }
    for (int running = SAVERS; running > 0;) {
        steadfast_state state = { .size = sizeof state };
        int status, result = steadfast_state_load(context, path, NULL, &state, NULL);
        loads++;
        bad += result != 0;
        for (size_t n = 1; result == 0 && state.len > 5 && n < state.len; n++)
            bad += ((char *)state.data)[n] != ((char *)state.data)[0];
        steadfast_state_free(&state);
        if (waitpid(-1, &status, WNOHANG) > 0) {
            running--;
            failed += status != 0;
        }
    }
    ok(bad == 0 && loads > 10, "a reader beside %d savers: %d loads, each a whole state", (int)SAVERS, loads);
    is_int(failed, 0, "and every save succeeds");
    ok(*leftovers(d, "s s.prev") == '\0', "nothing is left over%s", leftovers(d, "s s.prev"));
}

/* The first two saves of all are made between the look at the state and that at the previous one. */
static char *unborn;
static int opens;

static int32_t openat_before_the_first(void *user, int32_t dirfd, const char *path, int32_t flags, uint32_t mode)
{
    int32_t result = REAL->openat(NULL, dirfd, path, flags, mode);
    (void)user;
    if (opens++ == 0) {
        save(unborn, "one", STEADFAST_SAVE_KEEP_PREVIOUS);
        save(unborn, "two", STEADFAST_SAVE_KEEP_PREVIOUS);
    }
    return result;
}

static void beside_the_first_saves(void)
{
    steadfast_load_options o = { .size = sizeof o };
    steadfast_hooks h = test_hooks();
    steadfast_context *c;
    h.openat = openat_before_the_first;
    c = test_context(&h);
    for (uint32_t flags = 0; flags <= STEADFAST_LOAD_RECOVER; flags += STEADFAST_LOAD_RECOVER) {
        steadfast_state state = { .size = sizeof state };
        unborn = strdup(in(dir, flags == 0 ? "first" : "first-recover"));
        opens = 0;
        o.flags = flags;
        is_int(steadfast_state_load(c, unborn, &o, &state, NULL), 0, "a load beside the very first saves (flags %u)", (unsigned)flags);
        ok(state.len == 3 && memcmp(state.data, "two", 3) == 0, "finds the state, and nothing lost");
        steadfast_state_free(&state);
        free(unborn);
    }
    steadfast_context_free(c);
}

int main(void)
{
    int fds;
    dir = make_temp_dir("race");
    context = test_context(NULL);
    fds = count_fds();
    killed_writers("plain", 0);
    killed_writers("keep_previous", STEADFAST_SAVE_KEEP_PREVIOUS);
    forked_meanwhile();
    plain_save_meanwhile();
    compare_and_swap_race();
    readers();
    beside_the_first_saves();
    is_int(count_fds(), fds, "no descriptor stays open");
    steadfast_context_free(context);
    remove_tree(dir);
    free(dir);
    return done_testing();
}
