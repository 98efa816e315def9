/* inspect, clean. */
#define _XOPEN_SOURCE 700
#include "cli.h"

#include <stdio.h>

int command_inspect(struct arguments *arguments)
{
    int worst = EXIT_DONE;
    for (int i = 0; i < arguments->count; i++) {
        const char *path = arguments->paths[i];
        /* Before the verdict: what is told about a file must not be younger than it. */
        struct holder holder, now;
        look_at_holder(path, 0, &holder);
        steadfast_report report = { .size = sizeof report };
        int32_t verdict = steadfast_lock_inspect(NULL, path, &arguments->lock, &report);
        look_at_holder(path, verdict == STEADFAST_LOCK_HELD ? report.pid : 0, &now);
        const char *since = verdict > STEADFAST_LOCK_ABSENT ? holder.since : "";
        worst = worse(worst, verdict_code(verdict));
        if (arguments->as_json) {
            struct json json;
            json_begin_of_many(&json, arguments, i);
            json_result(&json, verdict_code(verdict), &report);
            json_text(&json, "verdict", verdict_word(verdict));
            json_number(&json, "pid", report.pid);
            json_text(&json, "process", now.name);
            json_text(&json, "since", since);
            json_end_of_many(&json, arguments, i);
            continue;
        }
        if (verdict < 0) {
            complain(arguments, path, &report);
            continue;
        }
        if (arguments->quiet) {
            continue;
        }
        printf("%spath     %s\n", i > 0 ? "\n" : "", path);
        printf("verdict  %s\n", verdict_word(verdict));
        printf("because  %s\n", report.message);
        if (report.pid > 0) {
            printf("pid      %lld%s%s\n", (long long)report.pid, now.name[0] != '\0' ? " " : "", now.name);
        }
        if (since[0] != '\0') {
            printf("since    %s\n", since);
        }
    }
    return worst;
}

int command_clean(struct arguments *arguments)
{
    int worst = EXIT_DONE, removed = 0;
    for (int i = 0; i < arguments->count; i++) {
        const char *path = arguments->paths[i];
        steadfast_report report = { .size = sizeof report };
        int32_t verdict = steadfast_lock_clean_stale(NULL, path, &arguments->lock, &report);
        int code = verdict_code(verdict);
        if (arguments->as_json) {
            struct json json;
            json_begin_of_many(&json, arguments, i);
            json_result(&json, code, &report);
            json_text(&json, "verdict", verdict_word(verdict));
            json_number(&json, "pid", report.pid);
            json_end_of_many(&json, arguments, i);
        } else if (verdict < 0) {
            complain(arguments, path, &report);
        } else if (code == EXIT_DONE ? tells_success(arguments) : !arguments->quiet) {
            printf("%s: %s (%s)\n", path, verdict_word(verdict), report.message);
        }
        removed |= verdict == STEADFAST_LOCK_REMOVED;
        worst = worse(worst, code);
    }
    return summed_up(worst, removed);
}
