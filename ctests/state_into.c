/* steadfast_state_load_into: into the caller's memory, without any of its own. */
#include "tap.h"
#include "state_test.h"

static char buf[1 << 20];

static int load(const char *path, size_t cap, size_t *len, uint32_t flags, uint64_t max_len)
{
    steadfast_load_options o = { .size = sizeof o, .flags = flags, .max_len = max_len };
    report.size = sizeof report;
    return steadfast_state_load_into(context, path, &o, buf, cap, len, &report);
}

static void lengths(void)
{
    static const size_t LENGTHS[] = { 0, 1, 255, 256, 257, 3839, 3840, 3841, 65279, 65280, 65281, 262143, 262144, 262145, 1000000 };
    char *data = malloc(1000000);
    const char *path = in(dir, "lengths");
    int wrong = 0;
    if (data == NULL)
        bail_out("malloc");
    for (size_t i = 0; i < 1000000; i++)
        data[i] = (char)(i * 7 + i / 251);
    for (size_t i = 0; i < sizeof LENGTHS / sizeof LENGTHS[0]; i++) {
        size_t n = LENGTHS[i], len = 77;
        if (steadfast_state_save(context, path, data, n, NULL, NULL) != SAVED)
            bail_out("save");
        memset(buf, '#', sizeof buf);
        /* Exactly enough, more than enough, one too few. */
        wrong += load(path, n, &len, 0, 0) != 0 || len != n || memcmp(buf, data, n) != 0 || buf[n] != '#';
        len = 77;
        wrong += load(path, sizeof buf, &len, 0, 0) != 0 || len != n || memcmp(buf, data, n) != 0 || buf[n] != '#';
        wrong += report.generation != i + 1;
        if (n > 0) {
            memset(buf, '#', sizeof buf);
            len = 77;
            wrong += load(path, n - 1, &len, 0, 0) != STEADFAST_E_TOO_LARGE || len != n || buf[0] != '#';
        }
    }
    is_int(wrong, 0, "every length: exactly enough, more, and one too few, which says how many are needed");
    free(data);
}

static void answers(void)
{
    const char *path = in(dir, "state");
    size_t len = 77;
    is_int(load(in(dir, "absent"), 10, &len, 0, 0), -ENOENT, "no state");
    ok(len == 77, "leaves the length as it was");
    save(path, "hello", 0);
    is_int(steadfast_state_load_into(context, path, NULL, NULL, 0, &len, NULL), STEADFAST_E_TOO_LARGE,
           "no memory at all asks for the length");
    is_int(len, 5, "which it gets");
    save(in(dir, "nothing"), "", 0);
    is_int(steadfast_state_load_into(context, in(dir, "nothing"), NULL, NULL, 0, &len, NULL), 0, "an empty state fits into nothing");
    is_int(len, 0, "its length");
    len = 77;
    is_int(load(path, sizeof buf, &len, 0, 4), STEADFAST_E_TOO_LARGE, "longer than max_len");
    is_int(len, 5, "says how long");
    is_int(steadfast_state_load_into(context, path, NULL, NULL, 5, &len, NULL), -EINVAL, "NULL with a capacity");
    is_int(steadfast_state_load_into(context, path, NULL, buf, 5, NULL, NULL), -EINVAL, "nowhere for the length");
    is_int(load(path, 5, &len, 64, 0), -EINVAL, "an unknown flag");
    is_int(load(path, sizeof buf, &len, STEADFAST_LOAD_REQUIRE_SCHEMA, 0), 0, "the right schema");
}

static void damage(void)
{
    const char *path = in(dir, "damaged");
    size_t size = 0, len = 77;
    char *record;
    int dirty = 0;
    save(path, "the first", STEADFAST_SAVE_KEEP_PREVIOUS);
    save(path, "the second", STEADFAST_SAVE_KEEP_PREVIOUS);
    record = read_file(path, &size);
    if (record == NULL)
        bail_out("the record cannot be read");
    record[size - 1] ^= 1;
    write_file(path, record, size);
    memset(buf, 0, sizeof buf);
    is_int(load(path, sizeof buf, &len, 0, 0), STEADFAST_E_DIGEST, "a damaged payload");
    for (size_t i = 0; i < 100; i++)
        dirty += buf[i] != 0;
    ok(dirty == 0 && len == 77, "does not stay in the caller's memory");
    is_int(load(path, sizeof buf, &len, STEADFAST_LOAD_RECOVER, 0), STEADFAST_RECOVERED, "RECOVER");
    ok(len == 9 && memcmp(buf, "the first", 9) == 0, "loads the previous one");
    write_text(path, "no state at all");
    is_int(load(path, 5, &len, STEADFAST_LOAD_RECOVER, 0), STEADFAST_E_TOO_LARGE, "which may be too large");
    is_int(len, 9, "and says so");
    free(record);
}

