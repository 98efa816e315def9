/* other-user --scratch DIRECTORY [--seconds N] [--seed N] [--scene NAME] [--mutant NAME]
 *
 * Every scene for N seconds (1.5); a line for each. With --mutant that saver in its scene; the exit code is 0 when it was found. */
#include "other.h"

#include <ftw.h>
#include <getopt.h>
#include <grp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

struct shared *shared;

int64_t now_ms(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

uint32_t chance(uint32_t *seed, uint32_t limit)
{
    *seed = *seed * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)(*seed ^ *seed >> 13) * 2654435761u % 4294967291u) % limit);
}

/* Two of each kind are enough to read. */
void wrong(const char *format, ...)
{
    va_list list;
    int same = 0, kept = shared->kept;
    shared->faults++;
    for (int i = 0; i < kept && i < KEPT_FAULTS; i++) same += shared->kind[i] == format;
    if (same >= 2 || (kept = shared->kept++) >= KEPT_FAULTS) return;
    shared->kind[kept] = format;
    va_start(list, format);
    vsnprintf(shared->fault[kept], sizeof shared->fault[0], format, list);
    va_end(list);
}

void become(uid_t uid, gid_t gid)
{
    if (setgroups(0, NULL) || setgid(gid) || setuid(uid)) {
        perror("other-user: setuid");
        _exit(3);
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);    /* setuid has taken it away */
}

static pid_t start_attack(const struct scene *scene, const char *directory, uint32_t seed)
{
    pid_t child = fork();
    if (child != 0) return child;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (scene->uid) become(scene->uid, scene->uid);
    else become(ATTACKER, ATTACKERS_GROUP);
    scene->attack(open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC), seed);
    _exit(0);
}

static pid_t start_spy(const char *directory, uid_t uid, gid_t gid, int tells)
{
    pid_t child = fork();
    if (child == 0) spy(directory, uid, gid, tells);
    return child;
}

static void wait_ready(int count, const char *name)
{
    for (int64_t until = now_ms() + 30000; shared->ready < count && now_ms() < until;) usleep(1000);
    if (shared->ready < count) wrong("the scene does not begin: %s", name);
}

/* The calls that have not ended in time; whoever is in one is killed. */
static void watch(pid_t *pids)
{
    for (unsigned i = 0; i < victim_count; i++) {
        int64_t begun = shared->watched[i].begun_ms;
        if (pids[i] <= 0 || begun == 0 || now_ms() - begun <= LIMIT_MS) continue;
        wrong("no end: %s (%s) had not come back after %d ms", shared->watched[i].what, victims[i].name, LIMIT_MS);
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, 0);
        pids[i] = 0;
    }
}

static void end_victims(pid_t *pids)
{
    int left;
    shared->stop = 1;
    do {
        left = 0;
        watch(pids);
        for (unsigned i = 0; i < victim_count; i++) {
            if (pids[i] > 0 && waitpid(pids[i], NULL, WNOHANG) == pids[i]) pids[i] = 0;
            left += pids[i] > 0;
        }
        usleep(2000);
    } while (left);
}

static void end_child(pid_t child)
{
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

static void check_precious(const char *base, const struct stat *before)
{
    char path[700], text[100] = "";
    struct stat about = { 0 };
    snprintf(path, sizeof path, "%s/precious", base);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &about) || read(fd, text, sizeof text - 1) < 0 || strcmp(text, SECRET " and precious") != 0)
        wrong("lost: what is precious was written to: '%.20s'", text);
    if (about.st_ino != before->st_ino || about.st_mode != before->st_mode || about.st_uid != before->st_uid) wrong("lost: what is precious was replaced");
    if (fd >= 0) close(fd);
    snprintf(path, sizeof path, "%s/his/file", base);
    if (lstat(path, &about) == 0 && about.st_uid != ATTACKER) wrong("followed: a save went into the other user's directory");
}

static void prepare_base(const struct scene *scene, const char *base, char *directory, size_t size, struct stat *precious)
{
    char path[700];
    snprintf(path, sizeof path, "%s/precious", base);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, SECRET " and precious", 19) != 19 || fstat(fd, precious)) wrong("nothing is precious");
    close(fd);
    snprintf(path, sizeof path, "%s/his", base);
    if (mkdir(path, 0755) || chown(path, ATTACKER, ATTACKERS_GROUP)) wrong("he has no directory");
    snprintf(directory, size, "%s/d", base);
    mode_t mode = scene->place == READABLE ? 0775 : scene->place == STICKY ? 01777 : 0777;
    if (mkdir(directory, 0755) || chown(directory, 0, USER) || chmod(directory, mode)) wrong("no directory");
    prepare(scene, directory);
}

