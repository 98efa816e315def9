/* steadfast_reader: parts of a state that was verified. Every byte is one that was verified when it was opened. */
#include "tap.h"
#include "state_test.h"
#include "plain_test.h"
#include "record.h"

enum { LARGE = (5 << 20) + 12345, MIB = 1 << 20 };

static char d[300], path[330], previous[340];
static steadfast_reader *reader;
static char *large, *room;
static int no_attributes;
#define PLAIN STEADFAST_LOAD_PLAIN
/* What a plain file of ours answers. */
#define WHOLE (no_attributes ? STEADFAST_UNVERIFIED : STEADFAST_OK)

static int open_with(const steadfast_context *c, uint32_t flags, steadfast_state *about)
{
    steadfast_load_options o = { .size = sizeof o, .flags = flags };
    report = (steadfast_report){ .size = sizeof report };
    return steadfast_reader_open(c, path, &o, &reader, about, &report);
}

static int open_reader(void)
{
    return open_with(context, 0, NULL);
}

/* Does the reader give these bytes of `large` there, and no more? */
static int gives(uint64_t offset, size_t cap, size_t expected)
{
    size_t len = 12345;
    memset(room, '#', cap + 1);
    int status = steadfast_reader_read(reader, offset, room, cap, &len, NULL);
    return status == 0 && len == expected && memcmp(room, large + (offset < LARGE ? offset : 0), len) == 0 && room[len] == '#';
}

static int read_at(uint64_t offset, size_t cap)
{
    size_t len = 12345;
    report = (steadfast_report){ .size = sizeof report };
    int status = steadfast_reader_read(reader, offset, room, cap, &len, &report);
    return status == 0 || len == 12345 ? status : 1;
}

static void save_bytes(size_t len)
{
    unlink(path), unlink(previous);
    if (steadfast_state_save(NULL, path, large, len, NULL, NULL) < 0)
        bail_out("save");
}

static void change(off_t offset, char to)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (pwrite(fd, &to, 1, offset) != 1)
        bail_out("pwrite");
    close(fd);
}

static void parts(void)
{
    static const size_t LENGTHS[] = { 0, 1, 4096, MIB - 1, MIB, MIB + 1, LARGE };
    for (size_t i = 0; i < sizeof LENGTHS / sizeof LENGTHS[0]; i++) {
        size_t len = LENGTHS[i];
        save_bytes(len);
        is_int(open_reader(), 0, "a state of %zu bytes", len);
        ok(gives(0, LARGE, len), "all of it");
        ok(gives(len, 10, 0) && gives(len + 1, 10, 0) && gives(UINT64_MAX, 10, 0), "at the end and beyond there is nothing");
        ok(len == 0 || (gives(len - 1, 1, 1) && gives(len - 1, 100, 1)), "the last byte");
        ok(gives(0, 0, 0) && steadfast_reader_read(reader, 0, NULL, 0, &(size_t){ 0 }, NULL) == 0, "no room: nothing");
        steadfast_reader_close(reader);
    }
    save_bytes(LARGE);
    open_reader();
    ok(gives(MIB - 3, 6, 6) && gives(MIB, 1, 1) && gives(2 * MIB - 1, 2, 2), "across the borders of what is verified at once");
    ok(gives(3 * MIB - 1, MIB + 2, MIB + 2), "across two of them");
    int all = 1;
    for (uint64_t at = LARGE; at > 0;) {
        uint64_t step = at < 100003 ? at : 100003;
        all &= gives(at - step, (size_t)step, (size_t)step);
        at -= step;
    }
    ok(all, "backwards, in odd pieces");
    steadfast_reader_close(reader);
}

