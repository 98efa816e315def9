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

/* The commands, as a set of bits. */
enum {
    SAVE = 1 << 0,
    LOAD = 1 << 1,
    VERIFY = 1 << 2,
    INFO = 1 << 3,
    UPDATE = 1 << 4,
    WATCH = 1 << 5,
    REMOVE = 1 << 6,
    LOCK = 1 << 7,
    INSPECT = 1 << 8,
    CLEAN = 1 << 9,
    SWEEP = 1 << 10,
    EVERY = (1 << 11) - 1
};

struct arguments;

/* A command (steadfast.c). */
struct command {
    const char *name;
    unsigned bit;
    int (*run)(struct arguments *arguments);
    int changes;           /* something on disk */
    int many;              /* does it take several paths? */
    int program;           /* does it run one: 0 never, 1 if there is one, 2 always */
    const char *operands;  /* as the usage shows them */
    const char *about;     /* what it does; lines of the help */
};
extern const struct command COMMANDS[];
extern const size_t COMMAND_COUNT;

/* What the arguments ask for (options.c). A command looks only at what its options can set. */
struct arguments {
    const struct command *command;
    char **paths;
    int count;
    char **program;     /* NULL: none */
    char *shell[4];     /* -c: `program` is this */
    steadfast_save_options save;
    steadfast_load_options load;
    steadfast_lock_options lock;
    int64_t wait_ms;    /* for the lock, negative: for ever */
    uint64_t known;     /* watch: a generation */
    int conflict_code;  /* lock: the exit code when it is not free in time */
    int as_json, quiet, verbose, has_known, has_schema, has_max_len, once, exec, no_forward, dry_run, locks;
};

/* Fills it. -1, or the exit code with which the program ends now. */
int parse_arguments(const struct command *command, int argc, char **argv, struct arguments *arguments);
/* The values of options (values.c); 0: it is none. A whole number of at most `most`; seconds, with up to three decimals, as milliseconds,
   "infinity" as -1; a mode other than 0, which would mean the default to the library. */
int parse_number(const char *text, int base, uint64_t most, uint64_t *out);
int parse_seconds(const char *text, int64_t *out);
int parse_mode(const char *text, uint32_t *out);
/* Says what is wrong with the arguments and returns EXIT_USAGE; `command` NULL: of no command. */
int usage_error(const struct command *command, const char *what, const char *argument);
/* "steadfast save [--plain] ... PATH", in lines. */
void print_usage(FILE *out, const struct command *command, const char *before);
/* The lines of the help about its options. */
void print_options(FILE *out, unsigned commands);

/* What the command says (say.c, help.c). */
void help(FILE *out);
void help_command(FILE *out, const struct command *command);
/* Is a success told in words? On a terminal, or if that is wanted. */
int tells_success(const struct arguments *arguments);
/* Writes "steadfast: MESSAGE [NAME]" for a result that is no plain success, and names the option that would help with `path`. */
void complain(const struct arguments *arguments, const char *path, const steadfast_report *report);
/* Has a success more to say than that it is one? */
int has_more_to_say(const steadfast_report *report);
/* The exit code for a status of the states' calls, and for a verdict about a lock. */
int exit_code(int32_t status);
int verdict_code(int32_t verdict);
const char *verdict_word(int32_t verdict);
/* Of several paths' exit codes the one that tells most; `changed`: something was, so that it is not EXIT_FAILED. */
int worse(int one, int other);
int summed_up(int worst, int changed);

/* Who holds a lock (holder.c). */
struct holder {
    char name[64];   /* of the process, "" where it cannot be told */
    char since[32];  /* "" where it cannot be told */
};
void look_at_holder(const char *path, int64_t pid, struct holder *holder);

/* Says who holds the lock once the wait has taken a second (waiting.c). */
struct waiting;
struct waiting *waiting_begin(const struct arguments *arguments, const char *path);
void waiting_end(struct waiting *waiting);

/* A lock inside itself (nested.c). Is the lock held by a command that runs us? */
int is_nested(const char *path);
/* Tells what is run from now on that we hold it. */
void nested_enter(const char *path);

int64_t now_ms(void);

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

/* An alternating state (alternating.c): the generations of its two files, as their headers say. */
struct pair {
    uint64_t current, previous;
};
/* 0: the state at `path` does not alternate, as far as can be seen. */
int read_pair(const char *path, struct pair *pair);

/* How far it is (progress.c), where that is `wanted`. `what` follows the number. */
struct progress {
    int on, shown;
    int64_t next_ms;
    uint64_t total;  /* in bytes; 0: not known */
};
void progress_begin(struct progress *progress, int wanted);
void progress_show(struct progress *progress, uint64_t done, const char *what);
void progress_end(struct progress *progress);

/* What becomes a state (input.c). */
struct bytes {
    char *data;
    size_t len, capacity;
};
/* A path by which standard input can be opened, copied to a temporary file if it is none. NULL when it cannot be, which it says. */
const char *path_of_input(void);
/* All of standard input, or of what a program writes. 0, or -1 as write_input. */
int read_input(char **command, struct bytes *out);
/* Gives standard input, or what a program writes, to `writer`, and counts it. 0, or -1 when it cannot be read or the program did not
   end with 0, which it says. What the writer cannot write, its commit tells. A signal that would end us ends us, and leaves
   nothing behind. */
int write_input(steadfast_writer *writer, char **command, struct progress *progress, uint64_t *len);
/* What a program writes that gets `input`. 0, or -1 when it did not end with 0, which it says. */
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
/* The same for the path of this index, on standard output: of several paths an array is made. */
void json_begin_of_many(struct json *json, const struct arguments *arguments, int index);
void json_end_of_many(struct json *json, const struct arguments *arguments, int index);
void json_text(struct json *json, const char *name, const char *text);
/* A path or a name, which may be no UTF-8. */
void json_name(struct json *json, const char *member, const char *name);
/* Begins an array; its elements and its end are the caller's. */
void json_array(struct json *json, const char *name);
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
/* As they were before us. */
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
/* Fills `ran`, and returns the command's exit code, as a shell gives it. `forward`: it gets the signals that we get. */
int run(steadfast_lock *lock, char **command, int signals, int forward, struct ran *ran);
/* Becomes the command. Returns its exit code when it cannot be run, or 128 + the signal that came before, which is in `ran`. */
int run_instead(char **command, struct ran *ran);

int command_save(struct arguments *arguments);
int command_load(struct arguments *arguments);
int command_verify(struct arguments *arguments);
int command_info(struct arguments *arguments);
int command_update(struct arguments *arguments);
int command_watch(struct arguments *arguments);
int command_remove(struct arguments *arguments);
int command_lock(struct arguments *arguments);
int command_inspect(struct arguments *arguments);
int command_clean(struct arguments *arguments);
int command_sweep(struct arguments *arguments);

#endif
