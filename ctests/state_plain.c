/* Plain files: the caller's own bytes, with an attribute that verifies them. */
#include "tap.h"
#include "state_test.h"
#include "plain_test.h"

#include <sys/file.h>

#define PLAIN STEADFAST_SAVE_PLAIN
#define KEEP STEADFAST_SAVE_KEEP_PREVIOUS
#define SWAP STEADFAST_SAVE_IF_GENERATION
#define TAGS (UINT64_C(1) << 63)

static char path[300], previous[310];
static int no_attributes;
static int no_swaps; /* another machine may see the directory, but not a flock on it */
/* What a durable and verified save answers. */
#define DONE (NO_DIR_FSYNC ? STEADFAST_NOT_DURABLE : no_attributes ? STEADFAST_UNVERIFIED : STEADFAST_OK)
/* What a load of it answers. */
#define WHOLE (no_attributes ? STEADFAST_UNVERIFIED : STEADFAST_OK)

static void begin(void)
{
    unlink(path), unlink(previous);
}

static int save_plain_as(const steadfast_context *c, const char *text, uint32_t flags, uint64_t expected)
{
    steadfast_save_options o = { .size = sizeof o, .flags = PLAIN | flags, .expected_generation = expected, .timeout_ms = 200 };
    report = (steadfast_report){ .size = sizeof report };
    return steadfast_state_save(c, path, text, strlen(text), &o, &report);
}
static int save_plain(const char *text, uint32_t flags)
{
    return save_plain_as(context, text, flags, 0);
}

static steadfast_state state;
static char loaded[64];
static int load_plain(const char *what, uint32_t flags)
{
    steadfast_load_options o = { .size = sizeof o, .flags = STEADFAST_LOAD_PLAIN | flags };
    report = (steadfast_report){ .size = sizeof report };
    memset(&state, 0, sizeof state);
    state.size = sizeof state;
    memset(loaded, 0, sizeof loaded);
    int status = steadfast_state_load(context, what, &o, &state, &report);
    if (status >= 0)
        snprintf(loaded, sizeof loaded, "%.*s", (int)(state.len > 60 ? 60 : state.len), (const char *)state.data);
    steadfast_state_free(&state);
    return status;
}
static int loads(const char *what, uint32_t flags, int status, const char *text)
{
    int got = load_plain(what, flags);
    if (got == status && strcmp(loaded, text) == 0)
        return 1;
    diag("load: %d \"%s\", not %d \"%s\"", got, loaded, status, text);
    return 0;
}

/* As for whoever is not root. */
static int32_t unless_read_only(void *user, int32_t fd, const char *name, const void *value, size_t len)
{
    struct stat st;
    (void)user;
    if (fstat(fd, &st) != 0 || (st.st_mode & S_IWUSR) == 0)
        return -EACCES;
    return steadfast_hooks_default()->fsetxattr(NULL, fd, name, value, len);
}

/* A mode that forbids writing comes after what it forbids. */
static void read_only(void)
{
    steadfast_hooks h = test_hooks();
    struct stat st;
    char mine[8] = "";
    h.fsetxattr = unless_read_only;
    steadfast_context *c = test_context(&h);
    steadfast_save_options o = { .size = sizeof o, .flags = PLAIN | STEADFAST_SAVE_KEEP_ATTRIBUTES, .mode = 0444, .schema = 7 };
    unlink(path);
    ok(steadfast_state_save(c, path, "w", 1, &o, NULL) == SAVED && stat(path, &st) == 0 && (st.st_mode & 07777) == 0444,
       "a mode that forbids writing");
    if (chmod(path, 0644) != 0 || setxattr(path, "user.mine", "x", 1, 0) != 0 || chmod(path, 0444) != 0)
        bail_out("setxattr");
    is_int(steadfast_state_save(c, path, "x", 1, &o, NULL), SAVED, "and over such a file");
    ok(getxattr(path, "user.mine", mine, sizeof mine) == 1 && mine[0] == 'x', "whose attributes are kept");
    steadfast_context_free(c);
}

