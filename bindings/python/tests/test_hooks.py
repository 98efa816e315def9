"""Python functions in place of system calls."""

import errno
import gc
import os
import threading
import weakref

import pytest

import steadfast


def test_tc_80_4_fsync_fails_and_the_state_is_saved(path):
    steadfast.save(path, b"old")
    failing = steadfast.Context(fsync=lambda fd: -errno.EIO)
    with pytest.warns(steadfast.NotDurableWarning) as warned:
        saved = steadfast.save(path, b"new", context=failing)
    assert warned[0].filename == __file__
    assert not saved.durable and saved.on_disk == steadfast.OnDisk.EITHER
    assert (saved.report.os_error, saved.report.step) == (errno.EIO, steadfast.Step.SYNC_FILE)
    assert steadfast.load(path).data == b"new"
    with pytest.raises(steadfast.NotSavedDurablyError) as caught:
        steadfast.save(path, b"strict", strict=True, context=failing)
    assert (caught.value.errno, caught.value.filename) == (errno.EIO, path)
    assert steadfast.load(path).data == b"new"


def test_a_hook_may_raise_oserror(path):
    def renameat(*arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(OSError) as caught:
        steadfast.save(path, b"x", context=steadfast.Context(renameat=renameat))
    assert caught.value.errno == errno.ENOSPC
    assert not os.path.exists(path)


def test_another_exception_of_a_hook_comes_out(path):
    def fsync(fd):
        raise LookupError("a defect of the hook")

    with pytest.raises(LookupError, match="a defect of the hook"):
        steadfast.save(path, b"x", context=steadfast.Context(fsync=fsync))


def test_an_exception_of_a_hook_leaves_no_lock(path):
    def fstatfs(fd):
        raise LookupError

    # The call goes on without the answer, and takes the lock; the caller does not get it.
    lock = steadfast.Lock(path, timeout=0, context=steadfast.Context(fstatfs=fstatfs))
    with pytest.raises(LookupError):
        lock.acquire()
    assert not lock.held and steadfast.inspect(path).verdict == steadfast.Verdict.ABSENT


def test_hooks_see_the_arguments_and_chain(path):
    calls = []

    def openat(dirfd, name, flags, mode):
        calls.append(name)
        return steadfast.real("openat", dirfd, name, flags, mode)

    def write(fd, address, length):
        return steadfast.real("write", fd, address, min(length, 100))

    context = steadfast.Context(openat=openat, write=write)
    assert steadfast.save(path, b"x" * 1000, context=context).durable
    assert steadfast.load(path).data == b"x" * 1000
    assert os.fsencode(os.path.dirname(path)) in calls


def test_a_hook_that_returns_nonsense(path):
    with pytest.raises(steadfast.HookError):
        steadfast.save(path, b"x", context=steadfast.Context(write=lambda fd, address, length: length + 1))


def test_absent(path):
    with pytest.raises(steadfast.UnsupportedError):
        steadfast.Lock(path, timeout=0, context=steadfast.Context(absent=steadfast.ABSENT_FLOCK)).acquire()
    assert steadfast.save(path, b"x", context=steadfast.Context(absent=steadfast.ABSENT_O_DIRECTORY)).durable


def test_the_fault_injector(path):
    once = steadfast.Context.failing("fsync", nth=1, error=errno.EIO)
    assert steadfast.save(path, b"a fresh inode the second time", context=once).durable
    with pytest.raises(OSError) as caught:
        steadfast.save(path, b"x", context=steadfast.Context.failing("write", error=errno.ENOSPC))
    assert caught.value.errno == errno.ENOSPC


def test_contexts_that_are_none():
    with pytest.raises(TypeError):
        steadfast.Context(fsink=lambda fd: 0)
    with pytest.raises(ValueError):
        steadfast.Context.failing("fsink")
    with pytest.raises(ValueError):
        steadfast.Context.failing("fsync", nth=0)
    with pytest.raises(ValueError):
        steadfast.Context(absent=1 << 31)


def test_a_lock_keeps_its_hooks_alive(path):
    unlinked = []

    def unlinkat(dirfd, name, flags):
        unlinked.append(name)
        return steadfast.real("unlinkat", dirfd, name, flags)

    context = steadfast.Context(unlinkat=unlinkat)
    lock = steadfast.Lock(path, timeout=0, context=context)
    lock.acquire()
    lock._context = None
    gone = weakref.ref(context)
    del context
    gc.collect()
    assert gone() is not None
    lock.release()
    assert unlinked == [b"it"] and not os.path.exists(path)
    gc.collect()
    assert gone() is None


def test_threads_share_a_context(tmp_path):
    counted = []

    def fsync(fd):
        counted.append(fd)
        return steadfast.real("fsync", fd)

    context = steadfast.Context(fsync=fsync)

    def save(name):
        for _ in range(5):
            assert steadfast.save(tmp_path / name, b"x", context=context).durable

    threads = [threading.Thread(target=save, args=(str(n),)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(counted) == 4 * 5 * 2
    assert all(steadfast.load(tmp_path / str(n)).generation == 5 for n in range(4))
