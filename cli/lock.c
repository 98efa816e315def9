/* lock. */
#define _XOPEN_SOURCE 700
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* What `lock` has to say of its own, on standard error: standard output is the command's. */
static void tell(int as_json, const char *path, int result, int ran, const steadfast_report *report)
{
    if (as_json) {
        struct json json;
        json_begin(&json, stderr, "lock", path);
        json_result(&json, result, report);
        json_boolean(&json, "ran", ran);
        json_number(&json, "pid", report->pid);
        json_end(&json);
        fputc('\n', stderr);
    } else if (report->status != STEADFAST_OK && report->status != -ECANCELED) {
        complain(report);
    }
}

static int lock_and_run(const char *path, int64_t timeout_ms, char **command, int as_json)
{
    int signals = signals_catch();
    if (signals < 0) {
        fprintf(stderr, "steadfast: %s\n", strerror(errno));
        return EXIT_LOCK_FAILED;
    }
    /* The command inherits the lock's descriptor, as from flock(1): should we be killed, the lock stays held while it runs. */
    steadfast_lock_options options = { .size = sizeof options, .flags = STEADFAST_LOCK_INHERIT, .cancel_fd = signals };
    steadfast_report report = { .size = sizeof report };
    steadfast_lock *lock = NULL;
    struct ran ran = { 0, 0 };
    int result;
    int32_t status = steadfast_lock_acquire(NULL, path, timeout_ms, &options, &lock, &report);
    if (status == STEADFAST_OK) {
        result = run(lock, command, signals, &ran);
        status = steadfast_lock_release(lock, &report);
        if (status != STEADFAST_OK && result == 0) {
            result = EXIT_LOCK_FAILED;
        }
    } else if (status == -ECANCELED) {
        ran.signal = signals_next_ending();
        result = 128 + ran.signal;
    } else {
        result = status == STEADFAST_E_LOCKED ? EXIT_LOCK_BUSY : EXIT_LOCK_FAILED;
    }
    tell(as_json, path, result, ran.ran, &report);
    if (ran.signal != 0) {
        die_of(ran.signal);
    }
    return result;
}

/* Seconds, with up to three decimals, as milliseconds. */
static int parse_seconds(const char *text, int64_t *out)
{
    uint64_t whole = 0, fraction = 0;
    char digits[24];
    size_t len = strcspn(text, ".");
    if (len == 0 || len >= sizeof digits) {
        return 0;
    }
    memcpy(digits, text, len);
    digits[len] = '\0';
    if (!parse_number(digits, 10, INT64_MAX / 1000 - 1, &whole)) {
        return 0;
    }
    if (text[len] == '.') {
        const char *part = text + len + 1;
        size_t places = strlen(part);
        if (places < 1 || places > 3 || !parse_number(part, 10, 999, &fraction)) {
            return 0;
        }
        for (; places < 3; places++) {
            fraction *= 10;
        }
    }
    *out = (int64_t)(whole * 1000 + fraction);
    return 1;
}

int command_lock(int argc, char **argv)
{
    const char *path = NULL;
    int64_t timeout_ms = -1;
    int as_json = 0;
    int at = 1;
    while (at < argc && strcmp(argv[at], "--") != 0) {
        const char *argument = argv[at];
        const char *value;
        if (is_option(argv, &at, "--nonblock")) {
            timeout_ms = 0;
        } else if (is_option(argv, &at, "--json")) {
            as_json = 1;
        } else if ((value = option_value(argc, argv, &at, "--timeout")) != NULL) {
            if (!parse_seconds(value, &timeout_ms)) {
                return usage_error("not a number of seconds", value);
            }
        } else if (at >= argc) {
            return usage_error("this option needs a value", argument);
        } else if (argument[0] == '-' && argument[1] != '\0') {
            return usage_error("lock: no such option", argument);
        } else if (path != NULL) {
            return usage_error("lock: a command goes behind --", argument);
        } else {
            path = argv[at++];
        }
    }
    if (path == NULL || at + 1 >= argc) {
        return usage_error("lock: PATH -- COMMAND", NULL);
    }
    return lock_and_run(path, timeout_ms, argv + at + 1, as_json);
}
