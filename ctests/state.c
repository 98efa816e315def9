/* State files: the seed's test cases TC-80-1..4 by name, then what each flag, code and report member means. */
#include "tap.h"
#include "faults.h"

/* A generation that was taken from the clock is above this. */
#define MICROSECONDS_OF_2020 UINT64_C(1577836800000000)

static char *dir;
static uint32_t absent;

#define NO_DIR_FSYNC ((absent & STEADFAST_ABSENT_DIR_FSYNC) != 0)
#define NO_FLOCK ((absent & STEADFAST_ABSENT_FLOCK) != 0)
/* What a save that goes well returns on the platform of this run. */
#define SAVED (NO_DIR_FSYNC ? STEADFAST_NOT_DURABLE : STEADFAST_OK)

static steadfast_context *context;

static steadfast_save_options save_options(uint32_t flags)
{
    steadfast_save_options o = { .size = sizeof o, .flags = flags };
    return o;
}

static int save(const char *path, const char *text, uint32_t flags, steadfast_report *report)
{
    steadfast_save_options o = save_options(flags);
    report->size = sizeof *report;
    return steadfast_state_save(context, path, text, strlen(text), &o, report);
}

static int load(const char *path, uint32_t flags, steadfast_state *state, steadfast_report *report)
{
    steadfast_load_options o = { .size = sizeof o, .flags = flags };
    memset(state, 0, sizeof *state);
    state->size = sizeof *state;
    report->size = sizeof *report;
    return steadfast_state_load(context, path, &o, state, report);
}

static int holds(const char *path, const char *text)
{
    steadfast_state state;
    steadfast_report report;
    int same = load(path, 0, &state, &report) == 0 && state.len == strlen(text) && memcmp(state.data, text, state.len) == 0;
    steadfast_state_free(&state);
    return same;
}

static void tc_80_1(void)
{
    struct faults f = { 0 };
    steadfast_context *c = faults_context(&f);
    const char *path = in(dir, "tc1");
    int result = steadfast_state_save(c, path, "data", 4, NULL, NULL);
    int opened = -1, renamed, synced, closed = -1, fd = -1, file_syncs = 0, directory_syncs = 0;
    steadfast_context_free(c);
    for (int i = 0; i < f.events && opened < 0; i++)
        if (f.event[i].call == STEADFAST_CALL_OPENAT && strcmp(f.event[i].path, strrchr(dir, '/') + 1) == 0)
            opened = i;
    if (opened >= 0)
        fd = f.event[opened].fd;
    renamed = faults_find(&f, 0, STEADFAST_CALL_RENAMEAT, -1);
    synced = renamed < 0 ? -1 : faults_find(&f, renamed, STEADFAST_CALL_FSYNC, 1);
    for (int i = synced < 0 ? f.events : synced; i < f.events; i++)
        if (f.event[i].call == STEADFAST_CALL_CLOSE && f.event[i].fd == fd)
            closed = i;
    for (int i = 0; i < f.events; i++)
        if (f.event[i].call == STEADFAST_CALL_FSYNC)
            f.event[i].is_directory ? directory_syncs++ : file_syncs++;
    if (NO_DIR_FSYNC) {
        ok(result == STEADFAST_NOT_DURABLE && synced < 0 && directory_syncs == 0,
           "TC-80-1 without a directory fsync (absent): none is made, and the result says so");
        return;
    }
    ok(result == 0 && opened >= 0 && renamed > opened && synced > renamed && f.event[synced].fd == fd && closed > synced,
       "TC-80-1 fsync called after rename: openat of the directory, fsync of it after the rename, close");
    ok(file_syncs == 1 && directory_syncs == 1, "a save makes exactly one file and one directory fsync");
}

static void tc_80_2(void)
{
    struct faults f = { 0 };
    steadfast_hooks table = faults_hooks(&f);
    steadfast_context *c;
    const char *path = in(dir, "tc2");
    int result;
    steadfast_report report = { .size = sizeof report };
    table.absent |= STEADFAST_ABSENT_O_DIRECTORY;
    c = test_context(&table);
    result = steadfast_state_save(c, path, "data", 4, NULL, NULL);
    ok(result == SAVED && holds(path, "data") && f.made[STEADFAST_CALL_FSYNC] == (NO_DIR_FSYNC ? 1 : 2),
       "TC-80-2 fsync handles missing O_DIRECTORY: saved without error, the directory still synced");
    ok((f.directory_flags & O_DIRECTORY) == 0 && f.made[STEADFAST_CALL_OPENAT] > 0, "TC-80-2: no openat used the flag");
    write_text(in(dir, "plain"), "no directory");
    is_int(steadfast_state_save(c, in(dir, "plain/x"), "data", 4, NULL, &report), -ENOTDIR,
           "without O_DIRECTORY a file in the place of the directory is still -ENOTDIR");
    is_int(report.step, STEADFAST_STEP_OPEN_DIRECTORY, "and the step says that it was the directory");
    steadfast_context_free(c);
}