static void saves_and_loads(void)
{
    begin();
    is_int(save_plain("{\"a\": 1}\n", 0), DONE, "saved");
    ok(is_exactly(path, "{\"a\": 1}\n") && (no_attributes || report.generation == 1) && report.on_disk == (NO_DIR_FSYNC ? 2 : 1),
       "the file has these bytes and no other, generation 1");
    ok(loads(path, 0, WHOLE, "{\"a\": 1}\n"), "loaded");
    is_int(save_plain("", 0), DONE, "an empty one: saved");
    ok(is_exactly(path, "") && loads(path, 0, WHOLE, ""), "and loaded");
    struct stat st;
    char attribute[61];
    if (no_attributes) {
        uint64_t tag = report.generation;
        ok(tag >= TAGS, "nothing verifies it: its generation is a content tag");
        ok(save_plain("", 0) == DONE && report.generation == tag, "which the save tells as well");
        return;
    }
    ok(report.generation == 2, "as generation 2");
    is_int(getxattr(path, "user.steadfast", attribute, sizeof attribute), 60, "its attribute has 60 bytes");
    ok(stat(path, &st) == 0 && memcmp(attribute + 32, "\2\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0", 16) == 0,
       "generation, length, version and flags");
    int64_t mtime = st.st_mtim.tv_sec * INT64_C(1000000000) + st.st_mtim.tv_nsec;
    ok(memcmp(attribute + 48, &mtime, 8) == 0, "and the time of the last write");

    read_only();
    ok(loads(path, 0, 0, "x") && state.schema == 0, "is verified");
    steadfast_load_options l = { .size = sizeof l, .flags = STEADFAST_LOAD_PLAIN | STEADFAST_LOAD_REQUIRE_SCHEMA, .schema = 7 };
    char buf[4] = "";
    size_t len = 99;
    ok(steadfast_state_load_into(context, path, &l, buf, sizeof buf, &len, NULL) == 0 && len == 1 && buf[0] == 'x',
       "load_into, with the schema");
    l.schema = 8;
    is_int(steadfast_state_load_into(context, path, &l, buf, sizeof buf, &len, NULL), STEADFAST_E_SCHEMA, "another schema: E_SCHEMA");
    is_int(steadfast_state_load_into(context, path, &l, NULL, 0, &len, NULL), STEADFAST_E_TOO_LARGE, "no room: E_TOO_LARGE");
    ok(len == 1, "and how much would do");
}

static void large(void)
{
    begin();
    static char big[6 * 1024 * 1024 + 17];
    for (size_t i = 0; i < sizeof big; i++)
        big[i] = (char)(i * 2654435761u >> 13);
    steadfast_save_options o = { .size = sizeof o, .flags = PLAIN };
    static const size_t lengths[] = { 4095, 4096, 4097, 262144, 262145, sizeof big };
    int good = 0;
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        size_t len = 0;
        good += steadfast_state_save(context, path, big, lengths[i], &o, NULL) == DONE;
        char *bytes = read_file(path, &len);
        good += len == lengths[i] && memcmp(bytes, big, len) == 0;
        free(bytes);
        steadfast_load_options l = { .size = sizeof l, .flags = STEADFAST_LOAD_PLAIN };
        steadfast_state s = { .size = sizeof s };
        good += steadfast_state_load(context, path, &l, &s, NULL) == WHOLE && s.len == len && memcmp(s.data, big, len) == 0
                && ((const char *)s.data)[len] == '\0';
        steadfast_state_free(&s);
    }
    is_int(good, 18, "files of 4 KiB to 6 MiB: the bytes, saved and loaded, and a NUL after them");
}

