/* Root and a user, who save in all ways and lock. Each call is given WAIT_MS, and is watched. */
#include "other.h"
#include "../../ctests/race/lives.h"

#include <sys/prctl.h>
#include <sys/wait.h>

save_fn save_by = library_saves;

enum {
    KEEP = STEADFAST_SAVE_KEEP_PREVIOUS,
    STRICT = STEADFAST_SAVE_STRICT,
    SWAP = STEADFAST_SAVE_IF_GENERATION,
    NO_SYNC = STEADFAST_SAVE_NO_SYNC,
    LINK = STEADFAST_SAVE_FOLLOW_SYMLINK,
    PARENTS = STEADFAST_SAVE_CREATE_PARENTS,
    SYNCFS = STEADFAST_SAVE_SYNCFS,
    BATCH = 1 << 30,
    LARGE = 3 << 19
};
static const uint32_t kinds[] = {
    0,           KEEP,           STRICT,         STRICT | KEEP,        NO_SYNC,           NO_SYNC | KEEP, SWAP,
    SWAP | KEEP, SWAP | NO_SYNC, SAVE_SLOTS,     SAVE_SLOTS | STRICT,  SAVE_SLOTS | SWAP, LINK,           PARENTS,
    BATCH,       BATCH | KEEP,   BATCH | SYNCFS, BATCH | SYNCFS | KEEP
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static steadfast_save_options options_of(uint32_t flags, uint32_t mode, uint64_t expected)
{
    steadfast_save_options options = {
        .size = sizeof options, .flags = flags & ~(uint32_t)BATCH, .mode = mode, .expected_generation = expected
    };
#ifdef OPTIONS_HAVE_TIMEOUT
    options.timeout_ms = WAIT_MS;
#endif
    return options;
}

int32_t library_saves(const char *path, const void *data, size_t len, uint32_t flags, uint32_t mode, uint64_t expected,
                      steadfast_report *report)
{
    steadfast_save_options options = options_of(flags, mode, expected);
    if (!(flags & BATCH))
        return steadfast_state_save(NULL, path, data, len, &options, report);
    steadfast_save_entry entry = { .size = sizeof entry, .path = path, .data = data, .len = len };
    steadfast_state_save_batch(NULL, &entry, 1, &options, report);
    report->generation = entry.generation;
    return entry.status;
}

static struct watched *watched;          /* this process's */

static void begin(const char *format, const char *name, uint32_t flags)
{
    snprintf(watched->what, sizeof watched->what, format, name, flags);
    watched->begun_ms = now_ms();
}
static void end(void)
{
    watched->begun_ms = 0;
}

struct state {
    const char *name;
    uint32_t mode;
    int secret;
    uint64_t count, generation;
    char last[64];                       /* how its content begins */
};

static int has_slots(void)
{
    static int known = -1;
#ifdef NO_SLOTS
    return 0;
#endif
    steadfast_save_options options = options_of(SAVE_SLOTS, 0, 0);
    if (known < 0)
        known = steadfast_state_save(NULL, "/proc/self/there/is/none", "", 0, &options, NULL) != -EINVAL;
    return known;
}

/* The state is what was saved last; `or` is NULL, or what it may be instead. */
static void check(const struct scene *scene, const char *directory, struct state *state, const char *or)
{
    char path[700];
    steadfast_state loaded = { .size = sizeof loaded };
    snprintf(path, sizeof path, "%s/%s", directory, state->name);
    begin("load of %s", state->name, 0);
    int32_t status = steadfast_state_load(NULL, path, NULL, &loaded, NULL);
    end();
    if (status == 0) {
        size_t len = strlen(state->last);
        int same = loaded.len >= len && memcmp(loaded.data, state->last, len) == 0;
        int other = or && loaded.len >= strlen(or) && memcmp(loaded.data, or, strlen(or)) == 0;
        if (!same && !other && scene->place != OPEN)
            wrong("lost: %s is '%.30s', saved was '%s'", state->name, (const char *)loaded.data, state->last);
        if (!same && other)
            snprintf(state->last, sizeof state->last, "%s", or);
        state->generation = loaded.generation;
    } else if (scene->place != OPEN)
        wrong("lost: a load of %s: %s", state->name, steadfast_status_name(status));
    steadfast_state_free(&loaded);
}

static int may_fail(const struct scene *scene, uint32_t flags, int32_t status)
{
    int keeps = (flags & (KEEP | SAVE_SLOTS)) != 0;
    return scene->save_fails || (scene->keep_fails && keeps) || (scene->busy && status == E_BUSY);
}

static void save(const struct scene *scene, const char *directory, struct state *state, uint32_t flags, uint32_t *seed)
{
    static char data[LARGE + 10000];
    char path[700], text[64];
    steadfast_report report = { .size = sizeof report };
    size_t len = chance(seed, 25) == 0 ? LARGE + chance(seed, 9000) : 64 + chance(seed, 9000);
    if (flags & SAVE_SLOTS && !has_slots())
        return;
    if (scene->place == OPEN)
        flags &= ~(uint32_t)LINK;  /* there the kernel lets everybody's links be followed */
    snprintf(path, sizeof path, "%s/%s", directory, state->name);
    memset(data, '.', len);
    snprintf(text, sizeof text, "%s %s %llu ", state->secret && scene->place != OPEN ? SECRET : "public", state->name,
             (unsigned long long)++state->count);
    memcpy(data, text, strlen(text));
    begin("save of %s, flags %x", state->name, flags);
    int32_t status = save_by(path, data, len, flags, state->mode, flags & SWAP ? state->generation : 0, &report);
    end();
    shared->saves++;
    shared->busy += status == E_BUSY;
    shared->refused += status < 0;
    int done = status == (flags & NO_SYNC ? STEADFAST_NOT_DURABLE : 0);
    if (!done && !may_fail(scene, flags, status))
        wrong("refused: a save of %s by uid %d, flags %x: %s: %.150s", state->name, (int)getuid(), flags, steadfast_status_name(status),
              report.message);
    if (done)
        memcpy(state->last, text, sizeof text);
    check(scene, directory, state, !done && report.on_disk != STEADFAST_ON_DISK_OLD ? text : NULL);
}

static void start(uid_t uid, unsigned number)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    watched = &shared->watched[number];
    watched->begun_ms = 0;
    if (uid)
        become(uid, uid);
}

