/* The help: what each command does, its options, and what is the same for all of them. */
#define _XOPEN_SOURCE 700
#include "cli.h"

#include <stdio.h>

static const char JSON[] =
    "--json writes one line with an object, for several paths an array of them (clean: always), each with\n"
    "command, path, exit_code, status, status_name, message, errno and step, and what the command finds out besides:\n"
    "  save                   on_disk, generation, length\n"
    "  update                 on_disk, generation, length\n"
    "  watch                  generation; one line for each\n"
    "  remove                 on_disk, generation\n"
    "  load, verify, info     generation, saved, saved_at_ns, schema, length, sha256, source; load: data_base64;\n"
    "                         of a plain file also kind and attribute (matches, differs, none), and if it differs attribute_generation,\n"
    "                         attribute_saved_at_ns, attribute_schema, attribute_length, attribute_sha256\n"
    "                         of an alternating state also newer, current_generation, previous_generation\n"
    "  lock                   ran, pid; on standard error, when COMMAND has ended\n"
    "  inspect, clean         verdict, pid; inspect: process, since\n"
    "  sweep                  removed, kept, names: an array with name, verdict, pid, message\n"
    "A path that is not UTF-8 is shown with U+FFFD, and exactly in path_base64. Wrong arguments, a standard input that cannot be read,\n"
    "and a COMMAND or FILTER that fails, are told in words.\n"
    "\n";

static const char CODES[] =
    "Exit codes; of several paths the one that tells most:\n"
    "  0    done\n"
    "  1    not done; nothing has changed\n"
    "  2    wrong arguments\n"
    "  3    done with a reservation: saved but not known to be durable, or perhaps not saved; loaded from PATH.prev;\n"
    "       a plain file that was changed or that nothing verifies; clean, remove, sweep: not all\n"
    "  4    the state is damaged, or the file is no state; verify, --verified: changed, or nothing verifies it\n"
    "  5    there is no state\n"
    "  6    --if-generation: another generation is there\n"
    "  7    inspect, clean: the lock is held\n"
    "  8    inspect, clean: it cannot be known whether it is held; left alone\n"
    "  lock gives the exit code of COMMAND; it ends by signal N when that ended COMMAND or the wait (128 + N in a shell); its own are\n"
    "  124  the lock was not got in time, or is held by the command that runs this one; -E CODE gives another code\n"
    "  125  the lock could not be taken, or was taken away while COMMAND ran\n"
    "  126  COMMAND cannot be run\n"
    "  127  there is no COMMAND\n"
    "  When standard output cannot be written to, save, update, remove, clean and sweep say so on standard error and keep their exit code:\n"
    "  what was done stands.\n";

static void of_command(FILE *out, const struct command *command)
{
    fprintf(out, "  %s %s\n%s", command->name, command->operands, command->about);
    print_options(out, command->bit);
}

void help_command(FILE *out, const struct command *command)
{
    print_usage(out, command, "usage: ");
    fputc('\n', out);
    of_command(out, command);
    fputs("\nEvery command takes:\n", out);
    print_options(out, EVERY);
    fprintf(out, "\nSee steadfast --help for the exit codes and for JSON.\n");
}

void help(FILE *out)
{
    fputs("usage: steadfast COMMAND [OPTIONS] PATH...\n\n"
          "State files: after a crash at any moment the old state or the new one is there, whole.\n",
          out);
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (COMMANDS[i].bit == LOCK) {
            fputs("\nLock files: a PID and a newline; a stale one is never in the way, a live one never taken.\n", out);
        }
        of_command(out, &COMMANDS[i]);
    }
    fputs("\nEvery command takes:\n", out);
    print_options(out, EVERY);
    fputs("A success is told in words only where standard output is a terminal. - is standard input for load, verify and info.\n\n", out);
    fputs(JSON, out);
    fputs(CODES, out);
}
