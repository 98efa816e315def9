"""update and remove."""

import asyncio
import os
import threading
from typing import Optional

import pytest

import steadfast


def with_more(more: bytes):
    """Appends to what is there, and says "?" of nothing."""

    def change(old: Optional[steadfast.State]) -> bytes:
        return old.data + more if old is not None else b"?"

    return change


def test_update(path):
    saved = steadfast.update(path, lambda old: b"1" if old is None else b"?")
    assert saved is not None and saved.generation == 1
    saved = steadfast.update(path, with_more(b"2"), keep_previous=True, schema=7)
    assert saved is not None and (saved.generation, saved.durable) == (2, True)
    state = steadfast.load(path)
    assert (state.data, state.schema) == (b"12", 7)
    assert steadfast.update(path, lambda old: None) is None
    assert steadfast.load(path).generation == 2


def test_update_again(path):
    steadfast.save(path, b"mine")
    seen: list[bytes] = []

    def change(old: Optional[steadfast.State]) -> bytes:
        if not seen:
            steadfast.save(path, b"theirs")
        seen.append(bytes(old or b""))
        return seen[-1] + b"+"

    saved = steadfast.update(path, change)
    assert saved is not None and saved.generation == 3
    assert seen == [b"mine", b"theirs"]
    assert steadfast.load(path).data == b"theirs+"


def test_update_gives_up(path):
    def change(old: Optional[steadfast.State]) -> bytes:
        steadfast.save(path, b"theirs")
        return b"mine"

    with pytest.raises(steadfast.ConflictError):
        steadfast.update(path, change, timeout=0.02)

    def fail(old: Optional[steadfast.State]) -> bytes:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        steadfast.update(path, fail)
    assert steadfast.load(path).data == b"theirs"


def test_update_of_damage(path):
    steadfast.save(path, b"old")
    steadfast.save(path, b"new", keep_previous=True)
    os.truncate(path, 100)
    with pytest.raises(steadfast.TruncatedError):
        steadfast.update(path, lambda old: b"?")
    with pytest.warns(steadfast.RecoveredWarning):
        steadfast.update(path, with_more(b"+"), recover=True)
    assert steadfast.load(path).data == b"old+"
    os.unlink(path)
    steadfast.save(path + ".prev", b"old")
    with pytest.raises(steadfast.LostError):
        steadfast.update(path, lambda old: b"?")


def test_counters(path):
    def count():
        for _ in range(20):
            steadfast.update(path, lambda old: str(int(old.data) + 1 if old else 1).encode(), sync=False, timeout=60)

    threads = [threading.Thread(target=count) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert steadfast.load(path).data == b"60"


def test_remove(path):
    steadfast.save(path, b"1")
    steadfast.save(path, b"2", keep_previous=True)
    with pytest.raises(steadfast.ConflictError):
        steadfast.remove(path, if_generation=1)
    removed = steadfast.remove(path, if_generation=2)
    assert (removed.generation, removed.durable) == (2, True)
    assert os.listdir(os.path.dirname(path)) == []
    with pytest.raises(steadfast.NotFoundError):
        steadfast.remove(path)
    steadfast.save(path, b"3")
    assert steadfast.remove(path, sync=False).durable is False


def test_set_mode(path):
    steadfast.save(path, b"1")
    steadfast.save(path, b"2", mode=0o640)
    assert os.stat(path).st_mode & 0o777 == 0o600
    steadfast.save(path, b"3", mode=0o640, set_mode=True)
    assert os.stat(path).st_mode & 0o777 == 0o640


def test_asyncio(path):
    async def work():
        await steadfast.aio.update(path, lambda old: b"1")
        return await steadfast.aio.remove(path)

    assert asyncio.run(work()).generation == 1
