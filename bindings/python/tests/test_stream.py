"""steadfast.open: states as file objects."""

import errno
import gc
import io
import os
import pathlib
import shutil
import subprocess
import zipfile

import pytest

import steadfast

LARGE = bytes(range(256)) * 20000 + b"end"


def test_round_trip(path):
    with steadfast.open(path, "wb", schema=3, file_mode=0o640) as file:
        for at in range(0, len(LARGE), 77777):
            assert file.write(LARGE[at : at + 77777]) == min(77777, len(LARGE) - at)
        assert not os.path.exists(path)
        assert file.saved is None
    saved = file.saved
    assert file.closed and saved is not None and saved.durable and saved.generation == 1
    assert steadfast.load(path).data == LARGE
    assert os.stat(path).st_mode & 0o777 == 0o640
    with steadfast.open(path, schema=3) as file:
        assert (file.size, file.generation, file.schema, file.recovered) == (len(LARGE), 1, 3, False)
        assert file.sha256 == steadfast.load(path).sha256
        assert file.read() == LARGE
        assert file.read(1) == b""
        assert file.seek(-3, io.SEEK_END) == len(LARGE) - 3 and file.read() == b"end"
        assert file.seek(1 << 20) and file.read(3) == LARGE[1 << 20 : (1 << 20) + 3]
        assert file.seek(10, io.SEEK_END) and file.read() == b""
        with pytest.raises(ValueError):
            file.seek(-1)
    with pytest.raises(ValueError):
        file.read()


def test_one_large_write(path):
    with steadfast.open(path, "wb") as file:
        file.write(bytearray(LARGE))
        file.write(memoryview(LARGE)[:5])
    assert steadfast.load(path).data == LARGE + LARGE[:5]


def test_exception_aborts(path):
    steadfast.save(path, b"old")
    with pytest.raises(KeyError), steadfast.open(path, "wb") as file:
        file.write(b"half")
        file.flush()
        file.write(b"half")
        raise KeyError
    assert file.closed and file.saved is None
    assert steadfast.load(path).data == b"old"
    file = steadfast.open(path, "wb")
    file.write(b"half")
    file.abort()
    file.abort()
    assert file.closed and steadfast.load(path).data == b"old"
    with pytest.raises(ValueError):
        file.write(b"x")
    assert os.listdir(os.path.dirname(path)) == ["it"]


def test_neither_closed_nor_aborted(path):
    with pytest.warns(ResourceWarning):
        file = steadfast.open(path, "wb")
        file.write(b"half")
        del file
        gc.collect()
    assert os.listdir(os.path.dirname(path)) == []


def test_close_saves(path):
    file = steadfast.open(path, "wb")
    file.write(b"whole")
    file.close()
    file.close()
    assert steadfast.load(path).data == b"whole"
    with pytest.raises(steadfast.ConflictError), steadfast.open(path, "wb", if_generation=1) as file:
        steadfast.save(path, b"theirs")
        file.write(b"ours")
    assert file.closed and file.saved is None
    assert steadfast.load(path).data == b"theirs"


def test_write_error(path):
    steadfast.save(path, b"old")
    context = steadfast.Context(
        write=lambda fd, data, count: -errno.ENOSPC if count == 3 else steadfast.real("write", fd, data, count)
    )
    file = steadfast.open(path, "wb", context=context)
    file.write(b"xyz")
    with pytest.raises(OSError) as error:
        file.flush()
    assert error.value.errno == errno.ENOSPC
    with pytest.raises(OSError):
        file.close()
    assert file.closed and steadfast.load(path).data == b"old"
    assert os.listdir(os.path.dirname(path)) == ["it"]


def test_not_durable(path):
    def fails(fd):
        return -errno.EIO

    file = steadfast.open(path, "wb", context=steadfast.Context(fsync=fails))
    file.write(b"x")
    with pytest.warns(steadfast.NotDurableWarning) as warned:
        file.close()
    assert file.saved is not None and not file.saved.durable and len(warned) == 1
    with steadfast.open(path, "wb", sync=False) as file:
        pass
    assert steadfast.load(path).data == b""


def test_descriptor(path):
    with steadfast.open(path, "wb") as file:
        file.write(b"begun, ")
        subprocess.run(["printf", "printed"], stdout=file, check=True)
        file.write(b", ended")
    assert steadfast.load(path).data == b"begun, printed, ended"


