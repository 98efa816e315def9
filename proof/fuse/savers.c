/* Savers, loaders and removers of one state beside each other: savers DIR SECONDS. What another process replaces at this moment is gone for
 * whoever has opened it, where a server goes by paths. That is no error of any call. The last line is "N passed, N failed". */
#include <steadfast.h>

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SAVE, KEEP, NO_SYNC, ALTERNATE, SWAP, UPDATE, BATCH, WRITE, LOAD, READ, RECOVER, REMOVE, OPERATIONS };
static const char *const names[OPERATIONS] = {
    "save",  "save and keep",   "save unsynced", "save in turn",  "swap and keep",     "update",
    "batch", "write in pieces", "load",          "load in parts", "load with RECOVER", "remove"
};
enum { PROCESSES = 4 };

/* What all processes have counted. */
static struct {
    long calls[OPERATIONS], failed[OPERATIONS];
} *counts;

static char path[600];
static uint32_t save_kind, load_kind;
static int passed, failed;

static void say(int good, const char *kind, const char *what)
{
    printf("%s %d - %s, %s\n", good ? "ok" : "not ok", passed + failed + 1, kind, what);
    good ? passed++ : failed++;
}

static int32_t count_on(void *user, const steadfast_state *old, const void **data, size_t *len)
{
    static char text[32];
    (void)user;
    snprintf(text, sizeof text, "%ld", old != NULL ? atol(old->data) + 1 : 1);
    *data = text;
    *len = strlen(text) + 1;
    return 0;
}

static int32_t write_in_pieces(const char *text, const steadfast_save_options *options, steadfast_report *report)
{
    steadfast_writer *writer;
    int32_t status = steadfast_writer_open(NULL, path, options, &writer, report);
    if (status < 0)
        return status;
    steadfast_writer_write(writer, text, 1, NULL);
    steadfast_writer_write(writer, text + 1, strlen(text), NULL);
    return steadfast_writer_commit(writer, report);
}

static int32_t load_in_parts(const steadfast_load_options *options, steadfast_report *report)
{
    steadfast_reader *reader;
    char text[32];
    size_t len;
    int32_t status = steadfast_reader_open(NULL, path, options, &reader, NULL, report);
    if (status < 0)
        return status;
    int32_t read = steadfast_reader_read(reader, 1, text, sizeof text, &len, report);
    steadfast_reader_close(reader);
    return read < 0 ? read : status;
}

/* 0, or what the call should not have said. */
static int32_t one(int operation, int removes, steadfast_report *report)
{
    steadfast_save_options options = { .size = sizeof options, .flags = save_kind, .timeout_ms = 60000 };
    steadfast_load_options loading = { .size = sizeof loading, .flags = load_kind };
    steadfast_state state = { .size = sizeof state };
    char text[32];
    snprintf(text, sizeof text, "%d", rand());
    steadfast_save_entry entry = { .size = sizeof entry, .path = path, .data = text, .len = strlen(text) + 1 };
    int32_t status = 0;
    switch (operation) {
    case SWAP:
        status = steadfast_state_load(NULL, path, &loading, &state, report);
        options.expected_generation = state.generation;
        options.flags |= STEADFAST_SAVE_IF_GENERATION | STEADFAST_SAVE_KEEP_PREVIOUS;
        if (status >= 0)
            status = steadfast_state_save(NULL, path, text, strlen(text) + 1, &options, report);
        break;
    case UPDATE: status = steadfast_state_update(NULL, path, &loading, &options, count_on, NULL, report); break;
    case BATCH:
        options.flags |= STEADFAST_SAVE_KEEP_PREVIOUS;
        status = steadfast_state_save_batch(NULL, &entry, 1, &options, report);
        break;
    case WRITE:
        options.flags |= rand() % 2 ? STEADFAST_SAVE_KEEP_PREVIOUS : 0;
        status = write_in_pieces(text, &options, report);
        break;
    case READ: status = load_in_parts(&loading, report); break;
    case LOAD: status = steadfast_state_load(NULL, path, &loading, &state, report); break;
    case RECOVER:
        loading.flags |= STEADFAST_LOAD_RECOVER;
        status = steadfast_state_load(NULL, path, &loading, &state, report);
        break;
    case REMOVE: status = steadfast_state_remove(NULL, path, &options, report); break;
    default:
        options.flags |= operation == KEEP ? STEADFAST_SAVE_KEEP_PREVIOUS : operation == NO_SYNC ? STEADFAST_SAVE_NO_SYNC : 0;
        /* An ordinary save where the file system is not known to do it well. Plain files do not take turns. */
        options.flags |= operation == ALTERNATE && save_kind == 0 ? STEADFAST_SAVE_ALTERNATE : 0;
        status = steadfast_state_save(NULL, path, text, strlen(text) + 1, &options, report);
    }
    steadfast_state_free(&state);
    if (status == STEADFAST_E_CONFLICT && operation == SWAP)
        return 0;
    /* There is none between a removal and the next save. */
    if (removes && (status == -ENOENT || status == STEADFAST_E_LOST))
        return 0;
    /* And a previous one that nothing verifies, where there are no attributes. */
    if (removes && operation == RECOVER && load_kind != 0 && status == STEADFAST_E_UNVERIFIED)
        return 0;
    return status == STEADFAST_RECOVERED && !removes ? status : status > 0 ? 0 : status;
}

