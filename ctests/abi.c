/*
 * The rules that let programs and library be of different versions: struct sizes, unknown flags, reserved
 * members; hooks that return what they cannot mean; and the fault injector for languages without callbacks.
 */
#include "tap.h"
#include "faults.h"

#include <stddef.h>

static char *dir, path[300];

/* A struct with a tail that this version does not know. */
#define LONGER(type) \
    struct { \
        type known; \
        unsigned char tail[24]; \
    }

static int save_sized(size_t size, uint32_t flags, uint32_t reserved, uint32_t mode, int tail)
{
    LONGER(steadfast_save_options) o;
    memset(&o, 0, sizeof o);
    memset(o.tail, tail, 1);
    o.known.size = size;
    o.known.flags = flags;
    o.known.reserved = reserved;
    o.known.mode = mode;
    return steadfast_state_save(NULL, path, "x", 1, &o.known, NULL);
}

static void save_options(void)
{
    size_t full = sizeof(steadfast_save_options);
    struct stat st;
    is_int(save_sized(full, 0, 0, 0, 0), 0, "save options of this version");
    is_int(save_sized(full + 24, 0, 0, 0, 0), 0, "longer ones with a zero tail");
    is_int(save_sized(full + 24, 0, 0, 0, 1), -EINVAL, "longer ones with a tail that is not zero");
    is_int(save_sized(full, 0, 0, 0, 1), 0, "what lies behind the size is not looked at");
    is_int(save_sized(0, 0, 0, 0, 0), -EINVAL, "a size of 0");
    is_int(save_sized(8, 0, 0, 0, 0), -EINVAL, "a size without the flags");
    is_int(save_sized(SIZE_MAX, 0, 0, 0, 0), -EINVAL, "a size that is none");
    is_int(save_sized(full, 1u << 7, 0, 0, 0), -EINVAL, "an unknown flag");
    is_int(save_sized(full, 1u << 31, 0, 0, 0), -EINVAL, "the last flag");
    is_int(save_sized(full, 0, 1, 0, 0), -EINVAL, "a reserved member that is not 0");
    is_int(save_sized(full, 0, 0, 010000, 0), -EINVAL, "a mode that is more than permissions");
    unlink(path);
    /* Up to the flags only: the mode behind them is a missing tail, and reads as 0. */
    is_int(save_sized(offsetof(steadfast_save_options, mode), 0, 0, 0640, 0), 0, "short options");
    is_int(stat(path, &st) == 0 ? st.st_mode & 0777 : 0, 0600, "a missing tail reads as zero");
    is_int(steadfast_state_save(NULL, path, "x", 1, NULL, NULL), 0, "no options, no report, no context");
}

static void load_options(void)
{
    LONGER(steadfast_load_options) o;
    steadfast_state state = { .size = sizeof state };
    memset(&o, 0, sizeof o);
    o.known.size = sizeof o;
    is_int(steadfast_state_load(NULL, path, &o.known, &state, NULL), 0, "longer load options with a zero tail");
    steadfast_state_free(&state);
    o.tail[23] = 1;
    is_int(steadfast_state_load(NULL, path, &o.known, &state, NULL), -EINVAL, "the last byte of the tail counts");
    o.known.size = sizeof o.known;
    o.known.flags = 1u << 20;
    is_int(steadfast_state_load(NULL, path, &o.known, &state, NULL), -EINVAL, "an unknown load flag");
    o.known.size = 4;
    o.known.flags = 0;
    is_int(steadfast_state_load(NULL, path, &o.known, &state, NULL), -EINVAL, "load options of 4 bytes");
    ok(state.data == NULL, "nothing was put out");
}

