/* The user's own files: writers and readers of large states, the time until a watch has seen a save, and updates by many processes. */
#define _GNU_SOURCE
#include "bench.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#ifdef HAVE_OPENSSL
#include <openssl/evp.h>
#endif

enum { PIECE = 128 * 1024 };

/* A source file that is copied piece by piece. */
struct copy {
    const struct place *place;
    char source[256], target[256];
    size_t size;
    uint32_t flags; /* of the save; the load's follow */
};

static int opened(const char *path, int flags)
{
    int file = open(path, flags | O_CLOEXEC, 0600);
    must(file >= 0, path);
    return file;
}

/* cat, and then the sync that cat does not make. */
static void copy_bare(void *arg)
{
    static char piece[PIECE];
    struct copy *c = arg;
    int from = opened(c->source, O_RDONLY), to = opened(c->target, O_WRONLY | O_CREAT | O_TRUNC);
    for (ssize_t n; (n = read(from, piece, sizeof piece)) != 0;)
        must(n > 0 && write(to, piece, (size_t)n) == n, "a copy");
    must(fsync(to) == 0, "fsync");
    close(from), close(to);
}

static void copy_by_writer(void *arg)
{
    static char piece[PIECE];
    struct copy *c = arg;
    steadfast_save_options options = { .size = sizeof options, .flags = c->flags };
    steadfast_writer *writer;
    int from = opened(c->source, O_RDONLY);
    must(steadfast_writer_open(NULL, c->target, &options, &writer, NULL) == 0, "steadfast_writer_open");
    for (ssize_t n; (n = read(from, piece, sizeof piece)) != 0;)
        must(n > 0 && steadfast_writer_write(writer, piece, (size_t)n, NULL) == 0, "steadfast_writer_write");
    int32_t status = steadfast_writer_commit(writer, NULL);
    must(status == 0 || (c->place->memory && status == STEADFAST_UNVERIFIED), "steadfast_writer_commit");
    close(from);
}

static void read_verified(void *arg)
{
    static char piece[PIECE];
    struct copy *c = arg;
    steadfast_load_options options = { .size = sizeof options, .flags = c->flags ? STEADFAST_LOAD_PLAIN : 0 };
    steadfast_reader *reader;
    must(steadfast_reader_open(NULL, c->target, &options, &reader, NULL, NULL) >= 0, "steadfast_reader_open");
    size_t at = 0;
    for (size_t n = 1; n > 0; at += n)
        must(steadfast_reader_read(reader, at, piece, sizeof piece, &n, NULL) == 0, "steadfast_reader_read");
    must(at == c->size, "the length that was read");
    steadfast_reader_close(reader);
}

#ifdef HAVE_OPENSSL
static void hash_once(void *arg)
{
    static char piece[PIECE];
    struct copy *c = arg;
    unsigned char digest[32];
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    int file = opened(c->source, O_RDONLY);
    must(context && EVP_DigestInit_ex(context, EVP_sha256(), NULL), "OpenSSL");
    for (ssize_t n; (n = read(file, piece, sizeof piece)) != 0;)
        must(n > 0 && EVP_DigestUpdate(context, piece, (size_t)n), "OpenSSL");
    must(EVP_DigestFinal_ex(context, digest, NULL), "OpenSSL");
    EVP_MD_CTX_free(context);
    close(file);
}
#endif

/* How much a process of its own holds at its peak, beyond what it had. */
static double beyond_mib(void (*work)(void *), struct copy *c)
{
    int result[2];
    double mib = 0;
    must(pipe(result) == 0, "pipe");
    pid_t child = fork();
    must(child >= 0, "fork");
    if (child == 0) {
        double before = (double)peak_kib();
        work(c);
        mib = ((double)peak_kib() - before) / 1024;
        _exit(write(result[1], &mib, sizeof mib) == sizeof mib ? 0 : 1);
    }
    close(result[1]);
    must(read(result[0], &mib, sizeof mib) == sizeof mib && waitpid(child, NULL, 0) == child, "the child that measures memory");
    close(result[0]);
    return mib;
}

static void memory_row(const char *what, const struct place *place, struct copy *c, void (*work)(void *))
{
    row((struct row){ .part = "files",
                      .what = what,
                      .place = place,
                      .size = c->size,
                      .value = beyond_mib(work, c),
                      .unit = "MiB",
                      .target = what[0] == 'w' ? 1 : 0,
                      .rounds = 1 });
}

