"""save_batch and load_into."""

import array
import errno
import mmap
import os

import pytest

import steadfast


def test_a_batch(tmp_path):
    paths = [tmp_path / f"s{n}" for n in range(30)]
    saved = steadfast.save_batch([(path, b"%d" % n) for n, path in enumerate(paths)], schema=5)
    assert [(one.generation, one.durable, one.on_disk) for one in saved] == [(1, True, steadfast.OnDisk.NEW)] * 30
    assert [steadfast.load(path, schema=5).data for path in paths] == [b"%d" % n for n in range(30)]
    again = steadfast.save_batch(((path, bytearray(b"x")) for path in paths), keep_previous=True, syncfs=True)
    assert [one.generation for one in again] == [2] * 30
    assert steadfast.load(str(paths[3]) + ".prev").data == b"3"
    assert steadfast.save_batch([]) == []


def test_a_batch_of_which_one_fails(tmp_path):
    (tmp_path / "link").symlink_to("elsewhere")
    with pytest.raises(steadfast.BatchError) as caught:
        steadfast.save_batch([(tmp_path / "a", b"a"), (tmp_path / "link", b"b"), (tmp_path / "c", b"c")])
    error = caught.value
    assert (error.errno, error.filename) == (errno.ELOOP, str(tmp_path / "link"))
    first, second, third = error.results
    assert isinstance(second, steadfast.SymlinkError) and error.__cause__ is second
    assert isinstance(first, steadfast.Saved) and isinstance(third, steadfast.Saved)
    assert first.durable and third.durable
    assert steadfast.load(tmp_path / "a").data == b"a" and steadfast.load(tmp_path / "c").data == b"c"


def test_a_batch_that_is_not_durable(path):
    with pytest.warns(steadfast.NotDurableWarning) as warned:
        (saved,) = steadfast.save_batch([(path, b"x")], context=steadfast.Context(fsync=lambda fd: -errno.EIO))
    assert warned[0].filename == __file__
    assert not saved.durable and saved.report.os_error == errno.EIO
    assert (saved.report.step, saved.on_disk) == (steadfast.Step.SYNC_FILE, steadfast.OnDisk.EITHER)
    assert steadfast.load(path).data == b"x"
    (saved,) = steadfast.save_batch([(path, b"y")], sync=False)
    assert (saved.durable, saved.on_disk) == (False, steadfast.OnDisk.UNKNOWN)


def test_a_batch_with_a_bad_path_goes_on(tmp_path):
    for bad in ("", tmp_path.name + "/"):
        with pytest.raises(steadfast.BatchError) as caught:
            steadfast.save_batch([(bad, b"b"), (tmp_path / "good", b"g")])
        first, second = caught.value.results
        assert isinstance(first, steadfast.Error) and first.report.step == steadfast.Step.ARGUMENTS
        assert isinstance(second, steadfast.Saved) and second.durable
    assert steadfast.load(tmp_path / "good").generation == 2


def test_a_batch_of_bad_arguments(tmp_path):
    with pytest.raises(ValueError):
        steadfast.save_batch([(tmp_path / "a", b"a"), ("b\0", b"b")])
    with pytest.raises(OSError) as caught:
        steadfast.save_batch([(tmp_path / "a", b"a")], strict=True, sync=False)
    assert caught.value.errno == errno.EINVAL and not isinstance(caught.value, steadfast.BatchError)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "buffer", [bytearray(8), memoryview(bytearray(8)), array.array("I", [0, 0])], ids=lambda b: type(b).__name__
)
def test_load_into(path, buffer):
    steadfast.save(path, b"payload")
    loaded = steadfast.load_into(path, buffer)
    assert (loaded.length, loaded.generation, loaded.recovered) == (7, 1, False)
    assert memoryview(buffer).cast("B")[:7] == b"payload"


def test_load_into_what_is_too_small(path):
    steadfast.save(path, b"payload")
    for buffer in (bytearray(), bytearray(6)):
        with pytest.raises(steadfast.TooLargeError) as caught:
            steadfast.load_into(path, buffer)
        assert caught.value.needed == 7
        assert bytes(buffer) == bytes(len(buffer))
    with pytest.raises(TypeError):
        steadfast.load_into(path, b"read-only")  # type: ignore[arg-type]


def test_load_into_has_no_limit_of_its_own(path):
    """A state that says 1 GiB and a page; its file is sparse, and its digest cannot be right."""
    length = (1 << 30) + 4096
    steadfast.save(path, b"x")
    with open(path, "r+b") as file:
        file.seek(84)  # behind "steadfast 1 len="
        file.write(b"%020d" % length)
        file.truncate(256 + length)
    with pytest.raises(steadfast.TooLargeError) as caught:
        steadfast.load_into(path, bytearray(100))
    assert caught.value.needed == length
    with mmap.mmap(-1, length) as buffer, pytest.raises(steadfast.DigestError):
        steadfast.load_into(path, buffer)
    with pytest.raises(steadfast.TooLargeError):
        steadfast.load(path)


def test_load_into_leaves_nothing_of_a_damaged_state(path):
    steadfast.save(path, b"one", keep_previous=True)
    steadfast.save(path, b"two", keep_previous=True)
    with open(path, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"?")
    buffer = bytearray(b"........")
    with pytest.raises(steadfast.DigestError):
        steadfast.load_into(path, buffer)
    assert b"tw" not in buffer
    with pytest.warns(steadfast.RecoveredWarning):
        assert steadfast.load_into(path, buffer, recover=True).recovered
    assert buffer[:3] == b"one"
    buffer.append(0)  # no export of it is left
