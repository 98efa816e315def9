"""save and load."""

import array
import errno
import fcntl
import hashlib
import os
import pathlib
import pickle
import threading
import time
from typing import Any

import pytest

import steadfast


def test_round_trip(path):
    before = time.time_ns()
    saved = steadfast.save(path, b"\0\xff", schema=7)
    assert (saved.generation, saved.durable, saved.on_disk) == (1, True, steadfast.OnDisk.NEW)
    state = steadfast.load(path)
    assert (state.data, state.generation, state.schema, state.recovered) == (b"\0\xff", 1, 7, False)
    assert before <= state.saved_at_ns <= time.time_ns()
    assert abs(state.saved_at.timestamp() - state.saved_at_ns / 1e9) < 1e-3
    assert bytes(state) == state.data and len(state) == 2
    record = pathlib.Path(path).read_bytes()
    assert state.sha256 == hashlib.sha256(record[68:]).hexdigest()


@pytest.mark.parametrize(
    "data",
    [b"", b"abc", bytearray(b"abc"), memoryview(b"abcdef")[::2], array.array("H", [1, 2]), memoryview(b"abc")],
    ids=repr,
)
def test_bytes_like(path, data):
    steadfast.save(path, data)
    assert steadfast.load(path).data == bytes(memoryview(data).tobytes())


@pytest.mark.parametrize("data", ["text", 3, None, [1]])
def test_what_is_not_bytes_like(path, data):
    with pytest.raises(TypeError):
        steadfast.save(path, data)
    assert not os.path.exists(path)


def test_paths(tmp_path):
    for path in (tmp_path / "pathlike", os.fsencode(tmp_path / "bytes"), str(tmp_path / "s\udcff")):
        steadfast.save(path, b"x")
        assert steadfast.load(path).data == b"x"
    assert b"s\xff" in os.listdir(os.fsencode(tmp_path))


def test_a_nul_in_a_path_is_refused(path):
    for call in (
        lambda bad: steadfast.save(bad, b"x"),
        steadfast.load,
        steadfast.Lock,
        steadfast.inspect,
        steadfast.clean_stale,
    ):
        for bad in (path + "\0tail", os.fsencode(path) + b"\0"):
            with pytest.raises(ValueError, match="null byte"):
                call(bad)
    assert not os.path.exists(path)


def test_numbers_are_not_cut(path):
    bads: list[dict[str, Any]] = [{"schema": 1 << 32}, {"schema": -1}, {"mode": 1 << 32}, {"if_generation": 1 << 64}]
    for bad in bads:
        with pytest.raises(ValueError):
            steadfast.save(path, b"x", **bad)
    with pytest.raises(ValueError):
        steadfast.load(path, max_len=-1)
    assert not os.path.exists(path)


def test_a_missing_state(path):
    with pytest.raises(FileNotFoundError) as caught:
        steadfast.load(path)
    error = caught.value
    assert isinstance(error, steadfast.Error) and isinstance(error, steadfast.NotFoundError)
    assert (error.errno, error.filename) == (errno.ENOENT, path)
    assert error.report.step == steadfast.Step.OPEN_FILE and path in str(error)
    assert error.report.name == "ENOENT"


def damage(path, change):
    content = pathlib.Path(path).read_bytes()
    pathlib.Path(path).write_bytes(change(content))


@pytest.mark.parametrize(
    "change, kind",
    [
        (lambda b: b"", steadfast.EmptyError),
        (lambda b: b[:-1], steadfast.TruncatedError),
        (lambda b: b + b"x", steadfast.TrailingError),
        (lambda b: b[:-1] + b"?", steadfast.DigestError),
        (lambda b: b"no state file at all" * 20, steadfast.FormatError),
    ],
)
def test_damage(path, change, kind):
    steadfast.save(path, b"payload")
    damage(path, change)
    with pytest.raises(steadfast.DamagedError) as caught:
        steadfast.load(path)
    assert type(caught.value) is kind
    assert (caught.value.errno, caught.value.filename) == (errno.EBADMSG, path)


def test_recovery_and_loss(path):
    steadfast.save(path, b"one")
    steadfast.save(path, b"two", keep_previous=True)
    damage(path, lambda b: b[:-1])
    with pytest.warns(steadfast.RecoveredWarning) as warned:
        state = steadfast.load(path, recover=True)
    assert (state.data, state.recovered) == (b"one", True)
    assert warned[0].filename == __file__
    os.unlink(path)
    with pytest.raises(steadfast.LostError) as caught:
        steadfast.load(path)
    # A program that starts anew when there is no file must not take this for one.
    assert not isinstance(caught.value, FileNotFoundError) and caught.value.errno != errno.ENOENT


def test_alternate(path):
    def files():
        return sorted((entry.name, entry.inode()) for entry in os.scandir(os.path.dirname(path)))

    for data in (b"one", b"two"):
        steadfast.save(path, data, alternate=True)
    two_files = files()
    assert [name for name, _ in two_files] == ["it", "it.prev"]
    for generation in range(3, 7):
        data = b"generation %d" % generation
        if generation == 5:
            saved = steadfast.update(path, lambda old: bytes(old or b"")[:-1] + b"5", alternate=True)
        elif generation == 6:
            (saved,) = steadfast.save_batch([(path, data)], alternate=True)
        else:
            saved = steadfast.save(path, data, alternate=True)
        assert saved is not None and (saved.generation, saved.durable) == (generation, True)
        # Each save has overwritten the older of the two, and the other one has the state before.
        assert files() == two_files
        state = steadfast.load(path)
        assert (state.data, state.generation, state.recovered) == (data, generation, False)
        with open(path if generation % 2 == 0 else path + ".prev", "rb") as file:
            assert file.read().rstrip(b"\n").endswith(data)
        with steadfast.open(path) as reader:
            assert reader.read() == data and not reader.recovered
    with steadfast.open(path, "wb", alternate=True) as writer:
        writer.write(b"written")
    assert steadfast.load(path).data == b"written"
    with pytest.raises(OSError) as refused:
        steadfast.save(path, b"", alternate=True, plain=True)
    assert refused.value.errno == errno.EINVAL


