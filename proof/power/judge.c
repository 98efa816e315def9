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
 *              was synced before it was published.
 *   numbers    a generation never comes again with another content, not even after damage. */
#include "power.h"

#include <stdarg.h>

const char *const verdict_names[VERDICTS] = {
    "good", "lost", "damaged", "neither old nor new", "previous lost", "invented", "refused content", "numbers", "answer", "stale load",
    "no save afterwards", "hangs", "does not mount",
};

static enum verdict say(struct fault_found *fault, enum verdict verdict, unsigned state, unsigned life, const char *format, ...) __attribute__((format(printf, 5, 6)));
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

static const struct call *call_of(uint32_t number) { return &history->call[number]; }
static uint32_t flags_of(const struct call *call) { return ways[call->way].flags; }
static int is_a(const struct call *call, uint32_t flag) { return (flags_of(call) & flag) != 0; }
static int keeps(const struct call *call) { return is_a(call, STEADFAST_SAVE_KEEP_PREVIOUS | SAVE_SLOTS); }

/* Was it answered before the power went? */
static int told(const struct call *call) { return call->answered && call->ended < history->cut[call->life]; }
/* Begun when the power had gone: it never happened. */
static int too_late(const struct call *call) { return call->begun > history->gone[call->life]; }
static int happened(const struct call *call, unsigned state, unsigned life)
{
    return !call->load && call->state == state && call->life <= life && !too_late(call);
}
static int may_be_there(const struct call *call) { return !told(call) || call->answer.on_disk != STEADFAST_ON_DISK_OLD; }
static int was_published(const struct call *call) { return told(call) && call->answer.on_disk != STEADFAST_ON_DISK_OLD; }
static int durable(const struct call *call) { return told(call) && call->answer.status >= 0 && call->answer.on_disk == STEADFAST_ON_DISK_NEW; }
/* Was it told one? An error whose outcome is not known has none. */
static int has_number(const struct call *call) { return was_published(call) && (call->answer.status >= 0 || call->answer.generation != 0); }
/* Its content may be at PATH without having been synced. */
static int unsynced(const struct call *call)
{
    return may_be_there(call) && (is_a(call, STEADFAST_SAVE_NO_SYNC) || faults[call->fault].unsynced);
}
static int older(const struct call *one, const struct call *other) { return one->ended < other->begun; }
static int overlap(const struct call *one, const struct call *other) { return !older(one, other) && !older(other, one); }

static uint32_t floor_at(unsigned state, unsigned life, uint64_t before, int *is_void);
static uint8_t unknown_known[MOST_CALLS];  /* what leaves_unknown has found out */

/* May it have left at PATH what only a load can tell? Where it was not answered it would have said so if there was nothing to keep. */
static int leaves_unknown(const struct call *call)
{
    enum { NOT_ASKED, NO, YES };
    uint8_t *known = &unknown_known[call - history->call];
    int nothing;
    if (!may_be_there(call)) return 0;
    if (told(call)) return call->answer.on_disk == ON_DISK_UNKNOWN;
    if (!unsynced(call)) return 0;
    if (is_a(call, STEADFAST_SAVE_NO_SYNC) && !keeps(call)) return 1;
    if (*known == NOT_ASKED) *known = floor_at(call->state, call->life, call->begun, &nothing) == 0 ? YES : NO;
    return *known == YES;
}

