/* The cases of cases.def, by the C functions. tests/cases runs the same by the Rust API. */
#include "tap.h"
#include "state_test.h"

#include <sys/time.h>

static const struct {
    const char *before, *call, *options, *status, *generation, *data;
} cases[] = {
#define CASE(before, call, options, status, generation, data) { before, call, options, status, generation, data },
#include "cases.def"
};

static const struct {
    const char *name;
    uint32_t save, load;
} flags[] = {
    { "STRICT", STEADFAST_SAVE_STRICT, 0 },
    { "KEEP_PREVIOUS", STEADFAST_SAVE_KEEP_PREVIOUS, 0 },
    { "FOLLOW_SYMLINK", STEADFAST_SAVE_FOLLOW_SYMLINK, 0 },
    { "NO_SYNC", STEADFAST_SAVE_NO_SYNC, 0 },
    { "IN_PLACE", STEADFAST_SAVE_IN_PLACE, 0 },
    { "PLAIN", STEADFAST_SAVE_PLAIN, STEADFAST_LOAD_PLAIN },
    { "RECOVER", 0, STEADFAST_LOAD_RECOVER },
    { "REQUIRE_VERIFIED", 0, STEADFAST_LOAD_REQUIRE_VERIFIED },
};

static char path[300], previous[310], target[310];

static void options_of(const char *text, steadfast_save_options *s, steadfast_load_options *l)
{
    char copy[100];
    snprintf(copy, sizeof copy, "%s", text);
    for (char *word = strtok(copy, "|"); word != NULL; word = strtok(NULL, "|")) {
        size_t i = 0;
        while (i < sizeof flags / sizeof *flags && strcmp(flags[i].name, word) != 0)
            i++;
        if (i == sizeof flags / sizeof *flags)
            bail_out("cases.def: no option %s", word);
        s->flags |= flags[i].save, l->flags |= flags[i].load;
    }
}

static void save_here(const char *where, const char *text, uint32_t how)
{
    steadfast_save_options o = { .size = sizeof o, .flags = how };
    if (steadfast_state_save(NULL, where, text, strlen(text), &o, NULL) != STEADFAST_OK)
        bail_out("cannot prepare %s", where);
}

/* One byte more, one less, or another one. */
static void spoil(int change)
{
    size_t len = 0;
    char *bytes = read_file(path, &len);
    bytes = realloc(bytes, len + 2);
    if (change == 0)
        bytes[len - 1] ^= 1;
    else
        bytes[len] = 'x';
    write_file(path, bytes, len + (size_t)change);
    free(bytes);
}

static void prepare(const char *before)
{
    unlink(path), rmdir(path), unlink(previous), unlink(target);
    int twice = strcmp(before, "TWICE") == 0 || strcmp(before, "LOST") == 0 || strcmp(before, "DAMAGED") == 0;
    int plain = strcmp(before, "PLAIN") == 0 || strcmp(before, "EDITED") == 0;
    if (strcmp(before, "NOTHING") == 0)
        return;
    if (twice)
        save_here(path, "older", 0);
    if (strcmp(before, "DIRECTORY") == 0) {
        mkdir(path, 0700);
    } else if (strcmp(before, "LINK") == 0) {
        save_here(target, "old", 0);
        if (symlink("target", path) != 0)
            bail_out("symlink");
    } else if (strcmp(before, "EMPTY") == 0 || strcmp(before, "FOREIGN") == 0) {
        write_text(path, strcmp(before, "EMPTY") == 0 ? "" : "by hand");
    } else {
        save_here(path, "old", plain ? STEADFAST_SAVE_PLAIN : STEADFAST_SAVE_KEEP_PREVIOUS);
    }
    if (strcmp(before, "LOST") == 0)
        unlink(path);
    if (strcmp(before, "CUT") == 0)
        spoil(-1);
    if (strcmp(before, "LONGER") == 0)
        spoil(1);
    if (strcmp(before, "FLIPPED") == 0 || strcmp(before, "DAMAGED") == 0)
        spoil(0);
    if (strcmp(before, "EDITED") == 0) {
        static const struct timeval then[2] = { { 1000000000, 0 }, { 1000000000, 0 } };
        write_text(path, "edited");
        utimes(path, then);
    }
}

