/* locks DIRECTORY SECONDS: six processes take and release one lock, half of them in two other PID namespaces, and are killed while they
 * hold it. A lock that needs what the file system lacks may be STEADFAST_E_UNSUPPORTED for everybody, and leaves no file then. TAP. */
#define _GNU_SOURCE
#include "steadfast.h"

#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WORKERS = 6 };
static struct {
    _Atomic int owner, stop, killed[WORKERS + 1];
    _Atomic long taken, refused, unsupported, doubles, failed;
    char first[300];
} *shared;
static char path[700];
static int number, passed, failed;

static void ok(int good, const char *text)
{
    printf("%sok %d - %s\n", good ? "" : "not ", ++number, text);
    good ? passed++ : failed++;
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void note(const char *what, const steadfast_report *report)
{
    if (shared->failed++ == 0) snprintf(shared->first, sizeof shared->first, "%s: %s: %s", what, steadfast_status_name(report->status), report->message);
}

static void work(int self, unsigned seed)
{
    while (!shared->stop) {
        steadfast_report report = { .size = sizeof report };
        steadfast_lock *lock = NULL;
        int32_t status = steadfast_lock_acquire(NULL, path, rand_r(&seed) % 30, NULL, &lock, &report);
        if (status == STEADFAST_E_LOCKED) {
            shared->refused++;
            continue;
        }
        if (status == STEADFAST_E_UNSUPPORTED) {
            shared->unsupported++;
            usleep(5000);
            continue;
        }
        if (status != 0) {
            note("acquire", &report);
            usleep(5000);
            continue;
        }
        int before = atomic_exchange(&shared->owner, self);
        if (before != 0 && !shared->killed[before]) shared->doubles++;
        shared->taken++;
        usleep((unsigned)rand_r(&seed) % 4000);
        atomic_compare_exchange_strong(&shared->owner, &(int){ self }, 0);
        if (steadfast_lock_release(lock, &report) != 0) note("release", &report);
    }
    _exit(0);
}

/* In a PID namespace of its own, with its own /proc: the parent's child is its first process. */
static pid_t start(int self, unsigned seed)
{
    pid_t child = fork();
    if (child != 0) return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (self % 2 == 0) work(self, seed);
    if (unshare(CLONE_NEWPID | CLONE_NEWNS)) _exit(3);
    pid_t first = fork();
    if (first == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) || mount("proc", "/proc", "proc", 0, NULL)) _exit(3);
        work(self, seed);
    }
    waitpid(first, NULL, 0);
    _exit(0);
}

/* The killed may leave files under temporary names, where there is no O_TMPFILE; nothing else. */
static int entries(const char *directory)
{
    int count = 0;
    DIR *list = opendir(directory);
    for (struct dirent *entry; list && (entry = readdir(list)) != NULL;)
        count += strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..") && !strstr(entry->d_name, ".tmp");
    if (list) closedir(list);
    return count;
}

int main(int argc, char **argv)
{
    pid_t pids[WORKERS + 1] = { 0 };
    unsigned seed = (unsigned)getpid();
    int kills = 0;
    if (argc != 3) return fprintf(stderr, "usage: locks DIRECTORY SECONDS\n"), 2;
    snprintf(path, sizeof path, "%s/lock", argv[1]);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) return perror("mmap"), 3;
    for (int i = 1; i <= WORKERS; i++) pids[i] = start(i, seed + (unsigned)i);
    for (double until = now() + strtod(argv[2], NULL); now() < until;) {
        usleep(20000 + (unsigned)rand_r(&seed) % 30000);
        int owner = shared->owner, i = owner && rand_r(&seed) % 2 ? owner : 1 + rand_r(&seed) % WORKERS;
        shared->killed[i] = 1;
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
        /* Its first process dies with it: PR_SET_PDEATHSIG. */
        atomic_compare_exchange_strong(&shared->owner, &(int){ i }, 0);
        usleep(2000);
        shared->killed[i] = 0;
        pids[i] = start(i, (unsigned)rand_r(&seed));
        kills++;
    }
    shared->stop = 1;
    for (int i = 1; i <= WORKERS; i++) waitpid(pids[i], NULL, 0);
    printf("# %ld taken, %ld refused, %ld unsupported, %d kills, %ld failed%s%s, seed %d\n", shared->taken, shared->refused, shared->unsupported, kills, shared->failed,
           shared->first[0] ? ": " : "", shared->first, getpid());
    steadfast_report report = { .size = sizeof report };
    steadfast_lock *lock = NULL;
    int32_t status = steadfast_lock_acquire(NULL, path, 2000, NULL, &lock, &report);
    int none = shared->taken == 0 && shared->failed == 0 && status == STEADFAST_E_UNSUPPORTED;
    ok(shared->doubles == 0, "never two holders");
    ok(shared->failed == 0, "each acquire and release is done, or refused as it should be");
    ok(none || (shared->taken > 0 && shared->unsupported == 0), "locks are there for everybody, or for nobody");
    ok(none || status == 0, "a killed holder's lock is taken over");
    if (status == 0) ok(steadfast_lock_release(lock, &report) == 0, "the last release is done");
    ok(entries(argv[1]) == 0, "no lock is left");
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
