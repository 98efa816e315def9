/*
 * steadfast: state files and lock files from the shell. It uses nothing but the public header.
 *
 *     cd cli && cc -std=c11 -pthread *.c $(pkg-config --cflags --libs steadfast) -o steadfast
 */
#define _XOPEN_SOURCE 700
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const struct command COMMANDS[] = {
    { "save", SAVE, command_save, 1, 0, 1, "PATH [-- COMMAND [ARGUMENT]...]",
      "                         save standard input; or what COMMAND writes, if it ends with 0\n" },
    { "load", LOAD, command_load, 0, 0, 0, "PATH", "                         verify the state, then write it to standard output\n" },
    { "verify", VERIFY, command_verify, 0, 1, 0, "PATH...", "                         verify each and say so\n" },
    { "info", INFO, command_info, 0, 1, 0, "PATH...",
      "                         the generation, time, schema, length, digest and source of each\n" },
    { "update", UPDATE, command_update, 1, 0, 2, "PATH -- FILTER [ARGUMENT]...",
      "                         save what FILTER makes of the state on its standard input, if it ends with 0; it runs again\n"
      "                         when another process has saved meanwhile\n" },
    { "watch", WATCH, command_watch, 0, 0, 1, "PATH [-- COMMAND [ARGUMENT]...]",
      "                         print each new generation, or run COMMAND for it, with the number in STEADFAST_GENERATION\n" },
    { "remove", REMOVE, command_remove, 1, 1, 0, "PATH...",
      "                         remove each and its PATH.prev, so that no older state comes back\n" },
    { "lock", LOCK, command_lock, 0, 0, 2, "PATH [--] COMMAND [ARGUMENT]...",
      "                         run a command under the lock, waiting for it; a signal reaches the command once. After a second\n"
      "                         standard error says who holds it. A lock inside itself (STEADFAST_LOCKS names those held) is refused\n" },
    { "inspect", INSPECT, command_inspect, 0, 1, 0, "PATH...",
      "                         who holds each, since when, and why it is stale or not\n" },
    { "clean", CLEAN, command_clean, 1, 1, 0, "PATH...", "                         remove those that are stale\n" },
    { "sweep", SWEEP, command_sweep, 1, 1, 0, "DIRECTORY...",
      "                         remove the temporary files that killed writers left in it\n" },
};
const size_t COMMAND_COUNT = sizeof COMMANDS / sizeof COMMANDS[0];

/* A standard stream that is closed must not become a file of ours. In its place stands what can be neither read nor written
   to, so that it fails as before; for the command of `lock` it is closed. */
static void keep_standard_streams(void)
{
    for (int fd = 0; fd < 3; fd++) {
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF && open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) == fd) {
            fcntl(fd, F_SETFD, FD_CLOEXEC);
        }
    }
}

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(name, COMMANDS[i].name) == 0) {
            return &COMMANDS[i];
        }
    }
    return NULL;
}

static int is(const char *argument, const char *one, const char *other)
{
    return strcmp(argument, one) == 0 || strcmp(argument, other) == 0;
}

/* What can be asked for without a command. -1: nothing of that. */
static int without_command(int argc, char **argv)
{
    if (is(argv[1], "--version", "-V")) {
        printf("steadfast %s\n", steadfast_version());
        return EXIT_DONE;
    }
    if (!is(argv[1], "--help", "-h") && strcmp(argv[1], "help") != 0) {
        return -1;
    }
    const struct command *of = argc > 2 ? find(argv[2]) : NULL;
    if (argc > 2 && of == NULL) {
        return usage_error(NULL, "no such command", argv[2]);
    }
    if (of != NULL) {
        help_command(stdout, of);
    } else {
        help(stdout);
    }
    return EXIT_DONE;
}

int main(int argc, char **argv)
{
    struct arguments arguments;
    keep_standard_streams();
    if (argc < 2) {
        help(stderr);
        return EXIT_USAGE;
    }
    int changes = 0, result = without_command(argc, argv);
    const struct command *command = result < 0 ? find(argv[1]) : NULL;
    if (result < 0 && command == NULL) {
        return usage_error(NULL, "no such command", argv[1]);
    }
    if (command != NULL) {
        result = parse_arguments(command, argc - 1, argv + 1, &arguments);
    }
    if (result < 0) {
        changes = command->changes;
        if (changes) {
            /* Nobody reads what it says: the exit code tells all the same. */
            signals_ignore_pipe();
        }
        result = command->run(&arguments);
    }
    /* A full disk or a closed pipe on standard output is found here. What was changed stays so, and so does its exit code. */
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "steadfast: standard output: %s%s\n", strerror(errno), changes ? "; what was done stands" : "");
        return result == EXIT_DONE && !changes ? EXIT_FAILED : result;
    }
    return result;
}
