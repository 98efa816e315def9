/* One history from beginning to end, and what makes a history that failed a smaller one. */
#include "power.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/wait.h>
#include <time.h>

enum { PATIENCE = 20 };                  /* seconds in which every call ends, whoever was killed or stopped */

static struct {
    pid_t pid;
    unsigned process;
    int stopped;
} workers[MOST_PROCESSES];
static pid_t neighbour;

double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static pid_t start(const struct plan *plan, const char *directory, unsigned process, unsigned life, uint64_t random)
{
    fflush(NULL);
    pid_t child = fork();
    if (child < 0) {
        perror("power: fork");
        exit(3);
    }
    if (child == 0)
        saver_run(plan, directory, process, life, random);
    return child;
}

/* The process has ended: what it had not been told it never will be. */
static void close_calls(unsigned process, unsigned life)
{
    uint64_t at = tick();
    for (uint32_t i = 1; i < history->calls && i < MOST_CALLS; i++) {
        struct call *call = &history->call[i];
        if (call->process == process && call->life == life && !call->answered)
            call->ended = at;
    }
}

static uint32_t saves_begun(unsigned life)
{
    uint32_t count = 0;
    for (uint32_t i = 1; i < history->calls && i < MOST_CALLS; i++)
        count += history->call[i].life == life && !history->call[i].load && history->call[i].begun;
    return count;
}

/* Those that died by their own hand are begun anew, as a supervisor would do it. */
static void replace_dead(const struct plan *plan, const char *directory, unsigned life, uint64_t *random)
{
    for (unsigned i = 0; i < plan->processes; i++) {
        if (waitpid(workers[i].pid, NULL, WNOHANG) != workers[i].pid)
            continue;
        close_calls(i, life);
        workers[i].pid = start(plan, directory, i, life, draw(random));
    }
}

static void trouble(const struct plan *plan, const char *directory, unsigned life, uint64_t *random, struct tally *tally)
{
    unsigned i = (unsigned)below(random, plan->processes);
    if (plan->kills && below(random, 40) == 0) {
        kill(workers[i].pid, SIGKILL);
        waitpid(workers[i].pid, NULL, 0);
        close_calls(i, life);
        workers[i].pid = start(plan, directory, i, life, draw(random));
        workers[i].stopped = 0;
        tally->kills++;
    } else if (plan->stops && below(random, 30) == 0) {
        kill(workers[i].pid, workers[i].stopped ? SIGCONT : SIGSTOP);
        workers[i].stopped = !workers[i].stopped;
    }
}

/* Everybody leaves. 0: somebody did not in time, and was killed. */
static int stop_all(const struct plan *plan, unsigned life)
{
    int in_time = 1;
    double until = now() + PATIENCE;
    for (unsigned i = 0; i < plan->processes; i++)
        kill(workers[i].pid, SIGCONT);
    for (unsigned i = 0; i < plan->processes; i++) {
        while (waitpid(workers[i].pid, NULL, WNOHANG) != workers[i].pid) {
            if (now() > until && in_time) {
                in_time = 0;
                for (unsigned k = i; k < plan->processes; k++)
                    kill(workers[k].pid, SIGKILL);
            }
            usleep(200);
        }
        close_calls(i, life);
    }
    if (neighbour > 0) {
        kill(neighbour, SIGKILL);
        waitpid(neighbour, NULL, 0);
    }
    neighbour = 0;
    return in_time;
}

/* Lets the processes save until the moment of the cut, and cuts. */
static int live(struct disk *disk, const struct plan *plan, const char *directory, unsigned life, uint64_t *random, struct tally *tally)
{
    double begun = now();
    history->stop = 0;
    for (unsigned i = 0; i < plan->processes; i++) {
        workers[i].stopped = 0;
        workers[i].pid = start(plan, directory, i, life, draw(random));
    }
    if (plan->neighbour) {
        uint64_t own = draw(random);
        fflush(NULL);
        neighbour = fork();
        if (neighbour == 0)
            neighbour_run(plan->neighbour, disk_root(disk), own);
    }
    while (saves_begun(life) < plan->saves && now() < begun + 5) {
        usleep(40 + (unsigned)below(random, 60));
        replace_dead(plan, directory, life, random);
        trouble(plan, directory, life, random, tally);
    }
    /* Inside the save that has just begun, or a little after it. */
    double length = (now() - begun) / (1 + saves_begun(life)) * plan->processes,
           until = now() + length * 1.3 * (double)below(random, 1000) / 1000;
    while (now() < until) {}
    /* Nobody begins another one. */
    history->stop = 1;
    disk_cut(disk, life);
    tally->cuts++;
    return stop_all(plan, life);
}

