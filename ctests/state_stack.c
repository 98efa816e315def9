/*
 * How much stack a call takes: each runs in a thread of its own, whose stack was painted before. Above 40 KiB is too much for
 * threads of small programs and of other languages, which have 64 KiB. The thread has more here: on aarch64 the least is 128 KiB.
 */
#include "tap.h"
#include "state_test.h"
#include "context_test.h"

#include <pthread.h>
#include <sys/file.h>
#include <sys/mman.h>

enum { STACK = 128 << 10, MOST = 40 << 10, GUARD = 64 << 10, PAINT = 0xA5, LARGE = 5 << 20, MANY = 250 };

static char d[300], path[310], previous[320], link_path[320];
static unsigned char *stack;
static char *large;
static steadfast_context *copies, *at;

static void *run_work(void *work)
{
    (*(void (**)(void))work)();
    return NULL;
}

/* Bytes of the painted stack that are no longer so. */
static size_t touched(void (*work)(void))
{
    pthread_attr_t attributes;
    pthread_t thread;
    size_t at = 0;
    memset(stack, PAINT, STACK);
    if (pthread_attr_init(&attributes) != 0 || pthread_attr_setstack(&attributes, stack, STACK) != 0
        || pthread_create(&thread, &attributes, run_work, &work) != 0)
        bail_out("no thread with a stack of 128 KiB");
    pthread_join(thread, NULL);
    pthread_attr_destroy(&attributes);
    while (at < STACK && stack[at] == PAINT)
        at++;
    return STACK - at;
}

static int result;

static void nothing(void) {}

static void begin(void)
{
    unlink(path), unlink(previous);
    save(path, "first", 0);
    save(path, "second", STEADFAST_SAVE_KEEP_PREVIOUS);
}

static void plain(void)
{
    result = save(path, "third", 0);
}

static void keeps(void)
{
    result = save(path, "third", STEADFAST_SAVE_KEEP_PREVIOUS);
}

static void keeps_by_copy(void)
{
    result = save_with(copies, path, "third", STEADFAST_SAVE_KEEP_PREVIOUS);
}

static void follows_and_makes(void)
{
    result =
        save_with(copies, link_path, "third", STEADFAST_SAVE_FOLLOW_SYMLINK | STEADFAST_SAVE_CREATE_PARENTS | STEADFAST_SAVE_KEEP_PREVIOUS);
}

static void makes_parents(void)
{
    char deep[400];
    snprintf(deep, sizeof deep, "%s/a/b/c/s", d);
    result = save(deep, "deep", STEADFAST_SAVE_CREATE_PARENTS);
}

static void saves_large(void)
{
    result = steadfast_state_save(context, path, large, LARGE, NULL, NULL);
}

static void at_directory(void)
{
    result = save_with(at, "s", "third", STEADFAST_SAVE_KEEP_PREVIOUS);
}

static void batch(const steadfast_context *c, int count, uint32_t flags)
{
    static char paths[MANY][330];
    static steadfast_save_entry entries[MANY];
    steadfast_save_options o = { .size = sizeof o, .flags = flags };
    for (int i = 0; i < count; i++) {
        snprintf(paths[i], sizeof paths[i], "%s/s%d", d, i);
        entries[i] = (steadfast_save_entry){ .size = sizeof entries[i], .path = paths[i], .data = "x", .len = 1 };
    }
    result = steadfast_state_save_batch(c, entries, (size_t)count, &o, &report);
}

static void batch_of_three(void)
{
    batch(context, 3, STEADFAST_SAVE_KEEP_PREVIOUS);
}

static void batch_by_copy(void)
{
    batch(copies, 3, STEADFAST_SAVE_KEEP_PREVIOUS);
}

static void batch_of_many(void)
{
    batch(context, MANY, STEADFAST_SAVE_KEEP_PREVIOUS);
}

static void busy(void)
{
    steadfast_save_options o = { .size = sizeof o, .flags = STEADFAST_SAVE_IF_GENERATION, .expected_generation = 2, .timeout_ms = 1 };
    report.size = sizeof report;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    flock(fd, LOCK_SH);
    result = steadfast_state_save(context, path, "x", 1, &o, &report) == STEADFAST_E_BUSY ? SAVED : -1;
    close(fd);
}

static void loads(void)
{
    steadfast_state state = { .size = sizeof state };
    result = steadfast_state_load(context, path, NULL, &state, &report) == 0 ? SAVED : -1;
    steadfast_state_free(&state);
}

static void writes_pieces(void)
{
    steadfast_save_options o = { .size = sizeof o, .flags = STEADFAST_SAVE_KEEP_PREVIOUS | STEADFAST_SAVE_FOLLOW_SYMLINK };
    steadfast_writer *writer;
    steadfast_writer_open(copies, link_path, &o, &writer, &report);
    steadfast_writer_write(writer, large, LARGE, &report);
    result = steadfast_writer_commit(writer, &report);
}

static void writes_plain_pieces(void)
{
    steadfast_save_options o = { .size = sizeof o,
                                 .flags = STEADFAST_SAVE_PLAIN | STEADFAST_SAVE_KEEP_PREVIOUS | STEADFAST_SAVE_KEEP_ATTRIBUTES };
    steadfast_writer *writer;
    int32_t fd;
    steadfast_writer_open(copies, path, &o, &writer, &report);
    steadfast_writer_write(writer, large, LARGE, &report);
    steadfast_writer_fd(writer, &fd, &report);
    result = steadfast_writer_commit(writer, &report);
    result = result == STEADFAST_UNVERIFIED ? SAVED : result;
}

