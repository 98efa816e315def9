/*
 * Eight processes race for a lock whose owner is dead, thousands of times: once cleaning it up as programs commonly do
 * (read the PID; dead: rename the file to NAME.removing and unlink that), once by steadfast_lock_clean_stale. All
 * else is the same: the lock is taken by O_CREAT|O_EXCL, and the winners hold it until all have answered.
 *
 *     demo-race DIRECTORY ROUNDS [SEED]
 */
#define _DEFAULT_SOURCE
#include "demo.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <steadfast.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { PROCESSES = 8 };
enum way { COMMON, STEADFAST };

struct shared {
    atomic_int round;     /* goes up when a round begins */
    atomic_int answered;  /* how many know whether they hold the lock */
    atomic_int left;      /* how many are done with the round */
    atomic_int holders;
    atomic_int removers;  /* how many were told that they removed the stale lock */
    atomic_int stop;
};

static struct shared *shared;
static char path[4096], removing[4200];
static enum way way;
static int delayed;
static uint64_t random_state;

/* The same for both ways, before each call: none, or now and then a short one. */
static void maybe_wait(void)
{
    if (delayed && next_random(&random_state) % 2 == 0) {
        int64_t end = now_us() + (int64_t)(next_random(&random_state) % 60);
        while (now_us() < end) {
            sched_yield();
        }
    }
}

static int process_is_dead(pid_t pid)
{
    return kill(pid, 0) != 0 && errno == ESRCH;
}

static int clean_as_commonly_done(void)
{
    char text[32] = "";
    int fd = open(path, O_RDONLY | O_NOFOLLOW);
    if (fd < 0) {
        return 0;
    }
    maybe_wait();
    ssize_t len = read(fd, text, sizeof text - 1);
    close(fd);
    long pid = len > 0 ? strtol(text, NULL, 10) : 0;
    if (pid <= 0 || !process_is_dead((pid_t)pid)) {
        return 0;
    }
    maybe_wait();
    if (rename(path, removing) != 0) {
        return 0;
    }
    maybe_wait();
    return unlink(removing) == 0;
}

/* Hooks that wait before the real call. */
static int32_t slow_openat(void *user, int32_t dir, const char *name, int32_t flags, uint32_t mode)
{
    (void)user;
    maybe_wait();
    return steadfast_hooks_default()->openat(NULL, dir, name, flags, mode);
}

static int32_t slow_flock(void *user, int32_t fd, int32_t operation)
{
    (void)user;
    maybe_wait();
    return steadfast_hooks_default()->flock(NULL, fd, operation);
}

static int32_t slow_fstatat(void *user, int32_t dir, const char *name, steadfast_stat *out)
{
    (void)user;
    maybe_wait();
    return steadfast_hooks_default()->fstatat(NULL, dir, name, out);
}

static int32_t slow_unlinkat(void *user, int32_t dir, const char *name, int32_t flags)
{
    (void)user;
    maybe_wait();
    return steadfast_hooks_default()->unlinkat(NULL, dir, name, flags);
}

static int take(void)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
    if (fd < 0) {
        return 0;
    }
    char text[32];
    int len = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (write(fd, text, (size_t)len) != len) {
        _exit(1);
    }
    close(fd);
    return 1;
}

static void contend(int number, uint64_t seed)
{
    random_state = seed + (uint64_t)number * 7919 * 2;
    steadfast_hooks hooks = steadfast_hooks_init();
    if (delayed) {
        hooks.openat = slow_openat;
        hooks.flock = slow_flock;
        hooks.fstatat = slow_fstatat;
        hooks.unlinkat = slow_unlinkat;
    }
    steadfast_context *context = NULL;
    if (steadfast_context_new(&hooks, &context) != STEADFAST_OK) {
        _exit(1);
    }
    for (int round = 0;;) {
        while (atomic_load(&shared->round) == round) {
            if (atomic_load(&shared->stop)) {
                _exit(0);
            }
            sched_yield();
        }
        round++;
        int removed, held = 0;
        for (int attempt = 0; attempt < 3 && !held; attempt++) {
            removed =
                way == COMMON ? clean_as_commonly_done() : steadfast_lock_clean_stale(context, path, NULL, NULL) == STEADFAST_LOCK_REMOVED;
            atomic_fetch_add(&shared->removers, removed);
            maybe_wait();
            held = take();
        }
        atomic_fetch_add(&shared->holders, held);
        atomic_fetch_add(&shared->answered, 1);
        /* The round is judged while all who think that they hold it still do. */
        while (atomic_load(&shared->answered) <= PROCESSES) {
            sched_yield();
        }
        atomic_fetch_add(&shared->left, 1);
    }
}