static void count(const struct plan *plan, struct tally *tally)
{
    (void)plan;
    for (uint32_t i = 1; i < history->calls; i++) {
        const struct call *call = &history->call[i];
        tally->loads += call->load != 0;
        tally->saves += !call->load;
        tally->acknowledged += !call->load && call->answered && call->answer.status == 0;
    }
}

/* Saving works again, in every durable way, and the last one is what is there. */
static enum verdict save_again(const struct plan *plan, const char *directory, struct fault_found *fault)
{
    unsigned life = plan->lives;
    for (unsigned state = 0; state < plan->states; state++)
        for (unsigned way = 0; way < way_count; way++) {
            if (ways[way].batch || ways[way].mutant || ways[way].flags & STEADFAST_SAVE_NO_SYNC)
                continue;
            uint64_t expected = 0;
            if (plan->kind == PLAIN_FILES && !may_be_plain(way))
                continue;
            unsigned plain = may_be_plain(way) && (plan->kind == MIXED ? way % 2 : plan->kind == PLAIN_FILES);
            if (ways[way].flags & STEADFAST_SAVE_IF_GENERATION)
                expected = history->call[saver_load(directory, AFTERWARDS, state, life, 0)].answer.generation;
            uint32_t number = saver_save(directory, AFTERWARDS, state, life, way, 0, plain, 1000, expected);
            const struct call *call = &history->call[number], *seen = &history->call[saver_load(directory, AFTERWARDS, state, life, 0)];
            if (call->answer.status == 0 && seen->answer.status == 0 && seen->found == number)
                continue;
            fault->verdict = NO_SAVE;
            fault->state = state;
            fault->life = life;
            snprintf(fault->text, sizeof fault->text, "call %u (%s) after the last cut: %s; then a load gives %s", number, ways[way].name,
                     steadfast_status_name(call->answer.status), steadfast_status_name(seen->answer.status));
            return NO_SAVE;
        }
    return GOOD;
}

static void remove_all(const char *directory)
{
    DIR *open = opendir(directory);
    if (!open)
        return;
    for (struct dirent *entry; (entry = readdir(open)) != NULL;)
        unlinkat(dirfd(open), entry->d_name, 0);
    closedir(open);
    rmdir(directory);
}

/* A fresh directory, durably. */
static void make_directory(const char *root, char *path, size_t size)
{
    static unsigned number;
    snprintf(path, size, "%s/h%u", root, number++);
    remove_all(path);
    if (mkdir(path, 0700))
        perror(path);
    for (int i = 0; i < 2; i++) {
        int fd = open(i ? root : path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || fsync(fd))
            perror(path);
        close(fd);
    }
}

static void forget(const struct plan *plan, uint64_t salt)
{
    uint32_t used = history->calls < MOST_CALLS ? (uint32_t)history->calls : MOST_CALLS;
    memset(history->call, 0, used * sizeof *history->call);
    history->calls = 1;
    history->clock = 1;
    history->batches = 0;
    history->salt = salt;
    history->kind = plan->kind;
    for (unsigned life = 0; life <= MOST_LIVES; life++)
        history->cut[life] = history->gone[life] = UINT64_MAX;
}

/* What was done to the state last is the likeliest cause. */
static void note_last_calls(struct fault_found *fault)
{
    int left = 8;
    for (uint32_t i = history->calls - 1; i > 0 && left > 0; i--) {
        const struct call *call = &history->call[i];
        if (call->load || call->state != fault->state || call->process == AFTERWARDS || call->begun > history->cut[call->life])
            continue;
        fault->ways |= 1ull << call->way;
        fault->faults |= 1ull << call->fault;
        left--;
    }
}