def test_alternate_damaged(path):
    for data in (b"one", b"two", b"three"):
        steadfast.save(path, data, alternate=True)
    os.truncate(path + ".prev", 100)  # the newest
    with pytest.warns(steadfast.RecoveredWarning):
        state = steadfast.load(path)
    assert (state.data, state.recovered) == (b"two", True)
    with pytest.warns(steadfast.RecoveredWarning), steadfast.open(path) as reader:
        assert reader.recovered


def test_options(path, tmp_path):
    steadfast.save(path, b"one", mode=0o640)
    assert os.stat(path).st_mode & 0o777 == 0o640
    with pytest.raises(steadfast.ConflictError) as conflict:
        steadfast.save(path, b"two", if_generation=0)
    assert conflict.value.report.generation == 1
    assert steadfast.save(path, b"two", if_generation=1).generation == 2
    with pytest.raises(steadfast.TooLargeError):
        steadfast.load(path, max_len=2)
    with pytest.raises(steadfast.SchemaError):
        steadfast.load(path, schema=1)
    assert steadfast.load(path, schema=0).data == b"two"
    link = tmp_path / "link"
    link.symlink_to(path)
    with pytest.raises(steadfast.SymlinkError):
        steadfast.save(link, b"three")
    steadfast.save(link, b"three", follow_symlink=True)
    assert link.is_symlink() and steadfast.load(path).data == b"three"
    with pytest.raises(FileNotFoundError):
        steadfast.save(tmp_path / "a/b", b"x")
    steadfast.save(tmp_path / "a/b", b"x", create_parents=True)
    assert steadfast.load(tmp_path / "a/b").data == b"x"
    assert steadfast.save(path, b"four", keep_previous=True).durable
    assert steadfast.load(path + ".prev").data == b"three"
    with pytest.raises(steadfast.NotRegularError):
        steadfast.load(tmp_path)


def test_a_save_without_sync_is_asked_for_and_no_warning(path):
    saved = steadfast.save(path, b"x", sync=False)
    assert (saved.durable, saved.on_disk) == (False, steadfast.OnDisk.UNKNOWN)
    steadfast.save(path, b"durable")
    for _ in range(2):  # the second time an unsynced one is there: it does not take the durable one's place
        saved = steadfast.save(path, b"y", sync=False, keep_previous=True)
        assert (saved.durable, saved.on_disk) == (False, steadfast.OnDisk.EITHER)
        assert steadfast.load(path + ".prev").data == b"durable"
    with pytest.raises(OSError) as caught:
        steadfast.save(path, b"x", sync=False, strict=True)
    assert caught.value.errno == errno.EINVAL


def test_generation_0_minds_the_previous_one(path):
    steadfast.save(path, b"one")
    steadfast.save(path, b"two", keep_previous=True)
    os.unlink(path)
    with pytest.raises(steadfast.ConflictError) as caught:
        steadfast.save(path, b"new", if_generation=0)
    assert caught.value.report.generation == 1
    with pytest.warns(steadfast.RecoveredWarning):
        state = steadfast.load(path, recover=True)
    assert steadfast.save(path, state.data, if_generation=state.generation).generation > 1


def test_a_save_that_others_keep_waiting(path):
    steadfast.save(path, b"old")
    with open(path, "rb") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        begun = time.monotonic()
        for timeout in (0, 0.05):
            with pytest.raises(steadfast.BusyError) as caught:
                steadfast.save(path, b"new", if_generation=1, timeout=timeout)
            error = caught.value
            assert isinstance(error, TimeoutError) and (error.errno, error.filename) == (errno.ETIMEDOUT, path)
            assert error.report.on_disk == steadfast.OnDisk.OLD
        assert time.monotonic() - begun < 5  # not the library's own ten seconds
        assert steadfast.load(path).data == b"old"
        with pytest.raises(steadfast.BatchError) as batch:
            steadfast.save_batch([(path, b"new")], if_generation=1, timeout=0)
        assert isinstance(batch.value.results[0], steadfast.BusyError)
        threading.Timer(0.05, fcntl.flock, (file, fcntl.LOCK_UN)).start()
        assert steadfast.save(path, b"new", if_generation=1, timeout=None).generation == 2
    for bad in (-1, float("nan")):
        with pytest.raises(ValueError):
            steadfast.save(path, b"x", timeout=bad)


def test_errors_can_be_pickled(path):
    with pytest.raises(steadfast.Error) as caught:
        steadfast.load(path)
    copy = pickle.loads(pickle.dumps(caught.value))
    assert (type(copy), copy.args, copy.report, copy.filename) == (
        steadfast.NotFoundError,
        caught.value.args,
        caught.value.report,
        path,
    )
