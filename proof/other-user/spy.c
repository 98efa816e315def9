/* Opens every file that it may open, as soon as it is there, keeps it open, and reads it again and again. What it may read at all, it reads
 * whole; a file that says SECRET was not for it. */
#include "other.h"

#include <dirent.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/prctl.h>

enum { MOST_OPEN = 64 };
static struct { int fd; char name[256]; } kept[MOST_OPEN];
static unsigned next_kept;
static int wants_secrets;

static void look_into(int fd, const char *name)
{
    static char content[8192];
    struct stat about = { 0 };
    ssize_t len = pread(fd, content, sizeof content, 0);
    if (len <= 0 || !wants_secrets || !memmem(content, (size_t)len, SECRET, strlen(SECRET))) return;
    fstat(fd, &about);
    wrong("disclosed: uid %d, gid %d read a secret in %s (now mode %o, owner %d:%d)", (int)getuid(), (int)getgid(), name, (unsigned)about.st_mode & 07777,
          (int)about.st_uid, (int)about.st_gid);
}

static void try_to_open(int directory, const char *name)
{
    struct stat about;
    int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return;
    if (fstat(fd, &about) || !S_ISREG(about.st_mode)) {
        close(fd);
        return;
    }
    shared->opened++;
    look_into(fd, name);
    if (kept[next_kept].fd > 0) close(kept[next_kept].fd);
    kept[next_kept].fd = fd;
    snprintf(kept[next_kept].name, sizeof kept[0].name, "%s", name);
    next_kept = (next_kept + 1) % MOST_OPEN;
}

static void open_all(int directory)
{
    DIR *list = fdopendir(openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!list) return;
    /* A planted sequence is long: the first ones are enough. */
    int count = 0;
    for (struct dirent *entry; (entry = readdir(list)) != NULL && count < 100; count++) try_to_open(directory, entry->d_name);
    closedir(list);
}

void spy(const char *path, uid_t uid, gid_t gid, int tells)
{
    _Alignas(struct inotify_event) char events[4096];
    wants_secrets = tells;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    become(uid, gid);
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), notes = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (directory < 0 || notes < 0) {
        wrong("the spy sees nothing: %s", strerror(errno));
        _exit(1);
    }
    inotify_add_watch(notes, path, IN_CREATE | IN_MOVED_TO | IN_ATTRIB | IN_MODIFY);
    shared->ready++;
    while (!shared->stop) {
        struct pollfd waited = { .fd = notes, .events = POLLIN };
        poll(&waited, 1, 2);
        ssize_t len = read(notes, events, sizeof events);
        for (char *at = events; len > 0 && at < events + len;) {
            struct inotify_event *event = (struct inotify_event *)at;
            if (event->len) try_to_open(directory, event->name);
            at += sizeof *event + event->len;
        }
        if (len <= 0) open_all(directory);
        for (unsigned i = 0; i < MOST_OPEN; i++)
            if (kept[i].fd > 0) look_into(kept[i].fd, kept[i].name);
    }
    _exit(0);
}
