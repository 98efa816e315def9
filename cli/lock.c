/* lock, inspect, clean. */
#define _XOPEN_SOURCE 700
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* What ends the wait, and is handed on to the command afterwards. */
static const int SIGNALS[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 };
enum { SIGNAL_COUNT = sizeof SIGNALS / sizeof SIGNALS[0] };

static volatile sig_atomic_t child;   /* the command's PID, 0 before there is one */
static volatile sig_atomic_t caught;  /* the signal that came before that */

static void on_signal(int signal, siginfo_t *info, void *context)
{
    (void)context;
    int saved = errno;
    if (child == 0) {
        if (signal != SIGALRM) {
            caught = signal;
        }
        /* It may have come just before the wait went to sleep: come again until it has been seen. */
        alarm(1);
    } else if (signal != SIGALRM) {
#ifdef SI_KERNEL
        /* From the terminal: the command, in the same process group, has got it too. */
        if (info->si_code != SI_KERNEL)
#endif
            kill((pid_t)child, signal);
    }
    (void)info;
    errno = saved;
}

/* Lets the command inherit the lock's descriptor, as flock(1) does: should we be killed, the lock stays held
   while the command runs. The library opens it close-on-exec; it is the one with the inode of the path. */
static void bequeath(const char *path)
{
    struct stat named, opened;
    long most = sysconf(_SC_OPEN_MAX);
    if (most < 0 || most > 1024) {
        most = 1024;
    }
    if (lstat(path, &named) != 0) {
        return;
    }
    for (int fd = 3; fd < (int)most; fd++) {
        if (fstat(fd, &opened) == 0 && opened.st_dev == named.st_dev && opened.st_ino == named.st_ino) {
            fcntl(fd, F_SETFD, 0);
        }
    }
}

/* Runs the command to its end; its exit code, as a shell gives it. `ours` are the signals caught, `before` and `old` what was
   before them. */
static int run(const char *path, char **command, const sigset_t *ours, const sigset_t *before, const struct sigaction *old)
{
    sigprocmask(SIG_BLOCK, ours, NULL);
    pid_t pid = caught != 0 ? -1 : fork();
    if (pid == 0) {
        bequeath(path);
        for (int i = 0; i < SIGNAL_COUNT; i++) {
            sigaction(SIGNALS[i], &old[i], NULL);
        }
        sigprocmask(SIG_SETMASK, before, NULL);
        execvp(command[0], command);
        int error = errno;
        fprintf(stderr, "steadfast: %s: %s\n", command[0], strerror(error));
        _exit(error == ENOENT ? 127 : 126);
    }
    if (pid < 0) {
        if (caught != 0) {
            return 128 + caught;
        }
        fprintf(stderr, "steadfast: fork: %s\n", strerror(errno));
        return EXIT_LOCK_FAILED;
    }
    child = pid;
    sigprocmask(SIG_SETMASK, before, NULL);
    /* Only look at first: its PID is its own, and may be signalled, until it is reaped. */
    siginfo_t info;
    while (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) != 0 && errno == EINTR) {}
    sigprocmask(SIG_BLOCK, ours, NULL);
    int status = 0;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            return EXIT_LOCK_FAILED;
        }
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

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
    } else if (report->status != STEADFAST_OK && report->status != -EINTR) {
        complain(report);
    }
}

static int lock_and_run(const char *path, int64_t timeout_ms, char **command, int as_json)
{
    sigset_t ours, before;
    struct sigaction old[SIGNAL_COUNT], action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO;  /* no SA_RESTART: the wait is to end */
    sigemptyset(&action.sa_mask);
    sigemptyset(&ours);
    sigaction(SIGALRM, &action, NULL);
    for (int i = 0; i < SIGNAL_COUNT; i++) {
        sigaction(SIGNALS[i], NULL, &old[i]);
        /* What was ignored, as nohup does, stays ignored. */
        if (old[i].sa_handler != SIG_IGN) {
            sigaction(SIGNALS[i], &action, NULL);
            sigaddset(&ours, SIGNALS[i]);
        }
    }
    sigaddset(&ours, SIGALRM);
    sigprocmask(SIG_SETMASK, NULL, &before);

    steadfast_lock_options options = { .size = sizeof options, .flags = STEADFAST_LOCK_EINTR_RETURNS };
    steadfast_report report = { .size = sizeof report };
    steadfast_lock *lock = NULL;
    int32_t status;
    do {
        status = steadfast_lock_acquire(NULL, path, timeout_ms, &options, &lock, &report);
        /* Stopped and continued, for one, is no reason to give up; then the time counts anew. */
    } while (status == -EINTR && caught == 0);
    alarm(0);
    int result;
    if (status != STEADFAST_OK) {
        result = status == -EINTR ? 128 + caught : status == STEADFAST_E_LOCKED ? EXIT_LOCK_BUSY : EXIT_LOCK_FAILED;
        tell(as_json, path, result, 0, &report);
        return result;
    }
    result = run(path, command, &ours, &before, old);
    status = steadfast_lock_release(lock, &report);
    if (status != STEADFAST_OK && result == 0) {
        result = EXIT_LOCK_FAILED;
    }
    tell(as_json, path, result, child != 0, &report);
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
        for (size_t rank = worst + 1; rank < sizeof order / sizeof order[0]; rank++) {
            if (verdict_code(verdict) == order[rank]) {
                worst = rank;
            }
        }
    }
    if (as_json) {
        puts("]");
    }
    return order[worst];
}