/* The latest save, of those that ended before a tick, that must be found: 0: none. is_void: something unsynced may be there instead. */
static uint32_t floor_at(unsigned state, unsigned life, uint64_t before, int *is_void)
{
    uint32_t best = 0;
    uint64_t end_of_unknown = 0;
    for (uint32_t i = 1; i < history->calls; i++) {
        const struct call *call = call_of(i);
        if (happened(call, state, life) && call->begun < before && call->ended > end_of_unknown && leaves_unknown(call)) end_of_unknown = call->ended;
    }
    for (uint32_t i = 1; i < history->calls; i++) {
        const struct call *call = call_of(i);
        if (!happened(call, state, life) || call->ended >= before || !durable(call) || call->begun <= end_of_unknown) continue;
        if (best == 0 || call->begun > call_of(best)->begun) best = i;
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
        if (!happened(call, keeper->state, life) || call == keeper) continue;
        if (durable(call) && older(call, keeper) && (best == 0 || call->begun > call_of(best)->begun)) best = i;
        if (keeps(call) && may_be_there(call) && overlap(call, keeper)) return 0;
    }
    for (uint32_t i = 1; best != 0 && i < history->calls; i++) {
        const struct call *call = call_of(i);
        /* An unsynced one may have been what it found, and that is not kept. */
        if (happened(call, keeper->state, life) && call != keeper && unsynced(call) && call->begun < keeper->ended && call->ended >= call_of(best)->begun)
            return 0;
    }
    return best;
}

/* The latest state that certainly is at PATH.prev; 0: it cannot be said. */
static uint32_t previous_floor(unsigned state, unsigned life)
{
    uint32_t best = 0;
    uint64_t spoilt = 0;
    for (uint32_t i = 1; i < history->calls; i++) {
        const struct call *call = call_of(i);
        if (!happened(call, state, life)) continue;
        /* A save over both slots that did not end may have torn it; one that failed may have removed it. */
        int failed = told(call) && call->answer.status < 0 && call->answer.status != STEADFAST_E_CONFLICT;
        if (((ways[call->way].tears_previous && !durable(call)) || (keeps(call) && failed)) && call->ended > spoilt) spoilt = call->ended;
    }
    for (uint32_t i = 1; i < history->calls; i++) {
        const struct call *call = call_of(i);
        if (!happened(call, state, life) || !keeps(call) || !durable(call) || call->begun <= spoilt) continue;
        uint32_t kept = kept_by(call, life);
        if (kept != 0 && (best == 0 || call_of(kept)->begun > call_of(best)->begun)) best = kept;
    }
    return best;
}

static struct found load(const char *path, uint32_t flags)
{
    steadfast_load_options options = { .size = sizeof options, .flags = flags };
    steadfast_state state = { .size = sizeof state };
    struct found found = { .status = steadfast_state_load(NULL, path, &options, &state, NULL) };
    if (found.status >= 0) {
        found.generation = state.generation;
        found.call = content_find(state.data, state.len);
    }
    steadfast_state_free(&state);
    return found;
}

void judge_look(const char *directory, unsigned states, struct view *views)
{
    for (unsigned state = 0; state < states; state++) {
        char path[800], previous[900];
        state_path(path, sizeof path, directory, state);
        snprintf(previous, sizeof previous, "%s.prev", path);
        views[state] = (struct view){ load(path, 0), load(path, STEADFAST_LOAD_RECOVER), load(previous, 0) };
    }
}

static int is_damage(int32_t status) { return status <= STEADFAST_E_EMPTY && status >= STEADFAST_E_FORMAT; }
static int not_older(const struct found *found, uint32_t than)
{
    return found->status >= 0 && !older(call_of(found->call), call_of(than));
}

/* Nothing that nobody saved, nothing that was refused, and each with the number that it was told. */
static enum verdict judge_content(unsigned state, unsigned life, const char *where, const struct found *found, struct fault_found *fault)
{
    if (found->status < 0) {
        if (is_damage(found->status) || found->status == -ENOENT || found->status == STEADFAST_E_LOST) return GOOD;
        return say(fault, DAMAGED, state, life, "%s: %s", where, steadfast_status_name(found->status));
    }
    const struct call *call = found->call == UNKNOWN_CONTENT ? NULL : call_of(found->call);
    if (!call || call->load || call->state != state || too_late(call))
        return say(fault, INVENTED, state, life, "%s: a content that nobody saved, generation %" PRIu64, where, found->generation);
    if (!may_be_there(call))
        return say(fault, REFUSED_CONTENT, state, life, "%s: call %u, which was told %s and on_disk OLD", where, found->call, steadfast_status_name(call->answer.status));
    if (has_number(call) && call->answer.generation != found->generation)
        return say(fault, NUMBERS, state, life, "%s: call %u has generation %" PRIu64 ", and was told %" PRIu64, where, found->call, found->generation, call->answer.generation);
    return GOOD;
}

