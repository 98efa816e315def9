/*
 * STEADFAST_SAVE_RECYCLE: the spare previous generation is written over and exchanged in. Nothing is allocated; a torn
 * spare is harmless; whoever has an old file open gets a whole state or an error; where it cannot be done, an ordinary
 * save is made.
 */
#include "tap.h"
#include "state_test.h"

#include <sys/file.h>

#define RECYCLE STEADFAST_SAVE_RECYCLE
#define LACKING (STEADFAST_ABSENT_RENAMEAT2 | STEADFAST_ABSENT_OFDLOCK | STEADFAST_ABSENT_FLOCK)
#define RECYCLES ((test_absent() & LACKING) == 0)

static ino_t inode(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 ? st.st_ino : 0;
}

/* A state of generation 2 with its spare, "one". */
static void begin(char *d, size_t size, const char *name)
{
    snprintf(d, size, "%s", fresh(name));
    save(in(d, "s"), "one", RECYCLE);
    save(in(d, "s"), "two", RECYCLE);
}

static void exchanges(void)
{
    char d[300];
    ino_t current, spare;
    struct faults f = { 0 };
    steadfast_context *c = faults_context(&f);
    begin(d, sizeof d, "exchanges");
    ok(holds(in(d, "s"), "two") && holds(in(d, "s.prev"), "one"), "without a spare it is an ordinary save that keeps the previous one");
    current = inode(in(d, "s"));
    spare = inode(in(d, "s.prev"));
    is_int(save_with(c, in(d, "s"), "three, and longer", RECYCLE), SAVED, "a recycled save");
    is_int(report.generation, 3, "is the next generation");
    ok(holds(in(d, "s"), "three, and longer") && holds(in(d, "s.prev"), "two"), "the new state is there, the old one is the previous one");
    ok(!RECYCLES || (inode(in(d, "s")) == spare && inode(in(d, "s.prev")) == current), "the two files have exchanged their names");
    ok(!RECYCLES || f.made[STEADFAST_CALL_LINKAT] == 0, "and nothing was made or freed");
    is_int(save(in(d, "s"), "4", RECYCLE), SAVED, "a shorter one");
    ok(holds(in(d, "s"), "4") && holds(in(d, "s.prev"), "three, and longer"), "is cut to its length");
    is_int(save(in(d, "s"), "", RECYCLE | STEADFAST_SAVE_STRICT), NO_DIR_FSYNC ? STEADFAST_E_NOT_SAVED_DURABLY : 0, "an empty one, STRICT");
    is_int(save(in(d, "s"), "plain", 0), SAVED, "a plain save goes between");
    is_int(save(in(d, "s"), "six", RECYCLE), SAVED, "and a recycled one again");
    ok(holds(in(d, "s"), "six") && holds(in(d, "s.prev"), "plain"), "the previous one is the plain one");
    ok(*leftovers(d, "s s.prev") == '\0', "nothing is left over");
    steadfast_context_free(c);
}

static void keeps_what_it_must(void)
{
    char d[300];
    struct stat st;
    begin(d, sizeof d, "keeps");
    chmod(in(d, "s"), 0640);
    is_int(save(in(d, "s"), "three", RECYCLE), SAVED, "over a state of another mode");
    ok(stat(in(d, "s"), &st) == 0 && (st.st_mode & 07777) == 0640, "the mode is kept");
    /* A spare that someone has linked elsewhere is his as well. */
    if (link(in(d, "s.prev"), in(d, "his")) != 0)
        bail_out("link: %s", strerror(errno));
    is_int(save(in(d, "s"), "four", RECYCLE), SAVED, "a spare with a second name");
    ok(holds(in(d, "his"), "two") && holds(in(d, "s.prev"), "three"), "is not written over");
    unlink(in(d, "his"));
    unlink(in(d, "s.prev"));
    if (symlink("elsewhere", in(d, "s.prev")) != 0)
        bail_out("symlink: %s", strerror(errno));
    write_text(in(d, "elsewhere"), "a victim");
    is_int(save(in(d, "s"), "five", RECYCLE), SAVED, "a symbolic link in the place of the spare");
    ok(holds(in(d, "s.prev"), "four") && lstat(in(d, "s.prev"), &st) == 0 && S_ISREG(st.st_mode), "is replaced, not followed");
    /* A damaged state is never exchanged to where the good one was. */
    write_text(in(d, "s"), "damaged");
    is_int(save(in(d, "s"), "six", RECYCLE), SAVED, "over a damaged state");
    ok(holds(in(d, "s"), "six") && holds(in(d, "s.prev"), "four"), "the good previous one stays");
}

