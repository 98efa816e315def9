/* STEADFAST_SAVE_ALTERNATE: PATH and PATH.prev take turns, and each save is one write that is synced by the same call. */
#include "tap.h"
#include "state_test.h"

#include <sys/file.h>
#include <sys/wait.h>

#define ALTERNATE STEADFAST_SAVE_ALTERNATE

static char path[300], previous[310];
static struct faults faults;
static steadfast_context *counted;

static steadfast_state loaded;
/* What a load gives: its status, or -1 when that is right but the content is not `text`. */
static int load_gives(uint32_t flags, const char *text)
{
    steadfast_load_options o = { .size = sizeof o, .flags = flags };
    steadfast_state_free(&loaded);
    loaded = (steadfast_state){ .size = sizeof loaded };
    int status = steadfast_state_load(NULL, path, &o, &loaded, NULL);
    return status >= 0 && (loaded.len != strlen(text) || memcmp(loaded.data, text, loaded.len) != 0) ? -1 : status;
}

static int save_expecting(const char *text, uint32_t flags, uint64_t expected)
{
    steadfast_save_options o = { .size = sizeof o, .flags = flags, .expected_generation = expected };
    report = (steadfast_report){ .size = sizeof report };
    return steadfast_state_save(context, path, text, strlen(text), &o, &report);
}

static int alternate(const char *text)
{
    return save(path, text, ALTERNATE);
}

static void begin(int saves)
{
    static const char *const texts[] = { "one", "two", "three", "four", "five" };
    unlink(path), unlink(previous);
    for (int i = 0; i < saves; i++)
        alternate(texts[i]);
}

static ino_t inode_of(const char *what)
{
    struct stat st;
    return stat(what, &st) == 0 ? st.st_ino : 0;
}

static off_t size_of(const char *what)
{
    struct stat st;
    return stat(what, &st) == 0 ? st.st_size : -1;
}

static int sync_count(void)
{
    return (int)(faults.made[STEADFAST_CALL_FSYNC] + faults.made[STEADFAST_CALL_FDATASYNC] + faults.made[STEADFAST_CALL_SYNCFS]);
}

static void takes_turns(void)
{
    begin(2);
    ino_t first = inode_of(path), second = inode_of(previous);
    ok(first != 0 && second != 0 && first != second, "two saves make two files");
    is_int(alternate("three"), STEADFAST_OK, "a third one");
    is_int(report.on_disk, STEADFAST_ON_DISK_NEW, "is on the disk");
    is_int((int)report.generation, 3, "has the next generation");
    ok(inode_of(path) == first && inode_of(previous) == second, "and no name has another file");
    ok(load_gives(0, "three") == 0 && loaded.source == STEADFAST_SOURCE_PREVIOUS && loaded.generation == 3, "it is in PATH.prev");
    is_int(alternate("four"), STEADFAST_OK, "a fourth one");
    ok(load_gives(0, "four") == 0 && loaded.source == STEADFAST_SOURCE_CURRENT && loaded.generation == 4, "it is in PATH");
    ok(((const char *)loaded.data)[loaded.len] == '\0', "a NUL follows the payload");
    memset(&faults, 0, sizeof faults);
    is_int(save_with(counted, path, "five", ALTERNATE), STEADFAST_OK, "a fifth one");
    is_int(sync_count(), 0, "needs no call that only syncs");
    is_int((int)faults.made[STEADFAST_CALL_PWRITE], 1, "and one write");
    is_int((int)faults.made[STEADFAST_CALL_RENAMEAT], 0, "and no rename");
    ok(size_of(path) == 4096 && size_of(previous) == 4096, "each file is 4 KiB long");
    char command[1500];
    snprintf(command, sizeof command, "for f in '%s' '%s'; do tail -c +69 \"$f\" | sha256sum | head -c 64 >'%s.sum' && head -c 64 \"$f\" | cmp -s - '%s.sum' || exit 1; done",
             path, previous, path, path);
    ok(system(command) == 0, "coreutils verify both files");
}

