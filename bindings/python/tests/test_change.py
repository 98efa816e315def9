"""update and remove."""

import asyncio
import os
import threading

import pytest

import steadfast


def test_update(path):
    assert steadfast.update(path, lambda old: b"1" if old is None else b"?").generation == 1
    saved = steadfast.update(path, lambda old: old.data + b"2", keep_previous=True, schema=7)
    assert (saved.generation, saved.durable) == (2, True)
    state = steadfast.load(path)
    assert (state.data, state.schema) == (b"12", 7)
    assert steadfast.update(path, lambda old: None) is None
    assert steadfast.load(path).generation == 2


def test_update_again(path):
    steadfast.save(path, b"mine")
    seen = []

    def change(old):
        if not seen:
            steadfast.save(path, b"theirs")
        seen.append(old.data)
        return old.data + b"+"

    assert steadfast.update(path, change).generation == 3
    assert seen == [b"mine", b"theirs"]
    assert steadfast.load(path).data == b"theirs+"


def test_update_gives_up(path):
    def change(old):
        steadfast.save(path, b"theirs")
        return b"mine"

    with pytest.raises(steadfast.ConflictError):
        steadfast.update(path, change, timeout=0.02)
    with pytest.raises(ZeroDivisionError):
        steadfast.update(path, lambda old: 1 / 0)
    assert steadfast.load(path).data == b"theirs"


def test_update_of_damage(path):
    steadfast.save(path, b"old")
    steadfast.save(path, b"new", keep_previous=True)
    os.truncate(path, 100)
    with pytest.raises(steadfast.TruncatedError):
        steadfast.update(path, lambda old: b"?")
    with pytest.warns(steadfast.RecoveredWarning):
        steadfast.update(path, lambda old: old.data + b"+", recover=True)
    assert steadfast.load(path).data == b"old+"
    os.unlink(path)
    os.path.exists(path + ".prev") or steadfast.save(path + ".prev", b"old")
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


def test_asyncio(path):
    async def work():
        await steadfast.aio.update(path, lambda old: b"1")
        return await steadfast.aio.remove(path)

    assert asyncio.run(work()).generation == 1