/* Fails call `call` of a recycled save, or all of them. */
static void falls_back(int call, const char *what, int for_ever, int expected)
{
    char d[300], name[60];
    struct faults f = { .fail_at = 1, .only = call, .error = EIO, .for_ever = for_ever };
    steadfast_context *c = faults_context(&f);
    snprintf(name, sizeof name, "falls-back-%d", call);
    begin(d, sizeof d, name);
    is_int(save_with(c, in(d, "s"), "three", RECYCLE), expected, "%s: the save is made all the same", what);
    ok(holds(in(d, "s"), "three") && holds(in(d, "s.prev"), "two") && *leftovers(d, "s s.prev") == '\0',
       "%s: with a whole previous one, and nothing left over", what);
    steadfast_context_free(c);
}

static int32_t no_exchange(void *user, int32_t od, const char *op, int32_t nd, const char *np, uint32_t flags)
{
    (void)user;
    return flags == RENAME_EXCHANGE ? -EINVAL : REAL->renameat(NULL, od, op, nd, np, flags);
}

static void without_exchange(void)
{
    char d[300];
    steadfast_hooks h = test_hooks();
    steadfast_context *c;
    h.renameat = no_exchange;
    c = test_context(&h);
    begin(d, sizeof d, "no-exchange");
    is_int(save_with(c, in(d, "s"), "three", RECYCLE), SAVED, "a file system without RENAME_EXCHANGE");
    ok(holds(in(d, "s"), "three") && holds(in(d, "s.prev"), "two"), "gets an ordinary save");
    is_int(save_with(c, in(d, "s"), "four", RECYCLE | STEADFAST_SAVE_NO_SYNC), STEADFAST_NOT_DURABLE,
           "and so does NO_SYNC: an unsynced spare would be in danger");
    ok(holds(in(d, "s"), "four") && holds(in(d, "s.prev"), "three"), "with its previous one");
    steadfast_context_free(c);
}

/* What happens to a reader while it has the file open: two recycled saves, the second over that very file. */
static char *racing;
static int races;

static int64_t pread_after_two(void *user, int32_t fd, void *buf, size_t len, uint64_t offset)
{
    (void)user;
    if (races > 0) {
        races--;
        save(racing, "the next", RECYCLE);
        save(racing, "the one after", RECYCLE);
    }
    return REAL->pread(NULL, fd, buf, len, offset);
}

/* The same, but the second one gets no further than its data: the exchange is still to come. */
static int32_t dies_at_exchange(void *user, int32_t od, const char *op, int32_t nd, const char *np, uint32_t flags)
{
    (void)user;
    if (flags == RENAME_EXCHANGE)
        _exit(0);
    return REAL->renameat(NULL, od, op, nd, np, flags);
}

static int64_t pread_after_one_and_a_half(void *user, int32_t fd, void *buf, size_t len, uint64_t offset)
{
    (void)user;
    if (races > 0) {
        int status;
        pid_t child;
        races--;
        save(racing, "the next", RECYCLE);
        child = fork();
        if (child == 0) {
            steadfast_hooks h = test_hooks();
            h.renameat = dies_at_exchange;
            save_with(test_context(&h), racing, "never saved", RECYCLE);
            _exit(0);
        }
        waitpid(child, &status, 0);
    }
    return REAL->pread(NULL, fd, buf, len, offset);
}

