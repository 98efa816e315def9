/*
 * Kills a writer at random moments, hundreds of times, while a reader loads all the time.
 *
 *     demo-crash DIRECTORY KILLS [SEED]
 *
 * First a writer that overwrites its file (open O_TRUNC, write), as many programs do, to show that the driver sees
 * what is torn; then one that saves with steadfast.
 */
#define _DEFAULT_SOURCE
#include "demo.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <steadfast.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { LARGEST = 160 * 1024 };

/* Shared by writer, reader and driver. */
struct shared {
    atomic_ullong acknowledged;  /* the last save that the writer was told is done */
    atomic_int saving;           /* the writer is inside a save */
    atomic_ullong saves;
    atomic_ullong loads;         /* by the reader */
    atomic_ullong torn;          /* what it loaded was no state that was ever saved */
    atomic_ullong backwards;     /* it was older than one loaded before */
    atomic_ullong missing;       /* there was none */
    atomic_int stop;
};

static struct shared *shared;
static char path[4096];
static int naive;

/* State number `n`: its number, then bytes that follow from it, of a length that follows from it. */
static size_t content_length(uint64_t n)
{
    uint64_t mix = n * 2654435761u + 12345;
    next_random(&mix);
    return 32 + (size_t)(next_random(&mix) % (LARGEST - 32));
}

static size_t make_content(uint64_t n, unsigned char *out)
{
    size_t len = content_length(n);
    memset(out, 0, 32);
    snprintf((char *)out, 32, "state %llu", (unsigned long long)n);
    uint64_t mix = n | 1;
    for (size_t i = 32; i < len; i++) {
        out[i] = (unsigned char)(next_random(&mix) >> 56);
    }
    return len;
}

/* The number of the state, 0 when it is not one, whole. */
static uint64_t check_content(const unsigned char *data, size_t len)
{
    static unsigned char expected[LARGEST];
    unsigned long long n = 0;
    if (len < 32 || memchr(data, 0, 32) == NULL || sscanf((const char *)data, "state %llu", &n) != 1 || n == 0) {
        return 0;
    }
    return make_content(n, expected) == len && memcmp(expected, data, len) == 0 ? n : 0;
}

/* 1: loaded, and in `n` its number, 0 when torn. 0: there is none. */
static int load(uint64_t *n)
{
    if (naive) {
        static unsigned char data[LARGEST + 1];
        int fd = open(path, O_RDONLY);
        if (fd < 0) {
            return 0;
        }
        size_t len = 0;
        ssize_t got;
        while ((got = read(fd, data + len, sizeof data - len)) > 0) {
            len += (size_t)got;
        }
        close(fd);
        *n = check_content(data, len);
        return 1;
    }
    steadfast_state state = { .size = sizeof state };
    int32_t status = steadfast_state_load(NULL, path, NULL, &state, NULL);
    if (status == -2 /* ENOENT */) {
        return 0;
    }
    /* RECOVERED: a save of an alternating state was cut off, and the state before it is whole. */
    *n = status == STEADFAST_OK || status == STEADFAST_RECOVERED ? check_content(state.data, state.len) : 0;
    steadfast_state_free(&state);
    return 1;
}

static int save(uint64_t n, const unsigned char *data, size_t len)
{
    if (naive) {
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        int done = fd >= 0 && write(fd, data, len) == (ssize_t)len;
        close(fd);
        return done;
    }
    /* Every second one also keeps the generation before: more steps to be killed between. Then, for as long, two files take turns. */
    uint32_t kept = n % 2 ? STEADFAST_SAVE_KEEP_PREVIOUS : 0;
    steadfast_save_options options = { .size = sizeof options, .flags = n / 10 % 2 ? STEADFAST_SAVE_ALTERNATE : kept };
    return steadfast_state_save(NULL, path, data, len, &options, NULL) == STEADFAST_OK;
}

static void writer(uint64_t n)
{
    static unsigned char data[LARGEST];
    for (;; n++) {
        size_t len = make_content(n, data);
        atomic_store(&shared->saving, 1);
        if (!save(n, data, len)) {
            _exit(1);
        }
        atomic_store(&shared->saving, 0);
        atomic_store(&shared->acknowledged, n);
        atomic_fetch_add(&shared->saves, 1);
    }
}

