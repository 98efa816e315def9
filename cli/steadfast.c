/*
 * steadfast: state files and lock files from the shell. It uses nothing but the public header.
 *
 *     cd cli && cc -std=c11 *.c $(pkg-config --cflags --libs steadfast) -o steadfast
 */
#define _XOPEN_SOURCE 700
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char HELP_STATES[] =
    "usage: steadfast COMMAND [OPTIONS] PATH...\n"
    "\n"
    "State files: after a crash at any moment the old state or the new one is there, whole.\n"
    "  save PATH [-- COMMAND [ARGUMENT]...]\n"
    "                         save standard input; or what COMMAND writes, if it ends with 0\n"
    "    --plain                save the bytes alone, for any program to read; what verifies them is an extended attribute\n"
    "    --strict               not durable is an error\n"
    "    --keep-previous        the generation before stays as PATH.prev\n"
    "    --if-generation N      only if generation N is there; 0: only if nothing is there, no previous one either\n"
    "    --follow               save to what a symbolic link at PATH points to\n"
    "    --parents              make missing directories\n"
    "    --mode MODE            permission bits of a new file, octal (0600)\n"
    "    --schema N             a format number of yours, kept with the state\n"
    "  load PATH              verify the state, then write it to standard output\n"
    "    --recover              take PATH.prev when PATH is damaged or missing\n"
    "    --schema N             the format number must be N\n"
    "    --plain                it is a plain file; without this load, verify and info find out\n"
    "    --verified             a plain file that is changed, or cannot be verified, is an error\n"
    "  verify PATH            verify it and say so\n"
    "    --plain                as above\n"
    "  info PATH              its generation, time, schema, length, digest and source\n"
    "    --recover, --plain, --verified\n"
    "                           as above\n"
    "  update PATH -- FILTER [ARGUMENT]...\n"
    "                         save what FILTER makes of the state on its standard input, if it ends with 0; it runs again\n"
    "                         when another process has saved meanwhile\n"
    "    --plain, --verified, --strict, --keep-previous, --follow, --parents, --mode MODE, --recover\n"
    "                           as above\n"
    "    --schema N             another format number; without it the one of the state stays\n"
    "  watch PATH [-- COMMAND [ARGUMENT]...]\n"
    "                         print each new generation, or run COMMAND for it, with the number in STEADFAST_GENERATION\n"
    "    --since N              the generation that is known, 0: none (the one that is there)\n"
    "    --once                 end after the first one\n"
    "    --plain, --verified    as above\n"
    "  remove PATH            remove it and PATH.prev, so that no older state comes back\n"
    "    --plain                it is a plain file\n"
    "    --strict               not durable is an error\n"
    "    --if-generation N      only if generation N is there\n"
    "    --follow               remove what a symbolic link at PATH points to\n"
    "\n";

static const char HELP_LOCKS[] =
    "Lock files: a PID and a newline; a stale one is never in the way, a live one never taken.\n"
    "  lock PATH -- COMMAND [ARGUMENT]...\n"
    "                         run a command under the lock, waiting for it; a signal reaches the command once\n"
    "    --timeout SECONDS      wait no longer\n"
    "    --nonblock             do not wait\n"
    "  inspect PATH           who holds it, since when, and why it is stale or not\n"
    "  clean PATH...          remove those that are stale\n"
    "\n";

