/* The queue of those who wait for a lock, in a directory in which others hold locks of ranges. */
#include "tap.h"
#include "util.h"
#include "lock_probe.h"

enum { WAITERS = 6, TICKETS = 5000 };

static char *dir, *lock;
static steadfast_context *context;
static steadfast_lock *held;

/* What is asked of the directory's locks. */
static struct {
    int calls;
    int64_t first, len;  /* the range of the first look */
    int64_t ticket;      /* the one that was taken; -1: none */
    int tell;            /* told when a wait sleeps after its short sleeps; -1: nobody */
    int told;
} queue = { .tell = -1 };

static int32_t ofdlock_hook(void *user, int32_t fd, int32_t operation, int64_t start, int64_t len, int64_t *found)
{
    (void)user;
    if (queue.calls++ == 0)
        queue.first = start, queue.len = len;
    int32_t result = steadfast_hooks_default()->ofdlock(NULL, fd, operation, start, len, found);
    if (operation == STEADFAST_OFDLOCK_SET && result == 0)
        queue.ticket = start;
    return result;
}

static int32_t poll_hook(void *user, steadfast_pollfd *fds, uint32_t count, int64_t timeout_ns)
{
    (void)user;
    int sleeps = timeout_ns < 0 || timeout_ns >= 1000000;
    if (sleeps && queue.tell >= 0 && !queue.told++ && write(queue.tell, &queue.ticket, sizeof queue.ticket) != sizeof queue.ticket)
        return -EIO;
    return steadfast_hooks_default()->poll(NULL, fds, count, timeout_ns);
}

static int32_t acquire(int64_t timeout_ms)
{
    memset(&queue, 0, sizeof queue);
    queue.tell = queue.ticket = -1;
    return steadfast_lock_acquire(context, lock, timeout_ms, NULL, &held, NULL);
}

/* Shared locks that another user may take, who may only read the directory. */
struct ranges {
    int count;
    int64_t start, len, step;
    int of_process;      /* as fcntl(2) has them, not of the open file description */
};

static int lock_ranges(void *arg)
{
    const struct ranges *ranges = arg;
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return 1;
    for (int i = 0; i < ranges->count; i++) {
        struct flock range = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = ranges->start + i * ranges->step, .l_len = ranges->len };
        if (fcntl(fd, ranges->of_process ? F_SETLK : F_OFD_SETLK, &range) != 0)
            return 2;
    }
    return 0;
}

static int lock_ranges_as_nobody(void *arg)
{
    if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
        return 3;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    return lock_ranges(arg);
}

static pid_t foreign;

static void begin_foreign(const struct ranges *ranges)
{
    int result;
    foreign = start(lock_ranges_as_nobody, (void *)(uintptr_t)ranges, &result);
    if (result != 0)
        bail_out("foreign locks: %d", result);
}

/* A free lock is got, a held one is refused in time, whatever others have locked. */
static void ends_in_time(const char *name, const struct ranges *ranges, int at_most)
{
    begin_foreign(ranges);
    int64_t begun = monotonic_ms();
    int32_t status = acquire(5000);
    int64_t took = monotonic_ms() - begun;
    int calls = queue.calls;
    ok(status == 0 && steadfast_lock_release(held, NULL) == 0 && took < 2500 && calls <= at_most,
       "%s: a free lock is taken after %lld ms and %d looks", name, (long long)took, calls);
    write_pid(lock, 1);
    begun = monotonic_ms();
    status = acquire(100);
    took = monotonic_ms() - begun;
    ok(status == STEADFAST_E_LOCKED && took < 2500 && queue.calls <= at_most,
       "%s: a held one is E_LOCKED after 100 ms: %lld ms and %d looks", name, (long long)took, queue.calls);
    unlink(lock);
    stop(foreign);
}

static void others_ranges(int64_t first, int64_t len)
{
    const struct ranges whole = { 1, 0, 0, 0, 0 }, of_process = { 1, 0, 0, 0, 1 }, tickets = { TICKETS, first, 1, 2, 0 };
    const struct ranges two = { 1, first, 2, 0, 0 }, many = { 100, first + 5, 3, 7, 0 }, all_tickets = { 1, first, len, 0, 0 };
    const struct ranges last = { 1, first + len - 1, 1, 0, 0 }, before = { 1, first > 0 ? first - 1 : 0, 1, 0, 0 };
    ends_in_time("a lock over the whole directory", &whole, 60);
    ends_in_time("one of a process", &of_process, 60);
    ends_in_time("one over all tickets of this name", &all_tickets, 60);
    ends_in_time("one of two bytes", &two, 60);
    ends_in_time("a hundred of three bytes", &many, 500);
    ends_in_time("the last ticket", &last, 60);
    ends_in_time("the last ticket of another name", &before, 60);
    ends_in_time("5000 tickets", &tickets, 5000);
}

