/* What the files of the command share. */
#ifndef STEADFAST_CLI_H
#define STEADFAST_CLI_H

#include <steadfast.h>

#include <signal.h>
#include <stdio.h>
#include <sys/types.h>

/* Exit codes; `lock` has its own beside them, so that they do not meet those of the command it runs. */
enum {
    EXIT_DONE = 0,
    EXIT_FAILED = 1,       /* not done: nothing has changed */
    EXIT_USAGE = 2,
    EXIT_RESERVATION = 3,  /* done, but: not durable, perhaps not at all, not everywhere, from the previous generation, or not verified */
    EXIT_DAMAGED = 4,      /* the state file is damaged or is none, or is to be verified and is not */
    EXIT_MISSING = 5,      /* no state there */
    EXIT_CONFLICT = 6,     /* --if-generation: another generation is there */
    EXIT_HELD = 7,         /* the lock is held */
    EXIT_UNDECIDED = 8,    /* whether the lock is held cannot be known; it was left alone */
    EXIT_LOCK_BUSY = 124,  /* `lock`: not got in time */
    EXIT_LOCK_FAILED = 125 /* `lock`: could not be taken, or was lost meanwhile */
};

/* Writes "steadfast: MESSAGE [NAME]" for a result that is no plain success. */
void complain(const steadfast_report *report);

/* Says what is wrong with the arguments and returns EXIT_USAGE. */
int usage_error(const char *what, const char *argument);

/* Steps over the option at argv[*at] if it is `name`; the second also over its value, "--name VALUE" or
   "--name=VALUE", which it returns (NULL: it is not this option, or it has no value: *at is then argc). */
int is_option(char **argv, int *at, const char *name);
const char *option_value(int argc, char **argv, int *at, const char *name);

/* A whole number of at most `most`; 0 when it is none. */
int parse_number(const char *text, int base, uint64_t most, uint64_t *out);

/* The exit code for a status of the states' calls. */
int exit_code(int32_t status);

/* Plain files (plain.c): what the attribute of one says. */
struct attribute {
    unsigned char sha256[32];
    uint64_t generation, len;
    int64_t saved_at_ns;
    uint32_t schema;
    int unsynced;
};
/* 0: the file at `path` has none of ours, or of a later format. */
int read_attribute(const char *path, struct attribute *attribute);
/* Does the file at `path` begin as a record does, or as a damaged one? */
int begins_as_record(const char *path);

/* What becomes a state (input.c). */
struct bytes {
    char *data;
    size_t len, capacity;
};
/* All of standard input. 0, or -1 when it cannot be read or does not fit, which it says. */
int read_input(struct bytes *bytes);
/* What a program writes that gets `input`, or our own standard input. 0, or -1 when it did not end with 0, which it says. */
int produce(char **command, const struct bytes *input, struct bytes *out);
void bytes_free(struct bytes *bytes);
/* Begins a program with these as its standard input and output, -1: our own. -1 when it cannot be, which it says. */
pid_t start(char **command, int in, int out);
/* Waits for it. Did it end with 0? Else it says how. */
int ended_well(pid_t pid, const char *name);

/* An object of --json, begun with the command's name and its path. Bytes that are no UTF-8 become U+FFFD; a path that has
   such follows once more, exactly, as "path_base64". */
struct json {
    FILE *out;
    int members;
};
void json_begin(struct json *json, FILE *out, const char *command, const char *path);
void json_end(struct json *json);
void json_text(struct json *json, const char *name, const char *text);
void json_path(struct json *json, const char *path);
void json_base64(struct json *json, const char *name, const void *data, size_t len);
void json_number(struct json *json, const char *name, long long number);
void json_unsigned(struct json *json, const char *name, uint64_t number);
void json_boolean(struct json *json, const char *name, int truth);
void json_result(struct json *json, int exit_code, const steadfast_report *report);

/* Signals (signals.c). Of signals_catch, -1 when it cannot: what can be read when one has come. */
struct arrival {
    int number;
    int by_kernel;  /* from the terminal, or a timer */
};
int signal_pipe(int made[2]);
int signals_catch(void);
void signals_catch_child(void);
int signals_next(struct arrival *arrival);
int signals_next_ending(void);
/* Between these two they wait; signals_held says which do. */
void signals_hold(void);
void signals_let_go(void);
int signals_held(sigset_t *set);
/* In a child: as they were before us. */
void signals_restore(void);
void signals_watch(void (*handler)(int));
/* SIGPIPE, while we write; in a child it is as it was before us. */
void signals_ignore_pipe(void);
void signals_restore_pipe(void);
/* Ends this process by the signal, so that whoever waits for it sees that, or with 128 + number. */
void die_of(int number);

/* What became of the command of `lock` (run.c). */
struct ran {
    int ran;
    int signal;  /* that ended it, or came before it was begun; 0: none */
};
int run(steadfast_lock *lock, char **command, int signals, struct ran *ran);

/* The commands. argv[0] is the command's name. */
int command_save(int argc, char **argv);
int command_load(int argc, char **argv);
int command_verify(int argc, char **argv);
int command_info(int argc, char **argv);
int command_update(int argc, char **argv);
int command_watch(int argc, char **argv);
int command_remove(int argc, char **argv);
int command_lock(int argc, char **argv);
int command_inspect(int argc, char **argv);
int command_clean(int argc, char **argv);

#endif