static void told(void)
{
    steadfast_save_options o = { .size = sizeof o, .schema = 9 };
    steadfast_load_options l = { .size = sizeof l, .flags = STEADFAST_LOAD_REQUIRE_SCHEMA, .schema = 9, .max_len = 5 };
    steadfast_state about = { .size = sizeof about }, state = { .size = sizeof state };
    unlink(path);
    steadfast_state_save(context, path, "12345", 5, &o, NULL);
    steadfast_state_load(NULL, path, NULL, &state, NULL);
    is_int(steadfast_reader_open(context, path, &l, &reader, &about, &report), 0, "REQUIRE_SCHEMA, max_len of its length");
    ok(about.data == NULL && about.len == 5 && about.generation == 1 && about.schema == 9 && about.source == STEADFAST_SOURCE_CURRENT
           && about.saved_at_ns == state.saved_at_ns && memcmp(about.sha256, state.sha256, 32) == 0,
       "what it is about is what a load says, without data");
    steadfast_state_free(&about), steadfast_state_free(&state);
    steadfast_reader_close(reader);
    l.max_len = 4;
    is_int(steadfast_reader_open(context, path, &l, &reader, NULL, NULL), STEADFAST_E_TOO_LARGE, "a max_len below it: E_TOO_LARGE");
    ok(reader == NULL, "and no reader");
    l.max_len = 0, l.schema = 8;
    is_int(steadfast_reader_open(context, path, &l, &reader, NULL, NULL), STEADFAST_E_SCHEMA, "another schema: E_SCHEMA");
    steadfast_state small = { .size = offsetof(steadfast_state, generation) };
    small.generation = 77;
    ok(steadfast_reader_open(context, path, NULL, &reader, &small, NULL) == 0 && small.len == 5 && small.generation == 77,
       "a shorter struct gets what it has room for");
    steadfast_reader_close(reader);
}

static void refused(void)
{
    static const struct {
        const char *what;
        int status;
    } ROWS[] = { { "missing", -ENOENT },
                 { "empty", STEADFAST_E_EMPTY },
                 { "truncated", STEADFAST_E_TRUNCATED },
                 { "cut within the header", STEADFAST_E_TRUNCATED },
                 { "with a byte after it", STEADFAST_E_TRAILING },
                 { "with a changed payload", STEADFAST_E_DIGEST },
                 { "with a changed header", STEADFAST_E_DIGEST },
                 { "no state", STEADFAST_E_FORMAT },
                 { "of a later format", STEADFAST_E_NEWER } };
    for (int i = 0; i < 9; i++) {
        save_bytes(LARGE);
        if (i == 0 || i == 8)
            unlink(path);
        if ((i == 1 && truncate(path, 0) != 0) || (i == 2 && truncate(path, LARGE) != 0) || (i == 3 && truncate(path, 100) != 0)
            || (i == 4 && truncate(path, LARGE + 257) != 0))
            bail_out("truncate");
        if (i == 5)
            change(256 + 4 * MIB, '!');
        if (i == 6)
            change(250, '!');
        if (i == 7)
            write_text(path, "no state at all, but a text");
        if (i == 8) {
            struct record r = make_record(2, 1, "", "later");
            put_record(path, &r);
        }
        is_int(open_reader(), ROWS[i].status, "a state that is %s: %s", ROWS[i].what, steadfast_status_name(ROWS[i].status));
        ok(reader == NULL, "and no reader");
    }
    unlink(path);
    if (mkdir(path, 0700) != 0)
        bail_out("mkdir");
    is_int(open_reader(), STEADFAST_E_NOT_REGULAR, "a directory: E_NOT_REGULAR");
    rmdir(path);
}

static void recovers(void)
{
    save_bytes(3);
    save_bytes(LARGE);
    steadfast_save_options o = { .size = sizeof o, .flags = STEADFAST_SAVE_KEEP_PREVIOUS };
    steadfast_state about = { .size = sizeof about };
    steadfast_state_save(context, path, "newer", 5, &o, NULL);
    change(258, '!');
    is_int(open_reader(), STEADFAST_E_DIGEST, "damage");
    is_int(open_with(context, STEADFAST_LOAD_RECOVER, &about), STEADFAST_RECOVERED, "with RECOVER the previous one");
    ok(about.source == STEADFAST_SOURCE_PREVIOUS && about.len == LARGE && gives(2 * MIB, 100, 100), "is what is read");
    steadfast_reader_close(reader);
    unlink(path);
    is_int(open_reader(), STEADFAST_E_LOST, "nothing but a previous one: E_LOST");
}