static int all_synced_since(unsigned state, unsigned life, uint32_t since)
{
    for (uint32_t i = 1; i < history->calls; i++) {
        const struct call *call = call_of(i);
        if (happened(call, state, life) && unsynced(call) && !(since && older(call, call_of(since)))) return 0;
    }
    return 1;
}

/* Whoever wanted to keep the state that `number` saved was told that it is done, or that nothing was. */
static int all_keepers_ended(uint32_t number, unsigned life)
{
    for (uint32_t i = 1; i < history->calls; i++) {
        const struct call *call = call_of(i);
        if (i == number || !happened(call, call_of(number)->state, life) || older(call, call_of(number)) || !(keeps(call) || unsynced(call))) continue;
        if (!durable(call) && may_be_there(call)) return 0;
    }
    return 1;
}

static enum verdict judge_state(unsigned state, unsigned life, const struct view *view, struct fault_found *fault)
{
    enum verdict verdict;
    int is_void;
    if ((verdict = judge_content(state, life, "a plain load", &view->plain, fault)) || (verdict = judge_content(state, life, "RECOVER", &view->recover, fault)) ||
        (verdict = judge_content(state, life, "PATH.prev", &view->previous, fault)))
        return verdict;
    uint32_t must = floor_at(state, life, UINT64_MAX, &is_void), kept = previous_floor(state, life);
    if (must && !not_older(&view->plain, must) && !not_older(&view->recover, must))
        return say(fault, LOST, state, life, "call %u was told %s and on_disk NEW; a plain load gives %s, RECOVER gives %s", must,
                   steadfast_status_name(call_of(must)->answer.status), steadfast_status_name(view->plain.status), steadfast_status_name(view->recover.status));
    if (!must && kept && !not_older(&view->plain, kept) && !not_older(&view->recover, kept))
        return say(fault, PREVIOUS_LOST, state, life, "call %u was kept at PATH.prev, durably; a plain load gives %s, RECOVER gives %s", kept,
                   steadfast_status_name(view->plain.status), steadfast_status_name(view->recover.status));
    if (!is_void && view->recover.status < 0 && !(view->recover.status == -ENOENT && !must))
        return say(fault, NEITHER, state, life, "RECOVER gives %s; nobody was told UNKNOWN", steadfast_status_name(view->recover.status));
    if (!is_void && view->plain.status < 0 && !(view->plain.status == -ENOENT && !must) && all_synced_since(state, life, must))
        return say(fault, DAMAGED, state, life, "a plain load gives %s; every content was synced before it was published", steadfast_status_name(view->plain.status));
    if (view->plain.status >= 0 && view->previous.status >= 0 && view->plain.call == view->previous.call && all_keepers_ended(view->plain.call, life))
        return say(fault, PREVIOUS_LOST, state, life, "PATH.prev is the current state itself, call %u, though no save was cut off", view->plain.call);
    if (kept && !not_older(&view->previous, kept))
        return say(fault, PREVIOUS_LOST, state, life, "call %u was kept, durably; PATH.prev is %s%s", kept, steadfast_status_name(view->previous.status),
                   view->previous.status >= 0 ? ", but older" : "");
    return GOOD;
}

/* Somebody else saved the same state in this life, so a swap may have come too late. */
static int others(const struct call *of)
{
    for (uint32_t i = 1; i < history->calls; i++) {
        const struct call *call = call_of(i);
        if (happened(call, of->state, of->life) && call->life == of->life && call->process != of->process) return 1;
    }
    return 0;
}

