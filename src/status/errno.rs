//! Names and messages of errno values, by the numbers of the platform that the library was built for.
#![forbid(unsafe_code)]

use super::text_list::Texts;
use crate::sys::errno_names as e;

macro_rules! errnos {
    ($($name:ident $text:literal;)*) => {
        /// The numbers.
        pub(super) const ERRNOS: &[i16] = &[$(e::$name as i16),*];
        /// In the same order, the name and the message of each.
        pub(super) static TEXTS: Texts<{ ERRNOS.len() * 2 }> = Texts::of(concat!($(stringify!($name), "\0", $text, "\0"),*));
    };
}

errnos! {
    EPERM "operation not permitted";
    ENOENT "no such file or directory";
    ESRCH "no such process";
    EINTR "interrupted system call";
    EIO "input/output error";
    ENXIO "no such device or address";
    E2BIG "argument list too long";
    ENOEXEC "exec format error";
    EBADF "bad file descriptor";
    ECHILD "no child processes";
    EAGAIN "resource temporarily unavailable";
    ENOMEM "cannot allocate memory";
    EACCES "permission denied";
    EFAULT "bad address";
    ENOTBLK "block device required";
    EBUSY "device or resource busy";
    EEXIST "file exists";
    EXDEV "invalid cross-device link";
    ENODEV "no such device";
    ENOTDIR "not a directory";
    EISDIR "is a directory";
    EINVAL "invalid argument";
    ENFILE "too many open files in system";
    EMFILE "too many open files";
    ENOTTY "inappropriate ioctl for device";
    ETXTBSY "text file busy";
    EFBIG "file too large";
    ENOSPC "no space left on device";
    ESPIPE "illegal seek";
    EROFS "read-only file system";
    EMLINK "too many links";
    EPIPE "broken pipe";
    EDOM "numerical argument out of domain";
    ERANGE "numerical result out of range";
    EDEADLK "resource deadlock avoided";
    ENAMETOOLONG "file name too long";
    ENOLCK "no locks available";
    ENOSYS "function not implemented";
    ENOTEMPTY "directory not empty";
    ELOOP "too many levels of symbolic links";
    EOVERFLOW "value too large for defined data type";
    EILSEQ "invalid byte sequence";
    EUSERS "too many users";
    EOPNOTSUPP "operation not supported";
    ETIMEDOUT "connection timed out";
    ECONNREFUSED "connection refused";
    EHOSTDOWN "host is down";
    EHOSTUNREACH "no route to host";
    EALREADY "operation already in progress";
    EINPROGRESS "operation now in progress";
    ESTALE "stale file handle";
    EDQUOT "disk quota exceeded";
    ECANCELED "operation canceled";
    EPROTO "protocol error";
    ENOTSOCK "not a socket";
    ENOBUFS "no buffer space available";
    ENODATA "no data available";
}
