/* An ordinary program that uses the library: what the supervisor and the scheduler run, unmodified.
 *   subject OPERATION DIRECTORY CHARACTER[q] [ROUNDS | only]        q: waits for other savers for 20 ms only
 * It marks where the operation begins and ends by sched_yield(2), which nothing else here calls and whose
 * arguments the kernel does not look at. Exits with 0 when what it does after the operation works as well. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "steadfast.h"

enum { BEGIN = 1, END = 2, ENTER = 3, LEAVE = 4 };
enum { SMALL = 300, BIG = 150000 };
/* What the library refuses: of a mutant only. */
enum { SAVE_RECYCLE = 1 << 5 };

/* What the supervisor reads at END. */
struct outcome {
    int32_t status;
    int32_t content; /* of a load: the character, '?' when it is not whole, 0 when there is none */
    int64_t generation;
    steadfast_report report;
};

static void mark(int what, const void *data)
{
    syscall(SYS_sched_yield, what, data);
}

static char bytes[BIG];
static int64_t timeout_ms; /* of a saver, for others; 0 is the library's own */

static int32_t content_of(const void *data, size_t len)
{
    const char *text = data;
    if (len != SMALL && len != BIG) {
        return '?';
    }
    for (size_t i = 0; i < len; i++) {
        if (text[i] != text[0]) {
            return '?';
        }
    }
    return text[0];
}

static void save(const char *path, char with, size_t len, uint32_t flags, uint64_t expected, struct outcome *out)
{
    steadfast_save_options options = { 0 };
    options.size = sizeof options;
    options.flags = flags;
    options.expected_generation = expected;
    options.timeout_ms = timeout_ms;
    memset(bytes, with, len);
    out->status = steadfast_state_save(NULL, path, bytes, len, &options, &out->report);
    out->generation = (int64_t)out->report.generation;
}

/* By a writer, in two pieces. Whoever asks for its descriptor has the payload read back. */
static void save_in_pieces(char with, size_t len, uint32_t flags, int descriptor, struct outcome *out)
{
    steadfast_save_options options = { 0 };
    steadfast_writer *writer;
    int32_t fd;
    options.size = sizeof options;
    options.flags = flags;
    options.expected_generation = flags & STEADFAST_SAVE_IF_GENERATION ? 7 : 0;
    memset(bytes, with, len);
    out->status = steadfast_writer_open(NULL, "state", &options, &writer, &out->report);
    if (out->status < 0)
        return;
    steadfast_writer_write(writer, bytes, len / 3, NULL);
    steadfast_writer_write(writer, bytes + len / 3, len - len / 3, NULL);
    if (descriptor)
        steadfast_writer_fd(writer, &fd, NULL);
    out->status = steadfast_writer_commit(writer, &out->report);
    out->generation = (int64_t)out->report.generation;
}

static void read_in_parts(uint32_t flags, struct outcome *out)
{
    steadfast_load_options options = { 0 };
    steadfast_state about = { 0 };
    steadfast_reader *reader;
    options.size = sizeof options;
    options.flags = flags;
    about.size = sizeof about;
    out->status = steadfast_reader_open(NULL, "state", &options, &reader, &about, &out->report);
    if (out->status < 0)
        return;
    size_t len = 0, read = 0;
    do {
        read = 0;
        int32_t status = steadfast_reader_read(reader, len, bytes + len, 200, &read, &out->report);
        if (status < 0)
            out->status = status;
        len += read;
    } while (read > 0);
    out->content = out->status >= 0 ? content_of(bytes, len) : 0;
    out->generation = (int64_t)about.generation;
    steadfast_reader_close(reader);
}

static void load(const char *path, uint32_t flags, struct outcome *out)
{
    steadfast_load_options options = { 0 };
    steadfast_state state = { 0 };
    options.size = sizeof options;
    options.flags = flags;
    state.size = sizeof state;
    out->status = steadfast_state_load(NULL, path, &options, &state, &out->report);
    out->content = out->status >= 0 ? content_of(state.data, state.len) : 0;
    out->generation = (int64_t)state.generation;
    steadfast_state_free(&state);
}

#ifdef HAS_BATCH
static void save_batch(char with, uint32_t flags, struct outcome *out)
{
    steadfast_save_options options = { 0 };
    steadfast_save_entry entries[2] = { { 0 } };
    options.size = sizeof options;
    options.flags = flags;
    memset(bytes, with, SMALL);
    const char *names[] = { "state", "second" };
    for (int i = 0; i < 2; i++) {
        entries[i].size = sizeof entries[i];
        entries[i].path = names[i];
        entries[i].data = bytes;
        entries[i].len = SMALL;
    }
    steadfast_state_save_batch(NULL, entries, 2, &options, &out->report);
    out->status = entries[0].status;
    out->content = entries[1].status; /* There is no other place for it. */
    out->generation = (int64_t)entries[0].generation;
}