def test_other_libraries(path):
    with steadfast.open(path, "wb") as file, zipfile.ZipFile(file, "w") as archive:
        archive.writestr("name", b"text" * 100000)
    with steadfast.open(path) as source, zipfile.ZipFile(source) as archive:
        assert archive.read("name") == b"text" * 100000
    with steadfast.open(path) as source, steadfast.open(path + "2", "wb") as copy:
        shutil.copyfileobj(source, copy)
    assert steadfast.load(path + "2").data == steadfast.load(path).data
    with io.TextIOWrapper(steadfast.open(path, "wb"), encoding="utf-8") as text:
        text.write("zwölf\n")
    assert steadfast.load(path).data == "zwölf\n".encode()


def test_damage(path):
    steadfast.save(path, LARGE)
    with steadfast.open(path) as file:
        assert file.read(10) == LARGE[:10]
        with open(path, "r+b") as changed:
            changed.seek(256 + (3 << 20))
            changed.write(b"!!")
        file.seek(3 << 20)
        with pytest.raises(steadfast.DigestError):
            file.read(1)
        file.seek(1 << 20)
        assert file.read(1) == LARGE[1 << 20 : (1 << 20) + 1]
    with pytest.raises(steadfast.DigestError):
        steadfast.open(path)
    with pytest.raises(steadfast.NotFoundError):
        steadfast.open(path + "none")
    with pytest.raises(steadfast.TooLargeError):
        steadfast.open(path, max_len=5)


def test_recover(path):
    steadfast.save(path, b"one")
    steadfast.save(path, b"two", keep_previous=True)
    os.truncate(path, 100)
    with pytest.warns(steadfast.RecoveredWarning), steadfast.open(path, recover=True) as file:
        assert file.recovered and file.read() == b"one"


def test_forked_child(path):
    file = steadfast.open(path, "wb")
    file.write(b"half")
    file.flush()
    child = os.fork()
    if child == 0:
        try:
            file.write(b"child")
            file.close()
        except steadfast.WrongProcessError:
            os._exit(0)
        os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    file.write(b" and half")
    file.close()
    assert steadfast.load(path).data == b"half and half"


def test_arguments(path):
    with pytest.raises(ValueError):
        steadfast.open(path, "ab")  # type: ignore[call-overload]
    with pytest.raises(TypeError):
        steadfast.open(path, "rb", strict=True)  # type: ignore[call-overload]
    with steadfast.open(path, "wb") as file, pytest.raises(TypeError):
        file.write("text")  # type: ignore[arg-type]
    with pytest.raises(steadfast.NotFoundError):
        steadfast.open(path + "no/such", "wb")


def test_plain(path):
    edited = pathlib.Path(path)
    edited.write_bytes(b"anybody's")
    with steadfast.open(path, plain=True) as file:
        assert (file.read(), file.verified, file.changed) == (b"anybody's", False, False)
        assert file.generation >= 1 << 63
    with pytest.raises(steadfast.UnverifiedError):
        steadfast.open(path, plain=True, verified=True)
    with pytest.raises(TypeError):
        steadfast.open(path, "wb", in_place=True)  # type: ignore[call-overload]
    bare = steadfast.Context.failing("fsetxattr", error=errno.EOPNOTSUPP, for_ever=True)
    writer = steadfast.open(path, "wb", plain=True, context=bare)
    writer.write(b"bare")
    with pytest.warns(steadfast.UnverifiedWarning):
        writer.close()
    assert writer.saved is not None and writer.saved.durable and not writer.saved.verified
    assert edited.read_bytes() == b"bare"
    try:
        os.setxattr(path, "user.mine", b"1")
    except OSError:
        pytest.skip("no extended attributes here")
    with steadfast.open(path, "wb", plain=True, keep_attributes=True) as writer:
        writer.write(b"ours")
    assert writer.saved is not None and writer.saved.verified and os.getxattr(path, "user.mine") == b"1"
    with steadfast.open(path, plain=True, verified=True) as file:
        assert (file.read(), file.verified, file.changed, file.generation) == (b"ours", True, False, writer.saved.generation)
    edited.write_bytes(b"theirs")
    os.utime(path, (0, 0))
    with steadfast.open(path, plain=True) as file:
        assert (file.read(), file.verified, file.changed) == (b"theirs", False, True)