static void tc_80_3(void)
{
    const char *path = in(dir, "tc3");
    char command[600];
    steadfast_report report;
    steadfast_state state;
    int saved = save(path, "{\"a\": [1, 2, 3]}\n", 0, &report);
    int loaded = load(path, 0, &state, &report);
    ok(saved == SAVED && loaded == 0 && state.len == 17 && memcmp(state.data, "{\"a\": [1, 2, 3]}\n", 17) == 0,
       "TC-80-3 state file integrity preserved: what was saved is loaded");
    steadfast_state_free(&state);
    snprintf(command, sizeof command, "bash -c 'tail -n +2 \"$1\" | sha256sum -c <(head -n 1 \"$1\") >/dev/null 2>&1' - '%s'", path);
    is_int(system(command), 0, "TC-80-3: checksum valid: coreutils verify the file by its first line");
    snprintf(command, sizeof command, "bash -c '[ \"$(tail -c +257 \"$1\")\" = \"{\\\"a\\\": [1, 2, 3]}\" ]' - '%s'", path);
    is_int(system(command), 0, "tail -c +257 is the payload");
}

static int broken_fsync(void *user, int32_t fd)
{
    (void)fd;
    ++*(int *)user;
    return -EIO;
}

static void tc_80_4(void)
{
    int calls = 0;
    steadfast_hooks table = test_hooks();
    steadfast_context *c;
    steadfast_report report = { .size = sizeof report };
    const char *path = in(dir, "tc4");
    int result;
    table.user = &calls;
    table.fsync = broken_fsync;
    c = test_context(&table);
    result = steadfast_state_save(c, path, "data", 4, NULL, &report);
    ok(result == STEADFAST_NOT_DURABLE && holds(path, "data") && calls > 0,
       "TC-80-4 fsync error handling: state still saved, STEADFAST_NOT_DURABLE");
    ok(report.status == result && report.os_error == EIO && report.step == STEADFAST_STEP_SYNC_FILE
           && report.on_disk == STEADFAST_ON_DISK_EITHER && strstr(report.message, "EIO") != NULL && strstr(report.message, path) != NULL,
       "TC-80-4: the report names the step, EIO, the path, and says on_disk EITHER");
    steadfast_context_free(c);
}

static void header_line(void)
{
    const char *path = in(dir, "format");
    size_t len;
    char *bytes, expected[256];
    unsigned long long generation = 0, ns = 0;
    unsigned schema = 0;
    steadfast_save_options o = save_options(0);
    steadfast_state state = { .size = sizeof state };
    o.schema = 4000000000u;
    is_int(steadfast_state_save(context, path, "abc", 3, &o, NULL), SAVED, "a save with a schema");
    bytes = read_file(path, &len);
    is_int(len, 259, "256 bytes of header and the payload");
    snprintf(expected, sizeof expected, "steadfast 1 len=%020d gen=%020d time=", 3, 1);
    ok(bytes != NULL && memcmp(bytes + 64, "  -\n", 4) == 0 && strncmp(bytes + 68, expected, strlen(expected)) == 0 && bytes[255] == '\n'
           && sscanf(bytes + 68, "steadfast 1 len=%*20d gen=%20llu time=%20llu schema=%10u", &generation, &ns, &schema) == 3
           && schema == 4000000000u && memcmp(bytes + 173, " head=", 6) == 0 && strspn(bytes + 179, "0123456789abcdef") == 8
           && strspn(bytes + 187, " ") == 255 - 187,
       "the header is laid out as promised");
    is_int(steadfast_state_load(context, path, NULL, &state, NULL), 0, "it loads");
    ok(state.schema == 4000000000u && state.generation == 1 && (unsigned long long)state.saved_at_ns == ns
           && state.source == STEADFAST_SOURCE_CURRENT,
       "schema, generation, time and source are handed back");
    ok(state.saved_at_ns > 1600000000000000000LL, "the time is one of this century");
    ok((uintptr_t)state.data % 16 == 0 && ((char *)state.data)[3] == '\0', "the data is aligned to 16 and has a NUL after it");
    char hex[65];
    for (int i = 0; i < 32; i++)
        sprintf(hex + 2 * i, "%02x", state.sha256[i]);
    ok(bytes != NULL && memcmp(hex, bytes, 64) == 0, "sha256 is that of the first line");
    steadfast_state_free(&state);
    ok(state.data == NULL && state.len == 0 && state.generation == 0 && state.size == sizeof state, "state_free zeroes all but the size");
    steadfast_state_free(&state);
    steadfast_state_free(NULL);
    free(bytes);
}

