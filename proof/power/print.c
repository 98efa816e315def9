/* A history that failed, for people. */
#include "told.h"

static void print_call(FILE *out, uint32_t number, const struct call *call)
{
    static const char *const on_disk[] = { "OLD", "NEW", "EITHER", "UNKNOWN" };
    if (call->load) {
        fprintf(out, "    #%u process %u: load%s:", number, call->process, call->load > 1 ? " RECOVER" : "");
        if (!call->answered)
            fprintf(out, " no answer\n");
        else if (call->answer.status < 0)
            fprintf(out, " %s\n", steadfast_status_name(call->answer.status));
        else
            fprintf(out, " #%d, generation %" PRIu64 "\n", (int)call->found, call->answer.generation);
        return;
    }
    fprintf(out, "    #%u process %u: %s%s%s%s, %zu bytes", number, call->process, call->plain ? "PLAIN " : "", ways[call->way].name,
            call->fault ? ", " : "", call->fault ? faults[call->fault].name : "", call->len);
    if (is_a(call, STEADFAST_SAVE_IF_GENERATION))
        fprintf(out, ", expects %" PRIu64, call->expected);
    fprintf(out, " [%" PRIu64 "-%" PRIu64 "]: ", call->begun, call->ended);
    if (!told(call))
        fprintf(out, "%s\n", too_late(call) ? "after the cut" : "no answer");
    else
        fprintf(out, "%s, on_disk %s, generation %" PRIu64 "\n", steadfast_status_name(call->answer.status),
                on_disk[call->answer.on_disk & 3], call->answer.generation);
}

static void print_found(FILE *out, const char *where, const struct found *found)
{
    fprintf(out, " %s %s", where, steadfast_status_name(found->status));
    if (found->status >= 0)
        fprintf(out, " #%d", (int)found->call);
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
    for (uint32_t i = 1; i < history->calls; i++)
        lines += call_of(i)->state == state && call_of(i)->life <= life && worth_a_line(call_of(i));
    for (unsigned at = 0; at <= life; at++) {
        for (uint32_t i = 1; i < history->calls; i++) {
            const struct call *call = call_of(i);
            if (call->state != state || call->life != at || !worth_a_line(call))
                continue;
            if (line++ + MOST_LINES >= lines)
                print_call(out, i, call);
        }
        if (at >= views_known)
            continue;
        fprintf(out, "    power cut [%" PRIu64 "]:", history->gone[at]);
        print_found(out, "plain", &views[at][state].plain);
        print_found(out, "RECOVER", &views[at][state].recover);
        print_found(out, ".prev", &views[at][state].previous);
        fprintf(out, "\n");
    }
}