static void verdicts(void)
{
    begin();
    write_text(path, "by hand");
    ok(loads(path, 0, STEADFAST_UNVERIFIED, "by hand"), "anybody's file: UNVERIFIED, with the data");
    ok(report.generation == UINT64_C(0xeb0bc53f7ef79b83) || report.generation >= TAGS, "and a content tag");
    uint64_t tag = report.generation;
    is_int(load_plain(path, STEADFAST_LOAD_REQUIRE_VERIFIED), STEADFAST_E_UNVERIFIED, "REQUIRE_VERIFIED: E_UNVERIFIED");
    ok(report.generation == tag, "with the tag");
    steadfast_state s = { .size = sizeof s };
    is_int(steadfast_state_load(context, path, NULL, &s, NULL), STEADFAST_E_FORMAT, "without PLAIN: E_FORMAT");
    if (no_attributes)
        return;
    static const struct {
        const char *text;
        int keep_time, status;
        const char *what;
    } rows[] = {
        { "first", 0, STEADFAST_OK, "the same bytes at another time: 0" },
        { "other", 0, STEADFAST_CHANGED, "others, at another time: CHANGED" },
        { "other", 1, STEADFAST_E_DIGEST, "others, at the same time: E_DIGEST" },
        { "firs", 1, STEADFAST_E_TRUNCATED, "shorter: E_TRUNCATED" },
        { "first!", 1, STEADFAST_E_TRAILING, "longer: E_TRAILING" },
        { "", 1, STEADFAST_E_EMPTY, "empty: E_EMPTY" },
        { "", 0, STEADFAST_CHANGED, "emptied at another time: CHANGED" },
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        begin();
        save_plain("first", 0);
        write_in_place(path, rows[i].text, rows[i].keep_time);
        ok(loads(path, 0, rows[i].status, rows[i].status < 0 ? "" : rows[i].text), "%s", rows[i].what);
    }
    begin();
    save_plain("first", 0);
    setxattr(path, "user.steadfast", "short", 5, 0);
    ok(loads(path, 0, STEADFAST_UNVERIFIED, "first"), "a short attribute: UNVERIFIED");
    char attribute[70] = { 0 };
    save_plain("first", 0);
    getxattr(path, "user.steadfast", attribute, 60);
    setxattr(path, "user.steadfast", attribute, 70, 0);
    ok(loads(path, 0, 0, "first"), "a longer one is read as this one");
    attribute[46] = (char)200;
    setxattr(path, "user.steadfast", attribute, 60, 0);
    ok(loads(path, 0, STEADFAST_E_NEWER, ""), "one of a later format: E_NEWER");
    attribute[46] = 1, attribute[47] = 1;
    setxattr(path, "user.steadfast", attribute, 60, 0);
    ok(loads(path, 0, STEADFAST_E_DIGEST, ""), "one that says \"being written\": E_DIGEST");
    struct faults f = { .fail_at = 1, .only = STEADFAST_CALL_FGETXATTR, .error = EIO };
    steadfast_context *kept = context;
    context = faults_context(&f);
    is_int(load_plain(path, 0), -EIO, "an attribute that cannot be read: EIO");
    save_with(NULL, path, "first", PLAIN);
    f.error = EACCES, f.for_ever = 1;
    is_int(load_plain(path, 0), STEADFAST_UNVERIFIED, "one that may not be read: UNVERIFIED");
    steadfast_context_free(context);
    f = (struct faults){ .fail_at = 1, .only = STEADFAST_CALL_FGETXATTR, .error = EACCES };
    context = faults_context(&f);
    is_int(load_plain(path, 0), STEADFAST_UNVERIFIED, "one that may not be read: UNVERIFIED");
    steadfast_context_free(context);
    f = (struct faults){ .fail_at = 1, .only = STEADFAST_CALL_FGETXATTR, .error = EACCES };
    context = faults_context(&f);
    is_int(save_plain("x", KEEP), -EACCES, "a save does not take it for nobody's");
    steadfast_context_free(context);
    context = kept;
}

static void recovers(void)
{
    begin();
    save_plain("one", 0), save_plain("two", KEEP);
    ok(is_exactly(previous, "one") && loads(previous, 0, WHOLE, "one"), "KEEP_PREVIOUS keeps the one before, with its attribute");
    if (no_attributes) {
        unlink(path);
        is_int(load_plain(path, STEADFAST_LOAD_RECOVER), STEADFAST_E_UNVERIFIED, "RECOVER takes only a verified one");
        return;
    }
    write_in_place(path, "tw", 1);
    ok(loads(path, STEADFAST_LOAD_RECOVER, STEADFAST_RECOVERED, "one") && report.generation == 1, "damage: RECOVERED");
    write_in_place(path, "", 0);
    ok(loads(path, STEADFAST_LOAD_RECOVER, STEADFAST_RECOVERED, "one"), "emptied: RECOVERED");
    uint32_t strictly = STEADFAST_LOAD_RECOVER | STEADFAST_LOAD_REQUIRE_VERIFIED;
    ok(loads(path, strictly, STEADFAST_RECOVERED, "one"), "also with REQUIRE_VERIFIED");
    steadfast_load_options l = { .size = sizeof l, .flags = STEADFAST_LOAD_PLAIN | STEADFAST_LOAD_RECOVER };
    char buf[2];
    size_t len = 0;
    is_int(steadfast_state_load_into(context, path, &l, buf, sizeof buf, &len, NULL), STEADFAST_E_TOO_LARGE, "no room for it: E_TOO_LARGE");
    is_int((int)len, 3, "and how much would do");
    write_in_place(path, "mine", 0);
    ok(loads(path, STEADFAST_LOAD_RECOVER, STEADFAST_CHANGED, "mine"), "changed by somebody: that");
    is_int(save_plain("three", KEEP), SAVED, "saved over it");
    ok(loads(previous, 0, 0, "mine") && report.generation < TAGS, "it is kept, and has an attribute now");
    unlink(path);
    ok(loads(path, STEADFAST_LOAD_RECOVER, STEADFAST_RECOVERED, "mine"), "so RECOVER gives it");
    is_int(load_plain(path, 0), STEADFAST_E_LOST, "without RECOVER: E_LOST");
    unlink(previous);
    is_int(load_plain(path, STEADFAST_LOAD_RECOVER), -ENOENT, "neither: ENOENT");

    save_plain("one", 0), save_plain("two", KEEP);
    write_in_place(path, "tw", 1);
    ok(save_plain("three", KEEP) == SAVED && says("was not kept"), "saved over damage, and the message says that it was not kept");
    ok(loads(previous, 0, 0, "one"), "the good previous one stays");
    unlink(path);
    write_text(path, "");
    is_int(save_plain("four", KEEP), SAVED, "saved over an empty file");
    ok(loads(previous, 0, 0, "one"), "the good previous one stays");
    begin(), write_text(path, "by hand");
    ok(loads(path, STEADFAST_LOAD_RECOVER, STEADFAST_UNVERIFIED, "by hand"), "anybody's file, with RECOVER: that");
    write_text(previous, "older, by hand"), unlink(path);
    is_int(load_plain(path, STEADFAST_LOAD_RECOVER), STEADFAST_E_UNVERIFIED, "an unverified previous one is not taken");
    write_text(path, "");
    ok(loads(path, STEADFAST_LOAD_RECOVER, STEADFAST_UNVERIFIED, ""), "nor over an empty file");
    is_int(load_plain(path, strictly), STEADFAST_E_UNVERIFIED, "which nothing confirms either");
    if (NO_FLOCK) {
        skip("no flock", "what RECOVER gave is swapped");
        return;
    }
    begin();
    save_plain("one", 0), save_plain("two", KEEP);
    write_in_place(path, "", 0);
    load_plain(path, 0);
    uint64_t tag = report.generation;
    load_plain(path, STEADFAST_LOAD_RECOVER);
    is_int(save_plain_as(context, "three", SWAP, report.generation), SAVED, "what RECOVER gave for an empty one can be swapped");
    ok(report.generation > 1 && is_exactly(path, "three"), "with a number of its own");
    write_in_place(path, "", 0), write_text(previous, "by hand");
    is_int(save_plain_as(context, "four", SWAP, tag), SAVED, "and so can the empty one itself");
}

