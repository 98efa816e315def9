/* The options of all commands: one table, from which they are parsed, and from which the usage and the help are written. */
#define _GNU_SOURCE /* getopt_long */
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

enum kind {
    FLAG,  /* sets what stands in the row */
    CONFLICT_CODE,
    EMPTY_GRACE,
    GENERATION,
    HELP,
    LOCK_MODE,
    MAX_LEN,
    MODE,
    NONBLOCK,
    SAVE_TIMEOUT,
    SCHEMA,
    SHELL,
    SINCE,
    TIMEOUT,
    VERSION,
    DRY_RUN,
    EXEC,
    JSON,
    LOCKS,
    NO_FORWARD,
    ONCE,
    QUIET,
    VERBOSE
};

struct row {
    const char *name;
    char letter;
    unsigned commands;
    enum kind kind;
    uint32_t save, load, lock;  /* of a FLAG: the library's */
    const char *value;          /* NULL: it takes none */
    const char *help;           /* its lines end in \n */
};

enum { SAVES = SAVE | UPDATE | REMOVE, LOADS = LOAD | VERIFY | INFO, STATES = SAVES | LOADS | WATCH, JUDGES = LOCK | INSPECT | CLEAN };

static const struct row ROWS[] = {
    { "plain", 0, SAVE, FLAG, STEADFAST_SAVE_PLAIN, 0, 0, NULL,
      "save the bytes alone, for any program to read; what verifies them is an extended attribute\n" },
    { "plain", 0, STATES & ~SAVE, FLAG, STEADFAST_SAVE_PLAIN, STEADFAST_LOAD_PLAIN, 0, NULL,
      "it is a plain file; load, verify and info find that out themselves\n" },
    { "verified", 0, LOAD | INFO | UPDATE | WATCH, FLAG, 0, STEADFAST_LOAD_REQUIRE_VERIFIED, 0, NULL,
      "a plain file that is changed, or cannot be verified, is an error\n" },
    { "recover", 0, LOAD | INFO | UPDATE, FLAG, 0, STEADFAST_LOAD_RECOVER, 0, NULL, "take PATH.prev if PATH is damaged or missing\n" },
    { "max-len", 0, LOADS | UPDATE | WATCH, MAX_LEN, 0, 0, 0, "BYTES", "a longer state is an error\n" },
    { "strict", 0, SAVES, FLAG, STEADFAST_SAVE_STRICT, 0, 0, NULL, "not durable is an error\n" },
    { "no-sync", 0, SAVE | UPDATE, FLAG, STEADFAST_SAVE_NO_SYNC, 0, 0, NULL, "do not wait for the disk: a power cut may leave no state\n" },
    { "keep-previous", 0, SAVE | UPDATE, FLAG, STEADFAST_SAVE_KEEP_PREVIOUS, 0, 0, NULL, "the previous generation stays as PATH.prev\n" },
    { "alternate", 0, SAVE | UPDATE, FLAG, STEADFAST_SAVE_ALTERNATE, 0, 0, NULL,
      "one flush instead of two to four: PATH and PATH.prev take turns, and the newer one is the state\n" },
    { "keep-attributes", 0, SAVE | UPDATE, FLAG, STEADFAST_SAVE_KEEP_ATTRIBUTES, 0, 0, NULL,
      "extended attributes and labels stay as well\n" },
    { "in-place", 0, SAVE | UPDATE, FLAG, STEADFAST_SAVE_IN_PLACE, 0, 0, NULL,
      "write a file in place that cannot be replaced (mounted by itself), after a copy as PATH.prev\n" },
    { "if-generation", 0, SAVE | REMOVE, GENERATION, 0, 0, 0, "N",
      "only if generation N is there; 0: only if there is no state and no PATH.prev\n" },
    { "follow", 0, SAVES, FLAG, STEADFAST_SAVE_FOLLOW_SYMLINK, 0, 0, NULL, "if PATH is a symbolic link, use what it points to\n" },
    { "parents", 0, SAVE | UPDATE, FLAG, STEADFAST_SAVE_CREATE_PARENTS, 0, 0, NULL, "create missing directories\n" },
    { "mode", 0, SAVE | UPDATE, MODE, 0, 0, 0, "MODE", "permission bits of a new file, octal (0600)\n" },
    { "set-mode", 0, SAVE | UPDATE, FLAG, STEADFAST_SAVE_SET_MODE, 0, 0, NULL, "--mode is for a file that is there as well\n" },
    { "schema", 0, SAVE | UPDATE, SCHEMA, 0, 0, 0, "N",
      "a format number of yours, kept with the state; update: the old one stays without it\n" },
    { "schema", 0, LOADS, SCHEMA, 0, STEADFAST_LOAD_REQUIRE_SCHEMA, 0, "N", "the format number must be N\n" },
    { "timeout", 0, SAVES, SAVE_TIMEOUT, 0, 0, 0, "SECONDS", "wait no longer for other savers (10); infinity: for ever\n" },
    { "since", 0, WATCH, SINCE, 0, 0, 0, "N", "the generation that is known, 0: none (the one that is there)\n" },
    { "once", 0, WATCH, ONCE, 0, 0, 0, NULL, "end after the first one\n" },

    { "nonblock", 'n', LOCK, NONBLOCK, 0, 0, 0, NULL, "do not wait\n" },
    { "timeout", 'w', LOCK, TIMEOUT, 0, 0, 0, "SECONDS", "wait no longer\n" },
    { "conflict-exit-code", 'E', LOCK, CONFLICT_CODE, 0, 0, 0, "CODE", "exit code if the lock was not free in time (124)\n" },
    { "command", 'c', LOCK, SHELL, 0, 0, 0, "STRING", "run STRING by the shell ($SHELL, or /bin/sh)\n" },
    { "exec", 0, LOCK, EXEC, 0, 0, 0, NULL, "COMMAND takes the place of steadfast and keeps the lock, which is stale when it ends\n" },
    { "no-forward", 0, LOCK, NO_FORWARD, 0, 0, 0, NULL, "signals to steadfast do not go on to COMMAND; it waits on\n" },
    { "lock-mode", 0, LOCK, LOCK_MODE, 0, 0, 0, "MODE", "permission bits of the lock file, octal, less the umask (0644)\n" },
    { "empty-grace", 0, JUDGES, EMPTY_GRACE, 0, 0, 0, "SECONDS",
      "an empty lock file of another program is stale when unchanged for so long\n" },
    { "trust-start-time", 0, JUDGES, FLAG, 0, 0, STEADFAST_LOCK_TRUST_START_TIME, NULL,
      "a lock is stale if its process has started after it was written\n" },
    { "locks", 0, SWEEP, LOCKS, 0, 0, 0, NULL, "stale locks as well: marked as ours, or named lock, *.lock, *.lck or *.pid\n" },
    { "dry-run", 0, SWEEP, DRY_RUN, 0, 0, 0, NULL, "remove nothing; say what would be removed\n" },

    { "json", 0, EVERY, JSON, 0, 0, 0, NULL, "one line of JSON instead of words\n" },
    { "quiet", 'q', EVERY, QUIET, 0, 0, 0, NULL, "say nothing but errors\n" },
    { "verbose", 'v', EVERY, VERBOSE, 0, 0, 0, NULL, "tell a success where standard output is no terminal, too\n" },
    { "help", 'h', EVERY, HELP, 0, 0, 0, NULL, "this text, of one command or of all\n" },
    { "version", 'V', EVERY, VERSION, 0, 0, 0, NULL, "the version\n" },
};
enum { ROW_COUNT = sizeof ROWS / sizeof ROWS[0], LONG = 256 };