static void generations_and_previous(void)
{
    const char *path = in(dir, "gen"), *prev = in(dir, "gen.prev");
    steadfast_report report;
    steadfast_state state;
    size_t len;
    save(path, "one", 0, &report);
    is_int(report.generation, 1, "the first save is generation 1");
    save(path, "two", 0, &report);
    is_int(report.generation, 2, "the second is 2");
    ok(!exists(prev), "no .prev unless asked for");
    is_int(save(path, "three", STEADFAST_SAVE_KEEP_PREVIOUS, &report), SAVED, "KEEP_PREVIOUS");
    ok(holds(prev, "two") && holds(path, "three"), "PATH.prev has the state before");
    save(path, "four", STEADFAST_SAVE_KEEP_PREVIOUS, &report);
    ok(holds(prev, "three") && holds(path, "four") && report.generation == 4, "and goes on");
    is_int(save(path, "five", STEADFAST_SAVE_KEEP_PREVIOUS, &report), SAVED, "and on");
    is_int(save(path, "six", 1u << 12, &report), -EINVAL, "a flag that nobody knows is refused");
    ok(report.step == STEADFAST_STEP_ARGUMENTS && holds(prev, "four") && holds(path, "five"), "and nothing is touched");

    char *bytes = read_file(path, &len);
    bytes[len - 1] ^= 1;
    write_file(path, bytes, len);
    free(bytes);
    is_int(load(path, 0, &state, &report), STEADFAST_E_DIGEST, "a damaged state is E_DIGEST");
    is_int(load(path, STEADFAST_LOAD_RECOVER, &state, &report), STEADFAST_RECOVERED, "with RECOVER the previous one is loaded");
    ok(state.source == STEADFAST_SOURCE_PREVIOUS && state.generation == 4 && strcmp(state.data, "four") == 0, "and says so");
    steadfast_state_free(&state);
    is_int(save(path, "six", STEADFAST_SAVE_KEEP_PREVIOUS, &report), SAVED, "KEEP_PREVIOUS over a damaged state");
    ok(holds(prev, "four") && holds(path, "six"), "a damaged state is not rotated over a good previous one");
    ok(report.generation > MICROSECONDS_OF_2020, "over a damaged state no generation comes again: %llu",
       (unsigned long long)report.generation);

    unlink(path);
    is_int(load(path, 0, &state, &report), STEADFAST_E_LOST, "no state but a previous one: E_LOST");
    ok(report.step == STEADFAST_STEP_OPEN_FILE && report.os_error == ENOENT, "the report says what was missing");
    is_int(load(path, STEADFAST_LOAD_RECOVER, &state, &report), STEADFAST_RECOVERED, "RECOVER of a lost state");
    steadfast_state_free(&state);
    unlink(prev);
    is_int(load(path, STEADFAST_LOAD_RECOVER, &state, &report), -ENOENT, "nothing at all: -ENOENT, with RECOVER too");
    is_int(load(path, 0, &state, &report), -ENOENT, "nothing at all: -ENOENT");
    ok(strstr(report.message, path) != NULL, "the message names the path: %s", report.message);

    write_text(path, "someone else's file, which is no state and longer than a header would be. ................................"
                     "........................................................................................................."
                     "........................................................................................................");
    is_int(load(path, 0, &state, &report), STEADFAST_E_FORMAT, "a foreign file is E_FORMAT");
    is_int(save(path, "mine", 0, &report), SAVED, "a save over a foreign file");
    ok(report.generation > MICROSECONDS_OF_2020, "has the clock for its generation: %llu", (unsigned long long)report.generation);
}

static void last_generation(void)
{
    const char *path = in(dir, "last");
    char header[300], command[900];
    steadfast_report report;
    /* A record with the last generation there is, made with coreutils. */
    snprintf(header, sizeof header, "steadfast 1 len=%020d gen=18446744073709551615 time=%020d schema=%010d", 1, 1, 0);
    snprintf(command, sizeof command,
             "bash -c 'body=$(printf \"%%-187s\" \"%s\"); { printf \"%%s\\n\" \"$body\"; printf x; } > \"$1.body\"; "
             "{ sha256sum < \"$1.body\"; cat \"$1.body\"; } > \"$1\"; rm \"$1.body\"' - '%s'",
             header, path);
    is_int(system(command), 0, "a state of the last generation");
    ok(holds(path, "x"), "it loads");
    is_int(save(path, "y", STEADFAST_SAVE_KEEP_PREVIOUS, &report), -EOVERFLOW, "a save over the last generation, verified, is -EOVERFLOW");
    ok(holds(path, "x") && report.on_disk == STEADFAST_ON_DISK_OLD, "and leaves it there");
    is_int(save(path, "z", 0, &report), SAVED, "a plain save does not believe a number that nothing confirms");
    ok(report.generation > MICROSECONDS_OF_2020 && report.generation < UINT64_C(1) << 62, "and takes the clock");
}

