/* What another user does, who may read the directory or make names in it. Each is a line in the table at the end. */
#include "other.h"

#include <dirent.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

enum { ORPHANS = 1100 };
static const char own_text[] = "the other user's own";

static void hold(void)
{
    shared->ready++;
    for (;;) pause();
}

static int open_to_read(int directory, const char *name) { return openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC); }

/* The names of the states and locks of the scene, with what belongs to them. */
static const char *const files[] = { "p", "p.prev", "q", "q.prev", "t", "t.prev", "l", "m", "dead", "s", "s.prev", "u", "u.prev" };
enum { FILES = sizeof files / sizeof *files };

/* ---- reading only ---- */

static void flocks(int directory, int operation)
{
    for (int i = 0; i < FILES; i++) {
        int fd = open_to_read(directory, files[i]);
        if (fd >= 0) flock(fd, operation | LOCK_NB);
    }
}

static void flock_files_shared(int directory, uint32_t seed) { (void)seed, flocks(directory, LOCK_SH), hold(); }
static void flock_files(int directory, uint32_t seed) { (void)seed, flocks(directory, LOCK_EX), hold(); }

/* Follows each file to its next inode, so that a saver that goes on finds the lock again. */
static void flock_whatever_comes(int directory, uint32_t seed)
{
    int held[FILES] = { 0 };
    shared->ready++;
    for (;;) {
        int i = (int)chance(&seed, FILES), fd = open_to_read(directory, files[i]);
        if (fd < 0) continue;
        flock(fd, (chance(&seed, 2) ? LOCK_EX : LOCK_SH) | LOCK_NB);
        if (held[i]) close(held[i]);
        held[i] = fd;
    }
}

static void flock_directory(int directory, uint32_t seed)
{
    int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    (void)seed;
    if (flock(fd, LOCK_EX)) wrong("the attack does not work: flock of the directory");
    hold();
}

static void range_lock(int fd)
{
    struct flock all = { .l_type = F_RDLCK, .l_whence = SEEK_SET };
    if (fcntl(fd, F_OFD_SETLK, &all) && fcntl(fd, F_SETLK, &all)) wrong("the attack does not work: a range: %s", strerror(errno));
}

