/* watch. */
#define _XOPEN_SOURCE 700
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the arguments ask for. */
struct watching {
    const char *path;
    char **command;
    uint64_t known;
    uint32_t flags;  /* of the load */
    int has_known, once, as_json;
};

static int parse(int argc, char **argv, struct watching *watching)
{
    for (int at = 1; at < argc;) {
        const char *argument = argv[at];
        const char *value;
        if (is_option(argv, &at, "--once")) {
            watching->once = 1;
        } else if (is_option(argv, &at, "--plain")) {
            watching->flags |= STEADFAST_LOAD_PLAIN;
        } else if (is_option(argv, &at, "--verified")) {
            watching->flags |= STEADFAST_LOAD_REQUIRE_VERIFIED;
        } else if (is_option(argv, &at, "--json")) {
            watching->as_json = 1;
        } else if ((value = option_value(argc, argv, &at, "--since")) != NULL) {
            if (!parse_number(value, 10, UINT64_MAX, &watching->known)) {
                return usage_error("not a generation", value);
            }
            watching->has_known = 1;
        } else if (at >= argc) {
            return usage_error("this option needs a value", argument);
        } else if (watching->path != NULL && strcmp(argument, "--") == 0) {
            if (at + 1 >= argc) {
                return usage_error("watch: no command behind --", NULL);
            }
            watching->command = argv + at + 1;
            break;
        } else if (argument[0] == '-' && argument[1] != '\0' && strcmp(argument, "--") != 0) {
            return usage_error("watch: no such option", argument);
        } else {
            if (strcmp(argument, "--") == 0 && ++at >= argc) {
                break;
            }
            if (watching->path != NULL) {
                return usage_error("watch: a command goes behind --", argv[at]);
            }
            watching->path = argv[at++];
        }
    }
    return watching->path == NULL ? usage_error("watch: no path", NULL) : EXIT_DONE;
}

/* Says what is there now. 0: nobody reads it. */
static int tell(const struct watching *watching, int result, const steadfast_report *report)
{
    if (watching->as_json) {
        struct json json;
        json_begin(&json, stdout, "watch", watching->path);
        json_result(&json, result, report);
        json_unsigned(&json, "generation", report->generation);
        json_end(&json);
        putchar('\n');
    } else if (result != EXIT_DONE) {
        complain(report);
    } else if (watching->command == NULL && report->generation == 0) {
        printf("%s: removed\n", watching->path);
    } else if (watching->command == NULL) {
        printf("%s: generation %llu\n", watching->path, (unsigned long long)report->generation);
    }
    return fflush(stdout) == 0 && !ferror(stdout);
}

/* 0: it cannot be begun, or did not end with 0, which has been told. */
static int run_for(const struct watching *watching, uint64_t generation)
{
    char number[24];
    snprintf(number, sizeof number, "%llu", (unsigned long long)generation);
    setenv("STEADFAST_GENERATION", number, 1);
    pid_t pid = start(watching->command, -1, -1);
    return pid > 0 && ended_well(pid, watching->command[0]);
}

/* Does the wait go on after this answer? Then it is about the state, and another one may come. */
static int goes_on(int32_t status)
{
    return status == STEADFAST_OK || exit_code(status) == EXIT_DAMAGED || status == STEADFAST_E_NEWER || status == STEADFAST_E_NOT_REGULAR;
}

int command_watch(int argc, char **argv)
{
    struct watching watching;
    memset(&watching, 0, sizeof watching);
    int result = parse(argc, argv, &watching);
    if (result != EXIT_DONE) {
        return result;
    }
    steadfast_load_options options = { .size = sizeof options, .flags = watching.flags, .max_len = UINT64_MAX };
    steadfast_report report = { .size = sizeof report };
    steadfast_watch *watch = NULL;
    int32_t status = steadfast_watch_open(NULL, watching.path, &options, &watch, &report);
    if (status == STEADFAST_OK && !watching.has_known) {
        /* What is there now is no news, unless it is damaged. */
        status = steadfast_watch_wait(watch, 0, 0, &report);
        if (status == STEADFAST_OK || status == -ETIMEDOUT) {
            watching.known = status == STEADFAST_OK ? report.generation : 0;
            status = steadfast_watch_wait(watch, watching.known, -1, &report);
        }
    } else if (status == STEADFAST_OK) {
        status = steadfast_watch_wait(watch, watching.known, -1, &report);
    }
    for (;; status = steadfast_watch_wait(watch, watching.known, -1, &report)) {
        if (status == -EINTR) {
            continue;
        }
        result = exit_code(status);
        if (!tell(&watching, result, &report)) {
            break;  /* main says why */
        }
        if (status == STEADFAST_OK) {
            watching.known = report.generation;
            if (watching.command != NULL && !run_for(&watching, report.generation)) {
                result = EXIT_FAILED;
            }
        }
        if (watching.once || !goes_on(status)) {
            break;
        }
    }
    steadfast_watch_close(watch);
    return result;
}