/* Waiters come one after the other. Do their tickets rise, and in which order do they get the lock? */
static int queue_up(int64_t tickets[WAITERS], char got[WAITERS + 1])
{
    int results[2], good = 1;
    pid_t waiters[WAITERS];
    write_pid(lock, 1);
    if (pipe2(results, O_CLOEXEC) != 0)
        bail_out("pipe");
    for (int i = 0; i < WAITERS; i++) {
        int ready[2];
        if (pipe2(ready, O_CLOEXEC) != 0)
            bail_out("pipe");
        waiters[i] = fork_child();
        if (waiters[i] == 0) {
            prctl(PR_SET_PDEATHSIG, SIGKILL);
            alarm(60);
            char number = (char)('0' + i);
            memset(&queue, 0, sizeof queue);
            queue.tell = ready[1], queue.ticket = -1;
            int32_t status = steadfast_lock_acquire(context, lock, -1, NULL, &held, NULL);
            int told = write(results[1], &number, 1) == 1;
            _exit(status == 0 && told && steadfast_lock_release(held, NULL) == 0 ? 0 : 1);
        }
        close(ready[1]);
        if (read(ready[0], &tickets[i], sizeof tickets[i]) != sizeof tickets[i])
            bail_out("waiter %d did not wait", i);
        close(ready[0]);
    }
    unlink(lock);
    for (int i = 0; i < WAITERS; i++)
        good &= wait_for(waiters[i]) == 0;
    good &= read(results[0], got, WAITERS) == WAITERS;
    close(results[0]), close(results[1]);
    return good;
}

/* A waiter that a loaded machine keeps from running is overtaken after 20 ms: hence three tries. */
static void in_order(const char *name, const struct ranges *ranges, int comes)
{
    int64_t tickets[WAITERS];
    char got[WAITERS + 1] = "";
    int rising = 1, good = 1;
    if (ranges != NULL)
        begin_foreign(ranges);
    for (int i = 0; i < 3 && good && strcmp(got, "012345") != 0; i++)
        good = queue_up(tickets, got);
    for (int i = 1; i < WAITERS; i++)
        rising &= tickets[i] > tickets[i - 1];
    ok(rising, "%s: who comes later has a later ticket", name);
    if (!rising)
        diag("%lld %lld %lld ...", (long long)tickets[0], (long long)tickets[1], (long long)tickets[2]);
    /* What stands in front of all and does not come is passed by after 20 ms, and then all race. */
    if (comes && has(STEADFAST_ABSENT_INOTIFY) && has(STEADFAST_ABSENT_PIDFD))
        ok(good && strcmp(got, "012345") == 0, "%s: they get the lock in the order in which they came: %s", name, got);
    else
        ok(good, "%s: they all get the lock: %s", name, got);
    if (ranges != NULL)
        stop(foreign);
}

static void order(int64_t first, int64_t len)
{
    const struct ranges before = { 1, 0, first > 0 ? first : 1, 0, 0 }, behind = { 3, first + len / 2, 7, 100, 0 },
                        middle = { 1, first + 2, 2, 0, 0 }, at_first = { 1, first, 5, 0, 0 }, dead = { 3, first, 1, 2, 0 };
    in_order("nobody else", NULL, 1);
    if (first > 0)
        in_order("a lock before the tickets", &before, 1);
    in_order("locks of another length far behind", &behind, 1);
    in_order("a lock of another length where the third ticket would be", &middle, 1);
    in_order("a lock of another length where the first ticket would be", &at_first, 1);
    in_order("tickets of somebody who does not come", &dead, 0);
}

int main(void)
{
    dir = make_temp_dir("queue");
    chmod(dir, 0755);
    lock = strdup(in(dir, "lock"));
    steadfast_hooks hooks = test_hooks();
    hooks.ofdlock = ofdlock_hook;
    hooks.poll = poll_hook;
    context = test_context(&hooks);
    if (!has(STEADFAST_ABSENT_FLOCK) || !has(STEADFAST_ABSENT_OFDLOCK)) {
        skip("this run has no flock, or no open file description locks", "the queue of waiters");
    } else if (!user_can_reach(dir)) {
        skip("another user cannot reach the temporary directory", "the queue of waiters");
    } else {
        ok(acquire(5000) == 0 && steadfast_lock_release(held, NULL) == 0 && queue.calls == 1, "a free lock costs one look at the queue");
        int64_t first = queue.first, len = queue.len;
        others_ranges(first, len);
        order(first, len);
        is_int(count_entries(dir), 0, "nothing is left in the directory");
    }
    steadfast_context_free(context);
    remove_tree(dir);
    free(lock);
    free(dir);
    return done_testing();
}
