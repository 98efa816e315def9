/* The scenes: who attacks how, what he is allowed to hinder, and the permissions that are there before. */
#include "attacks.h"

static void run(const char *format, const char *directory)
{
    char command[1200];
    snprintf(command, sizeof command, format, directory);
    if (system(command) != 0)
        wrong("the scene cannot be arranged: %s", command);
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

/* A named entry has less than others. Where the mask has nothing, the kernel asks no entry: it has r here. */
static void acl_that_forbids(const char *directory)
{
    run("cd '%s' && chmod 604 s s.prev u u.prev && setfacl -m u:65534:---,g:61003:---,m::r-- s s.prev u u.prev", directory);
}

/* The user is not in the group of his file, so that it cannot be kept; the second spy is in the group that comes instead. */
static void group_not_kept(const char *directory)
{
    run("cd '%s' && chgrp 61005 u u.prev && chmod 640 u u.prev", directory);
}

/* The group has less than others, and is not kept: the second spy was in it. */
static void group_with_less(const char *directory)
{
    run("cd '%s' && chgrp 61003 u u.prev && chmod 604 u u.prev && chmod 600 s s.prev", directory);
}

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
    { .name = "plants links as temporary names, not sticky",
      .place = OPEN,
      .attack = orphan_links,
      .busy = 1,
      .keep_fails = 1,
      .save_fails = 1,
      .lock_fails = 1 },
    { .name = "may do anything", .place = OPEN, .attack = chaos, .busy = 1, .keep_fails = 1, .save_fails = 1, .lock_fails = 1 },
};
const unsigned scene_count = sizeof scenes / sizeof *scenes;
