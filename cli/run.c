/* Runs the command of `lock`, and hands on to it the signals that it has not got itself. */
#define _XOPEN_SOURCE 700
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* A signal may be sent to us alone (kill PID, a supervisor), or to all: by the terminal or by kill to the process group, by
   an init system to each process of a control group. Then the command has got it, and must not get it twice. The signal
   itself does not tell. So a third process, the witness, stands beside the command: what it gets, the command has got. It may get it
   later than we do, and run later: so it is asked. */
struct witness {
    pid_t pid;
    int reports;    /* each byte is the number of a signal that it got, or ANSWER */
    int questions;  /* each byte is one; it ends when this is closed, and so when we are killed */
};

/* For so long a signal waits until the witness is asked, and counts as the same one. */
enum { GRACE_MS = 200, SIGNALS = 65 };
/* What it got before it was asked stands before this. */
enum { ANSWER = 0 };

static int witness_reports;

static void witnessed(int number)
{
    int saved = errno;
    unsigned char byte = (unsigned char)number;
    ssize_t ignored = write(witness_reports, &byte, 1);
    (void)ignored;
    errno = saved;
}

static struct witness witness_start(steadfast_lock *lock)
{
    struct witness witness = { -1, -1, -1 };
    int reports[2], questions[2];
    if (signal_pipe(reports) != 0) {
        return witness;
    }
    if (signal_pipe(questions) != 0) {
        close(reports[0]);
        close(reports[1]);
        return witness;
    }
    signals_hold();
    witness.pid = fork();
    if (witness.pid == 0) {
        char byte;
        witness_reports = reports[1];
        close(reports[0]);
        close(questions[1]);
        steadfast_lock_release(lock, NULL);  /* in a child it only closes, so that the witness does not hold the lock */
        signal(SIGPIPE, SIG_IGN);
        signals_watch(witnessed);
        fcntl(questions[0], F_SETFL, 0);
        ssize_t len;
        while ((len = read(questions[0], &byte, 1)) > 0 || (len < 0 && errno == EINTR)) {
            /* A signal that is there runs its handler before the read returns. */
            if (len > 0) {
                witnessed(ANSWER);
            }
        }
        _exit(0);
    }
    signals_let_go();
    close(reports[1]);
    close(questions[0]);
    if (witness.pid < 0) {
        close(reports[0]);
        close(questions[1]);
        return witness;
    }
    witness.reports = reports[0];
    witness.questions = questions[1];
    return witness;
}

static void witness_end(struct witness *witness)
{
    if (witness->pid > 0) {
        close(witness->questions);
        close(witness->reports);
        kill(witness->pid, SIGKILL);
        while (waitpid(witness->pid, NULL, 0) < 0 && errno == EINTR) {}
    }
}

/* The signals on their way to the command. */
struct handing_on {
    pid_t command;
    int wanted;                 /* 0: nothing is handed on */
    struct witness *witness;
    sigset_t before;            /* came while the command was being started: nobody knows whether it got them */
    int64_t due[SIGNALS];       /* when to ask the witness, 0: nothing to hand on */
    uint64_t asked[SIGNALS];    /* the question about it, 0: not asked yet */
    int64_t seen[SIGNALS];      /* when the witness got it last */
    uint64_t questions, answers;
};

/* Of the others in our process group the command may have left it. */
static int beside_us(pid_t command)
{
    return getpgid(command) == getpgrp();
}

static void got(struct handing_on *on, const struct arrival *arrival)
{
    int number = arrival->number;
    int64_t now = now_ms();
    if (number == SIGCHLD || !on->wanted) {
        return;
    }
    if (sigismember(&on->before, number) == 1) {
        sigdelset(&on->before, number);
        kill(on->command, number);
    } else if (on->witness->reports < 0) {
        /* Without a witness: what the kernel sends comes from the terminal, but for a timer that was set before us. */
        if (!arrival->by_kernel || number == SIGALRM) {
            kill(on->command, number);
        }
    } else if (on->due[number] == 0 && (on->seen[number] == 0 || now - on->seen[number] > GRACE_MS)) {
        on->due[number] = now + GRACE_MS;
        on->asked[number] = 0;
    }
}

