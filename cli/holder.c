/* Who holds a lock, in words. */
#define _XOPEN_SOURCE 700
#include "cli.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

void look_at_holder(const char *path, int64_t pid, struct holder *holder)
{
    memset(holder, 0, sizeof *holder);
    struct stat file;
    struct tm utc;
    if (lstat(path, &file) == 0 && gmtime_r(&file.st_mtime, &utc) != NULL
        && strftime(holder->since, sizeof holder->since, "%Y-%m-%dT%H:%M:%SZ", &utc) == 0) {
        holder->since[0] = '\0';
    }
    char source[64];
    snprintf(source, sizeof source, "/proc/%lld/comm", (long long)pid);
    FILE *comm = pid > 0 ? fopen(source, "r") : NULL;
    if (comm != NULL) {
        if (fgets(holder->name, sizeof holder->name, comm) != NULL) {
            holder->name[strcspn(holder->name, "\n")] = '\0';
        }
        fclose(comm);
    }
}
