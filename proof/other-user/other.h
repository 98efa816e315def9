/* Another user beside those who save and lock: what the parts of the program share.
 *
 * A scene is a fresh directory, one attack by a process of another uid, and the same victims each time: root and a user save in all ways
 * and lock, while two spies read whatever they can open. Everybody notes what is wrong in shared memory. */
#ifndef OTHER_H
#define OTHER_H

#define _GNU_SOURCE
#include "steadfast.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum { ATTACKER = 65534, ATTACKERS_GROUP = 61003, USER = 61001, OTHER_GROUP = 61005, NAMED = 61007, MOST_VICTIMS = 8, KEPT_FAULTS = 24 };
enum { WAIT_MS = 400, LIMIT_MS = 3000 };  /* what each call is given, and when it has not ended in time */
enum { E_BUSY = -10021, SAVE_SLOTS = 1 << 5 };  /* NEXT.md 2 and 5; not in the header yet */
#define SECRET "SECRET"

struct watched { _Atomic int64_t begun_ms; char what[160]; };  /* begun_ms 0: in no call */

struct shared {
    _Atomic int ready, stop, faults, kept, owner[2];
    _Atomic uint64_t saves, busy, refused, locks, opened;
    const char *kind[KEPT_FAULTS];
    char fault[KEPT_FAULTS][400];
    struct watched watched[MOST_VICTIMS];
};
extern struct shared *shared;

void wrong(const char *format, ...) __attribute__((format(printf, 1, 2)));
int64_t now_ms(void);
uint32_t chance(uint32_t *seed, uint32_t limit);
/* Becomes the user, with no group besides. */
void become(uid_t uid, gid_t gid);

/* ---- attacks.c ---- */

enum place { READABLE, STICKY, OPEN };   /* the attacker may read the directory; make names in it; do anything in it */
struct scene {
    const char *name;
    enum place place;
    void (*attack)(int directory, uint32_t seed);  /* plants, holds, sets shared->ready, goes on until it is killed */
    unsigned busy : 1;                   /* saves may be refused with E_BUSY: he flocks the file */
    unsigned keep_fails : 1;             /* what wants PATH.prev may be refused: he has the name */
    unsigned save_fails : 1;             /* every save may be refused: he has the name of the state */
    unsigned lock_fails : 1;             /* he has the name of the lock */
    unsigned others_read : 1;            /* he is one of the others, who may read */
    unsigned links : 1;                  /* root saves through the links that are there */
    uid_t uid;                           /* of the attacker; 0: ATTACKER */
    void (*arrange)(const char *directory);  /* permissions, before the spies come; NULL: the ordinary ones */
    gid_t group;                         /* of the second spy; 0: ATTACKERS_GROUP */
};
extern const struct scene scenes[];
extern const unsigned scene_count;
/* After the attack: are the files that he planted under names of temporary files still his, and whole? */
void check_planted(int directory);

/* ---- victims.c ---- */

struct victim { const char *name; uid_t uid; void (*run)(const struct scene *scene, const char *directory, unsigned number, uint32_t seed); };
extern const struct victim victims[];
extern const unsigned victim_count;
/* What is there before the attack begins. */
void prepare(const struct scene *scene, const char *directory);
/* When he has gone: everything works at once. */
void aftermath(const struct scene *scene, const char *directory);

typedef int32_t (*save_fn)(const char *path, const void *data, size_t len, uint32_t flags, uint32_t mode, uint64_t expected, steadfast_report *report);
extern save_fn save_by;                  /* the library, or a mutant */
int32_t library_saves(const char *path, const void *data, size_t len, uint32_t flags, uint32_t mode, uint64_t expected, steadfast_report *report);

/* ---- spy.c ---- */

/* tells: what it reads was not for it. */
void spy(const char *directory, uid_t uid, gid_t gid, int tells);

/* ---- mutants.c ---- */

struct mutant { const char *name, *scene, *expected; save_fn save; };  /* expected: how the fault begins */
extern const struct mutant mutants[];
extern const unsigned mutant_count;

#endif