static void save_on(const struct scene *scene, const char *directory, struct state *states, unsigned count, uint32_t seed)
{
    for (unsigned i = 0; i < count; i++) {
        snprintf(states[i].last, sizeof states[i].last, "%s %s 0 ", states[i].secret && scene->place != OPEN ? SECRET : "public",
                 states[i].name);
        check(scene, directory, &states[i], NULL);
    }
    while (!shared->stop)
        save(scene, directory, &states[chance(&seed, count)], kinds[chance(&seed, KINDS)], &seed);
    _exit(0);
}

static void root_saves_secret(const struct scene *scene, const char *directory, unsigned number, uint32_t seed)
{
    struct state states[] = { { .name = "s", .mode = 0600, .secret = 1 } };
    start(0, number);
    save_on(scene, directory, states, 1, seed);
}

static void root_saves_public(const struct scene *scene, const char *directory, unsigned number, uint32_t seed)
{
    struct state states[] = { { .name = "p", .mode = 0644 } };
    start(0, number);
    save_on(scene, directory, states, 1, seed);
}

static void user_saves(const struct scene *scene, const char *directory, unsigned number, uint32_t seed)
{
    struct state states[] = { { .name = "u", .mode = 0600, .secret = 1 }, { .name = "q", .mode = 0644 } };
    start(USER, number);
    save_on(scene, directory, states, 2, seed);
}

/* Public for a while, then tightened to 0600, and from then on secret; and back, by way of a public content. */
static void root_tightens(const struct scene *scene, const char *directory, unsigned number, uint32_t seed)
{
    static const uint32_t some[] = { 0, KEEP, SAVE_SLOTS, NO_SYNC | KEEP, SWAP | KEEP, SAVE_SLOTS };
    struct state state = { .name = "t", .mode = 0644 };
    char path[700];
    snprintf(path, sizeof path, "%s/t", directory);
    snprintf(state.last, sizeof state.last, "public t 0 ");
    start(0, number);
    check(scene, directory, &state, NULL);
    /* Its chmod would follow a link that stands there. */
    while (!shared->stop && scene->place != OPEN) {
        state.secret = 0;
        /* Of two files that take turns PATH may be the older one: chmod would open the secret before. */
        save(scene, directory, &state, 0, &seed);
        if (strncmp(state.last, "public", 6) != 0)
            continue;
        chmod(path, 0644);
        for (int i = 0; i < 3; i++)
            save(scene, directory, &state, some[chance(&seed, 6)], &seed);
        chmod(path, 0600);
        state.secret = 1;
        for (int i = 0; i < 3; i++)
            save(scene, directory, &state, some[chance(&seed, 6)], &seed);
    }
    _exit(0);
}

