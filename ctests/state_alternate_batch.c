/* Batches of alternating states: written in place, then synced together, by other calls; what that leaves to whoever comes next. */
#include "tap.h"
#include "state_test.h"

#include <sys/file.h>
#include <sys/resource.h>

#define ALTERNATE STEADFAST_SAVE_ALTERNATE

enum { STATES = 5 };
static char paths[STATES][300];
static steadfast_save_entry entries[STATES];
static struct faults faults;
static steadfast_context *counted;

static int batch(const steadfast_context *c, const char *text, uint32_t flags)
{
    steadfast_save_options o = { .size = sizeof o, .flags = ALTERNATE | flags, .timeout_ms = 200 };
    for (int i = 0; i < STATES; i++)
        entries[i] = (steadfast_save_entry){ .size = sizeof entries[0], .path = paths[i], .data = text, .len = strlen(text) };
    report = (steadfast_report){ .size = sizeof report };
    return steadfast_state_save_batch(c, entries, STATES, &o, &report);
}

static int all_hold(const char *text)
{
    int same = 0;
    for (int i = 0; i < STATES; i++)
        same += holds(paths[i], text);
    return same;
}

static void begin(void)
{
    for (int i = 0; i < STATES; i++)
        steadfast_state_remove(context, paths[i], NULL, NULL);
    batch(context, "one", 0), batch(context, "two", 0), batch(context, "three", 0);
}

/* How many files say that they were synced by another call. */
static int grouped(void)
{
    int count = 0;
    for (int i = 0; i < STATES; i++)
        for (int previous = 0; previous <= 1; previous++) {
            char name[400];
            size_t len;
            snprintf(name, sizeof name, "%.300s%s", paths[i], previous ? ".prev" : "");
            char *bytes = exists(name) ? read_file(name, &len) : NULL;
            count += bytes != NULL && memmem(bytes, 256, " grouped=1", 10) != NULL;
            free(bytes);
        }
    return count;
}

static mode_t mode_of(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? st.st_mode & 07777 : 0;
}

static void together(void)
{
    begin();
    is_int(grouped(), STATES, "the third batch is written in place, and says that it was synced by another call");
    memset(&faults, 0, sizeof faults);
    is_int(batch(counted, "four", 0), STEADFAST_OK, "another batch");
    ok(all_hold("four") == STATES && entries[0].generation == 4 && entries[0].on_disk == STEADFAST_ON_DISK_NEW,
       "is loaded, and on the disk");
    is_int(faults.made[STEADFAST_CALL_FDATASYNC] + faults.made[STEADFAST_CALL_FSYNC], 2 * STATES,
           "the newer ones are synced before the older ones are written");
    is_int(faults.made[STEADFAST_CALL_RENAMEAT], 0, "no name changes");
    is_int(batch(context, "five", STEADFAST_SAVE_SYNCFS), STEADFAST_OK, "with SYNCFS");
    is_int(all_hold("five"), STATES, "is loaded");
    is_int(save(paths[0], "single", ALTERNATE), STEADFAST_OK, "a single save after it");
    ok(holds(paths[0], "single") && grouped() == 2 * STATES - 1, "is synced by its own call");
    is_int(batch(context, "compared", STEADFAST_SAVE_IF_GENERATION), STEADFAST_E_CONFLICT, "a batch that compares with 0: a conflict");
}

