"""steadfast.compat.filelock. What filelock's own tests say of it: peers/run.sh."""

import asyncio
import logging
import os
import pathlib
import stat
import subprocess
import sys
import threading
from typing import Any

import pytest

import steadfast

# The oldest filelock that it is for needs Python 3.11.
filelock: Any = pytest.importorskip("filelock", minversion="4.3", reason="filelock 4.3 is not installed")
compat: Any = pytest.importorskip("steadfast.compat.filelock")

KINDS = [compat.FileLock, compat.SoftFileLock]
kinds = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def umask():
    before = os.umask(0o077)
    yield
    os.umask(before)


@kinds
def test_the_file_is_ours_while_it_is_held(path, kind):
    lock = kind(path)
    with lock as held:
        assert held is lock and lock.is_locked and lock.lock_counter == 1
        assert pathlib.Path(path).read_text() == f"{os.getpid()}\n"
        assert steadfast.inspect(path).verdict is steadfast.Verdict.HELD
        assert lock.pid == os.getpid() and lock.is_lock_held_by_us
        with pytest.raises(steadfast.LockedError):
            steadfast.Lock(path, timeout=0).acquire()
    assert not lock.is_locked and not os.path.exists(path)
    assert lock.pid is None and not lock.is_lock_held_by_us


@kinds
def test_it_is_a_lock_of_filelock(path, kind):
    lock = kind(path)
    assert isinstance(lock, filelock.BaseFileLock)
    assert isinstance(lock, getattr(filelock, kind.__name__))
    with steadfast.Lock(path), pytest.raises(filelock.Timeout) as caught:
        lock.acquire(timeout=0)
    assert caught.type is compat.Timeout and issubclass(compat.Timeout, TimeoutError) and caught.value.lock_file == path


@kinds
def test_reentrance_and_forced_release(path, kind):
    lock = kind(path, timeout=-1, blocking=True, poll_interval=0.01)
    with lock.acquire(), lock:
        assert lock.lock_counter == 2
        lock.release()
        assert lock.is_locked
        lock.acquire()
        lock.release(force=True)
        assert not lock.is_locked and not os.path.exists(path)


@kinds
def test_singletons_and_decorators(path, kind):
    lock = kind(path, is_singleton=True)
    assert kind(path, is_singleton=True) is lock and kind(path) is not lock

    @lock
    def work():
        return lock.is_locked

    assert work() and not lock.is_locked


def test_threads(path):
    own, shared = compat.FileLock(path), compat.FileLock(path, thread_local=False)
    seen = []

    def look():
        seen.append((own.is_locked, shared.is_locked))

    for lock in (own, shared):
        with lock:
            thread = threading.Thread(target=look)
            thread.start()
            thread.join()
    assert seen == [(False, False), (False, True)]


def test_parents_are_made_and_the_mode_is_not_cut(tmp_path, umask):
    path = tmp_path / "a" / "b" / "lock"
    with compat.FileLock(path, mode=0o666):
        mode = path.stat().st_mode
        assert stat.S_IMODE(mode) & 0o777 == 0o666
        assert mode & stat.S_ISVTX  # the mark of the library is still there
    with compat.FileLock(path):
        assert stat.S_IMODE(path.stat().st_mode) & 0o777 == 0o600


@kinds
def test_a_dead_owner_is_replaced_at_once(path, kind, python):
    process = python(
        "import sys, steadfast.compat.filelock as f\n"
        f"lock = f.{kind.__name__}(sys.argv[1])\nlock.acquire()\nprint('held', flush=True)\nsys.stdin.readline()",
        path,
    )
    assert process.stdout.readline() == "held\n"
    with pytest.raises(compat.Timeout):
        kind(path, timeout=0).acquire()
    process.kill()
    process.wait()
    with kind(path, timeout=60) as lock:
        assert lock.pid == os.getpid()


@kinds
def test_a_live_owner_is_never_evicted(path, kind):
    with pytest.warns(UserWarning, match="no lock from a live owner"):
        impatient = kind(path, timeout=0, lifetime=0.001)
    with steadfast.Lock(path):
        os.utime(path, (1, 1))
        with pytest.raises(compat.Timeout):
            impatient.acquire()