enum verdict round_run(struct disk *disk, const struct plan *plan, uint64_t seed, struct tally *tally, struct fault_found *fault,
                       FILE *told)
{
    static struct view views[MOST_LIVES + 1][MOST_STATES];
    char directory[760];
    uint64_t random = seed;
    enum verdict verdict = GOOD;
    unsigned life = 0, looked = 0;
    forget(plan, draw(&random));
    make_directory(disk_root(disk), directory, sizeof directory);
    *fault = (struct fault_found){ .verdict = GOOD };
    for (; life < plan->lives && !verdict; life++) {
        if (!live(disk, plan, directory, life, &random, tally)) {
            fault->life = life;
            snprintf(fault->text, sizeof fault->text, "a call had not ended %d s after the cut", PATIENCE);
            verdict = fault->verdict = HANGS;
        }
        if (history->calls > MOST_CALLS)
            history->calls = MOST_CALLS;
        int mounted = disk_remount(disk);
        if (mounted) {
            snprintf(fault->text, sizeof fault->text, "%s", strerror(-mounted));
            disk_format(disk);
            return fault->verdict = NO_MOUNT;
        }
        judge_look(directory, plan->states, views[life]);
        looked = life + 1;
        if (!verdict)
            verdict = judge(plan->states, life, views[life], life ? views[life - 1] : NULL, fault);
    }
    count(plan, tally);
    if (!verdict && !(verdict = save_again(plan, directory, fault))) {
        judge_look(directory, plan->states, views[plan->lives]);
        verdict = judge_numbers(plan->states, plan->lives, views, fault);
    }
    tally->rounds++;
    if (verdict)
        note_last_calls(fault);
    if (verdict && told) {
        fprintf(told, "  seed %" PRIu64 ": %s: state %u: %s\n  plan: ", seed, verdict_names[verdict], fault->state, fault->text);
        print_plan(told, plan);
        fprintf(told, "\n");
        print_history(told, fault->state, fault->life, views, looked);
    }
    remove_all(directory);
    return verdict;
}

/* Does it end with the same verdict within some tries? A seed repeats the choices, not the moments. */
static int repeats(struct disk *disk, const struct plan *plan, uint64_t seed, enum verdict verdict, double until, struct fault_found *fault)
{
    enum { TRIES = 40 };
    struct tally tally = { 0 };
    for (unsigned i = 0; i < TRIES && now() < until; i++)
        if (round_run(disk, plan, seed + i, &tally, fault, NULL) == verdict)
            return 1;
    return 0;
}

/* Plans with less in them, the boldest first. */
static int smaller_plans(const struct plan *plan, const struct fault_found *fault, struct plan *out)
{
    struct plan all[80], bold = *plan;
    int count = 0, kept = 0;
    bold.states = 1;
    if (plan->ways & fault->ways)
        bold.ways &= fault->ways;
    if (plan->faults & (fault->faults | 1))
        bold.faults &= fault->faults | 1;
    all[count++] = bold;
    bold.lives = bold.processes = 1;
    bold.kills = bold.stops = bold.neighbour = 0;
    all[count++] = bold;
    for (int i = 0; i < 12; i++) {
        struct plan *less = &all[count++];
        *less = *plan;
        switch (i) {
        case 0: less->states = 1; break;
        case 1: less->lives = 1; break;
        case 2: less->processes = 1; break;
        case 3: less->kills = less->stops = 0; break;
        case 4: less->neighbour = 0; break;
        case 5: less->faults = 1; break;
        case 6: less->saves = (plan->saves + 1) / 2; break;
        case 7: less->processes = plan->processes > 1 ? plan->processes - 1 : 1; break;
        case 8: less->lives = plan->lives > 1 ? plan->lives - 1 : 1; break;
        case 10: less->kind = RECORDS; break;
        case 11:
            less->kind = PLAIN_FILES;
            less->ways = ways_of_kind(PLAIN_FILES, plan->ways);
            break;
        case 9: less->saves = plan->saves > 1 ? plan->saves - 1 : 1; break;
        }
    }
    for (unsigned i = 0; i < way_count; i++)
        if (plan->ways >> i & 1)
            all[count] = *plan, all[count++].ways &= ~(1ull << i);
    for (unsigned i = 1; i < fault_count; i++)
        if (plan->faults >> i & 1)
            all[count] = *plan, all[count++].faults &= ~(1ull << i);
    for (int i = 0; i < count; i++)
        if (all[i].ways && all[i].faults && memcmp(&all[i], plan, sizeof *plan) != 0)
            out[kept++] = all[i];
    return kept;
}

/* Takes away what can go while the same still happens. */
void minimise(struct disk *disk, struct plan plan, uint64_t seed, const struct fault_found *first, double seconds, FILE *told)
{
    struct fault_found latest = *first, fault;
    enum verdict verdict = first->verdict;
    double until = now() + seconds;
    int again = 0;
    for (int changed = 1; changed;) {
        struct plan smaller[80];
        int count = smaller_plans(&plan, &latest, smaller);
        changed = 0;
        for (int i = 0; i < count && !changed && now() < until; i++) {
            if (!repeats(disk, &smaller[i], seed, verdict, until, &fault))
                continue;
            plan = smaller[i];
            latest = fault;
            changed = again = 1;
        }
    }
    fprintf(told, again ? "  made smaller: " : "  it did not come again in a smaller one: ");
    fprintf(told, "--seed %" PRIu64 " --repeat 100 --plan '", seed);
    print_plan(told, &plan);
    fprintf(told, "'\n    %s: %s\n", verdict_names[verdict], latest.text);
}
