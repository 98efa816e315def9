/* The C one of the workers; README.md has the protocol. */
#include <inttypes.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <steadfast.h>

static steadfast_report report;

static int32_t check(int32_t status)
{
    if (status < 0) {
        fprintf(stderr, "%s: %s\n", steadfast_status_name(status), report.message);
        exit(1);
    }
    return status;
}

static int32_t save(const char *path, long number, uint32_t flags, uint64_t generation)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%ld", number);
    steadfast_save_options options = { .size = sizeof options, .flags = flags, .expected_generation = generation };
    return steadfast_state_save(NULL, path, text, (size_t)len, &options, &report);
}

static long number_in(const char *path, uint64_t *generation)
{
    steadfast_state state = { .size = sizeof state };
    *generation = 0;
    if (steadfast_state_load(NULL, path, NULL, &state, &report) == -ENOENT)
        return 0;
    check(report.status);
    long number = strtol(state.data, NULL, 10);
    *generation = state.generation;
    steadfast_state_free(&state);
    return number;
}

static steadfast_lock *take(const char *path)
{
    steadfast_lock *lock = NULL;
    check(steadfast_lock_acquire(NULL, path, 60000, NULL, &lock, &report));
    return lock;
}

int main(int argc, char **argv)
{
    report.size = sizeof report;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc < 3)
        return 2;
    const char *command = argv[1], *path = argv[2], *last = argv[argc - 1];
    uint64_t generation;

    if (!strcmp(command, "save")) {
        check(steadfast_state_save(NULL, path, last, strlen(last), NULL, &report));
    } else if (!strcmp(command, "load")) {
        steadfast_state state = { .size = sizeof state };
        check(steadfast_state_load(NULL, path, NULL, &state, &report));
        fwrite(state.data, 1, state.len, stdout);
        steadfast_state_free(&state);
    } else if (!strcmp(command, "increment") && argc == 5) {
        for (long left = atol(last); left > 0; left--) {
            steadfast_lock *lock = take(path);
            check(save(argv[3], number_in(argv[3], &generation) + 1, STEADFAST_SAVE_NO_SYNC, 0));
            check(steadfast_lock_release(lock, &report));
        }
    } else if (!strcmp(command, "swap")) {
        for (long left = atol(last); left > 0;) {
            long number = number_in(path, &generation);
            if (save(path, number + 1, STEADFAST_SAVE_NO_SYNC | STEADFAST_SAVE_IF_GENERATION, generation) >= 0)
                left--;
            else if (report.status != STEADFAST_E_CONFLICT)
                check(report.status);
        }
    } else if (!strcmp(command, "hold")) {
        steadfast_lock *lock = take(path);
        printf("held %ld\n", (long)getpid());
        while (getchar() != EOF)
            ;
        check(steadfast_lock_release(lock, &report));
    } else if (!strcmp(command, "wait")) {
        steadfast_lock *lock = NULL;
        if (steadfast_lock_acquire(NULL, path, 0, NULL, &lock, &report) == STEADFAST_E_LOCKED)
            printf("locked by %" PRId64 "\n", report.pid);
        lock = take(path);
        printf("got %ld\n", (long)getpid());
        check(steadfast_lock_release(lock, &report));
    } else {
        return 2;
    }
    return 0;
}