static void load_into(struct outcome *out)
{
    static char room[BIG];
    size_t len = 0;
    out->status = steadfast_state_load_into(NULL, "state", NULL, room, sizeof room, &len, &out->report);
    out->content = out->status >= 0 ? content_of(room, len) : 0;
    out->generation = (int64_t)out->report.generation;
}
#endif

static steadfast_lock *held;

static int lock_operation(const char *name, struct outcome *out)
{
    if (strcmp(name, "acquire") == 0) {
        out->status = steadfast_lock_acquire(NULL, "lock", 0, NULL, &held, &out->report);
    } else if (strcmp(name, "acquire-wait") == 0) {
        out->status = steadfast_lock_acquire(NULL, "lock", 3, NULL, &held, &out->report);
    } else if (strcmp(name, "release") == 0) {
        out->status = steadfast_lock_release(held, &out->report);
        held = NULL;
    } else if (strcmp(name, "clean") == 0) {
        out->status = steadfast_lock_clean_stale(NULL, "lock", NULL, &out->report);
    } else if (strcmp(name, "inspect") == 0) {
        out->status = steadfast_lock_inspect(NULL, "lock", NULL, &out->report);
    } else {
        return 0;
    }
    return 1;
}

static const struct {
    const char *name;
    const char *path;
    uint32_t flags;
    uint64_t expected;
    size_t len;
} saves[] = {
    { "save", "state", 0, 0, SMALL },
    { "save-big", "state", 0, 0, BIG },
    { "save-strict", "state", STEADFAST_SAVE_STRICT, 0, SMALL },
    { "save-previous", "state", STEADFAST_SAVE_KEEP_PREVIOUS, 0, SMALL },
    { "save-previous-first", "state", STEADFAST_SAVE_KEEP_PREVIOUS, 0, SMALL },
    { "save-swap", "state", STEADFAST_SAVE_IF_GENERATION, 7, SMALL },
    { "save-create", "state", STEADFAST_SAVE_IF_GENERATION, 0, SMALL },
    { "save-follow", "link", STEADFAST_SAVE_FOLLOW_SYMLINK, 0, SMALL },
    { "save-parents", "a/b/state", STEADFAST_SAVE_CREATE_PARENTS, 0, SMALL },
    { "save-no-sync", "state", STEADFAST_SAVE_NO_SYNC, 0, SMALL },
    { "save-no-sync-previous", "state", STEADFAST_SAVE_NO_SYNC | STEADFAST_SAVE_KEEP_PREVIOUS, 0, SMALL },
    { "save-swap-previous", "state", STEADFAST_SAVE_IF_GENERATION | STEADFAST_SAVE_KEEP_PREVIOUS, 7, SMALL },
    { "save-strict-previous", "state", STEADFAST_SAVE_STRICT | STEADFAST_SAVE_KEEP_PREVIOUS, 0, SMALL },
    { "save-plain", "state", STEADFAST_SAVE_PLAIN, 0, SMALL },
    { "save-plain-strict", "state", STEADFAST_SAVE_PLAIN | STEADFAST_SAVE_STRICT, 0, SMALL },
    { "save-plain-previous", "state", STEADFAST_SAVE_PLAIN | STEADFAST_SAVE_KEEP_PREVIOUS, 0, SMALL },
    { "save-plain-swap", "state", STEADFAST_SAVE_PLAIN | STEADFAST_SAVE_IF_GENERATION, 7, SMALL },
    { "save-in-place", "state", STEADFAST_SAVE_IN_PLACE, 0, SMALL },
    { "save-in-place-closed", "state", STEADFAST_SAVE_IN_PLACE, 0, SMALL },
    { "save-in-place-plain", "state", STEADFAST_SAVE_PLAIN | STEADFAST_SAVE_IN_PLACE, 0, SMALL },
    { "save-alternate", "state", STEADFAST_SAVE_ALTERNATE, 0, SMALL },
    { "save-alternate-strict", "state", STEADFAST_SAVE_ALTERNATE | STEADFAST_SAVE_STRICT, 0, SMALL },
    { "save-alternate-swap", "state", STEADFAST_SAVE_ALTERNATE | STEADFAST_SAVE_IF_GENERATION, 7, SMALL },
    { "save-alternate-again", "state", STEADFAST_SAVE_ALTERNATE, 0, SMALL },
    { "save-recycle", "state", SAVE_RECYCLE, 0, SMALL },
};