/* Every call of it fails in turn: an error, nothing in the memory, no descriptor left open. */
static void faults(void)
{
    const char *path = in(dir, "faults");
    int before = count_fds(), wrong = 0;
    long runs = 0;
    save(path, "unharmed", 0);
    for (long at = 1;; at++) {
        struct faults f = { .fail_at = at, .error = EIO };
        steadfast_context *c = faults_context(&f);
        size_t len = 77;
        int result;
        memset(buf, 0, 100);
        result = steadfast_state_load_into(c, path, NULL, buf, sizeof buf, &len, NULL);
        if (result == 0)
            wrong += len != 8 || memcmp(buf, "unharmed", 8) != 0;
        else
            wrong += result != -EIO || len != 77 || buf[0] != 0;
        steadfast_context_free(c);
        if (f.failed == 0)
            break;
        runs++;
    }
    ok(wrong == 0 && runs == 3, "each of its %ld calls fails in turn: the state, or an error and nothing", runs);
    is_int(count_fds(), before, "no descriptor is left open");
}

static size_t most;
static int64_t short_pread(void *user, int32_t fd, void *to, size_t len, uint64_t offset)
{
    (void)user;
    return steadfast_hooks_default()->pread(NULL, fd, to, len < most ? len : most, offset);
}

/* A read that an error cuts, after a whole block and just where a record ends, is not taken for the end of the file. */
static void cut(void)
{
    static char data[768];
    const char *path = in(dir, "cut");
    steadfast_hooks h = steadfast_hooks_init();
    steadfast_context *c;
    steadfast_state state = { .size = sizeof state };
    size_t size;
    memset(data, 'x', sizeof data);
    h.pread = short_pread;
    most = 256 + sizeof data;
    if (steadfast_context_new(&h, &c) != 0 || steadfast_state_save(context, path, data, sizeof data, NULL, NULL) < 0)
        bail_out("save");
    is_int(steadfast_state_load(c, path, NULL, &state, NULL), 0, "a record of 1024 bytes, read 1024 at a time");
    steadfast_state_free(&state);
    char *record = read_file(path, &size);
    if (record == NULL || (record = realloc(record, size + 1)) == NULL)
        bail_out("the record");
    record[size] = 0;
    write_file(path, record, size + 1);
    free(record);
    is_int(steadfast_state_load(c, path, NULL, &state, NULL), STEADFAST_E_TRAILING,
           "with a byte after it, which the first read does not show");
    steadfast_context_free(c);
}

/* Small states are read before they are asked about, 4608 bytes at a time: just shorter, as long, longer; in short reads;
 * with a byte too many; and what is no file. */
static void glance(void)
{
    static const char *const NO_FILES[] = { "fifo", "/dev", "/dev/null", "/dev/zero" };
    static const size_t MOST[] = { 1, 255, 256, 300, 512, 1000, 4351, 4352, 4607, 4608 };
    static char data[8192];
    const char *path = in(dir, "glance");
    steadfast_hooks h = steadfast_hooks_init();
    steadfast_context *c;
    int wrong = 0, trailing = 0;
    size_t len, size;
    memset(data, 'x', sizeof data);
    h.pread = short_pread;
    if (steadfast_context_new(&h, &c) != 0)
        bail_out("context");
    for (size_t n = 4090; n < 4360; n++) {
        if (steadfast_state_save(context, path, data, n, NULL, NULL) < 0)
            bail_out("save");
        for (size_t i = 0; i < (n % 16 ? 1 : sizeof MOST / sizeof MOST[0]); i++) {
            steadfast_state state = { .size = sizeof state };
            most = n % 16 ? sizeof data : MOST[i];
            wrong += steadfast_state_load(c, path, NULL, &state, NULL) != 0 || state.len != n || memcmp(state.data, data, n) != 0;
            steadfast_state_free(&state);
            wrong += steadfast_state_load_into(c, path, NULL, buf, sizeof buf, &len, NULL) != 0 || len != n || memcmp(buf, data, n) != 0;
        }
        char *record = read_file(path, &size);
        if (record == NULL || (record = realloc(record, size + 1)) == NULL)
            bail_out("the record");
        record[size] = 0;
        write_file(path, record, size + 1);
        steadfast_state state = { .size = sizeof state };
        trailing += steadfast_state_load(context, path, NULL, &state, NULL) != STEADFAST_E_TRAILING;
        trailing += load(path, sizeof buf, &len, 0, 0) != STEADFAST_E_TRAILING;
        free(record);
    }
    steadfast_context_free(c);
    is_int(wrong, 0, "as long as one read, about as long, and in short reads");
    is_int(trailing, 0, "with a byte too many");
    if (mkfifo(in(dir, "fifo"), 0600) != 0)
        bail_out("mkfifo");
    for (size_t i = 0; i < sizeof NO_FILES / sizeof NO_FILES[0]; i++) {
        const char *name = NO_FILES[i][0] == '/' ? NO_FILES[i] : in(dir, NO_FILES[i]);
        is_int(load(name, sizeof buf, &len, 0, 0), STEADFAST_E_NOT_REGULAR, NO_FILES[i]);
    }
}

int main(void)
{
    dir = make_temp_dir("load-into");
    context = test_context(NULL);
    lengths();
    answers();
    damage();
    faults();
    glance();
    cut();
    steadfast_context_free(context);
    remove_tree(dir);
    free(dir);
    return done_testing();
}