static pid_t dead_process(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        _exit(0);
    }
    waitpid(pid, NULL, 0);
    return pid;
}

struct result {
    long long doubled, nobody, left_behind;
};

static struct result race(const char *directory, enum way chosen, int with_delays, int rounds, uint64_t seed)
{
    struct result result = { 0, 0, 0 };
    way = chosen;
    delayed = with_delays;
    snprintf(path, sizeof path, "%s/lock", directory);
    snprintf(removing, sizeof removing, "%s.removing", path);
    memset(shared, 0, sizeof *shared);
    pid_t dead = dead_process(), racers[PROCESSES];
    for (int i = 0; i < PROCESSES; i++) {
        racers[i] = fork();
        if (racers[i] == 0) {
            contend(i, seed);
        }
    }
    for (int round = 0; round < rounds; round++) {
        while (!process_is_dead(dead)) {
            dead = dead_process();  /* its number was given out again */
        }
        char text[32];
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0644);
        int len = snprintf(text, sizeof text, "%ld\n", (long)dead);
        if (fd < 0 || write(fd, text, (size_t)len) != len) {
            perror(path);
            exit(1);
        }
        close(fd);
        atomic_store(&shared->answered, 0);
        atomic_store(&shared->left, 0);
        atomic_store(&shared->holders, 0);
        atomic_fetch_add(&shared->round, 1);
        while (atomic_load(&shared->answered) < PROCESSES) {
            sched_yield();
        }
        int holders = atomic_load(&shared->holders);
        result.doubled += holders > 1;
        result.nobody += holders == 0;
        atomic_fetch_add(&shared->answered, 1);
        while (atomic_load(&shared->left) < PROCESSES) {
            sched_yield();
        }
        unlink(path);
        result.left_behind += unlink(removing) == 0;
    }
    atomic_store(&shared->stop, 1);
    for (int i = 0; i < PROCESSES; i++) {
        waitpid(racers[i], NULL, 0);
    }
    return result;
}

int main(int argc, char **argv)
{
    if (argc < 3 || atoi(argv[2]) < 1) {
        fprintf(stderr, "usage: demo-race DIRECTORY ROUNDS [SEED]\n");
        return 2;
    }
    int rounds = atoi(argv[2]);
    uint64_t seed = seed_from(argc, argv, 3);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        perror("demo-race");
        return 2;
    }
    printf("   %d processes, %d rounds each (seed %llu)\n", PROCESSES, rounds, (unsigned long long)seed);
    printf("   %-44s %14s %14s\n", "", "two holders", "no holder");
    fflush(stdout);
    struct result ours = { 0, 0, 0 };
    long long theirs = 0;
    for (int with_delays = 0; with_delays < 2; with_delays++) {
        for (int chosen = COMMON; chosen <= STEADFAST; chosen++) {
            struct result result = race(argv[1], (enum way)chosen, with_delays, rounds, seed + (uint64_t)with_delays * 2);
            char label[80];
            snprintf(label, sizeof label, "%s, %s", chosen == COMMON ? "rename and unlink" : "steadfast",
                     with_delays ? "delays of up to 60 us" : "natural speed");
            printf("   %-44s %14lld %14lld\n", label, result.doubled, result.nobody);
            fflush(stdout);
            if (chosen == COMMON) {
                theirs += result.doubled;
            } else {
                ours.doubled += result.doubled;
                ours.nobody += result.nobody;
                ours.left_behind += result.left_behind;
            }
        }
    }
    int bad = promise(theirs > 0, "double holders of the common way (a test of this test)", theirs);
    bad += promise(ours.doubled == 0, "rounds in which steadfast let two hold the lock", ours.doubled);
    bad += promise(ours.nobody == 0, "rounds in which nobody could take it", ours.nobody);
    bad += promise(ours.left_behind == 0, "files left behind", ours.left_behind);
    return bad != 0;
}