def test_what_filelock_has_left_behind(path):
    with filelock.FileLock(path):
        # Its flock is seen, and ours by it.
        os.utime(path, (1, 1))
        with pytest.raises(compat.Timeout):
            compat.FileLock(path, timeout=0).acquire()
    assert os.path.getsize(path) == 0
    os.utime(path, (1, 1))
    with pytest.raises(compat.Timeout):
        compat.SoftFileLock(path, timeout=0).acquire()  # an old SoftFileLock's, as far as can be known
    with pytest.raises(steadfast.LockedError):
        steadfast.Lock(path, timeout=0).acquire()
    with compat.FileLock(path, timeout=0), pytest.raises(filelock.Timeout):
        filelock.FileLock(path, timeout=0).acquire()


def test_filelocks_soft_lock_evicts_ours(path, monkeypatch):
    """Not to be mixed: what it cannot read it takes after two seconds, whoever holds it."""
    from filelock._soft._exclusive import _recovery

    monkeypatch.setattr(_recovery, "MALFORMED_LOCK_AGE_THRESHOLD", 0.0)
    ours = steadfast.Lock(path)
    ours.acquire()
    theirs = filelock.SoftFileLock(path, poll_interval=0.001)
    theirs.acquire(timeout=60)
    assert not ours.verify()
    theirs.release()
    with pytest.raises(steadfast.LockLostError):
        ours.release()


@kinds
def test_a_lost_lock_is_told_to_the_logger(path, kind, caplog):
    with kind(path) as lock:
        os.unlink(path)
    assert not lock.is_locked
    told = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert [record.name for record in told] == ["filelock"] and "removed the lock file" in told[0].message


def test_break_lock(path):
    with steadfast.Lock(path) as holder:
        compat.FileLock(path).break_lock()
        assert not holder.verify()
        with compat.FileLock(path, timeout=0):
            pass
        compat.FileLock(path).break_lock()  # there is none
        with pytest.raises(steadfast.LockLostError):
            holder.release()


def test_a_forked_child_holds_nothing(path):
    with compat.FileLock(path) as lock:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = int(lock.is_locked or bool(compat._held))
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert lock.is_locked and steadfast.inspect(path).verdict is steadfast.Verdict.HELD


def test_nothing_is_left_of_a_lock_that_was_interrupted(path, monkeypatch):
    lock = compat.FileLock(path)

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(lock, "_mark_descriptor_owned", interrupted)
    descriptors = len(os.listdir("/proc/self/fd"))
    with pytest.raises(KeyboardInterrupt):
        lock.acquire()
    assert not os.path.exists(path) and not compat._held and len(os.listdir("/proc/self/fd")) == descriptors


def test_on_acquired_may_look_and_not_write(path):
    seen = []

    def look(descriptor):
        seen.append(os.pread(descriptor, 100, 0))
        with pytest.raises(OSError):
            os.write(descriptor, b"x")

    with compat.FileLock(path, on_acquired=look):
        pass
    assert seen == [b"%d\n" % os.getpid()]
    with pytest.raises(ValueError):
        compat.FileLock(path, preserve_lock_file=True)


def test_asyncio(path):
    async def main():
        for kind in (compat.AsyncFileLock, compat.AsyncSoftFileLock):
            async with kind(path) as lock, lock:
                assert lock.is_locked and lock.lock_counter == 2
                with pytest.raises(compat.Timeout):
                    await kind(path).acquire(timeout=0.01, poll_interval=0.001)
            async with await lock.acquire(timeout=1):
                assert isinstance(lock, filelock.BaseAsyncFileLock) and steadfast.inspect(path).pid == os.getpid()
            assert not os.path.exists(path)

    asyncio.run(main())


def test_without_filelock():
    code = "import sys\nsys.modules['filelock'] = None\nimport steadfast.compat.filelock"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        'ImportError: steadfast.compat.filelock needs filelock 4.3: pip install "libsteadfast[filelock]"'
    )
