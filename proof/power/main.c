/* power --fs KIND --scratch DIRECTORY [--budget SECONDS] [--cuts N] [--seed N] [--ways A,B] [--without A,B] [--faults A,B] [--mutant NAME]
 *       [--plan PLAN --repeat N] [--minimise SECONDS]
 *
 * Histories on one file system until the time is over and the cuts are made. A line for each kind of violation, then the sums; the exit
 * code is 0 when there was none. With --mutant it ends at the first violation, which is then what is wanted: 0 when there was one. */
#include "power.h"

#include <getopt.h>
#include <sys/mman.h>

/* What the judge must see, and by which histories. */
static const struct mutant {
    const char *name, *plan;
    unsigned expected;
} mutants[] = {
    { "no_sync_at_all", "kind=0 ways=plain,keep faults=no_sync_at_all", 1u << LOST | 1u << NEITHER | 1u << DAMAGED },
    { "no_directory_sync", "kind=0 ways=plain,keep faults=no_directory_sync", 1u << LOST },
    { "old_recycle", "kind=0 ways=old_recycle,keep faults=dies_in_directory_sync,waits_in_directory_sync,directory_sync_fails states=1",
      1u << LOST | 1u << NEITHER | 1u << DAMAGED },
    { "old_no_sync", "kind=0 ways=old_no_sync,keep faults=none processes=1", 1u << LOST | 1u << PREVIOUS_LOST },
    { "old_generation", "kind=0 ways=old_generation,old_no_sync faults=none processes=1", 1u << NUMBERS },
    { "syncfs_then_fsync", "kind=0 ways=syncfs_then_fsync faults=none processes=2 states=1 saves=3 neighbour=0", 1u << LOST },
    { "rename_previous", "kind=0 ways=rename_previous faults=none processes=1 neighbour=1", 1u << DAMAGED },
    { "slot_write_then_sync", "kind=0 ways=alternate faults=slot_write_then_sync states=1 neighbour=0",
      1u << LOST | 1u << NEITHER | 1u << DAMAGED },
    { "slot_unsynced", "kind=0 ways=alternate faults=slot_unsynced states=1 neighbour=0", 1u << LOST | 1u << NEITHER | 1u << DAMAGED },
    { "attribute_first", "kind=1 ways=attribute_first faults=none processes=1", 1u << UNVERIFIED },
    { "no_copy", "kind=0 ways=no_copy faults=none processes=1", 1u << LOST | 1u << NEITHER | 1u << DAMAGED },
    { "unmarked_plain", "kind=1 ways=unmarked_plain,keep faults=none processes=1", 1u << LOST | 1u << PREVIOUS_LOST },
};
enum { MUTANTS = sizeof mutants / sizeof *mutants, REFORMAT = 150 };

struct arguments {
    const char *fs, *scratch, *plan;
    double budget, minimise;
    uint64_t cuts, seed, ways, faults;
    unsigned repeat, expected;
};

static uint64_t honest_ways(void)
{
    uint64_t set = 0;
    for (unsigned i = 0; i < way_count; i++)
        if (!ways[i].mutant)
            set |= 1ull << i;
    return set;
}

static uint64_t honest_faults(void)
{
    uint64_t set = 0;
    for (unsigned i = 0; i < fault_count; i++)
        if (!faults[i].mutant)
            set |= 1ull << i;
    return set;
}

