/*
 * N processes race for one stale lock, round after round: each tries once, winners hold until all have answered.
 * Counted: rounds with two holders, rounds that nobody won, names left in the directory. The same driver runs the
 * protocols of others. Then storms (storm.c). One table.
 *
 *     race SECONDS [PYTHON WORKER.py] [NODE WORKER.js]      "-" for what is missing
 */
#include "race.h"

#include <sched.h>
#include <sys/mman.h>

struct shared *shared;

struct worker {
    pid_t pid;
    int go, answer;
};

static int passed, failed, seed_fails;

void print_row(const struct row *row)
{
    int clean = row->doubles == 0 && row->lost == 0 && row->litter <= row->orphans_allowed && row->rounds > 0;
    const char *verdict = row->report_only ? "(cannot be guaranteed)"
                          : !row->ours     ? ""
                          : !clean         ? "FAILED"
                          : row->litter    ? "ok (orphans of the killed, removed by the next)"
                                           : "ok";
    printf("%-28s %d  %-25s %8ld %8ld %6ld %6ld  %s\n", row->protocol, row->n, row->speed, row->rounds, row->doubles, row->lost,
           row->litter, verdict);
    if (row->ours && !row->report_only)
        clean ? passed++ : failed++;
}

/* For each command one answer: 'g' try at full speed, 'd' try with delays: 'Y' or 'N'; 'r' release: 'R'. */
static void serve(const struct protocol *protocol, const char *path, int commands, int answers)
{
    for (char command; receive(commands, &command, 1);) {
        char answer = 'R';
        if (command == 'r') {
            protocol->release(path);
        } else {
            /* A pipe wakes one process after the other; from here on they start together. */
            shared->arrived++;
            while (shared->arrived < shared->expected)
                sched_yield();
            answer = protocol->take(path, 0) ? 'Y' : 'N';
        }
        send_to(answers, &answer, 1);
    }
    _exit(0);
}

static struct worker start(const struct protocol *protocol, const char *path)
{
    int to[2], from[2];
    if (pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC))
        die("pipe");
    pid_t pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (!protocol->command)
            serve(protocol, path, to[0], from[1]);
        dup2(to[0], 0);
        dup2(from[1], 1);
        execlp(protocol->command[0], protocol->command[0], protocol->command[1], path, (char *)NULL);
        die(protocol->command[0]);
    }
    close(to[0]);
    close(from[1]);
    return (struct worker){ pid, to[1], from[0] };
}

/* False when somebody who is not done with the last round (other protocols have such) is in the way. */
static int plant_once(const struct protocol *protocol, const char *path)
{
    char text[320] = "", host[256] = "";
    if (protocol->plant && !strcmp(protocol->plant, "directory")) {
        struct timespec old[2] = { { 1000000000, 0 }, { 1000000000, 0 } };
        return mkdir(path, 0755) == 0 && utimensat(AT_FDCWD, path, old, 0) == 0;
    }
    int len = snprintf(text, sizeof text, "%ld\n", (long)stale_pid());
    if (protocol->plant) {
        gethostname(host, sizeof host - 1);
        len = snprintf(text, sizeof text, "%ld\n%s\n", (long)stale_pid(), host);
    }
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return 0;
    if (write(fd, text, (size_t)len) != len)
        die("plant");
    close(fd);
    return 1;
}

static void plant_stale(const struct protocol *protocol, const char *directory, const char *path)
{
    for (int tries = 0; !plant_once(protocol, path); tries++) {
        if (protocol->ours || tries == 1000)
            die("plant");
        usleep(1000);
        empty_directory(directory);
    }
}

static struct row race(const struct protocol *protocol, struct worker *workers, int n, int slow, const char *directory, const char *path,
                       double seconds)
{
    struct row row = { .protocol = protocol->name, .n = n, .speed = slow ? "delays" : "natural", .ours = protocol->ours };
    shared->inject = slow;
    shared->lost = 0;
    for (int64_t end = now_ns() + (int64_t)(seconds * 1e9); now_ns() < end; row.rounds++) {
        char answers[MOST_WORKERS], command = slow ? 'd' : 'g';
        int winners = 0;
        plant_stale(protocol, directory, path);
        shared->arrived = 0;
        shared->expected = n;
        for (int i = 0; i < n; i++)
            send_to(workers[i].go, &command, 1);
        for (int i = 0; i < n; i++) {
            if (!receive(workers[i].answer, &answers[i], 1))
                die("a worker is gone");
            winners += answers[i] == 'Y';
        }
        for (int i = 0; i < n; i++) {
            char done;
            if (answers[i] != 'Y')
                continue;
            send_to(workers[i].go, "r", 1);
            if (!receive(workers[i].answer, &done, 1))
                die("a worker is gone");
        }
        row.doubles += winners > 1;
        row.lost += winners == 0;
        row.litter += empty_directory(directory);
    }
    row.lost += shared->lost; /* errors that are no answer */
    shared->inject = shared->expected = 0;
    return row;
}

