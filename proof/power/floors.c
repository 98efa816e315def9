/* What must be found after the cut: the floor, and what certainly lies at PATH.prev. Where calls overlap so that it cannot be said, it is
 * not said. */
#include "told.h"

static uint8_t unknown_known[MOST_CALLS];  /* what leaves_unknown has found out */

/* May it have left at PATH what only a load can tell? Where it was not answered it would have said so if there was nothing to keep. */
static int leaves_unknown(const struct call *call)
{
    enum { NOT_ASKED, NO, YES };
    uint8_t *known = &unknown_known[call - history->call];
    int nothing;
    if (!may_be_there(call))
        return 0;
    if (told(call))
        return call->answer.on_disk == ON_DISK_UNKNOWN;
    if (!unsynced(call))
        return 0;
    if (is_a(call, STEADFAST_SAVE_NO_SYNC) && !keeps(call))
        return 1;
    /* What is of the other kind may not be kept. */
    if (history->kind == MIXED)
        return 1;
    if (*known == NOT_ASKED)
        *known = floor_at(call->state, call->life, call->begun, &nothing) == 0 ? YES : NO;
    return *known == YES;
}

uint32_t floor_at(unsigned state, unsigned life, uint64_t before, int *is_void)
{
    uint32_t best = 0;
    uint64_t end_of_unknown = 0;
    for (uint32_t i = 1; i < history->calls; i++) {
        const struct call *call = call_of(i);
        if (happened(call, state, life) && call->begun < before && call->ended > end_of_unknown && leaves_unknown(call))
            end_of_unknown = call->ended;
    }
    for (uint32_t i = 1; i < history->calls; i++) {
        const struct call *call = call_of(i);
        if (!happened(call, state, life) || call->ended >= before || !durable(call) || call->begun <= end_of_unknown)
            continue;
        if (best == 0 || call->begun > call_of(best)->begun)
            best = i;
    }
    *is_void = best == 0 && end_of_unknown != 0;
    return best;
}

/* What `keeper` has certainly put at PATH.prev, if nobody came between: the latest durable one before it. */
static uint32_t kept_by(const struct call *keeper, unsigned life)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < history->calls; i++) {
        const struct call *call = call_of(i);
        if (!happened(call, keeper->state, life) || call == keeper)
            continue;
        if (durable(call) && older(call, keeper) && (best == 0 || call->begun > call_of(best)->begun))
            best = i;
        if (keeps(call) && may_be_there(call) && overlap(call, keeper))
            return 0;
    }
    for (uint32_t i = 1; best != 0 && i < history->calls; i++) {
        const struct call *call = call_of(i);
        /* An unsynced one may have been what it found, and that is not kept. */
        if (happened(call, keeper->state, life) && call != keeper && unsynced(call) && call->begun < keeper->ended
            && call->ended >= call_of(best)->begun)
            return 0;
    }
    return best;
}

uint32_t previous_floor(unsigned state, unsigned life)
{
    uint32_t best = 0;
    uint64_t spoilt = 0;
    /* One of the other kind stays where it is. */
    if (history->kind == MIXED)
        return 0;
    for (uint32_t i = 1; i < history->calls; i++) {
        const struct call *call = call_of(i);
        if (!happened(call, state, life))
            continue;
        /* A save over both slots that did not end may have torn it; one that failed may have removed it. */
        int failed = told(call) && call->answer.status < 0 && call->answer.status != STEADFAST_E_CONFLICT;
        if (((ways[call->way].tears_previous && !durable(call)) || (keeps(call) && failed)) && call->ended > spoilt)
            spoilt = call->ended;
    }
    for (uint32_t i = 1; i < history->calls; i++) {
        const struct call *call = call_of(i);
        if (!happened(call, state, life) || !keeps(call) || !durable(call) || call->begun <= spoilt)
            continue;
        uint32_t kept = kept_by(call, life);
        if (kept != 0 && (best == 0 || call_of(kept)->begun > call_of(best)->begun))
            best = kept;
    }
    return best;
}
void floors_forget(void)
{
    memset(unknown_known, 0, sizeof unknown_known);
}
