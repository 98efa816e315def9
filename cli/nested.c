/* A lock inside itself would wait for ever: the command that runs under a lock finds it in STEADFAST_LOCKS. */
#define _XOPEN_SOURCE 700
#include "cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Words of three numbers, each a lock that is held around us: the PID in its file, and the device and inode of that. */
static const char VARIABLE[] = "STEADFAST_LOCKS";

static int word_for(const char *path, long long pid, char *word, size_t size)
{
    struct stat file;
    if (lstat(path, &file) != 0) {
        return 0;
    }
    snprintf(word, size, "%lld:%llu:%llu", pid, (unsigned long long)file.st_dev, (unsigned long long)file.st_ino);
    return 1;
}

int is_nested(const char *path)
{
    const char *held = getenv(VARIABLE);
    steadfast_report report = { .size = sizeof report };
    char word[72];
    /* Held, by the same one, in the same file: a lock that was released meanwhile and taken again is none of those. */
    if (held == NULL || steadfast_lock_inspect(NULL, path, NULL, &report) != STEADFAST_LOCK_HELD
        || !word_for(path, (long long)report.pid, word, sizeof word)) {
        return 0;
    }
    size_t len = strlen(word);
    for (const char *at = held; (at = strstr(at, word)) != NULL; at += len) {
        if ((at == held || at[-1] == ' ') && (at[len] == ' ' || at[len] == '\0')) {
            return 1;
        }
    }
    return 0;
}

void nested_enter(const char *path)
{
    const char *held = getenv(VARIABLE);
    char word[72];
    if (!word_for(path, (long long)getpid(), word, sizeof word)) {
        return;
    }
    size_t size = strlen(word) + (held != NULL ? strlen(held) : 0) + 2;
    char *all = malloc(size);
    if (all != NULL) {
        snprintf(all, size, "%s%s%s", held != NULL ? held : "", held != NULL ? " " : "", word);
        setenv(VARIABLE, all, 1);
        free(all);
    }
}