/* ---- the texts */

void print_usage(FILE *out, const struct command *command, const char *before)
{
    enum { WIDTH = 100 };
    int indent = (int)strlen(before);
    int at = fprintf(out, "%ssteadfast %s", before, command->name);
    for (size_t i = 0; i <= ROW_COUNT; i++) {
        char word[80];
        if (i == ROW_COUNT) {
            snprintf(word, sizeof word, " %s", command->operands);
        } else if ((ROWS[i].commands & command->bit) == 0 || ROWS[i].commands == EVERY) {
            continue;
        } else if (ROWS[i].letter != 0) {
            snprintf(word, sizeof word, " [-%c%s%s]", ROWS[i].letter, ROWS[i].value != NULL ? " " : "",
                     ROWS[i].value != NULL ? ROWS[i].value : "");
        } else {
            snprintf(word, sizeof word, " [--%s%s%s]", ROWS[i].name, ROWS[i].value != NULL ? " " : "",
                     ROWS[i].value != NULL ? ROWS[i].value : "");
        }
        if (at + (int)strlen(word) > WIDTH) {
            at = fprintf(out, "\n%*s", indent + 7, "") - 1;
        }
        at += fprintf(out, "%s", word);
    }
    fputc('\n', out);
}

void print_options(FILE *out, unsigned commands)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        const struct row *row = &ROWS[i];
        if (commands == EVERY ? row->commands == EVERY : (row->commands & commands) != 0 && row->commands != EVERY) {
            char head[40];
            snprintf(head, sizeof head, "%s%c%s--%s %s", row->letter != 0 ? "-" : "", row->letter != 0 ? row->letter : ' ',
                     row->letter != 0 ? ", " : "   ", row->name, row->value != NULL ? row->value : "");
            fprintf(out, "    %-30s %s", head, row->help);
        }
    }
}

