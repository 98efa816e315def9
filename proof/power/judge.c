/* The judge: what each call was told, against what is there after the cut.
 *
 * Calls overlap, so "newer" is what the clock allows: X is older than A only if X had ended before A began.
 *
 *   floor      the latest save that was told 0 and on_disk NEW, unless a later one may have left something unsynced at PATH (on_disk
 *              UNKNOWN). One of the two loads, plain and with RECOVER, gives it or something that is not older.
 *   .prev      the latest state that a KEEP_PREVIOUS save, told 0, has certainly kept. It is the floor where the other is void, and it
 *              lies at PATH.prev, whole, in any case.
 *   told OLD   never seen again.
 *   EITHER     old or new: where nothing is void a load with RECOVER never finds damage; and a plain load does not, where every content
 *              was synced before it was published. A sync that failed over nothing may leave damage: nothing acknowledged is lost.
 *   numbers    a generation never comes again with another content, not even after damage. */
#include "told.h"

#include <stdarg.h>
#include <sys/xattr.h>

const char *const verdict_names[VERDICTS] = {
    "good",       "lost",    "damaged", "neither old nor new", "previous lost",      "invented", "refused content",
    "unverified", "numbers", "answer",  "stale load",          "no save afterwards", "hangs",    "does not mount",
};

