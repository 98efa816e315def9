/* A disk image in memory, the file system on it, and the power cut.
 *
 * ext4 and xfs are shut down by their ioctl, without a flush of the journal, as xfstests do it. btrfs has no such call: its image lies
 * on an xfs of its own, and a clone of the image (FICLONE) is what the device holds at that moment, taken between two writes. */
#include "power.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/loop.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <time.h>

#define GOING_DOWN _IOR('X', 125, uint32_t)
enum { WITHOUT_FLUSH = 2 };

struct disk {
    const char *kind;
    char below[600], image[700], cut[700], root[700];
    int loop, below_loop;                /* their numbers; -1: none */
    int root_fd;
};

static void give_up(const char *what)
{
    fprintf(stderr, "power: %s: %s\n", what, strerror(errno));
    exit(3);
}

static void command(const char *const *arguments)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        int null = open("/dev/null", O_WRONLY);
        dup2(null, 1);                   /* mkfs.btrfs says much */
        execvp(arguments[0], (char *const *)arguments);
        _exit(127);
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    if (status != 0) {
        errno = EINVAL;
        give_up(arguments[0]);
    }
}

static void make_file(const char *path, off_t size)
{
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || ftruncate(fd, size)) give_up(path);
    close(fd);
}

/* Attaches `image` to a free loop device, which detaches itself when the file system is gone. Returns its descriptor, to be closed
 * after the mount. */
static int attach(const char *image, int *number)
{
    struct loop_config config = { .info.lo_flags = LO_FLAGS_AUTOCLEAR };
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), file = open(image, O_RDWR | O_CLOEXEC);
    if (control < 0 || file < 0) give_up(image);
    config.fd = (uint32_t)file;
    for (int attempt = 0; attempt < 1000; attempt++) {
        char device[40];
        *number = ioctl(control, LOOP_CTL_GET_FREE);
        snprintf(device, sizeof device, "/dev/loop%d", *number);
        int fd = open(device, O_RDWR | O_CLOEXEC);
        if (fd >= 0 && ioctl(fd, LOOP_CONFIGURE, &config) == 0) {
            close(file);
            close(control);
            return fd;
        }
        if (fd >= 0) close(fd);
        usleep(2000);               /* somebody else took it */
    }
    give_up("no loop device");
    return -1;
}

/* Does the loop device still have an image? While it does, a second mount of the image would be a second owner of the disk. */
static int attached(int number, const char *image)
{
    char path[100], name[800] = "";
    snprintf(path, sizeof path, "/sys/block/loop%d/loop/backing_file", number);
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    int there = fgets(name, sizeof name, file) != NULL && strncmp(name, image, strlen(image)) == 0;
    fclose(file);
    return there;
}

static int mount_image(const char *image, const char *kind, const char *root, int *number)
{
    char device[40];
    int fd = attach(image, number);
    snprintf(device, sizeof device, "/dev/loop%d", *number);
    int result = mount(device, root, kind, 0, strcmp(kind, "xfs") == 0 ? "nouuid" : "") ? -errno : 0;
    close(fd);
    return result;
}

static void unmount(const char *root, int *number, const char *image)
{
    if (*number < 0) return;
    double until = now() + 10;
    while (umount2(root, 0) && errno == EBUSY && now() < until) usleep(2000);
    while (attached(*number, image) && now() < until) usleep(500);
    if (attached(*number, image)) {
        errno = EBUSY;
        give_up("the file system does not go");
    }
    *number = -1;
}

static int clones(const struct disk *disk) { return strcmp(disk->kind, "btrfs") == 0; }

struct disk *disk_new(const char *kind, const char *scratch)
{
    struct disk *disk = calloc(1, sizeof *disk);
    disk->kind = kind;
    disk->loop = disk->below_loop = -1;
    disk->root_fd = -1;
    snprintf(disk->root, sizeof disk->root, "%s/root", scratch);
    snprintf(disk->below, sizeof disk->below, "%s/below", scratch);
    if (mkdir(disk->root, 0700) || mkdir(disk->below, 0700)) give_up(scratch);
    if (clones(disk)) {
        char lower[700];
        snprintf(lower, sizeof lower, "%s/lower", scratch);
        make_file(lower, (off_t)2 << 30);
        command((const char *const[]){ "mkfs.xfs", "-q", "-f", "-K", lower, NULL });
        if (mount_image(lower, "xfs", disk->below, &disk->below_loop)) give_up("mount xfs");
    }
    snprintf(disk->image, sizeof disk->image, "%s/image", clones(disk) ? disk->below : scratch);
    snprintf(disk->cut, sizeof disk->cut, "%s/cut", disk->below);
    return disk;
}

/* The root of the file system is held open for the cut. */
static int come_up(struct disk *disk)
{
    int result = mount_image(disk->image, disk->kind, disk->root, &disk->loop);
    if (result == 0 && (disk->root_fd = open(disk->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) give_up(disk->root);
    return result;
}

static void go_down(struct disk *disk)
{
    if (disk->root_fd >= 0) close(disk->root_fd);
    disk->root_fd = -1;
    unmount(disk->root, &disk->loop, disk->image);
}

void disk_format(struct disk *disk)
{
    go_down(disk);
    make_file(disk->image, (off_t)448 << 20);
    if (strcmp(disk->kind, "ext4") == 0)
        command((const char *const[]){ "mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0,nodiscard", disk->image, NULL });
    else if (strcmp(disk->kind, "xfs") == 0)
        command((const char *const[]){ "mkfs.xfs", "-q", "-f", "-K", disk->image, NULL });
    else
        command((const char *const[]){ "mkfs.btrfs", "-q", "-f", "-K", disk->image, NULL });
    if (come_up(disk)) give_up("mount");
}

const char *disk_root(const struct disk *disk) { return disk->root; }

void disk_cut(struct disk *disk, unsigned life)
{
    if (clones(disk)) {
        int from = open(disk->image, O_RDONLY | O_CLOEXEC), to = open(disk->cut, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (from < 0 || to < 0) give_up(disk->cut);
        history->cut[life] = tick();
        if (ioctl(to, FICLONE, from)) give_up("FICLONE");
        history->gone[life] = tick();
        close(from);
        close(to);
    } else {
        uint32_t how = WITHOUT_FLUSH;
        history->cut[life] = tick();
        if (ioctl(disk->root_fd, GOING_DOWN, &how)) give_up("the shutdown call");
        history->gone[life] = tick();
    }
}

int disk_remount(struct disk *disk)
{
    go_down(disk);
    if (clones(disk) && rename(disk->cut, disk->image)) give_up("rename");
    return come_up(disk);
}

void disk_free(struct disk *disk)
{
    go_down(disk);
    if (disk->below_loop >= 0) {
        char lower[700];
        snprintf(lower, sizeof lower, "%.*s/lower", (int)(strlen(disk->below) - strlen("/below")), disk->below);
        unmount(disk->below, &disk->below_loop, lower);
    }
    free(disk);
}
