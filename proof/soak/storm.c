/* A storm: 50 writers, readers and lockers of one state and one lock, with every flag that there is, killed with SIGKILL at any moment and
 * begun anew. A checker in shared memory knows what was acknowledged:
 *   - generations never go back: a load that begins after an acknowledgement finds that generation or a later one, whole;
 *   - of the writers that expect one generation at most one is told that it won;
 *   - two processes that are alive never hold the lock at once;
 *   - at the end everything still works, and nothing is left lying about.
 *
 *   storm DIRECTORY SECONDS SEED [kind]       kind: cas (default), or the mutants plain, unlink
 *
 * The mutants must be found: plain writers that do not compare and swap, lockers that clean by check-and-unlink. */
#define _GNU_SOURCE
#include "../../ctests/race/lives.h"
#include "steadfast.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WRITERS = 18, READERS = 16, LOCKERS = 16, ALL = WRITERS + READERS + LOCKERS, LARGEST = 70000, WON = 1 << 20 };

static struct {
    _Atomic uint64_t acknowledged, saves, conflicts, loads, taken, violations;
    _Atomic int owner, stop;
    char first[256];
    _Atomic uint8_t won[WON];
} *shared;

static char state_path[600], link_path[600], lock_path[600];
static int plain, unlinks;
static unsigned int seed;