static void process(int number, int seconds, int removes)
{
    time_t end = time(NULL) + seconds;
    srand((unsigned)number);
    int told[OPERATIONS] = { 0 };
    while (time(NULL) < end) {
        steadfast_report report = { .size = sizeof report };
        int operation = rand() % (removes ? OPERATIONS : REMOVE);
        int32_t status = one(operation, removes, &report);
        __atomic_fetch_add(&counts->calls[operation], 1, __ATOMIC_RELAXED);
        if (status == 0)
            continue;
        __atomic_fetch_add(&counts->failed[operation], 1, __ATOMIC_RELAXED);
        if (told[operation]++ < 1)
            fprintf(stderr, "%s: %s: %s\n", names[operation], steadfast_status_name(status), report.message);
    }
    _exit(0);
}

/* The first name that is there besides the two, or "". */
static const char *left_over(const char *directory)
{
    static char name[300];
    DIR *all = opendir(directory);
    name[0] = '\0';
    if (all == NULL)
        return "no directory";
    for (struct dirent *entry; name[0] == '\0' && (entry = readdir(all)) != NULL;)
        if (strcmp(entry->d_name, "s") != 0 && strcmp(entry->d_name, "s.prev") != 0 && strcmp(entry->d_name, ".") != 0
            && strcmp(entry->d_name, "..") != 0)
            snprintf(name, sizeof name, "%s", entry->d_name);
    closedir(all);
    return name;
}

/* What was open when it was removed a server may call .fuse_hidden..., until the kernel has told it of the close; nothing tells us. */
static int is_clean(const char *directory)
{
    const char *left = left_over(directory);
    for (int i = 0; i < 500 && strncmp(left, ".fuse_hidden", 12) == 0; i++) {
        usleep(10000);
        left = left_over(directory);
    }
    if (*left != '\0')
        fprintf(stderr, "left: %s\n", left);
    return *left == '\0';
}

static void together(const char *directory, int seconds, const char *kind, int removes)
{
    char previous[610];
    snprintf(path, sizeof path, "%s/s", directory);
    snprintf(previous, sizeof previous, "%s.prev", path);
    unlink(path), unlink(previous);
    memset(counts, 0, sizeof *counts);
    steadfast_save_options options = { .size = sizeof options, .flags = save_kind };
    if (steadfast_state_save(NULL, path, "0", 2, &options, NULL) < 0)
        say(0, kind, "the first save");
    for (int i = 0; i < PROCESSES; i++)
        if (fork() == 0)
            process(i, seconds, removes);
    while (wait(NULL) > 0) {}
    for (int i = 0; i < OPERATIONS; i++)
        if (counts->calls[i] > 0) {
            char text[100];
            snprintf(text, sizeof text, "%s: all %ld calls are done", names[i], counts->calls[i]);
            say(counts->failed[i] == 0, kind, text);
        }
    say(is_clean(directory), kind, "nothing is left over");
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    counts = mmap(NULL, sizeof *counts, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (counts == MAP_FAILED)
        return 2;
    together(argv[1], atoi(argv[2]), "records", 0);
    together(argv[1], atoi(argv[2]), "records and removals", 1);
    save_kind = STEADFAST_SAVE_PLAIN, load_kind = STEADFAST_LOAD_PLAIN;
    together(argv[1], atoi(argv[2]), "plain files", 0);
    together(argv[1], atoi(argv[2]), "plain files and removals", 1);
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
