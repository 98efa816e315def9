/* What becomes a state: standard input, or what a program writes. */
#define _POSIX_C_SOURCE 200809L
#include "cli.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* One read. 1: something came, 0: the end, -1 with errno set: it cannot be read, or does not fit. */
static int read_some(struct bytes *bytes, int fd)
{
    if (bytes->len == bytes->capacity) {
        size_t capacity = bytes->capacity == 0 ? 65536 : bytes->capacity * 2;
        char *larger = capacity < bytes->capacity ? NULL : realloc(bytes->data, capacity);
        if (larger == NULL) {
            errno = ENOMEM;
            return -1;
        }
        bytes->data = larger;
        bytes->capacity = capacity;
    }
    ssize_t got = read(fd, bytes->data + bytes->len, bytes->capacity - bytes->len);
    if (got < 0) {
        return errno == EINTR || errno == EAGAIN ? 1 : -1;
    }
    bytes->len += (size_t)got;
    return got > 0;
}

void bytes_free(struct bytes *bytes)
{
    free(bytes->data);
    memset(bytes, 0, sizeof *bytes);
}

/* Whoever started us may have made standard input one that does not block. */
static void await_input(int fd)
{
    struct pollfd one = { fd, POLLIN, 0 };
    poll(&one, 1, -1);
}

const char *path_of_input(void)
{
    static char path[32];
    struct stat input;
    if (fstat(STDIN_FILENO, &input) == 0 && S_ISREG(input.st_mode) && access("/dev/stdin", R_OK) == 0) {
        return "/dev/stdin";
    }
    FILE *copy = tmpfile();
    static char piece[1 << 16];
    ssize_t got = copy == NULL ? -1 : 1;
    while (got > 0) {
        await_input(STDIN_FILENO);
        got = read(STDIN_FILENO, piece, sizeof piece);
        if (got < 0 && (errno == EINTR || errno == EAGAIN)) {
            got = 1;
        } else if (got > 0 && fwrite(piece, 1, (size_t)got, copy) < (size_t)got) {
            got = -1;
        }
    }
    if (got < 0 || fflush(copy) != 0) {
        fprintf(stderr, "steadfast: standard input: %s\n", strerror(errno));
        return NULL;
    }
    snprintf(path, sizeof path, "/dev/fd/%d", fileno(copy));
    return path;
}

pid_t start(char **command, int in, int out)
{
    pid_t pid = fork();
    if (pid == 0) {
        signals_restore();
        signals_restore_pipe();
        if ((in < 0 || dup2(in, STDIN_FILENO) >= 0) && (out < 0 || dup2(out, STDOUT_FILENO) >= 0)) {
            execvp(command[0], command);
        }
        int error = errno;
        fprintf(stderr, "steadfast: %s: %s\n", command[0], strerror(error));
        _exit(error == ENOENT ? 127 : 126);
    }
    if (pid < 0) {
        fprintf(stderr, "steadfast: fork: %s\n", strerror(errno));
    }
    return pid;
}

