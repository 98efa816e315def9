//! Advanced: system calls that fail, for the tests of a program.
//!
//! What does a program do when the disk is full, or a sync fails? A [`Context`](crate::Context) with a hook answers that without a
//! broken disk. The hook is asked before each system call of the library that is made with this context, and may make it fail:
//!
//! ```
//! use std::io;
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicU32, Ordering};
//! use steadfast::testing::Call;
//! use steadfast::{Context, ErrorKind, OnDisk, Step};
//!
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("app.state");
//! let syncs = Arc::new(AtomicU32::new(0));
//! let seen = syncs.clone();
//! let context = Context::builder()
//!     .hook(move |call| {
//!         if call == Call::Fsync {
//!             seen.fetch_add(1, Ordering::Relaxed);
//!             return Err(io::Error::from_raw_os_error(5)); // EIO
//!         }
//!         Ok(())
//!     })
//!     .build()?;
//! let error = context.state(&path).strict(true).save(b"data").unwrap_err();
//! assert_eq!(error.kind(), ErrorKind::NotSavedDurably);
//! assert_eq!(error.step(), Some(Step::SyncFile));
//! assert_eq!(error.on_disk(), OnDisk::Old);
//! assert!(syncs.load(Ordering::Relaxed) > 0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`ContextBuilder::fail`](crate::ContextBuilder::fail) is shorter where one call is to fail. A test that makes every call of a
//! scenario fail, one after the other, raises its `nth` until the scenario succeeds.

use crate::hooks::*;

macro_rules! calls {
    ($($name:ident = $number:ident, $page:literal;)*) => {
        /// A system call of the library. More may come.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        #[non_exhaustive]
        pub enum Call {
            $(#[doc = $page] $name,)*
        }

        impl Call {
            pub(super) fn of(number: u32) -> Option<Call> {
                match number {
                    $($number => Some(Call::$name),)*
                    _ => None,
                }
            }

            pub(super) fn number(self) -> u32 {
                match self {
                    $(Call::$name => $number,)*
                }
            }
        }
    };
}

calls! {
    Openat = STEADFAST_CALL_OPENAT, "openat(2)";
    Write = STEADFAST_CALL_WRITE, "write(2)";
    Fsync = STEADFAST_CALL_FSYNC, "fsync(2), of files and directories";
    Renameat = STEADFAST_CALL_RENAMEAT, "renameat2(2)";
    Unlinkat = STEADFAST_CALL_UNLINKAT, "unlinkat(2)";
    Linkat = STEADFAST_CALL_LINKAT, "linkat(2)";
    Mkdirat = STEADFAST_CALL_MKDIRAT, "mkdirat(2)";
    Readlinkat = STEADFAST_CALL_READLINKAT, "readlinkat(2)";
    Read = STEADFAST_CALL_READ, "read(2)";
    Pread = STEADFAST_CALL_PREAD, "pread(2)";
    Fstat = STEADFAST_CALL_FSTAT, "fstat(2)";
    Fstatat = STEADFAST_CALL_FSTATAT, "fstatat(2)";
    Fstatfs = STEADFAST_CALL_FSTATFS, "fstatfs(2)";
    Fchmod = STEADFAST_CALL_FCHMOD, "fchmod(2)";
    Fchown = STEADFAST_CALL_FCHOWN, "fchown(2)";
    Flock = STEADFAST_CALL_FLOCK, "flock(2)";
    Ofdlock = STEADFAST_CALL_OFDLOCK, "fcntl(2), F_OFD_SETLK and its like";
    Fgetxattr = STEADFAST_CALL_FGETXATTR, "fgetxattr(2)";
    Fsetxattr = STEADFAST_CALL_FSETXATTR, "fsetxattr(2)";
    Getpid = STEADFAST_CALL_GETPID, "getpid(2)";
    Geteuid = STEADFAST_CALL_GETEUID, "geteuid(2)";
    Kill = STEADFAST_CALL_KILL, "kill(2) with signal 0";
    PidfdOpen = STEADFAST_CALL_PIDFD_OPEN, "pidfd_open(2)";
    Poll = STEADFAST_CALL_POLL, "ppoll(2)";
    InotifyInit = STEADFAST_CALL_INOTIFY_INIT, "inotify_init1(2)";
    InotifyAddWatch = STEADFAST_CALL_INOTIFY_ADD_WATCH, "inotify_add_watch(2)";
    Clock = STEADFAST_CALL_CLOCK, "clock_gettime(2)";
    Sigxfsz = STEADFAST_CALL_SIGXFSZ, "blocking SIGXFSZ during a write";
    Fdatasync = STEADFAST_CALL_FDATASYNC, "fdatasync(2)";
    Syncfs = STEADFAST_CALL_SYNCFS, "syncfs(2)";
    Ftruncate = STEADFAST_CALL_FTRUNCATE, "ftruncate(2)";
    Writeback = STEADFAST_CALL_WRITEBACK, "sync_file_range(2)";
    Aio = STEADFAST_CALL_AIO, "direct writes of a large state, by io_uring(7) where that may be used";
    FsyncMany = STEADFAST_CALL_FSYNC_MANY, "many fsync(2) at once, of a large batch";
    Openat2 = STEADFAST_CALL_OPENAT2, "openat2(2)";
    Map = STEADFAST_CALL_MAP, "mmap(2) of a lock file";
    Pwrite = STEADFAST_CALL_PWRITE, "pwrite(2)";
    Flistxattr = STEADFAST_CALL_FLISTXATTR, "flistxattr(2)";
}