static void schemas(void)
{
    const char *path = in(dir, "schema");
    steadfast_save_options o = save_options(0);
    steadfast_load_options l = { .size = sizeof l, .flags = STEADFAST_LOAD_REQUIRE_SCHEMA, .schema = 7 };
    steadfast_state state = { .size = sizeof state };
    steadfast_report report = { .size = sizeof report };
    o.schema = 7;
    steadfast_state_save(context, path, "s", 1, &o, NULL);
    is_int(steadfast_state_load(context, path, &l, &state, NULL), 0, "the schema that was asked for");
    steadfast_state_free(&state);
    l.schema = 8;
    is_int(steadfast_state_load(context, path, &l, &state, &report), STEADFAST_E_SCHEMA, "another one is E_SCHEMA");
    ok(state.data == NULL && report.generation == 1, "nothing is handed out, the generation is told");
    l = (steadfast_load_options){ .size = sizeof l, .max_len = 1 };
    is_int(steadfast_state_load(context, path, &l, &state, NULL), 0, "as long as max_len allows");
    steadfast_state_free(&state);
    steadfast_state_save(context, path, "ss", 2, NULL, NULL);
    is_int(steadfast_state_load(context, path, &l, &state, NULL), STEADFAST_E_TOO_LARGE, "a byte longer is E_TOO_LARGE");
}

static void sizes(void)
{
    static const size_t LENGTHS[] = { 0, 1, 255, 3839, 3840, 3841, 4096, 65279, 65280, 65281, 1 << 20, (8 << 20) + 3 };
    const char *path = in(dir, "sizes");
    size_t most = (8 << 20) + 3;
    char *data = malloc(most);
    int failed = 0;
    for (size_t i = 0; i < most; i++)
        data[i] = (char)(i * 31 >> 3);
    for (size_t i = 0; i < sizeof LENGTHS / sizeof LENGTHS[0]; i++) {
        steadfast_state state = { .size = sizeof state };
        int result = steadfast_state_save(context, path, LENGTHS[i] == 0 ? NULL : data, LENGTHS[i], NULL, NULL);
        int loaded = steadfast_state_load(context, path, NULL, &state, NULL);
        failed += result != SAVED || loaded != 0 || state.len != LENGTHS[i] || memcmp(state.data, data, state.len) != 0
                  || ((char *)state.data)[state.len] != '\0';
        steadfast_state_free(&state);
    }
    is_int(failed, 0, "every length, (NULL, 0) and 8 MiB among them, comes back to the bit");
    free(data);
}

static void modes(void)
{
    struct stat st;
    steadfast_save_options o = save_options(0);
    const char *path = in(dir, "mode");
    mode_t mask = umask(077);
    steadfast_report report;
    save(path, "m", 0, &report);
    stat(path, &st);
    is_int(st.st_mode & 07777, 0600, "a new file has mode 0600");
    unlink(path);
    o.mode = 0664;
    steadfast_state_save(context, path, "m", 1, &o, NULL);
    stat(path, &st);
    is_int(st.st_mode & 07777, 0664, "or the mode given, whatever the umask");
    chmod(path, 0640);
    steadfast_state_save(context, path, "m", 1, &o, NULL);
    stat(path, &st);
    is_int(st.st_mode & 07777, 0640, "an existing file keeps its own");
    umask(mask);
    if (geteuid() == 0) {
        if (chown(path, 1234, 2345) == 0)
            save(path, "m", 0, &report);
        stat(path, &st);
        ok(st.st_uid == 1234 && st.st_gid == 2345, "and its owner");
    } else {
        skip("needs root", "and its owner");
    }
}

