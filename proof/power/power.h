/* Random histories of saves that end in a power cut. What the parts of the program share.
 *
 * A history is a fresh directory with one to three states, one to three processes that save them in changing ways, and one to
 * three lives, each ended by a power cut. Every call is noted in shared memory: before it is made, and as soon as it has returned.
 * After each cut the file system is mounted again and the judge compares what it finds with what each call was told. */
#ifndef POWER_H
#define POWER_H

#define _GNU_SOURCE
#include "steadfast.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum { MOST_STATES = 3, MOST_PROCESSES = 3, MOST_LIVES = 3, MOST_CALLS = 8192, FILLERS = 220, LARGEST = 6 << 20, SMALLEST = 16 };
/* The process that saves after the last cut, to see that saving works. */
enum { AFTERWARDS = MOST_PROCESSES };

enum { ON_DISK_UNKNOWN = STEADFAST_ON_DISK_UNKNOWN };

/* ---- ways.c: ways of saving, and what may go wrong in one. Each is a line in a table. ---- */

struct fault;
struct save {                           /* one save as the saver asks for it */
    const char *directory, *path;
    const void *data;
    size_t len;
    uint64_t expected;
    const struct fault *fault;
};
struct answer {
    int32_t status, on_disk;
    uint64_t generation;
};

struct way {
    const char *name;
    uint32_t flags;                     /* STEADFAST_SAVE_* */
    unsigned batch : 1;                 /* all states of the history in one call */
    unsigned pieces : 1;                /* by a writer */
    unsigned descriptor : 1;            /* the second half by the writer's descriptor */
    unsigned fillers : 1;               /* and FILLERS others, so that files are synced at once */
    unsigned in_place : 1;              /* the file cannot be replaced */
    unsigned tears_previous : 1;        /* PATH.prev may be torn while it is at work */
    struct answer (*mutant)(const struct save *save);  /* an old routine, drawn only when it is named */
};
extern const struct way ways[];
extern const unsigned way_count;
/* Lets no rename replace a file that is there, as if it were mounted. */
void mount_files(steadfast_hooks *hooks);
/* What two files take turns to hold is a record. */
int may_be_plain(unsigned way);
/* Those of a set that histories of this kind can have. */
uint64_t ways_of_kind(unsigned kind, uint64_t set);

struct fault {
    const char *name;
    unsigned dies : 1;                  /* the process kills itself on the way */
    unsigned unsynced : 1;              /* the file may be published without having been synced */
    unsigned mutant : 1;                /* a sync that lies: drawn only when it is named */
    void (*install)(steadfast_hooks *hooks);
};
extern const struct fault faults[];
extern const unsigned fault_count;
/* The directory's sync as `fault` wants it, for the old routines: 0 or a negated errno. */
int sync_directory(const struct fault *fault, int fd);

/* ---- history.c: what happens, and its record ---- */

struct call {
    uint32_t way, fault;
    uint8_t process, state, life, load;  /* load: a load instead of a save */
    uint8_t plain;                       /* a save of a plain file, or a load of one */
    uint32_t batch;                      /* the calls of one batch have one number; 0: none */
    size_t len;
    uint64_t expected, begun, ended;     /* begun, ended: ticks of the common clock. ended 0: still under way */
    _Atomic int answered;                /* 0: killed, or cut off, before it had returned */
    struct answer answer;
    uint32_t found;                      /* a load: the call whose content it gave; 0: none; UNKNOWN_CONTENT */
};
#define UNKNOWN_CONTENT UINT32_MAX

struct history {
    _Atomic uint64_t clock;
    _Atomic uint32_t calls, batches;     /* call 0 is not used */
    _Atomic int stop;
    uint64_t salt;                       /* in every content */
    unsigned kind;                       /* of the plan that it follows */
    uint64_t cut[MOST_LIVES + 1]; /* for each life: answers before this tick count; xfs can answer 0 to a sync after its shutdown */
    uint64_t gone[MOST_LIVES + 1]; /* what began after this one never happened */
    struct call call[MOST_CALLS];
};
extern struct history *history;

/* What the states of a history are: records, plain files, or one after the other of either kind. */
enum { RECORDS, PLAIN_FILES, MIXED, KINDS };