static void counts(void)
{
    if (no_attributes) {
        skip("no extended attributes", "generations of plain files");
        return;
    }
    begin();
    save(path, "record", 0), save(path, "record", 0);
    is_int(save_plain("plain", 0), SAVED, "over a record");
    ok(report.generation == 3, "a record's number counts");
    save(path, "record", KEEP), save_plain("plain", KEEP);
    save(path, "unsynced", KEEP | STEADFAST_SAVE_NO_SYNC);
    is_int(report.on_disk, STEADFAST_ON_DISK_UNKNOWN, "an unsynced record over a plain file, which it does not keep: UNKNOWN");
    begin();
    save(path, "record", 0), save(path, "record", 0), save_plain("plain", 0);
    is_int(save(path, "record", 0), SAVED, "and back");
    ok(report.generation == 4, "a plain file's number counts");
    save_plain("durable", KEEP | STEADFAST_SAVE_NO_SYNC);
    ok(report.on_disk == STEADFAST_ON_DISK_UNKNOWN && (NO_LINK || holds(previous, "record")),
       "unsynced over a record, which no load of a plain file gives: UNKNOWN");
    begin();
    write_text(path, "by hand");
    save_plain("ours", 0);
    ok(report.generation > UINT64_C(1000000000000000) && report.generation < TAGS, "over anybody's file: the clock");
    uint64_t first = report.generation;
    save_plain("ours", 0);
    ok(report.generation == first + 1, "and on from there");
    write_in_place(path, "theirs", 0);
    save_plain("ours", 0);
    ok(report.generation > first + 1, "over a changed one: a number that was not there before");
}

