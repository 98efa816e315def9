/* Is a process alive? Dead is dead for all who look: one that may yet return from the kernel to its program is not, which
 * a pidfd tells and kill does not. Also for proof/soak. */
#ifndef LIVES_H
#define LIVES_H

#include <errno.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

static int lives(pid_t pid)
{
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd < 0)
        return errno != ESRCH;
    struct pollfd poll_fd = { fd, POLLIN, 0 };
    int dead = poll(&poll_fd, 1, 0) > 0;
    close(fd);
    return !dead;
}

#endif