/* The newer file may be whole and not on the disk: if it cannot be synced either, the older one is all that there is. */
static void lost(void)
{
    int only = (test_absent() & STEADFAST_ABSENT_FDATASYNC) != 0 ? STEADFAST_CALL_FSYNC : STEADFAST_CALL_FDATASYNC;
    begin();
    memset(&faults, 0, sizeof faults);
    faults.fail_at = 1, faults.only = only, faults.error = EIO;
    is_int(save_with(counted, paths[0], "four", ALTERNATE), STEADFAST_OK, "the sync of the newer one fails: saved all the same");
    ok(holds(paths[0], "four") && faults.made[STEADFAST_CALL_RENAMEAT] > 0, "but not over the older one");
    begin();
    char previous[310];
    snprintf(previous, sizeof previous, "%.300s.prev", paths[1]);
    memset(&faults, 0, sizeof faults);
    faults.fail_at = 1, faults.only = only, faults.error = EIO;
    faults.file_syncs = 1;
    is_int(save_with(counted, paths[1], "four", ALTERNATE | STEADFAST_SAVE_STRICT), STEADFAST_E_NOT_SAVED_DURABLY,
           "no sync succeeds: not saved");
    ok(holds(paths[1], "three") && (mode_of(paths[1]) & 01000) + (mode_of(previous) & 01000) == 01000,
       "the newer one is marked, since the next sync of it would answer 0");
    memset(&faults, 0, sizeof faults);
    is_int(save_with(counted, paths[1], "five", ALTERNATE), STEADFAST_OK, "the next save");
    ok(holds(paths[1], "five") && faults.made[STEADFAST_CALL_RENAMEAT] > 0, "does not write over the older one either");
    for (int at = 1; at <= 2 * STATES; at++) {
        begin();
        memset(&faults, 0, sizeof faults);
        faults.fail_at = at, faults.only = only, faults.error = EIO;
        is_int(batch(counted, "four", 0), STEADFAST_OK, "sync %d of a batch fails: saved", at);
        ok(all_hold("four") == STATES && batch(context, "five", 0) == STEADFAST_OK && all_hold("five") == STATES, "and so is the next one");
    }
}

static void busy(void)
{
    begin();
    int fd = open(paths[2], O_RDONLY);
    flock(fd, LOCK_EX);
    is_int(batch(context, "four", 0), STEADFAST_E_BUSY, "one state is busy");
    ok(all_hold("four") == STATES - 1 && holds(paths[2], "three") && entries[2].status == STEADFAST_E_BUSY, "and the others are saved");
    close(fd);
    is_int(batch(context, "five", 0), STEADFAST_OK, "then all are");
    is_int(all_hold("five"), STATES, "again");
    struct rlimit limit, few;
    getrlimit(RLIMIT_NOFILE, &limit);
    for (int spare = 4; spare <= 3 * STATES; spare++) {
        few = limit, few.rlim_cur = (rlim_t)(count_fds() + spare);
        setrlimit(RLIMIT_NOFILE, &few);
        int status = batch(context, "few", 0);
        setrlimit(RLIMIT_NOFILE, &limit);
        int saved = 0;
        for (int i = 0; i < STATES; i++)
            saved += entries[i].status == STEADFAST_OK ? holds(paths[i], "few") : entries[i].on_disk == STEADFAST_ON_DISK_OLD;
        ok(saved == STATES && (spare < 9 || status == STEADFAST_OK), "%d descriptors: each entry says what is there", spare);
    }
}

/* The disk may still call the older file PATH, and the newer one is at PATH.prev: no save sets that aside before a sync. */
static void unsynced_name(void)
{
    for (int i = 0; i < 2; i++) {
        begin();
        memset(&faults, 0, sizeof faults);
        is_int(save_with(counted, paths[0], "plain", 0), STEADFAST_OK, "a plain save");
        long before = faults.made[STEADFAST_CALL_FSYNC];
        uint32_t flags = STEADFAST_SAVE_KEEP_PREVIOUS | (i == 0 ? STEADFAST_SAVE_NO_SYNC : 0);
        save_with(counted, paths[0], "kept", flags);
        /* Without hard links there is a copy, and with a sync that is synced as well. */
        long copies = NO_LINK && i == 1;
        is_int(faults.made[STEADFAST_CALL_FSYNC] - before, (i == 0 ? 1 : 3) + copies, "what keeps it syncs the directory first");
        ok(holds(paths[0], "kept"), "and is loaded");
    }
}

int main(void)
{
    dir = make_temp_dir("alternate-batch");
    context = test_context(NULL);
    counted = faults_context(&faults);
    for (int i = 0; i < STATES; i++)
        snprintf(paths[i], sizeof paths[i], "%s/s%d", dir, i);
    int fds = count_fds();
    if (!can_alternate()) {
        skip("no two files take turns here", "batches of them");
    } else {
        together();
        lost();
        busy();
        unsynced_name();
    }
    is_int(count_fds(), fds, "no descriptor is left");
    steadfast_context_free(counted);
    steadfast_context_free(context);
    remove_tree(dir);
    free(dir);
    return done_testing();
}