static void lock_once(const struct scene *scene, const char *path, int which, uint32_t *seed)
{
    steadfast_report report = { .size = sizeof report };
    steadfast_lock *lock = NULL;
    int self = getpid(), nobody, how = (int)chance(seed, 8);
    if (how == 0) {
        begin("clean of %s", strrchr(path, '/'), 0);
        int32_t verdict = steadfast_lock_clean_stale(NULL, path, NULL, &report);
        end();
        if (verdict < 0 && !scene->lock_fails)
            wrong("refused: clean: %s: %.150s", steadfast_status_name(verdict), report.message);
    } else if (how == 1) {
        begin("inspect of %s", strrchr(path, '/'), 0);
        int32_t verdict = steadfast_lock_inspect(NULL, path, NULL, &report);
        end();
        if (verdict < 0 && !scene->lock_fails)
            wrong("refused: inspect: %s: %.150s", steadfast_status_name(verdict), report.message);
    }
    begin("acquire of %s", strrchr(path, '/'), 0);
    int32_t status = steadfast_lock_acquire(NULL, path, WAIT_MS, NULL, &lock, &report);
    end();
    if (status != 0) {
        if (status != STEADFAST_E_LOCKED && !scene->lock_fails)
            wrong("refused: acquire: %s: %.150s", steadfast_status_name(status), report.message);
        usleep(1000);
        return;
    }
    nobody = atomic_exchange(&shared->owner[which], self);
    if (nobody != 0 && lives(nobody) && scene->place != OPEN)
        wrong("two hold the lock: %d and %d", nobody, self);
    shared->locks++;
    usleep(chance(seed, 2000));
    if (how == 2)
        _exit(0);              /* dies with it: main begins the next one */
    atomic_compare_exchange_strong(&shared->owner[which], &self, 0);
    begin("release of %s", strrchr(path, '/'), 0);
    status = steadfast_lock_release(lock, &report);
    end();
    if (status != 0 && scene->place != OPEN)
        wrong("refused: release: %s: %.150s", steadfast_status_name(status), report.message);
}

/* Each lock in a child, which may die with it; the next one finds what it left. */
static void lock_on(const struct scene *scene, const char *directory, const char *name, int which, uint32_t seed)
{
    char path[700];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    while (!shared->stop) {
        uint32_t own = chance(&seed, 1u << 30);
        pid_t child = fork();
        if (child == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            for (int i = 0; i < 10 && !shared->stop; i++)
                lock_once(scene, path, which, &own);
            _exit(0);
        }
        waitpid(child, NULL, 0);
    }
    _exit(0);
}

static void root_locks(const struct scene *scene, const char *directory, unsigned number, uint32_t seed)
{
    start(0, number);
    lock_on(scene, directory, "l", 0, seed);
}

static void user_locks(const struct scene *scene, const char *directory, unsigned number, uint32_t seed)
{
    start(USER, number);
    lock_on(scene, directory, "m", 1, seed);
}

/* The kernel's rule: in a sticky directory only one's own links, and those of its owner. */
static void root_follows(const struct scene *scene, const char *directory, unsigned number, uint32_t seed)
{
    static const struct {
        const char *name;
        int refused;
    } links[] = { { "link", 1 }, { "link2", 1 }, { "link3", 1 }, { "userlink", 1 }, { "rootlink", 0 } };
    start(0, number);
    while (!shared->stop && scene->links) {
        char path[700];
        steadfast_report report = { .size = sizeof report };
        unsigned i = chance(&seed, 5);
        snprintf(path, sizeof path, "%s/%s", directory, links[i].name);
        begin("save through %s", links[i].name, 0);
        int32_t status = save_by(path, SECRET " through a link", 21, LINK | (chance(&seed, 2) ? KEEP : 0), 0600, 0, &report);
        end();
        if (links[i].refused && status >= 0)
            wrong("followed: root saved through %s, whose owner is neither root nor the directory's", links[i].name);
        if (!links[i].refused && status != 0)
            wrong("refused: root's own link: %s: %.150s", steadfast_status_name(status), report.message);
    }
    _exit(0);
}