int usage_error(const struct command *command, const char *what, const char *argument)
{
    fprintf(stderr, "steadfast%s%s: %s%s%s; see steadfast %s%s--help\n", command != NULL ? " " : "", command != NULL ? command->name : "",
            what, argument != NULL ? ": " : "", argument != NULL ? argument : "", command != NULL ? command->name : "",
            command != NULL ? " " : "");
    return EXIT_USAGE;
}

/* ---- the options of one command */

static const struct row *find(unsigned command, char letter)
{
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if ((ROWS[i].commands & command) != 0 && ROWS[i].letter == letter) {
            return &ROWS[i];
        }
    }
    return NULL;
}

/* Does what the option says. -1, or the exit code to end with. */
static int take(const struct row *row, const char *value, struct arguments *arguments)
{
    const struct command *command = arguments->command;
    uint64_t number = 0;
    int good = 1;
    const char *wrong = "not a number";
    switch (row->kind) {
    case FLAG:
        arguments->save.flags |= row->save;
        arguments->lock.flags |= row->lock;
        break;
    case GENERATION:
        good = parse_number(value, 10, UINT64_MAX, &arguments->save.expected_generation);
        arguments->save.flags |= STEADFAST_SAVE_IF_GENERATION;
        wrong = "not a generation";
        break;
    case SINCE:
        good = parse_number(value, 10, UINT64_MAX, &arguments->known);
        arguments->has_known = 1;
        wrong = "not a generation";
        break;
    case MODE:
        good = parse_mode(value, &arguments->save.mode);
        wrong = "not a mode from 0001 to 0777";
        break;
    case LOCK_MODE:
        good = parse_mode(value, &arguments->lock.mode);
        wrong = "not a mode from 0001 to 0777";
        break;
    case SCHEMA:
        good = parse_number(value, 10, UINT32_MAX, &number);
        arguments->save.schema = arguments->load.schema = (uint32_t)number;
        arguments->has_schema = 1;
        wrong = "not a schema number";
        break;
    case MAX_LEN:
        /* 0 would mean the default to the library. */
        good = parse_number(value, 10, UINT64_MAX, &arguments->load.max_len) && arguments->load.max_len > 0;
        arguments->has_max_len = 1;
        wrong = "not a number of bytes above 0";
        break;
    case SAVE_TIMEOUT:
        good = parse_seconds(value, &arguments->save.timeout_ms);
        /* The same. */
        arguments->save.timeout_ms += arguments->save.timeout_ms == 0;
        wrong = "not a number of seconds";
        break;
    case TIMEOUT:
        good = parse_seconds(value, &arguments->wait_ms);
        wrong = "not a number of seconds";
        break;
    case EMPTY_GRACE:
        good = parse_seconds(value, &arguments->lock.empty_grace_ms) && arguments->lock.empty_grace_ms > 0;
        wrong = "not a number of seconds above 0";
        break;
    case CONFLICT_CODE:
        good = parse_number(value, 10, 255, &number);
        arguments->conflict_code = (int)number;
        wrong = "not an exit code";
        break;
    case SHELL: {
        const char *shell = getenv("SHELL");
        static char sh[] = "/bin/sh", c[] = "-c";
        arguments->shell[0] = shell != NULL && shell[0] != '\0' ? (char *)shell : sh;
        arguments->shell[1] = c;
        arguments->shell[2] = (char *)value;
        arguments->program = arguments->shell;
        break;
    }
    case NONBLOCK: arguments->wait_ms = 0; break;
    case DRY_RUN: arguments->dry_run = 1; break;
    case EXEC: arguments->exec = 1; break;
    case JSON: arguments->as_json = 1; break;
    case LOCKS: arguments->locks = 1; break;
    case NO_FORWARD: arguments->no_forward = 1; break;
    case ONCE: arguments->once = 1; break;
    case QUIET: arguments->quiet = 1; break;
    case VERBOSE: arguments->verbose = 1; break;
    case HELP: help_command(stdout, command); return EXIT_DONE;
    case VERSION: printf("steadfast %s\n", steadfast_version()); return EXIT_DONE;
    }
    arguments->load.flags |= row->load;
    return good ? -1 : usage_error(command, wrong, value);
}

