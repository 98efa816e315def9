/*
 * TAP, and nothing more: ok, skip, done_testing. Include it first: it sets the feature macros.
 *
 * Each test program ends with `return done_testing();`, which prints the plan and then one plain line,
 * `N passed, N failed` or `N passed, N failed, N skipped`, that run.sh adds up.
 */
#ifndef TAP_H
#define TAP_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int tap_run, tap_failed, tap_skipped;
static long tap_owner;

static inline void tap_begin(void)
{
    if (tap_owner == 0) {
        tap_owner = (long)getpid();
        /* Whole lines, so that nothing is printed twice by a forked child. */
        setvbuf(stdout, NULL, _IOLBF, 0);
    }
    if (tap_owner != (long)getpid()) {
        fprintf(stderr, "a forked child must answer by its exit status, not by ok()\n");
        _exit(99);
    }
}

__attribute__((format(printf, 4, 5))) static inline int tap_ok(int passed, const char *file, int line, const char *format, ...)
{
    char name[512];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    tap_begin();
    tap_run++;
    printf("%sok %d - %s\n", passed ? "" : "not ", tap_run, name);
    if (!passed) {
        tap_failed++;
        printf("#   failed at %s:%d\n", file, line);
    }
    return passed;
}

/* One test: ok(condition, "name, as for printf", ...). Returns the condition. */
#define ok(condition, ...) tap_ok(!!(condition), __FILE__, __LINE__, __VA_ARGS__)

/* Two numbers that must be the same; says which they were. */
#define is_int(got, expected, ...) tap_is((long long)(got), (long long)(expected), #got, __FILE__, __LINE__, __VA_ARGS__)

__attribute__((format(printf, 6, 7))) static inline int tap_is(long long got, long long expected, const char *what, const char *file,
                                                               int line, const char *format, ...)
{
    char name[400];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    tap_ok(got == expected, file, line, "%s", name);
    if (got != expected)
        printf("#   %s is %lld, expected %lld\n", what, got, expected);
    return got == expected;
}

/* A line for whoever reads a failure. */
__attribute__((format(printf, 1, 2))) static inline void diag(const char *format, ...)
{
    va_list args;
    tap_begin();
    fputs("#   ", stdout);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    fputc('\n', stdout);
}

/* A test that cannot run here: skip("needs root", "name, as for printf", ...). */
__attribute__((format(printf, 2, 3))) static inline void skip(const char *reason, const char *format, ...)
{
    char name[512];
    va_list args;
    va_start(args, format);
    vsnprintf(name, sizeof name, format, args);
    va_end(args);
    tap_begin();
    tap_run++;
    tap_skipped++;
    printf("SKIPPED: %s\n", reason);
    printf("ok %d - %s # SKIP %s\n", tap_run, name, reason);
}

/* Ends the program for a fault of the test itself, not of what it tests. */
__attribute__((format(printf, 1, 2), noreturn)) static inline void bail_out(const char *format, ...)
{
    va_list args;
    fputs("Bail out! ", stdout);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    fputc('\n', stdout);
    fflush(stdout);
    _exit(98);
}

/* The plan and the sum; the exit code. */
static inline int done_testing(void)
{
    tap_begin();
    printf("1..%d\n", tap_run);
    printf("%d passed, %d failed", tap_run - tap_failed - tap_skipped, tap_failed);
    if (tap_skipped != 0)
        printf(", %d skipped", tap_skipped);
    printf("\n");
    fflush(stdout);
    return tap_failed != 0 || tap_run == 0;
}

#endif