const struct victim victims[] = {
    { "root's secret state", 0, root_saves_secret },
    { "root's public state", 0, root_saves_public },
    { "the user's states", USER, user_saves },
    { "root's tightened state", 0, root_tightens },
    { "root's lock", 0, root_locks },
    { "root's lock, too", 0, root_locks },
    { "the user's lock", USER, user_locks },
    { "root's links", 0, root_follows },
};
const unsigned victim_count = sizeof victims / sizeof *victims;

/* In a child, since it takes another uid for a while. */
static void save_as(uid_t uid, const char *directory, const char *name, uint32_t mode, int secret)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        char path[700], text[100];
        become(uid, uid);
        snprintf(path, sizeof path, "%s/%s", directory, name);
        memset(text, '.', sizeof text);
        snprintf(text, 64, "%s %s 0 ", secret ? SECRET : "public", name);
        steadfast_save_options options = options_of(KEEP, mode, 0);
        for (int i = 0; i < 2; i++)
            if (steadfast_state_save(NULL, path, text, sizeof text, &options, NULL) != 0)
                _exit(1);
        _exit(0);
    }
    waitpid(child, &status, 0);
    if (status != 0)
        wrong("%s cannot be prepared", name);
}

void prepare(const struct scene *scene, const char *directory)
{
    int secret = scene->place != OPEN;
    save_as(0, directory, "s", 0600, secret);
    save_as(0, directory, "p", 0644, 0);
    save_as(0, directory, "t", 0644, 0);
    save_as(0, directory, "w", 0600, secret);
    save_as(USER, directory, "u", 0600, secret);
    save_as(USER, directory, "q", 0644, 0);
    char path[700];
    snprintf(path, sizeof path, "%s/rootlink", directory);
    if (symlink("w", path))
        wrong("no link");
    snprintf(path, sizeof path, "%s/userlink", directory);
    if (symlink("w", path) || lchown(path, USER, USER))
        wrong("no link");
    if (scene->arrange)
        scene->arrange(directory);
}

/* His names for PATH.prev and for the locks go: they were his, and are in the way. */
static void clear_names(const char *directory)
{
    static const char *const names[] = { "s.prev", "p.prev", "t.prev", "u.prev", "q.prev", "l", "m" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[700];
        struct stat about;
        snprintf(path, sizeof path, "%s/%s", directory, names[i]);
        if (lstat(path, &about) == 0 && about.st_uid == ATTACKER && unlink(path))
            rmdir(path);
    }
}

void aftermath(const struct scene *scene, const char *directory)
{
    static struct watched own;
    static const struct scene nobody = { .name = "nobody", .place = STICKY };
    struct state states[] = { { .name = "s", .mode = 0600, .secret = 1 }, { .name = "p", .mode = 0644 } };
    uint32_t seed = 1;
    watched = &own;
    if (scene->place == OPEN)
        return;
    clear_names(directory);
    for (int i = 0; i < 2; i++) {
        states[i].count = 1u << 30;
        for (int kind = 0; kind < KINDS; kind++)
            if (!(kinds[kind] & SWAP) || kind > 0)
                save(&nobody, directory, &states[i], kinds[kind], &seed);
    }
    shared->owner[0] = 0;
    char path[700];
    snprintf(path, sizeof path, "%s/l", directory);
    steadfast_report report = { .size = sizeof report };
    steadfast_lock *lock = NULL;
    int32_t status = steadfast_lock_acquire(NULL, path, WAIT_MS, NULL, &lock, &report);
    if (status != 0)
        wrong("afterwards: acquire: %s: %.150s", steadfast_status_name(status), report.message);
    else if ((status = steadfast_lock_release(lock, &report)) != 0)
        wrong("afterwards: release: %s", steadfast_status_name(status));
}
