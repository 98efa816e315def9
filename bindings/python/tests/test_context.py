"""Contexts at a directory."""

import errno
import os
import shutil
import subprocess
import sys

import pytest

import steadfast


@pytest.fixture
def inside(tmp_path):
    (tmp_path / "inside").mkdir()
    return tmp_path / "inside"


def descriptor(directory):
    return os.open(directory, os.O_RDONLY)


@pytest.mark.parametrize("kind", [lambda d: d, str, os.fsencode, descriptor], ids=["path", "str", "bytes", "descriptor"])
def test_relative_paths_begin_there(inside, kind):
    before = len(os.listdir("/proc/self/fd"))
    at = kind(inside)
    context = steadfast.Context(at=at)
    if isinstance(at, int):
        os.close(at)  # the context has its own
    steadfast.save("state", b"x", context=context)
    assert steadfast.load(inside / "state").data == b"x"
    assert steadfast.load("../inside/state", context=context).data == b"x"
    steadfast.save_batch([("a", b"a"), (inside / "b", b"b")], context=context)
    with steadfast.Lock("lock", timeout=0, context=context):
        assert steadfast.inspect("lock", context=context).verdict == steadfast.Verdict.HELD
        assert steadfast.inspect(inside / "lock").pid == os.getpid()
    assert sorted(os.listdir(inside)) == ["a", "b", "state"]
    del context
    assert len(os.listdir("/proc/self/fd")) == before


def test_beneath(inside):
    steadfast.save(inside.parent / "outside", b"not ours")
    (inside / "link").symlink_to("../outside")
    context = steadfast.Context(at=inside, beneath=True)
    steadfast.save("state", b"x", context=context)
    for path in ("../outside", inside.parent / "outside", "link"):
        with pytest.raises(OSError) as caught:
            steadfast.load(path, context=context)
        assert caught.value.errno == errno.EXDEV
        with pytest.raises(OSError) as caught:
            steadfast.save(path, b"leaves", follow_symlink=True, context=context)
        assert caught.value.errno == errno.EXDEV
    with pytest.raises(OSError) as caught:
        steadfast.Lock("../lock", timeout=0, context=context).acquire()
    assert caught.value.errno == errno.EXDEV
    assert steadfast.load(inside.parent / "outside").data == b"not ours"


def test_what_is_no_directory(inside):
    steadfast.save(inside / "state", b"x")
    with pytest.raises(NotADirectoryError):
        steadfast.Context(at=inside / "state")
    with pytest.raises(FileNotFoundError):
        steadfast.Context(at=inside / "none")
    with open(inside / "state") as file, pytest.raises(NotADirectoryError) as caught:
        steadfast.Context(at=file.fileno())
    assert isinstance(caught.value, steadfast.NotDirectoryError)
    with pytest.raises(OSError) as bad:
        steadfast.Context(at=1 << 20)
    assert bad.value.errno == errno.EBADF
    with pytest.raises(ValueError):
        steadfast.Context(beneath=True)
    with pytest.raises(steadfast.UnsupportedError):
        steadfast.Context(at=inside, beneath=True, absent=steadfast.ABSENT_OPENAT2)


def test_hooks_and_a_directory(inside):
    context = steadfast.Context(at=inside, fsync=lambda fd: -errno.EIO)
    with pytest.warns(steadfast.NotDurableWarning):
        steadfast.save("state", b"x", context=context)
    assert (inside / "state").exists()


@pytest.mark.skipif(shutil.which("strace") is None, reason="no strace")
def test_without_io_uring(path, tmp_path):
    def calls(arguments):
        log = tmp_path / "log"
        code = f"import steadfast; steadfast.save({path!r}, bytes(8 << 20), context=steadfast.Context({arguments}))"
        command = ["strace", "-f", "-o", log, "-e", "trace=io_uring_setup,fsync", sys.executable, "-c", code]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
        return log.read_text()

    assert "fsync(" in calls("io_uring=False")
    assert "io_uring_setup" not in calls("io_uring=False")
    assert "io_uring_setup" in calls("")
