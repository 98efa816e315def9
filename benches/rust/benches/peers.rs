//! The Rust API beside other crates, in one process and on a directory of the disk: BENCH_DIRECTORY, by default that of the temporary files.
//!
//!     BENCH_DIRECTORY=/mnt/disk cargo bench --bench peers
//!
//! They do not promise the same. atomic-write-file and the recipe with tempfile do not verify; tempfile does not sync the directory. A lock of
//! fd-lock and fslock leaves its file, and a lock of pidlock has no flock: a PID that was given to another process blocks it.

use criterion::{BatchSize, BenchmarkId, Criterion, criterion_group, criterion_main};
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;
use steadfast::{Lock, State, inspect};
use tempfile::{NamedTempFile, TempDir};

fn directory() -> TempDir {
    let parent = std::env::var_os("BENCH_DIRECTORY").map_or_else(std::env::temp_dir, PathBuf::from);
    tempfile::tempdir_in(parent).expect("a directory")
}

fn saves(c: &mut Criterion) {
    let folder = directory();
    let path = |name: &str| folder.path().join(name);
    let mut group = c.benchmark_group("save");
    group.sample_size(20).warm_up_time(Duration::from_millis(500));
    for size in [1 << 10, 1 << 20] {
        let data = vec![b'x'; size];
        let state = State::new(path("record"));
        group.bench_function(BenchmarkId::new("steadfast", size), |b| {
            b.iter(|| state.save(&data).unwrap().durable().unwrap());
        });
        let state = State::plain(path("plain"));
        group.bench_function(BenchmarkId::new("steadfast, plain", size), |b| {
            b.iter(|| state.save(&data).unwrap().durable().unwrap());
        });
        let name = path("atomic-write-file");
        group.bench_function(BenchmarkId::new("atomic-write-file", size), |b| {
            b.iter(|| {
                let mut file = atomic_write_file::AtomicWriteFile::open(&name).unwrap();
                file.write_all(&data).unwrap();
                file.commit().unwrap();
            });
        });
        for (way, syncs_directory) in [("tempfile", false), ("tempfile + directory", true)] {
            let name = path("tempfile");
            group.bench_function(BenchmarkId::new(way, size), |b| {
                b.iter(|| {
                    let mut file = NamedTempFile::new_in(folder.path()).unwrap();
                    file.write_all(&data).unwrap();
                    file.as_file().sync_all().unwrap();
                    file.persist(&name).unwrap();
                    if syncs_directory {
                        File::open(folder.path()).unwrap().sync_all().unwrap();
                    }
                });
            });
        }
    }
    group.finish();
}

fn loads(c: &mut Criterion) {
    let folder = directory();
    let path = folder.path().join("state");
    let mut group = c.benchmark_group("load");
    for size in [1 << 10, 1 << 20] {
        let state = State::new(&path);
        state.save(vec![b'x'; size]).unwrap().durable().unwrap();
        group.bench_function(BenchmarkId::new("steadfast, verified", size), |b| b.iter(|| state.load().unwrap().unwrap().len()));
        group.bench_function(BenchmarkId::new("std::fs::read", size), |b| b.iter(|| std::fs::read(&path).unwrap().len()));
    }
    group.finish();
}

fn locks(c: &mut Criterion) {
    let folder = directory();
    let path = |name: &str| folder.path().join(name);
    let mut group = c.benchmark_group("lock and release");
    let name = path("steadfast");
    group.bench_function("steadfast", |b| b.iter(|| Lock::try_acquire(&name).unwrap().unwrap().release().unwrap()));
    let name = path("fd-lock");
    group.bench_function("fd-lock", |b| {
        b.iter(|| {
            drop(fd_lock::RwLock::new(File::options().create(true).append(true).open(&name).unwrap()).try_write().unwrap())
        });
    });
    let name = path("fslock");
    group.bench_function("fslock, with the PID", |b| {
        b.iter(|| {
            let mut lock = fslock::LockFile::open(&name).unwrap();
            assert!(lock.try_lock_with_pid().unwrap());
            lock.unlock().unwrap();
        });
    });
    let name = path("pidlock");
    group.bench_function("pidlock", |b| {
        b.iter_batched(
            || pidlock::Pidlock::new_validated(&name).unwrap(),
            |mut lock| {
                lock.acquire().unwrap();
                lock.release().unwrap();
            },
            BatchSize::SmallInput,
        );
    });
    let name = path("held");
    let _held = Lock::acquire(&name, None).unwrap();
    group.bench_function("steadfast: inspect a held one", |b| b.iter(|| inspect(&name).unwrap()));
    group.finish();
}

criterion_group!(benches, saves, loads, locks);
criterion_main!(benches);
