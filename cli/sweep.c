/* sweep. */
#define _XOPEN_SOURCE 700
#include "cli.h"

#include <stdio.h>

/* What is told of one directory, name by name. */
struct sweeping {
    const struct arguments *arguments;
    const char *directory;
    struct json json;
    int removed, kept;
    int result;
};

static int32_t tell(void *user, const char *name, const steadfast_report *about)
{
    struct sweeping *sweeping = user;
    const struct arguments *arguments = sweeping->arguments;
    int done = about->status == STEADFAST_LOCK_REMOVED || about->status == STEADFAST_LOCK_STALE;
    if (arguments->as_json) {
        fputs(sweeping->removed + sweeping->kept > 0 ? ", {" : "{", stdout);
        struct json element = { stdout, 0 };
        json_name(&element, "name", name);
        json_text(&element, "verdict", verdict_word(about->status));
        json_number(&element, "pid", about->pid);
        json_text(&element, "message", about->message);
        json_end(&element);
    } else if (about->status < 0) {
        fprintf(stderr, "steadfast: %s/", sweeping->directory);
        fprintf(stderr, "%s: %s [%s]\n", name, about->message, steadfast_status_name(about->status));
    } else if (done && arguments->dry_run ? !arguments->quiet : tells_success(arguments)) {
        printf("%s/%s: %s (%s)\n", sweeping->directory, name, verdict_word(about->status), about->message);
    }
    sweeping->removed += done;
    sweeping->kept += !done;
    /* What lives is where it belongs. */
    sweeping->result = about->status < 0 ? EXIT_FAILED : sweeping->result;
    return 0;
}

static int sweep(const struct arguments *arguments, int index, int *changed)
{
    struct sweeping sweeping = { .arguments = arguments, .directory = arguments->paths[index], .result = EXIT_DONE };
    uint32_t flags = (arguments->locks ? STEADFAST_SWEEP_LOCKS : 0) | (arguments->dry_run ? STEADFAST_SWEEP_DRY_RUN : 0);
    steadfast_report report = { .size = sizeof report };
    if (arguments->as_json) {
        json_begin_of_many(&sweeping.json, arguments, index);
        json_array(&sweeping.json, "names");
    }
    int32_t status = steadfast_directory_sweep(NULL, sweeping.directory, flags, tell, &sweeping, &report);
    int result = status < 0 ? EXIT_FAILED : sweeping.result;
    int changes = sweeping.removed > 0 && !arguments->dry_run;
    if (arguments->as_json) {
        fputc(']', stdout);
        json_number(&sweeping.json, "removed", sweeping.removed);
        json_number(&sweeping.json, "kept", sweeping.kept);
        json_result(&sweeping.json, summed_up(result, changes), &report);
        json_end_of_many(&sweeping.json, arguments, index);
    } else if (status < 0) {
        complain(arguments, sweeping.directory, &report);
    }
    *changed |= changes;
    return result;
}

int command_sweep(struct arguments *arguments)
{
    int worst = EXIT_DONE, changed = 0;
    for (int i = 0; i < arguments->count; i++) {
        worst = worse(worst, sweep(arguments, i, &changed));
    }
    return summed_up(worst, changed);
}
