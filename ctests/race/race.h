/* The driver's parts: protocols (protocols.c, workers in other languages), races for a stale lock, storms. */
#ifndef RACE_H
#define RACE_H

#include "common.h"

#include <stdatomic.h>

enum { MOST_WORKERS = 8 };

/* Shared by all processes of a run. */
struct shared {
    atomic_int arrived, expected;   /* the start line of a round */
    atomic_int owner;               /* who is in the critical section; 0: nobody */
    atomic_int inject;              /* delays at the calls of a protocol */
    atomic_int stop;                 /* storms: workers end */
    atomic_long acquired, doubles, lost;
};
extern struct shared *shared;

/* A protocol. One worker process holds at most one lock, in statics. */
struct protocol {
    const char *name;
    int (*take)(const char *path, int wait);    /* 1: taken. wait: do not give up soon */
    int (*release)(const char *path);           /* 1: released, 0: it was no longer ours */
    const char *const *command;                 /* or a worker of another language, by pipes */
    const char *plant;                          /* NULL: "PID\n"; else: see plant_once */
    const char *missing;                        /* not NULL: how to install what is not there */
    int ours;
};
extern struct protocol protocol_ours, protocol_ours_plain, protocol_seed, protocol_liblockfile;

/* With delays on, sleeps for up to 300 us every other time: called where a protocol calls the system. */
void delay(void);
/* A PID that nobody has, kept while that is so. */
pid_t stale_pid(void);

struct row {
    const char *protocol;
    int n;
    const char *speed;
    long rounds, doubles, lost, litter;
    int ours, report_only, orphans_allowed;
};
void print_row(const struct row *row);

/* storm.c: workers that take and release in a loop, with something going on beside them. */
enum { BESIDE_KILLS = 1, BESIDE_PLANTER = 2, BESIDE_CREATOR = 4, BESIDE_NAIVE_CLEANER = 8 };
struct row storm(const struct protocol *protocol, const char *base, int workers, int beside, double seconds);

#endif
