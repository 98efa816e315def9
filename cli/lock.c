/* lock. */
#define _XOPEN_SOURCE 700
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* What `lock` has to say of its own, on standard error: standard output is the command's. */
static void tell(const struct arguments *arguments, int result, int ran, const steadfast_report *report)
{
    if (arguments->as_json) {
        struct json json;
        json_begin(&json, stderr, "lock", arguments->paths[0]);
        json_result(&json, result, report);
        json_boolean(&json, "ran", ran);
        json_number(&json, "pid", report->pid);
        json_end(&json);
        fputc('\n', stderr);
    } else if (report->status != STEADFAST_OK && report->status != -ECANCELED) {
        complain(arguments, arguments->paths[0], report);
    }
}

/* The lock was taken. */
static int under(struct arguments *arguments, steadfast_lock *lock, int signals, steadfast_report *report, struct ran *ran)
{
    if (has_more_to_say(report) && !arguments->quiet && !arguments->as_json) {
        fprintf(stderr, "steadfast: %s\n", report->message);
    }
    nested_enter(arguments->paths[0]);
    int result =
        arguments->exec ? run_instead(arguments->program, ran) : run(lock, arguments->program, signals, !arguments->no_forward, ran);
    int32_t status = steadfast_lock_release(lock, report);
    return status != STEADFAST_OK && result == 0 ? EXIT_LOCK_FAILED : result;
}

int command_lock(struct arguments *arguments)
{
    const char *path = arguments->paths[0];
    int signals = signals_catch();
    if (signals < 0) {
        fprintf(stderr, "steadfast: %s\n", strerror(errno));
        return EXIT_LOCK_FAILED;
    }
    /* The command inherits the lock's descriptor, as from flock(1): should we be killed, the lock stays held while it runs. */
    arguments->lock.flags |= STEADFAST_LOCK_INHERIT;
    arguments->lock.cancel_fd = signals;
    steadfast_report report = { .size = sizeof report };
    steadfast_lock *lock = NULL;
    struct ran ran = { 0, 0 };
    int result, nested = is_nested(path);
    struct waiting *waiting = nested ? NULL : waiting_begin(arguments, path);
    int32_t status = steadfast_lock_acquire(NULL, path, nested ? 0 : arguments->wait_ms, &arguments->lock, &lock, &report);
    waiting_end(waiting);
    if (status == STEADFAST_OK) {
        result = under(arguments, lock, signals, &report, &ran);
    } else if (status == -ECANCELED) {
        ran.signal = signals_next_ending();
        result = 128 + ran.signal;
    } else {
        result = status == STEADFAST_E_LOCKED ? arguments->conflict_code : EXIT_LOCK_FAILED;
    }
    tell(arguments, result, ran.ran, &report);
    if (status == STEADFAST_E_LOCKED && nested && !arguments->as_json) {
        fputs("steadfast: the command that runs this one holds that lock: waiting for it would never end\n", stderr);
    }
    if (ran.signal != 0) {
        die_of(ran.signal);
    }
    return result;
}
