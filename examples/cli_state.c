/* save, load, verify, info. */
#define _POSIX_C_SOURCE 200809L
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* All of standard input; NULL with errno set when it cannot be read or does not fit. */
static char *read_input(size_t *len)
{
    size_t capacity = 65536;
    char *data = malloc(capacity);
    *len = 0;
    while (data != NULL) {
        ssize_t got = read(STDIN_FILENO, data + *len, capacity - *len);
        if (got == 0) {
            return data;
        }
        if (got < 0) {
            if (errno == EINTR) {
                continue;
            }
            break;
        }
        *len += (size_t)got;
        if (*len == capacity) {
            char *larger = capacity > SIZE_MAX / 2 ? NULL : realloc(data, capacity *= 2);
            if (larger == NULL) {
                errno = ENOMEM;
                break;
            }
            data = larger;
        }
    }
    int error = errno;
    free(data);
    errno = error;
    return NULL;
}

static int exit_code(int32_t status)
{
    switch (status) {
    case STEADFAST_OK:
        return EXIT_DONE;
    case STEADFAST_NOT_DURABLE:
    case STEADFAST_RECOVERED:
    case STEADFAST_E_SAVED_NOT_DURABLE:
        return EXIT_RESERVATION;
    case STEADFAST_E_EMPTY:
    case STEADFAST_E_TRUNCATED:
    case STEADFAST_E_TRAILING:
    case STEADFAST_E_DIGEST:
    case STEADFAST_E_FORMAT:
        return EXIT_DAMAGED;
    case STEADFAST_E_LOST:
        return EXIT_MISSING;
    case STEADFAST_E_CONFLICT:
        return EXIT_CONFLICT;
    default:
        return status == -ENOENT ? EXIT_MISSING : EXIT_FAILED;
    }
}

int command_save(int argc, char **argv)
{
    static const struct {
        const char *name;
        uint32_t flag;
    } flags[] = {
        { "--strict", STEADFAST_SAVE_STRICT },
        { "--keep-previous", STEADFAST_SAVE_KEEP_PREVIOUS },
        { "--follow", STEADFAST_SAVE_FOLLOW_SYMLINK },
        { "--parents", STEADFAST_SAVE_CREATE_PARENTS },
    };
    steadfast_save_options options = { .size = sizeof options };
    const char *path = NULL;
    for (int at = 1; at < argc;) {
        const char *argument = argv[at];
        const char *value;
        uint64_t number = 0;
        int matched = 0;
        for (size_t i = 0; !matched && i < sizeof flags / sizeof flags[0]; i++) {
            if (is_option(argv, &at, flags[i].name)) {
                options.flags |= flags[i].flag;
                matched = 1;
            }
        }
        if (matched) {
            continue;
        }
        if ((value = option_value(argc, argv, &at, "--if-generation")) != NULL) {
            if (!parse_number(value, 10, UINT64_MAX, &options.expected_generation)) {
                return usage_error("not a generation", value);
            }
            options.flags |= STEADFAST_SAVE_IF_GENERATION;
        } else if ((value = option_value(argc, argv, &at, "--mode")) != NULL) {
            /* 0 would mean the default to the library. */
            if (!parse_number(value, 8, 0777, &number) || number == 0) {
                return usage_error("not a mode from 0001 to 0777", value);
            }
            options.mode = (uint32_t)number;
        } else if ((value = option_value(argc, argv, &at, "--schema")) != NULL) {
            if (!parse_number(value, 10, UINT32_MAX, &number)) {
                return usage_error("not a schema number", value);
            }
            options.schema = (uint32_t)number;
        } else if (at >= argc) {
            return usage_error("this option needs a value", argument);
        } else if (argument[0] == '-' && argument[1] != '\0' && strcmp(argument, "--") != 0) {
            return usage_error("save: no such option", argument);
        } else {
            if (strcmp(argument, "--") == 0 && ++at >= argc) {
                break;
            }
            if (path != NULL) {
                return usage_error("save: one path only", argv[at]);
            }
            path = argv[at++];
        }
    }
    if (path == NULL) {
        return usage_error("save: no path", NULL);
    }
    size_t len = 0;
    char *data = read_input(&len);
    if (data == NULL) {
        fprintf(stderr, "steadfast: standard input: %s\n", strerror(errno));
        return EXIT_FAILED;
    }
    steadfast_report report = { .size = sizeof report };
    int32_t status = steadfast_state_save(NULL, path, data, len, &options, &report);
    free(data);
    if (status != STEADFAST_OK) {
        complain(&report);
    }
    if (status >= 0 || status == STEADFAST_E_SAVED_NOT_DURABLE) {
        printf("%s: generation %llu, %zu bytes\n", path, (unsigned long long)report.generation, len);
    }
    return status == -ENOENT ? EXIT_FAILED : exit_code(status);
}

