/* Workers that take and release one lock in a loop, while others are killed, plant stale locks, create or clean. */
#include "race.h"
#include "lives.h"

#include <sched.h>

/* Into the critical section: whoever is there must be dead. */
static void enter(void)
{
    int before = atomic_exchange(&shared->owner, getpid());
    if (before != 0 && before != getpid() && lives(before))
        shared->doubles++;
}

/* If it is not us that is there, the one who came in has counted it. */
static void leave(void)
{
    int self = getpid();
    atomic_compare_exchange_strong(&shared->owner, &self, 0);
}

static void work(const struct protocol *protocol, const char *path)
{
    unsigned int seed = (unsigned int)getpid();
    while (!shared->stop) {
        if (!protocol->take(path, 1))
            continue;
        enter();
        spin_ns(rand_r(&seed) % 100000);
        leave();
        shared->acquired++;
        if (!protocol->release(path))
            shared->lost++;
    }
    _exit(0);
}

/* Gives the lock's name to a file that is complete, if it is free: O_EXCL and link are one to whoever looks. */
static int create(const char *path, const char *side, pid_t pid)
{
    char text[32];
    int fd = open(side, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    int len = snprintf(text, sizeof text, "%ld\n", (long)pid);
    if (fd < 0 || write(fd, text, (size_t)len) != len)
        die("a foreign lock");
    close(fd);
    int done = linkat(AT_FDCWD, side, AT_FDCWD, path, 0) == 0;
    unlinkat(AT_FDCWD, side, 0);
    return done;
}

static void plant(const char *path, const char *side)
{
    for (;;) {
        create(path, side, stale_pid());
        usleep(300);
    }
}

/* A foreign owner that lives: it locks, works, removes its own file. */
static void own(const char *path, const char *side)
{
    for (;;) {
        if (!create(path, side, getpid())) {
            sched_yield();
            continue;
        }
        enter();
        spin_ns(50000);
        leave();
        if (unlinkat(AT_FDCWD, path, 0))
            shared->lost++;
        usleep(200);
    }
}

/* What half of the world does: read the PID; it is dead; unlink. */
static void clean_naively(const char *path)
{
    for (;;) {
        char text[64] = "";
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) {
            sched_yield();
            continue;
        }
        ssize_t len = read(fd, text, sizeof text - 1);
        close(fd);
        long pid = len > 0 ? strtol(text, NULL, 10) : 0;
        if (pid > 0 && kill((pid_t)pid, 0) && errno == ESRCH)
            unlinkat(AT_FDCWD, path, 0);
    }
}

static pid_t start_worker(const struct protocol *protocol, const char *path)
{
    pid_t pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        work(protocol, path);
    }
    return pid;
}

struct row storm(const struct protocol *protocol, const char *base, int workers, int beside, double seconds)
{
    char directory[600], path[640], side[4][640];
    pid_t pids[MOST_WORKERS + 3];
    int others = 0;
    snprintf(directory, sizeof directory, "%s/d", base);
    snprintf(path, sizeof path, "%s/lock", directory);
    for (int i = 0; i < 4; i++)
        snprintf(side[i], sizeof side[i], "%s/side.%d", base, i);
    shared->stop = 0;
    shared->acquired = shared->doubles = shared->lost = shared->owner = 0;
    for (int i = 0; i < workers; i++)
        pids[i] = start_worker(protocol, path);
    for (int bit = BESIDE_PLANTER; bit <= BESIDE_NAIVE_CLEANER; bit <<= 1) {
        if (!(beside & bit))
            continue;
        pid_t pid = fork();
        if (pid < 0)
            die("fork");
        if (pid == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            if (bit == BESIDE_PLANTER)
                plant(path, side[0]);
            else if (bit == BESIDE_CREATOR)
                own(path, side[1]);
            else
                clean_naively(path);
        }
        pids[workers + others++] = pid;
    }
    unsigned int seed = 1;
    for (int64_t end = now_ns() + (int64_t)(seconds * 1e9); now_ns() < end;) {
        usleep(1000 + (unsigned int)rand_r(&seed) % 2000);
        if (beside & BESIDE_KILLS) {
            int i = rand_r(&seed) % workers;
            kill(pids[i], SIGKILL);
            waitpid(pids[i], NULL, 0);
            pids[i] = start_worker(protocol, path);
        }
    }
    /* A storm ends with one more blow for all; else the workers end by themselves, and nothing of theirs may be left. */
    shared->stop = 1;
    for (int i = beside & BESIDE_KILLS ? 0 : workers; i < workers + others; i++)
        kill(pids[i], SIGKILL);
    for (int i = 0; i < workers + others; i++)
        waitpid(pids[i], NULL, 0);
    /* Whatever they left: the next one gets in, and leaves nothing. */
    int in = 0;
    for (int i = 0; i < 3 && !in; i++)
        in = protocol->take(path, 1);
    if (in)
        protocol->release(path);
    else
        shared->lost++;
    struct row row = { .protocol = protocol->name,
                       .n = workers,
                       .rounds = shared->acquired,
                       .doubles = shared->doubles,
                       .lost = shared->lost,
                       .litter = empty_directory(directory),
                       .ours = protocol->ours,
                       .report_only = beside & BESIDE_NAIVE_CLEANER };
    /* Without O_TMPFILE, who is killed leaves a private name, which the next one that comes to it removes: at most one for
     * each that was at work at once. */
    if (beside & BESIDE_KILLS && protocol == &protocol_ours_plain)
        row.orphans_allowed = workers;
    row.speed = beside & BESIDE_NAIVE_CLEANER ? "churn + naive cleaner"
                : beside & BESIDE_KILLS       ? "kill -9 storm"
                                              : "churn + planter, creator";
    unlinkat(AT_FDCWD, side[0], 0);
    unlinkat(AT_FDCWD, side[1], 0);
    return row;
}