/* Somebody writes into the file after it was verified. */
static void changed(void)
{
    save_bytes(LARGE);
    open_reader();
    ok(gives(2 * MIB, 10, 10), "a part");
    change(256 + 2 * MIB + 20, '!');
    ok(gives(2 * MIB, 100, 100), "what was read last is given as it was");
    ok(gives(0, 10, 10), "another part");
    is_int(read_at(2 * MIB, 10), STEADFAST_E_DIGEST, "a byte is changed in the MiB around: E_DIGEST");
    ok(gives(0, 10, 10), "the part that was read before is given still");
    is_int(read_at(MIB, 3 * MIB), STEADFAST_E_DIGEST, "and so is a read across it");
    ok(gives(3 * MIB, 100, 100) && gives(0, 10, 10), "the others are given still");
    change(256 + 2 * MIB + 20, large[2 * MIB + 20]);
    ok(gives(2 * MIB, 100, 100), "and it, when it is as it was");
    change(256 + LARGE - 3, large[LARGE - 3] ^ 1);
    is_int(read_at(LARGE - 100, 10), STEADFAST_E_DIGEST, "a byte is changed near the end: E_DIGEST");
    change(256 + LARGE - 3, large[LARGE - 3]);
    ok(gives(LARGE - 100, 200, 100), "and given when it is as it was");
    if (truncate(path, 256 + MIB) != 0)
        bail_out("truncate");
    is_int(read_at(MIB, 10), STEADFAST_E_DIGEST, "a file that was cut: E_DIGEST");
    ok(gives(0, MIB / 2, MIB / 2) && gives(LARGE, 1, 0), "what is left is given");
    steadfast_reader_close(reader);

    save_bytes(100);
    open_reader();
    change(256 + 50, large[50] ^ 1);
    is_int(read_at(0, 100), STEADFAST_E_DIGEST, "a short state is changed: E_DIGEST");
    steadfast_reader_close(reader);

    save_bytes(LARGE);
    open_reader();
    save_bytes(3), save_bytes(4);
    ok(gives(LARGE - 5, 10, 5), "a save meanwhile does not change what is read");
    steadfast_reader_close(reader);
}

/* The n-th read fails. */
static int reads, failing, growing;
static int64_t pread_as_told(void *user, int32_t fd, void *buf, size_t len, uint64_t offset)
{
    (void)user;
    if (growing && truncate(path, LARGE + 256 + 1) != 0)
        return -EPROTO;
    return ++reads == failing ? -EIO : REAL->pread(NULL, fd, buf, len, offset);
}

static void errors(void)
{
    steadfast_hooks h = test_hooks();
    h.pread = pread_as_told;
    steadfast_context *c = test_context(&h);
    save_bytes(LARGE);
    reads = 0, failing = 3;
    is_int(open_with(c, 0, NULL), -EIO, "a read that fails while it is verified: EIO");
    is_int(report.step, STEADFAST_STEP_READ_FILE, "at the read");
    failing = 0;
    open_with(c, 0, NULL);
    reads = 0, failing = 1;
    is_int(read_at(0, 10), -EIO, "one that fails later: EIO");
    ok(gives(0, 10, 10), "and is tried again by the next call");
    steadfast_reader_close(reader);
    growing = 1;
    is_int(open_with(c, 0, NULL), STEADFAST_E_TRAILING, "a file that grows while it is verified: E_TRAILING");
    steadfast_context_free(c);
}

static void descriptors(void)
{
    char other[400];
    snprintf(other, sizeof other, "%s/other", d);
    save_bytes(LARGE);
    int before = count_fds();
    open_reader();
    struct stat wanted, st;
    int own = -1;
    stat(path, &wanted);
    for (int fd = 3; fd < 256; fd++)
        if (fstat(fd, &st) == 0 && st.st_ino == wanted.st_ino && st.st_dev == wanted.st_dev)
            own = fd;
    ok(own > 2 && (fcntl(own, F_GETFD) & FD_CLOEXEC) != 0 && count_fds() == before + 1, "one descriptor, close-on-exec");
    pid_t child = fork_child();
    if (child == 0) {
        int good = gives(MIB, 100, 100);
        steadfast_reader_close(reader);
        _exit(good ? 0 : 1);
    }
    is_int(wait_for(child), 0, "a forked child may read and close it");
    ok(gives(MIB, 100, 100), "and so may the parent then");
    write_file(other, large, LARGE);
    int theirs = open(other, O_RDONLY | O_CLOEXEC);
    dup2(theirs, own);
    close(theirs);
    is_int(read_at(3 * MIB, 10), -EBADF, "its number is another file's by now: EBADF");
    steadfast_reader_close(reader);
    ok(fcntl(own, F_GETFD) >= 0, "which is not closed");
    close(own);
    unlink(other);
    child = fork_child();
    if (child == 0) {
        close(0), close(1), close(2);
        before = count_fds();
        int good = open_reader() == 0 && fcntl(0, F_GETFD) < 0 && fcntl(1, F_GETFD) < 0 && fcntl(2, F_GETFD) < 0 && gives(MIB, 9, 9);
        steadfast_reader_close(reader);
        _exit(good && count_fds() == before ? 0 : 1);
    }
    is_int(wait_for(child), 0, "closed standard streams stay closed, and the reader has another descriptor");
}