static void strict_and_no_sync(void)
{
    const char *path = in(dir, "strict");
    struct faults f = { .only = STEADFAST_CALL_FSYNC, .fail_at = 1, .error = EIO, .for_ever = 1 };
    steadfast_context *c = faults_context(&f);
    steadfast_save_options o = save_options(STEADFAST_SAVE_STRICT);
    steadfast_report report;
    save(path, "old", 0, &report);
    is_int(steadfast_state_save(c, path, "new", 3, &o, &report), STEADFAST_E_NOT_SAVED_DURABLY,
           "STRICT: a file that cannot be synced is an error");
    ok(holds(path, "old") && report.on_disk == STEADFAST_ON_DISK_OLD, "and nothing was replaced");
    if (NO_DIR_FSYNC) {
        is_int(save(path, "new", STEADFAST_SAVE_STRICT, &report), STEADFAST_E_NOT_SAVED_DURABLY,
               "STRICT without directory fsync (absent) is refused");
    } else {
        is_int(report.step, STEADFAST_STEP_SYNC_FILE, "the report names the step");
        f.fail_at = 2;
        faults_reset(&f);
        is_int(steadfast_state_save(c, path, "new", 3, &o, &report), STEADFAST_E_SAVED_NOT_DURABLE,
               "STRICT: a directory that cannot be synced is an error");
        ok(holds(path, "new") && report.on_disk == STEADFAST_ON_DISK_EITHER && report.step == STEADFAST_STEP_SYNC_DIRECTORY,
           "the new state is there, on_disk EITHER");
    }
    steadfast_context_free(c);
    is_int(save(path, "fast", STEADFAST_SAVE_NO_SYNC, &report), STEADFAST_NOT_DURABLE, "NO_SYNC is always NOT_DURABLE");
    ok(holds(path, "fast") && report.on_disk == STEADFAST_ON_DISK_UNKNOWN && report.os_error == 0,
       "but saved: after a power cut only a load can tell");
    is_int(save(path, "x", STEADFAST_SAVE_NO_SYNC | STEADFAST_SAVE_STRICT, &report), -EINVAL, "NO_SYNC with STRICT is a contradiction");
    is_int(report.step, STEADFAST_STEP_ARGUMENTS, "of the arguments");
}

static void if_generation(void)
{
    const char *path = in(dir, "cas");
    steadfast_save_options o = save_options(STEADFAST_SAVE_IF_GENERATION);
    steadfast_report report = { .size = sizeof report };
    size_t len;
    if (NO_FLOCK) {
        is_int(steadfast_state_save(context, path, "a", 1, &o, &report), STEADFAST_E_UNSUPPORTED,
               "IF_GENERATION without flock (absent) is E_UNSUPPORTED");
        ok(!exists(path), "and nothing is written");
        return;
    }
    o.expected_generation = 1;
    is_int(steadfast_state_save(context, path, "a", 1, &o, &report), STEADFAST_E_CONFLICT, "IF_GENERATION 1 where there is nothing");
    o.expected_generation = 0;
    is_int(steadfast_state_save(context, path, "a", 1, &o, &report), SAVED, "IF_GENERATION 0 creates");
    is_int(steadfast_state_save(context, path, "b", 1, &o, &report), STEADFAST_E_CONFLICT, "but never replaces");
    is_int(report.generation, 1, "the conflict tells the generation that is there");
    o.expected_generation = 1;
    is_int(steadfast_state_save(context, path, "b", 1, &o, &report), SAVED, "IF_GENERATION 1 over generation 1");
    ok(holds(path, "b") && report.generation == 2, "is generation 2");
    char *bytes = read_file(path, &len);
    write_file(path, bytes, len - 1);
    o.expected_generation = 2;
    is_int(steadfast_state_save(context, path, "c", 1, &o, &report), STEADFAST_E_TRUNCATED,
           "over a damaged state it returns the damage's code");
    ok(exists(path) && report.on_disk == STEADFAST_ON_DISK_OLD, "and leaves it");
    o.flags = 0;
    is_int(steadfast_state_save(context, path, "c", 1, &o, &report), -EINVAL, "an expected generation without the flag is -EINVAL");
    free(bytes);
}

int main(void)
{
    dir = make_temp_dir("state");
    absent = test_absent();
    context = test_context(NULL);
    tc_80_1();
    tc_80_2();
    tc_80_3();
    tc_80_4();
    header_line();
    generations_and_previous();
    last_generation();
    schemas();
    sizes();
    modes();
    strict_and_no_sync();
    if_generation();
    steadfast_context_free(context);
    is_int(strlen(leftovers(dir, "tc1 tc2 plain tc3 tc4 format gen gen.prev last schema sizes mode strict strict.prev cas")), 0,
           "nothing is left over%s",
           leftovers(dir, "tc1 tc2 plain tc3 tc4 format gen gen.prev last schema sizes mode strict strict.prev cas"));
    remove_tree(dir);
    free(dir);
    return done_testing();
}
