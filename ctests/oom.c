/* malloc failing at each allocation in turn: -ENOMEM, nothing lost, and never the end of the program. */
#include "tap.h"
#include "util.h"

#include <dlfcn.h>
#include <sys/xattr.h>

/* Allocations of the library are those made while this is on. It asks malloc and nothing else. */
static int watching;
static long allocations, fail_allocation, frees;
static size_t allocated;

static void *(*real_malloc)(size_t);
static void (*real_free)(void *);

/* dlsym itself allocates before there is a malloc. */
static char early[4096];
static size_t early_used;

__attribute__((visibility("default"))) void *malloc(size_t size)
{
    static int looking;
    if (real_malloc == NULL) {
        if (looking) {
            void *block = early + early_used;
            early_used += (size + 15) & ~(size_t)15;
            return early_used <= sizeof early ? block : NULL;
        }
        looking = 1;
        *(void **)&real_free = dlsym(RTLD_NEXT, "free");
        *(void **)&real_malloc = dlsym(RTLD_NEXT, "malloc");
        looking = 0;
    }
    if (watching && ++allocations == fail_allocation)
        return NULL;
    if (watching)
        allocated += size;
    return real_malloc(size);
}

__attribute__((visibility("default"))) void free(void *block)
{
    if (watching && block != NULL)
        frees++;
    if (block >= (void *)early && block < (void *)(early + sizeof early))
        return;
    if (real_free != NULL)
        real_free(block);
}

static char *dir;
static char path[300], lock_path[300];

static void watch(long fail)
{
    allocations = frees = 0;
    allocated = 0;
    fail_allocation = fail;
    watching = 1;
}

static int context_new(void)
{
    steadfast_context *context = NULL;
    int result = steadfast_context_new(NULL, &context);
    if (result != 0 && context != NULL)
        result = 1;
    steadfast_context_free(context);
    return result;
}

static int context_new_failing(void)
{
    steadfast_context *context = NULL;
    int result = steadfast_context_new_failing(NULL, STEADFAST_CALL_FSYNC, 5, EIO, 0, &context);
    steadfast_context_free(context);
    return result;
}

static int context_new_with(void)
{
    steadfast_context_options o = { .size = sizeof o, .flags = STEADFAST_CONTEXT_AT, .dirfd = AT_FDCWD };
    steadfast_context *context = (void *)&o;
    int result = steadfast_context_new_with(&o, &context);
    if (result != 0 && context != NULL)
        return 1;
    steadfast_context_free(context);
    return result;
}

static int save(void)
{
    steadfast_save_options o = { .size = sizeof o, .flags = STEADFAST_SAVE_KEEP_PREVIOUS | STEADFAST_SAVE_NO_SYNC };
    static char data[100000];
    int result = steadfast_state_save(NULL, path, data, sizeof data, &o, NULL);
    return result == STEADFAST_NOT_DURABLE ? 0 : result;
}

/* Refused whole: every entry says so. */
static int batch(void)
{
    steadfast_save_options o = { .size = sizeof o, .flags = STEADFAST_SAVE_NO_SYNC };
    const char *to = in(dir, "batch");
    steadfast_save_entry entries[2] = { { .size = sizeof entries[0], .path = to, .data = "x", .len = 1, .status = 77 },
                                        { .size = sizeof entries[0], .path = to, .data = "x", .len = 1, .status = 77 } };
    steadfast_report report = { .size = sizeof report };
    int result = steadfast_state_save_batch(NULL, entries, 2, &o, &report);
    if (result == -ENOMEM)
        return report.step == STEADFAST_STEP_ALLOCATE && entries[0].status == -ECANCELED && entries[1].status == -ECANCELED ? result : 1;
    return result == STEADFAST_NOT_DURABLE && entries[0].status == result && entries[1].status == result ? 0 : 2;
}

static int load(void)
{
    steadfast_state state = { .size = sizeof state };
    steadfast_report report = { .size = sizeof report };
    int result = steadfast_state_load(NULL, path, NULL, &state, &report);
    if (result < 0 && (state.data != NULL || report.step != STEADFAST_STEP_ALLOCATE))
        result = 1;
    steadfast_state_free(&state);
    return result;
}

static int recover(void)
{
    steadfast_load_options o = { .size = sizeof o, .flags = STEADFAST_LOAD_RECOVER };
    steadfast_state state = { .size = sizeof state };
    int result = steadfast_state_load(NULL, in(dir, "lost"), &o, &state, NULL);
    steadfast_state_free(&state);
    return result == STEADFAST_RECOVERED ? 0 : result;
}

enum { STREAMED = (3 << 20) + 1 };
static char *streamed;