static void save_plain(const void *data, size_t len, uint32_t flags)
{
    steadfast_save_options o = { .size = sizeof o, .flags = STEADFAST_SAVE_PLAIN | flags, .schema = 5 };
    if (steadfast_state_save(NULL, path, data, len, &o, NULL) < 0)
        bail_out("save");
}

/* Does a reader of the plain file answer this, and give this text? */
static int reads_plain(uint32_t flags, int status, const char *text)
{
    steadfast_state about = { .size = sizeof about };
    size_t len = 0;
    int got = open_with(context, PLAIN | flags, &about);
    if (got != status || (got < 0) != (reader == NULL)) {
        diag("opened: %s", report.message);
        return 0;
    }
    if (got < 0)
        return 1;
    int same = steadfast_reader_read(reader, 0, room, 100, &len, NULL) == 0 && len == strlen(text) && memcmp(room, text, len) == 0
               && about.len == len && about.data == NULL && report.generation == about.generation
               && (about.generation >> 63 == 1) == (about.schema == 0) && (about.schema == 5 || about.schema == 0);
    steadfast_reader_close(reader);
    return same;
}

static void plain_files(void)
{
    static const size_t LENGTHS[] = { 0, 1, MIB - 1, MIB, MIB + 1, LARGE };
    for (size_t i = 0; i < sizeof LENGTHS / sizeof LENGTHS[0]; i++) {
        size_t len = LENGTHS[i];
        unlink(path);
        save_plain(large, len, 0);
        is_int(open_with(context, PLAIN, NULL), WHOLE, "a plain file of %zu bytes", len);
        ok(gives(0, LARGE, len) && gives(len, 10, 0) && (len == 0 || gives(len - 1, 100, 1)), "all of it, its end, and nothing beyond");
        steadfast_reader_close(reader);
    }
    static const struct {
        const char *text;
        int keep_time, status;
        const char *what;
    } ROWS[] = {
        { "first", 0, STEADFAST_OK, "the same bytes at another time" },
        { "other", 0, STEADFAST_CHANGED, "others, at another time" },
        { "", 0, STEADFAST_CHANGED, "emptied at another time" },
        { "other", 1, STEADFAST_E_DIGEST, "others, at the same time" },
        { "firs", 1, STEADFAST_E_TRUNCATED, "shorter" },
        { "first!", 1, STEADFAST_E_TRAILING, "longer" },
        { "", 1, STEADFAST_E_EMPTY, "empty" },
    };
    for (size_t i = 0; i < sizeof ROWS / sizeof ROWS[0]; i++) {
        if (no_attributes)
            break;
        unlink(path);
        save_plain("first", 5, 0);
        write_in_place(path, ROWS[i].text, ROWS[i].keep_time);
        ok(reads_plain(0, ROWS[i].status, ROWS[i].text), "%s: %s", ROWS[i].what, steadfast_status_name(ROWS[i].status));
        ok(ROWS[i].status != STEADFAST_CHANGED || reads_plain(STEADFAST_LOAD_REQUIRE_VERIFIED, STEADFAST_E_UNVERIFIED, ""),
           "with REQUIRE_VERIFIED");
    }
    unlink(path);
    write_text(path, "by hand");
    ok(reads_plain(0, STEADFAST_UNVERIFIED, "by hand"), "anybody's file: UNVERIFIED, and it is read");
    ok(reads_plain(STEADFAST_LOAD_REQUIRE_VERIFIED, STEADFAST_E_UNVERIFIED, ""), "with REQUIRE_VERIFIED: E_UNVERIFIED, and no reader");
    is_int(open_reader(), STEADFAST_E_FORMAT, "without PLAIN: E_FORMAT");
    steadfast_load_options o = { .size = sizeof o, .flags = PLAIN, .max_len = 6 };
    is_int(steadfast_reader_open(context, path, &o, &reader, NULL, NULL), STEADFAST_E_TOO_LARGE, "longer than max_len: E_TOO_LARGE");
    o.max_len = 7;
    is_int(steadfast_reader_open(context, path, &o, &reader, NULL, NULL), STEADFAST_UNVERIFIED, "as long as it");
    steadfast_reader_close(reader);
    unlink(path);
    is_int(open_with(context, PLAIN, NULL), -ENOENT, "nothing there: ENOENT");
    is_int(open_with(context, 1u << 20, NULL), -EINVAL, "a flag that nobody knows: EINVAL");
}

