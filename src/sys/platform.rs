//! What the callers of the hooks need of the platform's headers.

pub use libc::{
    AT_FDCWD, AT_SYMLINK_FOLLOW, E2BIG, EACCES, EAGAIN, EBADF, EBADMSG, EBUSY, ECANCELED, EDQUOT, EEXIST, EFBIG, EINTR, EINVAL,
    EIO, EISDIR, ELOOP, EMFILE, EMLINK, ENAMETOOLONG, ENFILE, ENODEV, ENOENT, ENOLCK, ENOMEM, ENOSPC, ENOSYS, ENOTDIR, ENOTTY,
    ENXIO, EOPNOTSUPP, EOVERFLOW, EPERM, ERANGE, EROFS, ESRCH, ESTALE, ETIMEDOUT, EXDEV, LOCK_EX, LOCK_NB, LOCK_SH, LOCK_UN,
    O_CLOEXEC, O_CREAT, O_DIRECTORY, O_EXCL, O_NOCTTY, O_NOFOLLOW, O_NONBLOCK, O_RDONLY, O_RDWR, O_WRONLY, POLLIN, POLLNVAL,
};

/// Flags that only Linux has; 0 elsewhere, where the call that needs them is absent.
#[cfg(target_os = "linux")]
pub use libc::{
    AT_EMPTY_PATH, ENODATA, EUCLEAN, IN_CLOEXEC, IN_CLOSE_WRITE, IN_CREATE, IN_DELETE, IN_MOVED_FROM, IN_MOVED_TO, IN_NONBLOCK,
    IN_ONLYDIR, O_DSYNC, O_PATH, O_TMPFILE, RENAME_EXCHANGE, RENAME_NOREPLACE,
};
#[cfg(not(target_os = "linux"))]
mod elsewhere {
    pub const AT_EMPTY_PATH: i32 = 0;
    pub const ENODATA: i32 = super::EOPNOTSUPP;
    pub const EUCLEAN: i32 = super::EIO;
    pub const IN_CLOEXEC: i32 = 0;
    pub const IN_CLOSE_WRITE: u32 = 0;
    pub const IN_CREATE: u32 = 0;
    pub const IN_DELETE: u32 = 0;
    pub const IN_MOVED_FROM: u32 = 0;
    pub const IN_MOVED_TO: u32 = 0;
    pub const IN_NONBLOCK: i32 = 0;
    pub const IN_ONLYDIR: u32 = 0;
    pub const O_DSYNC: i32 = 0;
    pub const O_PATH: i32 = 0;
    pub const O_TMPFILE: i32 = 0;
    pub const RENAME_EXCHANGE: u32 = 2;
    pub const RENAME_NOREPLACE: u32 = 1;
}
#[cfg(not(target_os = "linux"))]
pub use elsewhere::*;

/// Is this the mode of a regular file?
pub fn is_regular(mode: u32) -> bool {
    mode & 0o170_000 == 0o100_000
}
/// Is this the mode of a directory?
pub fn is_directory(mode: u32) -> bool {
    mode & 0o170_000 == 0o040_000
}
/// Is this the mode of a symbolic link?
pub fn is_symlink(mode: u32) -> bool {
    mode & 0o170_000 == 0o120_000
}