static void streams(const struct place *place, uint32_t flags)
{
    size_t size = settings.quick ? (size_t)16 << 20 : (size_t)(settings.full ? 1024 : 256) << 20;
    int plain = flags != 0;
    struct copy c = { .place = place, .size = size, .flags = flags };
    snprintf(c.source, sizeof c.source, "%s/source", place->dir);
    snprintf(c.target, sizeof c.target, "%s/target", place->dir);
    int file = opened(c.source, O_WRONLY | O_CREAT | O_TRUNC);
    for (size_t done = 0; done < size;) {
        ssize_t n = write(file, payload(size) + done, size - done);
        must(n > 0, "the source");
        done += (size_t)n;
    }
    must(fsync(file) == 0, "fsync");
    close(file);

    struct contestant writers[2] = { { .run = copy_bare, .arg = &c }, { .run = copy_by_writer, .arg = &c } };
    size_t rounds = contest(writers, 2, 5);
    row_ratio("files", plain ? "writer, PLAIN / cat + fsync" : "writer / cat + fsync", place, size, writers, 1, plain ? 1.6 : 1.9, rounds);
    memory_row(plain ? "writer, PLAIN: peak memory" : "writer: peak memory", place, &c, copy_by_writer);
    copy_by_writer(&c);
#ifdef HAVE_OPENSSL
    struct contestant readers[2] = { { .run = hash_once, .arg = &c }, { .run = read_verified, .arg = &c } };
    rounds = contest(readers, 2, 5);
    row_ratio("files", plain ? "reader, PLAIN / hashing once" : "reader / hashing once", place, size, readers, 1, 2.2, rounds);
#else
    row_skipped("files", "reader / hashing once", place, size, "no OpenSSL headers (apt-get install libssl-dev)");
#endif
    memory_row(plain ? "reader, PLAIN: peak memory" : "reader: peak memory", place, &c, read_verified);
    must(unlink(c.source) == 0 && unlink(c.target) == 0, "unlink");
}

/* From the rename of a save to the return of the waiter. */
static struct {
    _Atomic double renamed;
    _Atomic int waiting;
    steadfast_watch *watch;
    uint64_t generation;
    double us;
} watched;

static int32_t timed_rename(void *user, int32_t from_dir, const char *from, int32_t to_dir, const char *to, uint32_t flags)
{
    (void)user;
    watched.renamed = now_us();
    return steadfast_hooks_default()->renameat(NULL, from_dir, from, to_dir, to, flags);
}

static void *wait_for_it(void *arg)
{
    watched.waiting = 1;
    int32_t status = steadfast_watch_wait(watched.watch, watched.generation, 10000, NULL);
    watched.us = now_us() - watched.renamed;
    must(status == 0, "steadfast_watch_wait");
    return arg;
}

static void watch_latency(const struct place *place)
{
    enum { MOST = 400 };
    size_t rounds = settings.quick ? 30 : MOST;
    static double values[MOST];
    steadfast_hooks hooks = steadfast_hooks_init();
    steadfast_context *context;
    char path[256];
    hooks.renameat = timed_rename;
    snprintf(path, sizeof path, "%s/watched", place->dir);
    steadfast_save_options options = { .size = sizeof options, .flags = STEADFAST_SAVE_NO_SYNC };
    steadfast_report report = { .size = sizeof report };
    must(steadfast_context_new(&hooks, &context) == 0, "steadfast_context_new");
    must(steadfast_state_save(context, path, "first", 5, &options, &report) >= 0, "steadfast_state_save");
    must(steadfast_watch_open(NULL, path, NULL, &watched.watch, NULL) == 0, "steadfast_watch_open");
    for (size_t i = 0; i < rounds; i++) {
        pthread_t waiter;
        watched.generation = report.generation, watched.waiting = 0;
        must(pthread_create(&waiter, NULL, wait_for_it, NULL) == 0, "pthread_create");
        while (!watched.waiting)
            sched_yield();
        usleep(2000); /* it sleeps in poll by then; when it does not, that round is a quicker one */
        must(steadfast_state_save(context, path, "another", 7, &options, &report) >= 0, "steadfast_state_save");
        must(pthread_join(waiter, NULL) == 0, "pthread_join");
        values[i] = watched.us;
    }
    row((struct row){ .part = "files",
                      .what = "watch: from the rename to the waiter",
                      .place = place,
                      .us = median(values, rounds),
                      .value = median(values, rounds),
                      .unit = "us",
                      .target = 150,
                      .rounds = rounds });
    steadfast_watch_close(watched.watch);
    steadfast_context_free(context);
    must(unlink(path) == 0, "unlink");
}

