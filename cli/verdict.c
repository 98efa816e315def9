/* inspect, clean. */
#define _XOPEN_SOURCE 700
#include "cli.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

static int verdict_code(int32_t verdict)
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

static const char *verdict_word(int32_t verdict)
{
    static const char *const words[] = { "no lock", "removed", "held", "undecided", "ignored", "changed", "stale" };
    return verdict >= 0 && verdict <= STEADFAST_LOCK_STALE ? words[verdict] : "failed";
}

/* Steps over --json and --; the rest are paths, from *first on. Returns 0 for another option. */
static int parse_paths(int argc, char **argv, int *first, int *as_json)
{
    int at = 1;
    *as_json = 0;
    while (at < argc && is_option(argv, &at, "--json")) {
        *as_json = 1;
    }
    if (at < argc && strcmp(argv[at], "--") == 0) {
        at++;
    } else if (at < argc && argv[at][0] == '-' && argv[at][1] != '\0') {
        return 0;
    }
    *first = at;
    return 1;
}

/* Name of the process that lives, "" where it cannot be told. */
static void process_name(int64_t pid, char *name, size_t size)
{
    char source[64];
    name[0] = '\0';
    snprintf(source, sizeof source, "/proc/%lld/comm", (long long)pid);
    FILE *comm = fopen(source, "r");
    if (comm != NULL) {
        if (fgets(name, (int)size, comm) != NULL) {
            name[strcspn(name, "\n")] = '\0';
        }
        fclose(comm);
    }
}

int command_inspect(int argc, char **argv)
{
    int at, as_json;
    if (!parse_paths(argc, argv, &at, &as_json)) {
        return usage_error("inspect: no such option", argv[as_json + 1]);
    }
    if (argc - at != 1) {
        return usage_error("inspect: one path", NULL);
    }
    const char *path = argv[at];
    /* Before the verdict: what is told about a file must not be younger than it. */
    struct stat file;
    int there = lstat(path, &file) == 0;
    steadfast_report report = { .size = sizeof report };
    int32_t verdict = steadfast_lock_inspect(NULL, path, NULL, &report);
    char name[64] = "", when[32] = "";
    struct tm utc;
    if (verdict == STEADFAST_LOCK_HELD && report.pid > 0) {
        process_name(report.pid, name, sizeof name);
    }
    if (there && verdict > STEADFAST_LOCK_ABSENT && gmtime_r(&file.st_mtime, &utc) != NULL
        && strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0) {
        when[0] = '\0';
    }
    if (as_json) {
        struct json json;
        json_begin(&json, stdout, argv[0], path);
        json_result(&json, verdict_code(verdict), &report);
        json_text(&json, "verdict", verdict_word(verdict));
        json_number(&json, "pid", report.pid);
        json_text(&json, "process", name);
        json_text(&json, "since", when);
        json_end(&json);
        putchar('\n');
        return verdict_code(verdict);
    }
    if (verdict < 0) {
        complain(&report);
        return EXIT_FAILED;
    }
    printf("path     %s\n", path);
    printf("verdict  %s\n", verdict_word(verdict));
    printf("because  %s\n", report.message);
    if (report.pid > 0) {
        printf("pid      %lld%s%s\n", (long long)report.pid, name[0] != '\0' ? " " : "", name);
    }
    if (when[0] != '\0') {
        printf("since    %s\n", when);
    }
    return verdict_code(verdict);
}

int command_clean(int argc, char **argv)
{
    int first, as_json;
    if (!parse_paths(argc, argv, &first, &as_json)) {
        return usage_error("clean: no such option", argv[as_json + 1]);
    }
    if (first >= argc) {
        return usage_error("clean: no path", NULL);
    }
    /* The worst tells: failed, undecided, held, done. */
    static const int order[] = { EXIT_DONE, EXIT_HELD, EXIT_UNDECIDED, EXIT_FAILED };
    size_t worst = 0;
    int removed = 0;
    for (int i = first; i < argc; i++) {
        steadfast_report report = { .size = sizeof report };
        int32_t verdict = steadfast_lock_clean_stale(NULL, argv[i], NULL, &report);
        if (as_json) {
            struct json json;
            fputs(i == first ? "[" : ", ", stdout);
            json_begin(&json, stdout, argv[0], argv[i]);
            json_result(&json, verdict_code(verdict), &report);
            json_text(&json, "verdict", verdict_word(verdict));
            json_number(&json, "pid", report.pid);
            json_end(&json);
        } else if (verdict < 0) {
            complain(&report);
        } else {
            printf("%s: %s (%s)\n", argv[i], verdict_word(verdict), report.message);
        }
        removed |= verdict == STEADFAST_LOCK_REMOVED;
        for (size_t rank = worst + 1; rank < sizeof order / sizeof order[0]; rank++) {
            if (verdict_code(verdict) == order[rank]) {
                worst = rank;
            }
        }
    }
    if (as_json) {
        puts("]");
    }
    /* EXIT_FAILED would say that nothing has changed. */
    return order[worst] == EXIT_FAILED && removed ? EXIT_RESERVATION : order[worst];
}
