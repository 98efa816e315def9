//! The hook table without gaps: what the library calls.

use super::abi::*;
use super::{aio, files, processes, sigxfsz, sync};
use core::ffi::{c_char, c_void};

/// Every hook is listed once, with its type and the real call: the compiler compares both with steadfast_hooks.
macro_rules! hooks {
    ($($name:ident: fn($($argument:ident: $type:ty),*) -> $answer:ty = $real:path;)*) => {
        /// The hooks, all of them there.
        #[derive(Clone, Copy)]
        pub struct Table {
            $(pub $name: unsafe extern "C" fn(user: *mut c_void $(, $argument: $type)*) -> $answer,)*
        }

        /// The real calls.
        pub const REAL: Table = Table { $($name: $real),* };

        impl Table {
            /// The hooks of `given`, and the real calls where it has none.
            pub fn complete(given: &steadfast_hooks) -> Table {
                Table { $($name: given.$name.unwrap_or(REAL.$name)),* }
            }

            /// As C sees it.
            pub const fn to_c(self) -> steadfast_hooks {
                steadfast_hooks {
                    size: size_of::<steadfast_hooks>(),
                    user: core::ptr::null_mut(),
                    absent: 0,
                    reserved: 0,
                    $($name: Some(self.$name)),*
                }
            }
        }
    };
}

hooks! {
    openat: fn(dirfd: i32, path: *const c_char, flags: i32, mode: u32) -> i32 = files::openat;
    close: fn(fd: i32) -> i32 = files::close;
    write: fn(fd: i32, buf: *const c_void, len: usize) -> i64 = files::write;
    fsync: fn(fd: i32) -> i32 = sync::fsync;
    renameat: fn(old_dirfd: i32, old_path: *const c_char, new_dirfd: i32, new_path: *const c_char, flags: u32) -> i32 = files::renameat;
    unlinkat: fn(dirfd: i32, path: *const c_char, flags: i32) -> i32 = files::unlinkat;
    linkat: fn(old_dirfd: i32, old_path: *const c_char, new_dirfd: i32, new_path: *const c_char, flags: i32) -> i32 = files::linkat;
    mkdirat: fn(dirfd: i32, path: *const c_char, mode: u32) -> i32 = files::mkdirat;
    readlinkat: fn(dirfd: i32, path: *const c_char, buf: *mut c_void, len: usize) -> i64 = files::readlinkat;
    read: fn(fd: i32, buf: *mut c_void, len: usize) -> i64 = files::read;
    pread: fn(fd: i32, buf: *mut c_void, len: usize, offset: u64) -> i64 = files::pread;
    fstat: fn(fd: i32, out: *mut steadfast_stat) -> i32 = files::fstat;
    fstatat: fn(dirfd: i32, path: *const c_char, out: *mut steadfast_stat) -> i32 = files::fstatat;
    fstatfs: fn(fd: i32) -> i64 = files::fstatfs;
    fchmod: fn(fd: i32, mode: u32) -> i32 = files::fchmod;
    fchown: fn(fd: i32, uid: u32, gid: u32) -> i32 = files::fchown;
    flock: fn(fd: i32, operation: i32) -> i32 = files::flock;
    ofdlock: fn(fd: i32, operation: i32, start: i64, len: i64, found: *mut i64) -> i32 = files::ofdlock;
    fgetxattr: fn(fd: i32, name: *const c_char, buf: *mut c_void, len: usize) -> i64 = files::fgetxattr;
    fsetxattr: fn(fd: i32, name: *const c_char, buf: *const c_void, len: usize) -> i32 = files::fsetxattr;
    getpid: fn() -> i32 = processes::getpid;
    geteuid: fn() -> i64 = processes::geteuid;
    kill: fn(pid: i32, signal: i32) -> i32 = processes::kill;
    pidfd_open: fn(pid: i32, flags: u32) -> i32 = processes::pidfd_open;
    poll: fn(fds: *mut steadfast_pollfd, count: u32, timeout_ns: i64) -> i32 = processes::poll;
    inotify_init: fn(flags: i32) -> i32 = processes::inotify_init;
    inotify_add_watch: fn(fd: i32, path: *const c_char, mask: u32) -> i32 = processes::inotify_add_watch;
    clock: fn(clock: i32, ns: *mut i64) -> i32 = processes::clock;
    sigxfsz: fn(operation: i32, state: i32) -> i32 = sigxfsz::sigxfsz;
    fdatasync: fn(fd: i32) -> i32 = sync::fdatasync;
    syncfs: fn(fd: i32) -> i32 = sync::syncfs;
    ftruncate: fn(fd: i32, len: u64) -> i32 = sync::ftruncate;
    writeback: fn(fd: i32, operation: i32, offset: u64, len: u64) -> i32 = sync::writeback;
    aio: fn(operation: i32, queue: *mut u64, fd: i32, buf: *const c_void, len: usize, offset: u64) -> i64 = aio::aio;
    fsync_many: fn(queue: *mut u64, files: *mut i32, count: u32) -> i32 = aio::fsync_many;
    openat2: fn(dirfd: i32, path: *const c_char, flags: i32, mode: u32, resolve: u64) -> i32 = files::openat2;
    map: fn(fd: i32) -> i64 = files::map;
    unmap: fn(address: u64) -> i32 = files::unmap;
    pwrite: fn(fd: i32, buf: *const c_void, len: usize, offset: u64) -> i64 = files::pwrite;
    flistxattr: fn(fd: i32, buf: *mut c_void, len: usize) -> i64 = files::flistxattr;
    getdents: fn(fd: i32, buf: *mut c_void, len: usize) -> i64 = files::getdents;
}
