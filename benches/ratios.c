/* The targets of the library as ratios: see run.sh. Reports only; fails when something cannot be measured. */
#define _GNU_SOURCE
#include "bench.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>

static const char *file_system(const char *path)
{
    struct statfs fs;
    must(statfs(path, &fs) == 0, path);
    switch ((unsigned long)fs.f_type) { /* statfs(2) */
    case 0xef53: return "ext4";
    case 0x01021994: return "tmpfs";
    case 0x58465342: return "xfs";
    case 0x9123683e: return "btrfs";
    case 0x794c7630: return "overlay";
    default: return "other";
    }
}

static void bench(const char *parent, const char *where, struct targets targets, int calls)
{
    char dir[200];
    snprintf(dir, sizeof dir, "%s/steadfast-bench-XXXXXX", parent);
    must(mkdtemp(dir) != NULL, parent);
    if (calls) {
        bench_calls(dir, where);
    } else {
        bench_state(dir, where, targets);
        bench_lock(dir, where, targets);
    }
    must(rmdir(dir) == 0, dir);
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: ratios MS_PER_COMPARISON DISK_DIRECTORY MEMORY_DIRECTORY\n");
        return 2;
    }
    budget_ms = atof(argv[1]);
    const char *disk = argv[2], *memory = argv[3];
    const char *on_disk = file_system(disk);
    int has_disk = strcmp(on_disk, "tmpfs") != 0;
    int has_memory = access(memory, W_OK) == 0 && strcmp(file_system(memory), "tmpfs") == 0;

    table_head();
    if (has_disk)
        bench(disk, on_disk, (struct targets){ .save = 1.03, .lock = 1.5 }, 0);
    else
        row_skipped("everything on a disk", "-", "the directory for it is in memory (set TMPDIR)");
    if (has_memory)
        bench(memory, "tmpfs", (struct targets){ .save = 1.5, .lock = 1.7 }, 0);
    else
        row_skipped("everything in memory", "-", "no tmpfs that we may write to");
    printf("targets missed: %zu\n", rows_missed());
    if (has_disk)
        bench(disk, on_disk, (struct targets){ 0 }, 1);
    if (has_memory)
        bench(memory, "tmpfs", (struct targets){ 0 }, 1);
    return has_disk || has_memory ? 0 : 1;
}