static void with_what_else(void)
{
    begin(3);
    is_int(save_expecting("four", ALTERNATE | STEADFAST_SAVE_IF_GENERATION, 2), STEADFAST_E_CONFLICT, "IF_GENERATION of the older: conflict");
    is_int((int)report.generation, 3, "which says the newer");
    is_int(save_expecting("four", ALTERNATE | STEADFAST_SAVE_IF_GENERATION, 3), STEADFAST_OK, "of the newer: saved");
    is_int(save_expecting("five", STEADFAST_SAVE_IF_GENERATION, 4), STEADFAST_OK, "a plain save of the next generation");
    ok(load_gives(0, "five") == 0 && loaded.generation == 5, "ends it");
    is_int(alternate("six"), STEADFAST_OK, "and it begins again");
    ok(load_gives(0, "six") == 0 && loaded.generation == 6, "with the next generation");
    begin(3);
    is_int(save(path, "plain", 0), STEADFAST_OK, "a plain save over a newest PATH.prev");
    ok(load_gives(0, "plain") == 0 && loaded.generation == 4 && loaded.source == STEADFAST_SOURCE_CURRENT, "counts on from it, and wins");
    begin(3);
    is_int(save(path, "kept", STEADFAST_SAVE_KEEP_PREVIOUS), STEADFAST_OK, "KEEP_PREVIOUS over a newest PATH.prev");
    ok(load_gives(0, "kept") == 0, "is saved");
    unlink(path);
    ok(load_gives(0, "") == STEADFAST_E_LOST && load_gives(STEADFAST_LOAD_RECOVER, "three") == STEADFAST_RECOVERED, "and leaves it in place");
    begin(4);
    is_int(save(path, "kept", STEADFAST_SAVE_KEEP_PREVIOUS), STEADFAST_OK, "KEEP_PREVIOUS over a newest PATH");
    unlink(path);
    ok(load_gives(STEADFAST_LOAD_RECOVER, "four") == STEADFAST_RECOVERED, "keeps that");
    begin(3);
    is_int(save(path, "unsynced", STEADFAST_SAVE_NO_SYNC | ALTERNATE), STEADFAST_NOT_DURABLE, "NO_SYNC");
    is_int(report.on_disk, STEADFAST_ON_DISK_EITHER, "is an ordinary save, which keeps the newest");
    ok(load_gives(0, "unsynced") == 0, "and is what a load gives");
    is_int(alternate("after"), STEADFAST_OK, "the next one");
    ok(load_gives(0, "after") == 0, "is loaded");
    is_int(save(path, "", ALTERNATE | STEADFAST_SAVE_PLAIN), -EINVAL, "PLAIN is refused");
    ok(strstr(report.message, "ALTERNATE") != NULL, "by name");
    begin(3);
    report = (steadfast_report){ .size = sizeof report };
    is_int(steadfast_state_remove(context, path, NULL, &report), STEADFAST_OK, "removed");
    ok(report.generation == 3 && inode_of(path) == 0 && inode_of(previous) == 0, "both files, and the newer generation");
    steadfast_save_entry entry[3];
    for (int round = 1; round <= 4; round++) {
        for (int i = 0; i < 3; i++)
            entry[i] = (steadfast_save_entry){ .size = sizeof entry[0], .path = i == 0 ? path : in(dir, i == 1 ? "b" : "c"), .data = "round", .len = 5 };
        steadfast_save_options o = { .size = sizeof o, .flags = ALTERNATE };
        is_int(steadfast_state_save_batch(context, entry, 3, &o, NULL), STEADFAST_OK, "a batch, round %d", round);
    }
    ok(load_gives(0, "round") == 0 && loaded.generation == 4 && entry[2].generation == 4, "counts in each state");
    ok(inode_of(in(dir, "b.prev")) != 0, "and keeps both files of each");
}

static void sizes(void)
{
    static char big[300000];
    memset(big, 'x', sizeof big - 1);
    begin(3);
    for (size_t len = 1; len < sizeof big; len = len * 3 + 1) {
        char *text = strdup(big + sizeof big - 1 - len);
        int first = alternate(text), got = load_gives(0, text), second = alternate(text), again = load_gives(0, text);
        ok(first == 0 && got == 0 && second == 0 && again == 0, "grows to %zu bytes", len);
        char *into = calloc(1, len + 1);
        steadfast_report r = { .size = sizeof r };
        steadfast_state about = { .size = sizeof about };
        size_t needed = 0;
        is_int(steadfast_state_load_into(NULL, path, NULL, into, len, &needed, &r), STEADFAST_OK, "loaded into memory of %zu bytes", len);
        ok(needed == len && memcmp(into, text, len) == 0, "without what fills it up");
        if (len > 1)
            is_int(steadfast_state_load_into(NULL, path, NULL, into, len - 1, &needed, &r), STEADFAST_E_TOO_LARGE, "not into less");
        ok(needed == len, "which says how much is needed");
        steadfast_reader *reader = NULL;
        is_int(steadfast_reader_open(NULL, path, NULL, &reader, &about, &r), STEADFAST_OK, "a reader");
        size_t out = 0;
        char *part = malloc(len + 10);
        ok(reader != NULL && about.len == len && steadfast_reader_read(reader, 0, part, len + 10, &out, &r) == 0 && out == len
               && memcmp(part, text, len) == 0,
           "reads all of it and no more");
        ok(reader != NULL && steadfast_reader_read(reader, len, part, 1, &out, &r) == 0 && out == 0, "to its end");
        steadfast_reader_close(reader);
        free(part), free(into), free(text);
    }
    off_t large = size_of(path);
    alternate("small"), alternate("small");
    ok(load_gives(0, "small") == 0 && size_of(path) < large && size_of(previous) < large, "what has become much smaller has small files");
}

static void damage(void)
{
    begin(3);
    truncate(previous, 100);
    ok(load_gives(0, "two") == STEADFAST_RECOVERED && loaded.source == STEADFAST_SOURCE_CURRENT, "the newest is cut: the other one, which says so");
    is_int(alternate("four"), STEADFAST_OK, "it can be saved over");
    ok(load_gives(0, "four") == 0 && report.generation > 3, "with a number that never was");
    begin(4);
    truncate(path, 0);
    ok(load_gives(0, "three") == STEADFAST_RECOVERED && loaded.source == STEADFAST_SOURCE_PREVIOUS, "the newest is empty: the other one");
    begin(3);
    truncate(path, 300);
    ok(load_gives(0, "three") == 0, "the older is cut: the newer one");
    begin(4);
    unlink(path);
    is_int(load_gives(0, ""), STEADFAST_E_LOST, "PATH is missing: E_LOST");
    is_int(load_gives(STEADFAST_LOAD_RECOVER, "three"), STEADFAST_RECOVERED, "with RECOVER the other one");
}

int main(void)
{
    dir = make_temp_dir("alternate");
    context = test_context(NULL);
    snprintf(path, sizeof path, "%s/s", dir);
    snprintf(previous, sizeof previous, "%s.prev", path);
    counted = faults_context(&faults);
    int fds = count_fds();
    takes_turns();
    with_what_else();
    sizes();
    damage();
    is_int(count_fds(), fds, "no descriptor is left");
    steadfast_state_free(&loaded);
    steadfast_context_free(counted);
    steadfast_context_free(context);
    remove_tree(dir);
    free(dir);
    return done_testing();
}
