/* Others take the name, or look at the file, while a lock is taken through its name (lock_named.c). */
#include "tap.h"
#include "util.h"
#include "lock_probe.h"
#include "link_copies.h"

static pid_t foreign;

static void foreign_holder(void)
{
    int result;
    unlink(lock);
    foreign = start(hold, lock, &result);
    if (result != 0)
        bail_out("the foreign holder got %s", steadfast_status_name(result));
}

static void foreign_pid_file(void)
{
    foreign = 0;
    unlink(lock);
    write_pid(lock, 1);
}

/* The name is taken by somebody else at this moment: he keeps it, and who comes second is told. */
static void taken_meanwhile(const char *name, int copies, void (**moment)(void), void (*by)(void), int create_error)
{
    memset(&fs, 0, sizeof fs);
    fs.copies = copies, fs.create_error = create_error;
    *moment = by;
    int32_t status = acquire(0, 0);
    ok(*moment == NULL && (status == STEADFAST_E_LOCKED || (create_error != 0 && status < 0)) && held == NULL, "%s: %s, no lock", name,
       create_error != 0 ? "an error" : "E_LOCKED");
    ok(names(by == foreign_holder ? foreign : 1) && strcmp(leftovers(dir, "lock"), "") == 0, "%s: its lock stays", name);
    if (status == 0) {
        diag("acquire: 0, check: %s", steadfast_status_name(steadfast_lock_check(held, NULL)));
        steadfast_lock_release(held, NULL);
    }
    if (by == foreign_holder)
        stop(foreign);
    unlink(lock);
}

static void other_takers(void)
{
    taken_meanwhile("a PID file before the look", 1, &fs.before_look, foreign_pid_file, 0);
    taken_meanwhile("a holder before the look", 1, &fs.before_look, foreign_holder, 0);
    taken_meanwhile("a holder before the look, where links are links", 0, &fs.before_look, foreign_holder, 0);
    taken_meanwhile("a PID file after the name was created", 1, &fs.after_create, foreign_pid_file, 0);
    taken_meanwhile("a holder after the name was created", 1, &fs.after_create, foreign_holder, 0);
    taken_meanwhile("a holder after the name was created, and no flock", 1, &fs.after_create, foreign_holder, ENOLCK);
    taken_meanwhile("a PID file after the name was created, and an I/O error", 1, &fs.after_create, foreign_pid_file, EIO);
}

static int looker = -1;

static void look_shared(void)
{
    looker = open(lock, O_RDONLY | O_CLOEXEC);
    flock(looker, LOCK_SH | LOCK_NB);
}

static void look_exclusive(void)
{
    looker = open(lock, O_RDONLY | O_CLOEXEC);
    flock(looker, LOCK_EX | LOCK_NB);
}

static void look_away(void)
{
    close(looker);
    looker = -1;
}

/* A cleaner or a reader has the flock for a moment: it proves nothing, and costs nobody his lock. */
static void lookers(void)
{
    static const struct {
        const char *name;
        int after_create;
        void (*look)(void);
    } cases[] = {
        { "an inspector looks at the record before us", 0, look_shared },
        { "a cleaner looks at the record before us", 0, look_exclusive },
        { "an inspector looks at the file that was just created", 1, look_shared },
        { "a cleaner looks at the file that was just created", 1, look_exclusive },
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int stays = 0; stays < 2; stays++) {
            memset(&fs, 0, sizeof fs);
            fs.copies = 1;
            *(cases[i].after_create ? &fs.after_create : &fs.before_look) = cases[i].look;
            fs.after_refusal = stays ? NULL : look_away;
            int32_t status = acquire(stays ? 50 : 5000, 0);
            if (looker >= 0)
                look_away();
            /* What could not be removed under another one's flock is marked and empty, and stale without it. */
            if (status != 0 && stays)
                steadfast_lock_clean_stale(NULL, lock, NULL, NULL);
            if (status == 0)
                ok(!flock_is_free(lock) && steadfast_lock_check(held, NULL) == 0, "%s: taken, and held through the name", cases[i].name);
            else
                ok(stays && status == STEADFAST_E_LOCKED && left_nothing(), "%s, and %s: E_LOCKED, no file", cases[i].name,
                   stays ? "stays" : "goes");
            if (stays)
                ok(fs.slept_ns <= 60000000, "%s, and stays: with a timeout of 50 ms all sleeps are %lld ms", cases[i].name,
                   (long long)fs.slept_ns / 1000000);
            if (status == 0)
                steadfast_lock_release(held, NULL);
            unlink(lock);
        }
}

int main(void)
{
    dir = make_temp_dir("meanwhile");
    lock = strdup(in(dir, "lock"));
    if (!has(STEADFAST_ABSENT_FLOCK)) {
        skip("this run has no flock", "others who come while a lock is taken");
    } else {
        other_takers();
        lookers();
        is_int(count_entries(dir), 0, "nothing is left in the directory");
    }
    remove_tree(dir);
    free(lock);
    free(dir);
    return done_testing();
}
