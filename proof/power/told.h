/* What a call was told, and what it may have left. Shared by the floors, the judge and what is printed. */
#ifndef TOLD_H
#define TOLD_H

#include "power.h"

static inline const struct call *call_of(uint32_t number)
{
    return &history->call[number];
}
static inline uint32_t flags_of(const struct call *call)
{
    return ways[call->way].flags | (call->plain ? STEADFAST_SAVE_PLAIN : 0);
}
static inline int is_a(const struct call *call, uint32_t flag)
{
    return (flags_of(call) & flag) != 0;
}
static inline int keeps(const struct call *call)
{
    return is_a(call, STEADFAST_SAVE_KEEP_PREVIOUS | STEADFAST_SAVE_ALTERNATE) || ways[call->way].in_place;
}

/* Was it answered before the power went? */
static inline int told(const struct call *call)
{
    return call->answered && call->ended < history->cut[call->life];
}
/* Begun when the power had gone: it never happened. */
static inline int too_late(const struct call *call)
{
    return call->begun > history->gone[call->life];
}
static inline int happened(const struct call *call, unsigned state, unsigned life)
{
    return !call->load && call->state == state && call->life <= life && !too_late(call);
}
static inline int may_be_there(const struct call *call)
{
    return !told(call) || call->answer.on_disk != STEADFAST_ON_DISK_OLD;
}
static inline int was_published(const struct call *call)
{
    return told(call) && call->answer.on_disk != STEADFAST_ON_DISK_OLD;
}
static inline int durable(const struct call *call)
{
    return told(call) && call->answer.status >= 0 && call->answer.on_disk == STEADFAST_ON_DISK_NEW;
}
/* Was it told one? An error whose outcome is not known has none. */
static inline int has_number(const struct call *call)
{
    return was_published(call) && (call->answer.status >= 0 || call->answer.generation != 0);
}
/* Its content may be at PATH without having been synced. */
static inline int unsynced(const struct call *call)
{
    int torn = ways[call->way].in_place && !durable(call);
    return may_be_there(call) && (is_a(call, STEADFAST_SAVE_NO_SYNC) || faults[call->fault].unsynced || torn);
}
static inline int older(const struct call *one, const struct call *other)
{
    return one->ended < other->begun;
}
static inline int overlap(const struct call *one, const struct call *other)
{
    return !older(one, other) && !older(other, one);
}

/* ---- floors.c ---- */

/* Forgets what was found out about an earlier record. */
void floors_forget(void);
/* The latest save, of those that ended before a tick, that must be found; 0: none. is_void: something unsynced may be there instead. */
uint32_t floor_at(unsigned state, unsigned life, uint64_t before, int *is_void);
/* The latest state that certainly is at PATH.prev; 0: it cannot be said. */
uint32_t previous_floor(unsigned state, unsigned life);

#endif