static int parse(int argc, char **argv, struct arguments *arguments)
{
    static const struct option options[] = {
        { "fs", 1, NULL, 'f' },     { "scratch", 1, NULL, 'd' }, { "budget", 1, NULL, 'b' },  { "cuts", 1, NULL, 'c' },
        { "seed", 1, NULL, 's' },   { "ways", 1, NULL, 'w' },    { "without", 1, NULL, 'x' }, { "faults", 1, NULL, 'e' },
        { "mutant", 1, NULL, 'm' }, { "plan", 1, NULL, 'p' },    { "repeat", 1, NULL, 'r' },  { "minimise", 1, NULL, 'n' },
        { NULL, 0, NULL, 0 },
    };
    uint64_t set;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'f': arguments->fs = optarg; break;
        case 'd': arguments->scratch = optarg; break;
        case 'b': arguments->budget = strtod(optarg, NULL); break;
        case 'c': arguments->cuts = strtoull(optarg, NULL, 10); break;
        case 's': arguments->seed = strtoull(optarg, NULL, 10); break;
        case 'n': arguments->minimise = strtod(optarg, NULL); break;
        case 'p': arguments->plan = optarg; break;
        case 'r': arguments->repeat = (unsigned)strtoul(optarg, NULL, 10); break;
        case 'w':
            if (!parse_ways(optarg, &arguments->ways))
                return 0;
            break;
        case 'x':
            if (!parse_ways(optarg, &set))
                return 0;
            arguments->ways &= ~set;
            break;
        case 'e':
            if (!parse_faults(optarg, &arguments->faults))
                return 0;
            break;
        case 'm': {
            int i = 0;
            while (i < MUTANTS && strcmp(mutants[i].name, optarg) != 0)
                i++;
            if (i == MUTANTS)
                return 0;
            arguments->plan = mutants[i].plan;
            arguments->expected = mutants[i].expected;
            break;
        }
        default: return 0;
        }
    }
    return arguments->fs && arguments->scratch;
}

static void print_sums(const struct arguments *arguments, const struct tally *tally)
{
    uint64_t violations = 0;
    for (int i = 1; i < VERDICTS; i++)
        violations += tally->verdicts[i];
    printf("%s: %" PRIu64 " cuts in %" PRIu64 " histories, %" PRIu64 " saves (%" PRIu64 " told durable), %" PRIu64 " loads, %" PRIu64
           " kills, %" PRIu64 " violations, seed %" PRIu64 "\n",
           arguments->fs, tally->cuts, tally->rounds, tally->saves, tally->acknowledged, tally->loads, tally->kills, violations,
           arguments->seed);
}

int main(int argc, char **argv)
{
    struct arguments arguments = { .budget = 60, .minimise = 15, .seed = 1, .ways = honest_ways(), .faults = honest_faults() };
    struct {
        struct plan plan;
        uint64_t seed;
        struct fault_found fault;
    } first[VERDICTS];
    struct tally tally = { 0 };
    struct fault_found fault;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!parse(argc, argv, &arguments))
        return fprintf(stderr, "usage: see main.c\n"), 2;
    history = mmap(NULL, sizeof *history, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (history == MAP_FAILED)
        return perror("mmap"), 3;
    content_init();
    struct disk *disk = disk_new(arguments.fs, arguments.scratch);
    disk_format(disk);
    double until = now() + arguments.budget;
    int bad = 0;
    for (uint64_t round = 0; arguments.repeat ? round < arguments.repeat
                                              : now() < until || (tally.cuts < arguments.cuts && now() < until + 2 * arguments.budget);
         round++) {
        uint64_t seed = arguments.seed + (arguments.repeat ? round : round * 0x100000001b3u), random = seed;
        struct plan plan = draw_plan(&random, arguments.ways, arguments.faults);
        if (arguments.plan && !parse_plan(arguments.plan, &plan))
            return fprintf(stderr, "power: not a plan: %s\n", arguments.plan), 2;
        if (round % REFORMAT == REFORMAT - 1)
            disk_format(disk);
        char *text = NULL;
        size_t len;
        FILE *told = open_memstream(&text, &len);
        enum verdict verdict = round_run(disk, &plan, seed, &tally, &fault, told);
        fclose(told);
        if (verdict != GOOD && (tally.verdicts[verdict]++ == 0 || arguments.repeat)) {
            fputs(text, stdout);
            first[verdict].plan = plan;
            first[verdict].seed = seed;
            first[verdict].fault = fault;
        }
        free(text);
        if (verdict == GOOD)
            continue;
        if (arguments.expected && arguments.expected >> verdict & 1) {
            bad = 1;
            break;
        }
    }
    for (int i = 1; i < VERDICTS && !arguments.expected && !arguments.repeat; i++) {
        if (tally.verdicts[i] == 0)
            continue;
        bad = 1;
        printf("not ok - %s: %s: %" PRIu64 " times, first with seed %" PRIu64 "\n", arguments.fs, verdict_names[i], tally.verdicts[i],
               first[i].seed);
        minimise(disk, first[i].plan, first[i].seed, &first[i].fault, arguments.minimise, stdout);
    }
    print_sums(&arguments, &tally);
    disk_free(disk);
    return arguments.expected ? !bad : bad;
}
