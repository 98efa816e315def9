/* A system call that a sandbox forbids: a seccomp filter, from which there is no way back. For a child. */
#ifndef FORBID_H
#define FORBID_H

#if defined __linux__ && __has_include(<linux/seccomp.h>)
#define HAS_SECCOMP
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* What the filter does from now on; 0 when that is so. */
static inline int forbid_by(unsigned number, unsigned action)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, action),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof code / sizeof code[0], code };
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0;
}

/* -EPERM from now on. */
static inline int forbid(unsigned number)
{
    return forbid_by(number, SECCOMP_RET_ERRNO | EPERM);
}
#endif

#endif