static void reads_pieces_of(uint32_t flags)
{
    steadfast_reader *reader;
    steadfast_load_options o = { .size = sizeof o, .flags = flags };
    char piece[10];
    size_t len;
    result = steadfast_reader_open(context, path, &o, &reader, NULL, &report) >= 0
                     && steadfast_reader_read(reader, 0, piece, sizeof piece, &len, &report) == 0
                 ? SAVED
                 : -1;
    steadfast_reader_close(reader);
}

static void reads_pieces(void)
{
    reads_pieces_of(0);
}

static void reads_plain_pieces(void)
{
    reads_pieces_of(STEADFAST_LOAD_PLAIN);
}

static void recover(const char *name)
{
    steadfast_load_options o = { .size = sizeof o, .flags = STEADFAST_LOAD_RECOVER };
    steadfast_state state = { .size = sizeof state };
    int status = truncate(path, 100);
    report.size = sizeof report;
    result = status == 0 && steadfast_state_load(context, name, &o, &state, &report) == STEADFAST_RECOVERED ? SAVED : -1;
    steadfast_state_free(&state);
}

static void recovers(void)
{
    recover(path);
}

static void recovers_through_link(void)
{
    recover(link_path);
}

static const struct {
    const char *name;
    void (*work)(void);
    int needs_flock;
} CALLS[] = { { "a save", plain, 0 },
              { "a save with KEEP_PREVIOUS", keeps, 0 },
              { "a save with KEEP_PREVIOUS, by a copy", keeps_by_copy, 0 },
              { "a save with FOLLOW_SYMLINK, CREATE_PARENTS, KEEP_PREVIOUS, by a copy", follows_and_makes, 0 },
              { "a save with CREATE_PARENTS", makes_parents, 0 },
              { "a save of 5 MiB", saves_large, 0 },
              { "a save in a context at a directory, whose descriptor was closed", at_directory, 0 },
              { "a save that ends with E_BUSY", busy, 1 },
              { "a batch of 3 with KEEP_PREVIOUS", batch_of_three, 0 },
              { "a batch of 3 with KEEP_PREVIOUS, by copies", batch_by_copy, 0 },
              { "a batch of 250 with KEEP_PREVIOUS", batch_of_many, 0 },
              { "a writer with KEEP_PREVIOUS, by a copy, through a link", writes_pieces, 0 },
              { "a reader", reads_pieces, 0 },
              { "a writer of a plain file with KEEP_PREVIOUS and KEEP_ATTRIBUTES, by a copy", writes_plain_pieces, 0 },
              { "a reader of a plain file", reads_plain_pieces, 0 },
              { "a load", loads, 0 },
              { "a load with RECOVER", recovers, 0 },
              { "a load with RECOVER, through a link", recovers_through_link, 0 } };

int main(void)
{
    steadfast_hooks h = test_hooks();
    if (getenv("STEADFAST_TEST_VALGRIND") != NULL) {
        skip("valgrind minds who reads the stack of a thread that has ended", "the stack of each call");
        return done_testing();
    }
    dir = make_temp_dir("stack");
    snprintf(d, sizeof d, "%s", fresh("d"));
    snprintf(path, sizeof path, "%s/s", d);
    snprintf(previous, sizeof previous, "%s/s.prev", d);
    snprintf(link_path, sizeof link_path, "%s/link", dir);
    if (symlink(path, link_path) != 0 || (large = calloc(1, LARGE)) == NULL)
        bail_out("symlink: %s", strerror(errno));
    context = test_context(NULL);
    h.absent |= STEADFAST_ABSENT_LINK | STEADFAST_ABSENT_RENAMEAT2;
    copies = test_context(&h);
    int fd = open_directory(d);
    at = context_at(fd, 0, NULL, NULL);
    if ((test_absent() & STEADFAST_ABSENT_PROC) == 0)
        close(descriptor_of(d, fd + 1));
    /* A guard below it: what overflows ends the test. */
    stack = mmap(NULL, GUARD + STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (stack == MAP_FAILED || mprotect(stack, GUARD, PROT_NONE) != 0)
        bail_out("mmap: %s", strerror(errno));
    stack += GUARD;
    for (size_t i = 0; i < sizeof CALLS / sizeof CALLS[0]; i++) {
        if (CALLS[i].needs_flock && NO_FLOCK) {
            skip("flock is absent", "%s", CALLS[i].name);
            continue;
        }
        /* Once before, so that the loader has found every function. */
        begin();
        CALLS[i].work();
        begin();
        result = -1;
        size_t own = touched(nothing), all = touched(CALLS[i].work);
        ok(result == SAVED && all - own <= MOST, "%s takes %zu bytes of stack, at most %d", CALLS[i].name, all - own, (int)MOST);
    }
    steadfast_context_free(at);
    steadfast_context_free(copies);
    steadfast_context_free(context);
    munmap(stack - GUARD, GUARD + STACK);
    close(fd);
    free(large);
    remove_tree(dir);
    free(dir);
    return done_testing();
}
