"""Plain files, kept attributes, and files that are written in place."""

import asyncio
import errno
import os
import pathlib
import warnings
from typing import Optional

import pytest

import steadfast

TAGS = 1 << 63


@pytest.fixture
def attributes(path):
    """Skips where the file system has no extended attributes for users."""
    probe = path + ".probe"
    pathlib.Path(probe).write_bytes(b"")
    try:
        os.setxattr(probe, "user.probe", b"1")
    except OSError:
        pytest.skip("no extended attributes here")
    finally:
        os.unlink(probe)


@pytest.fixture
def without_attributes():
    return steadfast.Context.failing("fsetxattr", error=errno.EOPNOTSUPP, for_ever=True)


def edit(path, data):
    """Writes in place, as an editor that knows nothing of us, and at another time."""
    pathlib.Path(path).write_bytes(data)
    os.utime(path, (0, 0))


def with_more(old: Optional[steadfast.State]) -> bytes:
    assert old is not None
    return old.data + b"+"


def test_anybodys_file(path):
    edit(path, b"anybody's")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        state = steadfast.load(path, plain=True)
    assert (state.data, state.verified, state.changed, state.recovered) == (b"anybody's", False, False, False)
    assert state.generation >= TAGS and state.saved_at_ns == 0
    buffer = bytearray(20)
    loaded = steadfast.load_into(path, buffer, plain=True)
    assert buffer[: loaded.length] == b"anybody's"
    assert (loaded.verified, loaded.changed, loaded.generation) == (False, False, state.generation)
    for call in (steadfast.load, lambda path, **more: steadfast.load_into(path, buffer, **more)):
        with pytest.raises(steadfast.UnverifiedError) as caught:
            call(path, plain=True, verified=True)
        assert caught.value.errno == errno.ENODATA and not isinstance(caught.value, steadfast.DamagedError)
    with pytest.raises(steadfast.FormatError):
        steadfast.load(path)


def test_saved_and_edited(path, attributes):
    saved = steadfast.save(path, b'{"a": 1}', plain=True, schema=7)
    assert (saved.generation, saved.durable, saved.verified) == (1, True, True)
    assert pathlib.Path(path).read_bytes() == b'{"a": 1}'
    state = steadfast.load(path, plain=True, verified=True, schema=7)
    assert (state.data, state.generation, state.verified, state.changed) == (b'{"a": 1}', 1, True, False)
    edit(path, b'{"a": 2}')
    state = steadfast.load(path, plain=True)
    assert (state.data, state.verified, state.changed) == (b'{"a": 2}', False, True)
    assert steadfast.load_into(path, bytearray(8), plain=True).changed
    with pytest.raises(steadfast.ConflictError) as caught:
        steadfast.save(path, b"never", plain=True, if_generation=state.generation ^ 1)
    assert caught.value.report.generation == state.generation >= TAGS
    assert steadfast.save(path, b"mine", plain=True, if_generation=state.generation).verified
    assert steadfast.load(path, plain=True).verified


def test_what_cannot_be_verified_later(path, without_attributes):
    with pytest.warns(steadfast.UnverifiedWarning) as warned:
        saved = steadfast.save(path, b"x", plain=True, context=without_attributes)
    assert warned[0].filename == __file__ and len(warned) == 1
    assert (saved.durable, saved.verified, saved.on_disk) == (True, False, steadfast.OnDisk.NEW)
    assert not steadfast.load(path, plain=True).verified
    with pytest.warns(steadfast.UnverifiedWarning) as warned:
        (saved,) = steadfast.save_batch([(path, b"y")], plain=True, context=without_attributes)
    assert warned[0].filename == __file__ and len(warned) == 1
    assert (saved.durable, saved.verified) == (True, False)
    with pytest.raises(steadfast.UnsupportedError):
        steadfast.save(path, b"never", plain=True, strict=True, context=without_attributes)
    assert pathlib.Path(path).read_bytes() == b"y"