static void race_all(const struct protocol *protocol, const char *directory, double seconds)
{
    char path[640];
    struct worker workers[MOST_WORKERS];
    if (protocol->missing) {
        printf("%-28s SKIPPED: not here; %s\n", protocol->name, protocol->missing);
        return;
    }
    snprintf(path, sizeof path, "%s/lock", directory);
    fflush(stdout);
    for (int i = 0; i < MOST_WORKERS; i++)
        workers[i] = start(protocol, path);
    if (protocol->command) { /* one that is up says so */
        for (int i = 0; i < MOST_WORKERS; i++) {
            char up;
            if (!receive(workers[i].answer, &up, 1))
                die("a worker did not start");
        }
    }
    for (int slow = 0; slow < 2; slow++) {
        for (int n = 2; n <= MOST_WORKERS; n *= 2) {
            struct row row = race(protocol, workers, n, slow, directory, path, seconds);
            print_row(&row);
            if (protocol == &protocol_seed)
                seed_fails |= row.doubles > 0;
        }
    }
    for (int i = 0; i < MOST_WORKERS; i++) {
        close(workers[i].go);
        close(workers[i].answer);
        kill(workers[i].pid, SIGKILL);
        waitpid(workers[i].pid, NULL, 0);
    }
}

int main(int argc, char **argv)
{
    if (argc < 2 || argc > 6) {
        fprintf(stderr, "usage: race SECONDS [PYTHON WORKER.py [NODE WORKER.js]]\n");
        return 2;
    }
    double seconds = atof(argv[1]);
    const char *python[2] = { argc > 3 ? argv[2] : "-", argc > 3 ? argv[3] : "" };
    const char *node[2] = { argc > 5 ? argv[4] : "-", argc > 5 ? argv[5] : "" };
    struct protocol filelock = { .name = "filelock (Python)", .command = python, .plant = "host" };
    struct protocol proper = { .name = "proper-lockfile (npm)", .command = node, .plant = "directory" };
    if (!strcmp(python[0], "-"))
        filelock.missing = "pip install filelock";
    if (!strcmp(node[0], "-"))
        proper.missing = "npm install proper-lockfile";

    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOLBF, 0);
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        die("mmap");
    char *base = own_directory(), directory[600];
    snprintf(directory, sizeof directory, "%s/d", base);
    mkdir(directory, 0755);

    /* Six protocols of six rows, ours with more time, the fast ones with less; six storms of double. The rest is for workers to start. */
    double each = seconds / 56;
    printf("%-28s %s  %-25s %8s %8s %6s %6s\n", "protocol", "N", "speed", "rounds", "doubles", "lost", "litter");
    race_all(&protocol_ours, directory, each * 2);
    race_all(&protocol_ours_plain, directory, each);
    race_all(&protocol_seed, directory, each / 2);
    race_all(&protocol_liblockfile, directory, each / 2);
    race_all(&filelock, directory, each);
    race_all(&proper, directory, each);
    struct {
        const struct protocol *protocol;
        int beside;
    } storms[] = {
        { &protocol_ours, BESIDE_KILLS },
        { &protocol_ours_plain, BESIDE_KILLS },
        { &protocol_ours, BESIDE_PLANTER | BESIDE_CREATOR },
        { &protocol_ours_plain, BESIDE_PLANTER | BESIDE_CREATOR },
        { &protocol_seed, BESIDE_PLANTER | BESIDE_CREATOR },
        { &protocol_ours, BESIDE_PLANTER | BESIDE_NAIVE_CLEANER },
    };
    for (size_t i = 0; i < sizeof storms / sizeof *storms; i++) {
        struct row row = storm(storms[i].protocol, base, i < 2 ? 6 : 4, storms[i].beside, each * 2);
        print_row(&row);
    }
    empty_directory(directory);
    rmdir(directory);
    rmdir(base);
    printf("%s: the seed's algorithm is seen to let two in\n", seed_fails ? "ok" : "FAILED");
    seed_fails ? passed++ : failed++;
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