static void swaps(void)
{
    begin();
    if (NO_FLOCK) {
        is_int(save_plain_as(context, "x", SWAP, 0), STEADFAST_E_UNSUPPORTED, "IF_GENERATION without flock: E_UNSUPPORTED");
        return;
    }
    if (no_swaps) {
        save_plain_as(context, "x", SWAP, 0);
        ok(strstr(report.message, "a flock that all savers see") != NULL, "IF_GENERATION where another machine may save: E_UNSUPPORTED");
        return;
    }
    is_int(save_plain_as(context, "one", SWAP, 0), DONE, "IF_GENERATION 0, nothing there: saved");
    is_int(save_plain_as(context, "two", SWAP, 0), STEADFAST_E_CONFLICT, "IF_GENERATION 0, something there: E_CONFLICT");
    uint64_t there = report.generation;
    ok(there == (no_attributes ? there : 1) && is_exactly(path, "one"), "which names its generation");
    is_int(save_plain_as(context, "two", SWAP, there), DONE, "the generation that is there: saved");
    ok(is_exactly(path, "two") && *leftovers(dir, "plain plain.prev") == '\0', "and nothing is left beside it");
    write_in_place(path, "theirs", 0);
    load_plain(path, 0);
    uint64_t tag = report.generation;
    ok(tag >= TAGS, "somebody's content has a tag");
    is_int(save_plain_as(context, "three", SWAP, there + 1), STEADFAST_E_CONFLICT, "the old number: E_CONFLICT");
    ok(report.generation == tag, "which names the tag");
    is_int(save_plain_as(context, "three", SWAP, tag), DONE, "the tag: saved");
    begin();
    write_text(path, "by hand");
    load_plain(path, 0);
    is_int(save_plain_as(context, "ours", SWAP | KEEP, report.generation), DONE, "anybody's file, by its tag: saved");
    ok(loads(previous, 0, WHOLE, "by hand"), "and kept");

    begin();
    save_plain("one", 0), save_plain("two", KEEP);
    write_in_place(path, "", 0);
    load_plain(path, STEADFAST_LOAD_RECOVER);
    is_int(save_plain_as(context, "two again", SWAP, report.generation), DONE, "what RECOVER gave for an emptied file can be saved again");
    write_in_place(path, "", 0);
    load_plain(path, 0);
    is_int(save_plain_as(context, "ours", SWAP, report.generation), DONE, "and so can the emptied file be replaced, by its tag");

    int fd;
    char d[300];
    snprintf(d, sizeof d, "%s", path);
    *strrchr(d, '/') = '\0';
    fd = open(d, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    flock(fd, LOCK_SH);
    load_plain(path, 0);
    is_int(save_plain_as(context, "x", SWAP, report.generation), STEADFAST_E_BUSY, "somebody has the directory's flock: E_BUSY");
    close(fd);
    ok(is_exactly(path, "ours"), "and the old file stands");
}

/* Editors act just before the renames of a swap: the first call of `act` before the rename number `nth`, the second before the next. */
static struct {
    int nth, seen, acted;
    void (*act[2])(void);
} moment;
static char edited[310];
static void edit_by_rename(const char *text)
{
    write_text(edited, text);
    if (rename(edited, path) != 0)
        bail_out("rename");
}
static void edit(void)
{
    edit_by_rename("an edit");
}
static void edit_again(void)
{
    edit_by_rename("a later edit");
}
static void edit_in_place(void)
{
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    if (write(fd, "an edit", 7) != 7)
        bail_out("write");
    close(fd);
}
static void remove_it(void)
{
    unlink(path);
}
static void at_moment(struct faults *f, int call, const char *name)
{
    (void)f, (void)name;
    if (call != STEADFAST_CALL_RENAMEAT || ++moment.seen < moment.nth || moment.acted == 2 || moment.act[moment.acted] == NULL)
        return;
    moment.act[moment.acted++]();
}

static void editors(void)
{
    if (NO_FLOCK || no_swaps || (test_absent() & STEADFAST_ABSENT_RENAMEAT2) != 0) {
        skip("no flock, or no exchange", "editors beside a swap");
        return;
    }
    static const struct {
        int nth;
        void (*act[2])(void);
        const char *left, *what;
    } edits[] = {
        { 1, { edit }, "an edit", "an editor renames before the new file is ready" },
        { 2, { edit }, "an edit", "an editor renames just before the exchange" },
        { 2, { edit, edit_again }, "a later edit", "and another one over the new file, before the edit goes back" },
        { 2, { edit_in_place }, "an edit", "an editor writes in place just before the exchange" },
        { 2, { remove_it }, NULL, "removed just before the exchange" },
        { 2, { edit, remove_it }, "an edit", "the new file is removed before an edit goes back" },
    };
    struct faults f = { .before = at_moment, .no_real_sync = 1 };
    steadfast_context *c = faults_context(&f);
    for (size_t i = 0; i < sizeof edits / sizeof edits[0]; i++) {
        int expected = edits[i].act[1] != NULL ? 2 : 1;
        begin();
        save_plain("one", 0);
        load_plain(path, 0);
        uint64_t there = report.generation;
        moment.nth = edits[i].nth, moment.seen = moment.acted = 0;
        moment.act[0] = edits[i].act[0], moment.act[1] = edits[i].act[1];
        is_int(save_plain_as(c, "two", SWAP, there), STEADFAST_E_CONFLICT, "%s: E_CONFLICT", edits[i].what);
        moment.act[0] = moment.act[1] = NULL;
        ok(moment.acted == expected && (edits[i].left == NULL ? !exists(path) : is_exactly(path, edits[i].left))
               && *leftovers(dir, "plain plain.prev") == '\0',
           "%s: what is left is there, and nothing beside it", edits[i].what);
    }
    steadfast_context_free(c);
}

static void edits_left(void)
{
    if (NO_FLOCK || no_swaps || no_attributes) {
        skip("no flock, or no attributes", "what a killed saver leaves");
        return;
    }
    begin();
    save_plain("one", 0);
    char edit[320], d[300];
    snprintf(d, sizeof d, "%s", path);
    *strrchr(d, '/') = '\0';
    snprintf(edit, sizeof edit, "%s/.plain.0.edit", d);
    rename(path, edit);
    save_plain("one", 0), save_plain("two", 0);
    is_int(save_plain_as(context, "three", SWAP, 2), SAVED, "a file of ours is left from a killed saver: saved");
    ok(!exists(edit), "and that file goes");
    write_text(edit, "an edit");
    is_int(save_plain_as(context, "four", SWAP, 3), SAVED, "somebody's edit is left: saved");
    ok(says(".edit"), "and the message names it");
    ok(is_exactly(edit, "an edit"), "it stays");
    is_int(save_plain("five", 0), SAVED, "another save does not mind it");
    ok(is_exactly(edit, "an edit"), "it stays");
    unlink(edit);

    begin();
    save_plain("one", 0), save_plain_as(context, "two", SWAP, 1);
    rename(path, edit), save_plain("one", 0);
    is_int(save_plain_as(context, "three", SWAP, 1), SAVED, "the new file of a saver that was killed before the exchange is left: saved");
    ok(!exists(edit), "and that file goes");
    begin();
    save_plain("one", 0), save_plain("two", 0), save_plain("three", 0);
    rename(path, edit), save_plain("one", 0);
    is_int(save_plain_as(context, "other", SWAP, 1), SAVED, "one that another saver was told to be saved is left: saved");
    ok(says(".edit"), "and the message names it");
    ok(loads(edit, 0, 0, "three"), "it stays");
    unlink(edit);
}

static void unsynced(void)
{
    begin();
    save_plain("one", 0);
    is_int(save_plain("two", KEEP), DONE, "two durable ones");
    is_int(save_plain("three", KEEP | STEADFAST_SAVE_NO_SYNC), STEADFAST_NOT_DURABLE, "NO_SYNC: NOT_DURABLE");
    struct stat st;
    ok(stat(path, &st) == 0 && (st.st_mode & 07777) == 0600, "the mode has no mark");
    if (no_attributes)
        return;
    if (NO_LINK) {
        ok(report.on_disk == STEADFAST_ON_DISK_UNKNOWN && is_exactly(previous, "one"), "UNKNOWN: a copy would not be synced");
        return;
    }
    ok(report.on_disk == STEADFAST_ON_DISK_EITHER && is_exactly(previous, "two"), "EITHER: a durable one is kept");
    save_plain("four", KEEP | STEADFAST_SAVE_NO_SYNC);
    ok(is_exactly(previous, "two"), "an unsynced one does not take its place");
    write_in_place(path, "lost", 0);
    is_int(load_plain(path, 0), STEADFAST_E_DIGEST, "another content than the unsynced one, at any time: damage");
    is_int(save_plain("four", KEEP | STEADFAST_SAVE_NO_SYNC), STEADFAST_NOT_DURABLE, "saved over it");
    ok(is_exactly(previous, "two"), "it is not kept as somebody's");
    is_int(save_plain("five", KEEP), SAVED, "nor does it for the next durable save");
    ok(is_exactly(previous, "two"), "which leaves it");
    struct faults f = { .file_syncs = 1, .error = EIO };
    steadfast_context *c = faults_context(&f);
    is_int(save_plain_as(c, "six", 0, 0), STEADFAST_NOT_DURABLE, "a sync that fails: NOT_DURABLE");
    ok(report.on_disk == STEADFAST_ON_DISK_EITHER && is_exactly(previous, "five") && loads(path, 0, 0, "six"), "the old one is kept");
    is_int(save_plain_as(c, "seven", STEADFAST_SAVE_STRICT, 0), STEADFAST_E_NOT_SAVED_DURABLY, "STRICT: E_NOT_SAVED_DURABLY");
    ok(is_exactly(path, "six") && is_exactly(previous, "five"), "and nothing changed");
    steadfast_context_free(c);
}

static void refused(void)
{
    static const int refusals[] = { ENOTSUP, EPERM, EACCES, ENOSPC, EDQUOT, E2BIG, ENOSYS };
    if (no_attributes || NO_DIR_FSYNC) {
        is_int(save_plain("x", STEADFAST_SAVE_STRICT), NO_DIR_FSYNC ? STEADFAST_E_NOT_SAVED_DURABLY : STEADFAST_E_UNSUPPORTED,
               "STRICT without attributes: an error");
        return;
    }
    int good = 0;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        begin();
        save_plain("old", 0);
        struct faults f = { .fail_at = 1, .only = STEADFAST_CALL_FSETXATTR, .error = refusals[i], .for_ever = 1 };
        steadfast_context *c = faults_context(&f);
        good += save_plain_as(c, "strict", STEADFAST_SAVE_STRICT, 0) == STEADFAST_E_UNSUPPORTED && is_exactly(path, "old")
                && report.os_error == refusals[i];
        good += save_plain_as(c, "new", 0, 0) == STEADFAST_UNVERIFIED && is_exactly(path, "new") && report.on_disk == STEADFAST_ON_DISK_NEW
                && strstr(report.message, "without the attribute") != NULL;
        steadfast_context_free(c);
    }
    is_int(good, 14, "an attribute that is refused: UNVERIFIED, STRICT: E_UNSUPPORTED and the old file");
    begin();
    save_plain("old", 0);
    struct faults f = { .fail_at = 1, .only = STEADFAST_CALL_FSETXATTR, .error = EIO };
    steadfast_context *c = faults_context(&f);
    ok(save_plain_as(c, "new", 0, 0) == -EIO && is_exactly(path, "old") && *leftovers(dir, "plain plain.prev") == '\0',
       "any other error: that, and the old file");
    steadfast_context_free(c);
}

