/* The record of a history, and the plan that it follows: drawn by chance, or read from the command line. */
#include "power.h"

struct history *history;

uint64_t draw(uint64_t *random)
{
    uint64_t z = *random += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t tick(void)
{
    return atomic_fetch_add(&history->clock, 1) + 1;
}

void state_path(char *path, size_t size, const char *directory, unsigned state)
{
    snprintf(path, size, "%s/s%u", directory, state);
}

/* `count` members of `from`. */
static uint64_t some_of(uint64_t *random, uint64_t from, unsigned count)
{
    uint64_t set = 0;
    for (unsigned left = (unsigned)__builtin_popcountll(from); left > 0 && count > 0; left--) {
        uint64_t lowest = from & -from;
        if (below(random, left) < count)
            set |= lowest, count--;
        from &= ~lowest;
    }
    return set;
}

/* A file that cannot be replaced cannot be by anybody: such ways are not mixed with others.
 * Half of the plans have few ways of saving, since two in turn meet oftener than twenty by chance; half are of large states. */
struct plan draw_plan(uint64_t *random, uint64_t ways_allowed, uint64_t faults_allowed)
{
    uint64_t mounted = 0;
    for (unsigned i = 0; i < way_count; i++)
        mounted |= ways[i].in_place && ways_allowed >> i & 1 ? 1ull << i : 0;
    if (mounted == ways_allowed || (mounted && below(random, 6) == 0))
        ways_allowed = mounted;
    else
        ways_allowed &= ~mounted;
    struct plan plan = { .processes = 1 + (unsigned)below(random, MOST_PROCESSES), .large = below(random, 2) == 0 };
    uint64_t wrong = faults_allowed & ~1ull;
    plan.states = below(random, 2) ? 1 : 1 + (unsigned)below(random, MOST_STATES);
    plan.lives = 1 + (unsigned)below(random, MOST_LIVES);
    plan.saves = 1 + (unsigned)below(random, plan.large ? 6 : 30);
    plan.kind = below(random, 5) < 2 ? PLAIN_FILES : (unsigned)below(random, 2) * MIXED;
    if (ways_of_kind(plan.kind, ways_allowed) == 0 || (plan.kind == MIXED && ways_allowed == mounted))
        plan.kind = RECORDS;
    ways_allowed = ways_of_kind(plan.kind, ways_allowed);
    plan.ways = below(random, 2) ? some_of(random, ways_allowed, 1 + (unsigned)below(random, 3)) : ways_allowed;
    plan.in_turn = below(random, 3) == 0;
    plan.faults = faults_allowed & 1;
    if (wrong && (below(random, 2) || !plan.faults)) {
        plan.faults |= some_of(random, wrong, 1 + (unsigned)below(random, 2));
        /* In each call: what one leaves undone is still so when the next one begins. */
        if (below(random, 3) == 0)
            plan.faults &= ~1ull;
    }
    plan.neighbour = below(random, 5) < 3 ? 0 : 1 + (unsigned)below(random, 2);
    plan.kills = below(random, 4) == 0;
    plan.stops = below(random, 8) == 0;
    return plan;
}

static struct {
    const char *name;
    size_t offset;
    unsigned least, most;
} const numbers[] = {
    { "kind", offsetof(struct plan, kind), 0, KINDS - 1 },
    { "processes", offsetof(struct plan, processes), 1, MOST_PROCESSES },
    { "states", offsetof(struct plan, states), 1, MOST_STATES },
    { "lives", offsetof(struct plan, lives), 1, MOST_LIVES },
    { "saves", offsetof(struct plan, saves), 1, 1000 },
    { "large", offsetof(struct plan, large), 0, 1 },
    { "in_turn", offsetof(struct plan, in_turn), 0, 1 },
    { "neighbour", offsetof(struct plan, neighbour), 0, 2 },
    { "kills", offsetof(struct plan, kills), 0, 1 },
    { "stops", offsetof(struct plan, stops), 0, 1 },
};
enum { NUMBERS_COUNT = sizeof numbers / sizeof *numbers };

static unsigned *number_in(struct plan *plan, int which)
{
    return (unsigned *)((char *)plan + numbers[which].offset);
}

void print_plan(FILE *out, const struct plan *plan)
{
    struct plan copy = *plan;
    for (int i = 0; i < NUMBERS_COUNT; i++)
        fprintf(out, "%s=%u ", numbers[i].name, *number_in(&copy, i));
    fprintf(out, "ways=");
    for (unsigned i = 0, more = 0; i < way_count; i++)
        if (plan->ways >> i & 1)
            fprintf(out, "%s%s", more++ ? "," : "", ways[i].name);
    fprintf(out, " faults=");
    for (unsigned i = 0, more = 0; i < fault_count; i++)
        if (plan->faults >> i & 1)
            fprintf(out, "%s%s", more++ ? "," : "", faults[i].name);
}

static const char *way_name(unsigned i)
{
    return i < way_count ? ways[i].name : NULL;
}
static const char *fault_name(unsigned i)
{
    return i < fault_count ? faults[i].name : NULL;
}

static int parse_set(char *list, const char *(*name)(unsigned), uint64_t *set)
{
    *set = 0;
    for (char *rest, *word = strtok_r(list, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
        unsigned i = 0;
        while (name(i) && strcmp(name(i), word) != 0)
            i++;
        if (!name(i))
            return fprintf(stderr, "power: there is no %s\n", word), 0;
        *set |= 1ull << i;
    }
    return *set != 0;
}
int parse_ways(const char *list, uint64_t *set)
{
    char copy[1000];
    snprintf(copy, sizeof copy, "%s", list);
    return parse_set(copy, way_name, set);
}
int parse_faults(const char *list, uint64_t *set)
{
    char copy[1000];
    snprintf(copy, sizeof copy, "%s", list);
    return parse_set(copy, fault_name, set);
}

/* What print_plan prints; what is left out stays as it is in `plan`. */
int parse_plan(const char *text, struct plan *plan)
{
    char copy[2000];
    snprintf(copy, sizeof copy, "%s", text);
    for (char *rest, *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        char *value = strchr(word, '=');
        int which = 0;
        if (!value)
            return 0;
        *value++ = '\0';
        if (strcmp(word, "ways") == 0 && parse_ways(value, &plan->ways))
            continue;
        if (strcmp(word, "faults") == 0 && parse_faults(value, &plan->faults))
            continue;
        while (which < NUMBERS_COUNT && strcmp(numbers[which].name, word) != 0)
            which++;
        if (which == NUMBERS_COUNT)
            return 0;
        unsigned number = (unsigned)strtoul(value, NULL, 10);
        if (number < numbers[which].least || number > numbers[which].most)
            return 0;
        *number_in(plan, which) = number;
    }
    return 1;
}