static int writer(void)
{
    steadfast_save_options o = { .size = sizeof o, .flags = STEADFAST_SAVE_NO_SYNC };
    steadfast_writer *writer = (void *)&o;
    int result = steadfast_writer_open(NULL, in(dir, "streamed"), &o, &writer, NULL);
    if (result != 0)
        return writer == NULL ? result : 1;
    long opened = allocations;
    steadfast_writer_write(writer, streamed, STREAMED, NULL);
    result = steadfast_writer_commit(writer, NULL);
    /* What the commit needs was asked for at the open. */
    return allocations != opened ? 2 : result == STEADFAST_NOT_DURABLE ? 0 : result;
}

static int reader_of(const char *path, uint32_t flags)
{
    static char *last = NULL;
    char byte;
    size_t len;
    steadfast_reader *reader = (void *)&last;
    steadfast_load_options o = { .size = sizeof o, .flags = flags };
    int result = steadfast_reader_open(NULL, path, &o, &reader, NULL, NULL);
    if (result < 0)
        return reader == NULL ? result : 1;
    for (uint64_t at = 0; result == 0 && at < STREAMED; at += 1 << 19)
        result = steadfast_reader_read(reader, at, &byte, 1, &len, NULL);
    steadfast_reader_close(reader);
    return result;
}

static int reader(void)
{
    return reader_of(in(dir, "streamed"), 0);
}

static int plain_writer(void)
{
    steadfast_save_options o = { .size = sizeof o, .flags = STEADFAST_SAVE_NO_SYNC | STEADFAST_SAVE_PLAIN };
    steadfast_writer *writer;
    int result = steadfast_writer_open(NULL, in(dir, "plain"), &o, &writer, NULL);
    if (result != 0)
        return writer == NULL ? result : 1;
    steadfast_writer_write(writer, streamed, STREAMED, NULL);
    result = steadfast_writer_commit(writer, NULL);
    return result == STEADFAST_NOT_DURABLE ? 0 : result;
}

static int plain_reader(void)
{
    int result = reader_of(in(dir, "plain"), STEADFAST_LOAD_PLAIN);
    return result > 0 ? 0 : result;
}

static int lock(void)
{
    steadfast_lock *held = NULL;
    int result = steadfast_lock_acquire(NULL, lock_path, 0, NULL, &held, NULL);
    if (result < 0)
        return exists(lock_path) ? 1 : result;
    return steadfast_lock_release(held, NULL);
}

static int clean(void)
{
    return steadfast_lock_clean_stale(NULL, lock_path, NULL, NULL) == STEADFAST_LOCK_ABSENT ? 0 : 1;
}

/* Fails allocation 1, 2, ... of a call until it makes no more. */
static void each(const char *name, int (*call)(void), long expected)
{
    int fds = count_fds(), entries = count_entries(dir);
    long made = 0;
    int wrong = 0, unbalanced = 0, result;
    for (long k = 1; k < 20; k++) {
        watch(k);
        result = call();
        watching = 0;
        unbalanced += allocations - (allocations >= k) != frees;
        if (allocations < k) {
            wrong += result != 0;
            break;
        }
        made = k;
        wrong += result != -ENOMEM;
    }
    ok(wrong == 0, "%s: -ENOMEM for each of %ld allocations that fail, and then success", name, made);
    is_int(unbalanced, 0, "%s: every block is given back", name);
    is_int(made, expected, "%s: allocations", name);
    ok(count_fds() == fds && count_entries(dir) == entries, "%s: no descriptor open, no file left over", name);
}

int main(void)
{
    dir = make_temp_dir("oom");
    snprintf(path, sizeof path, "%s/state", dir);
    snprintf(lock_path, sizeof lock_path, "%s/lock", dir);
    save();
    save();
    batch();
    if (link(in(dir, "state.prev"), in(dir, "lost.prev")) != 0)
        bail_out("link");
    each("context_new", context_new, 1);
    each("context_new_failing", context_new_failing, 1);
    each("context_new_with", context_new_with, 2);
    each("state_save", save, 0);
    each("state_save_batch", batch, 3);
    each("state_load", load, 1);
    each("state_load, recovered", recover, 1);
    if ((streamed = calloc(1, STREAMED)) == NULL)
        bail_out("calloc");
    writer();
    each("writer", writer, 2);
    ok(allocated > 0 && allocated <= 1 << 20, "a writer of 3 MiB takes %zu bytes, at most 1 MiB", allocated);
    each("reader", reader, 3);
    ok(allocated > 0 && allocated <= 1 << 20, "a reader of 3 MiB takes %zu bytes, at most 1 MiB", allocated);
    plain_writer();
    each("writer of a plain file", plain_writer, 2);
    each("reader of a plain file", plain_reader, 3);
    free(streamed);
    each("lock_acquire", lock, 2);
    each("lock_clean_stale", clean, 0);
    remove_tree(dir);
    free(dir);
    return done_testing();
}