static void range_directory(int directory, uint32_t seed)
{
    (void)seed;
    range_lock(openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    hold();
}

/* Every other byte of the first ten thousand: many tickets instead of one. */
static void range_directory_in_pieces(int directory, uint32_t seed)
{
    int fd = openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    (void)seed;
    for (int i = 0; i < 10000; i += 2) {
        struct flock one = { .l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = i, .l_len = 1 };
        fcntl(fd, F_OFD_SETLK, &one);
    }
    hold();
}

static void range_files(int directory, uint32_t seed)
{
    (void)seed;
    for (int i = 0; i < FILES; i++) {
        int fd = open_to_read(directory, files[i]);
        if (fd >= 0) range_lock(fd);
    }
    hold();
}

static void leases(int directory, uint32_t seed)
{
    shared->ready++;
    for (;;) {
        int fd = open_to_read(directory, files[chance(&seed, FILES)]);
        if (fd < 0) continue;
        fcntl(fd, F_SETLEASE, chance(&seed, 2) ? F_RDLCK : F_WRLCK);
        if (chance(&seed, 8) == 0) close(fd);
        if (fd > 500) return;                /* his descriptors are at an end; the main program begins him anew */
    }
}

/* The owner himself, in another process, for reading: who opens a file for writing has to wait for him. */
static void leases_of_owner(int directory, uint32_t seed)
{
    static const char *const own[] = { "u", "u.prev", "q", "q.prev", "m" };
    signal(SIGIO, SIG_IGN);
    shared->ready++;
    for (int fd = 0; fd < 500; usleep(chance(&seed, 3000))) {
        fd = open_to_read(directory, own[chance(&seed, 5)]);
        if (fd >= 0) fcntl(fd, F_SETLEASE, F_RDLCK);
    }
}

/* ---- making names ---- */

static void plant_file(int directory, const char *name)
{
    unlinkat(directory, name, 0);
    int fd = openat(directory, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) return;
    if (write(fd, own_text, sizeof own_text - 1) < 0) perror(name);
    fchmod(fd, 0666);
    close(fd);
}

static void temporary_name(char *name, size_t size, const char *of, int number, int rotating)
{
    snprintf(name, size, rotating ? ".%s.%d.prev.tmp" : ".%s.%d.tmp", of, number);
}

/* The whole sequence for each state and lock, in the form that `how` says. */
static void plant_sequences(int directory, char how)
{
    static const char *const of[] = { "s", "p", "u", "q", "t", "l", "m" };
    char name[100];
    for (size_t i = 0; i < sizeof of / sizeof *of; i++)
        for (int k = 0; k < ORPHANS; k++)
            for (int rotating = 0; rotating < 2; rotating++) {
                temporary_name(name, sizeof name, of[i], k, rotating);
                if (how == 'f') plant_file(directory, name);
                if (how == 'l' && symlinkat("../precious", directory, name)) continue;
                if (how == 'd' && mkdirat(directory, name, 0777)) continue;
                if (how == 'p' && mkfifoat(directory, name, 0666)) continue;
            }
}

static void orphans(int directory, uint32_t seed) { (void)seed, plant_sequences(directory, 'f'), hold(); }
static void orphan_links(int directory, uint32_t seed) { (void)seed, plant_sequences(directory, 'l'), hold(); }
static void orphan_directories(int directory, uint32_t seed) { (void)seed, plant_sequences(directory, 'd'), hold(); }
static void orphan_pipes(int directory, uint32_t seed) { (void)seed, plant_sequences(directory, 'p'), hold(); }

/* His own files, with a lease that makes everybody wait who opens them. */
static void orphan_leases(int directory, uint32_t seed)
{
    static const char *const of[] = { "s", "p", "u", "q" };
    char name[100];
    int held = 0;
    (void)seed;
    signal(SIGIO, SIG_IGN);
    for (int k = 0; k < 100; k++) {
        temporary_name(name, sizeof name, of[k % 4], k / 4, 0);
        plant_file(directory, name);
        int fd = openat(directory, name, O_RDWR | O_CLOEXEC);
        /* A spy may be faster. */
        held += fd >= 0 && fcntl(fd, F_SETLEASE, F_WRLCK) == 0;
    }
    if (held == 0) wrong("the attack does not work: no lease");
    hold();
}

static const char *const previous[] = { "s.prev", "p.prev", "u.prev", "q.prev", "t.prev" };

/* PATH.prev is a file of his, which everybody may write, and he has it open. Again and again: savers may take the name from him. */
static void previous_files(int directory, uint32_t seed)
{
    shared->ready++;
    for (;;) {
        plant_file(directory, previous[chance(&seed, 5)]);
        usleep(chance(&seed, 3000));
    }
}

static void previous_leases(int directory, uint32_t seed)
{
    signal(SIGIO, SIG_IGN);
    shared->ready++;
    for (int fd = 0; fd < 500;) {
        const char *name = previous[chance(&seed, 5)];
        plant_file(directory, name);
        fd = openat(directory, name, O_RDWR | O_CLOEXEC);
        if (fd >= 0) fcntl(fd, F_SETLEASE, F_WRLCK);
        usleep(5000 + chance(&seed, 30000));
    }
}

static void previous_others(int directory, uint32_t seed)
{
    shared->ready++;
    for (;;) {
        const char *name = previous[chance(&seed, 5)];
        if (unlinkat(directory, name, 0)) unlinkat(directory, name, AT_REMOVEDIR);
        switch (chance(&seed, 4)) {
        case 0: if (symlinkat("../precious", directory, name)) break; break;
        case 1: mkdirat(directory, name, 0777); break;
        case 2: mkfifoat(directory, name, 0666); break;
        case 3: if (symlinkat("s", directory, name)) break; break;
        }
        usleep(chance(&seed, 3000));
    }
}

/* The name of a lock: a dead one's, a living one's, nobody's, no file at all. */
static void lock_names(int directory, uint32_t seed)
{
    char text[40];
    shared->ready++;
    for (;;) {
        const char *name = chance(&seed, 2) ? "l" : "m";
        if (unlinkat(directory, name, 0)) unlinkat(directory, name, AT_REMOVEDIR);
        int kind = (int)chance(&seed, 6);
        if (kind == 0 && symlinkat("../precious", directory, name)) continue;
        if (kind == 1) mkfifoat(directory, name, 0666);
        if (kind == 2) mkdirat(directory, name, 0777);
        if (kind >= 3) {
            int fd = openat(directory, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
            int len = snprintf(text, sizeof text, kind == 3 ? "1\n" : kind == 4 ? "4194303\n" : "");
            if (fd >= 0 && write(fd, text, (size_t)len) < 0) continue;
            if (fd >= 0) flock(fd, LOCK_EX | LOCK_NB);
            usleep(chance(&seed, 20000));
            if (fd >= 0) close(fd);
        }
        usleep(chance(&seed, 20000));
    }
}

/* Links where root saves with FOLLOW_SYMLINK: to what is precious, to a file of his own, by way of another link. */
static void links(int directory, uint32_t seed)
{
    (void)seed;
    if (symlinkat("../precious", directory, "link") || symlinkat("../his/file", directory, "link2") || symlinkat("rootlink", directory, "link3"))
        wrong("the attack does not work: links: %s", strerror(errno));
    hold();
}

/* ---- everything ---- */

/* He may do anything in the directory: exchanges names with his own files and with one another. */
static void chaos(int directory, uint32_t seed)
{
    shared->ready++;
    for (;;) {
        const char *one = files[chance(&seed, FILES)], *other = files[chance(&seed, FILES)];
        switch (chance(&seed, 5)) {
        case 0: unlinkat(directory, one, 0); break;
        case 1: renameat(directory, one, directory, other); break;
        case 2: renameat2(directory, one, directory, other, RENAME_EXCHANGE); break;
        case 3: if (symlinkat("../precious", directory, one)) break; break;
        case 4: plant_file(directory, one); break;
        }
        usleep(chance(&seed, 2000));
    }
}

/* ---- nothing but permissions: he looks whether a save gives him more than he had ---- */

static void looks(int directory, uint32_t seed) { (void)directory, (void)seed, hold(); }

static void run(const char *format, const char *directory)
{
    char command[1200];
    snprintf(command, sizeof command, format, directory);
    if (system(command) != 0) wrong("the scene cannot be arranged: %s", command);
}

/* The mask of an ACL stands where the group's rights were. */
static void acl_beside_group(const char *directory)
{
    run("cd '%s' && chgrp 61003 s s.prev u u.prev && chmod 600 s s.prev u u.prev && setfacl -m u:61007:rw s s.prev u u.prev", directory);
}

/* The directory would give him more than the owner has left him. */
static void default_acl(const char *directory)
{
    run("cd '%s' && setfacl -d -m u:65534:rwx,g:61003:rwx . && chmod 640 s s.prev u u.prev && setfacl -b s s.prev u u.prev", directory);
}

/* A named entry has less than others. */
static void acl_that_forbids(const char *directory)
{
    run("cd '%s' && chmod 604 s s.prev u u.prev && setfacl -m u:65534:---,g:61003:--- s s.prev u u.prev", directory);
}

/* The user is not in the group of his file, so that it cannot be kept; the second spy is in the group that comes instead. */
static void group_not_kept(const char *directory) { run("cd '%s' && chgrp 61005 u u.prev && chmod 640 u u.prev", directory); }

/* The group has less than others, and is not kept: the second spy was in it. */
static void group_with_less(const char *directory) { run("cd '%s' && chgrp 61003 u u.prev && chmod 604 u u.prev && chmod 600 s s.prev", directory); }

const struct scene scenes[] = {
    { .name = "flocks every file, shared", .place = READABLE, .attack = flock_files_shared, .busy = 1 },
    { .name = "flocks every file", .place = READABLE, .attack = flock_files, .busy = 1 },
    { .name = "flocks whatever comes", .place = READABLE, .attack = flock_whatever_comes, .busy = 1 },
    { .name = "flocks the directory", .place = READABLE, .attack = flock_directory },
    { .name = "locks the range of the directory", .place = READABLE, .attack = range_directory },
    { .name = "locks 5000 bytes of the directory", .place = READABLE, .attack = range_directory_in_pieces },
    { .name = "locks the range of every file", .place = READABLE, .attack = range_files },
    { .name = "asks for leases", .place = READABLE, .attack = leases },
    { .name = "is the owner and holds leases", .place = READABLE, .attack = leases_of_owner, .uid = USER, .busy = 1 },
    { .name = "plants the sequences of temporary names", .place = STICKY, .attack = orphans },
    { .name = "plants links as temporary names", .place = STICKY, .attack = orphan_links },
    { .name = "plants directories as temporary names", .place = STICKY, .attack = orphan_directories },
    { .name = "plants pipes as temporary names", .place = STICKY, .attack = orphan_pipes },
    { .name = "holds leases of temporary names", .place = STICKY, .attack = orphan_leases },
    { .name = "plants PATH.prev", .place = STICKY, .attack = previous_files, .keep_fails = 1 },
    { .name = "holds leases of PATH.prev", .place = STICKY, .attack = previous_leases, .keep_fails = 1 },
    { .name = "plants links and pipes as PATH.prev", .place = STICKY, .attack = previous_others, .keep_fails = 1 },
    { .name = "plants locks", .place = STICKY, .attack = lock_names, .lock_fails = 1 },
    { .name = "plants links", .place = STICKY, .attack = links, .links = 1 },
    { .name = "is in the group of a file with an ACL", .place = READABLE, .attack = looks, .arrange = acl_beside_group },
    { .name = "has a default ACL that was taken off", .place = READABLE, .attack = looks, .arrange = default_acl },
    { .name = "is forbidden by an ACL", .place = READABLE, .attack = looks, .arrange = acl_that_forbids },
    { .name = "is in the group that comes instead", .place = READABLE, .attack = looks, .arrange = group_not_kept, .group = USER },
    { .name = "is in a group that has less than others", .place = READABLE, .attack = looks, .arrange = group_with_less, .others_read = 1 },
    { .name = "plants links as temporary names, not sticky", .place = OPEN, .attack = orphan_links, .busy = 1, .keep_fails = 1, .save_fails = 1, .lock_fails = 1 },
    { .name = "may do anything", .place = OPEN, .attack = chaos, .busy = 1, .keep_fails = 1, .save_fails = 1, .lock_fails = 1 },
};
const unsigned scene_count = sizeof scenes / sizeof *scenes;

void check_planted(int directory)
{
    DIR *list = fdopendir(openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    unsigned files_left = 0, others = 0;
    for (struct dirent *entry; list && (entry = readdir(list)) != NULL;) {
        struct stat about;
        char text[100] = "";
        size_t len = strlen(entry->d_name);
        if (entry->d_name[0] != '.' || len < 5 || strcmp(entry->d_name + len - 4, ".tmp") != 0) continue;
        if (fstatat(directory, entry->d_name, &about, AT_SYMLINK_NOFOLLOW) || about.st_uid != ATTACKER) continue;
        if (!S_ISREG(about.st_mode)) {
            others++;
            continue;
        }
        int fd = openat(directory, entry->d_name, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0 || read(fd, text, sizeof text - 1) < 0 || strcmp(text, own_text) != 0) wrong("lost: %s, a file of the other user, was written to", entry->d_name);
        if (fd >= 0) close(fd);
        files_left++;
    }
    if (list) closedir(list);
    /* Whole sequences: seven names, two forms. */
    if (files_left > ORPHANS && files_left < ORPHANS * 14) wrong("lost: %u files of the other user were removed", ORPHANS * 14 - files_left);
    if (others > ORPHANS && others < ORPHANS * 14) wrong("lost: %u names of the other user were removed", ORPHANS * 14 - others);
}