static const struct {
    const char *name;
    uint32_t flags;
    size_t len;
    int descriptor;
} writes[] = {
    { "write", 0, SMALL, 0 },
    { "write-big", 0, BIG, 0 },
    { "write-fd", 0, SMALL, 1 },
    { "write-previous", STEADFAST_SAVE_KEEP_PREVIOUS, SMALL, 0 },
    { "write-swap", STEADFAST_SAVE_IF_GENERATION, SMALL, 0 },
    { "write-no-sync", STEADFAST_SAVE_NO_SYNC, SMALL, 0 },
    { "write-plain", STEADFAST_SAVE_PLAIN, SMALL, 0 },
    { "write-plain-fd", STEADFAST_SAVE_PLAIN, SMALL, 1 },
    { "write-plain-swap", STEADFAST_SAVE_PLAIN | STEADFAST_SAVE_IF_GENERATION, SMALL, 0 },
};

static void remove_state(uint32_t flags, struct outcome *out)
{
    steadfast_save_options options = { 0 };
    options.size = sizeof options;
    options.flags = flags;
    out->status = steadfast_state_remove(NULL, "state", &options, &out->report);
    out->generation = (int64_t)out->report.generation;
}

/* As an editor saves: a file of its own, renamed over the state. */
static void edit(char with, struct outcome *out)
{
    memset(bytes, with, SMALL);
    char name[] = "edit.e";
    name[5] = with;
    int fd = openat(AT_FDCWD, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int done = fd >= 0 && write(fd, bytes, SMALL) == SMALL && close(fd) == 0 && renameat(AT_FDCWD, name, AT_FDCWD, "state") == 0;
    out->status = done ? 0 : -errno;
}

static int state_operation(const char *name, char with, struct outcome *out)
{
    for (size_t i = 0; i < sizeof saves / sizeof *saves; i++) {
        if (strcmp(name, saves[i].name) == 0) {
            save(saves[i].path, with, saves[i].len, saves[i].flags, saves[i].expected, out);
            return 1;
        }
    }
    for (size_t i = 0; i < sizeof writes / sizeof *writes; i++) {
        if (strcmp(name, writes[i].name) == 0) {
            save_in_pieces(with, writes[i].len, writes[i].flags, writes[i].descriptor, out);
            return 1;
        }
    }
    if (strcmp(name, "load") == 0) {
        load("state", 0, out);
    } else if (strcmp(name, "read") == 0) {
        read_in_parts(0, out);
    } else if (strcmp(name, "read-recover") == 0) {
        read_in_parts(STEADFAST_LOAD_RECOVER, out);
    } else if (strcmp(name, "read-plain") == 0) {
        read_in_parts(STEADFAST_LOAD_PLAIN, out);
    } else if (strcmp(name, "remove") == 0) {
        remove_state(0, out);
    } else if (strcmp(name, "remove-plain") == 0) {
        remove_state(STEADFAST_SAVE_PLAIN, out);
    } else if (strcmp(name, "recover") == 0) {
        load("state", STEADFAST_LOAD_RECOVER, out);
    } else if (strcmp(name, "load-plain") == 0) {
        load("state", STEADFAST_LOAD_PLAIN, out);
    } else if (strcmp(name, "recover-plain") == 0) {
        load("state", STEADFAST_LOAD_PLAIN | STEADFAST_LOAD_RECOVER, out);
    } else if (strcmp(name, "edit") == 0) {
        edit(with, out);
#ifdef HAS_BATCH
    } else if (strcmp(name, "batch") == 0) {
        save_batch(with, 0, out);
    } else if (strcmp(name, "batch-syncfs") == 0) {
        save_batch(with, STEADFAST_SAVE_SYNCFS, out);
    } else if (strcmp(name, "batch-alternate") == 0) {
        save_batch(with, STEADFAST_SAVE_ALTERNATE, out);
    } else if (strcmp(name, "load-into") == 0) {
        load_into(out);
#endif
    } else {
        return 0;
    }
    return 1;
}

/* The next calls, when nothing fails any more. */
static int next_state(const char *path, const char *operation)
{
    int plain = strstr(operation, "plain") != NULL, swaps = strstr(operation, "plain-swap") != NULL;
    uint32_t load_flags = plain ? STEADFAST_LOAD_PLAIN : 0;
    struct outcome out = { 0 };
    out.report.size = sizeof out.report;
    if (swaps) {
        load(path, load_flags, &out);
    }
    uint32_t flags = plain ? STEADFAST_SAVE_PLAIN : 0;
    save(path, 'x', SMALL, flags | (swaps ? STEADFAST_SAVE_IF_GENERATION : 0), (uint64_t)out.generation, &out);
    if (out.status != 0) {
        fprintf(stderr, "the next save: %d %s\n", out.status, out.report.message);
        return 1;
    }
    out.report.size = sizeof out.report;
    load(path, load_flags, &out);
    if (out.status != 0 || out.content != 'x') {
        fprintf(stderr, "the next load: %d %s\n", out.status, out.report.message);
        return 1;
    }
    return 0;
}

/* What was written in place may be damaged: then RECOVER gives what was there. */
static int next_in_place(const char *operation)
{
    struct outcome out = { 0 };
    out.report.size = sizeof out.report;
    load("state", STEADFAST_LOAD_RECOVER | (strstr(operation, "plain") ? STEADFAST_LOAD_PLAIN : 0), &out);
    int found = out.status == 0 || out.status == STEADFAST_RECOVERED;
    if (!found || (out.content != '7' && out.content != 'n')) {
        fprintf(stderr, "a load with RECOVER: %d %c %s\n", out.status, out.content, out.report.message);
        return 1;
    }
    return next_state("state", operation);
}

static int next_lock(int free_it)
{
    steadfast_report report = { 0 };
    report.size = sizeof report;
    if (held != NULL) {
        steadfast_lock_release(held, NULL);
    }
    held = NULL;
    int32_t status = steadfast_lock_acquire(NULL, "lock", 0, NULL, &held, &report);
    if (status != (free_it ? 0 : STEADFAST_E_LOCKED)) {
        fprintf(stderr, "the next acquire: %d %s\n", status, report.message);
        return 1;
    }
    if (status == 0 && steadfast_lock_release(held, &report) != 0) {
        fprintf(stderr, "the next release: %d %s\n", report.status, report.message);
        return 1;
    }
    return 0;
}

/* Try the lock, or wait for it: two cannot be between ENTER and LEAVE. */
static void contend(int tries, int64_t timeout_ms, struct outcome *out)
{
    for (int i = 0; i < tries; i++) {
        out->status = steadfast_lock_acquire(NULL, "lock", timeout_ms, NULL, &held, &out->report);
        if (out->status == 0) {
            mark(ENTER, NULL);
            mark(LEAVE, NULL);
            out->status = steadfast_lock_release(held, &out->report);
            held = NULL;
            out->content = 1;
            return;
        }
    }
}

int main(int argc, char **argv)
{
    if (argc < 4 || chdir(argv[2]) != 0) {
        return 2;
    }
    const char *operation = argv[1];
    timeout_ms = argv[3][0] != 0 && argv[3][1] == 'q' ? 20 : 0;
    long rounds = argc > 4 ? atol(argv[4]) : 1;
    if (strcmp(operation, "hold") == 0) {
        if (steadfast_lock_acquire(NULL, "lock", 0, NULL, &held, NULL) != 0) {
            return 1;
        }
        puts("held");
        fflush(stdout);
        for (;;) {
            pause();
        }
    }
    if (strcmp(operation, "next-state") == 0 || strncmp(operation, "next-plain", 10) == 0) {
        return next_state("state", operation);
    }
    if (strcmp(operation, "next-parents") == 0) {
        save("a/b/state", 'x', SMALL, STEADFAST_SAVE_CREATE_PARENTS, 0, &(struct outcome){ .report.size = 256 });
        return next_state("a/b/state", operation);
    }
    if (strncmp(operation, "next-in-place", 13) == 0) {
        return next_in_place(operation);
    }
    if (strcmp(operation, "next-free") == 0 || strcmp(operation, "next-held") == 0) {
        return next_lock(operation[5] == 'f');
    }
    int is_held = strstr(operation, "-live") != NULL;
    char name[64];
    snprintf(name, sizeof name, "%s", operation);
    if (is_held) {
        *strstr(name, "-live") = 0;
    }
    if (strcmp(name, "release") == 0 && steadfast_lock_acquire(NULL, "lock", 0, NULL, &held, NULL) != 0) {
        return 2;
    }
    /* The directory was synced for these very files already. */
    if (strcmp(name, "save-alternate-again") == 0)
        save("state", '7', SMALL, STEADFAST_SAVE_ALTERNATE, 0, &(struct outcome){ .report.size = 256 });
    int is_lock = 0;
    for (long i = 0; i < rounds || i == 0; i++) {
        struct outcome out;
        memset(&out, 0, sizeof out);
        out.report.size = sizeof out.report;
        mark(BEGIN, NULL);
        if (strcmp(name, "contend") == 0) {
            contend(2, 0, &out);
        } else if (strcmp(name, "contend-wait") == 0) {
            contend(1, -1, &out);
        } else if (!(is_lock = lock_operation(name, &out)) && !state_operation(name, argv[3][0], &out)) {
            return 2;
        }
        mark(END, &out);
        if (rounds > 1 && held != NULL) {
            return 2;
        }
    }
    if (argc > 4) {
        return 0;
    }
    if (is_lock) {
        return next_lock(!is_held);
    }
    if (strcmp(name, "save-parents") == 0) {
        save("a/b/state", 'x', SMALL, STEADFAST_SAVE_CREATE_PARENTS, 0, &(struct outcome){ .report.size = 256 });
        return next_state("a/b/state", name);
    }
    return strstr(name, "in-place") ? next_in_place(name) : next_state("state", name);
}
