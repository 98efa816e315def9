/* What the programs of the demo share: random numbers with a seed that is printed, and a check that prints. */
#ifndef DEMO_H
#define DEMO_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* xorshift64*, Vigna 2016. */
static inline uint64_t next_random(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 0x2545F4914F6CDD1Dull;
}

/* The seed: the third argument, or the time. Never 0, which would stay 0. */
static inline uint64_t seed_from(int argc, char **argv, int at)
{
    if (argc > at) {
        return strtoull(argv[at], NULL, 0) | 1;
    }
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return ((uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec) | 1;
}

static inline int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* One promise: said, with what was counted, and whether it held. */
static inline int promise(int held, const char *text, long long counted)
{
    printf("   %-4s %-62s %lld\n", held ? "ok" : "BAD", text, counted);
    return held ? 0 : 1;
}

#endif