/* What getopt_long is to look for: the letters, and every long name with LONG + its row. */
static void describe(unsigned command, char *letters, struct option *names)
{
    /* A path in between is handed out where it stands; an option without its value is told apart. */
    letters += sprintf(letters, "-:");
    for (size_t i = 0; i < ROW_COUNT; i++) {
        if ((ROWS[i].commands & command) == 0) {
            continue;
        }
        *names++ = (struct option){ ROWS[i].name, ROWS[i].value != NULL ? required_argument : no_argument, NULL, LONG + (int)i };
        if (ROWS[i].letter != 0) {
            letters += sprintf(letters, "%c%s", ROWS[i].letter, ROWS[i].value != NULL ? ":" : "");
        }
    }
    *names = (struct option){ NULL, 0, NULL, 0 };
}

/* An option that is none, or lacks its value. */
static int refuse(const struct command *command, const char *what, char **argv)
{
    char letter[3] = { '-', (char)optopt, '\0' };
    return usage_error(command, what, optopt != 0 && optopt < LONG ? letter : argv[optind - 1]);
}

/* flock(1) takes the number of a descriptor that the shell has opened. */
static int is_descriptor(const char *path)
{
    uint64_t number;
    return parse_number(path, 10, 65535, &number) && fcntl((int)number, F_GETFD) >= 0;
}

/* Are there as many paths as the command takes, and what it is to run? */
static int complete(const struct arguments *arguments)
{
    const struct command *command = arguments->command;
    if (arguments->count == 0) {
        return usage_error(command, "no path", NULL);
    }
    if (arguments->count > 1 && !command->many) {
        return usage_error(command, command->program != 0 ? "one path only; a command goes behind --" : "one path only",
                           arguments->paths[1]);
    }
    for (int i = 0; i < arguments->count; i++) {
        if (strcmp(arguments->paths[i], "-") == 0 && (command->bit & LOADS) == 0) {
            return usage_error(command, "only load, verify and info read a state from standard input; a file of this name is ./-", NULL);
        }
    }
    if (command->program == 2 && (arguments->program == NULL || arguments->program[0] == NULL)) {
        if (command->bit == LOCK && is_descriptor(arguments->paths[0])) {
            return usage_error(command, "it takes a path and a command, not the descriptor that flock(1) takes", arguments->paths[0]);
        }
        return usage_error(command, "no command", NULL);
    }
    if (arguments->program != NULL && arguments->program[0] == NULL) {
        return usage_error(command, "no command behind --", NULL);
    }
    return -1;
}

int parse_arguments(const struct command *command, int argc, char **argv, struct arguments *arguments)
{
    char letters[2 * ROW_COUNT + 3];
    struct option names[ROW_COUNT + 1];
    memset(arguments, 0, sizeof *arguments);
    arguments->command = command;
    arguments->paths = argv + 1;  /* they are moved there, past what has been read */
    arguments->save.size = sizeof arguments->save;
    arguments->load.size = sizeof arguments->load;
    arguments->lock.size = sizeof arguments->lock;
    arguments->wait_ms = -1;
    arguments->conflict_code = EXIT_LOCK_BUSY;
    describe(command->bit, letters, names);
    opterr = 0;
    int option;
    while ((option = getopt_long(argc, argv, letters, names, NULL)) != -1) {
        if (option == '?') {
            return refuse(command, "no such option", argv);
        }
        if (option == ':') {
            return refuse(command, "this option needs a value", argv);
        }
        if (option != 1) {
            int result = take(option >= LONG ? &ROWS[option - LONG] : find(command->bit, (char)option), optarg, arguments);
            if (result >= 0) {
                return result;
            }
        } else if (command->bit == LOCK && arguments->count == 1 && arguments->program == NULL) {
            /* From here on it is the command's, options and all. */
            arguments->program = argv + optind - 1;
            return complete(arguments);
        } else {
            arguments->paths[arguments->count++] = optarg;
        }
    }
    /* Behind --. */
    int had_path = arguments->count > 0;
    int behind = optind > 1 && strcmp(argv[optind - 1], "--") == 0 && (optind < argc || had_path);
    if (behind && command->program != 0) {
        if (!had_path && optind < argc) {
            arguments->paths[arguments->count++] = argv[optind++];
            optind += optind < argc && strcmp(argv[optind], "--") == 0;
            had_path = optind < argc;
        }
        if (had_path) {
            if (arguments->program != NULL) {
                return usage_error(command, "-c and a command", NULL);
            }
            arguments->program = argv + optind;
        }
    } else {
        while (optind < argc) {
            arguments->paths[arguments->count++] = argv[optind++];
        }
    }
    return complete(arguments);
}