def test_records_are_verified(path):
    assert steadfast.save(path, b"x").verified
    state = steadfast.load(path)
    assert (state.verified, state.changed) == (True, False)
    loaded = steadfast.load_into(path, bytearray(1))
    assert (loaded.verified, loaded.changed) == (True, False)


def test_a_batch(tmp_path, attributes):
    paths = [tmp_path / name for name in "abc"]
    assert all(saved.verified for saved in steadfast.save_batch([(path, b"1") for path in paths], plain=True))
    for path in paths:
        os.setxattr(path, "user.mine", b"kept")
    steadfast.save_batch([(path, b"2") for path in paths], plain=True, keep_attributes=True)
    assert [path.read_bytes() for path in paths] == [b"2"] * 3
    assert [os.getxattr(path, "user.mine") for path in paths] == [b"kept"] * 3


def test_update(path, attributes):
    edit(path, b"1")
    with pytest.raises(steadfast.UnverifiedError):
        steadfast.update(path, lambda old: b"never", plain=True, verified=True)
    seen: list[int] = []

    def change(old: Optional[steadfast.State]) -> bytes:
        assert old is not None
        if not seen:
            edit(path, b"two")  # an editor was faster
        seen.append(old.generation)
        return old.data + b"+"

    saved = steadfast.update(path, change, plain=True)
    assert saved is not None and saved.verified
    assert len(seen) == 2 and min(seen) >= TAGS
    assert pathlib.Path(path).read_bytes() == b"two+"
    os.setxattr(path, "user.mine", b"kept")
    steadfast.update(path, with_more, plain=True, keep_attributes=True)
    assert pathlib.Path(path).read_bytes() == b"two++" and os.getxattr(path, "user.mine") == b"kept"


def test_remove(path):
    edit(path, b"x")
    generation = steadfast.load(path, plain=True).generation
    with pytest.raises(steadfast.ConflictError):
        steadfast.remove(path, plain=True, if_generation=1)
    removed = steadfast.remove(path, plain=True, if_generation=generation)
    assert removed.durable and not os.path.exists(path)


def test_watch(path):
    edit(path, b"x")
    generation = steadfast.load(path, plain=True).generation
    with steadfast.Watch(path, plain=True) as watch:
        assert watch.wait(0, 0) == generation >= TAGS
        assert watch.wait(generation, 0) is None
        edit(path, b"longer")
        assert watch.wait(generation, 20) == steadfast.load(path, plain=True).generation != generation

    async def first():
        async for generation in steadfast.aio.watch(path, plain=True):
            return generation

    assert asyncio.run(asyncio.wait_for(first(), 20)) == steadfast.load(path, plain=True).generation


def test_attributes_are_kept(path, attributes):
    steadfast.save(path, b"x")
    os.setxattr(path, "user.mine", b"kept")
    steadfast.save(path, b"y", keep_attributes=True)
    assert os.getxattr(path, "user.mine") == b"kept"
    steadfast.save(path, b"z")
    assert "user.mine" not in os.listxattr(path)


@pytest.fixture
def mounted(path):
    """A context in which PATH cannot be renamed over, as if it were mounted."""

    def renameat(old_fd, old, new_fd, new, flags):
        if os.fsdecode(new) == os.path.basename(path):
            return -errno.EBUSY
        return steadfast.real("renameat", old_fd, old, new_fd, new, flags)

    return steadfast.Context(renameat=renameat)


def test_in_place(path, mounted):
    steadfast.save(path, b"old")
    inode = os.stat(path).st_ino
    with pytest.raises(OSError) as caught:
        steadfast.save(path, b"new", context=mounted)
    assert caught.value.errno == errno.EBUSY
    saved = steadfast.save(path, b"new", in_place=True, context=mounted)
    assert saved.durable and os.stat(path).st_ino == inode
    assert steadfast.load(path).data == b"new" and steadfast.load(path + ".prev").data == b"old"
    steadfast.update(path, with_more, in_place=True, context=mounted)
    assert steadfast.load(path).data == b"new+" and os.stat(path).st_ino == inode