static void violation(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void violation(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (atomic_fetch_add(&shared->violations, 1) == 0) vsnprintf(shared->first, sizeof shared->first, format, arguments);
    va_end(arguments);
}

/* Around the borders of pages and of the library's buffers (3840 fits one page with the header). */
static size_t size_of_generation(uint64_t generation)
{
    static const size_t sizes[] = { 1, 64, 3839, 3840, 3841, 4095, 4096, 4097, 16127, 16128, 16129, 65535, 65536, 65537 };
    return sizes[generation % (sizeof sizes / sizeof *sizes)];
}

/* The content is its generation's: a mixture of two states cannot pass for one. */
static void fill(char *data, size_t size, uint64_t generation)
{
    for (size_t i = 0; i < size; i++) data[i] = (char)(generation * 31 + i * 7 + (generation >> 8));
}

static void check(const steadfast_state *state, uint64_t at_least, const char *who)
{
    static char expected[LARGEST];
    if (state->generation < at_least)
        violation("%s: generation %" PRIu64 " after %" PRIu64 " was acknowledged", who, state->generation, at_least);
    if (plain) return;
    size_t size = size_of_generation(state->generation);
    fill(expected, size, state->generation);
    if (state->len != size || memcmp(state->data, expected, size) != 0)
        violation("%s: the content of generation %" PRIu64 " is not its own", who, state->generation);
}

static void raise_to(uint64_t generation)
{
    uint64_t known = shared->acknowledged;
    while (known < generation && !atomic_compare_exchange_weak(&shared->acknowledged, &known, generation)) {}
}

/* Every flag, also where it has nothing to do; and the batch. Bit 5 is RECYCLE, later ALTERNATE. */
enum { BATCH = 1 << 30, KEEP = STEADFAST_SAVE_KEEP_PREVIOUS, STRICT = STEADFAST_SAVE_STRICT, NO_SYNC = STEADFAST_SAVE_NO_SYNC, SLOTS = 1 << 5,
       SYNCFS = STEADFAST_SAVE_SYNCFS, LINK = STEADFAST_SAVE_FOLLOW_SYMLINK, PARENTS = STEADFAST_SAVE_CREATE_PARENTS };
static const uint32_t all_kinds[] = { 0, KEEP, STRICT, STRICT | KEEP, NO_SYNC, NO_SYNC | KEEP, SLOTS, SLOTS | STRICT, SLOTS | BATCH, LINK, LINK | KEEP, PARENTS,
                                      PARENTS | NO_SYNC, BATCH, BATCH | KEEP, BATCH | STRICT, BATCH | NO_SYNC, BATCH | SYNCFS, BATCH | SYNCFS | KEEP };
static uint32_t kinds[sizeof all_kinds / sizeof *all_kinds];
static unsigned int kind_count;

/* Bit 2 is INHERIT, of a later version. */
enum { INHERIT = 1 << 2 };
static const uint32_t all_lock_flags[] = { 0, STEADFAST_LOCK_TRUST_START_TIME, STEADFAST_LOCK_EINTR_RETURNS, INHERIT, INHERIT | STEADFAST_LOCK_EINTR_RETURNS };
static uint32_t lock_flags[sizeof all_lock_flags / sizeof *all_lock_flags];
static unsigned int lock_flag_count;

/* What this library has: a bit of another version is -EINVAL. */
static void choose_kinds(const char *directory)
{
    char path[700];
    for (size_t i = 0; i < sizeof all_lock_flags / sizeof *all_lock_flags; i++) {
        steadfast_lock_options options = { .size = sizeof options, .flags = all_lock_flags[i] };
        if (steadfast_lock_inspect(NULL, directory, &options, NULL) != -EINVAL) lock_flags[lock_flag_count++] = all_lock_flags[i];
    }
    snprintf(path, sizeof path, "%s/probe", directory);
    for (size_t i = 0; i < sizeof all_kinds / sizeof *all_kinds; i++) {
        steadfast_save_options options = { .size = sizeof options, .flags = all_kinds[i] & ~(uint32_t)BATCH };
        if (!(all_kinds[i] & SLOTS) || steadfast_state_save(NULL, path, "x", 1, &options, NULL) != -EINVAL) kinds[kind_count++] = all_kinds[i];
    }
    unlink(path);
    snprintf(path, sizeof path, "%s/probe.prev", directory);
    unlink(path);
}

/* One save in the way that `kind` says. */
static int32_t save_as(uint32_t kind, const char *data, size_t size, steadfast_save_options *options, steadfast_report *report)
{
    options->flags |= kind & ~(uint32_t)BATCH;
    if (!(kind & BATCH)) return steadfast_state_save(NULL, kind & LINK ? link_path : state_path, data, size, options, report);
    steadfast_save_entry entry = { .size = sizeof entry, .path = state_path, .data = data, .len = size };
    int32_t code = steadfast_state_save_batch(NULL, &entry, 1, options, report);
    if (code != entry.status) violation("a batch of one: %s, its entry %s", steadfast_status_name(code), steadfast_status_name(entry.status));
    report->generation = entry.generation;
    return entry.status;
}

static void write_state(void)
{
    static char data[LARGEST];
    uint64_t at_least = shared->acknowledged;
    steadfast_state state = { .size = sizeof state };
    int code = steadfast_state_load(NULL, state_path, NULL, &state, NULL);
    if (at_least == 0 && (code == -ENOENT || code == STEADFAST_E_LOST)) state.generation = 0;
    else if (code != 0) return violation("a writer's load: %s", steadfast_status_name(code));
    else check(&state, at_least, "a writer");
    uint64_t next = state.generation + 1;
    steadfast_state_free(&state);
    size_t size = size_of_generation(next);
    fill(data, size, next);
    uint32_t kind = kinds[(unsigned int)rand_r(&seed) % kind_count];
    steadfast_save_options options = { .size = sizeof options };
    if (!plain) {
        options.flags = STEADFAST_SAVE_IF_GENERATION;
        options.expected_generation = next - 1;
    }
    steadfast_report report = { .size = sizeof report };
    code = save_as(kind, data, size, &options, &report);
    if (code == STEADFAST_E_CONFLICT) {
        shared->conflicts++;
        return;
    }
    if (code != (kind & NO_SYNC ? STEADFAST_NOT_DURABLE : 0)) return violation("a save, flags %x: %s: %s", kind, steadfast_status_name(code), report.message);
    if (atomic_exchange(&shared->won[report.generation % WON], 1)) violation("generation %" PRIu64 " was won twice", report.generation);
    raise_to(report.generation);
    shared->saves++;
}

static void read_state(void)
{
    uint64_t at_least = shared->acknowledged;
    steadfast_load_options options = { .size = sizeof options, .flags = rand_r(&seed) % 2 ? STEADFAST_LOAD_RECOVER : 0 };
    static char into[LARGEST];
    steadfast_report report = { .size = sizeof report };
    steadfast_state state = { .size = sizeof state, .data = into };
    int in_place = rand_r(&seed) % 3 == 0;
    int code = in_place ? steadfast_state_load_into(NULL, state_path, &options, into, sizeof into, &state.len, &report)
                        : steadfast_state_load(NULL, state_path, &options, &state, NULL);
    if (in_place) state.generation = report.generation;
    /* Before the first save there is none; the second may come between the look at PATH and that at PATH.prev. */
    if (at_least == 0 && (code == -ENOENT || code == STEADFAST_E_LOST)) return;
    if (at_least == 0 && code == STEADFAST_RECOVERED) code = 0;
    if (code != 0) return violation("a load: %s", steadfast_status_name(code));
    check(&state, at_least, "a reader");
    if (!in_place) steadfast_state_free(&state);
    shared->loads++;
}

/* The mutant: read the PID; it is dead; unlink. */
static void clean_naively(void)
{
    char text[32] = "";
    int fd = open(lock_path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    ssize_t len = read(fd, text, sizeof text - 1);
    close(fd);
    long pid = len > 0 ? strtol(text, NULL, 10) : 0;
    if (pid <= 0 || lives((pid_t)pid)) return;
    usleep(300);
    unlink(lock_path);
}

static void take_lock(void)
{
    steadfast_lock *lock;
    if (unlinks) {
        /* Half of them clean, the others come by now and then. */
        if (getpid() % 2) return clean_naively();
        usleep((unsigned int)rand_r(&seed) % 3000);
    }
    steadfast_report report = { .size = sizeof report };
    steadfast_lock_options options = { .size = sizeof options, .flags = lock_flags[(unsigned int)rand_r(&seed) % lock_flag_count] };
    int code = steadfast_lock_acquire(NULL, lock_path, unlinks ? 0 : rand_r(&seed) % 3, &options, &lock, &report);
    if (code == STEADFAST_E_LOCKED) return;
    if (code != 0) return violation("an acquire: %s: %s", steadfast_status_name(code), report.message);
    int self = getpid(), before = atomic_exchange(&shared->owner, self);
    if (before != 0 && before != self && lives(before)) violation("two hold the lock: %d and %d", before, self);
    if (rand_r(&seed) % 4 == 0) usleep((unsigned int)rand_r(&seed) % 2000);
    else for (volatile int i = rand_r(&seed) % 20000; i > 0; i--) {}
    atomic_compare_exchange_strong(&shared->owner, &self, 0);
    code = steadfast_lock_release(lock, &report);
    if (code != 0) violation("a release: %s: %s", steadfast_status_name(code), report.message);
    shared->taken++;
}

static pid_t start(int number, unsigned int begin)
{
    pid_t pid = fork();
    if (pid != 0) return pid;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    seed = begin;
    while (!shared->stop) {
        if (number < WRITERS) write_state();
        else if (number < WRITERS + READERS) read_state();
        else take_lock();
    }
    _exit(0);
}

static void litter(const char *directory)
{
    DIR *open = opendir(directory);
    for (struct dirent *entry; (entry = readdir(open)) != NULL;)
        if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") && strcmp(entry->d_name, "state") && strcmp(entry->d_name, "state.prev") &&
            strcmp(entry->d_name, "link"))
            violation("left over: %s", entry->d_name);
    closedir(open);
}

/* One process, no kills: everything still works, and cleans up. */
static void aftermath(const char *directory)
{
    steadfast_report report = { .size = sizeof report };
    plain = 0;
    seed = 1;
    /* A temporary name is looked at, and an orphan under it removed, when a save needs it: each save the lowest ones, up to the first that
     * is free. Those whose writers had found lower ones in use go with them, one save later at most. */
    for (int i = 0; i < 3; i++) {
        steadfast_state state = { .size = sizeof state };
        int code = steadfast_state_load(NULL, state_path, NULL, &state, &report);
        if (code != 0 || state.generation < shared->acknowledged) violation("in the end: %s", report.message);
        steadfast_state_free(&state);
        code = steadfast_state_save(NULL, state_path, "end", 3, NULL, &report);
        if (code != 0) violation("the last save: %s", report.message);
    }
    steadfast_lock *lock;
    int code = steadfast_lock_acquire(NULL, lock_path, 0, NULL, &lock, &report);
    if (code != 0) violation("the last acquire: %s", report.message);
    else if (steadfast_lock_release(lock, &report) != 0) violation("the last release: %s", report.message);
    /* Higher temporary names can stay until somebody needs them: at most one for each writer that was at work at once. */
    char path[900];
    int orphans = 0;
    for (int k = 1; k < ALL; k++) {
        static const char *const forms[] = { "%s/.state.%d.tmp", "%s/.state.%d.prev.tmp" };
        for (int form = 0; form < 2; form++) {
            snprintf(path, sizeof path, forms[form], directory, k);
            orphans += unlink(path) == 0;
        }
    }
    if (orphans > WRITERS) violation("%d orphans", orphans);
    litter(directory);
}

int main(int argc, char **argv)
{
    if (argc < 4) return fprintf(stderr, "usage: storm DIRECTORY SECONDS SEED [plain|unlink]\n"), 2;
    const char *directory = argv[1];
    double seconds = strtod(argv[2], NULL);
    unsigned int begin = (unsigned int)strtoul(argv[3], NULL, 10);
    plain = argc > 4 && strcmp(argv[4], "plain") == 0;
    unlinks = argc > 4 && strcmp(argv[4], "unlink") == 0;
    snprintf(state_path, sizeof state_path, "%s/state", directory);
    snprintf(link_path, sizeof link_path, "%s/link", directory);
    snprintf(lock_path, sizeof lock_path, "%s/lock", directory);
    if (symlink("state", link_path)) return perror(link_path), 2;
    choose_kinds(directory);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) return perror("mmap"), 2;
    pid_t pids[ALL];
    unsigned int own = begin;
    for (int i = 0; i < ALL; i++) pids[i] = start(i, begin + (unsigned int)i);
    uint64_t kills = 0;
    struct timespec t0, now;
    clock_gettime(CLOCK_MONOTONIC, &t0);
    do {
        usleep(500 + (unsigned int)rand_r(&own) % 1500);
        int i = rand_r(&own) % ALL, holder = shared->owner;
        /* Often who holds the lock. */
        if (rand_r(&own) % 2)
            for (int k = 0; k < ALL; k++)
                if (pids[k] == holder) i = k;
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
        pids[i] = start(i, (unsigned int)rand_r(&own));
        kills++;
        clock_gettime(CLOCK_MONOTONIC, &now);
    } while (shared->violations == 0 && (double)(now.tv_sec - t0.tv_sec) + (double)(now.tv_nsec - t0.tv_nsec) / 1e9 < seconds);
    shared->stop = 1;
    /* One last blow for half of them. */
    for (int i = 0; i < ALL; i += 2) kill(pids[i], SIGKILL);
    for (int i = 0; i < ALL; i++) waitpid(pids[i], NULL, 0);
    if (!plain && !unlinks) aftermath(directory);
    printf("storm: %d processes, %" PRIu64 " kills, %" PRIu64 " saves, %" PRIu64 " conflicts, %" PRIu64 " loads, %" PRIu64 " locks taken, %" PRIu64
           " violations, seed %u%s%s\n", ALL, kills, shared->saves, shared->conflicts, shared->loads, shared->taken, shared->violations, begin,
           shared->violations ? ": " : "", shared->first);
    return shared->violations != 0;
}