static void readers(void)
{
    char d[300];
    steadfast_state state = { .size = sizeof state };
    steadfast_hooks h = test_hooks();
    steadfast_context *c;
    if (!RECYCLES) {
        skip("what recycling needs is absent", "readers of a file that is being written over");
        return;
    }
    begin(d, sizeof d, "readers");
    racing = strdup(in(d, "s"));
    h.pread = pread_after_two;
    c = test_context(&h);
    for (int saves = 1; saves <= 3; saves++) {
        races = saves;
        is_int(steadfast_state_load(c, racing, NULL, &state, NULL), 0, "a load with %d saves in its way", 2 * saves);
        ok(state.len == 13 && memcmp(state.data, "the one after", 13) == 0, "gets the last of them");
        steadfast_state_free(&state);
    }
    steadfast_context_free(c);
    h.pread = pread_after_one_and_a_half;
    c = test_context(&h);
    races = 1;
    is_int(steadfast_state_load(c, racing, NULL, &state, NULL), 0, "a load of a file that is being written over");
    ok(state.len == 8 && memcmp(state.data, "the next", 8) == 0, "gets what was saved, not what is yet to be");
    steadfast_state_free(&state);
    steadfast_context_free(c);
    is_int(save(racing, "after", RECYCLE), SAVED, "after a recycler died the next save works");
    ok(holds(racing, "after") && holds(in(d, "s.prev"), "the next"), "with the state as the previous one");
    free(racing);
}

/* A saver that keeps the previous generation, while the spare is being written over: it waits for the exchange. */
static char *contended;

static int32_t fdatasync_beside_another(void *user, int32_t fd)
{
    pid_t *child = user;
    if (*child == 0 && (*child = fork()) == 0) {
        close(fd);
        _exit(save(contended, "kept", STEADFAST_SAVE_KEEP_PREVIOUS) == SAVED ? 0 : 1);
    }
    /* Until it waits: its lock is asked for in vain, or it is done already, which is what must not be. */
    for (int i = 0; i < 2000; i++) {
        char line[200], want[40];
        FILE *locks = fopen("/proc/locks", "re");
        int waits = 0;
        snprintf(want, sizeof want, ":%llu ", (unsigned long long)inode(in(dir, "waits/s.prev")));
        while (locks != NULL && fgets(line, sizeof line, locks) != NULL)
            waits |= strstr(line, "->") != NULL && strstr(line, want) != NULL;
        if (locks != NULL)
            fclose(locks);
        if (waits)
            break;
        usleep(1000);
    }
    return REAL->fdatasync(NULL, fd);
}

static void beside_a_keeper(void)
{
    char d[300];
    pid_t child = 0;
    int status = -1;
    steadfast_hooks h = test_hooks();
    steadfast_context *c;
    if (!RECYCLES || (test_absent() & STEADFAST_ABSENT_FDATASYNC) != 0) {
        skip("what recycling needs is absent", "a saver that keeps the previous one waits for a recycler");
        return;
    }
    h.user = &child;
    h.fdatasync = fdatasync_beside_another;
    c = test_context(&h);
    begin(d, sizeof d, "waits");
    contended = strdup(in(d, "s"));
    is_int(save_with(c, contended, "recycled", RECYCLE), SAVED, "a recycled save beside one that keeps the previous one");
    waitpid(child, &status, 0);
    is_int(status, 0, "both are made");
    ok(holds(contended, "kept") && holds(in(d, "s.prev"), "recycled"), "one after the other");
    free(contended);
    steadfast_context_free(c);
}

/* Compare and swap holds its inode through two recycled saves that would write over it. */
static void beside_a_swapper(void)
{
    char d[300];
    int fd;
    ino_t held;
    begin(d, sizeof d, "swapper");
    held = inode(in(d, "s.prev"));
    fd = open(in(d, "s.prev"), O_RDONLY | O_CLOEXEC);
    if (NO_FLOCK || fd < 0 || flock(fd, LOCK_EX) != 0) {
        close(fd);
        skip("flock is absent", "a held spare is not written over");
        return;
    }
    is_int(save(in(d, "s"), "three", RECYCLE), SAVED, "beside a saver that compares and swaps, and still holds the spare");
    ok(inode(in(d, "s")) != held && holds(in(d, "s"), "three") && holds(in(d, "s.prev"), "two"), "it is not written over");
    close(fd);
}

