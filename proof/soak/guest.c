/* The first and only process of a small machine (kernel.sh): it saves states and tells the console what was acknowledged, until
 * the machine is cut off; booted again, it tells what is there.
 *
 *   mode=write [mutant=nosync]: saves for ever, "ACK n" after each        mode=check: "FOUND n", then whether life goes on */
#define _GNU_SOURCE
#include "steadfast.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

static const char state_path[] = "/disk/state", lock_path[] = "/disk/lock";

static void load_modules(void)
{
    char path[32];
    for (int i = 0; i < 16; i++) {
        snprintf(path, sizeof path, "/modules/%d.ko", i);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            continue;
        if (syscall(SYS_finit_module, fd, "", 0) != 0)
            printf("module %d: %s\n", i, strerror(errno));
        close(fd);
    }
}

/* Every generation has its own size and content. */
static size_t content(char *data, unsigned long long n)
{
    size_t size = (size_t)(n * 977 % 20000);
    for (size_t i = 0; i < size; i++)
        data[i] = (char)(n * 31 + i * 7);
    return size;
}

static int32_t no_sync(void *user, int32_t fd)
{
    (void)user, (void)fd;
    return 0;
}

static void write_states(int mutant)
{
    static const uint32_t unsynced = STEADFAST_SAVE_NO_SYNC | STEADFAST_SAVE_KEEP_PREVIOUS;
    static const uint32_t kinds[] = { 0, STEADFAST_SAVE_KEEP_PREVIOUS, unsynced, STEADFAST_SAVE_STRICT };
    static char data[20000];
    steadfast_hooks hooks = steadfast_hooks_init();
    if (mutant)
        hooks.fsync = no_sync;
    steadfast_context *context;
    steadfast_lock *lock;
    if (steadfast_context_new(&hooks, &context) != 0)
        return;
    if (steadfast_lock_acquire(context, lock_path, 0, NULL, &lock, NULL) != 0)
        printf("BAD no lock\n");
    for (unsigned long long n = 1;; n++) {
        steadfast_save_options options = { .size = sizeof options, .flags = kinds[n % 4] };
        steadfast_report report = { .size = sizeof report };
        size_t size = content(data, n);
        int code = steadfast_state_save(context, state_path, data, size, &options, &report);
        if (code == 0)
            printf("ACK %llu\n", n);
        else if (code != STEADFAST_NOT_DURABLE || options.flags != unsynced || report.on_disk != STEADFAST_ON_DISK_EITHER)
            printf("BAD save: %s\n", report.message);
    }
}

static void check_state(void)
{
    static char data[20000];
    steadfast_report report = { .size = sizeof report };
    steadfast_state state = { .size = sizeof state };
    /* An unsynced state may be damaged; the last one that was acknowledged is then PATH.prev. */
    steadfast_load_options options = { .size = sizeof options, .flags = STEADFAST_LOAD_RECOVER };
    int code = steadfast_state_load(NULL, state_path, &options, &state, &report);
    if (code < 0 && code != -ENOENT)
        printf("BAD load: %s\n", report.message);
    size_t size = content(data, state.generation);
    if (code >= 0 && (state.len != size || memcmp(state.data, data, size) != 0))
        printf("BAD content\n");
    printf("FOUND %llu\n", (unsigned long long)state.generation);
    /* Everyone who held the lock is dead. */
    steadfast_lock *lock;
    if (steadfast_state_save(NULL, state_path, "next", 4, NULL, &report) != 0)
        printf("BAD next save: %s\n", report.message);
    if (steadfast_lock_acquire(NULL, lock_path, 0, NULL, &lock, &report) != 0)
        printf("BAD next acquire: %s\n", report.message);
    else if (steadfast_lock_release(lock, &report) != 0)
        printf("BAD next release: %s\n", report.message);
    printf("DONE\n");
}

int main(void)
{
    char line[4096] = "";
    mkdir("/proc", 0755), mkdir("/dev", 0755), mkdir("/disk", 0755);
    mount("none", "/proc", "proc", 0, NULL);
    mount("none", "/dev", "devtmpfs", 0, NULL);
    int console = open("/dev/console", O_RDWR);
    for (int fd = 0; fd < 3; fd++)
        dup2(console, fd);
    setvbuf(stdout, NULL, _IOLBF, 0);
    FILE *file = fopen("/proc/cmdline", "r");
    if (file == NULL || fgets(line, sizeof line, file) == NULL)
        printf("BAD no command line\n");
    load_modules();
    for (int i = 0; i < 100 && access("/dev/vda", F_OK) != 0; i++)
        usleep(20000);
    struct utsname name;
    uname(&name);
    if (mount("/dev/vda", "/disk", "ext4", 0, NULL) != 0)
        printf("BAD mount: %s\n", strerror(errno));
    printf("KERNEL %s\n", name.release);
    if (strstr(line, "mode=write"))
        write_states(strstr(line, "mutant=nosync") != NULL);
    else
        check_state();
    fflush(stdout);
    reboot(RB_POWER_OFF);
    return 0;
}
