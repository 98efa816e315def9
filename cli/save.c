/* save, update, remove. */
#define _POSIX_C_SOURCE 200809L
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Which options a command takes. */
enum { SAVE = 1, UPDATE = 2, REMOVE = 4 };

/* What the arguments ask for. */
struct change {
    int command;  /* SAVE, UPDATE or REMOVE */
    const char *name;
    const char *path;
    char **program;  /* behind --; NULL: none */
    int as_json, has_schema;
    steadfast_save_options options;
    steadfast_load_options load;
};

/* What a power cut now would leave. */
static const char *on_disk(int32_t code)
{
    static const char *const words[] = { "old", "new", "either" };
    return code >= STEADFAST_ON_DISK_OLD && code <= STEADFAST_ON_DISK_EITHER ? words[code] : "unknown";
}

static int is_flag(char **argv, int *at, struct change *change)
{
    static const struct {
        const char *name;
        int commands;
        uint32_t save, load;
    } flags[] = {
        { "--strict", SAVE | UPDATE | REMOVE, STEADFAST_SAVE_STRICT, 0 },
        { "--keep-previous", SAVE | UPDATE, STEADFAST_SAVE_KEEP_PREVIOUS, 0 },
        { "--follow", SAVE | UPDATE | REMOVE, STEADFAST_SAVE_FOLLOW_SYMLINK, 0 },
        { "--parents", SAVE | UPDATE, STEADFAST_SAVE_CREATE_PARENTS, 0 },
        { "--plain", SAVE | UPDATE | REMOVE, STEADFAST_SAVE_PLAIN, STEADFAST_LOAD_PLAIN },
        { "--recover", UPDATE, 0, STEADFAST_LOAD_RECOVER },
        { "--verified", UPDATE, 0, STEADFAST_LOAD_REQUIRE_VERIFIED },
    };
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        if ((flags[i].commands & change->command) != 0 && is_option(argv, at, flags[i].name)) {
            change->options.flags |= flags[i].save;
            change->load.flags |= flags[i].load;
            return 1;
        }
    }
    if (is_option(argv, at, "--json")) {
        return change->as_json = 1;
    }
    return 0;
}

/* Returns EXIT_DONE or EXIT_USAGE. */
static int parse(int argc, char **argv, struct change *change)
{
    change->name = argv[0];
    change->options.size = sizeof change->options;
    /* Whatever was saved can be loaded. */
    change->load.size = sizeof change->load;
    change->load.max_len = UINT64_MAX;
    for (int at = 1; at < argc;) {
        const char *argument = argv[at];
        const char *value;
        uint64_t number = 0;
        if (is_flag(argv, &at, change)) {
            continue;
        }
        if ((change->command & (SAVE | REMOVE)) != 0 && (value = option_value(argc, argv, &at, "--if-generation")) != NULL) {
            if (!parse_number(value, 10, UINT64_MAX, &change->options.expected_generation)) {
                return usage_error("not a generation", value);
            }
            change->options.flags |= STEADFAST_SAVE_IF_GENERATION;
        } else if ((change->command & (SAVE | UPDATE)) != 0 && (value = option_value(argc, argv, &at, "--mode")) != NULL) {
            /* 0 would mean the default to the library. */
            if (!parse_number(value, 8, 0777, &number) || number == 0) {
                return usage_error("not a mode from 0001 to 0777", value);
            }
            change->options.mode = (uint32_t)number;
        } else if ((change->command & (SAVE | UPDATE)) != 0 && (value = option_value(argc, argv, &at, "--schema")) != NULL) {
            if (!parse_number(value, 10, UINT32_MAX, &number)) {
                return usage_error("not a schema number", value);
            }
            change->options.schema = (uint32_t)number;
            change->has_schema = 1;
        } else if (at >= argc) {
            return usage_error("this option needs a value", argument);
        } else if (change->command != REMOVE && change->path != NULL && strcmp(argument, "--") == 0) {
            if (at + 1 >= argc) {
                return usage_error("no command behind --", NULL);
            }
            change->program = argv + at + 1;
            break;
        } else if (argument[0] == '-' && argument[1] != '\0' && strcmp(argument, "--") != 0) {
            return usage_error("no such option", argument);
        } else {
            if (strcmp(argument, "--") == 0 && ++at >= argc) {
                break;
            }
            if (change->path != NULL) {
                return usage_error(change->command == REMOVE ? "one path only" : "one path only; a command goes behind --", argv[at]);
            }
            change->path = argv[at++];
        }
    }
    if (change->path == NULL) {
        return usage_error("no path", NULL);
    }
    return change->command != UPDATE || change->program != NULL ? EXIT_DONE : usage_error("update: PATH -- FILTER", NULL);
}