static void plain_recovers(void)
{
    const uint32_t recover = STEADFAST_LOAD_RECOVER;
    unlink(path), unlink(previous);
    write_text(path, "");
    write_text(previous, "older, by hand");
    ok(reads_plain(recover, STEADFAST_UNVERIFIED, ""), "an unverified previous one is not taken for an empty file");
    ok(reads_plain(recover | STEADFAST_LOAD_REQUIRE_VERIFIED, STEADFAST_E_UNVERIFIED, ""), "with REQUIRE_VERIFIED neither is");
    unlink(path);
    ok(reads_plain(recover, STEADFAST_E_UNVERIFIED, ""), "nor for a missing one");
    unlink(previous);
    if (no_attributes)
        return;
    save_plain("one", 3, 0), save_plain("two", 3, STEADFAST_SAVE_KEEP_PREVIOUS);
    ok(reads_plain(recover, 0, "two"), "RECOVER: the current one, if it is verified");
    write_in_place(path, "mine", 0);
    ok(reads_plain(recover, STEADFAST_CHANGED, "mine"), "and if somebody has changed it");
    write_in_place(path, "", 0);
    ok(reads_plain(recover, STEADFAST_RECOVERED, "one"), "emptied: the previous one");
    ok(reads_plain(recover | STEADFAST_LOAD_REQUIRE_VERIFIED, STEADFAST_RECOVERED, "one"), "also with REQUIRE_VERIFIED");
    save_plain("two", 3, 0);
    write_in_place(path, "owt", 1);
    ok(reads_plain(0, STEADFAST_E_DIGEST, ""), "damage");
    ok(reads_plain(recover, STEADFAST_RECOVERED, "one"), "with RECOVER: the previous one");
    unlink(path);
    ok(reads_plain(0, STEADFAST_E_LOST, "") && reads_plain(recover, STEADFAST_RECOVERED, "one"), "missing: the previous one");
    unlink(previous);
}

/* Somebody writes into a plain file after it was opened. */
static void plain_changed(void)
{
    for (int kind = 0; kind < 3; kind++) {
        int expected = kind == 0 ? WHOLE : kind == 1 && !no_attributes ? STEADFAST_CHANGED : STEADFAST_UNVERIFIED;
        unlink(path);
        if (kind < 2)
            save_plain(large, kind == 0 ? LARGE : 3, 0);
        if (kind > 0) {
            write_file(path, large, LARGE);
            struct timespec times[2] = { { .tv_sec = 1000000000 }, { .tv_sec = 1000000000 } };
            utimensat(AT_FDCWD, path, times, 0);
        }
        is_int(open_with(context, PLAIN, NULL), expected, "a plain file that is %s",
               kind == 0   ? "ours"
               : kind == 1 ? "changed"
                           : "anybody's");
        ok(gives(0, 10, 10) && gives(3 * MIB - 5, 10, 10), "parts of it");
        change(MIB + 7, '!');
        ok(gives(3 * MIB, 100, 100), "a byte is changed: another part is given still");
        is_int(read_at(MIB + 100, 10), STEADFAST_E_DIGEST, "the MiB around it is not: E_DIGEST");
        if (truncate(path, 3 * MIB + 10) != 0)
            bail_out("truncate");
        ok(read_at(4 * MIB, 10) == STEADFAST_E_DIGEST && gives(0, 10, 10), "nor what was cut");
        steadfast_reader_close(reader);
    }
}

