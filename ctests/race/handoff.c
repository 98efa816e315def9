/*
 * How fast and how fairly a lock goes from hand to hand: the time from release, and from kill -9 of the holder,
 * to the return of a waiter's acquire (medians); Jain's index of eight contenders; the rate of acquire + release.
 *
 *     handoff [ROUNDS [SECONDS]]
 */
#include "common.h"

static char path[600];

/* Tells the parent that the waiter is about to wait: in its first nap ('n'), or asleep until something happens ('w'). */
struct teller {
    int fd;
    char at, told;
};

static int32_t telling_poll(void *user, steadfast_pollfd *fds, uint32_t count, int64_t timeout_ns)
{
    struct teller *teller = user;
    int on_event = 0;
    for (uint32_t i = 0; i < count; i++)
        on_event |= fds[i].fd >= 0;
    char now = on_event || timeout_ns < 0 || timeout_ns >= 1000000 ? 'w' : 'n';
    if (timeout_ns != 0 && !teller->told && (now == 'w' || now == teller->at)) {
        teller->told = 1;
        send_to(teller->fd, &now, 1);
    }
    return steadfast_hooks_default()->poll(NULL, fds, count, timeout_ns);
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static steadfast_lock *take(const steadfast_context *context)
{
    steadfast_lock *lock = NULL;
    steadfast_report report = { .size = sizeof report };
    int32_t status = steadfast_lock_acquire(context, path, -1, NULL, &lock, &report);
    if (status != 0) {
        fprintf(stderr, "handoff: acquire: %s: %s\n", steadfast_status_name(status), report.message);
        exit(99);
    }
    return lock;
}

/* For each byte on `go`: acquire, waiting; answers when it is where the byte says ('n', 'w'), then the time at which it had the lock. */
static pid_t start_waiter(int *go, int *answer)
{
    int to[2], from[2];
    if (pipe2(to, O_CLOEXEC) || pipe2(from, O_CLOEXEC))
        die("pipe");
    pid_t pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(to[1]);
        close(from[0]);
        struct teller teller = { from[1], 'w', 0 };
        steadfast_hooks hooks = steadfast_hooks_init();
        hooks.user = &teller;
        hooks.poll = telling_poll;
        steadfast_context *context = NULL;
        if (steadfast_context_new(&hooks, &context))
            die("context");
        for (char byte; receive(to[0], &byte, 1);) {
            teller.at = byte;
            teller.told = 0;
            steadfast_lock *lock = take(context);
            int64_t at = now_ns();
            send_to(from[1], &at, sizeof at);
            steadfast_lock_release(lock, NULL);
            send_to(from[1], "r", 1);
        }
        _exit(0);
    }
    close(to[0]);
    close(from[1]);
    *go = to[1];
    *answer = from[0];
    return pid;
}

static pid_t start_holder(int *held)
{
    int pipes[2];
    if (pipe2(pipes, O_CLOEXEC))
        die("pipe");
    pid_t pid = fork();
    if (pid < 0)
        die("fork");
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        take(NULL);
        send_to(pipes[1], "h", 1);
        for (;;)
            pause();
    }
    close(pipes[1]);
    *held = pipes[0];
    return pid;
}

static void hand_off(const char *what, int rounds, int by_kill, char at)
{
    int go, answer;
    pid_t waiter = start_waiter(&go, &answer);
    int64_t *times = calloc((size_t)rounds, sizeof *times);
    if (!times)
        die("calloc");
    for (int i = 0; i < rounds; i++) {
        char byte;
        int held = -1;
        pid_t holder = -1;
        steadfast_lock *lock = NULL;
        if (by_kill) {
            holder = start_holder(&held);
            receive(held, &byte, 1);
        } else {
            lock = take(NULL);
        }
        send_to(go, &at, 1);
        if (!receive(answer, &byte, 1))
            die("the waiter is gone");
        usleep(at == 'w' ? 300 : 30); /* from its word to its sleep in the kernel: no event tells that */
        int64_t start = now_ns(), end;
        if (by_kill)
            kill(holder, SIGKILL);
        else if (steadfast_lock_release(lock, NULL))
            die("release");
        if (!receive(answer, &end, sizeof end) || !receive(answer, &byte, 1))
            die("the waiter is gone");
        times[i] = end - start;
        if (by_kill) {
            waitpid(holder, NULL, 0);
            close(held);
        }
    }
    close(go);
    waitpid(waiter, NULL, 0);
    close(answer);
    qsort(times, (size_t)rounds, sizeof *times, compare);
    printf("hand-off after %-38s  median %6.1f us   90%% %7.1f us   most %8.1f us   (%d rounds)\n", what, (double)times[rounds / 2] / 1e3,
           (double)times[rounds * 9 / 10] / 1e3, (double)times[rounds - 1] / 1e3, rounds);
    free(times);
}

static void fairness(int contenders, double seconds)
{
    int results[2], start[2];
    if (pipe(results) || pipe(start))
        die("pipe");
    for (int i = 0; i < contenders; i++) {
        pid_t pid = fork();
        if (pid < 0)
            die("fork");
        if (pid == 0) {
            char byte;
            close(start[1]);
            receive(start[0], &byte, 1); /* the end of the pipe is the start of all */
            int64_t end = now_ns() + (int64_t)(seconds * 1e9), count = 0;
            while (now_ns() < end) {
                steadfast_lock *lock = take(NULL);
                spin_ns(50000);
                if (steadfast_lock_release(lock, NULL) == 0)
                    count++;
            }
            send_to(results[1], &count, sizeof count);
            _exit(0);
        }
    }
    close(start[0]);
    close(start[1]);
    close(results[1]);
    double sum = 0, squares = 0;
    int64_t count, least = INT64_MAX, most = 0;
    while (receive(results[0], &count, sizeof count)) {
        sum += (double)count;
        squares += (double)count * (double)count;
        if (count < least)
            least = count;
        if (count > most)
            most = count;
    }
    close(results[0]);
    while (wait(NULL) > 0) {}
    printf("fairness of %d contenders: Jain %.3f   %.0f acquisitions/s   least %" PRId64 ", most %" PRId64 " of %.0f in %.1f s\n",
           contenders, sum * sum / (contenders * squares), sum / seconds, least, most, sum, seconds);
}

static void rate(double seconds)
{
    int64_t start = now_ns(), end = start + (int64_t)(seconds * 1e9), count = 0;
    steadfast_context *context = NULL;
    if (steadfast_context_new(NULL, &context))
        die("context");
    while (now_ns() < end) {
        steadfast_lock *lock = NULL;
        if (steadfast_lock_acquire(context, path, 0, NULL, &lock, NULL) || steadfast_lock_release(lock, NULL))
            die("acquire or release");
        count++;
    }
    printf("acquire + release: %.0f /s   (%.2f us)\n", (double)count / seconds, seconds * 1e6 / (double)count);
    steadfast_context_free(context);
}

int main(int argc, char **argv)
{
    int rounds = argc > 1 ? atoi(argv[1]) : 400;
    double seconds = argc > 2 ? atof(argv[2]) : 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    const char *directory = own_directory();
    snprintf(path, sizeof path, "%s/lock", directory);
    hand_off("release", rounds, 0, 'w');
    hand_off("release, in the first moment of a wait", rounds, 0, 'n');
    hand_off("kill -9", rounds, 1, 'w');
    fairness(8, seconds);
    fairness(2, seconds / 2);
    rate(seconds / 2);
    int left = empty_directory(directory);
    rmdir(directory);
    if (left)
        printf("left in the directory: %d\n", left);
    return left != 0;
}