static int remove_entry(const char *path, const struct stat *about, int type, struct FTW *where)
{
    (void)about, (void)type, (void)where;
    return remove(path);
}

static int is_there(const char *expected)
{
    for (int i = 0; i < shared->kept && i < KEPT_FAULTS; i++)
        if (strncmp(shared->fault[i], expected, strlen(expected)) == 0) return 1;
    return 0;
}

/* How many faults there were; of a mutant, whether it was found. */
static int play(const struct scene *scene, const char *scratch, double seconds, uint32_t seed, const struct mutant *mutant)
{
    char base[500], directory[600];
    struct stat precious = { 0 };
    pid_t pids[MOST_VICTIMS] = { 0 };
    memset(shared, 0, sizeof *shared);
    snprintf(base, sizeof base, "%s/scene", scratch);
    if (mkdir(base, 0755)) wrong("no directory: %s", strerror(errno));
    prepare_base(scene, base, directory, sizeof directory, &precious);
    pid_t spies[2] = { start_spy(directory, ATTACKER, ATTACKER, !scene->others_read), start_spy(directory, ATTACKER, scene->group ? scene->group : ATTACKERS_GROUP, 1) };
    pid_t attacker = start_attack(scene, directory, seed);
    wait_ready(3, scene->name);
    for (unsigned i = 0; i < victim_count; i++) {
        fflush(NULL);
        if ((pids[i] = fork()) == 0) victims[i].run(scene, directory, i, seed + i);
    }
    for (int64_t until = now_ms() + (int64_t)(seconds * 1000); now_ms() < until && !(mutant && is_there(mutant->expected));) {
        watch(pids);
        if (waitpid(attacker, NULL, WNOHANG) == attacker) attacker = start_attack(scene, directory, ++seed);
        usleep(5000);
    }
    end_victims(pids);
    end_child(attacker);
    for (int i = 0; i < 2; i++) waitpid(spies[i], NULL, 0);
    check_precious(base, &precious);
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    check_planted(fd);
    close(fd);
    if (!mutant) aftermath(scene, directory);
    nftw(base, remove_entry, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    if (mutant) {
        int found = is_there(mutant->expected);
        printf("%s - mutant killed: %s (%s)\n", found ? "ok" : "not ok", mutant->name, mutant->expected);
        for (int i = 0; i < shared->kept && i < KEPT_FAULTS && !found; i++) printf("  # %s\n", shared->fault[i]);
        return found;
    }
    if (scene->place != OPEN && (shared->saves == 0 || shared->opened == 0)) wrong("nothing was tried");
    printf("%s - he %s: %d saves (%d busy, %d refused), %d locks, %d files opened, %d faults\n", shared->faults ? "not ok" : "ok", scene->name,
           (int)shared->saves, (int)shared->busy, (int)shared->refused, (int)shared->locks, (int)shared->opened, shared->faults);
    for (int i = 0; i < shared->kept && i < KEPT_FAULTS; i++) printf("  # %s\n", shared->fault[i]);
    return shared->faults;
}

int main(int argc, char **argv)
{
    static const struct option options[] = { { "scratch", 1, NULL, 'd' }, { "seconds", 1, NULL, 't' }, { "seed", 1, NULL, 's' }, { "scene", 1, NULL, 'c' },
                                             { "mutant", 1, NULL, 'm' }, { NULL, 0, NULL, 0 } };
    const char *scratch = NULL, *chosen = NULL;
    const struct mutant *mutant = NULL;
    double seconds = 1.5;
    uint32_t seed = 1;
    int bad = 0;
    for (int option; (option = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        switch (option) {
        case 'd': scratch = optarg; break;
        case 't': seconds = strtod(optarg, NULL); break;
        case 's': seed = (uint32_t)strtoul(optarg, NULL, 10); break;
        case 'c': chosen = optarg; break;
        case 'm':
            for (unsigned i = 0; i < mutant_count; i++)
                if (strcmp(mutants[i].name, optarg) == 0) mutant = &mutants[i];
            if (!mutant) return fprintf(stderr, "other-user: there is no mutant %s\n", optarg), 2;
            save_by = mutant->save;
            chosen = mutant->scene;
            break;
        default: return 2;
        }
    }
    if (!scratch || geteuid() != 0) return fprintf(stderr, "usage (as root): see main.c\n"), 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    umask(022);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) return perror("mmap"), 3;
    for (unsigned i = 0; i < scene_count; i++) {
        if (chosen && strcmp(scenes[i].name, chosen) != 0) continue;
        int faults = play(&scenes[i], scratch, seconds, seed + i * 100, mutant);
        bad |= (mutant != NULL) == (faults == 0);
    }
    printf("seed %u\n", seed);
    return bad;
}