/* At the first reads somebody changes what is being opened. */
static int changes_left, cuts, adds;
static int64_t pread_while_changing(void *user, int32_t fd, void *buf, size_t len, uint64_t offset)
{
    (void)user;
    int64_t result = REAL->pread(NULL, fd, buf, len, offset);
    if (changes_left > 0) {
        changes_left--;
        if (cuts ? truncate(path, MIB + 5) != 0 : adds && truncate(path, 2 * MIB + 5) != 0)
            return -EPROTO;
        struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = 1000 + changes_left } };
        change(0, (char)('a' + changes_left));
        utimensat(AT_FDCWD, path, times, 0);
    }
    return result;
}

static void plain_changing(void)
{
    steadfast_hooks h = test_hooks();
    h.pread = pread_while_changing;
    steadfast_context *c = test_context(&h);
    for (int way = 0; way < 3; way++) {
        unlink(path);
        write_file(path, large, 2 * MIB);
        changes_left = 2, cuts = way == 1, adds = way == 2;
        char first = large[0];
        size_t len = way == 0 ? 2 * MIB : way == 1 ? MIB + 5 : 2 * MIB + 5;
        is_int(open_with(c, PLAIN, NULL), STEADFAST_UNVERIFIED, "somebody %s a file while it is opened",
               way == 0   ? "writes to"
               : way == 1 ? "cuts"
                          : "adds to");
        large[0] = 'a';
        char after[5];
        memcpy(after, large + 2 * MIB, 5);
        memset(large + 2 * MIB, 0, 5);
        ok(gives(0, LARGE, len), "what is read is what was there at last");
        memcpy(large + 2 * MIB, after, 5);
        large[0] = first;
        steadfast_reader_close(reader);
    }
    unlink(path);
    steadfast_context_free(c);
}

static void arguments(void)
{
    steadfast_state about = { .size = 8 };
    steadfast_reader *out = (steadfast_reader *)&about;
    size_t len;
    is_int(steadfast_reader_open(NULL, path, NULL, NULL, NULL, NULL), -EINVAL, "no out: EINVAL");
    is_int(steadfast_reader_open(NULL, path, NULL, &out, &about, NULL), -EINVAL, "a struct that is too small: EINVAL");
    ok(out == NULL, "and *out is NULL");
    is_int(steadfast_reader_open(NULL, "", NULL, &out, NULL, NULL), -EINVAL, "no path: EINVAL");
    is_int(steadfast_reader_open(NULL, "d/", NULL, &out, NULL, NULL), -EISDIR, "a directory's path: EISDIR");
    is_int(steadfast_reader_read(NULL, 0, room, 1, &len, NULL), -EINVAL, "no reader: EINVAL");
    open_reader();
    is_int(steadfast_reader_read(reader, 0, NULL, 1, &len, NULL), -EINVAL, "no room: EINVAL");
    is_int(steadfast_reader_read(reader, 0, room, 1, NULL, NULL), -EINVAL, "no place for the length: EINVAL");
    steadfast_reader_close(reader);
    steadfast_reader_close(NULL);
}

int main(void)
{
    dir = make_temp_dir("reader");
    snprintf(d, sizeof d, "%s", fresh("d"));
    snprintf(path, sizeof path, "%s/s", d);
    snprintf(previous, sizeof previous, "%s/s.prev", d);
    large = malloc(LARGE), room = malloc(LARGE + 1);
    if (large == NULL || room == NULL)
        bail_out("malloc");
    for (size_t i = 0; i < LARGE; i++)
        large[i] = (char)(i * 31 + i / 4096 + (i >> 20) * 17);
    context = test_context(NULL);
    no_attributes = !has_attributes(path);
    int fds = count_fds();
    parts();
    told();
    refused();
    recovers();
    changed();
    errors();
    descriptors();
    plain_files();
    plain_recovers();
    plain_changed();
    plain_changing();
    arguments();
    is_int(count_fds(), fds, "no descriptor stays open");
    steadfast_context_free(context);
    free(large), free(room);
    remove_tree(dir);
    free(dir);
    return done_testing();
}