/* Processes that count in one state. */
static int32_t count_on(void *user, const steadfast_state *old, const void **data, size_t *len)
{
    uint64_t *number = user;
    memcpy(number, old->data, sizeof *number);
    ++*number;
    *data = number, *len = sizeof *number;
    return 0;
}

static void count_by_update(const char *path)
{
    uint64_t number;
    steadfast_save_options options = { .size = sizeof options, .timeout_ms = -1 };
    must(steadfast_state_update(NULL, path, NULL, &options, count_on, &number, NULL) == 0, "steadfast_state_update");
}

static void count_under_lock(const char *path)
{
    char lock_path[300];
    steadfast_lock *lock;
    steadfast_state state = { .size = sizeof state };
    uint64_t number;
    snprintf(lock_path, sizeof lock_path, "%s.lock", path);
    must(steadfast_lock_acquire(NULL, lock_path, -1, NULL, &lock, NULL) == 0, "steadfast_lock_acquire");
    must(steadfast_state_load(NULL, path, NULL, &state, NULL) == 0, "steadfast_state_load");
    memcpy(&number, state.data, sizeof number);
    number++;
    steadfast_state_free(&state);
    must(steadfast_state_save(NULL, path, &number, sizeof number, NULL, NULL) == 0, "steadfast_state_save");
    must(steadfast_lock_release(lock, NULL) == 0, "steadfast_lock_release");
}

struct counting {
    char path[256];
    void (*count)(const char *path);
};

/* A turn: eight processes count for a while. Microseconds for each number. */
static double count_for_a_while(void *arg, size_t turns)
{
    enum { PROCESSES = 8 };
    struct counting *c = arg;
    double seconds = settings.quick ? 0.1 : 1, begun = now_us();
    uint64_t number = 0, counted = 0;
    int told[2];
    must(turns > 0 && pipe(told) == 0, "pipe");
    must(steadfast_state_save(NULL, c->path, &number, sizeof number, NULL, NULL) == 0, "steadfast_state_save");
    for (int i = 0; i < PROCESSES; i++) {
        pid_t child = fork();
        must(child >= 0, "fork");
        if (child == 0) {
            for (number = 0; now_us() - begun < seconds * 1e6; number++)
                c->count(c->path);
            _exit(write(told[1], &number, sizeof number) == sizeof number ? 0 : 1);
        }
    }
    close(told[1]);
    while (read(told[0], &number, sizeof number) == sizeof number)
        counted += number;
    double us = now_us() - begun;
    close(told[0]);
    for (int i = 0, status; i < PROCESSES; i++)
        must(wait(&status) > 0 && status == 0, "a process that counts");
    size_t len = 0;
    must(steadfast_state_load_into(NULL, c->path, NULL, &number, sizeof number, &len, NULL) == 0, "steadfast_state_load_into");
    must(number == counted && counted > 0, "no number was lost");
    return us / (double)counted;
}

static void updates(const struct place *place)
{
    struct counting by_update = { .count = count_by_update }, under_lock = { .count = count_under_lock };
    snprintf(by_update.path, sizeof by_update.path, "%s/counted", place->dir);
    snprintf(under_lock.path, sizeof under_lock.path, "%s/counted", place->dir);
    struct contestant c[2] = { { .remote = count_for_a_while, .arg = &by_update }, { .remote = count_for_a_while, .arg = &under_lock } };
    size_t rounds = contest(c, 2, 3);
    row((struct row){ .part = "files",
                      .what = "update, 8 processes: times the rate under a lock",
                      .place = place,
                      .us = c[0].us,
                      .base_us = c[1].us,
                      .value = c[1].ratio,
                      .low = c[1].ratio_low,
                      .high = c[1].ratio_high,
                      .unit = "x",
                      .target = 2,
                      .direction = AT_LEAST,
                      .rounds = rounds });
    must(unlink(by_update.path) == 0, "unlink");
}

void part_files(const struct place *place)
{
    table_head("large states, watches, updates");
    streams(place, 0);
    streams(place, STEADFAST_SAVE_PLAIN);
    watch_latency(place);
    updates(place);
}
