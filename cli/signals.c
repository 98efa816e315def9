/* Signals of `lock`: a handler puts each into a pipe, so that none is missed, whenever it comes. */
#define _XOPEN_SOURCE 700
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* What ends the wait for the lock, and goes on to the command while that runs. */
static const int CAUGHT[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGCHLD };
enum { COUNT = sizeof CAUGHT / sizeof CAUGHT[0], ENDING = COUNT - 1 /* all but SIGCHLD */ };

static int ends[2] = { -1, -1 };
static sigset_t ours;           /* those with our handler */
static sigset_t mask_before;
static struct sigaction before[COUNT];
static int changed[COUNT];      /* has our handler */

static void on_signal(int number, siginfo_t *info, void *context)
{
    (void)context;
    int saved = errno;
    struct arrival arrival = { number, 0 };
#ifdef SI_KERNEL
    arrival.by_kernel = info->si_code == SI_KERNEL;
#else
    (void)info;
#endif
    /* Smaller than PIPE_BUF, so whole or not at all; when the pipe is full there is enough in it to end anything. */
    ssize_t ignored = write(ends[1], &arrival, sizeof arrival);
    (void)ignored;
    errno = saved;
}

static void catch_one(int i)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_sigaction = on_signal;
    action.sa_flags = SA_SIGINFO;
    sigemptyset(&action.sa_mask);
    sigaction(CAUGHT[i], NULL, &before[i]);
    /* What was ignored, as nohup does, stays ignored; but not the end of our own child. */
    if (before[i].sa_handler != SIG_IGN || CAUGHT[i] == SIGCHLD) {
        sigaction(CAUGHT[i], &action, NULL);
        sigaddset(&ours, CAUGHT[i]);
        changed[i] = 1;
    }
}

/* A pipe that no program inherits, and that is never waited for. */
int signal_pipe(int made[2])
{
    if (pipe(made) != 0) {
        return -1;
    }
    for (int i = 0; i < 2; i++) {
        fcntl(made[i], F_SETFD, FD_CLOEXEC);
        fcntl(made[i], F_SETFL, O_NONBLOCK);
    }
    return 0;
}

int signals_catch(void)
{
    if (signal_pipe(ends) != 0) {
        return -1;
    }
    sigemptyset(&ours);
    sigprocmask(SIG_SETMASK, NULL, &mask_before);
    for (int i = 0; i < ENDING; i++) {
        catch_one(i);
    }
    return ends[0];
}

void signals_catch_child(void)
{
    catch_one(COUNT - 1);
    sigset_t child;
    sigemptyset(&child);
    sigaddset(&child, SIGCHLD);
    sigprocmask(SIG_UNBLOCK, &child, NULL);
}

int signals_next(struct arrival *arrival)
{
    return read(ends[0], arrival, sizeof *arrival) == (ssize_t)sizeof *arrival;
}

/* The next one that is not the end of a child; 0: there is none. */
int signals_next_ending(void)
{
    struct arrival arrival;
    while (signals_next(&arrival)) {
        if (arrival.number != SIGCHLD) {
            return arrival.number;
        }
    }
    return 0;
}

void signals_hold(void)
{
    sigprocmask(SIG_BLOCK, &ours, NULL);
}

/* As it was, but that the end of a child is seen. */
void signals_let_go(void)
{
    sigset_t mask = mask_before;
    sigdelset(&mask, SIGCHLD);
    sigprocmask(SIG_SETMASK, &mask, NULL);
}

int signals_held(sigset_t *set)
{
    int any = 0;
    sigset_t pending;
    sigpending(&pending);
    sigemptyset(set);
    for (int i = 0; i < ENDING; i++) {
        /* One that was blocked before us is no business of ours. */
        if (changed[i] && sigismember(&pending, CAUGHT[i]) == 1 && sigismember(&mask_before, CAUGHT[i]) == 0) {
            sigaddset(set, CAUGHT[i]);
            any = 1;
        }
    }
    return any;
}

void signals_restore(void)
{
    if (ends[0] < 0) {
        return;
    }
    for (int i = 0; i < COUNT; i++) {
        if (changed[i]) {
            sigaction(CAUGHT[i], &before[i], NULL);
        }
    }
    sigprocmask(SIG_SETMASK, &mask_before, NULL);
}

/* In a child of ours: each of them runs `handler`. */
void signals_watch(void (*handler)(int))
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handler;
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < ENDING; i++) {
        if (changed[i]) {
            sigaction(CAUGHT[i], &action, NULL);
        }
    }
    sigprocmask(SIG_SETMASK, &mask_before, NULL);
}

static void (*pipe_before)(int);
static int pipe_ignored;

void signals_ignore_pipe(void)
{
    pipe_before = signal(SIGPIPE, SIG_IGN);
    pipe_ignored = 1;
}

void signals_restore_pipe(void)
{
    if (pipe_ignored) {
        signal(SIGPIPE, pipe_before);
    }
}

void die_of(int number)
{
    /* The command has left a core, if there is to be one. */
    struct rlimit none = { 0, 0 };
    setrlimit(RLIMIT_CORE, &none);
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = SIG_DFL;
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
    sigset_t only;
    sigemptyset(&only);
    sigaddset(&only, number);
    sigprocmask(SIG_UNBLOCK, &only, NULL);
    raise(number);
    /* The first process of a PID namespace does not die of its own signals. */
    exit(128 + number);
}