static void outputs(void)
{
    LONGER(steadfast_state) state;
    LONGER(steadfast_report) report;
    unsigned char *bytes = (unsigned char *)&state;
    int written = 0;
    memset(&state, 0x5a, sizeof state);
    state.known.size = offsetof(steadfast_state, generation);
    is_int(steadfast_state_load(NULL, path, NULL, &state.known, NULL), 0, "a state of an older program, which ends with len");
    ok(state.known.len == 1, "gets what it has room for");
    for (size_t i = offsetof(steadfast_state, generation); i < sizeof state; i++)
        written += bytes[i] != 0x5a;
    is_int(written, 0, "and nothing beyond");
    steadfast_state_free(&state.known);
    for (size_t i = offsetof(steadfast_state, generation); i < sizeof state; i++)
        written += bytes[i] != 0x5a;
    is_int(written, 0, "nor does the free write beyond");
    state.known.size = sizeof(size_t);
    is_int(steadfast_state_load(NULL, path, NULL, &state.known, NULL), -EINVAL, "a state without room for the data");
    memset(&state, 0x5a, sizeof state);
    state.known.size = sizeof state;
    is_int(steadfast_state_load(NULL, path, NULL, &state.known, NULL), 0, "a state of a later program");
    ok(state.tail[0] == 0x5a, "is written as far as it is known");
    ok(state.known.size == sizeof state, "its size stays the caller's");
    steadfast_state_free(&state.known);

    memset(&report, 0x5a, sizeof report);
    report.known.size = 40;
    is_int(steadfast_state_load(NULL, in(dir, "none"), NULL, &state.known, &report.known), -ENOENT, "a report of 40 bytes");
    ok(report.known.status == -ENOENT && report.known.os_error == ENOENT && report.known.message[0] == 0x5a,
       "gets the numbers, and no message");
    report.known.size = 60;
    steadfast_state_load(NULL, in(dir, "none"), NULL, &state.known, &report.known);
    ok(memchr(report.known.message, 0, 60 - offsetof(steadfast_report, message)) != NULL && report.known.message[20] == 0x5a,
       "a short report gets a short message, with its NUL");
    report.known.size = 39;
    is_int(steadfast_state_load(NULL, path, NULL, &state.known, &report.known), -EINVAL, "a report of 39 bytes is too short");
    memset(&report, 0x5a, sizeof report);
    report.known.size = sizeof report;
    steadfast_state_load(NULL, in(dir, "none"), NULL, &state.known, &report.known);
    ok(report.known.status == -ENOENT && report.tail[0] == 0x5a && memchr(report.known.message, 0, sizeof report.known.message) != NULL,
       "a longer report is written as far as it is known");
}

/* A message cut within a character would be no UTF-8. */
static void long_paths(void)
{
    char long_path[2000];
    steadfast_report report = { .size = sizeof report };
    size_t n = 0;
    int cut = 0;
    for (int shift = 0; shift < 3; shift++) {
        n = (size_t)snprintf(long_path, sizeof long_path, "%s/%.*s", dir, shift, "abc");
        while (n < 1500)
            n += (size_t)snprintf(long_path + n, sizeof long_path - n, "/\xe2\x82\xac\xe2\x82\xac");
        steadfast_state_load(NULL, long_path, NULL, &(steadfast_state){ .size = sizeof(steadfast_state) }, &report);
        for (const unsigned char *c = (const unsigned char *)report.message; *c != '\0'; c++) {
            if (*c < 0x80)
                continue;
            cut += c[0] != 0xe2 || c[1] != 0x82 || c[2] != 0xac;
            c += c[1] == 0 ? 0 : c[2] == 0 ? 1 : 2;
        }
        cut += strlen(report.message) < 100 || strlen(report.message) >= sizeof report.message;
    }
    is_int(cut, 0, "a long path in a message is cut at a character");
}

static void tables(void)
{
    LONGER(steadfast_hooks) h;
    steadfast_context *context = NULL;
    memset(&h, 0, sizeof h);
    is_int(steadfast_context_new(&h.known, &context), -EINVAL, "a hook table without a size");
    h.known.size = sizeof h;
    is_int(steadfast_context_new(&h.known, &context), 0, "a longer hook table with a zero tail");
    steadfast_context_free(context);
    context = NULL;
    h.tail[0] = 1;
    is_int(steadfast_context_new(&h.known, &context), -EINVAL, "a hook that this version does not know");
    h.known.size = offsetof(steadfast_hooks, openat);
    is_int(steadfast_context_new(&h.known, &context), 0, "a table that ends before its hooks");
    is_int(steadfast_state_save(context, path, "x", 1, NULL, NULL), 0, "makes the real calls");
    steadfast_context_free(context);
    context = NULL;
    h.known.size = sizeof h.known;
    h.known.absent = 1u << 31;
    is_int(steadfast_context_new(&h.known, &context), -EINVAL, "an unknown absent bit");
    h.known.absent = 0;
    h.known.reserved = 1;
    is_int(steadfast_context_new(&h.known, &context), -EINVAL, "a reserved member");
    ok(context == NULL, "after an error the output is NULL");
}

static int64_t too_much(void *user, int32_t fd, const void *buf, size_t len)
{
    (void)user, (void)fd, (void)buf;
    return (int64_t)len + 1;
}

static int64_t read_too_much(void *user, int32_t fd, void *buf, size_t len, uint64_t offset)
{
    (void)user, (void)fd, (void)buf, (void)offset;
    return (int64_t)len + 1;
}

static int32_t no_errno(void *user, int32_t fd)
{
    (void)user, (void)fd;
    return -4096;
}

