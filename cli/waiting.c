/* A wait for a lock is told: who holds it, and how long there is still to wait. A thread does that, so that the wait itself, and its place
   in the queue, goes on. */
#define _XOPEN_SOURCE 700
#include "cli.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { FIRST_MS = 1000, NEXT_MS = 1000 };

struct waiting {
    const struct arguments *arguments;
    const char *path;
    int64_t until_ms;  /* negative: for ever */
    int terminal, shown;
    int over[2];       /* closed at its other end when the wait is over */
    pthread_t thread;
};

static void show(struct waiting *waiting)
{
    steadfast_report report = { .size = sizeof report };
    int32_t verdict = steadfast_lock_inspect(NULL, waiting->path, &waiting->arguments->lock, &report);
    if (verdict != STEADFAST_LOCK_HELD && verdict != STEADFAST_LOCK_UNDECIDED) {
        return;  /* it will be ours at once */
    }
    struct holder holder;
    look_at_holder(waiting->path, report.pid, &holder);
    fprintf(stderr, "%ssteadfast: waiting for %s: ", waiting->terminal ? "\r\033[K" : "", waiting->path);
    if (report.pid > 0) {
        fprintf(stderr, "process %lld%s%s%s has it", (long long)report.pid, holder.name[0] != '\0' ? " (" : "", holder.name,
                holder.name[0] != '\0' ? ")" : "");
    } else {
        fputs(verdict == STEADFAST_LOCK_HELD ? "it is held" : "it names no process", stderr);
    }
    if (holder.since[0] != '\0') {
        fprintf(stderr, " since %s", holder.since);
    }
    if (waiting->until_ms >= 0) {
        int64_t left = waiting->until_ms - now_ms();
        fprintf(stderr, "; %lld s left", (long long)(left > 0 ? (left + 999) / 1000 : 0));
    }
    if (!waiting->terminal) {
        fputc('\n', stderr);
    }
    if (!waiting->shown && verdict == STEADFAST_LOCK_UNDECIDED) {
        if (waiting->terminal) {
            fputc('\n', stderr);
        }
        complain(waiting->arguments, waiting->path, &report);
    }
    waiting->shown = 1;
}

static void *tell(void *argument)
{
    struct waiting *waiting = argument;
    struct pollfd over = { waiting->over[0], POLLIN, 0 };
    /* Elsewhere than on a terminal one line is enough. */
    for (int timeout = FIRST_MS; poll(&over, 1, timeout) == 0; timeout = waiting->terminal || !waiting->shown ? NEXT_MS : -1) {
        show(waiting);
    }
    return NULL;
}

struct waiting *waiting_begin(const struct arguments *arguments, const char *path)
{
    /* The JSON of `lock` goes to standard error as well. */
    int told = !arguments->quiet && !arguments->as_json && (arguments->wait_ms < 0 || arguments->wait_ms > FIRST_MS);
    struct waiting *waiting = told ? malloc(sizeof *waiting) : NULL;
    if (waiting == NULL) {
        return NULL;
    }
    *waiting = (struct waiting){ .arguments = arguments, .path = path, .terminal = isatty(STDERR_FILENO) };
    waiting->until_ms = arguments->wait_ms < 0 ? -1 : now_ms() + arguments->wait_ms;
    if (signal_pipe(waiting->over) != 0) {
        free(waiting);
        return NULL;
    }
    /* Signals are for the thread that waits. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&waiting->thread, NULL, tell, waiting);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed != 0) {
        close(waiting->over[0]);
        close(waiting->over[1]);
        free(waiting);
        return NULL;
    }
    return waiting;
}

void waiting_end(struct waiting *waiting)
{
    if (waiting == NULL) {
        return;
    }
    close(waiting->over[1]);
    pthread_join(waiting->thread, NULL);
    close(waiting->over[0]);
    if (waiting->shown && waiting->terminal) {
        fputs("\r\033[K", stderr);
    }
    free(waiting);
}