static void read_reports(struct handing_on *on)
{
    unsigned char numbers[64];
    ssize_t len = read(on->witness->reports, numbers, sizeof numbers);
    if (len == 0) {
        /* Somebody has killed it. */
        close(on->witness->reports);
        on->witness->reports = -1;
    }
    for (ssize_t i = 0; i < len; i++) {
        int number = numbers[i];
        if (number == ANSWER) {
            on->answers++;
        } else if (number < SIGNALS && beside_us(on->command)) {
            on->seen[number] = now_ms();
            on->due[number] = 0;
        }
    }
}

/* The number of a question to the witness, 0: it can be asked no more. It answers however late it runs, and somebody may have
   stopped it. */
static uint64_t ask(struct handing_on *on)
{
    char byte = 0;
    kill(on->witness->pid, SIGCONT);
    return write(on->witness->questions, &byte, 1) == 1 ? ++on->questions : 0;
}

/* Hands on what the witness has not got. Milliseconds until it is to be asked, -1: about none. */
static int hand_on(struct handing_on *on)
{
    int64_t next = -1, now = now_ms();
    for (int number = 1; number < SIGNALS; number++) {
        if (on->due[number] == 0) {
            continue;
        }
        if (on->due[number] > now) {
            next = next < 0 || on->due[number] - now < next ? on->due[number] - now : next;
            continue;
        }
        if (on->asked[number] == 0 && on->witness->reports >= 0) {
            on->asked[number] = ask(on);
        }
        /* Somebody may have killed it: then there is no question, or no answer will come. */
        if (on->asked[number] <= on->answers || on->witness->reports < 0) {
            on->due[number] = 0;
            kill(on->command, number);
        }
    }
    return (int)next;
}

/* Waits for the command's end: its status. */
static int wait_for(pid_t command, struct witness *witness, const sigset_t *pending, int signals, int forward)
{
    struct handing_on on;
    memset(&on, 0, sizeof on);
    on.command = command;
    on.wanted = forward;
    on.witness = witness;
    on.before = *pending;
    for (;;) {
        struct arrival arrival;
        int status;
        while (signals_next(&arrival)) {
            got(&on, &arrival);
        }
        /* Until it is reaped its PID is its own. */
        pid_t ended = waitpid(command, &status, WNOHANG);
        if (ended == command) {
            return status;
        }
        if (ended < 0 && errno != EINTR) {
            return EXIT_LOCK_FAILED << 8;
        }
        int timeout = hand_on(&on);
        struct pollfd fds[2] = { { signals, POLLIN, 0 }, { witness->reports, POLLIN, 0 } };
        if (poll(fds, 2, timeout) > 0 && fds[1].revents != 0) {
            read_reports(&on);
        }
    }
}

/* Does not return, but with the exit code that says why. */
static int become(char **command)
{
    signals_restore();
    execvp(command[0], command);
    int error = errno;
    fprintf(stderr, "steadfast: %s: %s\n", command[0], strerror(error));
    return error == ENOENT ? 127 : 126;
}

int run_instead(char **command, struct ran *ran)
{
    /* What comes from here on ends us, and the next one finds the lock stale. */
    signals_hold();
    ran->signal = signals_next_ending();
    return ran->signal != 0 ? 128 + ran->signal : become(command);
}

int run(steadfast_lock *lock, char **command, int signals, int forward, struct ran *ran)
{
    struct witness witness = forward ? witness_start(lock) : (struct witness){ -1, -1, -1 };
    sigset_t pending;
    signals_catch_child();
    signals_hold();
    pid_t pid = -1;
    int error = 0;
    /* Told to end before it was begun. */
    int number = signals_next_ending();
    int stopped = number != 0 || signals_held(&pending);
    if (!stopped) {
        pid = fork();
        error = errno;
    }
    if (pid == 0) {
        _exit(become(command));
    }
    signals_held(&pending);
    signals_let_go();
    int status = 0;
    if (pid > 0) {
        ran->ran = 1;
        signals_ignore_pipe();  /* of questions */
        status = wait_for(pid, &witness, &pending, signals, forward);
        signals_restore_pipe();
    }
    witness_end(&witness);
    if (stopped) {
        /* Let go, it is in the pipe, if it was not before. */
        ran->signal = number != 0 ? number : signals_next_ending();
        return 128 + ran->signal;
    }
    if (pid < 0) {
        fprintf(stderr, "steadfast: fork: %s\n", strerror(error));
        return EXIT_LOCK_FAILED;
    }
    if (WIFSIGNALED(status)) {
        ran->signal = WTERMSIG(status);
        return 128 + ran->signal;
    }
    return WEXITSTATUS(status);
}