static void broken_hooks(void)
{
    steadfast_report report = { .size = sizeof report };
    steadfast_state state = { .size = sizeof state };
    steadfast_context *context;
    steadfast_hooks h = steadfast_hooks_init();
    steadfast_state_save(NULL, path, "old", 3, NULL, NULL);
    h.write = too_much;
    steadfast_context_new(&h, &context);
    is_int(steadfast_state_save(context, path, "x", 1, NULL, &report), STEADFAST_E_HOOK, "a write hook that wrote more than it was given");
    is_int(report.step, STEADFAST_STEP_WRITE, "at its step");
    steadfast_context_free(context);
    h = steadfast_hooks_init();
    h.pread = read_too_much;
    steadfast_context_new(&h, &context);
    is_int(steadfast_state_load(context, path, NULL, &state, &report), STEADFAST_E_HOOK, "a pread hook that read more than was asked for");
    steadfast_context_free(context);
    h = steadfast_hooks_init();
    h.fsync = no_errno;
    steadfast_context_new(&h, &context);
    ok(steadfast_state_save(context, path, "x", 1, NULL, &report) != STEADFAST_OK, "an fsync hook that returns no errno is no success");
    steadfast_context_free(context);
    ok(*leftovers(dir, "state state.prev") == '\0', "nothing is left over");
}

static void injector(void)
{
    steadfast_context *context = NULL;
    steadfast_report report = { .size = sizeof report };
    struct faults f = { 0 };
    steadfast_hooks h;
    int wrong = 0;
    for (uint32_t call = 0; call <= STEADFAST_CALL_GETDENTS; call++) {
        is_int(steadfast_context_new_failing(NULL, call, 1, EIO, 0, &context), 0, "inject into call %u", call);
        steadfast_context_free(context);
    }
    h = steadfast_hooks_init();
    h.size -= 4;
    is_int(steadfast_context_new(&h, &context), -EINVAL, "not a table that ends in the middle of a hook");
    is_int(steadfast_context_new_failing(NULL, STEADFAST_CALL_GETDENTS + 1, 1, EIO, 0, &context), -EINVAL, "not into an unknown one");
    is_int(steadfast_context_new_failing(NULL, 0, 0, EIO, 0, &context), -EINVAL, "not into the 0th");
    is_int(steadfast_context_new_failing(NULL, 0, 1, 0, 0, &context), -EINVAL, "not with errno 0");
    is_int(steadfast_context_new_failing(NULL, 0, 1, 4096, 0, &context), -EINVAL, "not with errno 4096");
    is_int(steadfast_context_new_failing(NULL, 0, 1, EIO, 0, NULL), -EINVAL, "not into nothing");

    steadfast_context_new_failing(NULL, STEADFAST_CALL_WRITE, 1, ENOSPC, 0, &context);
    is_int(steadfast_state_save(context, path, "x", 1, NULL, &report), -ENOSPC, "the first write fails");
    is_int(report.step, STEADFAST_STEP_WRITE, "at its step");
    is_int(steadfast_state_save(context, path, "x", 1, NULL, &report), 0, "once");
    steadfast_context_free(context);
    steadfast_context_new_failing(NULL, STEADFAST_CALL_WRITE, 2, ENOSPC, 1, &context);
    is_int(steadfast_state_save(context, path, "x", 1, NULL, NULL), 0, "the second write fails for ever: the first does not");
    ok(steadfast_state_save(context, path, "y", 1, NULL, NULL) == -ENOSPC
           && steadfast_state_save(context, path, "y", 1, NULL, NULL) == -ENOSPC,
       "and later ones do");
    steadfast_context_free(context);
    steadfast_context_new_failing(NULL, STEADFAST_CALL_FSYNC, 1, EIO, 1, &context);
    is_int(steadfast_state_save(context, path, "x", 1, NULL, &report), STEADFAST_NOT_DURABLE, "fsync fails for ever: NOT_DURABLE");
    steadfast_context_free(context);

    int open_before = count_fds();
    steadfast_context_new_failing(NULL, STEADFAST_CALL_CLOSE, 1, EIO, 1, &context);
    ok(steadfast_state_save(context, path, "x", 1, NULL, NULL) >= 0 && count_fds() == open_before,
       "a failed close closes, as the kernel's does");
    steadfast_context_free(context);

    /* On top of the caller's hooks: a failed call does not reach them, unless it is a close. */
    h = faults_hooks(&f);
    for (uint64_t nth = 1; nth < 20; nth++) {
        faults_reset(&f);
        steadfast_context_new_failing(&h, 0, nth, EIO, 1, &context);
        steadfast_state_save(context, path, "x", 1, NULL, &report);
        for (long i = (long)nth - 1; i < f.events; i++)
            wrong += f.event[i].call != STEADFAST_CALL_CLOSE;
        steadfast_context_free(context);
    }
    is_int(wrong, 0, "with call 0 every call is counted, and none after the fault reaches a hook but closes");
}

int main(void)
{
    dir = make_temp_dir("abi");
    snprintf(path, sizeof path, "%s/state", dir);
    save_options();
    load_options();
    outputs();
    long_paths();
    tables();
    broken_hooks();
    injector();
    remove_tree(dir);
    free(dir);
    return done_testing();
}