/* Equal bytes are saved just after the rename of a removal, which looks whether that has done anything. */
static int renamed, at_one_time;
static void save_equal(struct faults *f, int call, const char *name)
{
    (void)name;
    if (call == STEADFAST_CALL_RENAMEAT)
        renamed = 1;
    else if (renamed && call == STEADFAST_CALL_FSTATAT) {
        f->before = NULL;
        struct stat before;
        if (stat(previous, &before) != 0)
            bail_out("stat");
        save_plain("two", 0);
        if (at_one_time && utimensat(AT_FDCWD, path, (struct timespec[]){ before.st_atim, before.st_mtim }, 0) != 0)
            bail_out("utimensat");
    }
}
static void removal_beside_a_save(void)
{
    /* Without a number only the time tells them apart. */
    for (at_one_time = 0; at_one_time <= !no_attributes; at_one_time++) {
        struct faults f = { .before = save_equal };
        steadfast_context *c = faults_context(&f);
        begin();
        save_plain("one", 0), save_plain("two", KEEP);
        renamed = 0;
        steadfast_save_options o = { .size = sizeof o, .flags = PLAIN };
        ok(steadfast_state_remove(c, path, &o, NULL) == SAVED && f.before == NULL && is_exactly(path, "two"),
           "equal bytes that are saved during a removal stay%s", at_one_time ? ", at the same time" : "");
        steadfast_context_free(c);
    }
}