/* Without a fault and before the cut a save is done, but for a swap that came too late. */
static enum verdict judge_answer(uint32_t number, const struct call *call, const struct view *before, struct fault_found *fault)
{
    int32_t status = call->answer.status, on_disk = call->answer.on_disk;
    int swaps = is_a(call, STEADFAST_SAVE_IF_GENERATION);
    const char *name = steadfast_status_name(status);
    if (status == 0 && on_disk != STEADFAST_ON_DISK_NEW) return say(fault, ANSWER, call->state, call->life, "call %u: 0, but on_disk %d", number, on_disk);
    if (status == STEADFAST_NOT_DURABLE && (on_disk == STEADFAST_ON_DISK_OLD || on_disk == STEADFAST_ON_DISK_NEW))
        return say(fault, ANSWER, call->state, call->life, "call %u: NOT_DURABLE, but on_disk %d", number, on_disk);
    if (call->fault != 0) return GOOD;
    if (status == (is_a(call, STEADFAST_SAVE_NO_SYNC) ? STEADFAST_NOT_DURABLE : 0)) return GOOD;
    if (swaps && status == STEADFAST_E_CONFLICT && others(call)) return GOOD;
    /* Damage that the last cut has left; what RECOVER gave can be saved again. */
    if (swaps && is_damage(status) && before && before[call->state].plain.status < 0 && (call->expected == 0 || others(call))) return GOOD;
    return say(fault, ANSWER, call->state, call->life, "call %u (%s): %s, on_disk %d, though nothing had failed", number, ways[call->way].name, name, on_disk);
}

/* A load beside saves gives what was there when it began, or something newer. */
static enum verdict judge_load(uint32_t number, const struct call *load, const struct view *before, struct fault_found *fault)
{
    uint32_t latest = 0;
    struct found found = { load->answer.status, load->answer.generation, load->found };
    for (uint32_t i = 1; i < history->calls; i++) {
        const struct call *call = call_of(i);
        if (!happened(call, load->state, load->life) || call->life != load->life || !was_published(call) || !older(call, load)) continue;
        if (latest == 0 || call->begun > call_of(latest)->begun) latest = i;
    }
    if (found.status >= 0) {
        enum verdict verdict = judge_content(load->state, load->life, "a load beside saves", &found, fault);
        if (verdict || !latest || not_older(&found, latest)) return verdict;
        return say(fault, STALE_LOAD, load->state, load->life, "load %u gives call %u after call %u had been answered", number, found.call, latest);
    }
    int was_bad = before && before[load->state].plain.status < 0;
    if (!latest && (was_bad || found.status == -ENOENT || found.status == STEADFAST_E_LOST)) return GOOD;
    return say(fault, DAMAGED, load->state, load->life, "load %u beside saves: %s", number, steadfast_status_name(found.status));
}

enum verdict judge(unsigned states, unsigned life, const struct view *views, const struct view *before, struct fault_found *fault)
{
    enum verdict verdict = GOOD;
    memset(unknown_known, 0, sizeof unknown_known);
    for (uint32_t i = 1; i < history->calls && !verdict; i++) {
        const struct call *call = call_of(i);
        if (call->life != life || !told(call)) continue;
        verdict = call->load ? judge_load(i, call, before, fault) : judge_answer(i, call, before, fault);
    }
    for (unsigned state = 0; state < states && !verdict; state++) verdict = judge_state(state, life, &views[state], fault);
    return verdict;
}

/* Did savers overlap that do not wait for each other? They may publish in another order than they counted. */
static int in_order(unsigned state, unsigned life)
{
    for (uint32_t i = 1; i < history->calls; i++)
        for (uint32_t k = i + 1; k < history->calls; k++) {
            const struct call *one = call_of(i), *other = call_of(k);
            if (!happened(one, state, life) || !happened(other, state, life) || !may_be_there(one) || !may_be_there(other)) continue;
            if (overlap(one, other) && !(is_a(one, STEADFAST_SAVE_IF_GENERATION) && is_a(other, STEADFAST_SAVE_IF_GENERATION))) return 0;
        }
    return 1;
}

