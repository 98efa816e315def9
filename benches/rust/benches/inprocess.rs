//! The library's own work: every hook answers at once, from memory, so that no system call is measured.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use sha2::{Digest, Sha256};
use std::ffi::{CStr, c_char, c_void};
use std::hint::black_box;
use std::ptr::{null, null_mut};
use steadfast::ffi::{context::*, load::*, lock::*, save::*};
use steadfast::hooks::{STEADFAST_ABSENT_AIO, steadfast_hooks, steadfast_stat};
use steadfast::status::{STEADFAST_LOCK_HELD, STEADFAST_LOCK_STALE};

/// What the only file holds; no descriptor of the process has this number.
struct Memory {
    file: Vec<u8>,
    saved: bool,
    alive: bool,
}
const FD: i32 = 1_000_000;
const PATH: &CStr = c"/memory/state";
const ENOENT: i32 = -2;
const ESRCH: i32 = -3;

unsafe fn memory<'a>(user: *mut c_void) -> &'a mut Memory {
    unsafe { &mut *user.cast::<Memory>() }
}

fn describe(memory: &Memory, out: *mut steadfast_stat) {
    let mut stat: steadfast_stat = unsafe { std::mem::zeroed() };
    stat.mode = 0o100_600;
    stat.nlink = 1;
    stat.ino = 7;
    stat.size = memory.file.len() as u64;
    unsafe { *out = stat };
}

unsafe extern "C" fn openat(_: *mut c_void, _: i32, _: *const c_char, _: i32, _: u32) -> i32 {
    FD
}
unsafe extern "C" fn one_fd(_: *mut c_void, _: i32) -> i32 {
    0
}
unsafe extern "C" fn write(_: *mut c_void, _: i32, _: *const c_void, len: usize) -> i64 {
    len as i64
}
unsafe extern "C" fn renameat(_: *mut c_void, _: i32, _: *const c_char, _: i32, _: *const c_char, _: u32) -> i32 {
    0
}
unsafe extern "C" fn unlinkat(_: *mut c_void, _: i32, _: *const c_char, _: i32) -> i32 {
    0
}
unsafe extern "C" fn fstatfs(_: *mut c_void, _: i32) -> i64 {
    0xef53
}
unsafe extern "C" fn fchmod(_: *mut c_void, _: i32, _: u32) -> i32 {
    0
}
unsafe extern "C" fn flock(_: *mut c_void, _: i32, _: i32) -> i32 {
    0
}
unsafe extern "C" fn sigxfsz(_: *mut c_void, _: i32, _: i32) -> i32 {
    0
}
unsafe extern "C" fn clock(_: *mut c_void, _: i32, ns: *mut i64) -> i32 {
    unsafe { *ns = 1 };
    0
}
unsafe extern "C" fn getpid(_: *mut c_void) -> i32 {
    1
}
unsafe extern "C" fn pread(user: *mut c_void, _: i32, buf: *mut c_void, len: usize, offset: u64) -> i64 {
    let file = unsafe { &memory(user).file };
    let rest = file.get(offset as usize..).unwrap_or(&[]);
    let count = rest.len().min(len);
    unsafe { buf.cast::<u8>().copy_from_nonoverlapping(rest.as_ptr(), count) };
    count as i64
}
unsafe extern "C" fn fstat(user: *mut c_void, _: i32, out: *mut steadfast_stat) -> i32 {
    describe(unsafe { memory(user) }, out);
    0
}
unsafe extern "C" fn fstatat(user: *mut c_void, _: i32, _: *const c_char, out: *mut steadfast_stat) -> i32 {
    let memory = unsafe { memory(user) };
    describe(memory, out);
    if memory.saved { 0 } else { ENOENT }
}
unsafe extern "C" fn writeback(_: *mut c_void, _: i32, _: i32, _: u64, _: u64) -> i32 {
    0
}
unsafe extern "C" fn ftruncate(_: *mut c_void, _: i32, _: u64) -> i32 {
    0
}
unsafe extern "C" fn kill(user: *mut c_void, _: i32, _: i32) -> i32 {
    if unsafe { memory(user).alive } { 0 } else { ESRCH }
}
unsafe extern "C" fn pidfd_open(user: *mut c_void, _: i32, _: u32) -> i32 {
    if unsafe { memory(user).alive } { FD } else { ESRCH }
}
unsafe extern "C" fn poll(_: *mut c_void, _: *mut steadfast::hooks::steadfast_pollfd, _: u32, _: i64) -> i32 {
    0
}

