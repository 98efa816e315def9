/* A saver whose content is not synced, beside one whose content is: what it replaces is what it keeps. */
#include "tap.h"
#include "state_test.h"

static char path[300], previous[310];
static int moments;

/* While the state is being kept, another saver publishes, durably. */
static void save_at_rename(struct faults *f, int call, const char *name)
{
    (void)name;
    if (call == STEADFAST_CALL_RENAMEAT && f->made[call] <= moments) {
        char text[40];
        snprintf(text, sizeof text, "theirs %ld", f->made[call]);
        save_with(context, path, text, 0);
    }
}

static void kept(const char *what, uint32_t flags, int no_syncs, int before)
{
    for (moments = 1; moments <= 2; moments++) {
        unlink(path), unlink(previous);
        save(path, "oldest", 0);
        if (before)
            save(path, "old", STEADFAST_SAVE_KEEP_PREVIOUS);
        struct faults f = { .before = save_at_rename, .error = no_syncs ? EIO : 0, .file_syncs = no_syncs };
        steadfast_context *c = faults_context(&f);
        is_int(save_with(c, path, "mine", flags), STEADFAST_NOT_DURABLE, "%s, PATH.prev %s, %d saved meanwhile: NOT_DURABLE", what,
               before ? "there" : "missing", moments);
        steadfast_context_free(c);
        int theirs = holds(previous, moments == 1 ? "theirs 1" : "theirs 2") || holds(path, moments == 1 ? "theirs 1" : "theirs 2");
        ok(theirs, "and what the other one was told is durable is there, at one of the two names");
    }
}

int main(void)
{
    dir = make_temp_dir("meanwhile");
    snprintf(path, sizeof path, "%s/s", dir);
    snprintf(previous, sizeof previous, "%s/s.prev", dir);
    context = test_context(NULL);
    if (NO_LINK || NO_DIR_FSYNC) {
        skip("what is kept by a copy, or never durable, is another test", "a saver meanwhile");
    } else {
        for (int before = 0; before < 2; before++) {
            kept("NO_SYNC and KEEP_PREVIOUS", STEADFAST_SAVE_NO_SYNC | STEADFAST_SAVE_KEEP_PREVIOUS, 0, before);
            kept("a sync that fails", 0, 1, before);
        }
    }
    ok(*leftovers(dir, "s s.prev") == '\0', "nothing is left over%s", leftovers(dir, "s s.prev"));
    steadfast_context_free(context);
    remove_tree(dir);
    free(dir);
    return done_testing();
}
