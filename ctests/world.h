/* What a sweep runs on: subjects, scenarios, faults, and a directory that can be set to any scenario. */
#ifndef WORLD_H
#define WORLD_H

#include <signal.h>

#include "faults.h"

typedef int32_t save_function(const steadfast_context *, const char *, const void *, size_t, const steadfast_save_options *,
                              steadfast_report *);
typedef int32_t load_function(const steadfast_context *, const char *, const steadfast_load_options *, steadfast_state *,
                              steadfast_report *);

/* What is under test: the library, or a mutant of it. */
struct subject {
    const char *name;
    save_function *save;
    load_function *load;
    void (*mutate)(steadfast_hooks *table);   /* puts a wrong hook over a right one; NULL: none */
    uint64_t excused;    /* bit STEADFAST_CALL_*: where that call failed, a temporary file may be left */
};

enum { NOTHING, WHOLE, DAMAGED };

struct scenario {
    const char *name;
    uint32_t flags;      /* of the save or of the load */
    int current;         /* what is at the path before: NOTHING, WHOLE, DAMAGED */
    int previous;        /* what is at path.prev before */
    size_t len;          /* of the payload to save */
};

struct fault {
    int error;
    int for_ever;
    long at;             /* 0: no call fails */
    int short_writes;
    int file_syncs;      /* every fsync of a file fails, none of a directory */
};

struct world {
    char *dir;
    char path[300];
    char prev[310];
    char deep[320];      /* for CREATE_PARENTS */
    struct faults f;
    char *old_record, *prev_record, *damaged_record;
    size_t old_len, prev_len;
    char payload[8192];
    int baseline;        /* the result without a fault */
};

static const char OLD_PAYLOAD[] = "the old state";
static const char PREV_PAYLOAD[] = "the state before the old one";
static char complaint[800];

#define COMPLAIN(...) return snprintf(complaint, sizeof complaint, __VA_ARGS__), complaint

static inline void world_begin(struct world *w)
{
    steadfast_save_options keep = { .size = sizeof keep, .flags = STEADFAST_SAVE_KEEP_PREVIOUS };
    memset(w, 0, sizeof *w);
    /* It is about calls, not about disks: some thousand renames over a file take a minute on ext4. */
    if (getenv("TMPDIR") == NULL && access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 1);
    w->dir = make_temp_dir("sweep");
    w->f.no_real_sync = 1;
    snprintf(w->path, sizeof w->path, "%s/state", w->dir);
    snprintf(w->prev, sizeof w->prev, "%s/state.prev", w->dir);
    snprintf(w->deep, sizeof w->deep, "%s/a/b/state", w->dir);
    if (steadfast_state_save(NULL, w->path, PREV_PAYLOAD, sizeof PREV_PAYLOAD, &keep, NULL) < 0
        || steadfast_state_save(NULL, w->path, OLD_PAYLOAD, sizeof OLD_PAYLOAD, &keep, NULL) < 0)
        bail_out("the states to begin with cannot be saved");
    w->old_record = read_file(w->path, &w->old_len);
    w->prev_record = read_file(w->prev, &w->prev_len);
    w->damaged_record = read_file(w->path, NULL);
    if (w->old_record == NULL || w->prev_record == NULL || w->damaged_record == NULL)
        bail_out("the states to begin with cannot be read");
    w->damaged_record[w->old_len - 3] ^= 4;
    for (size_t i = 0; i < sizeof w->payload; i++)
        w->payload[i] = (char)('a' + i % 23);
}

static inline void world_end(struct world *w)
{
    remove_tree(w->dir);
    free(w->dir);
    free(w->old_record);
    free(w->prev_record);
    free(w->damaged_record);
}

static inline int file_is(const char *path, const char *record, size_t len)
{
    size_t have;
    char *bytes = read_file(path, &have);
    int same = bytes != NULL && have == len && memcmp(bytes, record, len) == 0;
    free(bytes);
    return same;
}

static inline void place(const char *path, int what, const char *whole, const char *damaged, size_t len)
{
    const char *record = what == WHOLE ? whole : damaged;
    if (what != NOTHING && file_is(path, record, len))
        return;
    /* Truncated and written, the file would be flushed by ext4 (auto_da_alloc), which takes its time. */
    unlink(path);
    if (what != NOTHING)
        write_file(path, record, len);
}

/* Puts the scenario on disk; nothing else is left there. */
static inline void world_set(struct world *w, const struct scenario *s)
{
    sigset_t none;
    for (const char *names = leftovers(w->dir, "state state.prev a"); *names != '\0';) {
        char name[300];
        int used = 0;
        if (sscanf(names, " %255s%n", name, &used) != 1)
            break;
        unlink(in(w->dir, name));
        names += used + (names[used] == ' ');
    }
    if (exists(in(w->dir, "a")))
        remove_tree(in(w->dir, "a"));
    place(w->path, s->current, w->old_record, w->damaged_record, w->old_len);
    place(w->prev, s->previous, w->prev_record, w->damaged_record, s->previous == DAMAGED ? w->old_len : w->prev_len);
    /* A sigxfsz hook that failed may have left the signal blocked. */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

#endif
