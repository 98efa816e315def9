/* Measures what it is told: see run.sh. It reports; it fails only when something cannot be measured. */
#define _GNU_SOURCE
#include "bench.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
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

/* NAME=DIRECTORY[@STAT_FILE]: a directory of ours in it; the stat file is that of a loop device of ours. */
static struct place open_place(char *text)
{
    struct place place = { 0 };
    struct stat stat_buf;
    char *dir = strchr(text, '='), *device = strchr(text, '@');
    must(dir != NULL, "a place is NAME=DIRECTORY");
    *dir++ = 0;
    if (device)
        *device++ = 0;
    snprintf(place.name, sizeof place.name, "%.20s", text);
    snprintf(place.dir, sizeof place.dir, "%s/steadfast-bench-XXXXXX", dir);
    must(mkdtemp(place.dir) != NULL, dir);
    place.memory = strcmp(file_system(dir), "tmpfs") == 0;
    place.journal = device != NULL;
    must(stat(dir, &stat_buf) == 0, dir);
    if (device)
        snprintf(place.device, sizeof place.device, "%s", device);
    else if (major(stat_buf.st_dev) != 0)
        snprintf(place.device, sizeof place.device, "/sys/dev/block/%u:%u/stat", major(stat_buf.st_dev), minor(stat_buf.st_dev));
    if (!device) /* what it is called, and what it is */
        snprintf(place.name + strlen(place.name), sizeof place.name - strlen(place.name), " %s", file_system(dir));
    return place;
}

static const struct part {
    const char *name;
    void (*run)(const struct place *place);
    enum { EVERY, DISKS, MEMORY_OR_DISK } where;
} parts[] = {
    { "saves", part_saves, EVERY }, { "batch", part_batch, DISKS },          { "alternate", part_alternate, EVERY },
    { "loads", part_loads, EVERY }, { "files", part_files, MEMORY_OR_DISK }, { "lock", part_lock, MEMORY_OR_DISK },
    { "peers", part_peers, EVERY }, { "flushes", part_flushes, DISKS },      { "size", part_size, EVERY },
    { "count", part_count, EVERY }, { "writers", part_writers, EVERY },      { "calls", part_calls, MEMORY_OR_DISK },
};

static int wanted(const char *list, const char *name)
{
    size_t len = strlen(name);
    for (const char *at = list; (at = strstr(at, name)) != NULL; at += len)
        if ((at == list || at[-1] == ',') && (at[len] == ',' || at[len] == 0))
            return 1;
    return 0;
}

int main(int argc, char **argv)
{
    const char *list = "cost,saves,batch,loads,files,lock,calls", *so = NULL;
    int option;
    while ((option = getopt(argc, argv, "m:t:p:s:a:w:qf")) != -1)
        switch (option) {
        case 'm': settings.budget_ms = atof(optarg); break;
        case 't':
            settings.tsv = fopen(optarg, "a");
            must(settings.tsv != NULL, optarg);
            break;
        case 'p': list = optarg; break;
        case 's': so = optarg; break;
        case 'a': other = open_api(optarg); break;
        case 'w': /* NAME=COMMAND */
            must(peer_count < sizeof peers / sizeof *peers && strchr(optarg, '=') != NULL, "-w NAME=COMMAND");
            peers[peer_count].name = strtok(optarg, "=");
            peers[peer_count++].command = strtok(NULL, "");
            break;
        case 'q': settings.quick = 1; break;
        case 'f': settings.full = 1; break;
        default: return 2;
        }
    signal(SIGPIPE, SIG_IGN); /* a peer that ended is told by name */
    lib = open_api(NULL);
    struct place places[16];
    size_t count = 0;
    for (int i = optind; i < argc && count < sizeof places / sizeof *places; i++)
        places[count++] = open_place(argv[i]);
    if (count == 0) {
        fprintf(stderr, "usage: bench [-m MS] [-t TSV] [-p PART,PART] [-s SO] [-a SO] [-q|-f] NAME=DIRECTORY[@STAT]...\n");
        return 2;
    }
    /* First: it wants a process that has touched little. */
    if (wanted(list, "cost") && so)
        part_cost(&places[count - 1], so); /* memory, when it is there */
    for (size_t p = 0; p < sizeof parts / sizeof *parts; p++)
        for (size_t i = 0; wanted(list, parts[p].name) && i < count; i++) {
            const struct place *place = &places[i];
            if ((parts[p].where == DISKS && place->memory) || (parts[p].where == MEMORY_OR_DISK && place->journal))
                continue;
            /* In a minute: xfs and btrfs are seen by saves alone. */
            int saves = parts[p].run == part_saves || parts[p].run == part_alternate;
            if (settings.quick && place->journal && strcmp(place->name, "ext4") != 0 && !saves)
                continue;
            if (settings.quick && place->journal && parts[p].run == part_writers)
                continue;
            parts[p].run(place);
        }
    printf("\ntargets missed: %zu\n", rows_missed());
    for (size_t i = 0; i < count; i++)
        must(rmdir(places[i].dir) == 0, places[i].dir);
    return 0;
}