static const char HELP_ALL[] =
    "Every command takes --json before its path: one line with an object (clean: an array of one for each path) that has\n"
    "command, path, exit_code, status, status_name, message, errno and step, and what the command finds out besides:\n"
    "  save                   on_disk, generation, length\n"
    "  update                 on_disk, generation, length\n"
    "  watch                  generation; one line for each\n"
    "  remove                 on_disk, generation\n"
    "  load, verify, info     generation, saved, saved_at_ns, schema, length, sha256, source; load: data_base64;\n"
    "                         of a plain file also kind and attribute (matches, differs, none), and if it differs attribute_generation,\n"
    "                         attribute_saved_at_ns, attribute_schema, attribute_length, attribute_sha256\n"
    "  lock                   ran, pid; on standard error, when COMMAND has ended\n"
    "  inspect, clean         verdict, pid; inspect: process, since\n"
    "A path that is not UTF-8 is shown with U+FFFD, and exactly in path_base64. Wrong arguments, a standard input that cannot be read, and a COMMAND or FILTER that fails, are told in words.\n"
    "\n"
    "Exit codes:\n"
    "  0    done\n"
    "  1    not done; nothing has changed\n"
    "  2    wrong arguments\n"
    "  3    done with a reservation: saved but not known to be durable, or perhaps not saved; loaded from PATH.prev;\n"
    "       a plain file that was changed or that nothing verifies; clean: not all\n"
    "  4    the state is damaged, or the file is no state; verify, --verified: changed, or nothing verifies it\n"
    "  5    there is no state\n"
    "  6    --if-generation: another generation is there\n"
    "  7    inspect, clean: the lock is held\n"
    "  8    inspect, clean: it cannot be known whether it is held; left alone\n"
    "  lock gives the exit code of COMMAND; it ends by signal N when that ended COMMAND or the wait (128 + N in a shell); its own are\n"
    "  124  the lock was not got in time\n"
    "  125  the lock could not be taken, or was taken away while COMMAND ran\n"
    "  126  COMMAND cannot be run\n"
    "  127  there is no COMMAND\n"
    "  When standard output cannot be written to, save, update, remove and clean say so on standard error and keep their exit code: what was done stands.\n"
    "\n"
    "  steadfast --version, steadfast --help (or: steadfast help)\n";

void complain(const steadfast_report *report)
{
    fprintf(stderr, "steadfast: %s [%s]\n", report->message, steadfast_status_name(report->status));
}

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

int usage_error(const char *what, const char *argument)
{
    fprintf(stderr, "steadfast: %s%s%s; see steadfast --help\n", what, argument != NULL ? ": " : "", argument != NULL ? argument : "");
    return EXIT_USAGE;
}

int is_option(char **argv, int *at, const char *name)
{
    if (strcmp(argv[*at], name) != 0) {
        return 0;
    }
    ++*at;
    return 1;
}

const char *option_value(int argc, char **argv, int *at, const char *name)
{
    size_t len = strlen(name);
    if (*at >= argc) {
        return NULL;
    }
    const char *argument = argv[*at];
    if (strncmp(argument, name, len) != 0 || (argument[len] != '\0' && argument[len] != '=')) {
        return NULL;
    }
    ++*at;
    if (argument[len] == '=') {
        return argument + len + 1;
    }
    if (*at >= argc) {
        return NULL;
    }
    return argv[(*at)++];
}

int parse_number(const char *text, int base, uint64_t most, uint64_t *out)
{
    if (text == NULL || text[0] < '0' || text[0] > '9') {
        return 0;  /* strtoull takes blanks, signs and nothing at all */
    }
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, base);
    if (errno != 0 || *end != '\0' || value > most) {
        return 0;
    }
    *out = value;
    return 1;
}

static void help(FILE *out)
{
    fputs(HELP_STATES, out);
    fputs(HELP_LOCKS, out);
    fputs(HELP_ALL, out);
}

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

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        int (*run)(int argc, char **argv);
        int changes;  /* something on disk */
    } commands[] = {
        { "save", command_save, 1 },       { "load", command_load, 0 },   { "verify", command_verify, 0 }, { "info", command_info, 0 },
        { "update", command_update, 1 },   { "watch", command_watch, 0 }, { "remove", command_remove, 1 }, { "lock", command_lock, 0 },
        { "inspect", command_inspect, 0 }, { "clean", command_clean, 1 },
    };
    keep_standard_streams();
    if (argc < 2) {
        help(stderr);
        return EXIT_USAGE;
    }
    int result = -1, changes = 0;
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        help(stdout);
        result = EXIT_DONE;
    } else if (strcmp(argv[1], "--version") == 0) {
        printf("steadfast %s\n", steadfast_version());
        result = EXIT_DONE;
    }
    for (size_t i = 0; result < 0 && i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(argv[1], commands[i].name) == 0) {
            changes = commands[i].changes;
            if (changes) {
                /* Nobody reads what it says: the exit code tells all the same. */
                signals_ignore_pipe();
            }
            result = commands[i].run(argc - 1, argv + 1);
        }
    }
    if (result < 0) {
        return usage_error("no such command", argv[1]);
    }
    /* A full disk or a closed pipe on standard output is found here. What was changed stays so, and so does its exit code. */
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "steadfast: standard output: %s%s\n", strerror(errno), changes ? "; what was done stands" : "");
        return result == EXIT_DONE && !changes ? EXIT_FAILED : result;
    }
    return result;
}