/* Compare and swap waits for the flock; before it gets it, the file is written over twice, with another length. */
static int swapped;

static int32_t flock_after_two(void *user, int32_t fd, int32_t operation)
{
    (void)user;
    if (operation == LOCK_EX && swapped-- == 1) {
        save(racing, "the next", RECYCLE);
        save(racing, "the one after, which is longer", RECYCLE);
    }
    return REAL->flock(NULL, fd, operation);
}

static void a_swapper_that_waits(void)
{
    steadfast_save_options o = { .size = sizeof o, .flags = STEADFAST_SAVE_IF_GENERATION, .expected_generation = 2 };
    char d[300];
    steadfast_hooks h = test_hooks();
    steadfast_context *c;
    if (NO_FLOCK) {
        skip("flock is absent", "compare and swap beside recyclers");
        return;
    }
    h.flock = flock_after_two;
    c = test_context(&h);
    begin(d, sizeof d, "swapper-waits");
    racing = strdup(in(d, "s"));
    swapped = 1;
    is_int(steadfast_state_save(c, racing, "swapped", 7, &o, &report), STEADFAST_E_CONFLICT,
           "compare and swap beside two recycled saves of other lengths");
    is_int(report.generation, 4, "sees their generation, not damage");
    free(racing);
    steadfast_context_free(c);
}

/* The first two saves of all are made between the look at the state and that at the previous one. */
static int firsts;

static int32_t openat_before_the_first(void *user, int32_t dirfd, const char *path, int32_t flags, uint32_t mode)
{
    int32_t result = REAL->openat(NULL, dirfd, path, flags, mode);
    (void)user;
    if (firsts-- == 1) {
        save(racing, "one", STEADFAST_SAVE_KEEP_PREVIOUS);
        save(racing, "two", STEADFAST_SAVE_KEEP_PREVIOUS);
    }
    return result;
}

static void beside_the_first_saves(void)
{
    steadfast_load_options o = { .size = sizeof o };
    steadfast_hooks h = test_hooks();
    steadfast_context *c;
    h.openat = openat_before_the_first;
    c = test_context(&h);
    for (uint32_t flags = 0; flags <= STEADFAST_LOAD_RECOVER; flags += STEADFAST_LOAD_RECOVER) {
        steadfast_state state = { .size = sizeof state };
        racing = strdup(in(dir, flags == 0 ? "first" : "first-recover"));
        firsts = 1;
        o.flags = flags;
        is_int(steadfast_state_load(c, racing, &o, &state, NULL), 0, "a load beside the very first saves (flags %u)", (unsigned)flags);
        ok(state.len == 3 && memcmp(state.data, "two", 3) == 0, "finds the state, and nothing lost");
        steadfast_state_free(&state);
        free(racing);
    }
    steadfast_context_free(c);
}

int main(void)
{
    dir = make_temp_dir("recycle");
    context = test_context(NULL);
    exchanges();
    keeps_what_it_must();
    falls_back(STEADFAST_CALL_FDATASYNC, "the sync of the spare fails", 1, SAVED);
    falls_back(STEADFAST_CALL_OFDLOCK, "the spare cannot be claimed", 1, SAVED);
    if (RECYCLES)
        falls_back(STEADFAST_CALL_WRITE, "the first write fails", 0, SAVED);
    else
        skip("what recycling needs is absent", "the first write fails");
    without_exchange();
    readers();
    beside_a_keeper();
    beside_a_swapper();
    a_swapper_that_waits();
    beside_the_first_saves();
    steadfast_context_free(context);
    remove_tree(dir);
    free(dir);
    return done_testing();
}
