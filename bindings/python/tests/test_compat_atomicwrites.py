"""steadfast.compat.atomicwrites. atomicwrites' own tests on it: peers/run.sh."""

import os
import pathlib

import pytest

import steadfast
from steadfast.compat.atomicwrites import AtomicWriter, atomic_write


def content(path):
    return pathlib.Path(path).read_bytes()


def test_text_and_bytes(path):
    with atomic_write(path, encoding="latin-1", newline="\r\n") as file:
        file.write("\u00e4\n")
        assert not os.path.exists(path)
    assert content(path) == b"\xe4\r\n"
    with atomic_write(os.fsencode(path), mode="wb", overwrite=True) as file:
        file.write(b"\x00")
        file.write(b"\x01")
    assert content(path) == b"\x00\x01"
    assert steadfast.load(path, plain=True).generation == 2
    assert os.listdir(os.path.dirname(path)) == [os.path.basename(path)]


def test_a_large_text(path):
    with AtomicWriter(path).open() as file:
        for number in range(100_000):
            print(number, file=file)
    assert content(path).count(b"\n") == 100_000


@pytest.mark.parametrize("mode", ["w", "wb"])
def test_no_file_is_replaced_without_overwrite(path, mode):
    pathlib.Path(path).write_text("mine")
    text = "new" if mode == "w" else b"new"
    with pytest.raises(FileExistsError) as caught, atomic_write(path, mode=mode) as file:
        file.write(text)
    assert caught.value.filename == path and content(path) == b"mine"
    with pytest.raises(FileExistsError), atomic_write(path, mode=mode) as file:
        file.write(text)
        file.close()
    assert os.listdir(os.path.dirname(path)) == [os.path.basename(path)]
    with atomic_write(path, mode=mode, overwrite=True) as file:
        file.write(text)
    assert content(path) == b"new"


@pytest.mark.parametrize("mode", ["w", "wb"])
def test_an_exception_gives_it_up(path, mode):
    with pytest.raises(ZeroDivisionError), atomic_write(path, mode=mode) as file:
        file.write("x" if mode == "w" else b"x")
        raise ZeroDivisionError
    assert not os.listdir(os.path.dirname(path))


def test_a_file_that_is_closed_in_the_block_is_saved(path):
    with atomic_write(path) as file:
        file.write("x")
        file.close()
    assert content(path) == b"x"


def test_arguments(path):
    for mode in ("a", "x", "r", "w+"):
        with pytest.raises(ValueError):
            atomic_write(path, mode=mode)
    with pytest.raises(ValueError):
        atomic_write(path, mode="wb", encoding="utf-8")
    with pytest.raises(TypeError):
        atomic_write(path, unknown=1)


def test_a_class_of_ones_own(path):
    class Always(AtomicWriter):
        def __init__(self, path, **options):
            super().__init__(path, overwrite=True, **options)

    for _ in range(2):
        with atomic_write(path, writer_cls=Always) as file:
            file.write("x")
    assert content(path) == b"x"