/* Was the number of `call` still known when the life after `life` began? If the state of before was whole, it counts on from there. */
static int number_is_known(const struct call *call, unsigned life, struct view views[][MOST_STATES])
{
    if (durable(call)) return 1;
    for (unsigned cut = call->life; cut < life; cut++) {
        const struct view *view = &views[cut][call->state];
        if (view->plain.status >= 0 && view->plain.generation < call->answer.generation) return 0;
        if (view->plain.status == -ENOENT) return 0;
    }
    return 1;
}

enum verdict judge_numbers(unsigned states, unsigned lives, struct view views[][MOST_STATES], struct fault_found *fault)
{
    for (unsigned state = 0; state < states; state++) {
        if (!in_order(state, lives)) continue;
        for (uint32_t i = 1; i < history->calls; i++)
            for (uint32_t k = 1; k < history->calls; k++) {
                const struct call *one = call_of(i), *other = call_of(k);
                if (!happened(one, state, lives) || !happened(other, state, lives) || !has_number(one) || !has_number(other)) continue;
                if (!older(one, other) || other->answer.generation > one->answer.generation || !number_is_known(one, other->life, views)) continue;
                return say(fault, NUMBERS, state, other->life, "call %u was told generation %" PRIu64 ", later call %u generation %" PRIu64, i,
                           one->answer.generation, k, other->answer.generation);
            }
    }
    return GOOD;
}

static void print_call(FILE *out, uint32_t number, const struct call *call)
{
    static const char *const on_disk[] = { "OLD", "NEW", "EITHER", "UNKNOWN" };
    if (call->load) {
        fprintf(out, "    #%u process %u: load%s:", number, call->process, call->load > 1 ? " RECOVER" : "");
        if (!call->answered) fprintf(out, " no answer\n");
        else if (call->answer.status < 0) fprintf(out, " %s\n", steadfast_status_name(call->answer.status));
        else fprintf(out, " #%d, generation %" PRIu64 "\n", (int)call->found, call->answer.generation);
        return;
    }
    fprintf(out, "    #%u process %u: %s%s%s, %zu bytes", number, call->process, ways[call->way].name, call->fault ? ", " : "",
            call->fault ? faults[call->fault].name : "", call->len);
    if (is_a(call, STEADFAST_SAVE_IF_GENERATION)) fprintf(out, ", expects %" PRIu64, call->expected);
    fprintf(out, " [%" PRIu64 "-%" PRIu64 "]: ", call->begun, call->ended);
    if (!told(call)) fprintf(out, "%s\n", too_late(call) ? "after the cut" : "no answer");
    else
        fprintf(out, "%s, on_disk %s, generation %" PRIu64 "\n", steadfast_status_name(call->answer.status), on_disk[call->answer.on_disk & 3],
                call->answer.generation);
}

static void print_found(FILE *out, const char *where, const struct found *found)
{
    fprintf(out, " %s %s", where, steadfast_status_name(found->status));
    if (found->status >= 0) fprintf(out, " #%d", (int)found->call);
}

/* A file system that is gone refuses everything. */
static int worth_a_line(const struct call *call)
{
    return !too_late(call) && !(call->begun > history->cut[call->life] && call->answered && call->answer.status < 0);
}

void print_history(FILE *out, unsigned state, unsigned life, struct view views[][MOST_STATES], unsigned views_known)
{
    enum { MOST_LINES = 60 };
    unsigned lines = 0, line = 0;
    for (uint32_t i = 1; i < history->calls; i++) lines += call_of(i)->state == state && call_of(i)->life <= life && worth_a_line(call_of(i));
    for (unsigned at = 0; at <= life; at++) {
        for (uint32_t i = 1; i < history->calls; i++) {
            const struct call *call = call_of(i);
            if (call->state != state || call->life != at || !worth_a_line(call)) continue;
            if (line++ + MOST_LINES >= lines) print_call(out, i, call);
        }
        if (at >= views_known) continue;
        fprintf(out, "    power cut [%" PRIu64 "]:", history->gone[at]);
        print_found(out, "plain", &views[at][state].plain);
        print_found(out, "RECOVER", &views[at][state].recover);
        print_found(out, ".prev", &views[at][state].previous);
        fprintf(out, "\n");
    }
}
