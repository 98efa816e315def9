/* STEADFAST_SAVE_ALTERNATE: PATH and PATH.prev take turns, and each save is one write that is synced by the same call. */
#include "tap.h"
#include "state_test.h"

#include <sys/file.h>
#include <sys/wait.h>

#define ALTERNATE STEADFAST_SAVE_ALTERNATE

static char path[300], previous[310];
static struct faults faults, idle = { .no_real_sync = 1 };
static steadfast_context *counted, *unsynced; /* the second for what is not crashed */

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
    snprintf(
        command, sizeof command,
        "for f in '%s' '%s'; do tail -c +69 \"$f\" | sha256sum | head -c 64 >'%s.sum' && head -c 64 \"$f\" | cmp -s - '%s.sum' || exit 1; done",
        path, previous, path, path);
    ok(system(command) == 0, "coreutils verify both files");
}

/* Without an attribute the file has no number, but the tag of its content. */
static int saved_as_four(int result)
{
    return result == STEADFAST_UNVERIFIED ? report.generation > 4 : result >= 0 && report.generation == 4;
}

/* A plain save knows the state by its number, or PATH by the tag that a load of a plain file gives. */
static void with_plain_files(void)
{
    uint32_t flags = STEADFAST_SAVE_PLAIN | STEADFAST_SAVE_IF_GENERATION;
    begin(3);
    is_int(save_expecting("plain", flags, 2), STEADFAST_E_CONFLICT, "a plain save that expects the number of the older one");
    is_int((int)report.generation, 3, "is told that of the newer one");
    ok(load_gives(0, "three") == 0, "which is there still");
    ok(saved_as_four(save_expecting("plain", flags, 3)), "expecting that it is saved, and counts on");
    ok(load_gives(STEADFAST_LOAD_PLAIN, "plain") >= 0, "in the place of both");
    begin(3);
    steadfast_load_options o = { .size = sizeof o, .flags = STEADFAST_LOAD_PLAIN };
    steadfast_state_free(&loaded);
    loaded = (steadfast_state){ .size = sizeof loaded };
    ok(steadfast_state_load(NULL, path, &o, &loaded, NULL) >= 0, "a load of PATH as a plain file");
    ok(saved_as_four(save_expecting("plain", flags, loaded.generation)), "the tag that it gives will do");
}

static void with_what_else(void)
{
    begin(3);
    is_int(save_expecting("four", ALTERNATE | STEADFAST_SAVE_IF_GENERATION, 2), STEADFAST_E_CONFLICT,
           "IF_GENERATION of the older: conflict");
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
    ok(load_gives(0, "") == STEADFAST_E_LOST && load_gives(STEADFAST_LOAD_RECOVER, "three") == STEADFAST_RECOVERED,
       "and leaves it in place");
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
            entry[i] = (steadfast_save_entry){
                .size = sizeof entry[0], .path = i == 0 ? path : in(dir, i == 1 ? "b" : "c"), .data = "round", .len = 5
            };
        steadfast_save_options o = { .size = sizeof o, .flags = ALTERNATE };
        is_int(steadfast_state_save_batch(context, entry, 3, &o, NULL), STEADFAST_OK, "a batch, round %d", round);
    }
    ok(load_gives(0, "round") == 0 && loaded.generation == 4 && entry[2].generation == 4, "counts in each state");
    ok(inode_of(in(dir, "b.prev")) != 0, "and keeps both files of each");
}