static enum verdict say(struct fault_found *fault, enum verdict verdict, unsigned state, unsigned life, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
static enum verdict say(struct fault_found *fault, enum verdict verdict, unsigned state, unsigned life, const char *format, ...)
{
    va_list arguments;
    fault->verdict = verdict;
    fault->state = state;
    fault->life = life;
    va_start(arguments, format);
    vsnprintf(fault->text, sizeof fault->text, format, arguments);
    va_end(arguments);
    return verdict;
}

static int is_damage(int32_t status)
{
    return status <= STEADFAST_E_EMPTY && status >= STEADFAST_E_FORMAT;
}

/* A save that does not read the content counts on from this one, as from the header of a record, if length and time fit. */
static uint64_t generation_in_attribute(const char *path)
{
    unsigned char attribute[60];
    uint64_t generation = 0;
    if (lgetxattr(path, "user.steadfast", attribute, sizeof attribute) == (ssize_t)sizeof attribute)
        memcpy(&generation, attribute + 32, sizeof generation);
    return generation;
}

static struct found load(const char *path, uint32_t flags)
{
    steadfast_load_options options = { .size = sizeof options, .flags = flags };
    steadfast_state state = { .size = sizeof state };
    struct found found = { .status = steadfast_state_load(NULL, path, &options, &state, NULL) };
    if (found.status >= 0) {
        found.generation = state.generation;
        found.source = state.source;
        found.call = content_find(state.data, state.len);
    }
    steadfast_state_free(&state);
    if (flags & STEADFAST_LOAD_PLAIN && is_damage(found.status))
        found.generation = generation_in_attribute(path);
    return found;
}

/* 0 is what PATH has, RECOVERED only what PATH.prev has. */
static int is_better(const struct found *one, const struct found *other)
{
    return one->status >= 0 && (other->status < 0 || (one->status == 0 && other->status != 0));
}

struct found load_any(const char *path, uint32_t flags)
{
    enum { TRIES = 50 };
    uint32_t plain = STEADFAST_LOAD_PLAIN | STEADFAST_LOAD_REQUIRE_VERIFIED;
    struct found found = { 0 };
    if (history->kind == RECORDS)
        return load(path, flags);
    if (history->kind == PLAIN_FILES)
        return load(path, flags | STEADFAST_LOAD_PLAIN);
    /* Somebody may replace it by one of the other kind between the two looks. */
    for (int i = 0; i < TRIES; i++) {
        found = load(path, flags);
        if (found.status == 0)
            break;
        struct found other = load(path, flags | plain);
        if (is_better(&other, &found))
            found = other;
        else if (found.status < 0)
            found.generation = other.generation;
        if (found.status == 0 || found.status == -ENOENT || found.status == STEADFAST_E_LOST)
            break;
    }
    return found;
}

void judge_look(const char *directory, unsigned states, struct view *views)
{
    for (unsigned state = 0; state < states; state++) {
        char path[800], previous[900];
        state_path(path, sizeof path, directory, state);
        snprintf(previous, sizeof previous, "%s.prev", path);
        views[state] = (struct view){ load_any(path, 0), load_any(path, STEADFAST_LOAD_RECOVER), load_any(previous, 0) };
    }
}

static int not_older(const struct found *found, uint32_t than)
{
    return found->status >= 0 && !older(call_of(found->call), call_of(than));
}

/* Readers may see what it puts in until it has looked at what came out, or at what it was written into. */
static int shows_refused(const struct call *call)
{
    return ways[call->way].in_place || (call->plain && is_a(call, STEADFAST_SAVE_IF_GENERATION));
}

/* `beside`: the load that found it while others saved; NULL: it was found after the cut. Nothing that nobody saved, nothing that was refused, and each with the number that it was told. */
static enum verdict judge_content(unsigned state, unsigned life, const char *where, const struct found *found, const struct call *beside,
                                  struct fault_found *fault)
{
    if (found->status < 0) {
        if (is_damage(found->status) || found->status == -ENOENT || found->status == STEADFAST_E_LOST)
            return GOOD;
        return say(fault, DAMAGED, state, life, "%s: %s", where, steadfast_status_name(found->status));
    }
    if (found->status != 0 && found->status != STEADFAST_RECOVERED)
        return say(fault, UNVERIFIED, state, life, "%s: %s", where, steadfast_status_name(found->status));
    const struct call *call = found->call == UNKNOWN_CONTENT ? NULL : call_of(found->call);
    if (!call || call->load || call->state != state || too_late(call))
        return say(fault, INVENTED, state, life, "%s: a content that nobody saved, generation %" PRIu64, where, found->generation);
    if (!may_be_there(call) && !(beside && shows_refused(call) && call->ended > beside->begun))
        return say(fault, REFUSED_CONTENT, state, life, "%s: call %u, which was told %s and on_disk OLD", where, found->call,
                   steadfast_status_name(call->answer.status));
    if (has_number(call) && call->answer.generation != found->generation)
        return say(fault, NUMBERS, state, life, "%s: call %u has generation %" PRIu64 ", and was told %" PRIu64, where, found->call,
                   found->generation, call->answer.generation);
    return GOOD;
}

static int all_synced_since(unsigned state, unsigned life, uint32_t since)
{
    for (uint32_t i = 1; i < history->calls; i++) {
        const struct call *call = call_of(i);
        if (happened(call, state, life) && unsynced(call) && !(since && older(call, call_of(since))))
            return 0;
    }
    return 1;
}

/* One whose sync failed says EITHER over nothing, too: no acknowledged save is lost with it. */
static int some_sync_failed(unsigned state, unsigned life)
{
    for (uint32_t i = 1; i < history->calls; i++) {
        const struct call *call = call_of(i);
        if (happened(call, state, life) && unsynced(call) && !is_a(call, STEADFAST_SAVE_NO_SYNC))
            return 1;
    }
    return 0;
}

/* May the two files of this state take turns? */
static int may_alternate(unsigned state, unsigned life)
{
    for (uint32_t i = 1; i < history->calls; i++) {
        const struct call *call = call_of(i);
        if (happened(call, state, life) && is_a(call, STEADFAST_SAVE_ALTERNATE) && may_be_there(call))
            return 1;
    }
    return 0;
}

/* Whoever wanted to keep the state that `number` saved was told that it is done, or that nothing was. */
static int all_keepers_ended(uint32_t number, unsigned life)
{
    for (uint32_t i = 1; i < history->calls; i++) {
        const struct call *call = call_of(i);
        if (i == number || !happened(call, call_of(number)->state, life) || older(call, call_of(number))
            || !(keeps(call) || unsynced(call)))
            continue;
        /* One that failed in place may have made its copy before, and one over two files that take turns leaves there what it moved. */
        if (!durable(call) && (may_be_there(call) || ways[call->way].in_place || may_alternate(call->state, life)))
            return 0;
    }
    return 1;
}

static enum verdict judge_state(unsigned state, unsigned life, const struct view *view, struct fault_found *fault)
{
    enum verdict verdict;
    int is_void;
    if ((verdict = judge_content(state, life, "a plain load", &view->plain, NULL, fault))
        || (verdict = judge_content(state, life, "RECOVER", &view->recover, NULL, fault))
        || (verdict = judge_content(state, life, "PATH.prev", &view->previous, NULL, fault)))
        return verdict;
    uint32_t must = floor_at(state, life, UINT64_MAX, &is_void), kept = previous_floor(state, life);
    if (must && !not_older(&view->plain, must) && !not_older(&view->recover, must))
        return say(fault, LOST, state, life, "call %u was told %s and on_disk NEW; a plain load gives %s, RECOVER gives %s", must,
                   steadfast_status_name(call_of(must)->answer.status), steadfast_status_name(view->plain.status),
                   steadfast_status_name(view->recover.status));
    if (!must && kept && !not_older(&view->plain, kept) && !not_older(&view->recover, kept))
        return say(fault, PREVIOUS_LOST, state, life, "call %u was kept at PATH.prev, durably; a plain load gives %s, RECOVER gives %s",
                   kept, steadfast_status_name(view->plain.status), steadfast_status_name(view->recover.status));
    if (!is_void && view->recover.status < 0 && !(view->recover.status == -ENOENT && !must)
        && !(!must && !kept && is_damage(view->recover.status) && some_sync_failed(state, life)))
        return say(fault, NEITHER, state, life, "RECOVER gives %s; nobody was told UNKNOWN", steadfast_status_name(view->recover.status));
    if (!is_void && view->plain.status < 0 && !(view->plain.status == -ENOENT && !must) && all_synced_since(state, life, must))
        return say(fault, DAMAGED, state, life, "a plain load gives %s; every content was synced before it was published",
                   steadfast_status_name(view->plain.status));
    /* PATH.prev may be the state only where the two take turns. */
    if (view->plain.status >= 0 && view->plain.source == STEADFAST_SOURCE_CURRENT && view->previous.status >= 0
        && view->plain.call == view->previous.call && all_keepers_ended(view->plain.call, life))
        return say(fault, PREVIOUS_LOST, state, life, "PATH.prev is the current state itself, call %u, though no save was cut off",
                   view->plain.call);
    if (kept && !not_older(&view->previous, kept))
        return say(fault, PREVIOUS_LOST, state, life, "call %u was kept, durably; PATH.prev is %s%s", kept,
                   steadfast_status_name(view->previous.status), view->previous.status >= 0 ? ", but older" : "");
    return GOOD;
}

/* Somebody else saved the same state in this life, so a swap may have come too late. */
static int others(const struct call *of)
{
    for (uint32_t i = 1; i < history->calls; i++) {
        const struct call *call = call_of(i);
        if (happened(call, of->state, of->life) && call->life == of->life && call->process != of->process)
            return 1;
    }
    return 0;
}

/* Without a fault and before the cut a save is done, but for a swap that came too late. */
static enum verdict judge_answer(uint32_t number, const struct call *call, const struct view *before, struct fault_found *fault)
{
    int32_t status = call->answer.status, on_disk = call->answer.on_disk;
    int swaps = is_a(call, STEADFAST_SAVE_IF_GENERATION);
    const char *name = steadfast_status_name(status);
    if (status == 0 && on_disk != STEADFAST_ON_DISK_NEW)
        return say(fault, ANSWER, call->state, call->life, "call %u: 0, but on_disk %d", number, on_disk);
    if (status == STEADFAST_NOT_DURABLE && (on_disk == STEADFAST_ON_DISK_OLD || on_disk == STEADFAST_ON_DISK_NEW))
        return say(fault, ANSWER, call->state, call->life, "call %u: NOT_DURABLE, but on_disk %d", number, on_disk);
    if (call->fault != 0)
        return GOOD;
    if (status == (is_a(call, STEADFAST_SAVE_NO_SYNC) ? STEADFAST_NOT_DURABLE : 0))
        return GOOD;
    /* While it was written in place another one has made its first file, and given it the name. */
    if ((swaps || ways[call->way].in_place) && status == STEADFAST_E_CONFLICT && others(call))
        return GOOD;
    /* Damage that the last cut has left; what RECOVER gave can be saved again. */
    int was_bad = before && before[call->state].plain.status < 0;
    if (swaps && is_damage(status) && was_bad && (call->expected == 0 || others(call)))
        return GOOD;
    /* What a cut has left of a record may be somebody's file for a plain save: it has a tag, and no save may expect 0. */
    if (history->kind == MIXED && swaps && call->plain && status == STEADFAST_E_CONFLICT && was_bad
        && is_damage(before[call->state].plain.status) && call->expected == 0)
        return GOOD;
    return say(fault, ANSWER, call->state, call->life, "call %u (%s): %s, on_disk %d, though nothing had failed", number,
               ways[call->way].name, name, on_disk);
}

/* Was the state being written in place at that moment, or left so by a process that died? */
static int may_be_torn(const struct call *load)
{
    for (uint32_t i = 1; i < history->calls; i++) {
        const struct call *call = call_of(i);
        if (happened(call, load->state, load->life) && call->life == load->life && ways[call->way].in_place
            && (overlap(call, load) || (older(call, load) && unsynced(call))))
            return 1;
    }
    return 0;
}

/* A load beside saves gives what was there when it began, or something newer. */
static enum verdict judge_load(uint32_t number, const struct call *load, const struct view *before, struct fault_found *fault)
{
    uint32_t latest = 0;
    struct found found = { .status = load->answer.status, .generation = load->answer.generation, .call = load->found };
    for (uint32_t i = 1; i < history->calls; i++) {
        const struct call *call = call_of(i);
        if (!happened(call, load->state, load->life) || call->life != load->life || !was_published(call) || !older(call, load))
            continue;
        /* Its file may have been emptied, so that readers find the one before. */
        if (call->answer.status == STEADFAST_E_INDETERMINATE)
            continue;
        if (latest == 0 || call->begun > call_of(latest)->begun)
            latest = i;
    }
    if (found.status >= 0) {
        enum verdict verdict = judge_content(load->state, load->life, "a load beside saves", &found, load, fault);
        int of_previous = (history->kind == MIXED || may_be_torn(load)) && found.status != 0;
        if (verdict || !latest || of_previous || not_older(&found, latest))
            return verdict;
        return say(fault, STALE_LOAD, load->state, load->life, "load %u gives call %u after call %u had been answered", number, found.call,
                   latest);
    }
    int was_bad = before && before[load->state].plain.status < 0;
    if (is_damage(found.status) && may_be_torn(load))
        return GOOD;
    if (!latest && (was_bad || found.status == -ENOENT || found.status == STEADFAST_E_LOST))
        return GOOD;
    return say(fault, DAMAGED, load->state, load->life, "load %u beside saves: %s", number, steadfast_status_name(found.status));
}

enum verdict judge(unsigned states, unsigned life, const struct view *views, const struct view *before, struct fault_found *fault)
{
    enum verdict verdict = GOOD;
    floors_forget();
    for (uint32_t i = 1; i < history->calls && !verdict; i++) {
        const struct call *call = call_of(i);
        if (call->life != life || !told(call))
            continue;
        verdict = call->load ? judge_load(i, call, before, fault) : judge_answer(i, call, before, fault);
    }
    for (unsigned state = 0; state < states && !verdict; state++)
        verdict = judge_state(state, life, &views[state], fault);
    return verdict;
}

/* Did savers overlap that do not wait for each other? They may publish in another order than they counted. */
static int in_order(unsigned state, unsigned life)
{
    for (uint32_t i = 1; i < history->calls; i++)
        for (uint32_t k = i + 1; k < history->calls; k++) {
            const struct call *one = call_of(i), *other = call_of(k);
            if (!happened(one, state, life) || !happened(other, state, life) || !may_be_there(one) || !may_be_there(other))
                continue;
            if (overlap(one, other) && !(is_a(one, STEADFAST_SAVE_IF_GENERATION) && is_a(other, STEADFAST_SAVE_IF_GENERATION)))
                return 0;
        }
    return 1;
}

/* Was the number of `call` still known when the life after `life` began? If the state of before was whole, it counts on from there. */
static int number_is_known(const struct call *call, unsigned life, struct view views[][MOST_STATES])
{
    if (durable(call))
        return 1;
    for (unsigned cut = call->life; cut < life; cut++) {
        const struct view *view = &views[cut][call->state];
        int has_number = view->plain.status >= 0 || view->plain.generation != 0;
        if (has_number && view->plain.generation < call->answer.generation)
            return 0;
        if (view->plain.status == -ENOENT)
            return 0;
        /* A file that is written in place may have its header of before beside a torn content: a plain save counts on from that. */
        if (ways[call->way].in_place && view->plain.status < 0 && view->recover.generation < call->answer.generation)
            return 0;
    }
    return 1;
}

enum verdict judge_numbers(unsigned states, unsigned lives, struct view views[][MOST_STATES], struct fault_found *fault)
{
    for (unsigned state = 0; state < states; state++) {
        if (!in_order(state, lives))
            continue;
        for (uint32_t i = 1; i < history->calls; i++)
            for (uint32_t k = 1; k < history->calls; k++) {
                const struct call *one = call_of(i), *other = call_of(k);
                if (!happened(one, state, lives) || !happened(other, state, lives) || !has_number(one) || !has_number(other))
                    continue;
                if (!older(one, other) || other->answer.generation > one->answer.generation || !number_is_known(one, other->life, views))
                    continue;
                return say(fault, NUMBERS, state, other->life, "call %u was told generation %" PRIu64 ", later call %u generation %" PRIu64,
                           i, one->answer.generation, k, other->answer.generation);
            }
    }
    return GOOD;
}