static void reader(void)
{
    uint64_t newest = 0, n;
    while (!atomic_load(&shared->stop)) {
        n = 0;
        if (!load(&n)) {
            atomic_fetch_add(&shared->missing, 1);
        } else if (n == 0) {
            atomic_fetch_add(&shared->torn, 1);
        } else if (n < newest) {
            atomic_fetch_add(&shared->backwards, 1);
        } else {
            newest = n;
        }
        atomic_fetch_add(&shared->loads, 1);
    }
    _exit(0);
}

static long long temporary_files(const char *directory)
{
    long long count = 0;
    DIR *dir = opendir(directory);
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        count += strstr(entry->d_name, ".tmp") != NULL;
    }
    closedir(dir);
    return count;
}

static int run(const char *directory, int kills, uint64_t *seed)
{
    memset(shared, 0, sizeof *shared);
    snprintf(path, sizeof path, "%s/%s", directory, naive ? "naive" : "state");
    long long inside = 0, torn_after = 0, lost = 0, failed = 0, orphans = 0;
    uint64_t next = 1;
    static unsigned char data[LARGEST];
    if (!save(next, data, make_content(next, data))) {
        return promise(0, "the first save", 0);
    }
    atomic_store(&shared->acknowledged, next);
    pid_t reading = fork();
    if (reading == 0) {
        reader();
    }
    for (int kill_number = 0; kill_number < kills; kill_number++) {
        pid_t pid = fork();
        if (pid == 0) {
            writer(next + 1);
        }
        /* Up to a few saves long; spread over all of their steps. */
        usleep((useconds_t)(next_random(seed) % 20000));
        kill(pid, SIGKILL);
        int status;
        waitpid(pid, &status, 0);
        failed += WIFEXITED(status);
        inside += atomic_exchange(&shared->saving, 0);
        /* What a new start of the program would find. */
        uint64_t n = 0;
        load(&n);
        torn_after += n == 0;
        orphans += temporary_files(directory) > 0;
        lost += n != 0 && n < atomic_load(&shared->acknowledged);
        uint64_t acknowledged = atomic_load(&shared->acknowledged);
        next = n > acknowledged ? n : acknowledged;
    }
    atomic_store(&shared->stop, 1);
    waitpid(reading, NULL, 0);
    long long torn = (long long)atomic_load(&shared->torn) + torn_after;
    printf("   %d kills, %lld of them inside a save; %llu saves done, %llu loads beside them\n", kills, inside,
           (unsigned long long)atomic_load(&shared->saves), (unsigned long long)atomic_load(&shared->loads));
    if (naive) {
        printf("        torn or empty files seen by a reader or found after a kill:    %lld\n", torn);
        if (torn == 0) {
            return promise(0, "the driver can see a torn file; without that its zeros say nothing", torn);
        }
        return 0;
    }
    /* One more save takes away what killed writers left. */
    save(next + 1, data, make_content(next + 1, data));
    save(next + 2, data, make_content(next + 2, data));
    int bad = promise(failed == 0, "saves that failed", failed);
    bad += promise(inside > kills / 4, "kills that hit inside a save (a test of this test)", inside);
    bad += promise(torn == 0, "states that were not whole, for a reader or after a kill", torn);
    bad += promise(atomic_load(&shared->missing) == 0, "loads that found nothing", (long long)atomic_load(&shared->missing));
    bad +=
        promise(atomic_load(&shared->backwards) == 0, "loads that went back to an older state", (long long)atomic_load(&shared->backwards));
    bad += promise(lost == 0, "saves that were reported done and then not there", lost);
    bad += promise(orphans > 0, "kills that left a temporary file (a test of this test)", orphans);
    bad += promise(temporary_files(directory) == 0, "temporary files after the next saves", temporary_files(directory));
    return bad;
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fprintf(stderr, "usage: demo-crash DIRECTORY KILLS [SEED]\n");
        return 2;
    }
    int kills = atoi(argv[2]);
    uint64_t seed = seed_from(argc, argv, 3);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || kills < 1) {
        perror("demo-crash");
        return 2;
    }
    printf("   (seed %llu)\n", (unsigned long long)seed);
    fflush(stdout);
    naive = 1;
    printf("   open(O_TRUNC) and write, as programs do it:\n");
    fflush(stdout);
    int bad = run(argv[1], kills / 3 + 1, &seed);
    naive = 0;
    printf("   steadfast_state_save:\n");
    fflush(stdout);
    bad += run(argv[1], kills, &seed);
    return bad != 0;
}