/* Loads as the arguments say. Returns an exit code; the state is to be freed in any case. */
static int load(int argc, char **argv, const char **path, steadfast_state *state)
{
    steadfast_load_options options = { .size = sizeof options };
    const char *command = argv[0];
    int recoverable = strcmp(command, "verify") != 0;
    *path = NULL;
    for (int at = 1; at < argc;) {
        const char *argument = argv[at];
        const char *value;
        uint64_t number = 0;
        if (recoverable && is_option(argv, &at, "--recover")) {
            options.flags |= STEADFAST_LOAD_RECOVER;
        } else if ((value = option_value(argc, argv, &at, "--schema")) != NULL) {
            if (!parse_number(value, 10, UINT32_MAX, &number)) {
                return usage_error("not a schema number", value);
            }
            options.schema = (uint32_t)number;
            options.flags |= STEADFAST_LOAD_REQUIRE_SCHEMA;
        } else if (at >= argc) {
            return usage_error("this option needs a value", argument);
        } else if (argument[0] == '-' && argument[1] != '\0' && strcmp(argument, "--") != 0) {
            return usage_error("no such option", argument);
        } else {
            if (strcmp(argument, "--") == 0 && ++at >= argc) {
                break;
            }
            if (*path != NULL) {
                return usage_error("one path only", argv[at]);
            }
            *path = argv[at++];
        }
    }
    if (*path == NULL) {
        return usage_error("no path", NULL);
    }
    steadfast_report report = { .size = sizeof report };
    int32_t status = steadfast_state_load(NULL, *path, &options, state, &report);
    if (status != STEADFAST_OK) {
        complain(&report);
    }
    return exit_code(status);
}

int command_load(int argc, char **argv)
{
    steadfast_state state = { .size = sizeof state };
    const char *path;
    int result = load(argc, argv, &path, &state);
    if (state.data != NULL) {
        /* What fails here, main tells. */
        fwrite(state.data, 1, state.len, stdout);
    }
    steadfast_state_free(&state);
    return result;
}

int command_verify(int argc, char **argv)
{
    steadfast_state state = { .size = sizeof state };
    const char *path;
    int result = load(argc, argv, &path, &state);
    if (result == EXIT_DONE) {
        printf("%s: OK, generation %llu, %zu bytes\n", path, (unsigned long long)state.generation, state.len);
    }
    steadfast_state_free(&state);
    return result;
}

int command_info(int argc, char **argv)
{
    steadfast_state state = { .size = sizeof state };
    const char *path;
    int result = load(argc, argv, &path, &state);
    if (result == EXIT_DONE || result == EXIT_RESERVATION) {
        time_t seconds = (time_t)(state.saved_at_ns / 1000000000);
        struct tm utc;
        char when[32] = "unknown";
        if (gmtime_r(&seconds, &utc) != NULL) {
            strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%S", &utc);
        }
        printf("path        %s\n", path);
        printf("generation  %llu\n", (unsigned long long)state.generation);
        printf("saved       %s.%09lldZ\n", when, (long long)(state.saved_at_ns % 1000000000));
        printf("schema      %lu\n", (unsigned long)state.schema);
        printf("length      %zu\n", state.len);
        printf("sha256      ");
        for (size_t i = 0; i < sizeof state.sha256; i++) {
            printf("%02x", state.sha256[i]);
        }
        printf("\nsource      %s\n", state.source == STEADFAST_SOURCE_PREVIOUS ? "previous (PATH.prev)" : "current");
    }
    steadfast_state_free(&state);
    return result;
}
