//! Names of errno values, by the numbers of the platform that the library was built for.
#![forbid(unsafe_code)]

use crate::hooks::errno_names as e;

macro_rules! errnos {
    ($($name:ident $text:literal;)*) => {
        /// The numbers.
        pub const ERRNOS: &[i16] = &[$(e::$name as i16),*];
        /// In the same order, the name and the message of each, NUL-terminated.
        pub const TEXTS: &str = concat!($(stringify!($name), "\0", $text, "\0"),*);
        pub static STARTS: [u16; ERRNOS.len() * 2] = super::codes::starts(TEXTS);
    };
}

// The messages are of those that files and processes answer with; the others have their name.
errnos! {
    EPERM "operation not permitted";
    ENOENT "no such file or directory";
    ESRCH "no such process";
    EINTR "interrupted system call";
    EIO "input/output error";
    ENXIO "no such device or address";
    E2BIG "";
    ENOEXEC "";
    EBADF "bad file descriptor";
    ECHILD "";
    EAGAIN "resource temporarily unavailable";
    ENOMEM "cannot allocate memory";
    EACCES "permission denied";
    EFAULT "";
    ENOTBLK "";
    EBUSY "device or resource busy";
    EEXIST "file exists";
    EXDEV "invalid cross-device link";
    ENODEV "";
    ENOTDIR "not a directory";
    EISDIR "is a directory";
    EINVAL "invalid argument";
    ENFILE "too many open files in system";
    EMFILE "too many open files";
    ENOTTY "";
    ETXTBSY "";
    EFBIG "file too large";
    ENOSPC "no space left on device";
    ESPIPE "";
    EROFS "read-only file system";
    EMLINK "too many links";
    EPIPE "";
    EDOM "";
    ERANGE "";
    EDEADLK "";
    ENAMETOOLONG "file name too long";
    ENOLCK "no locks available";
    ENOSYS "function not implemented";
    ENOTEMPTY "";
    ELOOP "too many levels of symbolic links";
    EOVERFLOW "value too large for defined data type";
    EILSEQ "";
    EUSERS "";
    EOPNOTSUPP "operation not supported";
    ETIMEDOUT "connection timed out";
    ECONNREFUSED "";
    EHOSTDOWN "";
    EHOSTUNREACH "";
    EALREADY "";
    EINPROGRESS "";
    ESTALE "stale file handle";
    EDQUOT "disk quota exceeded";
    ECANCELED "";
    EPROTO "";
    ENOTSOCK "";
    ENOBUFS "";
    ENODATA "no data available";
}