/* The sticky bit of a plain file is not our mark. */
static void sticky(void)
{
    if (no_attributes) {
        skip("no extended attributes", "a plain file with the sticky bit");
        return;
    }
    begin();
    save_plain("one", 0), save_plain("two", KEEP);
    chmod(path, 01600);
    is_int(save_plain("three", KEEP), SAVED, "over a plain file with the sticky bit");
    ok(is_exactly(previous, "two"), "which is kept, since it was synced");
}

static void others(void)
{
    begin();
    steadfast_save_entry entries[2] = { { .size = sizeof entries[0], .path = path, .data = "a", .len = 1 },
                                        { .size = sizeof entries[0], .path = previous, .data = "b", .len = 1 } };
    steadfast_save_options o = { .size = sizeof o, .flags = PLAIN };
    is_int(steadfast_state_save_batch(context, entries, 2, &o, NULL), DONE, "a batch: saved");
    ok(is_exactly(path, "a") && is_exactly(previous, "b") && entries[0].status == DONE && entries[1].status == DONE,
       "both, each with its status");
    begin();
    save_plain("one", 0), save_plain("two", KEEP);
    is_int(steadfast_state_remove(context, path, &(steadfast_save_options){ .size = sizeof o, .flags = PLAIN }, NULL), SAVED, "remove");
    ok(!exists(path) && !exists(previous), "both are gone");
    removal_beside_a_save();
    sticky();
}

static int32_t grow(void *user, const steadfast_state *old, const void **data, size_t *len)
{
    static char made[64];
    int *calls = user;
    ++*calls;
    snprintf(made, sizeof made, "%.*s+", old != NULL ? (int)old->len : 0, old != NULL ? (const char *)old->data : "");
    *data = made, *len = strlen(made);
    return 0;
}