struct plan {
    unsigned kind;
    unsigned processes, states, lives, saves; /* saves: the cut comes in the one that follows so many */
    unsigned large, in_turn, neighbour, kills, stops;
    uint64_t ways, faults; /* bit sets of the two tables */
};
struct plan draw_plan(uint64_t *random, uint64_t ways_allowed, uint64_t faults_allowed);
void print_plan(FILE *out, const struct plan *plan);
int parse_plan(const char *text, struct plan *plan);
int parse_ways(const char *list, uint64_t *set);
int parse_faults(const char *list, uint64_t *set);

uint64_t draw(uint64_t *random); /* splitmix64 */
static inline uint64_t below(uint64_t *random, uint64_t limit)
{
    return draw(random) % limit;
}
uint64_t tick(void);
void state_path(char *path, size_t size, const char *directory, unsigned state);

/* ---- content.c: what is saved: every 4 KiB names the call that saved it ---- */

void content_init(void);
void content_fill(char *data, size_t len, uint32_t call);
/* The call whose content this is, to the byte; UNKNOWN_CONTENT: nobody's. */
uint32_t content_find(const char *data, size_t len);

/* ---- saver.c: the processes ---- */

void saver_run(const struct plan *plan, const char *directory, unsigned process, unsigned life, uint64_t random);
void neighbour_run(unsigned kind, const char *root, uint64_t random);
/* One save of one state, noted. Returns the call. */
uint32_t saver_save(const char *directory, unsigned process, unsigned state, unsigned life, unsigned way, unsigned fault, unsigned plain,
                    size_t len, uint64_t expected);
uint32_t saver_load(const char *directory, unsigned process, unsigned state, unsigned life, uint32_t flags);

/* ---- disk.c: an image, its mount, the cut ---- */

struct disk;
struct disk *disk_new(const char *kind, const char *scratch);
void disk_format(struct disk *disk);
const char *disk_root(const struct disk *disk);
/* Cuts the power, and notes when. */
void disk_cut(struct disk *disk, unsigned life);
/* After every process has left: mounts what the cut has left. Negated errno. */
int disk_remount(struct disk *disk);
void disk_free(struct disk *disk);

/* ---- judge.c ---- */

enum verdict {
    GOOD,
    LOST,
    DAMAGED,
    NEITHER,
    PREVIOUS_LOST,
    INVENTED,
    REFUSED_CONTENT,
    UNVERIFIED,
    NUMBERS,
    ANSWER,
    STALE_LOAD,
    NO_SAVE,
    HANGS,
    NO_MOUNT,
    VERDICTS
};
extern const char *const verdict_names[];
struct found {
    int32_t status, source;
    uint64_t generation;
    uint32_t call;
};
struct view {
    struct found plain, recover, previous;
}; /* one state after a cut */
struct fault_found {
    enum verdict verdict;
    unsigned state, life;
    uint64_t ways, faults; /* of the last calls of that state */
    char text[400];
};
/* Loads what the states of the history are; of a mixed one, whatever is there. */
struct found load_any(const char *path, uint32_t flags);
/* Looks at the states of the history after the cut of `life`. */
void judge_look(const char *directory, unsigned states, struct view *views);
/* GOOD, or the first violation. `before`: what the life began with; NULL: nothing. */
enum verdict judge(unsigned states, unsigned life, const struct view *views, const struct view *before, struct fault_found *fault);
enum verdict judge_numbers(unsigned states, unsigned lives, struct view views[][MOST_STATES], struct fault_found *fault);
/* print.c */
void print_history(FILE *out, unsigned state, unsigned life, struct view views[][MOST_STATES], unsigned views_known);

/* ---- round.c: one history from beginning to end; making it smaller ---- */

struct tally {
    uint64_t rounds, cuts, saves, acknowledged, loads, kills;
    uint64_t verdicts[VERDICTS];
};
enum verdict round_run(struct disk *disk, const struct plan *plan, uint64_t seed, struct tally *tally, struct fault_found *fault,
                       FILE *told);
void minimise(struct disk *disk, struct plan plan, uint64_t seed, const struct fault_found *first, double seconds, FILE *told);
double now(void);

#endif