int ended_well(pid_t pid, const char *name)
{
    int status;
    while (waitpid(pid, &status, 0) < 0) {
        if (errno != EINTR) {
            fprintf(stderr, "steadfast: %s: %s\n", name, strerror(errno));
            return 0;
        }
    }
    if (WIFSIGNALED(status)) {
        fprintf(stderr, "steadfast: %s: ended by signal %d\n", name, WTERMSIG(status));
    } else if (WEXITSTATUS(status) != 0) {
        fprintf(stderr, "steadfast: %s: exit code %d\n", name, WEXITSTATUS(status));
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Writes `len` bytes to `to` while it reads `from` to its end, and closes both. */
static int exchange(int to, int from, const char *data, size_t len, struct bytes *out)
{
    int got = 1, error = 0;
    while (got > 0) {
        struct pollfd fds[2] = { { from, POLLIN, 0 }, { to, POLLOUT, 0 } };
        if (poll(fds, 2, -1) < 0) {
            continue;  /* a signal */
        }
        if (fds[1].revents != 0) {
            ssize_t put = write(to, data, len);
            if (put > 0) {
                data += put;
                len -= (size_t)put;
            }
            /* One that does not read all may have seen enough. */
            if (len == 0 || (put < 0 && errno != EAGAIN && errno != EINTR)) {
                close(to);
                to = -1;
            }
        }
        if (fds[0].revents != 0) {
            got = read_some(out, from);
            error = errno;
        }
    }
    close(from);
    if (to >= 0) {
        close(to);
    }
    errno = error;
    return got;
}

int produce(char **command, const struct bytes *input, struct bytes *out)
{
    int in[2], from[2];
    if (signal_pipe(in) != 0 || signal_pipe(from) != 0) {
        fprintf(stderr, "steadfast: pipe: %s\n", strerror(errno));
        return -1;
    }
    /* Only our ends do not block. */
    fcntl(from[1], F_SETFL, 0);
    fcntl(in[0], F_SETFL, 0);
    pid_t pid = start(command, in[0], from[1]);
    close(from[1]);
    close(in[0]);
    int got = exchange(in[1], from[0], input->data, input->len, out);
    if (got < 0) {
        fprintf(stderr, "steadfast: %s: %s\n", command[0], strerror(errno));
    }
    if (pid < 0) {
        return -1;
    }
    return ended_well(pid, command[0]) && got == 0 ? 0 : -1;
}

/* Begins the program and gives what it writes, in `pid` its PID; without one standard input and 0. -1 when it cannot, which it says. */
static int source_of(char **command, pid_t *pid)
{
    int from[2];
    *pid = 0;
    if (command == NULL) {
        return STDIN_FILENO;
    }
    if (pipe(from) != 0) {
        fprintf(stderr, "steadfast: pipe: %s\n", strerror(errno));
        return -1;
    }
    fcntl(from[0], F_SETFD, FD_CLOEXEC);
    fcntl(from[1], F_SETFD, FD_CLOEXEC);
    *pid = start(command, -1, from[1]);
    close(from[1]);
    if (*pid < 0) {
        close(from[0]);
        return -1;
    }
    return from[0];
}

int read_input(char **command, struct bytes *out)
{
    pid_t pid;
    int from = source_of(command, &pid), got;
    if (from < 0) {
        return -1;
    }
    do {
        await_input(from);
        got = read_some(out, from);
    } while (got > 0);
    if (got < 0) {
        fprintf(stderr, "steadfast: %s: %s\n", command != NULL ? command[0] : "standard input", strerror(errno));
    }
    if (pid > 0) {
        close(from);
    }
    return (pid == 0 || ended_well(pid, command[0])) && got == 0 ? 0 : -1;
}

/* A signal would have ended us: it does, and nothing is left behind. */
static void die_if_told(steadfast_writer *writer, struct progress *progress)
{
    int number = signals_next_ending();
    if (number != 0) {
        progress_end(progress);
        steadfast_writer_abort(writer);
        die_of(number);
    }
}

/* Reads `from` to its end. 0: all is with the writer, 1: the writer could not write, -1: it cannot be read. */
static int pour(int from, int signals, steadfast_writer *writer, struct progress *progress, uint64_t *len)
{
    static char piece[1 << 17];
    for (;;) {
        struct pollfd fds[2] = { { from, POLLIN, 0 }, { signals, POLLIN, 0 } };
        if (poll(fds, 2, -1) < 0) {
            continue;  /* a signal, which can be read now */
        }
        die_if_told(writer, progress);
        if (fds[0].revents == 0) {
            continue;
        }
        ssize_t got = read(from, piece, sizeof piece);
        if (got < 0 && (errno == EINTR || errno == EAGAIN)) {
            continue;
        }
        if (got <= 0) {
            return (int)got;
        }
        if (steadfast_writer_write(writer, piece, (size_t)got, NULL) < 0) {
            return 1;
        }
        *len += (uint64_t)got;
        progress_show(progress, *len, "");
    }
}

/* The end of a program that writes nothing more, or a signal. */
static void await_end(pid_t pid, int signals, steadfast_writer *writer, struct progress *progress)
{
    for (;;) {
        siginfo_t info = { 0 };
        die_if_told(writer, progress);
        if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid != 0) {
            return;
        }
        struct pollfd one = { signals, POLLIN, 0 };
        poll(&one, 1, -1);
    }
}

int write_input(steadfast_writer *writer, char **command, struct progress *progress, uint64_t *len)
{
    const char *name = command != NULL ? command[0] : "standard input";
    int signals = signals_catch();
    if (signals < 0) {
        fprintf(stderr, "steadfast: pipe: %s\n", strerror(errno));
        return -1;
    }
    if (command != NULL) {
        signals_catch_child();
    }
    pid_t pid;
    int from = source_of(command, &pid);
    int poured = from < 0 ? -1 : pour(from, signals, writer, progress, len);
    int error = errno;
    if (pid > 0 && poured == 0) {
        await_end(pid, signals, writer, progress);
    }
    /* From here on a signal ends us as it would without a handler. */
    signals_restore();
    die_if_told(writer, progress);
    if (poured != 0) {
        progress_end(progress);
    }
    if (poured < 0 && from >= 0) {
        fprintf(stderr, "steadfast: %s: %s\n", name, strerror(error));
    }
    if (pid > 0) {
        close(from);
    }
    /* One that could not go on because we did not is not to blame. */
    if (pid > 0 && poured == 0 && !ended_well(pid, name)) {
        return -1;
    }
    return poured < 0 ? -1 : 0;
}