static int append(void *user, const steadfast_state *old, const void **data, size_t *len)
{
    char *text = user;
    snprintf(text, 100, "%.*s+", old == NULL ? 0 : (int)old->len, old == NULL ? "" : (const char *)old->data);
    *data = text, *len = strlen(text);
    return 0;
}

/* Makes the call, and puts what a load gave into `got`. */
static int make(const char *call, steadfast_save_options *s, const steadfast_load_options *l, char *got)
{
    char word[20] = "", text[100];
    unsigned long long number = 0;
    if (sscanf(call, "%19s %llu", word, &number) == 2 && strstr(word, "_IF") != NULL)
        s->flags |= STEADFAST_SAVE_IF_GENERATION, s->expected_generation = number;
    strcpy(got, "-");
    report = (steadfast_report){ .size = sizeof report };
    if (strncmp(word, "SAVE", 4) == 0)
        return steadfast_state_save(NULL, path, "new", 3, s, &report);
    if (strncmp(word, "REMOVE", 6) == 0)
        return steadfast_state_remove(NULL, path, s, &report);
    if (strcmp(word, "UPDATE") == 0)
        return steadfast_state_update(NULL, path, l, s, append, text, &report);
    if (strncmp(word, "WRITER", 6) == 0) {
        steadfast_writer *writer;
        int status = steadfast_writer_open(NULL, path, s, &writer, &report);
        if (status != 0)
            return status;
        steadfast_writer_write(writer, "ne", 2, NULL);
        steadfast_writer_write(writer, "w", 1, NULL);
        return steadfast_writer_commit(writer, &report);
    }
    if (strcmp(word, "READER") == 0) {
        steadfast_reader *reader;
        size_t len = 0;
        int status = steadfast_reader_open(NULL, path, l, &reader, NULL, &report);
        if (status < 0)
            return status;
        steadfast_reader_read(reader, 0, got, 99, &len, NULL);
        got[len] = '\0';
        steadfast_reader_close(reader);
        return status;
    }
    if (strcmp(word, "LOAD_INTO") == 0) {
        size_t len = 0;
        int status = steadfast_state_load_into(NULL, path, l, text, (size_t)number, &len, &report);
        if (status >= 0)
            snprintf(got, 100, "%.*s", (int)len, text);
        return status;
    }
    steadfast_state state = { .size = sizeof state };
    int status = steadfast_state_load(NULL, path, l, &state, &report);
    if (status >= 0)
        snprintf(got, 100, "%s", (const char *)state.data);
    steadfast_state_free(&state);
    return status;
}

int main(void)
{
    dir = make_temp_dir("cases");
    snprintf(path, sizeof path, "%s/state", dir);
    snprintf(previous, sizeof previous, "%s.prev", path);
    snprintf(target, sizeof target, "%s/target", dir);
    steadfast_save_options probe = { .size = sizeof probe, .flags = STEADFAST_SAVE_PLAIN };
    int attributes = steadfast_state_save(NULL, path, "", 0, &probe, NULL) == STEADFAST_OK;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        steadfast_save_options s = { .size = sizeof s };
        steadfast_load_options l = { .size = sizeof l };
        char got[100];
        options_of(cases[i].options, &s, &l);
        if ((s.flags & STEADFAST_SAVE_PLAIN) != 0 && !attributes) {
            skip("no extended attributes here", "%s: %s %s", cases[i].before, cases[i].call, cases[i].options);
            continue;
        }
        prepare(cases[i].before);
        const char *status = steadfast_status_name(make(cases[i].call, &s, &l, got));
        int gives = strncmp(cases[i].call, "LOAD", 4) == 0 || strcmp(cases[i].call, "READER") == 0;
        int generation = cases[i].generation[0] == '-' || report.generation == strtoull(cases[i].generation, NULL, 10);
        unsigned long long told = report.generation;
        if (!gives) {
            l.flags |= STEADFAST_LOAD_RECOVER;
            make("LOAD", &s, &l, got);
        }
        int same = ok(strcmp(status, cases[i].status) == 0 && generation && strcmp(got, cases[i].data) == 0, "%s: %s %s", cases[i].before,
                      cases[i].call, cases[i].options);
        if (!same)
            diag("%s, generation %llu, data %s; expected %s, %s, %s", status, told, got, cases[i].status, cases[i].generation,
                 cases[i].data);
    }
    remove_tree(dir);
    free(dir);
    return done_testing();
}