fn context(memory: &mut Memory) -> *mut steadfast_context {
    let mut hooks: steadfast_hooks = unsafe { std::mem::zeroed() };
    hooks.size = size_of::<steadfast_hooks>();
    hooks.user = (&raw mut *memory).cast();
    hooks.absent = STEADFAST_ABSENT_AIO; // no device to overlap with
    hooks.openat = Some(openat);
    hooks.close = Some(one_fd);
    hooks.fsync = Some(one_fd);
    hooks.fdatasync = Some(one_fd);
    hooks.write = Some(write);
    hooks.renameat = Some(renameat);
    hooks.unlinkat = Some(unlinkat);
    hooks.fstatfs = Some(fstatfs);
    hooks.fchmod = Some(fchmod);
    hooks.flock = Some(flock);
    hooks.sigxfsz = Some(sigxfsz);
    hooks.clock = Some(clock);
    hooks.getpid = Some(getpid);
    hooks.pread = Some(pread);
    hooks.fstat = Some(fstat);
    hooks.fstatat = Some(fstatat);
    hooks.writeback = Some(writeback);
    hooks.ftruncate = Some(ftruncate);
    hooks.kill = Some(kill);
    hooks.pidfd_open = Some(pidfd_open);
    hooks.poll = Some(poll);
    let mut context = null_mut();
    assert_eq!(unsafe { steadfast_context_new(&hooks, &mut context) }, 0);
    context
}

/// A state file of `len` bytes, as the format says it.
fn record(len: usize) -> Vec<u8> {
    let mut covered = format!("steadfast 1 len={len:020} gen={:020} time={:020} schema={:010}", 1, 1, 0).into_bytes();
    covered.resize(187, b' ');
    covered.push(b'\n');
    covered.extend((0..len).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8));
    let digest: String = Sha256::digest(&covered).iter().map(|byte| format!("{byte:02x}")).collect();
    [format!("{digest}  -\n").as_bytes(), &covered].concat()
}

const SIZES: [usize; 4] = [1 << 10, 64 << 10, 1 << 20, 64 << 20];

fn hash(c: &mut Criterion) {
    let mut group = c.benchmark_group("SHA-256, one-shot sha2");
    for size in SIZES {
        let data = vec![7u8; size];
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_with_input(BenchmarkId::from_parameter(size), &data, |b, data| b.iter(|| Sha256::digest(black_box(data))));
    }
    group.finish();
}

fn save(c: &mut Criterion) {
    let mut group = c.benchmark_group("save, hash and record");
    for size in SIZES {
        let data = vec![7u8; size];
        let mut memory = Memory { file: record(8), saved: true, alive: false };
        let context = context(&mut memory);
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter(|| {
                let code =
                    unsafe { steadfast_state_save(context, PATH.as_ptr(), data.as_ptr().cast(), data.len(), null(), null_mut()) };
                assert_eq!(code, 0);
            });
        });
        unsafe { steadfast_context_free(context) };
    }
    group.finish();
}

fn load(c: &mut Criterion) {
    let mut group = c.benchmark_group("load, hash and record");
    for size in [0].into_iter().chain(SIZES) {
        let mut memory = Memory { file: record(size), saved: true, alive: false };
        let context = context(&mut memory);
        group.throughput(Throughput::Bytes(size as u64));
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter(|| {
                let mut state: steadfast_state = unsafe { std::mem::zeroed() };
                state.size = size_of::<steadfast_state>();
                assert_eq!(unsafe { steadfast_state_load(context, PATH.as_ptr(), null(), &mut state, null_mut()) }, 0);
                assert_eq!(state.len, size);
                unsafe { steadfast_state_free(&mut state) };
            });
        });
        unsafe { steadfast_context_free(context) };
    }
    group.finish();
}

fn verdict(c: &mut Criterion) {
    let mut group = c.benchmark_group("verdict on a lock");
    for (name, alive, expected) in [("stale", false, STEADFAST_LOCK_STALE), ("held", true, STEADFAST_LOCK_HELD)] {
        let mut memory = Memory { file: b"4242\n".to_vec(), saved: true, alive };
        let context = context(&mut memory);
        group.bench_function(name, |b| {
            b.iter(|| assert_eq!(unsafe { steadfast_lock_inspect(context, PATH.as_ptr(), null(), null_mut()) }, expected));
        });
        unsafe { steadfast_context_free(context) };
    }
    group.finish();
}

criterion_group!(benches, hash, save, load, verdict);
criterion_main!(benches);