static void written_in_pieces(void)
{
    begin(3);
    steadfast_save_options o = { .size = sizeof o, .flags = ALTERNATE };
    steadfast_writer *writer = NULL;
    is_int(steadfast_writer_open(context, path, &o, &writer, NULL), STEADFAST_OK, "a writer takes the flag");
    is_int(steadfast_writer_write(writer, "four", 4, NULL), STEADFAST_OK, "it writes");
    is_int(steadfast_writer_commit(writer, NULL), STEADFAST_OK, "and commits");
    ok(load_gives(0, "four") == 0 && loaded.generation == 4, "the next generation");
    alternate("five");
    ok(load_gives(0, "five") == 0 && loaded.generation == 5, "and another one");
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
    ok(load_gives(0, "two") == STEADFAST_RECOVERED && loaded.source == STEADFAST_SOURCE_CURRENT,
       "the newest is cut: the other one, which says so");
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

/* What a load and the next save find after a save whose result was `result`. NULL, or what is wrong. */
static const char *told_the_truth(int result, const char *old, int one_fault)
{
    static char what[400];
    uint64_t generation = report.generation;
    int on_disk = report.on_disk;
    int status = load_gives(0, "new"), is_new = status >= 0;
    if (!is_new)
        status = load_gives(0, old);
    int whole = status >= 0;
    const char *wrong = NULL;
    if (!whole)
        wrong = "neither the old one nor the new one is loaded";
    else if (result >= 0 && !is_new)
        wrong = "the old one is loaded";
    else if (result >= 0 && (status != 0 || loaded.generation != generation))
        wrong = "not simply the new one is loaded";
    else if (result < 0 && on_disk == STEADFAST_ON_DISK_OLD && (is_new || status != 0))
        wrong = "not simply the old one is loaded";
    else if (result == STEADFAST_OK && on_disk != STEADFAST_ON_DISK_NEW)
        wrong = "0, but not NEW";
    else if (result < 0 && on_disk == STEADFAST_ON_DISK_NEW)
        wrong = "an error, but NEW";
    else if (one_fault && result < 0 && result != STEADFAST_E_INDETERMINATE && on_disk != STEADFAST_ON_DISK_OLD)
        wrong = "an error, but not OLD";
    if (wrong == NULL && (alternate("next") != STEADFAST_OK || load_gives(0, "next") != 0))
        wrong = "the next save is not what is loaded";
    if (wrong != NULL)
        snprintf(what, sizeof what, "%s, on_disk %d: %s (load: %s)", steadfast_status_name(result), on_disk, wrong,
                 steadfast_status_name(status));
    return wrong == NULL ? NULL : what;
}

/* Every call of a save fails, with each errno, once and for ever, with either of the files being the newer one. */
static void failures(void)
{
    static const int errors[] = { EIO, ENOSPC, EINTR, ENOMEM, EMFILE, EACCES, EROFS, EINVAL, ENOSYS, ESTALE, EDQUOT };
    for (int saves = 3; saves <= 4; saves++)
        for (int strict = 0; strict <= 1; strict++)
            for (size_t e = 0; e < sizeof errors / sizeof errors[0]; e++) {
                const char *wrong = NULL;
                long runs = 0, at;
                for (int for_ever = 0; for_ever <= 1 && wrong == NULL; for_ever++)
                    for (at = 1; at < 300 && wrong == NULL; at++, runs++) {
                        begin(saves);
                        faults = (struct faults){ .no_real_sync = 1 };
                        faults.fail_at = at, faults.error = errors[e], faults.for_ever = for_ever;
                        int result = save_with(counted, path, "new", ALTERNATE | (strict ? STEADFAST_SAVE_STRICT : 0));
                        faults.fail_at = 0;
                        long made = faults.calls;
                        wrong = told_the_truth(result, saves == 3 ? "three" : "four", !for_ever);
                        if (wrong != NULL)
                            diag("call %ld%s: %s", at, for_ever ? " and all later ones" : "", wrong);
                        if (made < at)
                            break;
                    }
                ok(wrong == NULL && runs > 20, "%s%s, in each call, once and for ever: %ld runs", steadfast_status_name(-errors[e]),
                   strict ? ", STRICT" : "", runs);
            }
    for (int shortly = SHORT_ONE_BYTE; shortly <= SHORT_NOTHING; shortly++) {
        begin(3);
        faults = (struct faults){ .no_real_sync = 1 };
        faults.short_writes = shortly;
        int result = save_with(counted, path, "new", ALTERNATE);
        faults.short_writes = SHORT_NO;
        const char *wrong = told_the_truth(result, "three", 0);
        if (!ok(wrong == NULL, "a short write"))
            diag("%s", wrong);
        ok(faults.made[STEADFAST_CALL_PWRITE] == 1 || shortly == SHORT_NOTHING || result == 0, "is not gone on with");
    }
}

static int die_at;
static void dies(struct faults *f, int call, const char *name)
{
    (void)call, (void)name;
    if (f->calls == die_at)
        _exit(0);
}

/* A saver is killed before each of its calls. */
static void deaths(void)
{
    int wrong = 0;
    for (int saves = 1; saves <= 4; saves++) {
        static const char *const olds[] = { "one", "two", "three", "four" };
        for (die_at = 1; die_at < 300; die_at++) {
            begin(saves);
            faults = (struct faults){ .no_real_sync = 1 };
            faults.before = dies;
            pid_t child = fork();
            if (child == 0) {
                save_with(counted, path, "new", ALTERNATE);
                _exit(1);
            }
            int status;
            waitpid(child, &status, 0);
            faults.before = NULL;
            int got = load_gives(0, "new") >= 0 ? 0 : load_gives(0, olds[saves - 1]);
            if (got != 0 || alternate("next") != 0 || load_gives(0, "next") != 0) {
                wrong++;
                diag("after %d saves, killed before call %d: %s", saves, die_at, steadfast_status_name(got));
            }
            if (WEXITSTATUS(status) == 1)
                break;
        }
    }
    ok(wrong == 0 && die_at > 10, "killed before each call: the old one or the new one, and the next save succeeds");
}

static int late_once;
static void is_late(struct faults *f, int call, const char *name)
{
    (void)f;
    if (call != STEADFAST_CALL_RENAMEAT || strcmp(name, "s") != 0 || late_once++ != 0)
        return;
    save(path, "plain", 0), alternate("a"), alternate("b"), save(path, "kept", STEADFAST_SAVE_KEEP_PREVIOUS);
}
static int32_t renameat_late(void *user, int32_t od, const char *op, int32_t nd, const char *np, uint32_t flags)
{
    is_late(user, STEADFAST_CALL_RENAMEAT, np);
    return REAL->renameat(NULL, od, op, nd, np, flags);
}

/* Savers that do not know of each other: the one that publishes last is loaded. */
static void late(void)
{
    begin(0);
    save(path, "first", 0);
    steadfast_hooks h = steadfast_hooks_init();
    h.renameat = renameat_late, h.user = &faults;
    steadfast_context *c = test_context(&h);
    is_int(save_with(c, path, "late", ALTERNATE), STEADFAST_OK, "a save that is late, with an old number");
    ok(late_once > 0 && load_gives(0, "late") == 0, "is what is loaded, since it was published last");
    is_int(alternate("next"), STEADFAST_OK, "the next one");
    ok(load_gives(0, "next") == 0 && loaded.generation >= 5, "has a number above those of both files");
    steadfast_context_free(c);
}

static mode_t mode_of(const char *what)
{
    struct stat st;
    return stat(what, &st) == 0 ? st.st_mode & 07777 : 0;
}

static void permissions(void)
{
    begin(4);
    ino_t second = inode_of(previous);
    chmod(path, 0640);
    is_int(alternate("five"), STEADFAST_OK, "after a chmod of PATH");
    ok(load_gives(0, "five") == 0 && inode_of(previous) != second, "the other file is not written in place");
    ok(mode_of(loaded.source == STEADFAST_SOURCE_CURRENT ? path : previous) == 0640, "the new state has that mode");
    alternate("six"), alternate("seven");
    ok(load_gives(0, "seven") == 0 && mode_of(path) == 0640 && mode_of(previous) == 0640, "and then both files");
    steadfast_save_options o = { .size = sizeof o, .flags = ALTERNATE | STEADFAST_SAVE_SET_MODE, .mode = 0600 };
    is_int(steadfast_state_save(context, path, "eight", 5, &o, NULL), STEADFAST_OK, "SET_MODE");
    ok(load_gives(0, "eight") == 0 && mode_of(path) == 0600, "sets it");
    alternate("nine"), alternate("ten");
    ok(load_gives(0, "ten") == 0 && mode_of(path) == 0600 && mode_of(previous) == 0600, "for both files");
    const char *copy = in(dir, "copy");
    begin(3), unlink(copy);
    if (link(path, copy) == 0) {
        char *before = read_file(copy, NULL);
        is_int(alternate("four"), STEADFAST_OK, "where the older file has another name");
        char *after = read_file(copy, NULL);
        ok(load_gives(0, "four") == 0 && memcmp(before, after, 4096) == 0, "that one stays as it was");
        free(before), free(after), unlink(copy);
    }
    char *large = calloc(1, (4 << 20) + 1);
    memset(large, 'x', 4 << 20);
    is_int(alternate(large), STEADFAST_OK, "4 MiB");
    ok(load_gives(0, large) == 0 && size_of(path) == (4 << 20) + 256, "are an ordinary save");
    is_int(alternate("small"), STEADFAST_OK, "and after it");
    ok(load_gives(0, "small") == 0, "it begins again");
    free(large);
}

static void turns(void)
{
    begin(3);
    int fd = open(path, O_RDONLY);
    flock(fd, LOCK_EX);
    steadfast_save_options o = { .size = sizeof o, .flags = ALTERNATE, .timeout_ms = 20 };
    is_int(steadfast_state_save(context, path, "new", 3, &o, NULL), STEADFAST_E_BUSY, "another process holds PATH: E_BUSY");
    o.flags = 0;
    is_int(steadfast_state_save(context, path, "new", 3, &o, NULL), STEADFAST_E_BUSY, "for a plain save, too");
    ok(load_gives(0, "three") == 0, "the old one stands, and a load does not wait");
    close(fd);
    enum { SAVERS = 4, EACH = 25 };
    begin(2);
    pid_t savers[SAVERS], reader;
    for (int i = 0; i < SAVERS; i++)
        if ((savers[i] = fork()) == 0) {
            int failed = 0;
            for (int n = 0; n < EACH; n++) {
                char text[5000];
                memset(text, 'a' + i, sizeof text);
                steadfast_save_options mine = { .size = sizeof mine, .flags = ALTERNATE };
                failed += steadfast_state_save(NULL, path, text, 1000 + (size_t)(n * 60 % 3900), &mine, NULL) != STEADFAST_OK;
            }
            _exit(failed != 0);
        }
    int wrong = 0, loads = 0;
    uint64_t last = 0;
    int alive = SAVERS;
    while (alive > 0) {
        steadfast_state now = { .size = sizeof now };
        int status = steadfast_state_load(NULL, path, NULL, &now, NULL);
        if (status != 0 || now.generation < last) {
            wrong++;
            diag("load %d: %s, generation %llu after %llu", loads, steadfast_status_name(status), (unsigned long long)now.generation,
                 (unsigned long long)last);
        }
        last = now.generation, loads++;
        steadfast_state_free(&now);
        int status_of;
        while ((reader = waitpid(-1, &status_of, WNOHANG)) > 0)
            alive--, wrong += status_of != 0;
    }
    ok(wrong == 0 && loads > 10, "%d savers and a reader: each load is whole, and none is older than the one before (%d loads)", SAVERS,
       loads);
    load_gives(0, "");
    ok(loaded.generation == 2 + SAVERS * EACH, "and each save has its own number");
}

/* Where nothing can take turns each save is an ordinary one. */
static void ordinary(void)
{
    static const char *const texts[] = { "one", "two", "three", "four" };
    begin(0);
    for (int i = 0; i < 4; i++) {
        int status = alternate(texts[i]);
        ok(status == STEADFAST_OK || status == STEADFAST_NOT_DURABLE, "where no two files take turns: saved");
        ok(load_gives(0, texts[i]) == 0 && loaded.source == STEADFAST_SOURCE_CURRENT && loaded.generation == (uint64_t)i + 1,
           "and the state is at PATH");
    }
    unlink(path);
    is_int(load_gives(STEADFAST_LOAD_RECOVER, "three"), STEADFAST_RECOVERED, "the previous one is kept");
}

int main(void)
{
    dir = make_temp_dir("alternate");
    context = test_context(NULL);
    snprintf(path, sizeof path, "%s/s", dir);
    snprintf(previous, sizeof previous, "%s.prev", path);
    counted = faults_context(&faults);
    unsynced = faults_context(&idle);
    int fds = count_fds();
    if (!can_alternate()) {
        ordinary();
    } else {
        takes_turns();
        with_what_else();
        with_plain_files();
        written_in_pieces();
        sizes();
        damage();
        steadfast_context *synced = context;
        context = unsynced;
        failures();
        deaths();
        context = synced;
        late();
        permissions();
        turns();
    }
    is_int(count_fds(), fds, "no descriptor is left");
    steadfast_state_free(&loaded);
    steadfast_context_free(counted);
    steadfast_context_free(unsynced);
    steadfast_context_free(context);
    remove_tree(dir);
    free(dir);
    return done_testing();
}