/* Says how it went; `len`: of what was saved. Returns `result`. */
static int tell(const struct change *change, int result, const steadfast_report *report, size_t len)
{
    if (change->as_json) {
        struct json json;
        json_begin(&json, stdout, change->name, change->path);
        json_result(&json, result, report);
        json_text(&json, "on_disk", on_disk(report->on_disk));
        json_unsigned(&json, "generation", report->generation);
        if (change->command != REMOVE) {
            json_unsigned(&json, "length", len);
        }
        json_end(&json);
        putchar('\n');
        return result;
    }
    /* Done, but there is more to say: what was kept as the previous generation, for example. */
    const char *done = steadfast_status_message(STEADFAST_OK);
    if (report->status != STEADFAST_OK) {
        complain(report);
    } else if (change->command != REMOVE && strncmp(report->message, done, strlen(done)) != 0) {
        fprintf(stderr, "steadfast: %s\n", report->message);
    }
    if (change->command != REMOVE && (report->status >= 0 || report->status == STEADFAST_E_SAVED_NOT_DURABLE)) {
        printf("%s: generation %llu, %zu bytes\n", change->path, (unsigned long long)report->generation, len);
    }
    return result;
}

int command_save(int argc, char **argv)
{
    struct change change = { .command = SAVE };
    struct bytes bytes = { NULL, 0, 0 };
    if (parse(argc, argv, &change) != EXIT_DONE) {
        return EXIT_USAGE;
    }
    if ((change.program != NULL ? produce(change.program, NULL, &bytes) : read_input(&bytes)) != 0) {
        if (change.program != NULL) {
            fputs("steadfast: nothing was saved\n", stderr);
        }
        bytes_free(&bytes);
        return EXIT_FAILED;
    }
    steadfast_report report = { .size = sizeof report };
    int32_t status = steadfast_state_save(NULL, change.path, bytes.data, bytes.len, &change.options, &report);
    size_t len = bytes.len;
    bytes_free(&bytes);
    return tell(&change, status == -ENOENT ? EXIT_FAILED : exit_code(status), &report, len);
}

/* An update with a filter. */
struct filtering {
    struct change *change;
    struct bytes bytes;
    int failed;     /* the filter did, and has been told */
    int other;      /* the state has another schema than the one that is to be saved */
};

static int32_t filter(void *user, const steadfast_state *old, const void **data, size_t *len)
{
    struct filtering *filtering = user;
    struct change *change = filtering->change;
    struct bytes input = { NULL, 0, 0 };
    if (old != NULL) {
        if (!change->has_schema && old->schema != change->options.schema) {
            change->options.schema = old->schema;
            filtering->other = 1;
            return -ECANCELED;
        }
        input.data = old->data;
        input.len = old->len;
    }
    bytes_free(&filtering->bytes);
    if (produce(change->program, &input, &filtering->bytes) != 0) {
        filtering->failed = 1;
        return -ECANCELED;
    }
    *data = filtering->bytes.data;
    *len = filtering->bytes.len;
    return 0;
}

int command_update(int argc, char **argv)
{
    struct change change = { .command = UPDATE };
    struct filtering filtering = { .change = &change };
    if (parse(argc, argv, &change) != EXIT_DONE) {
        return EXIT_USAGE;
    }
    steadfast_report report = { .size = sizeof report };
    int32_t status;
    do {
        filtering.other = 0;
        status = steadfast_state_update(NULL, change.path, &change.load, &change.options, filter, &filtering, &report);
    } while (filtering.other);
    size_t len = filtering.bytes.len;
    bytes_free(&filtering.bytes);
    if (filtering.failed) {
        fputs("steadfast: nothing was saved\n", stderr);
        return EXIT_FAILED;
    }
    return tell(&change, status == -ENOENT ? EXIT_FAILED : exit_code(status), &report, len);
}

int command_remove(int argc, char **argv)
{
    struct change change = { .command = REMOVE };
    if (parse(argc, argv, &change) != EXIT_DONE) {
        return EXIT_USAGE;
    }
    steadfast_report report = { .size = sizeof report };
    int32_t status = steadfast_state_remove(NULL, change.path, &change.options, &report);
    return tell(&change, exit_code(status), &report, 0);
}
