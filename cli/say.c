/* What the command says of a result: exit codes, messages, and the option that would help. */
#define _XOPEN_SOURCE 700
#include "cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

int exit_code(int32_t status)
{
    switch (status) {
    case STEADFAST_OK: return EXIT_DONE;
    case STEADFAST_NOT_DURABLE:
    case STEADFAST_RECOVERED:
    case STEADFAST_UNVERIFIED:
    case STEADFAST_CHANGED:
    case STEADFAST_E_SAVED_NOT_DURABLE:
    case STEADFAST_E_INDETERMINATE: return EXIT_RESERVATION;
    case STEADFAST_E_EMPTY:
    case STEADFAST_E_TRUNCATED:
    case STEADFAST_E_TRAILING:
    case STEADFAST_E_DIGEST:
    case STEADFAST_E_FORMAT:
    case STEADFAST_E_UNVERIFIED: return EXIT_DAMAGED;
    case STEADFAST_E_LOST: return EXIT_MISSING;
    case STEADFAST_E_CONFLICT: return EXIT_CONFLICT;
    default: return status == -ENOENT ? EXIT_MISSING : EXIT_FAILED;
    }
}

int verdict_code(int32_t verdict)
{
    switch (verdict) {
    case STEADFAST_LOCK_ABSENT:
    case STEADFAST_LOCK_REMOVED:
    case STEADFAST_LOCK_STALE: return EXIT_DONE;
    case STEADFAST_LOCK_HELD: return EXIT_HELD;
    case STEADFAST_LOCK_UNDECIDED:
    case STEADFAST_LOCK_IGNORED:
    case STEADFAST_LOCK_CHANGED: return EXIT_UNDECIDED;
    default: return EXIT_FAILED;
    }
}

const char *verdict_word(int32_t verdict)
{
    static const char *const words[] = { "no lock", "removed", "held", "undecided", "ignored", "changed", "stale" };
    return verdict >= 0 && verdict <= STEADFAST_LOCK_STALE ? words[verdict] : "failed";
}

int worse(int one, int other)
{
    static const int order[] = { EXIT_DONE,    EXIT_RESERVATION, EXIT_HELD,    EXIT_UNDECIDED,
                                 EXIT_MISSING, EXIT_CONFLICT,    EXIT_DAMAGED, EXIT_FAILED };
    for (size_t rank = sizeof order / sizeof order[0]; rank > 0; rank--) {
        if (one == order[rank - 1] || other == order[rank - 1]) {
            return order[rank - 1];
        }
    }
    return one;
}

int summed_up(int worst, int changed)
{
    /* EXIT_FAILED would say that nothing has changed. */
    return worst == EXIT_FAILED && changed ? EXIT_RESERVATION : worst;
}

int tells_success(const struct arguments *arguments)
{
    return arguments->verbose || (!arguments->quiet && isatty(STDOUT_FILENO));
}

int has_more_to_say(const steadfast_report *report)
{
    const char *done = steadfast_status_message(STEADFAST_OK);
    return strncmp(report->message, done, strlen(done)) != 0;
}

static int has_previous(const char *path)
{
    size_t len = strlen(path) + sizeof ".prev";
    char *previous = malloc(len);
    if (previous == NULL) {
        return 0;
    }
    snprintf(previous, len, "%s.prev", path);
    int there = access(previous, F_OK) == 0;
    free(previous);
    return there;
}

/* An empty lock file, of which it is not known who holds it. */
static int is_empty_lock(const char *path, const steadfast_report *report)
{
    struct stat file;
    return report->pid == 0 && lstat(path, &file) == 0 && S_ISREG(file.st_mode) && file.st_size == 0;
}

/* The option that would help, and how; NULL: none would. */
static const char *advice(const struct arguments *arguments, const char *path, const steadfast_report *report)
{
    unsigned command = arguments->command->bit;
    int32_t status = report->status;
    if ((command & (SAVE | UPDATE | REMOVE)) != 0 && status == STEADFAST_E_SYMLINK) {
        return "--follow uses what the link points to";
    }
    if ((command & (SAVE | UPDATE | REMOVE)) != 0 && status == STEADFAST_E_BUSY) {
        return "--timeout SECONDS waits longer";
    }
    if ((command & (SAVE | UPDATE)) != 0 && status == -ENOENT && report->step == STEADFAST_STEP_OPEN_DIRECTORY) {
        return "--parents creates missing directories";
    }
    if ((command & (SAVE | UPDATE)) != 0 && (arguments->save.flags & STEADFAST_SAVE_IN_PLACE) == 0
        && (status == -EBUSY || ((status == -EACCES || status == -EROFS) && access(path, W_OK) == 0))) {
        return "--in-place writes a file that cannot be replaced";
    }
    if ((command & (UPDATE | WATCH)) != 0 && status == STEADFAST_E_FORMAT && (arguments->load.flags & STEADFAST_LOAD_PLAIN) == 0) {
        return "--plain is for a file that is no record";
    }
    if ((command & (LOAD | INFO | UPDATE)) != 0 && (arguments->load.flags & STEADFAST_LOAD_RECOVER) == 0
        && (exit_code(status) == EXIT_DAMAGED || status == STEADFAST_E_LOST) && has_previous(path)) {
        return "--recover takes the previous generation, PATH.prev";
    }
    if ((command & (LOCK | INSPECT | CLEAN)) != 0 && (status == STEADFAST_E_LOCKED || status == STEADFAST_LOCK_UNDECIDED)
        && is_empty_lock(path, report)) {
        return "--empty-grace SECONDS takes an empty lock file for stale that has not changed for so long";
    }
    return NULL;
}

void complain(const struct arguments *arguments, const char *path, const steadfast_report *report)
{
    const char *help = advice(arguments, path, report);
    fprintf(stderr, "steadfast: %s [%s]\n", report->message, steadfast_status_name(report->status));
    if (help != NULL) {
        fprintf(stderr, "steadfast: %s\n", help);
    }
}

int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