/* A watch tells what a load with the same options gives. */
static void watches_as_it_loads(void)
{
    static const uint32_t flags[] = { 0, STEADFAST_LOAD_RECOVER, STEADFAST_LOAD_REQUIRE_VERIFIED,
                                      STEADFAST_LOAD_RECOVER | STEADFAST_LOAD_REQUIRE_VERIFIED };
    static const char *const what[] = { "verified", "changed", "emptied", "damaged", "newer", "a record", "missing" };
    int same = 0;
    for (int kind = 0; kind < 7; kind++)
        for (int previous_too = 0; previous_too <= 2; previous_too++)
            for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
                begin();
                if (previous_too == 2)
                    save(previous, "a record", 0);
                else if (previous_too == 1)
                    save_plain("one", 0), rename(path, previous);
                kind == 5 ? save(path, "a record", 0) : save_plain("two", 0);
                if (kind == 1 || kind == 2)
                    write_in_place(path, kind == 1 ? "mine" : "", 0);
                if (kind == 3)
                    write_in_place(path, "tw", 1);
                char later[60] = { 0 };
                later[46] = (char)128;
                if (kind == 4 && !no_attributes && setxattr(path, "user.steadfast", later, sizeof later, 0) != 0)
                    bail_out("setxattr");
                if (kind == 6)
                    unlink(path);
                int loaded_as = load_plain(path, flags[i]);
                uint64_t generation = loaded_as < 0 ? 0 : report.generation;
                steadfast_load_options l = { .size = sizeof l, .flags = STEADFAST_LOAD_PLAIN | flags[i] };
                steadfast_watch *watch = NULL;
                steadfast_report r = { .size = sizeof r };
                steadfast_watch_open(context, path, &l, &watch, NULL);
                int told = steadfast_watch_wait(watch, UINT64_C(7), 0, &r);
                steadfast_watch_close(watch);
                /* None is generation 0 for a watch, whatever PATH.prev is that no load takes. */
                int none = kind == 6 && loaded_as < 0;
                if (none ? told == 0 && r.generation == 0 : loaded_as < 0 ? told == loaded_as : told == 0 && r.generation == generation)
                    same++;
                else
                    diag("%s, .prev %d, flags %u: a load %d %llx, a watch %d %llx", what[kind], previous_too, flags[i], loaded_as,
                         (unsigned long long)generation, told, (unsigned long long)r.generation);
            }
    is_int(same, 84, "a watch tells what a load gives");
    begin();
}

static void updates(void)
{
    if (NO_FLOCK || no_swaps) {
        skip("no flock", "update and watch of plain files");
        return;
    }
    begin();
    int calls = 0;
    steadfast_load_options l = { .size = sizeof l, .flags = STEADFAST_LOAD_PLAIN };
    steadfast_save_options s = { .size = sizeof s, .flags = PLAIN };
    write_text(path, "by hand");
    is_int(steadfast_state_update(context, path, &l, &s, grow, &calls, NULL), DONE, "update of anybody's file");
    is_int(steadfast_state_update(context, path, &l, &s, grow, &calls, NULL), DONE, "and again");
    ok(is_exactly(path, "by hand++") && calls == 2, "made of the old one");
    s.flags = 0;
    is_int(steadfast_state_update(context, path, &l, &s, grow, &calls, NULL), -EINVAL, "PLAIN in one of the options only: EINVAL");
    steadfast_watch *watch = NULL;
    is_int(steadfast_watch_open(context, path, &l, &watch, NULL), 0, "a watch");
    load_plain(path, 0);
    uint64_t there = report.generation;
    is_int(steadfast_watch_wait(watch, there, 0, NULL), -ETIMEDOUT, "knows its generation, or its tag");
    save(path, "a record", 0);
    load_plain(path, 0);
    there = report.generation;
    is_int(steadfast_watch_wait(watch, there, 0, NULL), -ETIMEDOUT, "and that of a record, which a load gives as anybody's file");
    write_in_place(path, "theirs", 0);
    steadfast_report r = { .size = sizeof r };
    ok(steadfast_watch_wait(watch, there, 0, &r) == 0 && r.generation >= TAGS, "and tells of somebody's change, by its tag");
    steadfast_watch_close(watch);
    watches_as_it_loads();
}

int main(void)
{
    dir = make_temp_dir("plain");
    context = test_context(NULL);
    const char *d = fresh("d");
    snprintf(path, sizeof path, "%s/plain", d);
    snprintf(previous, sizeof previous, "%s.prev", path);
    snprintf(edited, sizeof edited, "%s/edited", d);
    char *top = dir;
    dir = strdup(d);
    no_attributes = !has_attributes(path);
    begin();
    no_swaps = !NO_FLOCK && save_plain_as(context, "x", SWAP, 0) == STEADFAST_E_UNSUPPORTED;
    int fds = count_fds();
    saves_and_loads();
    large();
    verdicts();
    recovers();
    counts();
    swaps();
    editors();
    edits_left();
    unsynced();
    refused();
    others();
    updates();
    is_int(count_fds(), fds, "no descriptor is left");
    steadfast_context_free(context);
    remove_tree(top);
    free(top), free(dir);
    return done_testing();
}
