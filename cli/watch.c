/* watch. */
#define _XOPEN_SOURCE 700
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Says what is there now. 0: nobody reads it. */
static int tell(const struct arguments *arguments, int result, const steadfast_report *report)
{
    if (arguments->as_json) {
        struct json json;
        json_begin(&json, stdout, "watch", arguments->paths[0]);
        json_result(&json, result, report);
        json_unsigned(&json, "generation", report->generation);
        json_end(&json);
        putchar('\n');
    } else if (result != EXIT_DONE) {
        complain(arguments, arguments->paths[0], report);
    } else if (arguments->program == NULL && !arguments->quiet && report->generation == 0) {
        printf("%s: removed\n", arguments->paths[0]);
    } else if (arguments->program == NULL && !arguments->quiet) {
        printf("%s: generation %llu\n", arguments->paths[0], (unsigned long long)report->generation);
    }
    return fflush(stdout) == 0 && !ferror(stdout);
}

/* 0: it cannot be begun, or did not end with 0, which has been told. */
static int run_for(const struct arguments *arguments, uint64_t generation)
{
    char number[24];
    snprintf(number, sizeof number, "%llu", (unsigned long long)generation);
    setenv("STEADFAST_GENERATION", number, 1);
    pid_t pid = start(arguments->program, -1, -1);
    return pid > 0 && ended_well(pid, arguments->program[0]);
}

/* Does the wait go on after this answer? Then it is about the state, and another one may come. */
static int goes_on(int32_t status)
{
    return status == STEADFAST_OK || exit_code(status) == EXIT_DAMAGED || status == STEADFAST_E_NEWER || status == STEADFAST_E_NOT_REGULAR;
}

int command_watch(struct arguments *arguments)
{
    if (!arguments->has_max_len) {
        arguments->load.max_len = UINT64_MAX;
    }
    steadfast_report report = { .size = sizeof report };
    steadfast_watch *watch = NULL;
    int result;
    int32_t status = steadfast_watch_open(NULL, arguments->paths[0], &arguments->load, &watch, &report);
    if (status == STEADFAST_OK && !arguments->has_known) {
        /* What is there now is no news, unless it is damaged. */
        status = steadfast_watch_wait(watch, 0, 0, &report);
        if (status == STEADFAST_OK || status == -ETIMEDOUT) {
            arguments->known = status == STEADFAST_OK ? report.generation : 0;
            status = steadfast_watch_wait(watch, arguments->known, -1, &report);
        }
    } else if (status == STEADFAST_OK) {
        status = steadfast_watch_wait(watch, arguments->known, -1, &report);
    }
    for (;; status = steadfast_watch_wait(watch, arguments->known, -1, &report)) {
        if (status == -EINTR) {
            continue;
        }
        result = exit_code(status);
        if (!tell(arguments, result, &report)) {
            break;  /* main says why */
        }
        if (status == STEADFAST_OK) {
            arguments->known = report.generation;
            if (arguments->program != NULL && !run_for(arguments, report.generation)) {
                result = EXIT_FAILED;
            }
        }
        if (arguments->once || !goes_on(status)) {
            break;
        }
    }
    steadfast_watch_close(watch);
    return result;
}
